"""Who trains and who is tested: the same folds for every strategy, drawn by row, by group, or along time."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steelyard.comparison.ties import FREE, Ties
from steelyard.errors import InputError
from steelyard.tuning.out_of_fold import INNER, inner_folds, stratified
from steelyard.tuning.seeds import seed

__all__ = ["Split", "inner_splits", "outer_splits", "ratio_of_sizes", "tunable"]

Ints = NDArray[np.int64]
Pair = tuple[NDArray[np.intp], NDArray[np.intp]]  # positions to train on, positions to test

_DRAWS = 20  # of grouped folds, until every class is in each: the greedy allocation depends on the order of groups
# single rows per class and fold that are allocated one by one, to even out what large groups left uneven; the others
# are dealt, since the allocation takes about a tenth of a millisecond for each
_EVENED = 20


@dataclass(frozen=True)
class Split:
    """Row indices of one fold of one repeat."""

    repeat: int
    fold: int
    train: NDArray[np.intp]
    test: NDArray[np.intp]


def outer_splits(
    y: NDArray[Any],
    cv: int,
    repeats: int,
    random_state: int,
    ties: Ties = FREE,
    classes: Sequence[Hashable] | None = None,
) -> list[Split]:
    """Return `repeats` × `cv` splits.

    Of free rows they are stratified: in each repeat every row is tested once. With groups they are stratified as far as
    the groups allow, and no group is on both sides of a split. Along time the rows are cut into
    `cv` + 1 blocks of about as many rows; block i + 1 is tested by what was trained on blocks 1 to i (an expanding
    window). Rows of one moment stay in one block, so that whatever is trained on is strictly earlier than what is
    tested.

    Parameters
    ----------
    y : int ndarray of shape (n,)
        With at least `cv` rows of every class.
    cv, repeats, random_state : int
        `repeats` is not used along time: there is one such arrangement.
    ties : Ties
        Of the rows; default none.
    classes : sequence, optional
        The labels, for messages.

    Returns
    -------
    list of Split
        Sorted by repeat and fold.

    Raises
    ------
    InputError
        If a class cannot be in every fold.
    """
    names = range(int(y.max()) + 1) if classes is None else classes
    groups, time = ties.groups, ties.time
    if time is not None:
        _check_moments(y, time, cv, names)
        return [Split(0, fold, *pair) for fold, pair in enumerate(_ordered(time, cv))]
    splits = []
    if groups is not None:
        _check_groups(y, groups, cv, names)
    for repeat in range(repeats):
        if groups is None:
            pairs: Sequence[Pair] | None = stratified(y, cv, seed(random_state, "folds", repeat))
        else:
            pairs = _grouped(y, groups, cv, random_state, "folds", repeat)
        if pairs is None:
            raise InputError(
                f"groups that can be divided into {cv} folds with every class in each",
                "none found in 20 draws",
                "the rows of some class are in too few, or too large, groups: use fewer folds (--cv, cv=).",
            )
        splits += [Split(repeat, fold, train, test) for fold, (train, test) in enumerate(pairs)]
    return splits


def inner_splits(
    y_train: NDArray[Any],
    split: Split,
    random_state: int,
    ties: Ties = FREE,
) -> list[Pair]:
    """Return the splits of a training fold on which a decision is tuned: 3, or as many as its rarest class allows.

    They are of the kind of the outer ones: no group on both sides, or training before testing.

    Parameters
    ----------
    y_train : int ndarray
        Labels of the training fold; the returned positions are positions in it.
    split : Split
        Names the place that the seed is derived from.
    random_state : int
    ties : Ties
        Of the rows of the training fold.

    Returns
    -------
    list of (train, test)
        Empty if nothing can be held out of some class. Along time the earliest rows are never held out.
    """
    n_classes = int(y_train.max()) + 1
    groups, time = ties.groups, ties.time
    if time is not None:
        for n_splits in range(INNER, 0, -1):
            ordered = _ordered(time, n_splits)
            if ordered and _covers(y_train, [ordered[0][0], np.concatenate([held for _, held in ordered])], n_classes):
                return ordered
        return []
    if groups is None:
        return inner_folds(y_train, seed(random_state, "inner folds", split.repeat, split.fold))
    for n_splits in range(min(INNER, int(_groups_of_class(y_train, groups).min())), 1, -1):
        found = _grouped(y_train, groups, n_splits, random_state, "inner folds", split.repeat, split.fold)
        if found is not None:
            return found
    return []


def tunable(
    y: NDArray[Any],
    splits: Sequence[Split],
    random_state: int,
    ties: Ties = FREE,
) -> bool:
    """Return whether every training fold has inner folds.

    Examples
    --------
    >>> y = np.repeat([0, 1], [8, 2])
    >>> tunable(y, outer_splits(y, 2, 1, 0), 0)
    False
    """
    if ties.groups is None and ties.time is None:  # no need to draw them
        return all(np.bincount(y[s.train]).min() >= 2 for s in splits)
    return all(inner_splits(y[s.train], s, random_state, ties.of(s.train)) for s in splits)


def ratio_of_sizes(splits: Sequence[Split]) -> float:
    """Return the mean over folds of test rows divided by training rows, as the corrected t needs it.

    Examples
    --------
    >>> y = np.repeat([0, 1], [80, 20])
    >>> ratio_of_sizes(outer_splits(y, 5, 2, 0))
    0.25
    >>> round(ratio_of_sizes(outer_splits(y, 4, 1, 0, Ties(time=np.arange(100) % 20))), 3)  # (1 + 1/2 + 1/3 + 1/4) / 4
    0.521
    """
    return float(np.mean([len(s.test) / len(s.train) for s in splits]))


def _grouped(
    y: NDArray[Any], groups: NDArray[Any], n_splits: int, random_state: int, purpose: str, *place: int
) -> list[Pair] | None:
    """Return grouped folds with every class in each, or None where no draw gave such."""
    for draw in range(_DRAWS):
        fold = _fold_of_rows(y, groups, n_splits, seed(random_state, purpose, *place, draw))
        tested = [np.flatnonzero(fold == k) for k in range(n_splits)]
        if _covers(y, tested, int(y.max()) + 1):
            return [(np.flatnonzero(fold != k), test) for k, test in enumerate(tested)]
    return None


def _fold_of_rows(y: NDArray[Any], groups: NDArray[Any], n_splits: int, state: int) -> NDArray[np.intp]:
    """Return the fold that each row is tested in: groups are allocated one by one, most single rows are dealt."""
    from sklearn.model_selection import StratifiedGroupKFold

    generator = np.random.default_rng(state)
    _, member, size = np.unique(groups, return_inverse=True, return_counts=True)
    allocated = np.ones(len(y), bool)
    for k in np.unique(y):
        single = np.flatnonzero((size[member] == 1) & (y == k))
        evened = _EVENED * n_splits
        if len(single) >= evened + n_splits:
            allocated[generator.permutation(single)[evened:]] = False
    fold = np.empty(len(y), np.intp)
    rows = np.flatnonzero(allocated)
    folds = StratifiedGroupKFold(n_splits, shuffle=True, random_state=state)
    for k, (_, test) in enumerate(folds.split(np.zeros(len(rows)), y[rows], member[rows])):
        fold[rows[test]] = k
    dealt = np.flatnonzero(~allocated)
    if dealt.size:
        for k, (_, test) in enumerate(stratified(y[dealt], n_splits, state)):
            fold[dealt[test]] = k
    return fold


def _ordered(time: NDArray[Any], n_splits: int) -> list[Pair]:
    """Return expanding windows over `n_splits` + 1 blocks; none where there are too few different moments."""
    moments, at, rows = np.unique(time, return_inverse=True, return_counts=True)
    if len(moments) <= n_splits:
        return []
    before = np.concatenate([[0], np.cumsum(rows)])  # rows earlier than each moment
    wanted = len(time) * np.arange(1, n_splits + 1) / (n_splits + 1)
    cuts = [int(np.abs(before - w).argmin()) for w in wanted]
    # rows of one moment are kept together, so that a crowded moment can leave a block without rows
    if cuts[0] == 0 or len(set(cuts)) < n_splits or cuts[-1] == len(moments):
        return []
    ends = [*cuts[1:], len(moments)]
    return [
        (np.flatnonzero(at < start), np.flatnonzero((at >= start) & (at < end)))
        for start, end in zip(cuts, ends, strict=True)
    ]


def _covers(y: NDArray[Any], parts: Sequence[NDArray[np.intp]], n_classes: int) -> bool:
    return all(np.bincount(y[rows], minlength=n_classes).min() > 0 for rows in parts)


def _groups_of_class(y: NDArray[Any], groups: NDArray[Any]) -> Ints:
    """Return how many groups have a row of each class."""
    return np.array([len(np.unique(groups[y == k])) for k in range(int(y.max()) + 1)], np.int64)


def _check_groups(y: NDArray[Any], groups: NDArray[Any], cv: int, names: Sequence[Hashable]) -> None:
    few = [(name, int(n)) for name, n in zip(names, _groups_of_class(y, groups), strict=True) if n < cv]
    if few:
        listed = ", ".join(f"{name} (in {n})" for name, n in few[:5]) + (", ..." if len(few) > 5 else "")
        smallest = min(n for _, n in few)
        fewer = f"use --cv {smallest} (cv={smallest}), or " if smallest >= 2 else ""
        raise InputError(
            f"every class in at least {cv} groups for {cv} folds",
            f"fewer for {listed}",
            f"{fewer}merge such a class with another: a group is never on both sides of a split.",
        )


def _check_moments(y: NDArray[Any], time: NDArray[Any], cv: int, names: Sequence[Hashable]) -> None:
    pairs = _ordered(time, cv)
    if not pairs:
        raise InputError(
            f"a time that divides the rows into {cv + 1} blocks",
            f"{len(np.unique(time))} different moments, some with too many rows",
            "use fewer folds (--cv, cv=), or a time of finer resolution.",
        )
    for block, rows in _named(pairs):
        missing = np.flatnonzero(np.bincount(y[rows], minlength=len(names)) == 0)
        if missing.size:
            raise InputError(
                f"every class in each of {cv + 1} blocks of time",
                f"no row of class {names[int(missing[0])]} in {block} ({len(rows)} rows)",
                "use fewer folds (--cv, cv=), or merge the class with another.",
            )


def _named(pairs: Sequence[Pair]) -> Iterator[tuple[str, NDArray[np.intp]]]:
    yield "the first block, which is only trained on", pairs[0][0]
    for fold, (_, test) in enumerate(pairs, 1):
        yield f"the rows that fold {fold} tests", test
