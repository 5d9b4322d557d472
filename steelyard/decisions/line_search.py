"""The best weight of one class, all others held: every weight that labels some row differently is looked at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steelyard.decisions.thresholds import OfConfusion, middle_best
from steelyard.metrics.confusion import balanced_accuracy, confusion_matrix

__all__ = ["Scored", "ascend", "best_step"]

Floats = NDArray[np.float64]

# all cuts are looked at up to this many cells of confusion matrices; beyond, some first, then those beside the best
_CELLS = 12_500
_FEWEST_CUTS = 64
_BRACKETS = 3
# rows that are sorted; of more, those near the best of some cuts are
_SORTED = 65_536
_EDGES = 256
_MOST_CELLS = 1_000_000
# scores such as k / 100 trees have equal ratios that differ in their last bit: no cut goes between these
_APART = 1e-9
_SWEEPS = 8


@dataclass(frozen=True)
class Scored:
    """Scored rows, laid out for the search: log probabilities by class, (C, n), the truth, and weights or None."""

    log_p: Floats
    y: NDArray[np.int64]
    weight: Floats | None = None

    @classmethod
    def of(cls, proba: Floats, y: NDArray[np.int64], weight: Floats | None = None) -> Scored:
        """Take the logarithm once."""
        with np.errstate(divide="ignore"):
            by_class = np.array(proba.T, order="C")
            return cls(np.log(by_class, out=by_class), y, weight)

    @property
    def n_classes(self) -> int:
        """C."""
        return len(self.log_p)

    def take(self, rows: NDArray[Any]) -> Scored:
        """Return some of the rows."""
        weight = None if self.weight is None else self.weight[rows]
        return Scored(np.ascontiguousarray(self.log_p[:, rows]), self.y[rows], weight)

    def labels(self, log_w: Floats) -> NDArray[np.int64]:
        """Return arg max_k of log w_k + log p_k."""
        return _best_classes(self.log_p, log_w, range(self.n_classes))[0]

    def confusion(self, log_w: Floats) -> Floats:
        """Return the confusion matrix under these weights."""
        return confusion_matrix(self.y, self.labels(log_w), self.n_classes, self.weight)


def best_step(scored: Scored, log_w: Floats, k: int, metric: OfConfusion, sign: float) -> tuple[float, float]:
    r"""Return the best log weight of class k, and sign · metric there.

    Row i is labelled k exactly if :math:`\log w_k > r_i = \max_{j \ne k} (\log w_j + \log p_{ij}) - \log p_{ik}`, so
    the distinct r are all the cuts there are. Up to 12,500 / C² of them (at least 64) are all looked at. Of m > 64
    more, √m quantiles (at least 64) are, and then the cuts on both sides of the three best. Of equally good cuts the
    middle one is taken, halfway between its two rows. Ratios that differ by less than 1e-9 are one. All
    cuts are looked at for balanced accuracy.

    Parameters
    ----------
    scored : Scored
    log_w : ndarray of shape (C,)
    k : int
    metric : callable
        Confusion matrices (m, C, C) → (m,).
    sign : float
        −1 where lower is better.

    Returns
    -------
    (float, float)
        −inf as the second where the metric is undefined at every cut.

    Notes
    -----
    Above 65,536 rows those within two of 256 quantiles of the best quantile are sorted, and no others. Memory: a
    few arrays of n numbers, and 12,500 to 64 · C² cells of matrices.
    """
    n_classes = scored.n_classes
    instead, best_other = _best_classes(scored.log_p, log_w, [j for j in range(n_classes) if j != k])
    # −inf − (−inf): a row that is impossible for all classes but those with weight 0; never k
    with np.errstate(invalid="ignore"):
        r = best_other - scored.log_p[k]
    r[np.isneginf(scored.log_p[k])] = np.inf  # never k
    start = confusion_matrix(scored.y, instead, n_classes, scored.weight)
    span = _Span(start, r, scored.y * n_classes + instead, scored.weight, k)
    if not np.isfinite(r).all():
        span = span.above(np.isneginf(r)).only(np.isfinite(r))
    if not len(span.r):
        return float(log_w[k]), _values(span.base[None], metric, sign)[0]
    if len(span.r) > _SORTED:
        span = _near_the_best(span, metric, sign)
    return _best_cut(span, metric, sign)


def _values(confusion: Floats, metric: OfConfusion, sign: float) -> Floats:
    values = sign * np.asarray(metric(confusion), np.float64)
    return np.where(np.isnan(values), -np.inf, values)


@dataclass(frozen=True)
class _Span:
    """Rows whose label is still open: what each needs to be labelled k, and the cell that it is in until then.

    `base` is the confusion matrix with none of them labelled k; `below` and `beyond` are the nearest ratios outside.
    """

    base: Floats
    r: Floats
    cell: NDArray[np.int64]
    weight: Floats | None
    k: int
    below: float = -np.inf
    beyond: float = np.inf

    def only(self, which: NDArray[Any], below: float = -np.inf, beyond: float = np.inf) -> _Span:
        """Return some of the rows, or all in another order."""
        weight = None if self.weight is None else self.weight[which]
        return _Span(self.base, self.r[which], self.cell[which], weight, self.k, below, beyond)

    def above(self, moved: NDArray[np.bool_]) -> _Span:
        """Label these rows k for good."""
        counts = np.bincount(self.cell[moved], None if self.weight is None else self.weight[moved], self.base.size)
        return replace(self, base=self._moved(counts[None])[0])

    def matrices(self, block: NDArray[np.intp], n_cuts: int) -> Floats:
        """Return the matrix at each cut, row i being labelled k from cut `block[i]` + 1 on: (n_cuts, C, C)."""
        size = self.base.size
        counts = np.bincount(block * size + self.cell, self.weight, n_cuts * size).reshape(-1, size)[: n_cuts - 1]
        moved = np.zeros((n_cuts, size))
        np.cumsum(counts, axis=0, out=moved[1:])
        return self._moved(moved)

    def _moved(self, counts: Any) -> Floats:
        n = len(self.base)
        counts = counts.reshape(-1, n, n)
        out = self.base - counts
        out[:, :, self.k] += counts.sum(-1)
        # fractional weights leave −1e−13 in cells that are empty, whose root is no number
        return np.asarray(np.maximum(out, 0.0, out=out))


def _near_the_best(span: _Span, metric: OfConfusion, sign: float) -> _Span:
    """Return the rows within two quantiles of the best of 256, without sorting the others."""
    sample = np.sort(span.r[:: len(span.r) // _SORTED + 1])
    most = min(_EDGES, max(_FEWEST_CUTS, _MOST_CELLS // span.base.size))
    edges = np.unique(sample[np.linspace(0, len(sample) - 1, most).astype(np.intp)])
    place = np.searchsorted(edges, span.r)  # a row at an edge belongs below it
    best = int(np.argmax(_values(span.matrices(place, len(edges) + 1), metric, sign)))
    low, high = max(best - 2, 0), min(best + 2, len(edges))
    beyond = span.r[place > high]
    below = float(edges[low - 1]) if low else -np.inf
    inside = (place >= low) & (place <= high)
    return span.above(place < low).only(inside, below, float(beyond.min()) if len(beyond) else np.inf)


def _best_cut(span: _Span, metric: OfConfusion, sign: float) -> tuple[float, float]:
    span = span.only(np.argsort(span.r), span.below, span.beyond)
    bounds = np.concatenate([[span.below], span.r, [span.beyond]])
    # after how many rows there is room for a cut
    cuts = np.flatnonzero(np.diff(bounds) > _APART)
    if not len(cuts):
        return 0.0, -np.inf
    values = _by_row(span, cuts, metric, sign)
    if values is None and len(cuts) > max(_FEWEST_CUTS, _CELLS // span.base.size):
        most = max(_FEWEST_CUTS, int(np.sqrt(len(cuts))))
        some = np.linspace(0, len(cuts) - 1, most).astype(np.intp)
        best = np.argsort(_at(span, cuts[some], metric, sign), kind="stable")[-_BRACKETS:]
        near = np.zeros(len(cuts), bool)
        near[some] = True
        for i in best:
            first, last = some[max(i - 1, 0)], some[min(i + 1, most - 1)]
            near[first : last + 1 : (last - first) // most + 1] = True
        cuts = cuts[near]
    values = _at(span, cuts, metric, sign) if values is None else values
    if not (values > -np.inf).any():
        return 0.0, -np.inf
    best_cut = middle_best(values, True)
    return _between(float(bounds[cuts[best_cut]]), float(bounds[cuts[best_cut] + 1])), float(values[best_cut])


def _by_row(span: _Span, cuts: NDArray[np.intp], metric: OfConfusion, sign: float) -> Floats | None:
    """Return sign · metric after `cuts` rows where each row adds its own part: for balanced accuracy.

    A row of class i that is labelled so adds 1 / (C n_i), whatever the others are; a running sum is then all that it
    takes, instead of a matrix at each cut.
    """
    totals = span.base.sum(1)
    if metric is not balanced_accuracy or not (totals > 0).all():
        return None
    n_classes = len(totals)
    part = 1.0 / (n_classes * totals)
    truth, instead = np.divmod(span.cell, n_classes)
    gain = part[truth] * (np.where(truth == span.k, 1.0, 0.0) - np.where(truth == instead, 1.0, 0.0))
    gain = gain if span.weight is None else gain * span.weight
    after = np.concatenate([[0.0], np.cumsum(gain)])
    return np.asarray(sign * (float(metric(span.base[None])[0]) + after[cuts]))


def _at(span: _Span, cuts: NDArray[np.intp], metric: OfConfusion, sign: float) -> Floats:
    """Return sign · metric after the first `cuts` of the sorted rows were labelled k."""
    # rows before the first cut have moved at all of them: block 0 is theirs, and a matrix before it is left out
    block = np.repeat(np.arange(len(cuts) + 1), np.diff(cuts, prepend=0, append=len(span.r)))
    return _values(span.matrices(block, len(cuts) + 1)[1:], metric, sign)


def _between(last: float, following: float) -> float:
    """Return a log weight halfway; beyond the outermost row one half of the logarithm, a factor of 1.6."""
    if np.isinf(last):
        return 0.0 if np.isinf(following) else following - 0.5
    return last + 0.5 if np.isinf(following) else (last + following) / 2.0


def _best_classes(log_p: Floats, log_w: Floats, classes: Sequence[int]) -> tuple[NDArray[np.int64], Floats]:
    """Return the best of these classes for each row, the first of equal ones, and its score.

    Class by class over all rows: the same table row by row takes several times as long.
    """
    score = log_p[classes[0]] + log_w[classes[0]]
    best = np.full(len(score), classes[0], np.int64)
    for j in classes[1:]:
        other = log_p[j] + log_w[j]
        best[other > score] = j
        np.maximum(score, other, out=score)
    return best, score


def ascend(
    scored: Scored, log_w: Floats, metric: OfConfusion, sign: float, classes: Any = None, sweeps: int = _SWEEPS
) -> tuple[Floats, float]:
    """Improve one weight after the other until none does; return the log weights and sign · metric.

    Parameters
    ----------
    scored : Scored
    log_w : ndarray of shape (C,)
        Where to start.
    metric, sign
        As for `best_step`.
    classes : sequence of int, optional
        The classes whose weight may change; default all.
    sweeps : int
        Rounds over the classes at most. Default 8.
    """
    log_w = log_w.copy()
    value = sign * float(metric(scored.confusion(log_w)[None])[0])
    value = -np.inf if np.isnan(value) else value
    classes = list(range(scored.n_classes) if classes is None else classes)
    unchanged = 0
    for _ in range(sweeps):
        for k in classes:
            found, reached = best_step(scored, log_w, k, metric, sign)
            if reached > value + 1e-12:
                log_w[k], value, unchanged = found, reached, 0
            else:
                unchanged += 1
            if unchanged >= len(classes):
                return log_w - log_w.max(), value
    return log_w - log_w.max(), value
