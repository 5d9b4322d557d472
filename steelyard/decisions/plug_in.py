"""Any number of classes: weights on probabilities, found on scored rows."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from steelyard.decisions.rules import PlugIn
from steelyard.decisions.thresholds import OfConfusion, middle_best
from steelyard.decisions.validation import checked_priors, checked_probabilities
from steelyard.errors import InputError
from steelyard.metrics.confusion import confusion_matrix

__all__ = ["best_prior_exponent"]

Floats = NDArray[np.float64]

# 0 is the plain arg max, 1 the optimum for balanced accuracy; beyond 2 rare classes drown the others
_EXPONENTS = np.round(np.arange(0.0, 2.01, 0.1), 1)


def best_prior_exponent(
    proba: ArrayLike,
    y: ArrayLike,
    priors: ArrayLike,
    metric: OfConfusion,
    greater_is_better: bool = True,
) -> PlugIn:
    r"""Find the τ in [0, 2] for which :math:`\arg\max_k p_k / \pi_k^\tau` is best for `metric`.

    One number for any number of classes: with few rare rows a weight per class would be fitted to noise.

    Parameters
    ----------
    proba : array-like of shape (n, C)
        Probabilities of rows that the model was not trained on.
    y : int array-like of shape (n,)
    priors : array-like of shape (C,)
        Class shares, all positive.
    metric : callable
        Confusion matrices (m, C, C) → values (m,).
    greater_is_better : bool

    Returns
    -------
    PlugIn

    Raises
    ------
    InputError
        For wrong shapes, or when `metric` is undefined for every τ.

    Examples
    --------
    >>> from steelyard.metrics.confusion import balanced_accuracy
    >>> p = np.array([[0.9, 0.1], [0.8, 0.2], [0.7, 0.3], [0.65, 0.35]])
    >>> best_prior_exponent(p, [0, 0, 1, 1], [0.75, 0.25], balanced_accuracy).tau
    1.0
    """
    p = checked_probabilities(proba)
    truth = np.asarray(y)
    n = p.shape[1]
    shares = checked_priors(priors, n, "priors")
    if (shares == 0).any():
        raise InputError("`priors` > 0", f"0 for class {int(np.flatnonzero(shares == 0)[0])}")
    rules = [PlugIn(float(tau), tuple(shares.tolist())) for tau in _EXPONENTS]
    confusion = np.stack([confusion_matrix(truth, rule(p), n) for rule in rules])
    return rules[middle_best(np.asarray(metric(confusion)), greater_is_better)]
