"""The generalised sigmoid cross-entropy: one logit per label, binary or multi-label.

    a₊ = z + ι,   a₋ = λ (z + ι)
    ℓ = t ω₁ (1 − p)^γ₊ (−log p) + (1 − t) ω₀ u^γ₋ (−log(1 − u)) / λ,      p = σ(a₊),   u = max(σ(a₋) − m, 0)
    ω₁ = w v r (p O[1, 1] + (1 − p) O[1, 0])        weight where the label is there:     TP and FN
    ω₀ = w r   (p O[0, 1] + (1 − p) O[0, 0])        where it is not:                     FP and TN
    r  = α + σ(β (ρ_c / Σ_j t_j ρ_j − μ))           re-balancing by the labels of the row
    ω  = t ω₁ + (1 − t) ω₀

v is the positive weight, w a weight per label, O[truth, decision] the outcome weights, taken in expectation over
the decision σ(z) with the gradient stopped, as pair weights are in the softmax family. Sources: positive weight,
TensorFlow's weighted_cross_entropy_with_logits; γ₊ ≠ γ₋ and the probability shift m, Ridnik et al., ICCV 2021; ι, λ
and r, Wu et al., ECCV 2020.

Numerics. −log p = softplus(−a₊) and −log(1 − σ(a₋)) = softplus(a₋): neither probability is formed. For the shift see
`_entropy`.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any, NamedTuple

from steelyard.losses import focusing
from steelyard.losses.layout import Layout, column

__all__ = ["Parameters", "curvature", "gradient", "posterior", "value"]

Tensor = Any

_LARGE = 1e30  # stands for ∞ where a product with 0 has to be 0
_DISTINCT = 1e-30  # a smaller difference of logits would overflow in 1 / (1 − e^(a₀ − a))
_LONE = 1e9  # ρ_c / Σ t ρ of a row without labels


class Parameters(NamedTuple):
    """A point of the family; None where a parameter is absent and costs nothing."""

    class_weight: Tensor | None = None  # w: (c,) or (n, c)
    pos_weight: Tensor | None = None  # v: () or (c,)
    outcome_weight: Tensor | None = None  # O: (2, 2)
    gamma_pos: Tensor | None = None  # γ₊: ()
    gamma_neg: Tensor | None = None  # γ₋: ()
    probability_shift: Tensor | None = None  # m: ()
    logit_offset: Tensor | None = None  # ι: (), (c,) or (n, c)
    neg_scale: Tensor | None = None  # λ: ()
    label_rarity: Tensor | None = None  # ρ: (c,)
    rebalance_slope: Tensor | None = None  # β: ()
    rebalance_center: Tensor | None = None  # μ: ()
    rebalance_floor: Tensor | None = None  # α: ()


class _Side(NamedTuple):
    """One side of the loss: coefficient · u^γ · n / λ, with n = −log(1 − u) and u a function of a."""

    coefficient: Tensor
    a: Tensor  # what a wrong answer makes large: −a₊ or a₋
    gamma: Tensor | None
    scale: Tensor | None = None  # λ
    shift: Tensor | None = None  # m


def _weights(xp: ModuleType, at: Layout, p: Parameters) -> tuple[Tensor | float | None, Tensor | float | None]:
    """Return ω₁ and ω₀, None where they are 1."""
    positive, negative = _outcome_weights(xp, at.logits, p)
    if p.rebalance_slope is None and p.rebalance_floor is None:
        return positive, negative
    r = _rebalancing(xp, at, p)
    return r if positive is None else r * positive, r if negative is None else r * negative


def _outcome_weights(xp: ModuleType, z: Tensor, p: Parameters) -> tuple[Tensor | float | None, Tensor | float | None]:
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


def _rebalancing(xp: ModuleType, at: Layout, p: Parameters) -> Tensor:
    """Return α + σ(β (ρ_c / Σ_j t_j ρ_j − μ)); where no label is there the quotient is large, not infinite."""
    floor = 0.5 if p.rebalance_floor is None else p.rebalance_floor
    if p.rebalance_slope is None:
        return floor + 0.5
    rarity = xp.ones_like(at.target) if p.label_rarity is None else column(xp, p.label_rarity, at.logits)
    total = xp.expand_dims(xp.sum(at.target * rarity), 1)
    there = total * _LONE > rarity
    share = xp.where(there, rarity / xp.where(there, total, 1.0), _LONE)
    if p.rebalance_center is not None:
        share = share - p.rebalance_center
    return floor + xp.sigmoid(p.rebalance_slope * share)


def _entropy(xp: ModuleType, side: _Side) -> tuple[Tensor, Tensor | None]:
    """Return n, and log u where focusing needs it.

    With a shift, u = σ(a) − m = (1 − m) σ(a) (1 − e^(a₀ − a)) with a₀ = logit m: no difference of probabilities.
    1 − u = σ(−a) + m, whose logarithm is that of a sum of exponentials where u is large, and log1p(−u) where it is
    small. At m = 0 everything is what it is without a shift.
    """
    a = side.a
    if side.shift is None:
        return xp.softplus(a), None if side.gamma is None else xp.log_sigmoid(a)
    m, log_m = side.shift, _log_shift(xp, side.shift)
    alive = _alive(xp, a, m)
    d = xp.where(alive, a - log_m + xp.log1p(-m), 1.0)
    log_u = xp.log_sigmoid(a) + xp.log1p(-m) + _log1mexp(xp, d)
    u, log_v = xp.exp(log_u), -xp.softplus(a)  # v = 1 − σ(a)
    small = u < 0.5
    near = -xp.log1p(-xp.where(small, u, 0.5))
    far = xp.where(log_v > log_m, -log_v - xp.softplus(log_m - log_v), -log_m - xp.softplus(log_v - log_m))
    n = xp.where(alive, xp.where(small, near, far), 0.0)
    return n, log_u


def _log1mexp(xp: ModuleType, d: Tensor) -> Tensor:
    """Return log(1 − e^(−d)) for d > 0, with a derivative that keeps its digits where it vanishes."""
    close = d < 0.6931
    return xp.where(
        close, xp.log(-xp.expm1(-xp.where(close, d, 0.6931))), xp.log1p(-xp.exp(-xp.where(close, 0.6931, d)))
    )


def _slope(xp: ModuleType, side: _Side) -> Tensor:
    """Return dn/da = σ(a) σ(−a) / (σ(−a) + m).

    With a shift it vanishes like e^(−a) / m: a negative that looks certainly positive is taken for a label that was
    forgotten.
    """
    if side.shift is None:
        return xp.sigmoid(side.a)
    slope = xp.sigmoid(side.a) * xp.sigmoid(-xp.softplus(side.a) - _log_shift(xp, side.shift))
    return xp.where(_alive(xp, side.a, side.shift), slope, 0.0)


def _alive(xp: ModuleType, a: Tensor, m: Tensor) -> Tensor:
    """Whether σ(a) > m."""
    return a - _log_shift(xp, m) + xp.log1p(-m) > _DISTINCT


def _log_shift(xp: ModuleType, m: Tensor) -> Tensor:
    return xp.where(m > 0.0, xp.log(xp.where(m > 0.0, m, 1.0)), -_LARGE)


def _shifted(xp: ModuleType, z: Tensor, p: Parameters) -> tuple[Tensor, Tensor]:
    """Return a₊ and a₋."""
    a = z if p.logit_offset is None else z + column(xp, p.logit_offset, z)
    return a, a if p.neg_scale is None else p.neg_scale * a


def _sides(xp: ModuleType, at: Layout, p: Parameters) -> tuple[_Side, _Side]:
    t = at.target
    positive, negative = _weights(xp, at, p)
    here = t if positive is None else t * positive
    away = (1.0 - t) if negative is None else (1.0 - t) * negative
    up, down = _shifted(xp, at.logits, p)
    return (
        _Side(here, -up, p.gamma_pos),
        _Side(away, down, p.gamma_neg, p.neg_scale, p.probability_shift),
    )


def value(xp: ModuleType, at: Layout, p: Parameters) -> tuple[Tensor, Tensor | None]:
    """Return ω·ℓ in nats and ω, each shaped like the logits; ω is None where it is 1."""
    loss, weight = 0.0, 0.0
    for side in _sides(xp, at, p):
        phi, log_u = _entropy(xp, side)
        if side.gamma is not None:
            phi = focusing.value(xp, phi, log_u, side.gamma)
        if side.scale is not None:
            phi = phi / side.scale
        loss = loss + side.coefficient * phi
        weight = weight + side.coefficient
    weighs = (p.class_weight, p.pos_weight, p.outcome_weight, p.rebalance_slope, p.rebalance_floor)
    return loss, None if all(w is None for w in weighs) else weight


def gradient(xp: ModuleType, at: Layout, p: Parameters) -> Tensor:
    """Return ∂(ω·ℓ)/∂z: ± coefficient · ψ · dn/da for the two sides (λ in a₋ and 1/λ before the loss cancel)."""
    positive, negative = (side.coefficient * _psi(xp, side) * _slope(xp, side) for side in _sides(xp, at, p))
    return negative - positive


def _psi(xp: ModuleType, side: _Side) -> Any:
    if side.gamma is None:
        return 1.0
    return xp.exp(focusing.log_slope(xp, *_entropy(xp, side), side.gamma))


def curvature(xp: ModuleType, at: Layout, p: Parameters) -> Tensor:
    """Return a bound h ≥ ∂²(ω·ℓ)/∂z², at least 1e-16; exact without focusing and shift.

    With focusing the negative part of the second derivative is left out (see `steelyard.losses.focusing`); with a
    shift d²n/da² = dn/da (1 − 2σ + dn/da) is bounded by dn/da (1 − σ), since dn/da ≤ σ.
    """
    h = 0.0
    for side in _sides(xp, at, p):
        slope = _slope(xp, side)
        bound = _psi(xp, side) * slope * xp.sigmoid(-side.a)
        if side.gamma is not None:
            bound = bound + slope * slope * focusing.curvature_bound(xp, *_entropy(xp, side), side.gamma)
        h = h + side.coefficient * (bound if side.scale is None else side.scale * bound)
    return xp.where(h > 1e-16, h, 1e-16)


def posterior(xp: ModuleType, z: Tensor, p: Parameters) -> Tensor:
    """Return the probability η of the label for which the logit is stationary.

    η ω₁ ψ₊ dn₊/da = (1 − η) ω₀ ψ₋ dn₋/da        ⇒        logit η = log(ω₀ ψ₋ dn₋/da) − log(ω₁ ψ₊ dn₊/da)

    The two slopes are σ(−a₊) and σ(a₋), whose logarithms differ by a where λ = 1 and m = 0. Below the shift nothing
    pushes a logit down, so that only η = 0 leaves it there.
    """
    positive, negative = _outcome_weights(xp, z, p)
    up, down = _shifted(xp, z, p)
    m = p.probability_shift
    logit = up
    if p.neg_scale is not None or m is not None:
        logit = xp.log_sigmoid(down) + xp.softplus(up)
    if m is not None:
        logit = logit + xp.log_sigmoid(-xp.softplus(down) - _log_shift(xp, m))
    if positive is not None:
        logit = logit - xp.log(positive)
    if negative is not None:
        logit = logit + xp.log(negative)
    for sign, side in ((-1.0, _Side(1.0, -up, p.gamma_pos)), (1.0, _Side(1.0, down, p.gamma_neg, None, m))):
        if side.gamma is not None:
            logit = logit + sign * focusing.log_slope(xp, *_entropy(xp, side), side.gamma)
    return xp.sigmoid(logit) if m is None else xp.where(_alive(xp, down, m), xp.sigmoid(logit), 0.0)
