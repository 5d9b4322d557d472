"""Boosting libraries: objectives from losses, with gradient, positive curvature, initial score and posterior."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from steelyard.errors import InputError
from steelyard.losses.base import Loss
from steelyard.losses.softmax import SoftmaxCrossEntropy
from steelyard.weights import as_counts

__all__ = ["LightGBM", "lightgbm"]

Floats = NDArray[np.float64]


def lightgbm(loss: Loss, n_classes: int = 2) -> LightGBM:
    """Return an objective for ``lightgbm.train(params={"objective": ...})``.

    Parameters
    ----------
    loss : SoftmaxCrossEntropy
        What to minimise, with the gradient and the curvature of its `gradient` and `curvature`.
    n_classes : int, default 2
        With more than two, set ``num_class`` in the parameters too.

    Examples
    --------
    >>> import steelyard as sy
    >>> objective = sy.boosting.lightgbm(sy.losses.weighted_cross_entropy([1.0, 9.0]))
    >>> objective.initial_score([900, 100])                          # balanced at the start
    array([0.])
    """
    return LightGBM(loss, n_classes)


class LightGBM:
    """A loss as LightGBM calls it: raw scores and a data set in, gradient and curvature out.

    With two classes there is one raw score r, and the logits are (0, r); with more, one per class.

    Parameters
    ----------
    loss : SoftmaxCrossEntropy
    n_classes : int

    Notes
    -----
    The second derivative is exact, q (1 − q) times the weight, for cross-entropy in its weighted and adjusted
    forms; with focusing it is a positive bound (see `SoftmaxCrossEntropy.curvature`). With more than two classes it
    is multiplied by C / (C − 1), as LightGBM's own objective does.

    LightGBM neither starts a custom objective from the average nor adds an initial score at prediction: give
    ``init_score=`` to the data set as `start` returns it, and add `initial_score` to raw predictions.

    Examples
    --------
    >>> import numpy as np, steelyard as sy
    >>> objective = sy.boosting.lightgbm(sy.losses.cross_entropy())
    >>> objective.gradient_and_curvature(np.zeros(2), np.array([0, 1]))
    (array([ 0.5, -0.5]), array([0.25, 0.25]))
    """

    def __init__(self, loss: Loss, n_classes: int = 2) -> None:
        if not isinstance(loss, SoftmaxCrossEntropy):
            raise InputError("a SoftmaxCrossEntropy", type(loss).__name__)
        if n_classes < 2:
            raise InputError("`n_classes` ≥ 2", repr(n_classes))
        self.loss, self.n_classes = loss, n_classes

    def __call__(self, raw: NDArray[Any], data: Any) -> tuple[Floats, Floats]:
        """Return gradient and curvature at the raw scores of a ``lightgbm.Dataset``."""
        return self.gradient_and_curvature(raw, data.get_label().astype(np.int64), data.get_weight())

    def gradient_and_curvature(
        self, raw: NDArray[Any], y: NDArray[Any], sample_weight: NDArray[Any] | None = None
    ) -> tuple[Floats, Floats]:
        """Return ∂(s·ω·ℓ)/∂raw and its curvature, shaped like the raw scores."""
        z = self.logits(raw)
        g, h = self.loss.gradient(z, y), self.loss.curvature(z, y)
        if self.n_classes == 2:
            g, h = g[:, 1], h[:, 1]
        else:
            h = h * (self.n_classes / (self.n_classes - 1))
        if sample_weight is not None:
            s = sample_weight if self.n_classes == 2 else sample_weight[:, None]
            g, h = s * g, s * h
        return g, h

    def logits(self, raw: NDArray[Any]) -> Floats:
        """Return the logits (n, C) that raw scores stand for."""
        raw = np.asarray(raw, np.float64)
        if self.n_classes == 2:
            return np.stack([np.zeros(raw.size), raw.reshape(-1)], axis=1)
        return raw if raw.ndim == 2 else raw.reshape(self.n_classes, -1).T

    def initial_score(self, counts: Any) -> Floats:
        """Return the constant raw scores that minimise the loss on these counts: (1,) or (C,).

        Parameters
        ----------
        counts : ClassCounts, mapping or (n_classes,)
            Class counts, or sums of sample weights by class, of the training rows.
        """
        from scipy.optimize import minimize

        counts = as_counts(counts)
        if counts.n_classes != self.n_classes:
            raise InputError(f"counts of {self.n_classes} classes", str(counts.n_classes))
        weights = counts.filled / counts.filled.sum()
        truth = np.arange(self.n_classes)

        def objective(raw: Floats) -> tuple[float, Floats]:
            z = np.repeat(self.logits(raw[None, :]), self.n_classes, axis=0)
            gradient = (weights[:, None] * self.loss.gradient(z, truth)).sum(0)
            return float(weights @ self.loss.value(z, truth)), gradient[-len(raw) :]

        size = 1 if self.n_classes == 2 else self.n_classes
        found = minimize(objective, np.zeros(size), jac=True, method="BFGS", options={"gtol": 1e-10})
        return np.asarray(found.x, np.float64).round(12) + 0.0

    def start(self, counts: Any, n_rows: int) -> Floats:
        """Return the initial score for each of `n_rows` rows, as ``Dataset(init_score=…)`` takes it."""
        score = self.initial_score(counts)
        return np.full(n_rows, score[0]) if self.n_classes == 2 else np.tile(score, (n_rows, 1))

    def posterior(self, raw: NDArray[Any]) -> Floats:
        """Return class probabilities (n, C) from raw scores, corrected for what the loss did."""
        return np.asarray(self.loss.posterior(self.logits(raw)), np.float64)
