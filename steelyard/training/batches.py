"""Which rows each training step sees: index streams, the same for every strategy that draws the same rows."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from steelyard.errors import InputError

__all__ = ["held_out", "shuffled", "steps_per_epoch"]

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


def held_out(
    y: NDArray[Any], generator: np.random.Generator, share: float = 0.1
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return rows to train on and rows to stop on, both in the order of the table.

    Of each class about the share is held out, at least one row, and at least one is trained on; a class with a single
    row keeps it for training.

    Parameters
    ----------
    y : int ndarray of shape (n,)
        Class indices.
    generator : numpy.random.Generator
    share : float, default 0.1
        In (0, 1).

    Returns
    -------
    tuple of intp ndarray
        Rows to train on, rows held out.

    Raises
    ------
    InputError
        No class has two rows.

    Examples
    --------
    >>> kept, held = held_out(np.repeat([0, 1, 2], [40, 2, 1]), np.random.default_rng(0))
    >>> len(kept), len(held), held[-1] in (40, 41)
    (38, 5, True)
    """
    parts = []
    for rows in (np.flatnonzero(y == c) for c in np.unique(y)):
        if len(rows) > 1:
            size = min(max(1, round(share * len(rows))), len(rows) - 1)
            parts.append(generator.permutation(rows)[:size])
    if not parts:
        raise InputError("a class with two rows, one to train on and one to stop on", f"{len(y)} rows")
    held = np.zeros(len(y), bool)
    held[np.concatenate(parts)] = True
    return np.flatnonzero(~held), np.flatnonzero(held)
