"""How sure a mean over folds is: corrected intervals, Holm's adjustment, and a verdict in words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["Estimate", "Verdict", "corrected_resampled_t", "holm", "verdict"]

Verdict = Literal["helps", "harms", "no detectable difference", "baseline"]


@dataclass(frozen=True)
class Estimate:
    """A mean over folds with its interval, and the p-value of "it is zero".

    Attributes
    ----------
    mean, low, high, p_value : float
        NaN where undefined.
    n : int
        Folds that had a value.
    """

    mean: float
    low: float
    high: float
    p_value: float
    n: int


def corrected_resampled_t(values: ArrayLike, test_to_train: float, confidence: float = 0.95) -> Estimate:
    r"""Student interval of a mean over folds, widened for the overlap of their training sets.

    .. math:: \bar x \pm t_{J-1}\, \sqrt{\left(\frac1J + \frac{n_{test}}{n_{train}}\right) s^2}

    Folds share most of their training rows, so their scores are correlated and :math:`s^2/J` is too small;
    repeats would shrink it without end. The second term keeps the interval honest however many repeats are
    run.

    Parameters
    ----------
    values : array-like of shape (J,)
        One score per fold × repeat, or the differences of two strategies on the same folds. NaN folds are
        left out.
    test_to_train : float
        Rows of a test fold divided by rows of its training fold: 1 / (k − 1) for k folds.
    confidence : float
        Default 0.95.

    Returns
    -------
    Estimate
        With the two-sided p-value of "the mean is zero". Identical values have an interval of width zero,
        and p = 1 if they are all zero.

    References
    ----------
    Nadeau and Bengio, "Inference for the generalization error", Machine Learning 52, 2003,
    doi:10.1023/A:1024068626366, section 4.3; Bouckaert and Frank, PAKDD 2004, for repeated cross-validation.

    Examples
    --------
    >>> e = corrected_resampled_t([0.1, 0.2, 0.3, 0.2, 0.2], test_to_train=0.25)
    >>> round(e.mean, 3), round(e.low, 3), round(e.high, 3)
    (0.2, 0.068, 0.332)
    """
    x: NDArray[np.float64] = np.asarray(values, np.float64)
    x = x[np.isfinite(x)]
    n = len(x)
    if n < 2:
        mean = float(x[0]) if n else float("nan")
        return Estimate(mean, float("nan"), float("nan"), float("nan"), n)
    mean = float(x.mean())
    error = float(np.sqrt((1.0 / n + test_to_train) * x.var(ddof=1)))
    # scores that agree to the last bits differ only by rounding: 1e-12 is far below any difference of
    # interest
    if error <= 1e-12 * max(1.0, float(np.abs(x).max())):
        return Estimate(mean, mean, mean, 1.0 if abs(mean) <= 1e-12 else 0.0, n)
    from scipy.stats import t  # on demand: it takes longer to import than everything here takes to run

    half = float(t.ppf(0.5 + confidence / 2.0, n - 1)) * error
    return Estimate(mean, mean - half, mean + half, float(2.0 * t.sf(abs(mean) / error, n - 1)), n)


def holm(p_values: ArrayLike) -> NDArray[np.float64]:
    r"""Adjust p-values for having asked several questions at once (step-down Bonferroni).

    .. math:: \tilde p_{(i)} = \max_{j \le i} \min\{1,\ (m - j + 1)\, p_{(j)}\}

    Parameters
    ----------
    p_values : array-like of shape (m,)
        NaN entries were not tested: they stay NaN and do not count in m.

    Returns
    -------
    float64 ndarray of shape (m,)

    References
    ----------
    Holm, "A simple sequentially rejective multiple test procedure", Scandinavian
    Journal of Statistics 6, 1979.

    Examples
    --------
    >>> holm([0.01, 0.04, 0.03])
    array([0.03, 0.06, 0.06])
    """
    p = np.asarray(p_values, np.float64)
    adjusted = np.full(p.shape, np.nan)
    tested = np.flatnonzero(np.isfinite(p))
    order = tested[np.argsort(p[tested], kind="stable")]
    steps = np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(steps * p[order]), 1.0)
    return adjusted


def verdict(difference: float, p_adjusted: float, greater_is_better: bool = True, alpha: float = 0.05) -> Verdict:
    """Say what a difference from the baseline amounts to.

    Examples
    --------
    >>> verdict(0.04, 0.003), verdict(-0.04, 0.003), verdict(0.04, 0.3)
    ('helps', 'harms', 'no detectable difference')
    """
    if not p_adjusted < alpha or difference == 0.0:  # `not <`: an undefined p detects nothing
        return "no detectable difference"
    return "helps" if (difference > 0) == greater_is_better else "harms"
