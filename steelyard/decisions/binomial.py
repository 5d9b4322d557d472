"""Exact binomial arguments: what a count of rows proves about the share behind it."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from steelyard.errors import InputError

__all__ = [
    "checked_confidence",
    "largest_confidence",
    "lower_bound",
    "misses_among_new",
    "most_misses",
    "rows_needed",
    "wilson",
]

Floats = NDArray[np.float64]


def checked_confidence(confidence: float | None) -> float | None:
    """Return a confidence in (0, 1), or None."""
    if confidence is None:
        return None
    if isinstance(confidence, bool) or not isinstance(confidence, (int, float)) or not 0.0 < confidence < 1.0:
        raise InputError("`confidence` in (0, 1), or None", repr(confidence), "0.9 holds for nine of ten tables.")
    return float(confidence)


def _at_most(n: int, share: float) -> tuple[int, Floats]:
    """Return m0 and P(Bin(n, share) ≤ m) for m = m0, m0 + 1, ...: 0 below m0, 1 beyond the last.

    Only 12 standard deviations around the mean are written out (what is left out has a mass below 1e-30), so that a
    million rows cost as little as ten thousand.
    """
    if share <= 0.0:
        return 0, np.ones(1)
    if share >= 1.0:
        return n, np.ones(1)
    reach = 12.0 * math.sqrt(n * share * (1.0 - share)) + 40.0
    low, high = max(0, math.floor(n * share - reach)), min(n, math.ceil(n * share + reach))
    first = math.lgamma(n + 1) - math.lgamma(low + 1) - math.lgamma(n - low + 1)
    first += low * math.log(share) + (n - low) * math.log1p(-share)
    m = np.arange(low + 1, high + 1)
    steps = np.log((n - m + 1) / m) + math.log(share) - math.log1p(-share)
    terms = np.exp(first + np.concatenate([[0.0], steps.cumsum()]))
    return low, np.asarray(np.minimum(terms.cumsum(), 1.0))


def _probability_of_at_most(m: int, n: int, share: float) -> float:
    low, cumulative = _at_most(n, share)
    return 0.0 if m < low else float(cumulative[min(m - low, len(cumulative) - 1)])


def most_misses(n: int, share: float, confidence: float | None) -> int:
    r"""Return how many of n rows may be misses when the share of misses is to stay at or below `share`.

    .. math:: m^* = \max\{m : P(\mathrm{Bin}(n, \mathrm{share}) \le m) \le 1 - \mathrm{confidence}\}

    With more misses than that, a share above the limit could not be ruled out with this confidence. For a threshold
    on scores the statement holds for all thresholds at once, at which at most m* rows are missed: misses only become
    fewer as the threshold falls. It is the Clopper–Pearson bound, and the order statistic of a tolerance limit.

    Parameters
    ----------
    n : int
        Rows of the class that must not be missed.
    share : float
        Largest share of misses allowed, in [0, 1].
    confidence : float or None
        None: on average only, ⌊n · share⌋.

    Returns
    -------
    int
        −1 if even no miss at all among n rows proves too little.

    References
    ----------
    Clopper and Pearson, Biometrika 26, 1934, doi:10.1093/biomet/26.4.404; Wilks, "Determination of sample sizes for
    setting tolerance limits", Annals of Mathematical Statistics 12, 1941, doi:10.1214/aoms/1177731788.

    Examples
    --------
    >>> [most_misses(n, 0.05, 0.9) for n in (44, 45, 100)], most_misses(100, 0.05, None)
    ([-1, 0, 1], 5)
    """
    if confidence is None:
        return int(np.floor(n * share + 1e-9))
    low, cumulative = _at_most(n, share)
    # 1e-12: rounding in the sum must not cost a row
    return low + int(np.searchsorted(cumulative, 1.0 - confidence + 1e-12, side="right")) - 1


def rows_needed(share: float, confidence: float) -> int:
    """Return how many rows without a miss prove that the share of misses is at most `share`.

    Examples
    --------
    >>> rows_needed(0.05, 0.9)
    45
    """
    return int(np.ceil(np.log1p(-confidence) / np.log1p(-share) - 1e-12))


def largest_confidence(n: int, share: float) -> float:
    """Return the confidence that n rows without a miss give to "the share of misses is at most `share`".

    Examples
    --------
    >>> round(largest_confidence(20, 0.05), 2)
    0.64
    """
    return float(-np.expm1(n * np.log1p(-share)))


def lower_bound(hits: int, n: int, confidence: float) -> float:
    """Return the one-sided Clopper–Pearson lower bound of the share of hits.

    Examples
    --------
    >>> round(lower_bound(45, 45, 0.9), 3), lower_bound(0, 10, 0.9)
    (0.95, 0.0)
    """
    if hits <= 0:
        return 0.0
    low, high = 0.0, hits / n
    for _ in range(60):
        middle = (low + high) / 2.0
        # P(Bin(n, p) ≥ hits) ≤ 1 − confidence: such a share would give so many hits too rarely
        if 1.0 - _probability_of_at_most(hits - 1, n, middle) <= 1.0 - confidence:
            low = middle
        else:
            high = middle
    return low


def misses_among_new(n: int, misses: int, new: int, confidence: float) -> tuple[int, int]:
    r"""Return between which numbers of misses a new sample will show, when a threshold misses `misses` of n rows.

    The threshold is the (misses + 1)-th smallest of n scores, so that the share of misses behind it has the
    distribution Beta(misses + 1, n − misses), whatever that of the scores is; the misses among new rows are then
    beta-binomial:

    .. math:: P(M = m) = \binom{n'}{m} \frac{B(m + j,\ n' - m + n - j + 1)}{B(j,\ n - j + 1)}, \qquad j = misses + 1

    Parameters
    ----------
    n, misses : int
        Rows of the class that the threshold was fitted on, and those it misses; misses < n.
    new : int
        Rows of the class in the new sample.
    confidence : float
        Of the interval, with equal tails.

    Returns
    -------
    (int, int)

    References
    ----------
    Fligner and Wolfe, "Nonparametric prediction intervals for a future sample median", JASA 74, 1979,
    doi:10.1080/01621459.1979.10482551.

    Examples
    --------
    >>> misses_among_new(100, 1, 100, 0.9)
    (0, 6)
    """
    a, b = misses + 1, n - misses
    m = np.arange(1, new + 1)
    # log of the ratio of neighbouring terms; B(m + a, new − m + b) by its recurrence
    steps = np.log((new - m + 1) / m) + np.log((m - 1 + a) / (new - m + b))
    first = math.lgamma(new + b) - math.lgamma(new + a + b) + math.lgamma(a + b) - math.lgamma(b)
    cumulative = np.exp(first + np.concatenate([[0.0], steps.cumsum()])).cumsum()
    tail = (1.0 - confidence) / 2.0
    low, high = np.searchsorted(cumulative, [tail, 1.0 - tail])
    return int(low), min(int(high), new)


def wilson(hits: float, n: float, confidence: float) -> tuple[float, float]:
    """Return the two-sided Wilson interval of a share; (nan, nan) without rows. Takes fractions of rows (weights).

    References
    ----------
    Brown, Cai and DasGupta, "Interval estimation for a binomial proportion", Statistical Science 16, 2001,
    doi:10.1214/ss/1009213286.

    Examples
    --------
    >>> [round(x, 3) for x in wilson(20, 20, 0.9)]
    [0.881, 1.0]
    """
    if n <= 0:
        return math.nan, math.nan
    z = NormalDist().inv_cdf(0.5 + confidence / 2.0)
    share = min(max(hits / n, 0.0), 1.0)
    middle = (share + z * z / (2.0 * n)) / (1.0 + z * z / n)
    half = z / (1.0 + z * z / n) * math.sqrt(share * (1.0 - share) / n + z * z / (4.0 * n * n))
    return float(max(0.0, middle - half)), float(min(1.0, middle + half))
