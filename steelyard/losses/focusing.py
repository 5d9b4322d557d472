"""The focusing factor (1 − q)^γ and what it does to the slope and the curvature.

One class, one probability q. Everything is a function of n = −log q, written with ``log_u`` = log(1 − q), which
the caller has exactly where 1 − q itself would round to 0. With u = 1 − q:

    φ(n)   = u^γ n                                   the loss of this class
    ψ(n)   = dφ/dn = u^γ (1 + γ κ),   κ = n q / u       κ → 1 as q → 1
    φ''(n) = γ u^(γ−1) q (2 + γ κ − n / u)

φ'' turns negative for confident mistakes (`curvature`), which a booster cannot use; without its negative part it is
the bound that `curvature_bound` returns.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

__all__ = ["curvature", "curvature_bound", "factor", "log_slope"]

Tensor = Any

# smallest normal float32: u^(γ−1) stays finite, and whatever it multiplies is at most u²
_TINY = 1.1754943508222875e-38


def factor(xp: ModuleType, log_u: Tensor, gamma: Tensor) -> Tensor:
    """Return (1 − q)^γ from log(1 − q).

    Numerics: the power is taken in log space, so that its gradient is finite for 0 < γ < 1 as q → 1, where the
    derivative of a power of 1 − q is infinite.
    """
    return xp.exp(gamma * log_u)


def _kappa(xp: ModuleType, n: Tensor, u: Tensor) -> Tensor:
    """Return n q / u, which tends to 1 as n → 0, and to 0 as n → ∞ (a class that is ruled out by a logit of −∞)."""
    n = xp.where(n < 1e30, n, 1e30)
    return xp.where(u > _TINY, n * xp.exp(-n) / xp.where(u > _TINY, u, 1.0), 1.0)


def log_slope(xp: ModuleType, n: Tensor, log_u: Tensor, gamma: Tensor) -> Tensor:
    """Return log ψ, where ψ = dφ/dn > 0."""
    return gamma * log_u + xp.log1p(gamma * _kappa(xp, n, xp.exp(log_u)))


def curvature(xp: ModuleType, n: Tensor, log_u: Tensor, gamma: Tensor) -> Tensor:
    """Return φ'', negative for confident mistakes: γ u^(γ−1) [q (2 + γ κ) − κ], as κ = n q / u."""
    return curvature_bound(xp, n, log_u, gamma) - gamma * _power(xp, log_u, gamma) * _kappa(xp, n, xp.exp(log_u))


def curvature_bound(xp: ModuleType, n: Tensor, log_u: Tensor, gamma: Tensor) -> Tensor:
    """Return an upper bound of φ'' that is never negative: γ u^(γ−1) q (2 + γ κ)."""
    return gamma * _power(xp, log_u, gamma) * xp.exp(-n) * (2.0 + gamma * _kappa(xp, n, xp.exp(log_u)))


def _power(xp: ModuleType, log_u: Tensor, gamma: Tensor) -> Tensor:
    """Return u^(γ−1), finite where u is 0: whatever it multiplies is at most u²."""
    return xp.exp((gamma - 1.0) * xp.where(log_u > -87.0, log_u, -87.0))
