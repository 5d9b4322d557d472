"""CatBoost: ``loss_function=``."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from steelyard.boosting.objective import Objective
from steelyard.losses.base import Loss

__all__ = ["CatBoost", "catboost"]

Floats = NDArray[np.float64]


def catboost(loss: Loss, n_classes: int | None = None, later: Loss | None = None, after: int | None = None) -> CatBoost:
    """Return an objective for ``catboost.CatBoost({"loss_function": ..., "eval_metric": ...})``.

    Parameters
    ----------
    loss : SoftmaxCrossEntropy or SigmoidCrossEntropy
        What to minimise, with its gradient and a positive bound of its curvature.
    n_classes : int, optional
        Default: as many as the parameters of `loss` are for, else 2.
    later, after : loss and int, optional
        A loss that takes over after so many trees; then pass ``fit(pool, callbacks=[objective])``, by which the
        objective counts them.

    Examples
    --------
    >>> import steelyard as sy
    >>> objective = sy.boosting.catboost(sy.losses.focal(gamma=2.0))
    >>> objective.n_classes
    2
    """
    return CatBoost(loss, n_classes, later, after)


class CatBoost(Objective):
    """A loss as CatBoost calls it: derivatives of −ℓ, for blocks of rows or, with more than two classes, row by row.

    Parameters
    ----------
    loss, n_classes, later, after
        See `catboost`.

    Notes
    -----
    The curvature is a positive bound: exact for binary cross-entropy in its weighted and adjusted forms; with
    focusing the negative part of the second derivative is left out (see `SoftmaxCrossEntropy.curvature`). With more
    than two classes CatBoost takes the whole matrix, of `SoftmaxCrossEntropy.hessian`, a bound in the
    order of matrices; of one label per class against the rest it is diagonal.

    With more than two classes CatBoost calls Python twice for each row and tree, which is slow (benchmarks/speed/
    bench_boosters.py): where `weights_and_offsets` says that CatBoost's own objective is the loss, use that.

    CatBoost scores splits by sums of row weights, which weights inside a loss are not: to get the trees of its own
    weighted objective, give ω of `weights_and_offsets` to the pool and plain cross-entropy to this.

    CatBoost needs to be told what follows from the name of its own objectives: ``eval_metric`` "Logloss" or
    "MultiClass", and to be equal to these, ``leaf_estimation_method="Newton"`` and their ``bootstrap_type``. It
    starts from 0: give the pool ``baseline=`` as `start` returns it, and add `initial_score` to raw predictions.

    Examples
    --------
    >>> import numpy as np, steelyard as sy
    >>> objective = sy.boosting.catboost(sy.losses.cross_entropy())
    >>> objective.calc_ders_range(np.zeros(2), np.array([0.0, 1.0]), None)
    array([[-0.5 , -0.25],
           [ 0.5 , -0.25]])
    """

    library: ClassVar[str] = "catboost"
    # CatBoost would try to compile the methods below with numba, which cannot, and warns that it failed
    no_jit: ClassVar[bool] = True

    def __deepcopy__(self, _: Any) -> CatBoost:
        # CatBoost trains on a copy of its parameters, which trees counted here would not reach; there is nothing else
        # in an objective that changes
        return self

    def calc_ders_range(self, approxes: NDArray[Any], targets: NDArray[Any], weights: NDArray[Any] | None) -> Floats:
        """Return the first and second derivative of −s·ω·ℓ for a block of rows: (n, 2)."""
        g, h = self.gradient_and_curvature(np.asarray(approxes, np.float64), targets, weights)
        return -np.stack([g, h], axis=1)

    def calc_ders_multi(
        self, approxes: NDArray[Any], target: float, weight: float | None
    ) -> tuple[list[float], list[list[float]]]:
        """Return the first derivatives of −s·ω·ℓ of one row, (C,), and the second, (C, C)."""
        s = -1.0 if weight is None else -weight
        z, loss = np.array([approxes], np.float64), self.current
        if loss.dense_targets:
            g, h = self.gradient_and_curvature(z, np.array([target]))
            matrix = np.diag(h[0])
        else:
            y = np.array([int(target)])
            g = loss.gradient(z, y)
            d, u, v = (part[0] for part in loss.hessian(z, y, positive=True))
            outer = np.outer(u, v)
            matrix = np.diag(d) + outer + outer.T
        return (s * g[0]).tolist(), (s * matrix).tolist()

    def after_iteration(self, info: Any) -> bool:
        """Count trees, as ``fit(callbacks=[objective])`` calls it."""
        self.grown = int(info.iteration)
        return True
