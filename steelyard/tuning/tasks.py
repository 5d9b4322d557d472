"""Training rows as a search sees them: one training fold, its inner folds, and no test labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Part", "Scored", "Task"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Part:
    """Rows of one fit.

    Attributes
    ----------
    X : float64 ndarray of shape (n, d)
        Preprocessed rows to train on.
    y : int64 ndarray of shape (n,)
    score : float64 ndarray of shape (m, d)
        Rows to score.
    state : int
        Seed of the fit, the same for every candidate.
    sample_weight : float64 ndarray of shape (n,) or None
        How many rows each row to train on stands for.
    """

    X: Floats
    y: Ints
    score: Floats
    state: int
    sample_weight: Floats | None = None


@dataclass(frozen=True)
class Scored:
    """What one candidate says of some rows.

    Attributes
    ----------
    proba : float64 ndarray of shape (n, C)
        Corrected for what the candidate did in training.
    trained : int64 ndarray of shape (n,)
        The arg max of the logits: the label at the operating point of training.
    """

    proba: Floats
    trained: Ints

    @classmethod
    def joined(cls, parts: Sequence[tuple[NDArray[np.intp], Scored]], n: int) -> Scored:
        """Put the scores of inner folds in the order of the rows that these were held out of."""
        proba = np.full((n, parts[0][1].proba.shape[1]), np.nan)
        trained = np.full(n, -1, np.int64)
        for held_out, scored in parts:
            proba[held_out], trained[held_out] = scored.proba, scored.trained
        return cls(proba, trained)


@dataclass(frozen=True)
class Task:
    """A training fold in which the whole search is run, as if it were all there is.

    Attributes
    ----------
    name : str
    outer : Part
        The training fold; its `score` are the untouched test rows, none where the fold is the whole table.
    inner : tuple of (positions, Part)
        Inner folds: which rows of the training fold are held out, and the fit that scores them.
    n_classes : int
    """

    name: str
    outer: Part
    inner: tuple[tuple[NDArray[np.intp], Part], ...]
    n_classes: int

    @cached_property
    def counts(self) -> Ints:
        """Rows of each class."""
        return np.asarray(np.bincount(self.outer.y, minlength=self.n_classes), np.int64)

    @property
    def priors(self) -> Floats:
        """Share of each class."""
        shares: Any = self.counts / self.counts.sum()
        return np.asarray(shares, np.float64)
