"""How a network of the user's own is trained on a strategy: the steps, rows and constants of our own networks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steelyard.strategies import Point
from steelyard.training import mlp, networks

__all__ = ["OPTIONS", "Plan", "plan"]

OPTIONS = ("epochs", "batch_size", "learning_rate", "weight_decay")


@dataclass(frozen=True)
class Plan:
    """What every step of a training does.

    Attributes
    ----------
    X, y : ndarray
        Rows, those that a sampler made included.
    batches : int32 ndarray of shape (steps, batch_size)
        Rows of each step.
    losses : tuple of SoftmaxCrossEntropy
        The loss, and the one of the last part of training where there is one.
    denominators : tuple of float
        What the sum over a batch is divided by under each loss: B · ω̄, with ω̄ the mean weight of all rows drawn. A
        mean that is normalised batch by batch would give the rare class less than its share.
    switch : int
        Step at which the second loss takes over.
    rate, decay : float
        Peak of the cosine schedule, and weight decay, of AdamW.
    """

    X: NDArray[Any]
    y: NDArray[Any]
    batches: NDArray[np.int32]
    losses: tuple[Any, ...]
    denominators: tuple[float, ...]
    switch: int
    rate: float
    decay: float

    @property
    def steps(self) -> int:
        """Number of steps."""
        return len(self.batches)

    def part(self, step: int) -> int:
        """Return which loss a step is taken on."""
        return int(len(self.losses) > 1 and step >= self.switch)


def plan(
    X: NDArray[Any], y: NDArray[Any], point: Point, n_classes: int, state: int, options: Mapping[str, Any]
) -> Plan:
    """Return the plan for a strategy's point on a training fold; the rows of its steps are those of `networks`.

    Parameters
    ----------
    X : ndarray of shape (n, d)
    y : int ndarray of shape (n,)
    point : Point
    n_classes, state : int
    options : mapping
        Of `OPTIONS`; defaults as in `mlp.Schedule`.

    Returns
    -------
    Plan

    Examples
    --------
    >>> import steelyard as sy
    >>> counts = sy.ClassCounts.from_counts({"a": 90, "b": 10})
    >>> y = np.repeat([0, 1], [90, 10])
    >>> made = plan(np.zeros((100, 2)), y, sy.strategies.get("none").resolve(counts), 2, 0, {"epochs": 2})
    >>> made.batches.shape, made.denominators
    ((6, 32), (32.0,))
    """
    schedule = mlp.Schedule(**options)
    steps, batch = schedule.steps(len(y)), schedule.batch(len(y))
    batches, made = networks.stream(point.sampler, X, y, steps, batch, state)
    if made is not None:
        X, y = np.concatenate([X, made[0]]), np.concatenate([y, made[1]])
    losses = (point.loss,) if point.later is None else (point.loss, point.later)
    drawn = y[batches].ravel()
    return Plan(
        X=X,
        y=y,
        batches=batches,
        losses=losses,
        denominators=tuple(_weight(loss, drawn, n_classes) / steps for loss in losses),
        switch=round(point.defer * steps),
        rate=schedule.rate,
        decay=schedule.weight_decay,
    )


def _weight(loss: Any, y: NDArray[Any], n_classes: int) -> float:
    """Return Σ ω over rows, which depends on the true class alone."""
    each = [float(loss.numerator_and_denominator(np.zeros((1, n_classes)), np.array([c]))[1]) for c in range(n_classes)]
    return float(np.bincount(y, minlength=n_classes) @ np.array(each))
