"""The models that a comparison can train, by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from steelyard import sampling
from steelyard.errors import one_of
from steelyard.strategies import Point
from steelyard.training import linear

__all__ = ["Fitted", "fit", "names"]

Floats = NDArray[np.float64]


class Model(Protocol):
    """A trained model."""

    def logits(self, X: Floats) -> Floats:
        """Return unnormalised scores of shape (n, C)."""
        ...


@dataclass(frozen=True)
class Fitted:
    """A trained model, and what was noticed while training it.

    Attributes
    ----------
    model : Model
    rows : intp ndarray
        Positions of the rows it was trained on, with repeats.
    trouble : str or None
        Why the fit should not be trusted blindly: it did not converge.
    """

    model: Model
    rows: NDArray[np.intp]
    trouble: str | None


def _linear(
    X: Floats, y: NDArray[np.int64], point: Point, rows: NDArray[np.intp], n_classes: int, start: Fitted | None
) -> Fitted:
    # a row that was drawn k times is a row of weight k: the same optimum from fewer rows
    drawn = None if point.sampler is None else np.bincount(rows, minlength=len(y)).astype(np.float64)
    first = start.model if start is not None and isinstance(start.model, linear.LinearModel) else None
    model = linear.fit(X, y, point.loss, n_classes, sample_weight=drawn, start=first)
    trouble = None
    if not model.converged:
        trouble = f"stopped after {model.steps} steps before its gradient ({model.residual:.0e}) was small"
    return Fitted(model, rows, trouble)


_MODELS: dict[str, Callable[..., Fitted]] = {"linear": _linear}


def names() -> tuple[str, ...]:
    """Return the names of the models.

    Examples
    --------
    >>> names()
    ('linear',)
    """
    return tuple(_MODELS)


def fit(
    model: str,
    X: Floats,
    y: NDArray[np.int64],
    point: Point,
    n_classes: int,
    generator: np.random.Generator,
    start: Fitted | None = None,
) -> Fitted:
    """Train `model` on a training fold as `point` says.

    Parameters
    ----------
    model : str
        One of `names()`.
    X : float64 ndarray of shape (n, d)
        Preprocessed features of the training fold.
    y : int64 ndarray of shape (n,)
        Class indices.
    point : Point
        A strategy resolved on the counts of `y`.
    n_classes : int
    generator : numpy.random.Generator
        Draws the rows, if the strategy samples.
    start : Fitted, optional
        A fit of the same strategy on other rows, to start from where that is safe.

    Returns
    -------
    Fitted

    Raises
    ------
    InputError
        If there is no such model, or training cannot start.
    """
    one_of("model", model, _MODELS)
    rows = np.arange(len(y)) if point.sampler is None else sampling.rows(point.sampler, y, generator)
    return _MODELS[model](X, y, point, rows, n_classes, start)
