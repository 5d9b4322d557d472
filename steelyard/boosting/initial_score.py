"""Where trees start: the constant raw scores that fit the class shares best."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from steelyard.errors import InputError

if TYPE_CHECKING:
    from steelyard.boosting.objective import Objective

__all__ = ["stationary"]

Floats = NDArray[np.float64]

_LARGEST = 1e-6  # of the gradient of a mean loss


def stationary(objective: Objective, shares: Floats) -> Floats:
    """Return the constant raw scores at which the gradient of the loss vanishes on average: (1,) or (C,).

    Minimised by BFGS. Where weights depend on the prediction the gradient is not that of the value, and its root is
    looked for instead.
    """
    from scipy.optimize import minimize, root

    n_classes = objective.n_classes
    size = 1 if n_classes == 2 else n_classes
    truth = np.arange(n_classes)
    grown, objective.grown = objective.grown, 0
    loss = objective.current  # at the first tree

    def gradient(raw: Floats) -> Floats:
        g, _ = objective.gradient_and_curvature(np.repeat(raw[None, :], n_classes, axis=0), truth)
        return np.asarray(shares @ g.reshape(n_classes, size), np.float64)

    def value(raw: Floats) -> float:
        z = objective.logits(np.repeat(raw[None, :], n_classes, axis=0))
        targets = truth
        if loss.dense_targets:
            targets = np.eye(n_classes) if z.ndim == 2 else truth.astype(np.float64)  # type: ignore[assignment]
        v = np.asarray(loss.value(z, targets), np.float64).reshape(n_classes, -1)
        return float(shares @ v.sum(axis=1))

    try:
        if _differentiates_its_weights(loss):
            found = minimize(
                lambda raw: (value(raw), gradient(raw)),
                np.zeros(size),
                jac=True,
                method="BFGS",
                options={"gtol": 1e-10},
            ).x
        else:
            # raw scores of a softmax are free up to a constant, which would leave the root undetermined
            tie = 1.0 if size > 1 and not loss.dense_targets else 0.0
            found = root(lambda raw: gradient(raw) + tie * raw.mean(), np.zeros(size), options={"xtol": 1e-12}).x
        left = float(np.abs(gradient(found)).max())
    finally:
        objective.grown = grown
    if not left < _LARGEST * _scale(loss):
        raise InputError(
            "a loss that some constant score fits best", f"{loss!r}", "start from zero: training finds its way too."
        )
    return np.asarray(found, np.float64).round(12) + 0.0


def _differentiates_its_weights(loss: Any) -> bool:
    if loss.dense_targets:
        return loss.parameters["outcome_weight"] is None
    return loss.parameters["class_weight"] is None or loss.weight_by == "target"


def _scale(loss: Any) -> float:
    """Return the size of the largest weight or scale: tolerances are relative to it."""
    sizes = [np.max(np.abs(v)) for v in loss.parameters.values() if v is not None]
    return float(max([1.0, *sizes]))
