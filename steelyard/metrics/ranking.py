"""Ranking metrics: how well a score orders the rows, whatever threshold is used later.

All of them read one curve: true and false positives after each distinct score, from the highest down. The
order is found once (`Ranking`) and reused for other weights, so that a bootstrap sorts each column of
scores once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "Curve",
    "Ranking",
    "average_precision",
    "average_precision_by_chance",
    "precision_at_recall",
    "recall_at_precision",
    "roc_auc",
]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Curve:
    """Weight of the positives and of the negatives at or above each distinct score.

    Attributes
    ----------
    true_positives, false_positives : float64 ndarray of shape (m,)
        Cumulative, from the highest score to the lowest; the last entries are the totals.
    """

    true_positives: Floats
    false_positives: Floats

    @property
    def defined(self) -> bool:
        """Whether there is something to find and something to leave."""
        return bool(self.true_positives.size and self.true_positives[-1] > 0 and self.false_positives[-1] > 0)

    @property
    def precision(self) -> Floats:
        """TP / (TP + FP) at each cut; cuts that hold no weight count 0 and add no recall."""
        flagged = self.true_positives + self.false_positives
        return np.divide(self.true_positives, flagged, out=np.zeros_like(flagged), where=flagged > 0)

    @property
    def recall(self) -> Floats:
        """TP / all positives at each cut."""
        return np.asarray(self.true_positives / self.true_positives[-1])


@dataclass(frozen=True)
class Ranking:
    """The order of the rows by score, highest first, with the end of every group of equal scores."""

    order: NDArray[np.intp]
    ends: NDArray[np.intp]

    @classmethod
    def of(cls, scores: NDArray[Any]) -> Ranking:
        """Sort once."""
        order = np.argsort(-scores, kind="stable")
        ranked = scores[order]
        return cls(order, np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True)))

    def curve(self, is_positive: NDArray[np.bool_], sample_weight: NDArray[Any] | None = None) -> Curve:
        """Accumulate truth and weights along the order; rows with equal scores enter together."""
        hit = is_positive[self.order]
        return _Counting(self.order, self.ends, self.order[hit], np.cumsum(hit, dtype=np.int64)[self.ends])(
            sample_weight
        )

    def where_found(self, is_positive: NDArray[np.bool_]) -> Callable[[NDArray[Any] | None], Curve]:
        """Return the curve as a function of row weights, with no cuts but those before and after each positive row.

        Precision is best right after a positive row, and true positives do not change between two of them: every
        metric here has the value that it has on the whole curve, from a few cuts instead of one per row.
        """
        hit = is_positive[self.order]
        found = np.cumsum(hit)[self.ends]
        after = np.diff(found, prepend=0) > 0
        kept = after | np.append(after[1:], True)
        return _Counting(self.order, self.ends[kept], self.order[hit], found[kept])


@dataclass(frozen=True)
class _Counting:
    """Row weights → curve; what does not depend on the weights is done."""

    order: NDArray[np.intp]
    ends: NDArray[np.intp]
    positive: NDArray[np.intp]  # the positive rows, highest score first
    found: NDArray[np.intp]  # how many of them there are at each end

    def __call__(self, sample_weight: NDArray[Any] | None) -> Curve:
        if sample_weight is None:
            flagged, found = self.ends + 1.0, self.found.astype(np.float64)
        else:
            weight = np.asarray(sample_weight, np.float64)
            flagged = weight[self.order].cumsum()[self.ends]
            found = np.concatenate([[0.0], weight[self.positive].cumsum()])[self.found]
        return Curve(found, np.maximum(flagged - found, 0.0))


def average_precision(curve: Curve) -> float:
    r"""Average precision :math:`\sum_i (R_i - R_{i-1}) P_i`, not interpolated."""
    if not curve.defined:
        return float("nan")
    # a bootstrap calls this thousands of times: np.diff with a first value, and np.sum, cost more than the arithmetic
    gained = curve.true_positives.copy()
    gained[1:] -= curve.true_positives[:-1]
    return float(gained @ curve.precision / curve.true_positives[-1])


def average_precision_by_chance(positives: float, rows: int) -> float:
    r"""Return the mean average precision of rows in a random order, which is above the share of the positives.

    .. math:: \frac{1}{N} \Big(H_N + \frac{R - 1}{N - 1} (N - H_N)\Big), \qquad H_N = \sum_{k=1}^N \frac{1}{k}

    with R positives in N rows: the positive row at place k has itself above the cut, for certain, and every other
    row is positive with probability (R − 1) / (N − 1).

    Parameters
    ----------
    positives : float
        At least 1; what a test fold has on average may be a fraction.
    rows : int
        At least 1. Rows that are scored together.

    Returns
    -------
    float
        Between positives / rows and 1.

    References
    ----------
    Y. Bestgen, "Exact expected average precision of the random baseline for system evaluation", The Prague Bulletin of
    Mathematical Linguistics 103 (2015).

    Examples
    --------
    >>> average_precision_by_chance(1, 2)  # first or second: (1 + 1/2) / 2
    0.75
    >>> [round(average_precision_by_chance(0.15 * rows, rows), 3) for rows in (80, 800, 80_000)]
    [0.193, 0.157, 0.15]
    """
    if rows == 1:
        return 1.0
    harmonic = float(np.sum(1.0 / np.arange(1, rows + 1)))
    return (harmonic + (positives - 1.0) / (rows - 1.0) * (rows - harmonic)) / rows


def roc_auc(curve: Curve) -> float:
    """Probability that a positive row scores above a negative one, ties counting half; chance is 0.5."""
    if not curve.defined:
        return float("nan")
    tpr = np.concatenate([[0.0], curve.recall])
    fpr = np.concatenate([[0.0], curve.false_positives / curve.false_positives[-1]])
    return float(np.sum(np.diff(fpr) * (tpr[1:] + tpr[:-1]) / 2.0))


def precision_at_recall(curve: Curve, recall: float) -> float:
    """Best precision over all thresholds that find at least `recall` of the positives.

    The threshold is the best one in hindsight for the rows scored, as in torchmetrics' and Keras' metrics
    of this kind; a rule for new rows has to be fitted on other rows.
    """
    if not curve.defined:
        return float("nan")
    # 1e-12: a recall of exactly 0.9 must satisfy ">= 0.9" after its division was rounded
    return float(np.max(curve.precision[curve.recall >= recall - 1e-12]))


def recall_at_precision(curve: Curve, precision: float) -> float:
    """Best recall over all thresholds with at least `precision`; 0 when no threshold reaches it."""
    if not curve.defined:
        return float("nan")
    return float(np.max(curve.recall[curve.precision >= precision - 1e-12], initial=0.0))
