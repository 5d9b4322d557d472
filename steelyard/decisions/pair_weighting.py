"""From mistakes that a model makes and their costs to weights for each pair of truth and label."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from steelyard.decisions.costs import checked_costs
from steelyard.errors import InputError

__all__ = ["pair_weights"]


def pair_weights(confusion: ArrayLike, cost_matrix: Any) -> NDArray[np.float64]:
    r"""Return the (C, C) `class_weight` that puts the weight of training where mistakes cost most.

    .. math:: W[y, c] = \frac{M[y, c]}{s} \;(c \ne y), \qquad
              W[y, y] = \frac{1}{s}\, \frac{\sum_{c \ne y} N[y, c]\, M[y, c]}{\sum_{c \ne y} N[y, c]}

    N counts the mistakes of a model, M are their costs above that of the truth, and s makes the mean weight of a row of
    the confusion matrix 1. For ``SoftmaxCrossEntropy(class_weight=W, weight_by="pair")``.

    Parameters
    ----------
    confusion : array-like of shape (C, C)
        Rows by truth (first axis) and label, as counts: of a model trained without weights, on held-out rows.
    cost_matrix : array-like of shape (C, C), or `Costs`
        ``cost_matrix[k, j]`` is the cost of labelling true class k as j.

    Returns
    -------
    float64 ndarray of shape (C, C)
        Where all mistakes of a class cost the same, its row is constant, and W the class weight of that cost.

    Raises
    ------
    InputError
        For a wrong shape, counts that are negative or shares, or costs that `min_cost` would refuse.

    Notes
    -----
    The loss multiplies the cross-entropy of an example by :math:`\omega_y = \sum_c W[y, c]\,\mathrm{sg}(p_c)`: how much
    the example counts, never which wrong label is preferred. Training ends where η_y ∝ q_y/ω_y.

    *Is the diagonal inversely proportional again, or different?* W[y, y] is what an example weighs once the model is
    right about it. Equal to the rest of its row it makes the row an ordinary class weight, so it follows the class's
    weight and is no inverse of anything in its row. Below the rest, learned examples count less and probabilities are
    drawn towards the middle; at 0 they count nothing, and `Loss.posterior` has nothing to divide by. Far above the rest
    the class is labelled wherever it is possible. Here it is the mean cost of the mistakes that the model makes in that
    class, among the weights of its row; a class without a mistake takes the plain mean.

    *One cell or the whole row?* The row, if all mistakes of the class are dear: ω_y is then the same whatever the model
    predicts. A single dear mistake is its cell: raising the row for it makes the class too likely everywhere. But the
    cell works in proportion to the probability p_c that the model gives that mistake, fades as it is unlearned, and
    raises the true class against all others, not against c alone: only the decision, `min_cost`, does that.

    Measured (benchmarks/studies/weights_for_pairs.py; docs/guides/costs_instead_of_weights.md): by arg max such weights
    save most of the cost that can be saved, and less than `min_cost` on a model trained without any.

    Examples
    --------
    >>> pair_weights([[90, 10, 0], [8, 30, 2], [1, 4, 5]], [[0, 1, 1], [1, 0, 1], [1, 10, 0]]).round(2)
    array([[0.68, 0.68, 0.68], [0.68, 0.68, 0.68], [0.68, 6.76, 5.54]])
    """
    try:
        counts = np.asarray(confusion, np.float64)
    except (TypeError, ValueError) as error:
        raise InputError("`confusion` as a matrix of counts", str(error).split(".")[0]) from None
    if counts.ndim != 2 or counts.shape[0] != counts.shape[1] or len(counts) < 2:
        raise InputError("`confusion` of shape (n_classes, n_classes)", f"shape {counts.shape}")
    if not np.isfinite(counts).all() or (counts < 0).any():
        raise InputError("`confusion` of counts ≥ 0", f"{counts[~(np.isfinite(counts) & (counts >= 0))][0]:g}")
    if counts.sum(1).max() <= 1.0:
        raise InputError(
            "`confusion` of counts",
            f"rows that sum to at most {counts.sum(1).max():g}",
            "these are shares: multiply each row by the rows of its class.",
        )
    costs = checked_costs(cost_matrix, len(counts))
    if costs.ndim != 2:
        raise InputError("one cost matrix for all rows", f"shape {costs.shape}")
    regret = costs - np.diag(costs)[:, None]
    mistakes = counts * ~np.eye(len(counts), dtype=bool)
    made = mistakes.sum(1)
    plain = regret.sum(1) / (len(counts) - 1)
    mean = np.divide((mistakes * regret).sum(1), made, out=plain, where=made > 0)
    weights = regret + np.diag(mean)
    scale = (counts * weights).sum() / counts.sum()
    if scale == 0:
        raise InputError("mistakes of which some cost something", "none in `confusion`", "nothing is left to gain.")
    return np.asarray(weights / scale)
