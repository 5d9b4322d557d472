"""The cheapest label, when mistakes have prices: one matrix for all rows, or one for each."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from steelyard.decisions.validation import checked_probabilities
from steelyard.errors import InputError

__all__ = ["cheapest", "checked_costs", "min_cost", "min_cost_threshold"]

Floats = NDArray[np.float64]

# costs per row are read in parts of about this many numbers (2 MB as float64): nothing of their own size is made
_PART = 1 << 18


def min_cost(proba: ArrayLike, cost_matrix: Any) -> NDArray[np.int64]:
    r"""Label each row with the class of least expected cost.

    .. math:: \hat y = \arg\min_j \sum_k p_k\, M[k, j]

    Parameters
    ----------
    proba : array-like of shape (n, C)
        Calibrated probabilities.
    cost_matrix : array-like of shape (C, C) or (n, C, C), or `Costs`
        ``cost_matrix[k, j]`` is the cost of labelling true class k as j; with three axes ``cost_matrix[i]`` is the
        matrix of row i (`Costs.for_rows`). The diagonal must be the least of its row: otherwise the truth would be
        worth avoiding.

    Returns
    -------
    int64 ndarray of shape (n,)
        Class indices; the first of equally cheap ones.

    Raises
    ------
    InputError
        For a wrong shape, a cost that is not finite, a diagonal that is dearer than a mistake, or when every label
        of every row costs the same.

    Notes
    -----
    What counts is the regret M[k, j] − M[k, k]; the diagonal is taken off first, so that a constant added to a row of
    the matrix changes nothing. Costs per row are read in parts of 2 MB: beyond the input the memory is O(n).

    References
    ----------
    Elkan, "The foundations of cost-sensitive learning", IJCAI 2001, equation 1 and section 1.1. Costs per row:
    Zadrozny and Elkan, "Learning and making decisions when costs and probabilities are both unknown", KDD 2001,
    doi:10.1145/502512.502540.

    Examples
    --------
    >>> min_cost([[0.8, 0.2], [0.95, 0.05]], [[0, 1], [10, 0]])
    array([1, 0])

    Missing the first row costs 3, missing the second 300:

    >>> min_cost([[0.9, 0.1], [0.9, 0.1]], [[[0, 1], [3, 0]], [[0, 1], [300, 0]]])
    array([0, 1])
    """
    p = checked_probabilities(proba)
    n, n_classes = p.shape
    costs = checked_costs(cost_matrix, n_classes, n)
    if costs.ndim == 2:
        return cheapest(p, costs)
    out = np.empty(n, np.int64)
    for part in _parts(n, n_classes):
        out[part] = cheapest(p[part], costs[part])
    return out


def _parts(n: int, n_classes: int) -> Iterator[slice]:
    step = max(1, _PART // n_classes**2)
    return (slice(start, start + step) for start in range(0, n, step))


def _regret(costs: NDArray[Any]) -> Floats:
    costs = costs.astype(np.float64)
    return np.asarray(costs - np.diagonal(costs, axis1=-2, axis2=-1)[..., None])


def cheapest(p: Floats, costs: NDArray[Any]) -> NDArray[np.int64]:
    """Return what `min_cost` does, of probabilities and costs that were checked."""
    regret = _regret(costs)
    if p.shape[1] == 2:
        # two products instead of a matrix product: label 1 where missing it is dearer than a false alarm
        return np.asarray(p[:, 1] * regret[..., 1, 0] > p[:, 0] * regret[..., 0, 1], np.int64)
    expected = p @ regret if regret.ndim == 2 else np.matmul(p[:, None, :], regret)[:, 0]
    return np.asarray(expected.argmin(1), np.int64)


def min_cost_threshold(cost_matrix: Any, positive: int = 1) -> float | Floats:
    r"""Return the probability of the positive class above which labelling a row positive is the cheaper.

    .. math:: t = \frac{c_{FP} - c_{TN}}{c_{FP} - c_{TN} + c_{FN} - c_{TP}}

    Parameters
    ----------
    cost_matrix : array-like of shape (2, 2) or (n, 2, 2), or `Costs`
        ``cost_matrix[k, j]`` is the cost of labelling true class k as j, for all rows or for each.
    positive : {0, 1}
        Index of the positive class. Default 1.

    Returns
    -------
    float, or float64 ndarray of shape (n,)
        In [0, 1]. `min_cost` labels a row positive when its probability is above.

    Raises
    ------
    InputError
        As `min_cost`; and where both labels of a row cost the same, so that it has no threshold.

    References
    ----------
    Elkan, "The foundations of cost-sensitive learning", IJCAI 2001, equation 2.

    Examples
    --------
    >>> min_cost_threshold([[0, 1], [49, 0]])
    0.02
    >>> min_cost_threshold([[[0, 1], [3, 0]], [[0, 1], [99, 0]]])
    array([0.25, 0.01])
    """
    if positive not in (0, 1):
        raise InputError("`positive` as 0 or 1", repr(positive))
    costs = checked_costs(cost_matrix, 2)
    regret = _regret(costs)
    alarm, miss = regret[..., 1 - positive, positive], regret[..., positive, 1 - positive]
    total = alarm + miss
    if (total == 0).any():
        row = int(np.flatnonzero(total == 0)[0])
        raise InputError(
            "labels that differ in cost", f"row {row}, where they do not", "leave such rows out: any label will do."
        )
    threshold = alarm / total
    return float(threshold) if costs.ndim == 2 else np.asarray(threshold)


def checked_costs(cost_matrix: Any, n_classes: int, n_rows: int | None = None) -> NDArray[Any]:
    """Return costs that make sense, of shape (C, C), or (n, C, C) as they came.

    Parameters
    ----------
    cost_matrix : array-like or `Costs`
    n_classes : int
    n_rows : int, optional
        How many matrices there must be where there is one per row.

    Returns
    -------
    ndarray
        float64 of shape (C, C); or a view of the input, of its own type, where there is a matrix per row.

    Raises
    ------
    InputError
        See `min_cost`.

    Examples
    --------
    >>> checked_costs([[0, 1], [2, 3]], 2)
    Traceback (most recent call last):
    ...
    steelyard.errors.InputError: Expected a `cost_matrix` whose diagonal is the least of its row; got [2.0, 3.0] for
    class 1. Hint: rows are the truth, columns the label: is it transposed?
    """
    try:
        costs = np.asarray(cost_matrix)
    except InputError:  # costs in columns say themselves what to do
        raise
    except ValueError as error:  # rows of different lengths
        raise InputError("`cost_matrix` as an array of numbers", str(error).split(".")[0]) from None
    if costs.dtype.kind not in "biuf":
        raise InputError(
            "`cost_matrix` as numbers",
            f"values of type {costs.dtype}",
            "costs that stand in columns of the data: sy.decisions.read_costs, then .for_rows(table).",
        )
    square = (n_classes, n_classes)
    if costs.shape == square:
        costs = costs.astype(np.float64)
        if _differ(costs):
            return costs
    elif costs.ndim == 3 and costs.shape[1:] == square and costs.shape[0] == (n_rows or costs.shape[0]):
        some = [_differ(costs[part].astype(np.float64), part.start) for part in _parts(len(costs), n_classes)]
        if any(some) or not some:
            return costs
    else:
        rows = "n" if n_rows is None else str(n_rows)
        raise InputError(
            f"`cost_matrix` of shape {square}, or ({rows}, {n_classes}, {n_classes}) with one for each row",
            f"shape {costs.shape}",
        )
    raise InputError("a `cost_matrix` in which labels differ in cost", "the same cost for every label")


def _differ(costs: NDArray[Any], start: int | None = None) -> bool:
    """Refuse costs that are not finite or dearer for the truth; return whether any label costs more than another."""
    bad = ~np.isfinite(costs)
    if bad.any():
        at = np.argwhere(bad)[0]
        where = "" if start is None else f" in row {start + at[0]}"
        raise InputError("finite `cost_matrix`", f"{costs[tuple(at)]}{where}")
    diagonal = np.diagonal(costs, axis1=-2, axis2=-1)
    dear = np.argwhere(diagonal > costs.min(-1))
    if dear.size:
        at = dear[0]
        where = "" if start is None else f" in row {start + at[0]}"
        raise InputError(
            "a `cost_matrix` whose diagonal is the least of its row",
            f"{costs[tuple(at)].tolist()} for class {at[-1]}{where}",
            "rows are the truth, columns the label: is it transposed?",
        )
    return bool((costs > diagonal[..., None]).any())
