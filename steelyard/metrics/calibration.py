r"""Whether stated probabilities come true: Brier's parts, and the line that would recalibrate them.

The expected calibration error (ECE) is not here. With bins of fixed width and few rows it is mostly noise, biased
upwards, and changes with the bins (Kumar, Liang and Ma, NeurIPS 2019, arXiv:1909.10155); `brier_parts`' reliability
without its bias is the classwise calibration error, squared, that they estimate instead.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Binned", "BrierParts", "Recalibration", "brier_parts", "calibration_intercept", "recalibrate"]

Floats = NDArray[np.float64]

_MOST_BINS = 10
_PER_BIN = 2.0  # Σ p (1 − p) of a bin: at least nine rows, and enough of both outcomes to estimate a share of
_STEPS = 50
_TOLERANCE = 1e-6  # of the last step: Newton's error after it is of the size of its square
_FLOOR = float(np.finfo(np.float64).eps)  # of a probability before its logarithm: as in `log_loss`


@dataclass(frozen=True)
class BrierParts:
    """The Brier score of one probability as reliability − resolution + uncertainty.

    Attributes
    ----------
    reliability : float
        How far probabilities are from the shares that came true, squared; 0 is perfect. Estimated without bias, so
        that it may fall a little below 0 by chance.
    resolution : float
        How much the shares differ between groups of rows, squared; more is better.
    uncertainty : float
        Variance of the outcome: what a model reaches that states the share of the class for every row.
    """

    reliability: float
    resolution: float
    uncertainty: float


@dataclass(frozen=True)
class Binned:
    r"""Probabilities in order, to be put into groups without a look at the outcome.

    At most 10 groups of equal uncertainty :math:`\sum p (1 - p)`, each at least 2: groups of equal width, or of equally
    many rows, would put nearly all rows of a rare class in one. Equal probabilities stay together.

    Attributes
    ----------
    p : float64 ndarray of shape (n,)
        Ascending.
    order : int ndarray of shape (n,)
        Where they stood.
    starts : int ndarray of shape (m,)
        The first of each run of equal probabilities.
    """

    p: Floats
    order: NDArray[np.intp]
    starts: NDArray[np.intp]

    @classmethod
    def of(cls, p: Floats) -> Binned:
        """Sort once."""
        order = np.argsort(p, kind="stable")
        ranked = p[order]
        return cls(ranked, order, np.flatnonzero(np.diff(ranked, prepend=np.nan) != 0.0))

    def _sums(self, *values: Floats) -> list[Floats]:
        """Return sums over the groups that have rows; the first of `values` is the weight of each row."""
        if not len(self.p):
            return [np.zeros(0) for _ in values]
        runs: list[Floats] = [np.asarray(np.add.reduceat(v, self.starts), np.float64) for v in values]
        first = runs[0]
        level = self.p[self.starts]
        spread = first * level * (1.0 - level)
        reached = np.cumsum(spread)
        bins = int(np.clip(reached[-1] / _PER_BIN, 1, _MOST_BINS))
        middle = (reached - spread / 2.0) / reached[-1] if reached[-1] > 0.0 else np.zeros(len(level))
        group = np.minimum((middle * bins).astype(np.intp), bins - 1)
        sums: list[Floats] = [np.bincount(group, weights=r, minlength=bins).astype(np.float64) for r in runs]
        return [s[sums[0] > 0.0] for s in sums]

    def parts(self, hit: NDArray[np.bool_], sample_weight: Floats | None = None) -> BrierParts:
        """Return the parts of the Brier score of these outcomes; see `brier_parts`."""
        w = np.ones(len(self.p)) if sample_weight is None else np.asarray(sample_weight, np.float64)[self.order]
        came_true = hit[self.order]
        gap = self.p - came_true
        n, off, square, came = self._sums(w, w * gap, w * gap**2, np.where(came_true, w, 0.0))
        total = float(n.sum())
        if total <= 1.0:
            return BrierParts(float("nan"), float("nan"), float("nan"))
        share, brier = float(came.sum()) / total, float(square.sum()) / total
        # the square of a mean over few rows is on average too large by the variance of that mean
        variance = np.divide(square - off**2 / n, n - 1.0, out=np.zeros_like(n), where=n > 1.0)
        reliability = float(np.sum(off**2 / n - variance)) / total
        uncertainty = share * (1.0 - share) * total / (total - 1.0)
        # the resolution takes what varies inside the groups, so that the sum is exact
        return BrierParts(reliability, reliability + uncertainty - brier, uncertainty)


def brier_parts(p: Floats, hit: NDArray[np.bool_], sample_weight: Floats | None = None) -> BrierParts:
    r"""Split the Brier score of one probability into reliability − resolution + uncertainty, exactly.

    With groups g of :math:`n_g` rows (`Binned`), gaps :math:`d_i = p_i - o_i` between probability and outcome, and the
    overall share :math:`\bar o`,

    .. math:: \text{REL} = \sum_g \frac{n_g}{n} \left( \bar d_g^2 - \frac{s_g^2}{n_g} \right), \qquad
              \text{UNC} = \bar o (1 - \bar o) \frac{n}{n - 1}, \qquad
              \text{RES} = \text{REL} + \text{UNC} - \frac1n \sum_i d_i^2

    :math:`s_g^2` being the variance of the gaps in a group: :math:`\bar d_g^2` alone, Murphy's term, is too large by
    :math:`s_g^2 / n_g` on average. RES is Murphy's :math:`\sum_g \frac{n_g}{n} (\bar o_g - \bar o)^2`, freed of the
    same bias, and what varies inside the groups (the variance of the probabilities, less twice their covariance with
    the outcome): the sum is the Brier score to the last bits whatever the groups.

    Parameters
    ----------
    p : float64 ndarray of shape (n,)
        Stated probabilities.
    hit : bool ndarray of shape (n,)
        Whether it happened.
    sample_weight : float64 ndarray of shape (n,), optional
        How often each row counts.

    Returns
    -------
    BrierParts
        NaN with fewer than two rows.

    References
    ----------
    Murphy, "A new vector partition of the probability score", J. Applied Meteorology 12, 1973, equation 5; the terms
    inside groups: Stephenson, Coelho and Jolliffe, Weather and Forecasting 23, 2008, doi:10.1175/2007WAF2006116.1; the
    bias: Ferro and Fricker, QJRMS 138, 2012, doi:10.1002/qj.1924, of which this is the form for probabilities that
    differ within a group.

    Examples
    --------
    >>> p, hit = np.repeat([0.1, 0.6], 50), np.tile([True, False, False, False, False], 20)
    >>> parts = brier_parts(p, hit)
    >>> round(parts.reliability, 4), round(parts.uncertainty, 4)
    (0.0817, 0.1616)
    >>> round(parts.reliability - parts.resolution + parts.uncertainty, 4), round(float(np.mean((p - hit) ** 2)), 4)
    (0.245, 0.245)
    """
    return Binned.of(p).parts(hit, sample_weight)


@dataclass(frozen=True)
class Recalibration:
    r"""The probabilities that would have come true: :math:`q_k \propto e^{a_k} p_k^b`.

    Attributes
    ----------
    slope : float
        b: below 1 the stated probabilities are too extreme, above 1 too timid. NaN where it is undefined.
    offsets : tuple of float
        a of each class, with a sum of 0: which classes are stated too rarely.
    """

    slope: float
    offsets: tuple[float, ...]

    @property
    def defined(self) -> bool:
        """Whether there are finite numbers."""
        return bool(np.isfinite([self.slope, *self.offsets]).all())

    def __call__(self, proba: Floats) -> Floats:
        """Return recalibrated probabilities of shape (n, C)."""
        z = self.slope * np.log(np.maximum(proba, _FLOOR)) + np.asarray(self.offsets)
        e = np.exp(z - z.max(1, keepdims=True))
        return np.asarray(e / e.sum(1, keepdims=True))


def recalibrate(
    proba: Floats, y: NDArray[Any], sample_weight: Floats | None = None, slope: float | None = None
) -> Recalibration:
    r"""Fit the logistic recalibration of probabilities: one slope, and an offset for each class.

    .. math:: \max_{a, b} \sum_i s_i \log q_{i y_i}, \qquad q_{ik} = \frac{e^{a_k} p_{ik}^b}{\sum_j e^{a_j} p_{ij}^b}

    For two classes it is Cox's :math:`\operatorname{logit} q = a + b \operatorname{logit} p`. With more, one slope for
    all classes is what 5 rows of a rare class can carry; a slope for each would mostly say how many rows they have.

    Parameters
    ----------
    proba : float64 ndarray of shape (n, C)
    y : int ndarray of shape (n,)
        Class indices.
    sample_weight : float64 ndarray of shape (n,), optional
    slope : float, optional
        Keep the slope at this value and fit the offsets alone.

    Returns
    -------
    Recalibration
        NaN where there is no finite maximum: a class without rows, or classes that the probabilities separate.

    Numerics
    --------
    Newton's method on a concave function, from b = 1 and a = 0, with steps halved until the likelihood rises.
    Probabilities below 2.2e-16 count as 2.2e-16, as in `log_loss`. Convergence is judged by the step, not by the
    gradient: for separated classes the gradient dies out while the slope grows without end.

    References
    ----------
    Cox, "Two further applications of a model for binary regression", Biometrika 45, 1958; for several classes with
    slope and offsets: Van Hoorde et al., Statistics in Medicine 33, 2014, doi:10.1002/sim.6114, here with one slope.

    Examples
    --------
    Probabilities of 0.9 that come true in 2 of 3 cases, and of 0.1 in 1 of 3:

    >>> p = np.repeat([0.1, 0.9], 3)
    >>> found = recalibrate(np.column_stack([1 - p, p]), np.array([0, 1, 0, 1, 0, 1]))
    >>> round(found.slope, 4), bool(np.isclose(found.slope, np.log(2) / np.log(9)))
    (0.3155, True)
    """
    n_classes = proba.shape[1]
    w = np.ones(len(y)) if sample_weight is None else np.asarray(sample_weight, np.float64)
    counts = np.bincount(y, weights=w, minlength=n_classes)
    undefined = Recalibration(float("nan"), (float("nan"),) * n_classes)
    if not (counts > 0).all():
        return undefined
    problem = _Problem.of(proba, y, w / counts.sum(), counts / counts.sum())
    theta = np.zeros(n_classes)  # the slope, then the offsets of all classes but the first
    theta[0] = 1.0 if slope is None else slope
    fitted = slice(0 if slope is None else 1, None)
    value, q = problem.likelihood(theta)
    for _ in range(_STEPS):
        gradient, curvature = problem.derivatives(q)
        step = np.zeros(n_classes)
        try:
            step[fitted] = np.linalg.solve(curvature[fitted, fitted], gradient[fitted])
        except np.linalg.LinAlgError:
            return undefined
        if not np.isfinite(step).all():
            return undefined
        factor = 1.0
        while True:
            moved, q = problem.likelihood(theta + factor * step)
            if moved >= value - 1e-14 * abs(value) or factor < 1e-6:
                break
            factor /= 2.0
        theta, value = theta + factor * step, moved
        if np.abs(step).max() < _TOLERANCE * max(1.0, float(np.abs(theta).max())):
            offsets = np.append(0.0, theta[1:])
            return Recalibration(float(theta[0]), tuple((offsets - offsets.mean()).tolist()))
    return undefined


@dataclass(frozen=True)
class _Problem:
    """The likelihood of a slope and offsets, in log ratios to the first class: one column for two classes."""

    ratio: Floats
    weight: Floats
    shares: Floats
    chosen: float  # Σ w · log ratio of the class that the row has

    @classmethod
    def of(cls, proba: Floats, y: NDArray[Any], weight: Floats, shares: Floats) -> _Problem:
        log_p = np.log(np.maximum(proba, _FLOOR))
        ratio = log_p[:, 1:] - log_p[:, :1]
        chosen = log_p[np.arange(len(y)), y] - log_p[:, 0]
        return cls(ratio, weight, shares[1:], float(weight @ chosen))

    def likelihood(self, theta: Floats) -> tuple[float, Floats]:
        """Return the mean log-likelihood, and the recalibrated probabilities of all classes but the first."""
        z = theta[0] * self.ratio + theta[1:]
        top = np.maximum(z.max(1), 0.0)
        e = np.exp(z - top[:, None])
        total = e.sum(1) + np.exp(-top)
        value = theta[0] * self.chosen + theta[1:] @ self.shares - self.weight @ (top + np.log(total))
        return float(value), e / total[:, None]

    def derivatives(self, q: Floats) -> tuple[Floats, Floats]:
        """Return the gradient, and minus the second derivative."""
        weighted = q * self.weight[:, None]
        scaled = weighted * self.ratio
        mean = np.einsum("ij,ij->i", q, self.ratio)
        gradient = np.append(self.chosen - scaled.sum(), self.shares - weighted.sum(0))
        curvature = np.empty((len(gradient), len(gradient)))
        curvature[0, 0] = np.einsum("ij,ij->", scaled, self.ratio) - self.weight @ mean**2
        curvature[0, 1:] = curvature[1:, 0] = scaled.sum(0) - mean @ weighted
        curvature[1:, 1:] = np.diag(weighted.sum(0)) - weighted.T @ q
        return gradient, curvature


def calibration_intercept(p: Floats, hit: NDArray[np.bool_], sample_weight: Floats | None = None) -> float:
    r"""Return the a of :math:`\operatorname{logit} q = a + \operatorname{logit} p`: calibration in the large.

    Below 0 the event was stated too often, above 0 too rarely; the slope stays at 1, so that the number says what the
    mean is off by and not where the recalibrating line crosses the axis.

    References
    ----------
    Van Calster et al., "Calibration: the Achilles heel of predictive analytics", BMC Medicine 17, 2019,
    doi:10.1186/s12916-019-1466-7.
    """
    found = recalibrate(np.column_stack([1.0 - p, p]), hit.astype(np.intp), sample_weight, slope=1.0)
    return found.offsets[1] - found.offsets[0]
