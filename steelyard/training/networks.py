"""Strategies of a training fold → runs of the stacked networks: losses, index streams, rows that samplers make."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steelyard import sampling
from steelyard.strategies import Point
from steelyard.training import mlp
from steelyard.training.batches import held_out, shuffled, steps_per_epoch
from steelyard.weights import class_weight

__all__ = ["drawing", "fit_points", "stream"]

# one stream of random numbers per purpose, all from the seed of the fold: the strategies that are in or out of a
# comparison change nothing for the others
_INITIAL, _ORDER, _DRAW, _HELD = 0, 1, 2, 3


def drawing(state: int) -> np.random.Generator:
    """Return the generator of the rows that a sampler draws or makes: the same for every model of a fold."""
    return np.random.default_rng([state, _DRAW])


def stream(
    name: str | None, X: NDArray[Any], y: NDArray[np.int64], steps: int, batch: int, state: int
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

    Returns
    -------
    tuple of int32 ndarray of shape (steps, batch), and (rows, labels) or None
    """
    draw, order = drawing(state), np.random.default_rng([state, _ORDER])
    if name == sampling.BATCHES:
        return sampling.balanced_batches(y, steps, batch, order), None
    if name == sampling.SYNTHETIC:
        made = sampling.smote(X, y, draw)
        return shuffled(np.arange(len(y) + len(made[1])), steps, batch, order), made
    rows = np.arange(len(y)) if name is None else sampling.rows(name, y, draw)
    return shuffled(rows, steps, batch, order), None


def fit_points(
    X: NDArray[Any],
    y: NDArray[np.int64],
    points: Sequence[Point],
    n_classes: int,
    state: int,
    schedule: mlp.Schedule,
) -> list[mlp.MLP | Exception]:
    """Train one network per strategy, all from the same initial weights and, where they draw alike, in the same order.

    With early stopping a tenth of every class is set aside first: samplers and streams see the other rows only.

    Returns
    -------
    list
        A network per point, or what kept it from being trained.
    """
    stop_X, stop_y = X[:0], y[:0]
    if schedule.patience:
        kept, stop = held_out(y, np.random.default_rng([state, _HELD]))
        stop_X, stop_y, X, y = X[stop], y[stop], X[kept], y[kept]
    steps, batch = schedule.steps(len(y)), schedule.batch(len(y))
    made: tuple[NDArray[Any], NDArray[Any]] | None = None
    streams: dict[str | None, Any] = {}
    failed: dict[str | None, Exception] = {}
    for name in dict.fromkeys(p.sampler for p in points):
        try:
            streams[name], own = stream(name, X, y, steps, batch, state)
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
        equal = class_weight("balanced", np.bincount(stop_y, minlength=n_classes))[stop_y]
        weight = np.stack([np.ones(len(stop_y)) if name is None else equal for name in place] or [equal])
        held = mlp.Held(stop_X, stop_y, weight, steps_per_epoch(len(y), batch))
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
