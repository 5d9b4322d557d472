"""Trees of XGBoost."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steelyard.boosting import Objective, xgboost
from steelyard.errors import InputError, MissingDependencyError
from steelyard.training import tree_json
from steelyard.training.growing import Growth

__all__ = ["XGBoostLibrary", "XGBoostOptions"]


@dataclass(frozen=True)
class XGBoostOptions:
    """Options under XGBoost's names, with its defaults."""

    n_estimators: int = 100
    learning_rate: float = 0.3
    max_depth: int = 6
    min_child_weight: float = 1.0
    reg_lambda: float = 1.0


class _Bins:
    """Matrices with the same bins, one for each fit at the same time: XGBoost keeps weights and scores in them."""

    def __init__(self, X: NDArray[Any], y: NDArray[Any]) -> None:
        self.X, self.y = X, y
        self.first = _import().QuantileDMatrix(X, y, nthread=1)
        self.free: SimpleQueue[Any] = SimpleQueue()
        self.free.put(self.first)

    def take(self) -> Any:
        try:
            return self.free.get_nowait()
        except Empty:
            return _import().QuantileDMatrix(self.X, self.y, nthread=1, ref=self.first)


class XGBoostLibrary:
    """Growing, scoring and storing trees of XGBoost.

    `bins` are quantiles of the rows of the fold, each counted once. XGBoost's own are quantiles of weights: with
    weights they differ where a feature has more than 256 values, and are the same where it has not.
    """

    name = "xgboost"
    starts_itself = True

    def objective(self, *arguments: Any) -> Objective:
        """Return our objective for XGBoost."""
        return xgboost(*arguments)

    def own_objective(self, n_classes: int) -> str:
        """Return "binary:logistic" or "multi:softprob"."""
        return "binary:logistic" if n_classes == 2 else "multi:softprob"

    def bins(self, X: NDArray[Any], y: NDArray[Any], _: XGBoostOptions) -> Any:
        """Return quantile matrices."""
        return _Bins(X, y)

    @contextmanager
    def lent(self, bins: Any, kept: NDArray[np.intp] | None) -> Iterator[Any]:
        """Yield a matrix of all rows: XGBoost looks at sums of curvature only, so that a row of weight 0 is no row."""
        matrix = bins.take()
        try:
            yield matrix, kept
        finally:
            bins.free.put(matrix)

    def grow(self, data: Any, growth: Growth, options: XGBoostOptions) -> str:
        """Return trees in XGBoost's JSON."""
        matrix, kept = data
        n = matrix.num_row()
        weight = np.ones(len(growth.y)) if growth.weight is None else growth.weight
        # the matrix remembers the fit before: everything is set
        matrix.set_info(label=_spread(growth.y, kept, n), weight=_spread(weight, kept, n))
        none = np.zeros(0, np.float32)
        matrix.set_info(base_margin=none if growth.start is None else _spread(growth.start, kept, n))
        settings: dict[str, Any] = {
            "nthread": 1,
            "verbosity": 0,
            "seed": growth.seed % 2**31,
            "tree_method": "hist",
            "learning_rate": options.learning_rate,
            "max_depth": options.max_depth,
            "min_child_weight": options.min_child_weight,
            "reg_lambda": options.reg_lambda,
        }
        if growth.n_classes > 2:
            settings["num_class"] = growth.n_classes
        if growth.start is not None:
            # XGBoost adds it to raw scores at prediction: nothing
            settings["base_score"] = 0.5 if growth.objective is None and growth.n_classes == 2 else 0.0
        if growth.objective is None:
            settings["objective"] = self.own_objective(growth.n_classes)
        booster = _import().train(settings, matrix, options.n_estimators, obj=growth.objective)
        return tree_json.xgboost(bytes(booster.save_raw("json")).decode(), growth.n_classes)

    def raw(self, booster: Any, X: NDArray[Any]) -> NDArray[np.float64]:
        """Return raw scores."""
        if X.shape[1] != booster.num_features():
            raise InputError(f"{booster.num_features()} features", str(X.shape[1]))
        return np.asarray(booster.inplace_predict(np.asarray(X, np.float64), predict_type="margin"), np.float64)

    def from_text(self, text: str, n_classes: int) -> Any:
        """Return the Booster of a JSON text, of which every number is checked first."""
        booster = _import().Booster({"nthread": 1})
        booster.load_model(bytearray(tree_json.xgboost(text, n_classes).encode()))
        return booster


def _spread(values: NDArray[Any], kept: NDArray[np.intp] | None, n: int) -> NDArray[Any]:
    """Return values of some rows at the places of these among all, zeros elsewhere."""
    if kept is None:
        return values
    out = np.zeros((n, *values.shape[1:]), values.dtype)
    out[kept] = values
    return out


def _import() -> Any:
    try:
        import xgboost as library
    except ModuleNotFoundError:
        raise MissingDependencyError("xgboost-cpu", "model 'xgboost'", extra="boosting") from None
    return library
