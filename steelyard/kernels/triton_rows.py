"""What a row of the softmax family is made of, as device functions: formulas of `losses/_softmax.py` and `focusing.py`.

Only what Triton's interpreter can do too is used: no libdevice, no inline assembly.
"""

from __future__ import annotations

import triton
import triton.language as tl

__all__ = ["complement_of", "focused", "log1p", "log_sigmoid", "sigmoid", "softplus"]


@triton.jit
def log1p(x):
    """Return log(1 + x) for x > −1, exact for small x: the rounding of 1 + x is divided out again (Kahan)."""
    u = 1.0 + x
    return tl.where(u == 1.0, x, tl.log(u) * (x / tl.where(u == 1.0, 1.0, u - 1.0)))


@triton.jit
def softplus(x):
    """Return log(1 + eˣ)."""
    return tl.maximum(x, 0.0) + log1p(tl.exp(-tl.abs(x)))


@triton.jit
def log_sigmoid(x):
    """Return −log(1 + e⁻ˣ), and −1e30 for −∞: finite, so that an exponent of 0 times it is 0."""
    return tl.maximum(-softplus(-x), -1e30)


@triton.jit
def sigmoid(x):
    """Return 1 / (1 + e⁻ˣ)."""
    e = tl.exp(-tl.abs(x))
    return tl.where(x >= 0.0, 1.0, e) / (1.0 + e)


@triton.jit
def complement_of(n):
    """Return 1 − exp(−n) for n ≥ 0, exact for small n."""
    e = tl.exp(-n)
    near = (e > 0.5) & (e < 1.0)
    exact = (1.0 - e) * n / -tl.log(tl.where(near, e, 0.5))
    return tl.where(near, exact, tl.where(e == 1.0, n, 1.0 - e))


@triton.jit
def focused(n, q, u, log_u, gamma, poly):
    """Return φ(n) = u^γ (n + ε₁ u) and its slope ψ = u^γ (1 + γ n q / u + ε₁ (1 + γ) q), with u = 1 − q."""
    tiny = 1.1754943508222875e-38
    power = tl.exp(gamma * log_u)
    ratio = tl.where(u > tiny, tl.minimum(n, 1e30) * q / tl.where(u > tiny, u, 1.0), 1.0)
    return power * (n + poly * u), power * (1.0 + gamma * ratio + poly * (1.0 + gamma) * q)
