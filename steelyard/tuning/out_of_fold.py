"""Inner folds of the rows that a decision is tuned on, and what models that did not see them say of these rows."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steelyard import training
from steelyard.errors import InputError
from steelyard.strategies import Point, Strategy
from steelyard.training import Fitted, Model
from steelyard.tuning.tasks import Part
from steelyard.weights import ClassCounts

__all__ = ["INNER", "counts_of", "fitted", "inner_folds", "posteriors", "stratified"]

Floats = NDArray[np.float64]
Pair = tuple[NDArray[np.intp], NDArray[np.intp]]  # positions to train on, positions to test

INNER = 3


def stratified(y: NDArray[Any], n_splits: int, state: int) -> list[Pair]:
    """Return so many folds with the classes in proportion, drawn by row."""
    from sklearn.model_selection import StratifiedKFold

    folds = StratifiedKFold(n_splits, shuffle=True, random_state=state)
    return list(folds.split(np.zeros(len(y)), y))


def inner_folds(y: NDArray[Any], state: int) -> list[Pair]:
    """Return the folds of free rows on which a decision is tuned: 3, or as many as the rarest class allows.

    Examples
    --------
    >>> [len(inner_folds(np.repeat([0, 1], [9, n]), 0)) for n in (5, 2, 1)]
    [3, 2, 0]
    """
    n_splits = min(INNER, int(np.bincount(y).min()))
    return stratified(y, n_splits, state) if n_splits >= 2 else []


def counts_of(y: NDArray[Any], n_classes: int, sample_weight: Floats | None = None) -> ClassCounts:
    """Return the counts of class indices, or the sums of weights, absent classes kept."""
    if sample_weight is None:
        return ClassCounts.from_labels(y, classes=range(n_classes))
    return ClassCounts.from_counts(np.bincount(y, sample_weight, minlength=n_classes), classes=range(n_classes))


def fitted(model: Model, part: Part, point: Point, n_classes: int, start: Fitted | None = None) -> Fitted:
    """Train a model on a part's rows.

    Raises
    ------
    InputError
        Naming the model and the strategy, if it cannot be trained.
    """
    one = training.fit_all(
        model, part.X, part.y, [point], n_classes, part.state, [start], sample_weight=part.sample_weight
    )[0]
    if isinstance(one, Exception):
        raise InputError(
            f"rows that '{model}' with '{point.strategy}' can be trained on", f"{type(one).__name__}: {one}".rstrip(".")
        ) from one
    return one


def posteriors(
    model: Model,
    strategy: Strategy,
    inner: Iterable[tuple[NDArray[np.intp], Part]],
    n: int,
    n_classes: int,
    start: Fitted | None = None,
) -> Floats:
    """Return probabilities of rows by models that did not see them; NaN for a row that no inner fold holds out.

    Parameters
    ----------
    model : Model
    strategy : Strategy
    inner : iterable of (positions, Part)
        Which of the rows are held out, and the fit that scores them.
    n : int
        How many rows there are.
    n_classes : int
    start : Fitted, optional
        The fit on all rows, where a linear model starts: it changes nothing.

    Raises
    ------
    InputError
        If there are no inner folds, or one of them cannot be trained on.
    """
    proba = np.full((n, n_classes), np.nan)
    some = False
    for held_out, part in inner:
        some = True
        point = training.resolve(model, strategy, counts_of(part.y, n_classes, part.sample_weight))
        proba[held_out] = point.posterior(
            training.logits(fitted(model, part, point, n_classes, start).model, part.score)
        )
    if not some:
        raise InputError(
            "two rows of every class, to tune a decision on",
            "a class with one",
            "the strategy's own decision needs none: decisions='default', or metric=None.",
        )
    return proba
