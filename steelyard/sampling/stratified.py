"""Batches with equal shares of all classes, drawn without replacement."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["stratified_batches"]


def stratified_batches(
    y: NDArray[Any], n_batches: int, batch_size: int, generator: np.random.Generator
) -> NDArray[np.int64]:
    """Return batches that hold every class with rows equally often, to within one row.

    Where `balanced_batches` throws dice for the class of every place, here places go to the classes in turn, so that
    shares are equal in each batch and not on average only. Rows of a class come in random order, and all of them
    before one comes again.

    Parameters
    ----------
    y : int ndarray of shape (n,)
        Class indices, 0 or more.
    n_batches, batch_size : int
    generator : numpy.random.Generator

    Returns
    -------
    int64 ndarray of shape (n_batches, batch_size)
        Positions in `y`. With more classes than places the classes take turns over batches.

    Examples
    --------
    >>> y = np.array([0] * 90 + [1] * 9 + [2])
    >>> rows = stratified_batches(y, 10, 9, np.random.default_rng(0))
    >>> np.bincount(y[rows[0]]), np.bincount(y[rows[9]])
    (array([3, 3, 3]), array([3, 3, 3]))
    >>> len(np.unique(rows[y[rows] == 0]))                              # 30 draws of 90 rows: none twice
    30
    """
    counts = np.bincount(y)
    by_class = np.split(np.argsort(y, kind="stable"), np.cumsum(counts)[:-1])
    order = generator.permutation(np.flatnonzero(counts))
    places = n_batches * batch_size
    rows = np.empty(places, np.int64)
    for k, c in enumerate(order):
        own = by_class[c]
        wanted = len(range(k, places, len(order)))
        rounds = -(-wanted // len(own))
        drawn = generator.permuted(np.broadcast_to(own, (rounds, len(own))), axis=1).reshape(-1)
        rows[k :: len(order)] = drawn[:wanted]
    return generator.permuted(rows.reshape(n_batches, batch_size), axis=1)
