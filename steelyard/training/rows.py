"""A training fold as a strategy wants it: drawn, weighted or made rows."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from steelyard import sampling
from steelyard.strategies import Point
from steelyard.training import networks
from steelyard.weights import class_weight

__all__ = ["Rows"]


class Rows:
    """Rows to train on, for models that see all of them at once.

    Parameters
    ----------
    X : ndarray of shape (n, d)
    y : int64 ndarray of shape (n,)
    point : Point
    state : int
    sample_weight : float64 ndarray of shape (n,), optional
        Positive: how many rows each row stands for. Samplers make the sums of weights equal that they make equal
        numbers of rows of otherwise; SMOTE takes none, as the rows that it makes have no weight.

    Attributes
    ----------
    X : ndarray of shape (n, d)
    y : int64 ndarray of shape (n,)
    weight : float64 ndarray of shape (n,) or None
        Of each row; a row that was drawn k times is a row of weight k: the same optimum from fewer rows.
    copies : float64 ndarray of shape (n,) or None
        How many rows each row stands for: `sample_weight`.
    made : bool
        Whether there are rows that the fold does not have.
    """

    def __init__(
        self,
        X: NDArray[Any],
        y: NDArray[np.int64],
        point: Point,
        state: int,
        sample_weight: NDArray[np.float64] | None = None,
    ) -> None:
        self.X, self.y = X, y
        self.weight = self.copies = sample_weight
        self.made = point.sampler == sampling.SYNTHETIC
        generator = networks.drawing(state)
        if self.made:
            made, labels = sampling.smote(X, y, generator, sample_weight)
            self.X, self.y = np.concatenate([X, made]), np.concatenate([y, labels])
        elif point.sampler == sampling.BATCHES:
            # no batches here: what they are in expectation
            self.weight = class_weight("balanced", np.bincount(y, weights=sample_weight))[y]
            if sample_weight is not None:
                self.weight = self.weight * sample_weight
        elif point.sampler is not None:
            rows = sampling.rows(point.sampler, y, generator)
            self.weight = np.bincount(rows, minlength=len(y)).astype(np.float64)
            if sample_weight is not None:
                self.weight = networks.equal_masses(self.weight * sample_weight, y)
