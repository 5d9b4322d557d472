"""What a rule is worth on rows that it was not fitted on, beside the plain arg max, with intervals."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from steelyard.decisions.binomial import wilson
from steelyard.decisions.thresholds import OfConfusion
from steelyard.metrics.confusion import confusion_matrix

__all__ = ["Comparison", "Interval", "assess", "cross_fitted", "folds_of", "interval_of"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_FOLDS = 5
_DRAWS = 1000
_CELLS = 4_000_000  # numbers that resampled confusion matrices hold at a time: 32 MB
# with more classes a rule is fitted again on at most this many rows per fold; all others are labelled all the same
_ROWS_PER_FIT = 20_000


@dataclass(frozen=True, eq=False)
class Interval:
    """A value with its interval; NaN where it is undefined.

    Examples
    --------
    >>> print(Interval(0.81, 0.78, 0.84))
    0.810 (0.780 to 0.840)
    """

    mean: float
    low: float
    high: float

    def __eq__(self, other: object) -> bool:
        # undefined equals undefined: a rule read from its file is the rule that was written
        return isinstance(other, Interval) and repr(self) == repr(other)

    def __hash__(self) -> int:
        return hash(repr(self))

    def __str__(self) -> str:
        if not math.isfinite(self.mean):
            return "undefined"
        return f"{self.mean:.3f} ({self.low:.3f} to {self.high:.3f})"


@dataclass(frozen=True)
class Comparison:
    """One number about the plain arg max (with labels of their own: about 0.5), and about the rule.

    Attributes
    ----------
    name : str
        The metric; "recall" or "precision".
    label : int or None
        Index of the class that it is about.
    before, after : Interval
    gain : Interval
        after − before on the same rows.
    """

    name: str
    label: int | None
    before: Interval
    after: Interval
    gain: Interval


def folds_of(y: Ints, random_state: int) -> Ints | None:
    """Deal the rows of each class out to at most 5 folds; None where a class has a single row."""
    rarest = int(np.bincount(y).min())
    if rarest < 2:
        return None
    n_folds = min(_FOLDS, rarest)
    rng = np.random.default_rng([random_state, 1])
    fold = np.empty(len(y), np.int64)
    for k in range(int(y.max()) + 1):
        rows = np.flatnonzero(y == k)
        fold[rng.permutation(rows)] = (np.arange(len(rows)) + k) % n_folds
    return fold


def cross_fitted(
    p: Floats, y: Ints, fit: Callable[[NDArray[np.intp]], Callable[[Floats], Ints]], random_state: int
) -> Ints | None:
    """Return a label for each row by a rule that was fitted on the other folds; None where no folds can be made.

    For two classes each fit sees all rows of the other folds; for more at most 20,000 of them, as many of each class
    as its share.
    """
    fold = folds_of(y, random_state)
    if fold is None:
        return None
    labels = np.empty(len(y), np.int64)
    rng = np.random.default_rng([random_state, 2])
    for f in range(int(fold.max()) + 1):
        rows = np.flatnonzero(fold != f)
        if p.shape[1] > 2 and len(rows) > _ROWS_PER_FIT:
            rows = _stratified(y, rows, _ROWS_PER_FIT, rng)
        held_out = fold == f
        labels[held_out] = fit(rows)(p[held_out])
    return labels


def _stratified(y: Ints, rows: NDArray[np.intp], most: int, rng: np.random.Generator) -> NDArray[np.intp]:
    share = most / len(rows)
    kept = []
    for k in np.unique(y[rows]):
        own = rows[y[rows] == k]
        # two rows at least, and never more than there are
        kept.append(rng.permutation(own)[: max(min(2, len(own)), round(share * len(own)))])
    return np.sort(np.concatenate(kept))


def interval_of(value: float, draws: Floats, confidence: float) -> Interval:
    """Return a value with the quantiles of its draws; undefined draws are left out."""
    draws = draws[np.isfinite(draws)]
    if not math.isfinite(value) or not len(draws):
        return Interval(math.nan, math.nan, math.nan)
    low, high = np.quantile(draws, [0.5 - confidence / 2.0, 0.5 + confidence / 2.0])
    return Interval(float(value), float(low), float(high))


def assess(
    y: Ints,
    before: Ints,
    after: Ints,
    n_classes: int,
    name: str,
    metric: OfConfusion,
    confidence: float,
    sample_weight: Floats | None = None,
    random_state: int = 0,
) -> tuple[tuple[Comparison, ...], Floats, Floats]:
    """Compare two labellings of the same rows.

    Parameters
    ----------
    y, before, after : int ndarray of shape (n,)
    n_classes : int
    name : str
    metric : callable
        Confusion matrices (m, C, C) → (m,).
    confidence : float
        Of every interval.
    sample_weight : ndarray of shape (n,), optional
    random_state : int

    Returns
    -------
    comparisons : tuple of Comparison
        The metric, then recall and precision of each class.
    confusion_before, confusion_after : ndarray of shape (C, C)

    Notes
    -----
    The metric's interval is a bootstrap over the rows, 1,000 times, stratified by the true class. Rows of a class with
    the same two labels are alike, so that only their number is drawn: it costs the same for a thousand rows as for a
    million. Rows of unequal weight count as (Σw)² / Σw² rows of the class (Kish's effective number). Intervals of
    recall and precision are Wilson's, which stay honest where every row is found. None of them holds what the scores
    would be if the model were trained on other rows.
    """
    one, two = (confusion_matrix(y, labels, n_classes, sample_weight) for labels in (before, after))
    values = float(metric(one[None])[0]), float(metric(two[None])[0])
    drawn = [
        (np.asarray(metric(a), np.float64), np.asarray(metric(b), np.float64))
        for a, b in _resampled(y, before, after, n_classes, sample_weight, random_state)
    ]
    draws = [np.concatenate(part) for part in zip(*drawn, strict=True)]
    first = Comparison(
        name,
        None,
        interval_of(values[0], draws[0], confidence),
        interval_of(values[1], draws[1], confidence),
        interval_of(values[1] - values[0], draws[1] - draws[0], confidence),
    )
    effective = _effective(y, n_classes, sample_weight)
    shrink = float(effective.sum() / max(one.sum(), 1e-300))
    rest = []
    for k in range(n_classes):
        own = float(effective[k] / max(one[k].sum(), 1e-300))
        rest.append(_about("recall", k, one, two, 1, own, confidence))
        rest.append(_about("precision", k, one, two, 0, shrink, confidence))
    return (first, *rest), one, two


def _about(what: str, k: int, one: Floats, two: Floats, axis: int, per_weight: float, confidence: float) -> Comparison:
    a, b = (_share(float(cm[k, k]), float(cm.sum(axis)[k]), per_weight, confidence) for cm in (one, two))
    return Comparison(what, k, a, b, Interval(b.mean - a.mean, math.nan, math.nan))


def _share(hits: float, rows: float, per_weight: float, confidence: float) -> Interval:
    if rows <= 0:
        return Interval(math.nan, math.nan, math.nan)
    return Interval(float(hits / rows), *wilson(hits * per_weight, rows * per_weight, confidence))


def _effective(y: Ints, n_classes: int, weight: Floats | None) -> Floats:
    """Return how many rows of equal weight those of each class are worth."""
    if weight is None:
        return np.bincount(y, minlength=n_classes).astype(np.float64)
    total = np.bincount(y, weights=weight, minlength=n_classes)
    square = np.bincount(y, weights=weight**2, minlength=n_classes)
    return np.asarray(np.divide(total**2, square, out=np.zeros(n_classes), where=square > 0))


def _resampled(
    y: Ints, before: Ints, after: Ints, n_classes: int, weight: Floats | None, random_state: int
) -> Iterator[tuple[Floats, Floats]]:
    """Yield resampled confusion matrices of both labellings, some at a time."""
    rng = np.random.default_rng([random_state, 3])
    cell, inverse = np.unique((y * n_classes + before) * n_classes + after, return_inverse=True)
    mass = np.bincount(inverse, weights=weight, minlength=len(cell)).astype(np.float64)
    truth, rest = np.divmod(cell, n_classes**2)
    a, b = np.divmod(rest, n_classes)
    effective = _effective(y, n_classes, weight)
    step = max(1, min(_DRAWS, _CELLS // n_classes**2))
    for start in range(0, _DRAWS, step):
        size = min(step, _DRAWS - start)
        one, two = np.zeros((size, n_classes, n_classes)), np.zeros((size, n_classes, n_classes))
        for k in range(n_classes):
            own = np.flatnonzero(truth == k)
            total = mass[own].sum()
            rows = max(round(float(effective[k])), 1)
            if not len(own) or total <= 0:
                continue
            counts = rng.multinomial(rows, mass[own] / total, size=size) * (total / rows)
            for i, j in enumerate(own):
                one[:, k, a[j]] += counts[:, i]
                two[:, k, b[j]] += counts[:, i]
        yield one, two
