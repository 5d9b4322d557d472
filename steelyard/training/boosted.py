"""LightGBM on our losses; weighted cross-entropy goes through its own objective, which is the same and faster."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steelyard.boosting import LightGBM, lightgbm
from steelyard.errors import InputError, MissingDependencyError
from steelyard.strategies import Point
from steelyard.training.tree_text import checked

__all__ = ["BoostedTrees", "fit"]

Floats = NDArray[np.float64]

# deterministic for any number of cores; quiet, because what matters is reported by us
_FIXED = {"num_threads": 1, "deterministic": True, "force_row_wise": True, "verbose": -1}


@dataclass(frozen=True)
class BoostedTrees:
    """Trained trees: raw scores plus what they started from.

    Attributes
    ----------
    text : str
        The trees in LightGBM's own text form.
    start : float64 ndarray of shape (1,) or (C,)
        Constant that is added to raw scores.
    n_classes : int
    """

    text: str
    start: Floats
    n_classes: int
    _booster: Any = field(repr=False, compare=False)

    def logits(self, X: NDArray[Any]) -> Floats:
        """Return unnormalised scores of shape (n, C)."""
        raw = np.asarray(self._booster.predict(np.asarray(X, np.float64), raw_score=True, num_threads=1), np.float64)
        raw = raw + self.start
        return raw if raw.ndim == 2 else np.stack([np.zeros(len(raw)), raw], axis=1)

    def state(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return what has to be stored: JSON data, and arrays by name."""
        return {"text": self.text, "n_classes": self.n_classes}, {"start": self.start}

    @classmethod
    def from_state(cls, facts: dict[str, Any], arrays: dict[str, Any]) -> BoostedTrees:
        """Return the trees that `state` described."""
        text = str(facts["text"])
        n_classes = int(facts["n_classes"])
        start = np.asarray(arrays["start"], np.float64)
        if start.shape not in ((1,), (n_classes,)):
            raise InputError(f"a start for each of {n_classes} classes", f"shape {start.shape}")
        booster = _import().Booster(model_str=checked(text, n_classes))
        return cls(text, start, n_classes, booster)


def fit(
    X: NDArray[Any],
    y: NDArray[Any],
    point: Point,
    n_classes: int,
    state: int,
    sample_weight: NDArray[Any] | None = None,
    n_estimators: int = 100,
    learning_rate: float = 0.1,
    num_leaves: int = 31,
    min_child_samples: int = 20,
) -> BoostedTrees:
    """Grow trees on the loss of a strategy.

    Parameters
    ----------
    X : ndarray of shape (n, d)
    y : int ndarray of shape (n,)
        Class indices.
    point : Point
        With `point.later`, the last trees are grown on that loss.
    n_classes : int
    state : int
        Seed.
    sample_weight : ndarray of shape (n,), optional
    n_estimators, learning_rate, num_leaves, min_child_samples
        As in LightGBM, with its defaults.

    Returns
    -------
    BoostedTrees
    """
    library = _import()
    settings: dict[str, Any] = {
        **_FIXED,
        "seed": state % 2**31,
        "learning_rate": learning_rate,
        "num_leaves": num_leaves,
        "min_data_in_leaf": min_child_samples,
    }
    if n_classes > 2:
        settings["num_class"] = n_classes
    weight = np.ones(len(y)) if sample_weight is None else np.asarray(sample_weight, np.float64)
    if _is_weighted_cross_entropy(point):
        w = point.loss.parameters["class_weight"]
        if w is not None:
            weight = weight * w[y]
        settings["objective"] = "binary" if n_classes == 2 else "multiclass"
        data = library.Dataset(X, y, weight=weight)
        booster = library.train(settings, data, n_estimators)
        return BoostedTrees(booster.model_to_string(), np.zeros(1), n_classes, booster)
    objective = _Deferred(point, n_classes, round(point.defer * n_estimators))
    sums = np.bincount(y, weights=weight, minlength=n_classes)
    data = library.Dataset(X, y, weight=weight, init_score=objective.first.start(sums, len(y)))
    booster = library.train({**settings, "objective": objective}, data, n_estimators)
    return BoostedTrees(booster.model_to_string(), objective.first.initial_score(sums), n_classes, booster)


def _is_weighted_cross_entropy(point: Point) -> bool:
    present = {name for name, value in point.loss.parameters.items() if value is not None}
    return present <= {"class_weight"} and point.loss.weight_by == "target" and point.later is None


class _Deferred:
    """The objective of a strategy: its loss, and from some tree on the later one."""

    def __init__(self, point: Point, n_classes: int, switch: int) -> None:
        self.first: LightGBM = lightgbm(point.loss, n_classes)
        self.later: LightGBM = lightgbm(point.last_loss, n_classes)
        self.switch, self.grown = switch, 0

    def __call__(self, raw: NDArray[Any], data: Any) -> tuple[Floats, Floats]:
        objective = self.first if self.grown < self.switch else self.later
        self.grown += 1
        return objective(raw, data)


def _import() -> Any:
    try:
        import lightgbm as library
    except ModuleNotFoundError:
        raise MissingDependencyError("lightgbm", "model 'lightgbm'", extra="boosting") from None
    return sys.modules[library.__name__]
