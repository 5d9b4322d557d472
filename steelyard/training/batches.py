"""Which rows each training step sees: index streams, the same for every strategy that draws the same rows."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from steelyard.errors import InputError

__all__ = ["held_out", "repeated", "shuffled", "steps_per_epoch"]

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


def repeated(times: NDArray[np.float64], steps: int, batch_size: int, generator: np.random.Generator) -> Indices:
    """Return batches of rows, each pass with every row as often as `times` says.

    A row of 2.3 is taken 2 or 3 times in a pass, 2.3 times on average (systematic sampling of the fractions, in a new
    order for each pass). Whole numbers leave nothing to chance: the batches are those of `shuffled` on so many copies.

    Parameters
    ----------
    times : float64 ndarray of shape (n,)
        Not negative, with a sum of at least 1.
    steps, batch_size : int
        Shape of the stream.
    generator : numpy.random.Generator

    Returns
    -------
    int32 ndarray of shape (steps, batch_size)

    Examples
    --------
    >>> stream = repeated(np.array([0.5, 2.0, 1.5]), 100, 4, np.random.default_rng(0))
    >>> np.bincount(stream.ravel())  # ordered by chance alone: 50, 200 and 150 on average
    array([ 48, 200, 152])
    """
    needed, size, passes = steps * batch_size, 0, []
    whole = np.floor(times).astype(np.int64)
    part = times - whole
    while size < needed:
        count = whole
        if part.any():
            order = generator.permutation(len(times))
            ends = np.floor(np.cumsum(part[order]) + generator.random()).astype(np.int64)
            count = whole.copy()
            count[order] += np.diff(ends, prepend=0)
        passes.append(generator.permutation(np.repeat(np.arange(len(times)), count)))
        size += len(passes[-1])
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
