"""Trees of LightGBM."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steelyard.boosting import Objective, lightgbm
from steelyard.errors import MissingDependencyError
from steelyard.training.growing import Growth
from steelyard.training.tree_text import checked

__all__ = ["LightGBMLibrary", "LightGBMOptions"]

# deterministic for any number of cores; quiet, because what matters is reported by us
_FIXED = {"num_threads": 1, "deterministic": True, "force_row_wise": True, "verbose": -1}


@dataclass(frozen=True)
class LightGBMOptions:
    """Options under LightGBM's names, with its defaults."""

    n_estimators: int = 100
    learning_rate: float = 0.1
    num_leaves: int = 31
    min_child_samples: int = 20


class LightGBMLibrary:
    """Growing, scoring and storing trees of LightGBM.

    `bins` takes every row of the fold, and every fit borrows a copy of the bins: the same trees as from its own
    rows, whatever the weights. Of fewer rows (undersampling) the bins stay those of the whole fold, which are finer.
    """

    name = "lightgbm"
    starts_itself = True

    def objective(self, *arguments: Any) -> Objective:
        """Return our objective for LightGBM."""
        return lightgbm(*arguments)

    def own_objective(self, n_classes: int) -> str:
        """Return "binary" or "multiclass"."""
        return "binary" if n_classes == 2 else "multiclass"

    def bins(self, X: NDArray[Any], y: NDArray[Any], options: LightGBMOptions) -> Any:
        """Return a constructed Dataset."""
        # features that cannot be split under min_data_in_leaf are left out while binning, by that setting
        settings = {**_FIXED, "min_data_in_leaf": options.min_child_samples}
        return _import().Dataset(X, y, params=settings).construct()

    @contextmanager
    def lent(self, bins: Any, kept: NDArray[np.intp] | None) -> Iterator[Any]:
        """Yield a copy of the bins, which takes the time of a tree or less: weights and scores are part of it."""
        # a row of weight 0 would still count towards the least number of rows in a leaf: it is left out
        rows = range(bins.num_data()) if kept is None else kept.tolist()
        yield bins.subset(rows).construct()

    def grow(self, data: Any, growth: Growth, options: LightGBMOptions) -> str:
        """Return trees in LightGBM's text form."""
        data.set_label(growth.y)
        if growth.weight is not None:
            data.set_weight(growth.weight)
        if growth.start is not None:
            data.set_init_score(growth.start)
        settings: dict[str, Any] = {
            **_FIXED,
            "seed": growth.seed % 2**31,
            "learning_rate": options.learning_rate,
            "num_leaves": options.num_leaves,
            "min_data_in_leaf": options.min_child_samples,
            "objective": growth.objective or self.own_objective(growth.n_classes),
        }
        if growth.n_classes > 2:
            settings["num_class"] = growth.n_classes
        return str(_import().train(settings, data, options.n_estimators).model_to_string())

    def raw(self, booster: Any, X: NDArray[Any]) -> NDArray[np.float64]:
        """Return raw scores."""
        return np.asarray(booster.predict(np.asarray(X, np.float64), raw_score=True, num_threads=1), np.float64)

    def from_text(self, text: str, n_classes: int) -> Any:
        """Return the Booster of a text, which anyone can have written."""
        return _import().Booster(model_str=checked(text, n_classes))


def _import() -> Any:
    try:
        import lightgbm as library
    except ModuleNotFoundError:
        raise MissingDependencyError("lightgbm", "model 'lightgbm'", extra="boosting") from None
    return library
