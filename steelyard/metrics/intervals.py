"""How sure a mean over folds is: corrected intervals, Holm's adjustment, and a verdict in words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = [
    "Estimate",
    "Verdict",
    "corrected_resampled_t",
    "holm",
    "smallest_detectable",
    "standard_error",
    "verdict",
]

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


def standard_error(values: ArrayLike, test_to_train: float) -> float:
    r"""Return the standard error of a mean over folds, corrected for the overlap of their training sets.

    .. math:: \sqrt{\left(\frac1J + \frac{n_{test}}{n_{train}}\right) s^2}

    See `corrected_resampled_t`, which has the parameters and the source. NaN with fewer than two values.

    Examples
    --------
    >>> round(standard_error([0.1, 0.2, 0.3, 0.2, 0.2], test_to_train=0.25), 4)
    0.0474
    """
    x: NDArray[np.float64] = np.asarray(values, np.float64)
    x = x[np.isfinite(x)]
    return float(np.sqrt((1.0 / len(x) + test_to_train) * x.var(ddof=1))) if len(x) > 1 else float("nan")


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
    error = standard_error(x, test_to_train)
    # scores that agree to the last bits differ only by rounding: 1e-12 is far below any difference of
    # interest
    if error <= 1e-12 * max(1.0, float(np.abs(x).max())):
        return Estimate(mean, mean, mean, 1.0 if abs(mean) <= 1e-12 else 0.0, n)
    from scipy.stats import t  # on demand: it takes longer to import than everything here takes to run

    half = float(t.ppf(0.5 + confidence / 2.0, n - 1)) * error
    return Estimate(mean, mean - half, mean + half, float(2.0 * t.sf(abs(mean) / error, n - 1)), n)


def smallest_detectable(differences: ArrayLike, test_to_train: float, alpha: float = 0.05, power: float = 0.8) -> float:
    r"""Return the smallest true difference that a test at level `alpha` finds with probability `power`.

    .. math:: \delta = \lambda \cdot SE, \qquad P\bigl(T'_{J-1}(\lambda) > t_{J-1,\,1-\alpha/2}\bigr) = power

    with the corrected standard error of the differences observed and T′ Student's noncentral t. It says what these data
    could show, whatever they did show; a difference smaller than that may exist and not be found.

    Parameters
    ----------
    differences : array-like of shape (J,)
        Of two strategies on the same folds. NaN folds are left out.
    test_to_train : float
        As for `corrected_resampled_t`.
    alpha : float
        Of a two-sided test; the adjusted level where several questions are asked. Default 0.05.
    power : float
        Default 0.8.

    Returns
    -------
    float
        In units of the metric, positive. NaN with fewer than two folds, and where the two never differ.

    References
    ----------
    Cohen, "Statistical Power Analysis for the Behavioral Sciences", 2nd edition, 1988, section 2.2 (the t test by the
    noncentral t); Bloom, "Minimum detectable effects", Evaluation Review 19, 1995, for its use. The standard error is
    that of Nadeau and Bengio (`corrected_resampled_t`).

    Examples
    --------
    >>> round(smallest_detectable([0.1, 0.2, 0.3, 0.2, 0.2], test_to_train=0.25), 3)
    0.178
    """
    x: NDArray[np.float64] = np.asarray(differences, np.float64)
    x = x[np.isfinite(x)]
    error = standard_error(x, test_to_train)
    if not error > 1e-12 * max(1.0, float(np.abs(x).max(initial=0.0))):
        return float("nan")
    from scipy.optimize import brentq
    from scipy.stats import nct, t

    df = len(x) - 1
    critical = float(t.ppf(1.0 - alpha / 2.0, df))

    def lacking(noncentrality: float) -> float:
        return float(nct.sf(critical, df, noncentrality)) - power

    # at λ = 0 the power is α / 2; with few folds the quantile of s is small, and λ a multiple of the critical value
    highest = critical + 3.0
    while lacking(highest) < 0.0:
        highest *= 2.0
    return float(brentq(lacking, 0.0, highest)) * error


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
