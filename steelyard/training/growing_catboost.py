"""Trees of CatBoost."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steelyard.boosting import Objective, catboost
from steelyard.errors import InputError, MissingDependencyError
from steelyard.training import tree_json
from steelyard.training.growing import Growth

__all__ = ["CatBoostLibrary", "CatBoostOptions"]

_CALLS = 200_000  # at 0.2 ms each


@dataclass(frozen=True)
class CatBoostOptions:
    """Options, of the meaning that CatBoost gives them.

    CatBoost's own learning rate depends on the number of rows and trees, and its number of trees is 1,000: here both
    are fixed, so that all folds and strategies are trained alike.
    """

    n_estimators: int = 100
    learning_rate: float = 0.2
    depth: int = 6
    l2_leaf_reg: float = 3.0


class CatBoostLibrary:
    """Growing, scoring and storing trees of CatBoost.

    `bins` are borders of the rows of the fold, and every fit borrows a copy: the same trees as from its own rows,
    whatever the weights. Every strategy starts from the constant score that fits best (CatBoost itself starts from 0),
    and leaves take one Newton step.
    """

    name = "catboost"
    starts_itself = False

    def objective(self, *arguments: Any) -> Objective:
        """Return our objective for CatBoost."""
        return catboost(*arguments)

    def own_objective(self, n_classes: int) -> str:
        """Return "Logloss" or "MultiClass"."""
        return "Logloss" if n_classes == 2 else "MultiClass"

    def bins(self, X: NDArray[Any], y: NDArray[Any], _: CatBoostOptions) -> Any:
        """Return a quantised Pool."""
        pool = _import().Pool(np.asarray(X, np.float64), y, thread_count=1)
        pool.quantize()
        return pool

    @contextmanager
    def lent(self, bins: Any, kept: NDArray[np.intp] | None) -> Iterator[Any]:
        """Yield a copy of the pool, or of some of its rows."""
        yield bins.slice(np.arange(bins.num_row()) if kept is None else kept)

    def grow(self, data: Any, growth: Growth, options: CatBoostOptions) -> str:
        """Return trees in CatBoost's JSON.

        Raises
        ------
        InputError
            If it would take CatBoost minutes to ask our objective row by row.
        """
        calls = 2 * len(growth.y) * options.n_estimators
        if growth.objective is not None and growth.n_classes > 2 and calls > _CALLS:
            raise InputError(
                f"a loss that is CatBoost's own objective at some weights and offsets, for {growth.n_classes} classes "
                f"and {len(growth.y)} rows",
                f"one for which it calls Python {calls} times",
                "take lightgbm or xgboost for it, or fewer trees.",
            )
        if growth.weight is not None:
            data.set_weight(growth.weight)
        if growth.start is not None:
            data.set_baseline(growth.start)
        own = self.own_objective(growth.n_classes)
        settings: dict[str, Any] = {
            "thread_count": 1,
            "logging_level": "Silent",
            "allow_writing_files": False,
            "random_seed": growth.seed % 2**31,
            "iterations": options.n_estimators,
            "learning_rate": options.learning_rate,
            "depth": options.depth,
            "l2_leaf_reg": options.l2_leaf_reg,
            "loss_function": growth.objective or own,
            "eval_metric": own,
            # what CatBoost takes by itself for its own objectives, said because it does not for ours
            "leaf_estimation_method": "Newton",
            "leaf_estimation_iterations": 1,
            "boost_from_average": False,
        }
        if growth.n_classes == 2:
            settings |= {"bootstrap_type": "MVS", "subsample": 0.8}
        else:
            settings |= {"bootstrap_type": "Bayesian", "classes_count": growth.n_classes}
        booster = _import().CatBoost(settings)
        booster.fit(data, callbacks=None if growth.objective is None else [growth.objective])
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "trees.json")
            booster.save_model(str(path), format="json")
            return tree_json.catboost(path.read_text(), growth.n_classes)

    def raw(self, booster: Any, X: NDArray[Any]) -> NDArray[np.float64]:
        """Return raw scores."""
        X = np.ascontiguousarray(X, np.float64)
        return np.asarray(booster.predict(X, prediction_type="RawFormulaVal", thread_count=1), np.float64)

    def from_text(self, text: str, n_classes: int) -> Any:
        """Return the CatBoost of a JSON text, of which every number is checked first."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "trees.json")
            path.write_text(tree_json.catboost(text, n_classes))
            return _import().CatBoost().load_model(str(path), format="json")


def _import() -> Any:
    try:
        import catboost as library
    except ModuleNotFoundError:
        raise MissingDependencyError("catboost", "model 'catboost'", extra="boosting") from None
    return library
