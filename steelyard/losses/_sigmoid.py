"""The generalised sigmoid cross-entropy: one logit per label, binary or multi-label.

    p = σ(z)
    ℓ = t ω₁ (1 − p)^γ₊ (−log p) + (1 − t) ω₀ p^γ₋ (−log(1 − p))
    ω₁ = w v (p O[1, 1] + (1 − p) O[1, 0])          weight where the label is there:     TP and FN
    ω₀ = w   (p O[0, 1] + (1 − p) O[0, 0])          where it is not:                     FP and TN
    ω  = t ω₁ + (1 − t) ω₀

v is the positive weight, w a weight per label, O[truth, decision] the outcome weights, taken in expectation over
the decision with the gradient stopped, as pair weights are in the softmax family. Sources: positive weight,
TensorFlow's weighted_cross_entropy_with_logits; γ₊ ≠ γ₋, Ridnik et al., ICCV 2021, eq. 5 (without probability
shift).

Numerics. −log p = softplus(−z) and −log(1 − p) = softplus(z): neither probability is formed.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any, NamedTuple

from steelyard.losses import focusing
from steelyard.losses.layout import Layout, column

__all__ = ["Parameters", "curvature", "gradient", "gradient_and_curvature", "posterior", "value"]

Tensor = Any


class Parameters(NamedTuple):
    """A point of the family; None where a parameter is absent and costs nothing."""

    class_weight: Tensor | None = None  # w: (c,) or (n, c)
    pos_weight: Tensor | None = None  # v: () or (c,)
    outcome_weight: Tensor | None = None  # O: (2, 2)
    gamma_pos: Tensor | None = None  # γ₊: ()
    gamma_neg: Tensor | None = None  # γ₋: ()


def _outcome_weights(xp: ModuleType, z: Tensor, p: Parameters) -> tuple[Tensor | float | None, Tensor | float | None]:
    """Return ω₁ and ω₀, None where they are 1."""
    positive: Any = None
    negative: Any = None
    if p.outcome_weight is not None:
        o, there = p.outcome_weight, xp.sigmoid(xp.stop_gradient(z))
        positive = there * o[1, 1] + (1.0 - there) * o[1, 0]
        negative = there * o[0, 1] + (1.0 - there) * o[0, 0]
    if p.pos_weight is not None:
        v = column(xp, p.pos_weight, z)
        positive = v if positive is None else v * positive
    if p.class_weight is not None:
        w = column(xp, p.class_weight, z)
        positive = w if positive is None else w * positive
        negative = w if negative is None else w * negative
    return positive, negative


def _sides(xp: ModuleType, at: Layout, p: Parameters) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """Return (coefficient, gap, γ) of both sides; a side's loss is (1 − q)^γ (−log q) with −log q = softplus(gap)."""
    z, t = at.logits, at.target
    positive, negative = _outcome_weights(xp, z, p)
    here = t if positive is None else t * positive
    away = (1.0 - t) if negative is None else (1.0 - t) * negative
    return (here, -z, p.gamma_pos), (away, z, p.gamma_neg)


def value(xp: ModuleType, at: Layout, p: Parameters) -> tuple[Tensor, Tensor | None]:
    """Return ω·ℓ in nats and ω, each shaped like the logits; ω is None where it is 1."""
    loss, weight = 0.0, 0.0
    for coefficient, gap, gamma in _sides(xp, at, p):
        phi = xp.softplus(gap)
        if gamma is not None:
            phi = focusing.value(xp, phi, xp.log_sigmoid(gap), gamma)
        loss = loss + coefficient * phi
        weight = weight + coefficient
    unweighted = p.class_weight is None and p.pos_weight is None and p.outcome_weight is None
    return loss, None if unweighted else weight


def gradient(xp: ModuleType, at: Layout, p: Parameters) -> Tensor:
    """Return ∂(ω·ℓ)/∂z: ± coefficient · ψ · (1 − q) for the two sides."""
    positive, negative = (
        coefficient * _slope(xp, gap, gamma) * xp.sigmoid(gap) for coefficient, gap, gamma in _sides(xp, at, p)
    )
    return negative - positive


def _slope(xp: ModuleType, gap: Tensor, gamma: Tensor | None) -> Any:
    if gamma is None:
        return 1.0
    return xp.exp(focusing.log_slope(xp, xp.softplus(gap), xp.log_sigmoid(gap), gamma))


def curvature(xp: ModuleType, at: Layout, p: Parameters) -> Tensor:
    """Return a bound h ≥ ∂²(ω·ℓ)/∂z², at least 1e-16; exact, ω p (1 − p), without focusing.

    With focusing the negative part of the second derivative is left out (see `steelyard.losses.focusing`).
    """
    h = 0.0
    for coefficient, gap, gamma in _sides(xp, at, p):
        u, q = xp.sigmoid(gap), xp.sigmoid(-gap)
        side = _slope(xp, gap, gamma) * u * q
        if gamma is not None:
            bound = focusing.curvature_bound(xp, xp.softplus(gap), xp.log_sigmoid(gap), gamma)
            side = side + u * u * bound
        h = h + coefficient * side
    return xp.where(h > 1e-16, h, 1e-16)


def gradient_and_curvature(xp: ModuleType, at: Layout, p: Parameters) -> tuple[Tensor, Tensor]:
    """Return what `gradient` and `curvature` do."""
    return gradient(xp, at, p), curvature(xp, at, p)


def posterior(xp: ModuleType, z: Tensor, p: Parameters) -> Tensor:
    """Return the probability η of the label for which the logit is stationary.

    η ω₁ ψ₊ (1 − p) = (1 − η) ω₀ ψ₋ p        ⇒        logit η = z + log(ω₀ ψ₋) − log(ω₁ ψ₊)
    """
    positive, negative = _outcome_weights(xp, z, p)
    logit = z
    if positive is not None:
        logit = logit - xp.log(positive)
    if negative is not None:
        logit = logit + xp.log(negative)
    if p.gamma_pos is not None:
        logit = logit - focusing.log_slope(xp, xp.softplus(-z), xp.log_sigmoid(-z), p.gamma_pos)
    if p.gamma_neg is not None:
        logit = logit + focusing.log_slope(xp, xp.softplus(z), xp.log_sigmoid(z), p.gamma_neg)
    return xp.sigmoid(logit)
