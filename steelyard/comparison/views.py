"""What the report draws beside the means: confusion matrices, curves, what every threshold would do, reliability.

Computed from the stored out-of-fold scores, for "none" and the best few strategies of each model, so that
results.json stays small.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from steelyard.comparison.dataset import Dataset
from steelyard.comparison.fold_bands import curve_bands, share_bands
from steelyard.comparison.operating_points import operating_points
from steelyard.comparison.settings import BASELINE
from steelyard.comparison.thinning import thinned
from steelyard.decisions.best_rules import best_rule
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
_RARE = 3  # classes whose curves are drawn one against the rest, when there are more than two
_EXPLORED = 10  # classes whose thresholds can be explored
_THRESHOLDS, _FEWEST_THRESHOLDS = 300, 60  # stored for two classes; more classes share them
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
    fold: NDArray[Any]


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

        ``classes``: [{model, strategy, decision, found, labelled}], per class the rows that were found and the rows
        that were labelled so, summed over repeats: recall is found / (repeats × count), precision found / labelled.

        ``curves``: [{model, strategy, class, average_precision, precision, recall, band}], at most 200 points, each
        exactly on the precision–recall curve of all repeats pooled but for the rounding to five digits, from the
        highest score down to the first that finds every row of the class; for two classes the positive
        one, for more the three rarest, each against the rest. ``band``: see `fold_bands.curve_bands`.

        ``thresholds``: [{model, strategy, same, class, positives, negatives, threshold, found, false_alarms, half,
        share, roc_auc}], for the ten rarest classes: see `operating_points`; rows of all repeats. ``same``: other
        strategies whose probabilities are these.

        ``rules``: [{model, strategy, metric, rule}], for "none" and the best strategy of each model: the decision
        that is best for the metric on the scores of the first repeat.

        ``reliability``: [{model, strategy, class, predicted, observed, ci_low, ci_high, rows, fold_low, fold_high}],
        one entry per bin of the probability of the class: its mean, the share of rows that are of the class with a
        95 % Wilson interval, the rows of the bin per repeat, and the 10 % and 90 % quantiles of the share over test
        folds.
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
        "classes": [],
        "curves": [],
        "thresholds": [],
        "rules": [],
        "reliability": [],
    }
    for model in dict.fromkeys(model for model, _ in stored):
        order = [s for s in _ranked(summary, model, deciding) if (model, s) in stored]
        # the best by the metric of the comparison is what the report is about, however it decides
        first = [s for s in _ranked(summary, model, by_name[settings.metric]) if (model, s) in stored][:1]
        for strategy in dict.fromkeys([BASELINE, *order[:best], *first]):
            for decision, matrix in _matrices(stored[model, strategy], y, len(classes)):
                about = {"model": model, "strategy": strategy, "decision": decision}
                found["confusion"].append(about | _confusion(matrix, classes))
                found["classes"].append(
                    about | {"found": np.diag(matrix).tolist(), "labelled": matrix.sum(0, dtype=np.int64).tolist()}
                )
        for strategy in dict.fromkeys([BASELINE, *first]):
            found["rules"] += _rule(model, strategy, stored[model, strategy], dataset, deciding)
        order = [s for s in _ranked(summary, model, ranking) if (model, s) in stored]
        names = [s for m, s in stored if m == model]
        for strategy in _different(model, [BASELINE, *first, *order], stored):
            own = {"model": model, "strategy": strategy}
            scores = stored[model, strategy]
            for k in _viewed_classes(dataset, _RARE):
                about = own | {"class": classes[k]}
                found["curves"].append(
                    about | _curve(scores, y == k, k, _POINTS // len(_viewed_classes(dataset, _RARE)))
                )
                found["reliability"].append(about | _reliability(scores, y == k, k))
            same = [s for s in names if s != strategy and _alike(stored[model, s], scores)]
            explored = _viewed_classes(dataset, _EXPLORED)
            for k in explored:
                p, hit = _pooled(scores, y == k, k)
                rows = {"class": classes[k], "positives": int(hit.sum()), "negatives": int((~hit).sum())}
                most = max(_FEWEST_THRESHOLDS, _THRESHOLDS // len(explored))
                found["thresholds"].append(own | {"same": same} | rows | operating_points(p, hit, most))
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
        if not any(_alike(stored[model, strategy], stored[model, other]) for other in chosen):
            chosen.append(strategy)
        if len(chosen) == 1 + _BEST:
            break
    return chosen


def _alike(one: Stored, other: Stored) -> bool:
    return bool(np.allclose(one.proba, other.proba, rtol=0.0, atol=_SAME, equal_nan=True))


def _viewed_classes(dataset: Dataset, most: int) -> list[int]:
    target = dataset.target
    if target.counts.n_classes == 2:
        return [1 if target.positive is None else target.positive]
    return [int(k) for k in np.argsort(target.counts.counts, kind="stable")[:most]]


def _matrices(scores: Stored, y: Ints, n_classes: int) -> Iterator[tuple[str, Ints]]:
    tested = scores.fold >= 0
    truth = np.broadcast_to(y, tested.shape)[tested]
    for decision, labels in (("default", scores.default), ("tuned", scores.tuned)):
        if labels is not None:
            yield decision, confusion_matrix(truth, labels[tested], n_classes).astype(np.int64)


def _confusion(matrix: Ints, classes: Sequence[Any]) -> dict[str, Any]:
    if len(classes) <= _MOST_CLASSES:
        return {"matrix": matrix.tolist()}
    return {"worst": _worst(matrix, classes)}


def _rule(model: str, strategy: str, scores: Stored, dataset: Dataset, metric: Metric) -> Iterator[dict[str, Any]]:
    tested = scores.fold[0] >= 0
    y = dataset.target.y[tested]
    if scores.tuned is None or metric.of_confusion is None or np.bincount(y).min() < 1:
        return
    rule = best_rule(scores.proba[0, tested], y, metric, dataset.target.positive)
    yield {"model": model, "strategy": strategy, "metric": metric.name, "rule": rule.to_dict()}


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


def _pooled(scores: Stored, is_class: NDArray[np.bool_], k: int) -> tuple[Floats, NDArray[np.bool_]]:
    """Return the probability of class k of every row of every repeat, and whether the row is of that class."""
    tested = scores.fold >= 0
    return scores.proba[:, :, k][tested], np.broadcast_to(is_class, tested.shape)[tested]


def _curve(scores: Stored, is_class: NDArray[np.bool_], k: int, most: int) -> dict[str, Any]:
    p, hit = _pooled(scores, is_class, k)
    curve = Ranking.of(p).curve(hit)
    last = int(np.argmax(curve.true_positives >= curve.true_positives[-1]))  # beyond, nothing is left to find
    precision, recall = curve.precision[: last + 1], curve.recall[: last + 1]
    kept = thinned(np.column_stack([recall, precision]), most)
    return {
        "average_precision": average_precision(curve),
        "precision": precision[kept].round(_DIGITS).tolist(),
        "recall": recall[kept].round(_DIGITS).tolist(),
        "band": curve_bands(scores.proba[:, :, k], is_class, scores.fold),
    }


def _reliability(scores: Stored, is_class: NDArray[np.bool_], k: int) -> dict[str, Any]:
    r"""Compare probabilities with what happened, in bins of equal uncertainty :math:`\sum p (1 - p)`.

    Chance then moves each bin by equally many rows. Bins of equal width, or of equal numbers of rows, would put nearly
    all rows of a rare class in the first.
    """
    p, hit = _pooled(scores, is_class, k)
    repeats = len(scores.fold)
    values, place = np.unique(p, return_inverse=True)  # equal probabilities stay together
    rows, mass, hits = np.bincount(place), np.bincount(place, weights=p), np.bincount(place, weights=hit)
    spread = mass * (1.0 - values)
    total = spread.sum()
    bins = int(np.clip(total / repeats / _PER_BIN, _FEWEST_BINS, _BINS))
    middle = (np.cumsum(spread) - spread / 2.0) / total if total > 0.0 else np.zeros(len(values))
    which = np.minimum((middle * bins).astype(np.intp), bins - 1)
    n, mass, hits = (np.bincount(which, weights=w, minlength=bins) for w in (rows, mass, hits))
    full = n > 0
    bin_of = np.zeros(scores.fold.shape, np.int64)
    bin_of[scores.fold >= 0] = (np.cumsum(full) - 1)[which[place]]  # bins without rows are left out
    n, mass, hits = n[full], mass[full], hits[full]
    # the repeats score the same rows again: they make the share steadier, not the rows more
    low, high = _wilson(hits / n, n / repeats)
    return {
        "predicted": (mass / n).round(_DIGITS).tolist(),
        "observed": (hits / n).round(_DIGITS).tolist(),
        "ci_low": low.round(_DIGITS).tolist(),
        "ci_high": high.round(_DIGITS).tolist(),
        "rows": (n / repeats).round(1).tolist(),
        **share_bands(bin_of, is_class, scores.fold, len(n)),
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
