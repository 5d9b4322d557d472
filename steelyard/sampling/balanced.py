"""Balanced batches: first a class, each equally likely, then one of its rows."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["balanced_batches"]


def balanced_batches(
    y: NDArray[Any],
    steps: int,
    batch_size: int,
    generator: np.random.Generator,
    weight: NDArray[np.float64] | None = None,
) -> NDArray[np.int32]:
    """Return batches in which every class with rows is equally likely at every place.

    Choosing the class first costs two draws per row; drawing rows with unequal probabilities searches a cumulated
    sum for each of them.

    Parameters
    ----------
    y : int ndarray of shape (n,)
    steps, batch_size : int
    generator : numpy.random.Generator
    weight : float64 ndarray of shape (n,), optional
        Positive: how likely each row of a class is, in proportion. Default: all the same.

    Returns
    -------
    int32 ndarray of shape (steps, batch_size)

    Examples
    --------
    >>> y = np.array([0] * 99 + [1])
    >>> drawn = balanced_batches(y, 100, 10, np.random.default_rng(0))
    >>> bool(0.45 < (drawn == 99).mean() < 0.55)
    True
    """
    order = np.argsort(y, kind="stable")
    counts = np.bincount(y)
    present = np.flatnonzero(counts)
    first = np.cumsum(counts) - counts
    classes = present[generator.integers(len(present), size=(steps, batch_size))]
    if weight is not None:
        # the place of a number that is uniform in the part of the cumulated weights that belongs to the class
        ends = np.cumsum(weight[order])
        last = first + counts - 1
        before = np.where(first > 0, ends[first - 1], 0.0)
        at = before[classes] + generator.random((steps, batch_size)) * (ends[last] - before)[classes]
        found = np.clip(np.searchsorted(ends, at, side="right"), first[classes], last[classes])
        return np.asarray(order[found], np.int32)
    within = (generator.random((steps, batch_size)) * counts[classes]).astype(np.int64)
    return np.asarray(order[first[classes] + within], np.int32)
