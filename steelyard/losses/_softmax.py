"""The generalised softmax cross-entropy: value, gradient and positive curvature, per example.

    a_c = Δ_c z_c + ι_c − m_y [c = y] + Λ[y, c] + κ max(0, sg(z_c − z_y))         q = softmax(a)
    ℓ   = ω · (1 − q_y)^γ · (−log q_y + ε₁ (1 − q_y))                             ω = class weight of this example

Weighted cross-entropy, focal, logit adjustment, Balanced Softmax, LDAM, CDT, VS, Seesaw, Poly-1 and the pairwise
margins are points of this family (`steelyard.losses.names`). With dense targets t (one-hot or soft), smoothing ε_y
and an expected-cost term:

    ℓ   = Σ_c b_c (1 − q_c)^γ (−log q_c + ε₁ (1 − q_c)) + λ Σ_j M̄_j q_j
    b_c = (1 − ε̄) t_c ω_c + (ε̄ / C) ω̄,   ω̄ = Σ_c t_c ω_c,   M̄ = Σ_y t_y M[y];   ε, m, Λ and z_y averaged over t

Numerics. One class is left out of the sum of exponentials and its loss is log1p(Σ of the others / its own):
a float32 log-sum-exp that already holds the target rounds a loss of 1e-9 to 0. For an integer target that class
is the target, for dense targets the largest, so that every −log q_c is a sum of non-negative terms. No
probability is clipped; powers are taken in log space.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any, NamedTuple

from steelyard.losses import focusing
from steelyard.losses.layout import Layout, column

__all__ = [
    "WEIGHT_BY",
    "Parameters",
    "curvature",
    "gradient",
    "gradient_and_curvature",
    "hessian",
    "posterior",
    "value",
    "value_and_gradient",
]

Tensor = Any

WEIGHT_BY = ("target", "prediction", "pair", "prediction_hard", "pair_hard")


class Parameters(NamedTuple):
    """A point of the family; None where a parameter is absent and costs nothing."""

    class_weight: Tensor | None = None  # (c,), (n, c), or (c, c) for pairs
    logit_scale: Tensor | None = None  # Δ: () or (c,)
    logit_offset: Tensor | None = None  # ι: () or (c,)
    margin: Tensor | None = None  # m: () or (c,)
    pairwise_offset: Tensor | None = None  # Λ: (c, c)
    gamma: Tensor | None = None  # γ: ()
    label_smoothing: Tensor | None = None  # ε: () or (c,)
    cost_matrix: Tensor | None = None  # M: (c, c)
    cost_coefficient: Tensor | None = None  # λ: ()
    poly_coefficient: Tensor | None = None  # ε₁: ()
    compensation: Tensor | None = None  # κ: ()


def _bent(p: Parameters) -> bool:
    """Whether φ is not −log q itself."""
    return p.gamma is not None or p.poly_coefficient is not None


def value(xp: ModuleType, at: Layout, p: Parameters, weight_by: str) -> tuple[Tensor, Tensor | None]:
    """Return ω·ℓ in nats and ω, each (n,) or (n, k); ω is None where it is 1."""
    if _takes_every_class(at, p):
        return _value_dense(xp, at, p, weight_by)
    return _value_index(xp, at, p, weight_by)


def _takes_every_class(at: Layout, p: Parameters) -> bool:
    return at.dense or p.label_smoothing is not None or p.cost_matrix is not None


# --- integer targets: everything is a function of one number, the gap between the others and the target ---------


def _value_index(xp: ModuleType, at: Layout, p: Parameters, weight_by: str) -> tuple[Tensor, Tensor | None]:
    y = at.target
    _, gap = _gap_of_index(xp, at, p)
    loss = xp.softplus(gap)
    if _bent(p):
        loss = focusing.value(xp, loss, xp.log_sigmoid(gap), p.gamma, p.poly_coefficient)
    weight = _weight_of_index(xp, at.logits, y, p.class_weight, weight_by)
    return (loss if weight is None else weight * loss), weight


def _gap_of_index(xp: ModuleType, at: Layout, p: Parameters) -> tuple[Tensor, Tensor]:
    """Return the adjusted logits, margin left out, and log Σ_{c≠y} exp(a_c) − a_y, margin included."""
    a, y = _adjusted(xp, at.logits, p), at.target
    if p.pairwise_offset is not None:
        a = a + _rows(xp, p.pairwise_offset, y)
    if p.compensation is not None:
        a = a + _compensated(xp, at.logits, xp.pick(at.logits, y), p.compensation)
    gap = xp.gap(a, y)
    if p.margin is not None:
        gap = gap + _margin_of(xp, p.margin, y)
    return a, gap


def _compensated(xp: ModuleType, z: Tensor, own: Tensor, compensation: Tensor) -> Tensor:
    """Return κ max(0, sg(z_c − z_y)): what a class that is ahead of the true one is raised by."""
    ahead = xp.stop_gradient(z - xp.expand_dims(own, 1))
    return compensation * xp.where(ahead > 0.0, ahead, 0.0)


def _margin_of(xp: ModuleType, margin: Tensor, y: Tensor) -> Tensor:
    return margin if len(margin.shape) == 0 else xp.lookup(margin, y)


class _Row(NamedTuple):
    """What gradient and curvature of an integer target share."""

    q: Tensor  # exp(−n_c), the target's from its gap
    gap: Tensor
    n: Tensor  # −log q_y
    log_u: Tensor | None  # log(1 − q_y), where focusing needs it
    weight: Tensor | None  # ω
    size: Tensor | None  # ω ψ; None where it is 1


def _row(xp: ModuleType, at: Layout, p: Parameters, weight_by: str) -> _Row:
    y = at.target
    a, gap = _gap_of_index(xp, at, p)
    n = xp.softplus(gap)
    weight = size = _weight_of_index(xp, at.logits, y, p.class_weight, weight_by)
    log_u = None
    if _bent(p):
        log_u = xp.log_sigmoid(gap)
        slope = xp.exp(focusing.log_slope(xp, n, log_u, p.gamma, p.poly_coefficient))
        size = slope if size is None else size * slope
    # −log q_j = n − (a_j − a_y + m): the sums of the gap in its order, so that their roundings cancel at large logits
    lead = a - xp.expand_dims(xp.pick(a, y), 1)
    if p.margin is not None:
        margin = _margin_of(xp, p.margin, y)
        lead = lead + (margin if len(margin.shape) == 0 else xp.expand_dims(margin, 1))
    q = xp.place(xp.exp(lead - xp.expand_dims(n, 1)), y, xp.sigmoid(-gap))
    return _Row(q, gap, n, log_u, weight, size)


def _gradient_index(xp: ModuleType, at: Layout, r: _Row) -> Tensor:
    """Return ∂(ω·ℓ)/∂a = ω ψ (q − onehot): q_j for the others, −(1 − q_y), from the gap, for the target."""
    g = xp.place(r.q, at.target, -xp.sigmoid(r.gap))
    return g if r.size is None else xp.expand_dims(r.size, 1) * g


def _curvature_index(xp: ModuleType, at: Layout, p: Parameters, r: _Row) -> Tensor:
    """Return the bound of `curvature` for an integer target, before the logit scale."""
    # 1 − q is exact up to q = 1/2; beyond, it is the sum of the others
    top = xp.argmax(r.q)
    h = r.q * xp.place(1.0 - r.q, top, xp.sum(xp.place(r.q, top, 0.0)))
    if r.size is not None:
        h = xp.expand_dims(r.size, 1) * h
    if _bent(p):
        bound = focusing.curvature_bound(xp, r.n, r.log_u, p.gamma, p.poly_coefficient)
        if r.weight is not None:
            bound = r.weight * bound
        h = h + xp.expand_dims(bound, 1) * xp.place(r.q, at.target, xp.sigmoid(r.gap)) ** 2
    return h


def _weight_of_index(xp: ModuleType, z: Tensor, y: Tensor, w: Tensor | None, weight_by: str) -> Tensor | None:
    if w is None:
        return None
    if weight_by == "target":
        if len(w.shape) == 1:
            return xp.lookup(w, y)
        return xp.pick(_over_positions(xp, w, z), y)
    if weight_by.startswith("prediction"):
        return _weight_by_prediction(xp, z, w, weight_by)
    if weight_by == "pair":
        return xp.sum(_rows(xp, w, y) * xp.softmax(xp.stop_gradient(z)))
    return xp.pick(_rows(xp, w, y), xp.argmax(z))


def _weight_by_prediction(xp: ModuleType, z: Tensor, w: Tensor, weight_by: str) -> Tensor:
    """Return Σ_c w_c sg(p_c), or w at the arg max; p is the raw softmax."""
    if weight_by == "prediction_hard":
        best = xp.argmax(z)
        return xp.lookup(w, best) if len(w.shape) == 1 else xp.pick(_over_positions(xp, w, z), best)
    return xp.sum(column(xp, w, z) * xp.softmax(xp.stop_gradient(z)))


def _rows(xp: ModuleType, matrix: Tensor, y: Tensor) -> Tensor:
    """Return matrix[y] with the class axis second."""
    rows = xp.lookup(matrix, y)
    return rows if len(y.shape) == 1 else xp.moveaxis(rows, -1, 1)


def _over_positions(xp: ModuleType, w: Tensor, z: Tensor) -> Tensor:
    """Return weights per row (n, c) for every position: the shape of the logits."""
    return w if len(z.shape) == 2 else xp.expand_dims(w, 2) + xp.stop_gradient(z) * 0


def _adjusted(xp: ModuleType, z: Tensor, p: Parameters) -> Tensor:
    """Return Δ z + ι, the part that does not depend on the target."""
    if p.logit_scale is not None:
        z = column(xp, p.logit_scale, z) * z
    return z if p.logit_offset is None else z + column(xp, p.logit_offset, z)


# --- dense targets, smoothing, costs: every class takes part ----------------------------------------------------


class _Dense(NamedTuple):
    """What value, gradient and curvature share."""

    nll: Tensor  # n_c = −log q_c
    log_u: Tensor | None  # log(1 − q_c), where focusing needs it
    coefficient: Tensor  # b_c
    weight: Tensor | None  # ω̄
    cost: Tensor | None  # λ M̄


def _dense(xp: ModuleType, at: Layout, p: Parameters, weight_by: str) -> _Dense:
    z = at.logits
    t = at.target if at.dense else xp.onehot(at.target, at.n_classes, z.dtype)
    a = _adjusted(xp, z, p)
    if p.margin is not None:
        a = a - column(xp, p.margin, z) * t
    if p.pairwise_offset is not None:
        a = a + xp.contract(t, p.pairwise_offset)
    if p.compensation is not None:
        # a class ruled out by a logit of −∞ has no part in the mean logit of the targets
        a = a + _compensated(xp, z, xp.sum(t * xp.where(t > 0.0, z, 0.0)), p.compensation)
    top, gap, _, nll = _negative_log(xp, a)
    log_u = None
    if _bent(p):
        # for every class but the largest q ≤ 1/2, and the direct formula is exact
        log_u = xp.place(xp.log1p(-xp.exp(-xp.place(nll, top, 1.0))), top, xp.log_sigmoid(gap))
    b, weight = _coefficients(xp, z, t, p, weight_by, at.n_classes)
    cost = None if p.cost_matrix is None else p.cost_coefficient * xp.contract(t, p.cost_matrix)
    return _Dense(nll, log_u, b, weight, cost)


def _negative_log(xp: ModuleType, a: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return the largest class, log Σ of the others − its logit, its lead a_top − a_c, and n_c = −log q_c."""
    top = xp.argmax(a)
    gap = xp.gap(a, top)
    tail = xp.softplus(gap)
    lead = xp.expand_dims(xp.pick(a, top), 1) - a
    # the largest class is placed by itself: the gradient of a_top − a_top is 1 − 1, in which a small slope drowns
    return top, gap, lead, xp.place(lead + xp.expand_dims(tail, 1), top, tail)


def _coefficients(
    xp: ModuleType, z: Tensor, t: Tensor, p: Parameters, weight_by: str, n_classes: Any
) -> tuple[Tensor, Tensor | None]:
    w, eps = p.class_weight, p.label_smoothing
    if w is None:
        weighted, weight = t, None
    elif weight_by == "target":
        weighted = t * column(xp, w, z)
        weight = xp.sum(weighted)
    elif weight_by.startswith("prediction"):
        row = _weight_by_prediction(xp, z, w, weight_by)
        weighted = t * xp.expand_dims(row, 1)
        weight = xp.sum(weighted)
    else:
        fixed = xp.stop_gradient(z)
        p_or_best = xp.softmax(fixed) if weight_by == "pair" else xp.onehot(xp.argmax(fixed), n_classes, z.dtype)
        # Σ_c W[y, c] p_c for every y: contract with the transposed matrix
        weighted = t * xp.contract(p_or_best, xp.moveaxis(w, 0, 1))
        weight = xp.sum(weighted)
    if eps is None:
        return weighted, weight
    # the smoothed mass carries the weight of the true class, not w_c: smoothing must not shift classes by itself
    share = xp.sum(t) if weight is None else weight
    if len(eps.shape) == 1:  # one for each true class
        eps = xp.expand_dims(xp.sum(t * column(xp, eps, z)), 1)
    if not isinstance(n_classes, int):
        n_classes = xp.cast(n_classes, z.dtype)  # known to the run only
    return (1.0 - eps) * weighted + eps * xp.expand_dims(share, 1) / n_classes, weight


def _value_dense(xp: ModuleType, at: Layout, p: Parameters, weight_by: str) -> tuple[Tensor, Tensor | None]:
    d = _dense(xp, at, p, weight_by)
    return _loss_dense(xp, d, p), d.weight


def _loss_dense(xp: ModuleType, d: _Dense, p: Parameters) -> Tensor:
    # a class ruled out by a logit of −∞ has an infinite loss that nothing asks for: 0 · ∞ is 0 here
    nll = xp.where(d.coefficient > 0.0, d.nll, 0.0)
    phi = focusing.value(xp, nll, d.log_u, p.gamma, p.poly_coefficient) if _bent(p) else nll
    loss = xp.sum(d.coefficient * phi)
    return loss if d.cost is None else loss + xp.sum(d.cost * xp.exp(-d.nll))


def gradient(xp: ModuleType, at: Layout, p: Parameters, weight_by: str) -> Tensor:
    """Return ∂(ω·ℓ)/∂z, (n, c[, k])."""
    g = _gradient_adjusted(xp, at, p, weight_by)
    return g if p.logit_scale is None else column(xp, p.logit_scale, g) * g


def value_and_gradient(
    xp: ModuleType, at: Layout, p: Parameters, weight_by: str
) -> tuple[Tensor, Tensor | None, Tensor]:
    """Return what `value` and `gradient` do, from one pass over the logits."""
    if _takes_every_class(at, p):
        d = _dense(xp, at, p, weight_by)
        loss, weight, g = _loss_dense(xp, d, p), d.weight, _gradient_dense(xp, d, p)
    else:
        r = _row(xp, at, p, weight_by)
        loss = focusing.value(xp, r.n, r.log_u, p.gamma, p.poly_coefficient) if _bent(p) else r.n
        weight, g = r.weight, _gradient_index(xp, at, r)
        loss = loss if weight is None else weight * loss
    return loss, weight, g if p.logit_scale is None else column(xp, p.logit_scale, g) * g


def _gradient_adjusted(xp: ModuleType, at: Layout, p: Parameters, weight_by: str) -> Tensor:
    """Return ∂(ω·ℓ)/∂a, (n, c[, k]).

        ∂ℓ/∂a_j = q_j Σ_{c≠j} b_c ψ_c − (1 − q_j) b_j ψ_j + q_j (λM̄_j − Σ_k λM̄_k q_k)

    ψ is the slope of `focusing`. Writing the sum without its own term keeps small gradients exact.
    """
    if not _takes_every_class(at, p):
        return _gradient_index(xp, at, _row(xp, at, p, weight_by))
    return _gradient_dense(xp, _dense(xp, at, p, weight_by), p)


def _gradient_dense(xp: ModuleType, d: _Dense, p: Parameters) -> Tensor:
    q = xp.exp(-d.nll)
    by_class = d.coefficient * _slope(xp, d, p)
    g = q * (xp.expand_dims(xp.sum(by_class), 1) - by_class) - _complement(xp, d) * by_class
    if d.cost is not None:
        g = g + q * (d.cost - xp.expand_dims(xp.sum(d.cost * q), 1))
    return g


def _complement(xp: ModuleType, d: _Dense) -> Tensor:
    """Return 1 − q_c, exact where q_c is nearly 1."""
    return -xp.expm1(-d.nll) if d.log_u is None else xp.exp(d.log_u)


def _slope(xp: ModuleType, d: _Dense, p: Parameters) -> Tensor | float:
    return xp.exp(focusing.log_slope(xp, d.nll, d.log_u, p.gamma, p.poly_coefficient)) if _bent(p) else 1.0


def curvature(xp: ModuleType, at: Layout, p: Parameters, weight_by: str) -> Tensor:
    """Return a bound h_j ≥ ∂²(ω·ℓ)/∂z_j², positive, (n, c[, k]).

        ∂²ℓ/∂a_j² = Σ_c b_c [φ''_c (q_j − [c = j])² + ψ_c q_j (1 − q_j)] + q_j (1 − 2 q_j)(λM̄_j − Σ_k λM̄_k q_k)

    It is exact, q_j (1 − q_j) Σ_c b_c, for γ = ε₁ = 0 without costs. Otherwise the negative part of φ'' is left out and
    the cost term is taken by its absolute value, because a booster's Newton step needs a positive number: a
    bound, not the second derivative. At least 1e-16.
    """
    if not _takes_every_class(at, p):
        return _floored(xp, _curvature_index(xp, at, p, _row(xp, at, p, weight_by)), p)
    return _floored(xp, _curvature_dense(xp, _dense(xp, at, p, weight_by), p), p)


def gradient_and_curvature(xp: ModuleType, at: Layout, p: Parameters, weight_by: str) -> tuple[Tensor, Tensor]:
    """Return what `gradient` and `curvature` do, from one pass over the logits."""
    if _takes_every_class(at, p):
        d = _dense(xp, at, p, weight_by)
        g, h = _gradient_dense(xp, d, p), _curvature_dense(xp, d, p)
    else:
        r = _row(xp, at, p, weight_by)
        g, h = _gradient_index(xp, at, r), _curvature_index(xp, at, p, r)
    return g if p.logit_scale is None else column(xp, p.logit_scale, g) * g, _floored(xp, h, p)


def _floored(xp: ModuleType, h: Tensor, p: Parameters) -> Tensor:
    if p.logit_scale is not None:
        h = column(xp, p.logit_scale, h) ** 2 * h
    return xp.where(h > 1e-16, h, 1e-16)


def _curvature_dense(xp: ModuleType, d: _Dense, p: Parameters) -> Tensor:
    q, u = xp.exp(-d.nll), _complement(xp, d)
    by_class = d.coefficient * _slope(xp, d, p)
    h = q * u * xp.expand_dims(xp.sum(by_class), 1)
    if _bent(p):
        bound = d.coefficient * focusing.curvature_bound(xp, d.nll, d.log_u, p.gamma, p.poly_coefficient)
        h = h + q * q * (xp.expand_dims(xp.sum(bound), 1) - bound) + u * u * bound
    if d.cost is not None:
        net = d.cost - xp.expand_dims(xp.sum(d.cost * q), 1)
        h = h + q * abs(1.0 - 2.0 * q) * abs(net)
    return h


def hessian(xp: ModuleType, at: Layout, p: Parameters, weight_by: str, positive: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Return (h, u, v), each (n, c[, k]), with ∂²(ω·ℓ)/∂z² = diag h + u vᵀ + v uᵀ: exact, or a positive bound.

        ∂²ℓ/∂a² = Ψ (diag q − q qᵀ) + Σ_c f_c (q − e_c)(q − e_c)ᵀ + diag(q ν) − q (q ν)ᵀ − (q ν) qᵀ
                = diag(Ψ q + f + q ν) + q rᵀ + r qᵀ,     r = (Σ_c f_c − Ψ) q / 2 − f − q ν

    with Ψ = Σ_c b_c ψ_c, f_c = b_c φ''_c and ν = λ (M̄ − Σ_k M̄_k q_k). Weights taken at the prediction are held, as
    in the gradient. The bound, positive semidefinite, leaves out the negative part of φ'' and adds max |ν| to Ψ
    instead of ν: along x the costs' part is Σ_c q_c ν_c (x_c − q·x)², because Σ_c q_c ν_c = 0.
    """
    d = _dense(xp, at, p, weight_by)
    q = xp.exp(-d.nll)
    total = xp.sum(d.coefficient * _slope(xp, d, p))
    f = nu = None
    if _bent(p):
        second = focusing.curvature_bound if positive else focusing.curvature
        f = d.coefficient * second(xp, d.nll, d.log_u, p.gamma, p.poly_coefficient)
    if d.cost is not None:
        nu = d.cost - xp.expand_dims(xp.sum(d.cost * q), 1)
        if positive:
            total, nu = total + xp.pick(abs(nu), xp.argmax(abs(nu))), None
    h, r = xp.expand_dims(total, 1) * q, -0.5 * xp.expand_dims(total, 1) * q
    if f is not None:
        h, r = h + f, r + 0.5 * xp.expand_dims(xp.sum(f), 1) * q - f
    if nu is not None:
        h, r = h + q * nu, r - q * nu
    if p.logit_scale is None:
        return h, q, r
    scale = column(xp, p.logit_scale, q)
    return scale * scale * h, scale * q, scale * r


# --- the probabilities that the trained logits stand for --------------------------------------------------------


def posterior(xp: ModuleType, z: Tensor, p: Parameters, weight_by: str) -> Tensor:
    """Return the η, (n, c), for which logits (n, c) are stationary: Σ_y η_y ∇_z ℓ(z, y) = 0, Σ η = 1.

    With x_y = η_y ω_y ψ_y the condition is that x is the stationary distribution of the chain that goes from y to
    c with probability q_c^(y). Without pairwise offsets and smoothing that chain is reversible and

        log x_y = 2 a_y − m_y + softplus(d_y + m_y),        d_y = log Σ_{j≠y} exp(a_j) − a_y

    in closed form; otherwise one linear system of n_classes unknowns per row is solved, and a solution outside
    the simplex (which smoothing can produce where q < ε / C) is brought back by clipping.
    """
    n_classes = int(z.shape[1])
    # a class ruled out by a logit of −∞ has η = 0; a finite number, because ∞ − ∞ is none
    z = xp.where(z > -1e30, z, -1e30)
    if p.pairwise_offset is not None or p.label_smoothing is not None or p.compensation is not None:
        return _posterior_solved(xp, z, p, weight_by, n_classes)
    a = _adjusted(xp, z, p)
    top, gap, lead, nll = _negative_log(xp, a)
    others = xp.place(nll, top, 1.0)
    d = xp.place(others + xp.log1p(-xp.exp(-others)), top, gap)
    log_eta = -2.0 * lead
    if p.margin is not None:
        d, log_eta = d + p.margin, log_eta - p.margin
    log_eta = log_eta + xp.softplus(d)
    if _bent(p):
        slope = focusing.log_slope(xp, xp.softplus(d), xp.log_sigmoid(d), p.gamma, p.poly_coefficient)
        log_eta = log_eta - slope
    if p.class_weight is not None and not weight_by.startswith("prediction"):
        if weight_by == "target":
            log_eta = log_eta - xp.log(p.class_weight)
        else:
            omega = [_weight_of_index(xp, z, y, p.class_weight, weight_by) for y in _every(xp, z, n_classes)]
            log_eta = log_eta - xp.log(xp.stack(omega))
    return xp.softmax(log_eta)


def _every(xp: ModuleType, z: Tensor, n_classes: int) -> list[Tensor]:
    """Return one target per class: every row of `z` with that class."""
    zero = xp.argmax(z) * 0
    return [zero + c for c in range(n_classes)]


def _posterior_solved(xp: ModuleType, z: Tensor, p: Parameters, weight_by: str, n_classes: int) -> Tensor:
    rows = [
        _gradient_adjusted(xp, Layout(z, y, False, None, (), n_classes), p, weight_by) for y in _every(xp, z, n_classes)
    ]
    # (n, j, y). Each column sums to zero over j, so adding 1 everywhere puts Σ η = 1 into the same equations
    system = xp.moveaxis(xp.stack(rows), 1, 2) + 1.0
    eta = xp.solve(system, 0.0 * z + 1.0)
    eta = xp.where(eta > 0.0, eta, 0.0)
    return eta / xp.expand_dims(xp.sum(eta), 1)
