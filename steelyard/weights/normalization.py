"""The scale of class weights, apart from their ratios."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from steelyard.errors import InputError, one_of
from steelyard.weights.counts import ClassCounts

__all__ = ["NORMALIZATIONS", "normalized"]

Weights = NDArray[np.float64]


def _present(weights: Weights, counts: ClassCounts) -> Weights:
    return np.asarray(weights[counts.present], dtype=np.float64)


# name → what the weights are divided by
NORMALIZATIONS: dict[str, Callable[[Weights, ClassCounts], float]] = {
    # Σ w = C: the mean of the classes' weights is 1
    "n_classes": lambda w, counts: float(_present(w, counts).mean()),
    # Σ w = 1
    "sum": lambda w, counts: float(_present(w, counts).sum()),
    # Σ π w = 1: the mean weight of a row is 1. Over the sum of the counts, which for indicators is not N.
    "priors": lambda w, counts: float((counts.counts / counts.counts.sum()) @ w),
    # the largest weight is 1
    "max": lambda w, counts: float(_present(w, counts).max()),
}


def normalized(weights: Weights, counts: ClassCounts, normalize: str | None) -> Weights:
    """Return weights scaled so that a sum over the present classes is what `normalize` says.

    Parameters
    ----------
    weights : ndarray, shape (n_classes,)
        ≥ 0.
    counts : ClassCounts
        Says which classes are present, and their priors.
    normalize : {"n_classes", "sum", "priors", "max"} or None
        Σw = C, Σw = 1, Σπw = 1, max w = 1, or as they are.

    Raises
    ------
    InputError
        For an unknown name, and when all weights are 0.

    Examples
    --------
    >>> normalized(np.array([1.0, 3.0]), ClassCounts.from_counts([30, 10]), "n_classes")
    array([0.5, 1.5])
    """
    if normalize is None:
        return weights
    divisor = NORMALIZATIONS[one_of("normalize", normalize, NORMALIZATIONS)](weights, counts)
    if not (np.isfinite(divisor) and divisor > 0):
        raise InputError(
            f"weights that can be normalised by {normalize!r}",
            f"{weights.tolist()}",
            "normalize=None keeps the formula as it stands.",
        )
    return weights / divisor
