"""What the report draws beside the means: confusion matrices, precision–recall curves, reliability.

Computed from the stored out-of-fold scores, for "none" and the best few strategies of each model, so that
results.json stays small.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from steelyard.comparison.dataset import Dataset
from steelyard.comparison.settings import BASELINE
from steelyard.metrics import Metric
from steelyard.metrics.confusion import confusion_matrix
from steelyard.metrics.ranking import Ranking, average_precision

__all__ = ["views"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Names = tuple[str, str]  # model, strategy

_MOST_CLASSES = 30  # a larger matrix is not readable: its worst confusions are listed
_FEW_CLASSES = 10  # up to here a matrix is small enough to store several per model
_BEST = 3  # strategies beside "none", per model
_WORST = 20  # confusions in the list
_POINTS = 200  # of a curve, for two classes; the classes of a one-against-the-rest view share them
_RARE = 3  # classes that are viewed one against the rest, when there are more than two
_BINS = 8  # of a reliability view
_FEWEST_BINS = 4
_PER_BIN = 5.0  # variance of the rows of the class in a bin; with less, its interval says nothing
_DIGITS = 5
_SAME = 1e-3  # probabilities nowhere farther apart are the same fit, but for rounding and the optimiser


class Stored(Protocol):
    """Out-of-fold scores of one model and strategy, as `steelyard.comparison.scoring.OutOfFold` holds them."""

    proba: Floats
    default: Ints
    tuned: Ints | None


class Asked(Protocol):
    """The part of the settings that says what counts as best."""

    @property
    def metric(self) -> str:
        """What strategies are ranked by."""

    @property
    def decision_metric(self) -> str:
        """What tuned decisions maximise."""


def views(
    stored: Mapping[Names, Stored],
    dataset: Dataset,
    summary: Sequence[Mapping[str, Any]],
    wanted: Sequence[Metric],
    settings: Asked,
) -> dict[str, Any]:
    """Return the part `views` of results.json.

    Parameters
    ----------
    stored : mapping of (model, strategy) to OutOfFold
    dataset : Dataset
    summary : sequence of dict
        The rows of `summary`: they say which strategies are the best few of each model. Confusion matrices
        are chosen by the metric that decisions are tuned for, curves by the metric of the comparison, or by
        average precision where that is a label metric.
    wanted : sequence of Metric
        The metrics of the comparison.
    settings : Settings

    Returns
    -------
    dict
        ``repeats``: how often each row was scored.

        ``confusion``: [{model, strategy, decision, matrix}], ``matrix[i][j]`` being the rows of true class i
        that were labelled j, summed over repeats (whole numbers; each row of the matrix sums to repeats × the
        count of its class). Beyond 30 classes ``worst`` stands instead of ``matrix``: [{truth, predicted,
        rows, share}], the entries off the diagonal with the largest share of the true class.

        ``curves``: [{model, strategy, class, average_precision, precision, recall}], at most 200 points, each
        exactly on the precision–recall curve of all repeats pooled but for the rounding to five digits, from the
        highest score down to the first that finds every row of the class; for two classes the positive
        one, for more the three rarest, each against the rest.

        ``reliability``: [{model, strategy, class, predicted, observed, ci_low, ci_high, rows}], one entry per
        bin of the probability of the class: its mean, the share of rows that are of the class with a 95 %
        Wilson interval, and the rows of the bin per repeat.
    """
    y, classes = dataset.target.y, dataset.target.counts.classes
    by_name = {m.name: m for m in wanted}
    deciding, ranking = by_name[settings.decision_metric], by_name[settings.metric]
    if ranking.kind == "label":
        ranking = by_name["average_precision"]
    best = _BEST if len(classes) <= _FEW_CLASSES else 1
    found: dict[str, Any] = {
        "repeats": next(iter(stored.values())).default.shape[0],
        "confusion": [],
        "curves": [],
        "reliability": [],
    }
    for model in dict.fromkeys(model for model, _ in stored):
        order = [s for s in _ranked(summary, model, deciding) if (model, s) in stored]
        # the best by the metric of the comparison is what the report is about, however it decides
        first = [s for s in _ranked(summary, model, by_name[settings.metric]) if (model, s) in stored][:1]
        for strategy in dict.fromkeys([BASELINE, *order[:best], *first]):
            found["confusion"] += _confusions(model, strategy, stored[model, strategy], y, classes)
        order = [s for s in _ranked(summary, model, ranking) if (model, s) in stored]
        for strategy in _different(model, [BASELINE, *order], stored):
            for k in _viewed_classes(dataset):
                p, hit = _pooled(stored[model, strategy], y, k)
                about = {"model": model, "strategy": strategy, "class": classes[k]}
                found["curves"].append(about | _curve(p, hit, _POINTS // len(_viewed_classes(dataset))))
                found["reliability"].append(about | _reliability(p, hit, found["repeats"]))
    return found


def _ranked(summary: Sequence[Mapping[str, Any]], model: str, metric: Metric) -> list[str]:
    """Return the strategies of a model but the baseline, best first; each by the better of its decisions."""
    sign = 1.0 if metric.greater_is_better else -1.0
    values: dict[str, float] = {}
    for row in summary:
        if (row["model"], row["metric"]) == (model, metric.name) and row["strategy"] != BASELINE:
            value = -np.inf if row["mean"] is None or np.isnan(row["mean"]) else round(sign * row["mean"], 12)
            values[row["strategy"]] = max(value, values.get(row["strategy"], -np.inf))
    return sorted(values, key=lambda s: -values[s])


def _different(model: str, order: Sequence[str], stored: Mapping[Names, Stored]) -> list[str]:
    """Return the first few strategies whose scores are not those of one before: two lines would be one."""
    chosen: list[str] = []
    for strategy in order:
        proba = stored[model, strategy].proba
        if not any(np.allclose(proba, stored[model, other].proba, rtol=0.0, atol=_SAME) for other in chosen):
            chosen.append(strategy)
        if len(chosen) == 1 + _BEST:
            break
    return chosen


def _viewed_classes(dataset: Dataset) -> list[int]:
    target = dataset.target
    if target.counts.n_classes == 2:
        return [1 if target.positive is None else target.positive]
    return [int(k) for k in np.argsort(target.counts.counts, kind="stable")[:_RARE]]


def _confusions(model: str, strategy: str, scores: Stored, y: Ints, classes: Sequence[Any]) -> Iterator[dict[str, Any]]:
    for decision, labels in (("default", scores.default), ("tuned", scores.tuned)):
        if labels is None:
            continue
        matrix = confusion_matrix(np.tile(y, len(labels)), labels.ravel(), len(classes)).astype(np.int64)
        about = {"model": model, "strategy": strategy, "decision": decision}
        if len(classes) <= _MOST_CLASSES:
            yield about | {"matrix": matrix.tolist()}
        else:
            yield about | {"worst": _worst(matrix, classes)}


def _worst(matrix: Ints, classes: Sequence[Any]) -> list[dict[str, Any]]:
    share = matrix / matrix.sum(1, keepdims=True)
    np.fill_diagonal(share, 0.0)
    # by share of the class: by rows, mistakes in the most common class would fill the list
    largest = np.lexsort((-matrix.ravel(), -share.ravel()))[:_WORST]
    pairs = [divmod(int(at), len(classes)) for at in largest]
    return [
        {"truth": classes[i], "predicted": classes[j], "rows": int(matrix[i, j]), "share": float(share[i, j])}
        for i, j in pairs
        if share[i, j] > 0.0
    ]


def _pooled(scores: Stored, y: Ints, k: int) -> tuple[Floats, NDArray[np.bool_]]:
    """Return the probability of class k of every row of every repeat, and whether the row is of that class."""
    return scores.proba[:, :, k].ravel(), np.tile(y == k, len(scores.proba))


def _curve(p: Floats, hit: NDArray[np.bool_], most: int) -> dict[str, Any]:
    curve = Ranking.of(p).curve(hit)
    last = int(np.argmax(curve.true_positives >= curve.true_positives[-1]))  # beyond, nothing is left to find
    precision, recall = curve.precision[: last + 1], curve.recall[: last + 1]
    kept = _thinned(precision, recall, most)
    return {
        "average_precision": average_precision(curve),
        "precision": precision[kept].round(_DIGITS).tolist(),
        "recall": recall[kept].round(_DIGITS).tolist(),
    }


def _thinned(precision: Floats, recall: Floats, most: int) -> list[int]:
    """Return which points to keep: always the one that a line through those kept would miss by most.

    Splitting at the farthest point is what Douglas and Peucker do (Cartographica 10, 1973), here until there are
    `most`, or nothing is missed.
    """
    points = np.column_stack([recall, precision])
    kept = {0, len(points) - 1}
    waiting = [_farthest(points, 0, len(points) - 1)]
    while len(kept) < most and waiting[0][0] < -1e-9:
        _, first, at, last = heapq.heappop(waiting)
        kept.add(at)
        for part in ((first, at), (at, last)):
            heapq.heappush(waiting, _farthest(points, *part))
    return sorted(kept)


def _farthest(points: Floats, first: int, last: int) -> tuple[float, int, int, int]:
    """Return minus the distance of the point farthest from the chord, and (first, its place, last)."""
    between = points[first + 1 : last] - points[first]
    if not len(between):
        return 0.0, first, first, last
    chord = points[last] - points[first]
    away = np.abs(between[:, 0] * chord[1] - between[:, 1] * chord[0])
    length = float(np.hypot(*chord))
    away = away / length if length > 0.0 else np.hypot(*between.T)
    at = int(np.argmax(away))
    return -float(away[at]), first, first + 1 + at, last


def _reliability(p: Floats, hit: NDArray[np.bool_], repeats: int) -> dict[str, Any]:
    r"""Compare probabilities with what happened, in bins of equal uncertainty :math:`\sum p (1 - p)`.

    Chance then moves each bin by equally many rows. Bins of equal width, or of equal numbers of rows, would put nearly
    all rows of a rare class in the first.
    """
    values, place = np.unique(p, return_inverse=True)  # equal probabilities stay together
    rows, mass, hits = np.bincount(place), np.bincount(place, weights=p), np.bincount(place, weights=hit)
    spread = mass * (1.0 - values)
    total = spread.sum()
    bins = int(np.clip(total / repeats / _PER_BIN, _FEWEST_BINS, _BINS))
    middle = (np.cumsum(spread) - spread / 2.0) / total if total > 0.0 else np.zeros(len(values))
    which = np.minimum((middle * bins).astype(np.intp), bins - 1)
    n, mass, hits = (np.bincount(which, weights=w, minlength=bins) for w in (rows, mass, hits))
    n, mass, hits = n[n > 0], mass[n > 0], hits[n > 0]
    # the repeats score the same rows again: they make the share steadier, not the rows more
    low, high = _wilson(hits / n, n / repeats)
    return {
        "predicted": (mass / n).round(_DIGITS).tolist(),
        "observed": (hits / n).round(_DIGITS).tolist(),
        "ci_low": low.round(_DIGITS).tolist(),
        "ci_high": high.round(_DIGITS).tolist(),
        "rows": (n / repeats).round(1).tolist(),
    }


def _wilson(share: Floats, n: Floats) -> tuple[Floats, Floats]:
    r"""95 % score interval of a share of n rows.

    .. math:: \frac{\hat p + z^2/2n \pm z \sqrt{\hat p (1 - \hat p)/n + z^2/4n^2}}{1 + z^2/n}

    References
    ----------
    Wilson, "Probable inference, the law of succession, and statistical inference", JASA 22, 1927.
    """
    z = 1.959963984540054
    middle = share + z**2 / (2.0 * n)
    half = z * np.sqrt(share * (1.0 - share) / n + z**2 / (4.0 * n**2))
    scale = 1.0 + z**2 / n
    return np.clip((middle - half) / scale, 0.0, 1.0), np.clip((middle + half) / scale, 0.0, 1.0)
