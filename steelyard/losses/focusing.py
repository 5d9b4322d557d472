"""The focusing factor (1 − q)^γ and the first polynomial term, and what they do to slope and curvature.

One class, one probability q. Everything is a function of n = −log q, written with ``log_u`` = log(1 − q), which
the caller has exactly where 1 − q itself would round to 0. With u = 1 − q and ε the coefficient of the term:

    φ(n)   = u^γ (n + ε u)                              the loss of this class
    ψ(n)   = dφ/dn = u^γ (1 + γ κ + ε (γ + 1) q),   κ = n q / u       κ → 1 as q → 1
    φ''(n) = γ u^(γ−1) q (2 + γ κ − n / u) + ε (γ + 1) u^(γ−1) q (γ q − u)

ψ is positive for ε > −1, since κ ≥ q. φ'' turns negative for confident mistakes (`curvature`), which a booster cannot
use; without its negative parts it is the bound that `curvature_bound` returns.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

__all__ = ["curvature", "curvature_bound", "log_slope", "value"]

Tensor = Any

# smallest normal float32: u^(γ−1) stays finite, and whatever it multiplies is at most u²
_TINY = 1.1754943508222875e-38


def value(xp: ModuleType, n: Tensor, log_u: Tensor, gamma: Tensor | None, poly: Tensor | None = None) -> Tensor:
    """Return φ from n = −log q and log(1 − q); γ and ε count as 0 where they are None.

    Numerics: the power is taken in log space, so that its gradient is finite for 0 < γ < 1 as q → 1, where the
    derivative of a power of 1 − q is infinite.
    """
    phi = n if poly is None else n + poly * xp.exp(log_u)
    return phi if gamma is None else xp.exp(gamma * log_u) * phi


def _kappa(xp: ModuleType, n: Tensor, u: Tensor) -> Tensor:
    """Return n q / u, which tends to 1 as n → 0, and to 0 as n → ∞ (a class that is ruled out by a logit of −∞)."""
    n = xp.where(n < 1e30, n, 1e30)
    return xp.where(u > _TINY, n * xp.exp(-n) / xp.where(u > _TINY, u, 1.0), 1.0)


def log_slope(xp: ModuleType, n: Tensor, log_u: Tensor, gamma: Tensor | None, poly: Tensor | None = None) -> Tensor:
    """Return log ψ, where ψ = dφ/dn > 0."""
    beyond: Any = 0.0 if gamma is None else gamma * _kappa(xp, n, xp.exp(log_u))
    if poly is not None:
        beyond = beyond + poly * (1.0 + (0.0 if gamma is None else gamma)) * xp.exp(-n)
    slope = xp.log1p(beyond)
    return slope if gamma is None else gamma * log_u + slope


def curvature(xp: ModuleType, n: Tensor, log_u: Tensor, gamma: Tensor | None, poly: Tensor | None = None) -> Tensor:
    """Return φ'', negative for confident mistakes: u^(γ−1) [γ (q (2 + γ κ) − κ) + ε (γ + 1) q (γ q − u)]."""
    u, q = xp.exp(log_u), xp.exp(-n)
    g: Any = 0.0 if gamma is None else gamma
    inner: Any = 0.0
    if gamma is not None:
        kappa = _kappa(xp, n, u)
        inner = gamma * (q * (2.0 + gamma * kappa) - kappa)
    if poly is not None:
        inner = inner + poly * (g + 1.0) * q * (g * q - u)
    return _power(xp, log_u, g) * inner


def curvature_bound(
    xp: ModuleType, n: Tensor, log_u: Tensor, gamma: Tensor | None, poly: Tensor | None = None
) -> Tensor:
    """Return an upper bound of φ'' that is never negative: u^(γ−1) q [γ (2 + γ κ) + (γ + 1)(ε⁺ γ q + ε⁻ u)]."""
    u, q = xp.exp(log_u), xp.exp(-n)
    g: Any = 0.0 if gamma is None else gamma
    inner: Any = 0.0 if gamma is None else gamma * (2.0 + gamma * _kappa(xp, n, u))
    if poly is not None:
        up, down = xp.where(poly > 0.0, poly, 0.0), xp.where(poly < 0.0, -poly, 0.0)
        inner = inner + (g + 1.0) * (up * g * q + down * u)
    return _power(xp, log_u, g) * q * inner


def _power(xp: ModuleType, log_u: Tensor, gamma: Any) -> Tensor:
    """Return u^(γ−1), finite where u is 0: whatever it multiplies is at most u²."""
    return xp.exp((gamma - 1.0) * xp.where(log_u > -87.0, log_u, -87.0))
