"""Who trains and who is tested: stratified folds, the same for every strategy."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Split", "inner_splits", "outer_splits", "seed"]

_INNER = 3

# one stream of random numbers per purpose: adding repeats or strategies changes none of the others
_PURPOSES = {"folds": 0, "inner folds": 1, "sampling": 2, "bootstrap": 3}


@dataclass(frozen=True)
class Split:
    """Row indices of one fold of one repeat."""

    repeat: int
    fold: int
    train: NDArray[np.intp]
    test: NDArray[np.intp]


def seed(random_state: int, purpose: str, *place: int) -> int:
    """Return a seed for one purpose at one place (repeat, fold, ...), derived from `random_state`.

    Examples
    --------
    >>> seed(0, "folds", 1) == seed(0, "folds", 1), seed(0, "folds", 1) == seed(0, "folds", 2)
    (True, False)
    """
    sequence = np.random.SeedSequence(random_state, spawn_key=(_PURPOSES[purpose], *place))
    return int(sequence.generate_state(1)[0])


def _stratified(y: NDArray[Any], n_splits: int, state: int) -> Iterator[tuple[Any, Any]]:
    from sklearn.model_selection import StratifiedKFold

    folds = StratifiedKFold(n_splits, shuffle=True, random_state=state)
    yield from folds.split(np.zeros(len(y)), y)


def outer_splits(y: NDArray[Any], cv: int, repeats: int, random_state: int) -> list[Split]:
    """Return `repeats` × `cv` splits; in each repeat every row is tested once.

    Parameters
    ----------
    y : int ndarray of shape (n,)
        With at least `cv` rows of every class.
    cv, repeats, random_state : int

    Returns
    -------
    list of Split
        Sorted by repeat and fold.
    """
    return [
        Split(repeat, fold, train, test)
        for repeat in range(repeats)
        for fold, (train, test) in enumerate(_stratified(y, cv, seed(random_state, "folds", repeat)))
    ]


def inner_splits(y_train: NDArray[Any], split: Split, random_state: int) -> list[tuple[Any, Any]]:
    """Return the splits of a training fold on which a decision is tuned: 3, or as many as its rarest class allows.

    Parameters
    ----------
    y_train : int ndarray
        Labels of the training fold; the returned positions are positions in it.
    split : Split
        Names the place that the seed is derived from.
    random_state : int

    Returns
    -------
    list of (train, test)
        Empty if a class has a single row: nothing can be held out of it.
    """
    n_splits = min(_INNER, int(np.bincount(y_train).min()))
    if n_splits < 2:
        return []
    state = seed(random_state, "inner folds", split.repeat, split.fold)
    return list(_stratified(y_train, n_splits, state))
