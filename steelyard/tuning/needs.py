"""Which classes the confusion matrix asks for, and the class weights of the next round of training."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from steelyard.metrics import Metric
from steelyard.metrics.confusion import recalls

__all__ = ["dual_step", "hedge_step", "needs"]

Floats = NDArray[np.float64]

_SMOOTHING = 0.5  # of a row in every cell: at a recall of zero a G-mean has no slope that says where to go
_STEP = 1e-3  # share of a class's mistakes that is put right to see what it is worth


def needs(confusion: Floats, metric: Metric) -> Floats:
    r"""Return what the mistakes of each class cost in the metric.

    .. math:: \text{need}_k = \sum_j cm[k, j]\, L[k, j], \qquad L = -\partial\,\text{metric} / \partial\, cm

    A class has the rows that it has, so L is defined up to a constant in each row; it is the one that makes the right
    label free, L[k, k] = 0. (Without it every need of a metric of recalls would be 0: such a metric does not change
    when a row of the matrix is multiplied.) The need is then the slope of the metric as a share of the class's
    mistakes, in the proportions in which it makes them, is put right: two evaluations a class. With costs it is the
    cost that the class causes beyond that of right labels.

    Parameters
    ----------
    confusion : float64 ndarray of shape (C, C)
    metric : Metric
        A label metric. For worst_recall, which has no slope where two recalls are equal, the need is 1 − recall.

    Returns
    -------
    float64 ndarray of shape (C,)
        Scaled so that the largest is the largest share of mistakes, 1 − recall, of any class: the step of an update
        then does not depend on the metric's unit. For balanced accuracy it is 1 − recall, but for half a row added
        to every cell. A class whose
        mistakes help the metric has a negative need.

    References
    ----------
    Narasimhan, Ramaswamy, Saha and Agarwal, "Consistent multiclass algorithms for complex performance measures",
    ICML 2015, for L.

    Examples
    --------
    >>> from steelyard.metrics import get
    >>> needs(np.array([[90.0, 10.0], [4.0, 6.0]]), get("balanced_accuracy", ["a", "b"])).round(2)
    array([0.1, 0.4])
    """
    cm = np.asarray(confusion, np.float64)
    errors = 1.0 - recalls(cm)
    if metric.name == "worst_recall" or metric.of_confusion is None:
        return errors
    smooth = cm + _SMOOTHING
    n = len(cm)
    moves = np.zeros((n, n, n))
    rows = np.arange(n)
    moves[rows, rows] = -smooth
    wrong = smooth.sum(1) - np.diagonal(smooth)
    moves[rows, rows, rows] = wrong
    sign = 1.0 if metric.greater_is_better else -1.0
    slope = sign * (metric.of_confusion(smooth + _STEP * moves) - metric.of_confusion(smooth - _STEP * moves))
    largest = float(slope.max())
    if not (np.isfinite(slope).all() and largest > 0):
        return errors
    return np.asarray(slope * (errors.max() / largest))


def hedge_step(log_weight: Floats, need: Floats, rate: float) -> Floats:
    r"""Return the class weights of the next round: :math:`w_k \leftarrow w_k\, e^{\eta\, \text{need}_k}`, normalised.

    With needs of 1 − recall this is Hedge against the worst recall: it stops where recalls are equal.

    Parameters
    ----------
    log_weight, need : float64 ndarray of shape (C,)
    rate : float
        η.

    Returns
    -------
    float64 ndarray of shape (C,)
        Logarithms of the weights, of mean 0.

    References
    ----------
    Freund and Schapire, "A decision-theoretic generalization of on-line learning", JCSS 55, 1997,
    doi:10.1006/jcss.1997.1504.

    Examples
    --------
    >>> hedge_step(np.zeros(2), np.array([0.1, 0.4]), 2.0).round(2)
    array([-0.3,  0.3])
    """
    moved = log_weight + rate * need
    return np.asarray(moved - moved.mean())


def dual_step(log_weight: Floats, k: int, level: float, attained: float, rate: float) -> Floats:
    r"""Return the class weights after one step of dual ascent: :math:`\lambda \leftarrow \lambda\, e^{\eta(\rho - r)}`.

    λ, the weight of the class whose recall has a floor ρ, rises while the recall r at the training decision is below
    it and falls when there is room.

    Parameters
    ----------
    log_weight : float64 ndarray of shape (C,)
    k : int
        The class.
    level, attained, rate : float
        ρ, r and η.

    References
    ----------
    Cotter et al., "Two-player games for efficient non-convex constrained optimization", ALT 2019, arXiv:1804.06500.

    Examples
    --------
    >>> dual_step(np.zeros(2), 1, 0.95, 0.85, 8.0).round(2)
    array([-0.4,  0.4])
    """
    moved = np.array(log_weight, np.float64)
    moved[k] += rate * (level - attained)
    return np.asarray(moved - moved.mean())
