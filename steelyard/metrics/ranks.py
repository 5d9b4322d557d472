"""Many data sets: ranks of methods, their critical difference, and differences from a baseline set by set."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["AcrossSets", "Ranks", "across_sets", "rank_methods"]

Floats = NDArray[np.float64]

_FEWEST_SETS = 2
_DRAWS = 2000


@dataclass(frozen=True)
class Ranks:
    """How methods rank over data sets, 1 being the best.

    Attributes
    ----------
    mean, low, high : float64 ndarray of shape (k,)
        Mean rank of each method, with the percentile interval of a bootstrap over data sets.
    p_value : float
        Of "all methods are equal": Friedman's test with the correction of Iman and Davenport. NaN where undefined.
    critical_difference : float
        Mean ranks that differ by more are different at level α for all pairs at once (Nemenyi). NaN where undefined.
    n_sets : int
    """

    mean: Floats
    low: Floats
    high: Floats
    p_value: float
    critical_difference: float
    n_sets: int


def rank_methods(
    values: ArrayLike, greater_is_better: bool = True, alpha: float = 0.05, seed: int = 0, draws: int = _DRAWS
) -> Ranks:
    r"""Rank methods on every data set and say which mean ranks differ.

    .. math::
        \chi^2_F = \frac{12 N}{k (k + 1)} \Big[ \sum_j R_j^2 - \frac{k (k + 1)^2}{4} \Big] \text{ (corrected for ties)},
        \quad F = \frac{(N - 1) \chi^2_F}{N (k - 1) - \chi^2_F}, \quad
        CD = \frac{q_{α, k}}{\sqrt 2} \sqrt{\frac{k (k + 1)}{6 N}}

    with N data sets, k methods, mean ranks R_j, and q the studentised range for infinitely many degrees of freedom.

    Parameters
    ----------
    values : array-like of shape (N, k)
        One mean score per data set and method. Equal scores share their mean rank; every entry is finite.
    greater_is_better : bool
        Whether the largest value has rank 1. Default True.
    alpha : float
        Level of the critical difference; the intervals have 1 − α. Default 0.05.
    seed, draws : int
        Of the bootstrap over data sets. Default 0 and 2,000.

    Returns
    -------
    Ranks

    References
    ----------
    Demšar, "Statistical comparisons of classifiers over multiple data sets", JMLR 7, 2006, section 3.2.2;
    Iman and Davenport, Communications in Statistics 9, 1980. Mean ranks depend on which other methods are in the
    comparison (Benavoli, Corani and Mangili, JMLR 17, 2016): differences from one baseline are judged by `across_sets`.

    Examples
    --------
    >>> found = rank_methods([[0.9, 0.8, 0.7], [0.8, 0.7, 0.6], [0.9, 0.8, 0.5], [0.7, 0.6, 0.5]])
    >>> found.mean.tolist(), round(found.critical_difference, 2)
    ([1.0, 2.0, 3.0], 1.66)
    """
    from scipy.stats import f, rankdata, studentized_range

    scores = np.asarray(values, np.float64)
    n, k = scores.shape
    ranks = rankdata(-scores if greater_is_better else scores, axis=1) if n else np.empty((0, k))
    mean = ranks.mean(0) if n else np.full(k, np.nan)
    if n < _FEWEST_SETS or k < 2:
        nothing = np.full(k, np.nan)
        return Ranks(mean, nothing, nothing, float("nan"), float("nan"), n)
    generator = np.random.default_rng(seed)
    drawn = ranks[generator.integers(0, n, (draws, n))].mean(1)
    low, high = np.quantile(drawn, [alpha / 2.0, 1.0 - alpha / 2.0], axis=0)
    # Friedman's statistic with ties: the variance of the ranks themselves is what it is divided by
    between = n * float(((mean - (k + 1) / 2.0) ** 2).sum())
    within = float(((ranks - (k + 1) / 2.0) ** 2).sum()) / (n * (k - 1))
    p = float("nan")
    if within > 0.0:
        chi = between / within
        rest = n * (k - 1) - chi
        p = float(f.sf((n - 1) * chi / rest, k - 1, (k - 1) * (n - 1))) if rest > 1e-9 * n * k else 0.0
    q = float(studentized_range.ppf(1.0 - alpha, k, np.inf)) / np.sqrt(2.0)
    return Ranks(mean, low, high, p, float(q * np.sqrt(k * (k + 1) / (6.0 * n))), n)


@dataclass(frozen=True)
class AcrossSets:
    """A difference between two methods, over data sets.

    Attributes
    ----------
    mean, low, high : float
        Mean difference with its Student interval over data sets; NaN with fewer than two.
    p_value : float
        Two-sided, of the signed-rank test; NaN where no difference is other than zero.
    n_sets : int
    """

    mean: float
    low: float
    high: float
    p_value: float
    n_sets: int


def across_sets(differences: ArrayLike, confidence: float = 0.95) -> AcrossSets:
    """Say whether differences from a baseline, one per data set, are different from zero.

    Parameters
    ----------
    differences : array-like of shape (N,)
        Method less baseline. NaN entries are left out. Differences below 1e-12 are ties, which Pratt's rule keeps in
        the ranking.
    confidence : float
        Of the interval of the mean. Default 0.95.

    Returns
    -------
    AcrossSets

    References
    ----------
    Wilcoxon, Biometrics Bulletin 1, 1945; Demšar, JMLR 7, 2006, section 3.1.3; Pratt, JASA 54, 1959.

    Examples
    --------
    >>> found = across_sets([0.01, 0.03, 0.02, 0.05, 0.04, 0.021])
    >>> round(found.mean, 4), round(found.p_value, 3)
    (0.0285, 0.031)
    """
    from scipy.stats import t, wilcoxon

    x = np.asarray(differences, np.float64)
    x = x[np.isfinite(x)]
    n = len(x)
    if n == 0:
        return AcrossSets(float("nan"), float("nan"), float("nan"), float("nan"), 0)
    x = np.where(np.abs(x) <= 1e-12, 0.0, x)
    mean = float(x.mean())
    if n < _FEWEST_SETS:
        return AcrossSets(mean, float("nan"), float("nan"), float("nan"), n)
    half = float(t.ppf(0.5 + confidence / 2.0, n - 1) * x.std(ddof=1) / np.sqrt(n))
    p = float("nan")
    if x.any():
        # the exact distribution assumes that no two are tied
        exact = n <= 50 and x.all() and len(np.unique(np.abs(x))) == n
        p = float(wilcoxon(x, zero_method="pratt", method="exact" if exact else "asymptotic").pvalue)
    return AcrossSets(mean, mean - half, mean + half, p, n)
