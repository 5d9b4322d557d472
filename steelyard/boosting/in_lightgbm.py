"""LightGBM: ``params["objective"]``."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from steelyard.boosting.objective import Objective
from steelyard.losses.base import Loss

__all__ = ["LightGBM", "lightgbm"]


def lightgbm(loss: Loss, n_classes: int | None = None, later: Loss | None = None, after: int | None = None) -> LightGBM:
    """Return an objective for ``lightgbm.train(params={"objective": ...})``.

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
    >>> objective = sy.boosting.lightgbm(sy.losses.weighted_cross_entropy([1.0, 9.0]))
    >>> objective.initial_score([900, 100])                          # balanced at the start
    array([0.])
    """
    return LightGBM(loss, n_classes, later, after)


class LightGBM(Objective):
    """A loss as LightGBM calls it: raw scores and a data set in, gradient and curvature out.

    Parameters
    ----------
    loss, n_classes, later, after
        See `lightgbm`.

    Notes
    -----
    The curvature is a positive bound. It is exact, q (1 − q) times the weight, for binary cross-entropy in its
    weighted and adjusted forms; with focusing the negative part of the second derivative is left out (see
    `SoftmaxCrossEntropy.curvature`). With more than two classes it is multiplied by C / (C − 1), as LightGBM's own
    objective does.

    LightGBM neither starts a custom objective from the average nor adds an initial score at prediction: give
    ``init_score=`` to the data set as `start` returns it, and add `initial_score` to raw predictions.

    Examples
    --------
    >>> import numpy as np, steelyard as sy
    >>> objective = sy.boosting.lightgbm(sy.losses.cross_entropy())
    >>> objective.gradient_and_curvature(np.zeros(2), np.array([0, 1]))
    (array([ 0.5, -0.5]), array([0.25, 0.25]))
    """

    library: ClassVar[str] = "lightgbm"

    def __call__(self, raw: NDArray[Any], data: Any) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return gradient and curvature at the raw scores of a ``lightgbm.Dataset``."""
        out = self.gradient_and_curvature(raw, data.get_label(), data.get_weight())
        self.grown += 1
        return out

    def _bounded(self, h: NDArray[Any]) -> NDArray[Any]:
        return np.asarray(h * h.dtype.type(self.n_classes / (self.n_classes - 1)))
