"""The cheapest label, when mistakes have prices."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from steelyard.decisions.validation import checked_probabilities
from steelyard.errors import InputError

__all__ = ["min_cost"]


def min_cost(proba: ArrayLike, cost_matrix: ArrayLike) -> NDArray[np.int64]:
    r"""Label each row with the class of least expected cost.

    .. math:: \hat y = \arg\min_j \sum_k p_k\, M[k, j]

    Parameters
    ----------
    proba : array-like of shape (n, C)
        Calibrated probabilities.
    cost_matrix : array-like of shape (C, C)
        ``cost_matrix[k, j]`` is the cost of labelling true class k as j. A row's diagonal must be its least
        entry: otherwise the truth would be worth avoiding.

    Returns
    -------
    int64 ndarray of shape (n,)
        Class indices; the first of equally cheap ones.

    Raises
    ------
    InputError
        For a wrong shape, a cost that is not finite, or a diagonal that is dearer than a mistake.

    References
    ----------
    Elkan, "The foundations of cost-sensitive learning", IJCAI 2001, equation 1 and section 1.1.

    Examples
    --------
    >>> min_cost([[0.8, 0.2], [0.95, 0.05]], [[0, 1], [10, 0]])
    array([1, 0])
    """
    p = checked_probabilities(proba)
    costs = np.asarray(cost_matrix, np.float64)
    n = p.shape[1]
    if costs.shape != (n, n):
        raise InputError(f"`cost_matrix` of shape ({n}, {n})", f"shape {costs.shape}")
    if not np.isfinite(costs).all():
        raise InputError("finite `cost_matrix`", str(costs[~np.isfinite(costs)][0]))
    dear = np.flatnonzero(np.diag(costs) > costs.min(1))
    if dear.size:
        k = int(dear[0])
        raise InputError(
            "a `cost_matrix` whose diagonal is the least of its row",
            f"{costs[k].tolist()} for class {k}",
            "rows are the truth, columns the label: is it transposed?",
        )
    return np.asarray((p @ costs).argmin(1), np.int64)
