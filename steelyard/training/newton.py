"""Newton's method with a Cholesky factor that is kept while it serves: few passes over the rows, for few parameters."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from steelyard.training.linear_objective import Objective

__all__ = ["minimise"]

Floats = NDArray[np.float64]

_TOLERANCE = 1e-7  # of δ: differences of the objective of 5e-15 are rounding
_REUSE = 0.04  # a factor is kept while a step shrinks the decrement to a fifth
_SUFFICIENT = 1e-4  # Armijo
_SHORTEST = 2.0**-40


def minimise(
    objective: Objective, theta: Floats, max_steps: int, tolerance: float = _TOLERANCE
) -> tuple[Floats, Floats, bool, int]:
    r"""Minimise by damped Newton steps.

    .. math:: \theta \leftarrow \theta - t\, H^{-1} g, \qquad \delta^2 = g^T H^{-1} g

    H is the exact second derivative where that is positive definite, as it always is without focusing; else its
    positive bound. t is halved until the objective has fallen by :math:`10^{-4}\, t\, \delta^2`: it never rises. H is
    factored again only when the last step did not shrink :math:`\delta` to a fifth: near the optimum, where the second
    derivative hardly changes, steps cost a gradient alone.

    Parameters
    ----------
    objective : Objective
    theta : float64 ndarray of shape (d + 1, K)
        Where to start.
    max_steps : int
        Most evaluations of the objective.
    tolerance : float
        Ends when :math:`\\delta`, the distance to the optimum in the units of the curvature, is smaller.

    Returns
    -------
    theta : float64 ndarray
    gradient : float64 ndarray
        There.
    converged : bool
    steps : int
        Evaluations of the objective.

    References
    ----------
    Boyd and Vandenberghe, "Convex Optimization", 2004, sections 9.5 and 9.2 (backtracking); Shamanskii, "A
    modification of Newton's method", Ukrainian Mathematical Journal 19, 1967 (steps with a kept factor).
    """
    from scipy.linalg import cho_solve

    value, gradient = objective.begin(theta)
    steps, factor, previous = 1, None, np.inf
    while True:
        g = gradient.T.ravel()
        fresh = factor is None
        if fresh:
            factor = _factor(objective, theta)
        direction = cho_solve(factor, g)
        decrement = float(g @ direction)
        if not fresh and decrement > max(_REUSE * previous, tolerance**2):
            factor = None
            continue
        if decrement <= tolerance**2:
            return theta, gradient, True, steps
        step = direction.reshape(theta.shape[::-1]).T
        t, found = 1.0, None
        while found is None and t >= _SHORTEST and steps < max_steps:
            trial = objective.evaluate(theta - t * step)
            steps += 1
            # beyond rounding: differences of the objective say nothing below it
            if trial[0] <= value - _SUFFICIENT * t * decrement + 4.0 * np.finfo(float).eps * abs(value):
                found = theta - t * step
            else:
                t /= 2.0
        if found is None:
            if fresh or steps >= max_steps:
                return theta, gradient, False, steps
            factor = None  # a kept factor led nowhere
            continue
        theta, (value, gradient) = found, trial
        previous = decrement
        if t < 1.0:
            factor = None


def _factor(objective: Objective, theta: Floats) -> Any:
    """Return the Cholesky factor of the second derivative, or of its bound where it is not positive definite."""
    from scipy.linalg import LinAlgError, cho_factor

    for positive in (False, True):
        H = objective.hessian(theta, positive)
        try:
            return cho_factor(H, lower=True, overwrite_a=True, check_finite=False)
        except LinAlgError:
            continue
    # directions in which nothing changes, such as the bias of a class that no loss can see: never moved along
    H = objective.hessian(theta, True)
    H[np.diag_indices_from(H)] += 1e-10 * np.trace(H) / len(H)
    return cho_factor(H, lower=True, overwrite_a=True, check_finite=False)
