"""Which rows each training step sees: index streams, the same for every strategy that draws the same rows."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["shuffled", "steps_per_epoch"]

Indices = NDArray[np.int32]


def steps_per_epoch(n: int, batch_size: int) -> int:
    """Return how many whole batches an epoch over `n` rows has, at least one.

    Examples
    --------
    >>> steps_per_epoch(1000, 256), steps_per_epoch(100, 256)
    (3, 1)
    """
    return max(1, n // batch_size)


def shuffled(rows: NDArray[np.intp], steps: int, batch_size: int, generator: np.random.Generator) -> Indices:
    """Return batches of rows, each pass over all rows in a new order.

    However many rows a strategy draws, it is trained for the same number of steps: a small set of rows is passed
    over more often, a large one less.

    Parameters
    ----------
    rows : int ndarray of shape (m,)
        Positions of the rows to train on, with repeats.
    steps, batch_size : int
        Shape of the stream.
    generator : numpy.random.Generator
        Draws the orders.

    Returns
    -------
    int32 ndarray of shape (steps, batch_size)

    Examples
    --------
    >>> stream = shuffled(np.arange(6), 2, 3, np.random.default_rng(0))
    >>> sorted(stream.ravel().tolist())
    [0, 1, 2, 3, 4, 5]
    """
    needed = steps * batch_size
    passes = [generator.permutation(rows) for _ in range(-(-needed // len(rows)))]
    return np.concatenate(passes)[:needed].astype(np.int32).reshape(steps, batch_size)
