"""A ratio of linear functions of the confusion matrix: the F1 of one class among several."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from steelyard.decisions.rules import PlugIn
from steelyard.decisions.thresholds import best_threshold
from steelyard.metrics.confusion import f1

__all__ = ["best_f1_of_class"]

Floats = NDArray[np.float64]

# what mistakes among the other classes cost: they only settle which of them a row gets that is not labelled k
_REST = 1e-6


def best_f1_of_class(
    proba: Floats, y: NDArray[np.int64], k: int, priors: Floats, sample_weight: Floats | None = None
) -> PlugIn:
    r"""Return the rule of the best F1 of class k.

    For a value λ of a ratio the best answer is linear: it maximises
    :math:`2\,TP - \lambda\,(2\,TP + FP + FN)` and so labels a row k where :math:`p_k > \lambda / 2`, whatever the other
    probabilities. Bisection over λ would find the best one; the scores of class k against the rest have only so many
    cuts, and all of them are looked at instead. Rows below the cut get the most probable of the other classes.

    The rule is least expected cost: t for a false k, 1 − t for a missed one, with t the cut, and a millionth for
    mistakes among the other classes.

    References
    ----------
    Narasimhan et al., ICML 2015, section 4.2 (bisection); Lipton, Elkan and Naryanaswamy, ECML 2014,
    arXiv:1402.1892 (t = F*/2).
    """
    binary = np.column_stack([1.0 - proba[:, k], proba[:, k]])
    cut = best_threshold(binary, y == k, lambda cm: f1(cm)[..., 1], sample_weight=sample_weight).threshold
    n_classes = proba.shape[1]
    costs = np.full((n_classes, n_classes), _REST)
    np.fill_diagonal(costs, 0.0)
    costs[:, k], costs[k] = cut, 1.0 - cut
    costs[k, k] = 0.0
    return PlugIn(0.0, tuple(priors.tolist()), None, tuple(map(tuple, costs.tolist())))
