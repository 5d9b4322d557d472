"""Probability metrics: how far the stated probabilities are from what happened, row by row."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["brier_score", "log_loss"]

Floats = NDArray[np.float64]


def log_loss(proba: Floats, y: NDArray[Any]) -> Floats:
    r"""Negative log-likelihood of each row, :math:`-\log p_y`, in nats.

    Parameters
    ----------
    proba : float64 ndarray of shape (n, C)
    y : int ndarray of shape (n,)

    Returns
    -------
    float64 ndarray of shape (n,)

    Numerics
    --------
    A probability below 2.2e-16 counts as 2.2e-16, as in scikit-learn's ``log_loss``: one
    rounded zero would otherwise make every mean infinite. This is a score; the losses that train take
    logits and need no such floor.
    """
    return np.asarray(-np.log(np.maximum(proba[np.arange(len(y)), y], np.finfo(np.float64).eps)))


def brier_score(proba: Floats, y: NDArray[Any]) -> Floats:
    r"""Squared distance of each row's probabilities from the truth, :math:`\sum_k (p_k - [y = k])^2`.

    Halved for two classes, where the two terms are equal: the range is then [0, 1], as in scikit-learn's
    ``brier_score_loss`` (its ``scale_by_half="auto"``); with more classes it is [0, 2].

    Examples
    --------
    >>> brier_score(np.array([[0.9, 0.1], [0.9, 0.1]]), np.array([0, 1]))
    array([0.01, 0.81])
    """
    error = proba.copy()
    error[np.arange(len(y)), y] -= 1.0
    return np.asarray((error**2).sum(1) * (0.5 if proba.shape[1] == 2 else 1.0))
