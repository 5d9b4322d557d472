"""Boosted trees of any library, for many strategies at a time: bins are shared, fits run side by side.

A loss that is the library's own objective at other weights and other starting scores goes through it: that is faster,
and the trees are the same. Every other loss goes through our objective.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from steelyard.boosting import weights_and_offsets
from steelyard.errors import InputError
from steelyard.strategies import Point
from steelyard.training.growing import Growth, Library
from steelyard.training.growing_catboost import CatBoostLibrary, CatBoostOptions
from steelyard.training.growing_lightgbm import LightGBMLibrary, LightGBMOptions
from steelyard.training.growing_xgboost import XGBoostLibrary, XGBoostOptions
from steelyard.training.rows import Rows

__all__ = [
    "BoostedTrees",
    "CatBoostOptions",
    "CatBoostTrees",
    "LightGBMOptions",
    "LightGBMTrees",
    "XGBoostOptions",
    "XGBoostTrees",
    "fit_points",
]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class BoostedTrees:
    """Trained trees: raw scores plus what they started from.

    Attributes
    ----------
    text : str
        The trees in the library's own text form.
    start : float64 ndarray of shape (1,) or (C,)
        Constant that is added to raw scores.
    n_classes : int
    objective : str
        The library's name of its own objective, or "steelyard": what the trees were grown on.
    """

    library: ClassVar[Library]

    text: str
    start: Floats
    n_classes: int
    objective: str
    _booster: Any = field(repr=False, compare=False)

    def logits(self, X: NDArray[Any]) -> Floats:
        """Return unnormalised scores of shape (n, C)."""
        raw = self.library.raw(self._booster, X) + self.start
        return raw if raw.ndim == 2 else np.stack([np.zeros(len(raw)), raw], axis=1)

    def state(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return what has to be stored: JSON data, and arrays by name."""
        return {"text": self.text, "n_classes": self.n_classes, "objective": self.objective}, {"start": self.start}

    @classmethod
    def from_state(cls, facts: dict[str, Any], arrays: dict[str, Any]) -> BoostedTrees:
        """Return the trees that `state` described."""
        text, start = str(facts["text"]), np.asarray(arrays["start"], np.float64)
        n_classes = int(facts["n_classes"])
        if start.shape not in ((1,), (n_classes,)):
            raise InputError(f"a start of shape (1,) or ({n_classes},)", str(start.shape))
        return cls(text, start, n_classes, str(facts["objective"]), cls.library.from_text(text, n_classes))


class LightGBMTrees(BoostedTrees):
    """Trees of LightGBM."""

    library = LightGBMLibrary()


class XGBoostTrees(BoostedTrees):
    """Trees of XGBoost."""

    library = XGBoostLibrary()


class CatBoostTrees(BoostedTrees):
    """Trees of CatBoost."""

    library = CatBoostLibrary()


def fit_points(
    trees: type[BoostedTrees],
    X: NDArray[Any],
    y: Ints,
    points: Sequence[Point],
    n_classes: int,
    state: int,
    options: Any,
    threads: int = 1,
    sample_weight: Floats | None = None,
) -> list[tuple[BoostedTrees, float] | Exception]:
    """Grow trees on the loss of each strategy.

    The rows are binned once for all strategies that take rows of the fold; one that makes rows (SMOTE) bins its own.
    Each fit takes one thread, so that its trees do not depend on how many run at a time.

    Parameters
    ----------
    trees : subclass of BoostedTrees
    X : ndarray of shape (n, d)
    y : int ndarray of shape (n,)
        Class indices.
    points : sequence of Point
        With `point.later`, the last trees are grown on that loss.
    n_classes : int
    state : int
        Seed.
    options
        Of the library: `LightGBMOptions`, `XGBoostOptions` or `CatBoostOptions`.
    threads : int, default 1
        Fits that run at the same time.
    sample_weight : float64 ndarray of shape (n,), optional
        Positive. Bins and least numbers of rows in a leaf count rows, not weights, as in the libraries.

    Returns
    -------
    list of (BoostedTrees, seconds), or Exception
        One per point: what kept one from being trained leaves the others alone. Time is that of the fit and its share
        of the binning.
    """
    library, begun = trees.library, time.perf_counter()
    sampled: list[Rows | Exception] = [_attempt(Rows, X, y, point, state, sample_weight) for point in points]
    sharing = sum(isinstance(rows, Rows) and not rows.made for rows in sampled)
    shared = _attempt(library.bins, X, y, options) if sharing else None
    share = (time.perf_counter() - begun) / max(1, sharing)

    def one(point: Point, rows: Rows | Exception) -> Any:
        if isinstance(rows, Exception):
            return rows
        if isinstance(shared, Exception) and not rows.made:
            return shared
        started = time.perf_counter()
        bins = library.bins(rows.X, rows.y, options) if rows.made else shared
        grown = _grown(trees, bins, rows, point, n_classes, state, options)
        return grown, time.perf_counter() - started + (0.0 if rows.made else share)

    def attempt(point: Point, rows: Rows | Exception) -> Any:
        return _attempt(one, point, rows)

    if threads <= 1 or len(points) <= 1:
        return [attempt(point, rows) for point, rows in zip(points, sampled, strict=True)]
    with ThreadPoolExecutor(min(threads, len(points))) as pool:
        return list(pool.map(attempt, points, sampled))


def _attempt(work: Any, *arguments: Any) -> Any:
    try:
        return work(*arguments)
    except Exception as error:  # reported as skipped; the other strategies go on
        return error


def _grown(
    trees: type[BoostedTrees], bins: Any, rows: Rows, point: Point, n_classes: int, state: int, options: Any
) -> BoostedTrees:
    library, y, weight = trees.library, rows.y, rows.weight
    kept = None
    if weight is not None and (weight == 0).any():
        kept = np.flatnonzero(weight > 0)
        y, weight = y[kept], weight[kept]
    sums = np.bincount(y, weights=weight, minlength=n_classes).astype(np.float64)
    loss, later = _at_mean_one(point.loss, sums), _at_mean_one(point.later, sums)
    after = None if later is None else round(point.defer * options.n_estimators)
    objective = library.objective(loss, n_classes, later, after)
    own = weights_and_offsets(loss, y, n_classes) if later is None else None
    start, by_row = np.zeros(1), None
    if own is None or own[1] is not None or not library.starts_itself:
        start = objective.initial_score(sums)
        by_row = np.full(len(y), start[0]) if n_classes == 2 else np.tile(start, (len(y), 1))
    if own is not None:
        by_class, offset = own
        if by_class is not None:
            weight = by_class if weight is None else weight * by_class
        if by_row is not None and offset is not None:
            by_row = by_row + offset
    growth = Growth(y, weight, by_row, objective if own is None else None, n_classes, state)
    with library.lent(bins, kept) as data:
        text = library.grow(data, growth, options)
    name = "steelyard" if own is None else library.own_objective(n_classes)
    # CatBoost rounds numbers in its text: scores are those of the trees that can be stored
    return trees(text, start, n_classes, name, library.from_text(text, n_classes))


def _at_mean_one(loss: Any, sums: Floats) -> Any:
    """Return the loss with class weights that are 1 on average over the rows.

    They say how classes compare. Their size would be read as a number of rows: by penalties on leaves, and by the
    least curvature of a leaf, under which weights of 1e-3 let XGBoost split nothing.
    """
    if loss is None or loss.class_weight is None or loss.weight_by != "target":
        return loss
    w = np.broadcast_to(loss.class_weight, sums.shape)
    return loss.replace(class_weight=w * (sums.sum() / (sums @ w)))
