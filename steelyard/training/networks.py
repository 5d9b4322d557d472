"""Strategies of a training fold → runs of the stacked networks: losses, index streams, rows that samplers make."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steelyard import sampling
from steelyard.strategies import Point
from steelyard.training import mlp
from steelyard.training.batches import held_out, repeated, shuffled, steps_per_epoch
from steelyard.weights import class_weight

__all__ = ["copies_of", "drawing", "equal_masses", "fit_points", "stream"]

# one stream of random numbers per purpose, all from the seed of the fold: the strategies that are in or out of a
# comparison change nothing for the others
_INITIAL, _ORDER, _DRAW, _HELD = 0, 1, 2, 3


def drawing(state: int) -> np.random.Generator:
    """Return the generator of the rows that a sampler draws or makes: the same for every model of a fold."""
    return np.random.default_rng([state, _DRAW])


def copies_of(sample_weight: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return how often a pass over the rows takes each row: whole numbers as they are, others brought to mean 1.

    Examples
    --------
    >>> copies_of(np.array([1.0, 3.0])), copies_of(np.array([0.5, 1.5]))
    (array([1., 3.]), array([0.5, 1.5]))
    >>> copies_of(np.array([0.1, 0.3]))
    array([0.5, 1.5])
    """
    whole = (sample_weight == np.floor(sample_weight)).all()
    return sample_weight if whole else sample_weight * (len(sample_weight) / sample_weight.sum())


def equal_masses(weight: NDArray[np.float64], y: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return weights with the same sum in every class that has any, and the same sum of all.

    Examples
    --------
    >>> equal_masses(np.array([3.0, 3.0, 2.0]), np.array([0, 0, 1]))
    array([2., 2., 4.])
    """
    masses = np.bincount(y, weights=weight)
    each = masses.sum() / np.count_nonzero(masses)
    return np.asarray(weight * (each / np.where(masses > 0, masses, 1.0))[y])


def stream(
    name: str | None,
    X: NDArray[Any],
    y: NDArray[np.int64],
    steps: int,
    batch: int,
    state: int,
    copies: NDArray[np.float64] | None = None,
) -> tuple[NDArray[np.int32], tuple[NDArray[Any], NDArray[Any]] | None]:
    """Return the rows of each step under a sampler, and the rows that it makes, which are numbered after those of `X`.

    Parameters
    ----------
    name : str or None
        Of a sampler; None takes each row once a pass.
    X : ndarray of shape (n, d)
    y : int ndarray of shape (n,)
    steps, batch : int
    state : int
        Seed of the fold.
    copies : float64 ndarray of shape (n,), optional
        How many rows each row stands for.

    Returns
    -------
    tuple of int32 ndarray of shape (steps, batch), and (rows, labels) or None
    """
    draw, order = drawing(state), np.random.default_rng([state, _ORDER])
    if name == sampling.BATCHES:
        return sampling.balanced_batches(y, steps, batch, order, copies), None
    if name == sampling.SYNTHETIC:
        made = sampling.smote(X, y, draw, copies)
        return shuffled(np.arange(len(y) + len(made[1])), steps, batch, order), made
    rows = np.arange(len(y)) if name is None else sampling.rows(name, y, draw)
    if copies is not None:
        times = copies if name is None else equal_masses(np.bincount(rows, minlength=len(y)) * copies, y)
        return repeated(times, steps, batch, order), None
    return shuffled(rows, steps, batch, order), None


def fit_points(
    X: NDArray[Any],
    y: NDArray[np.int64],
    points: Sequence[Point],
    n_classes: int,
    state: int,
    schedule: mlp.Schedule,
    sample_weight: NDArray[np.float64] | None = None,
) -> list[mlp.MLP | Exception]:
    """Train one network per strategy, all from the same initial weights and, where they draw alike, in the same order.

    With early stopping a tenth of every class is set aside first: samplers and streams see the other rows only.

    The step knows no weights of rows: a row of `sample_weight` s is taken s times in a pass over the rows (`repeated`).
    Whole numbers give the networks of a table with so many copies; other weights are brought to mean 1, so that a pass
    is as long as without, and are met on average.

    Returns
    -------
    list
        A network per point, or what kept it from being trained.
    """
    stop_X, stop_y = X[:0], y[:0]
    copies = None if sample_weight is None else copies_of(sample_weight)
    stop_copies = None
    if schedule.patience:
        kept, stop = held_out(y, np.random.default_rng([state, _HELD]))
        stop_X, stop_y, X, y = X[stop], y[stop], X[kept], y[kept]
        if copies is not None:
            stop_copies, copies = copies[stop], copies[kept]
    size = len(y) if copies is None else max(1, round(copies.sum()))
    steps, batch = schedule.steps(size), schedule.batch(size)
    made: tuple[NDArray[Any], NDArray[Any]] | None = None
    streams: dict[str | None, Any] = {}
    failed: dict[str | None, Exception] = {}
    for name in dict.fromkeys(p.sampler for p in points):
        try:
            streams[name], own = stream(name, X, y, steps, batch, state, copies)
            made = own or made
        except ValueError as error:
            failed[name] = error
    table, labels = (X, y) if made is None else (np.concatenate([X, made[0]]), np.concatenate([y, made[1]]))
    place = {name: i for i, name in enumerate(streams)}
    trained = [p for p in points if p.sampler in place]
    sizes = (X.shape[1], *schedule.hidden, n_classes)
    held = None
    if schedule.patience:
        # every sampler ends with equal classes, and so do the rows that its networks are stopped on
        plain = np.ones(len(stop_y)) if stop_copies is None else stop_copies
        equal = class_weight("balanced", np.bincount(stop_y, plain, minlength=n_classes))[stop_y] * plain
        weight = np.stack([plain if name is None else equal for name in place] or [equal])
        held = mlp.Held(stop_X, stop_y, weight, steps_per_epoch(size, batch))
    networks = iter(
        mlp.fit_all(
            table,
            labels,
            [mlp.Run(p.loss, place[p.sampler], p.later, p.defer, p.cosine) for p in trained],
            np.stack(list(streams.values())),
            mlp.initial_weights(sizes, np.random.default_rng([state, _INITIAL])),
            schedule,
            n_classes,
            held=held,
        )
        if trained
        else ()
    )
    return [next(networks) if p.sampler in place else failed[p.sampler] for p in points]
