"""The linear model: multinomial logits W and b, trained on any softmax loss of ours in float64."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steelyard.errors import InputError
from steelyard.training import newton, quasi_newton
from steelyard.training.linear_objective import Objective

__all__ = ["LinearModel", "fit"]

Floats = NDArray[np.float64]

_ROUNDING = 1e-10  # a gradient as small as this is as good as zero
_STEPS = 2000
# Newton's method up to so many parameters, K (d + 1), from a warm start more, and more where there are many rows to
# each: benchmarks/speed/bench_linear.py. There it takes about half the time of L-BFGS, beyond up to ten times as long
_NEWTON, _WARM_NEWTON = 150, 300
_MOST_NEWTON, _ROWS_NEWTON = 1000, 500
_START, _START_STEPS = 0.03, 50  # tolerance and most steps of a start
_ROWS = 8  # least rows per parameter of a start


@dataclass(frozen=True)
class LinearModel:
    """Logits ``X @ weights + bias``.

    Attributes
    ----------
    weights : float64 ndarray of shape (d, C)
    bias : float64 ndarray of shape (C,)
    converged : bool
    steps : int
        Evaluations of the loss.
    residual : float
        Largest entry of the gradient where it stopped.
    """

    weights: Floats
    bias: Floats
    converged: bool
    steps: int
    residual: float

    def logits(self, X: NDArray[Any]) -> Floats:
        """Return unnormalised scores of shape (n, C), in float64 whatever the type of X."""
        return np.asarray(np.asarray(X, np.float64) @ self.weights + self.bias)

    def state(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return what has to be stored: JSON data, and arrays by name."""
        facts = {"converged": self.converged, "steps": self.steps, "residual": self.residual}
        return facts, {"weights": self.weights, "bias": self.bias}

    @classmethod
    def from_state(cls, facts: Mapping[str, Any], arrays: Mapping[str, Any]) -> LinearModel:
        """Return the model that `state` described."""
        weights, bias = (np.asarray(arrays[name], np.float64) for name in ("weights", "bias"))
        if weights.ndim != 2 or bias.shape != weights.shape[1:]:
            raise InputError("weights (d, C) and bias (C,)", f"shapes {weights.shape} and {bias.shape}")
        return cls(weights, bias, bool(facts["converged"]), int(facts["steps"]), float(facts["residual"]))


def fit(
    X: NDArray[Any],
    y: NDArray[Any],
    loss: Any,
    n_classes: int,
    sample_weight: NDArray[Any] | None = None,
    penalty: float = 1.0,
    start: LinearModel | None = None,
    copies: NDArray[Any] | None = None,
    max_steps: int = _STEPS,
) -> LinearModel:
    r"""Minimise the penalised mean loss.

    .. math::
        \min_{W, b}\ \frac{\sum_i s_i \omega_i \ell_i}{\sum_i s_i \omega_i} + \frac{\lambda}{2} \|W\|^2,
        \qquad \lambda = \frac{c}{m} \cdot (2\ \text{if}\ C = 2)

    with c the `penalty` and m the number of rows of positive `sample_weight`. The mean, not the sum, is
    what is penalised: multiplying all class weights by a constant then changes nothing, and a scheme is not
    credited for the weaker penalty that larger weights would bring. For the same reason copies of a row,
    which are weights here, do not count in m: they are no new evidence. With two classes the two columns of
    W are opposite, so that each carries half the penalty of the one coefficient vector that scikit-learn
    uses: doubling makes `penalty=1` the model of its ``LogisticRegression()``.

    Few parameters are found by Newton's method, many by L-BFGS (`newton`, `quasi_newton`), in float64 and in chunks of
    rows: `X` is not copied, whatever its type.

    Parameters
    ----------
    X : ndarray of shape (n, d)
        Standardised features: the penalty treats all columns alike.
    y : int ndarray of shape (n,)
        Class indices.
    loss : steelyard.losses.SoftmaxCrossEntropy
        Weighted by the true class, if at all.
    n_classes : int
        C.
    sample_weight : ndarray of shape (n,), optional
        s, for example how often a sampler drew each row.
    penalty : float
        c. Default 1, as in scikit-learn.
    start : LinearModel, optional
        Where to start; default the best bias, and, where there are many rows, the fit of a part of them. It saves
        steps and changes nothing, as the optimum is one; it is not used for a focal loss, which is not convex, so
        that no fit depends on another.
    copies : ndarray of shape (n,), optional
        How many rows of the world each row stands for, which is evidence: with it m is their sum over the rows of
        positive `sample_weight`, as in scikit-learn with weights of rows. Default 1.
    max_steps : int

    Returns
    -------
    LinearModel
        With `converged` false, never silently, if the gradient is not small after `max_steps`.

    Raises
    ------
    InputError
        For NaN in X, or if the loss is not finite where it starts.

    Examples
    --------
    >>> import steelyard as sy
    >>> X = np.array([[-1.0], [-1.0], [1.0], [1.0]])
    >>> model = fit(X, np.array([0, 0, 1, 1]), sy.losses.cross_entropy(), 2)
    >>> model.converged, model.logits(X).argmax(1)
    (True, array([0, 0, 1, 1]))
    """
    weight = np.ones(len(X)) if sample_weight is None else np.asarray(sample_weight, np.float64)
    if copies is not None:
        kept = weight > 0
        penalty = penalty * float(np.count_nonzero(kept) / np.asarray(copies, np.float64)[kept].sum())
    objective = Objective(np.asarray(X), np.asarray(y), loss, n_classes, weight, penalty)
    warm = start is not None and float(loss.gamma) == 0.0
    few = _is_for_newton(objective, warm)
    if start is not None and warm:
        theta = np.concatenate([start.weights, start.bias[None]]) @ objective.contrasts
    else:
        theta = _cold(objective, few)
    solve = newton.minimise if few else quasi_newton.minimise
    theta, gradient, converged, steps = solve(objective, theta, max_steps)
    residual = float(np.abs(gradient).max())
    return LinearModel(
        weights=theta[:-1] @ objective.contrasts.T,
        bias=theta[-1] @ objective.contrasts.T,
        converged=converged or residual <= _ROUNDING,
        steps=steps,
        residual=residual,
    )


def _is_for_newton(objective: Objective, warm: bool) -> bool:
    parameters = np.prod(objective.shape)
    most = _WARM_NEWTON if warm else _NEWTON
    many_rows = objective.n >= _ROWS_NEWTON * parameters
    return bool(parameters <= most or (parameters <= _MOST_NEWTON and many_rows))


def _cold(objective: Objective, thinning: bool) -> NDArray[np.float64]:
    """Return where to start: the best bias, then, with `thinning`, the fit of ever more rows.

    Where there are many rows for each parameter, a few of them tell most of what all will: the last steps, on all
    rows, begin where one second derivative serves to the end.
    """
    D, K = objective.shape
    theta = np.zeros((D, K))
    theta[-1:] = newton.minimise(objective.constant(), theta[-1:], _START_STEPS, _START)[0]
    for step in (512, 64, 8) if thinning else ():
        if objective.n // step >= _ROWS * D * K:
            theta = newton.minimise(objective.thinned(step), theta, _START_STEPS, _START)[0]
    return theta
