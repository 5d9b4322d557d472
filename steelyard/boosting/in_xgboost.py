"""XGBoost: ``obj=`` of ``xgboost.train``, and ``objective=`` of its scikit-learn estimators."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from steelyard.boosting.objective import Objective
from steelyard.losses.base import Loss

__all__ = ["XGBoost", "xgboost"]


def xgboost(loss: Loss, n_classes: int | None = None, later: Loss | None = None, after: int | None = None) -> XGBoost:
    """Return an objective for ``xgboost.train(params, data, obj=...)``.

    Parameters
    ----------
    loss : SoftmaxCrossEntropy or SigmoidCrossEntropy
        What to minimise, with its gradient and a positive bound of its curvature.
    n_classes : int, optional
        Default: as many as the parameters of `loss` are for, else 2. With more than two, set ``num_class`` too.
    later, after : loss and int, optional
        A loss that takes over after so many trees.

    Examples
    --------
    >>> import steelyard as sy
    >>> objective = sy.boosting.xgboost(sy.losses.weighted_cross_entropy([1.0, 3.0, 9.0]))
    >>> objective.n_classes, objective.initial_score([900, 300, 100])
    (3, array([0., 0., 0.]))
    """
    return XGBoost(loss, n_classes, later, after)


class XGBoost(Objective):
    """A loss as XGBoost calls it: raw scores and a matrix in, gradient and curvature out.

    Parameters
    ----------
    loss, n_classes, later, after
        See `xgboost`.

    Notes
    -----
    The curvature is a positive bound. It is exact, q (1 − q) times the weight, for binary cross-entropy in its
    weighted and adjusted forms; with focusing the negative part of the second derivative is left out (see
    `SoftmaxCrossEntropy.curvature`), where XGBoost would split nothing on a negative sum. With more than two classes
    it is multiplied by 2, as XGBoost's own objective does: 2 q (1 − q) on the diagonal bounds the whole matrix.

    A custom objective starts from XGBoost's ``base_score`` of 0.5, as a raw score. Set ``base_score`` to 0 in the
    parameters and give the matrix ``base_margin=`` as `start` returns it, at prediction too (or add `initial_score`).

    Examples
    --------
    >>> import numpy as np, steelyard as sy
    >>> objective = sy.boosting.xgboost(sy.losses.cross_entropy(), n_classes=3)
    >>> g, h = objective.gradient_and_curvature(np.zeros((1, 3)), np.array([2]))
    >>> g.round(3), h.round(3)
    (array([[ 0.333,  0.333, -0.667]]), array([[0.444, 0.444, 0.444]]))
    """

    library: ClassVar[str] = "xgboost"

    def __call__(self, raw: NDArray[Any], data: Any) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return gradient and curvature at the raw scores of an ``xgboost.DMatrix``."""
        weight = data.get_weight()
        return self.on_labels(data.get_label(), raw, weight if weight.size else None)

    def on_labels(
        self, y_true: NDArray[Any], y_pred: NDArray[Any], sample_weight: NDArray[Any] | None = None
    ) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return gradient and curvature as ``XGBClassifier(objective=objective.on_labels, base_score=0)`` asks."""
        g, h = self.gradient_and_curvature(y_pred, y_true, sample_weight)
        self.grown += 1
        return np.ascontiguousarray(g), np.ascontiguousarray(h)

    def _bounded(self, h: NDArray[Any]) -> NDArray[Any]:
        return np.asarray(h * h.dtype.type(2.0))
