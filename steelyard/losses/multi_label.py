"""Recipes of the sigmoid family for several labels per row, where almost everything is a negative."""

from __future__ import annotations

from typing import Any

import numpy as np

from steelyard.errors import InputError
from steelyard.losses.registry import recipe
from steelyard.losses.sigmoid import SigmoidCrossEntropy
from steelyard.weights import as_counts

__all__ = ["asymmetric", "distribution_balanced", "equalization_v2"]

_STEEPEST = 60.0  # γμ: e^(−60) is the smallest weight of a negative, and its inverse fits into float32


@recipe(
    formula="t (1 − p)^γ₊ (−log p) + (1 − t) u^γ₋ (−log(1 − u)),   u = max(p − m, 0)",
    when="several labels per row, mostly absent, some of them forgotten by who labelled",
    source="Ridnik et al., ICCV 2021 (arXiv:2009.14119)",
)
def asymmetric(
    gamma_neg: Any = 4.0, gamma_pos: Any = 0.0, probability_shift: Any = 0.05, **settings: Any
) -> SigmoidCrossEntropy:
    """Return the asymmetric loss (ASL): easy negatives count less, and very easy or hopeless ones not at all.

        ℓ = t (1 − p)^γ₊ (−log p) + (1 − t) u^γ₋ (−log(1 − u)),    u = max(p − m, 0)

    Parameters
    ----------
    gamma_neg : float in [0, ∞), default 4
        γ₋, focusing of negatives.
    gamma_pos : float in [0, ∞), default 0
        γ₊, focusing of positives: the paper's value. The authors' code has 1 as default and 0 in its commands.
    probability_shift : float in [0, 1), default 0.05
        m.
    **settings
        Any other parameter of `SigmoidCrossEntropy`.

    Notes
    -----
    A negative with p ≤ m has loss and gradient 0, exactly. As p → 1 its loss ends at (1 − m)^γ₋ (−log m) and its
    gradient vanishes like e^(−z)/m: it is taken for a label that was forgotten. So there is a true probability (0.96
    by default) from which on the minimiser is z = ∞, and `posterior` gives no more than that.

    The authors' code sums over entries where this is a mean, clips probabilities at 1e-8, beyond which positives have
    no gradient, and gives NaN gradients below the shift for 0 < γ₋ < 1.

    Examples
    --------
    >>> import numpy as np, steelyard as sy
    >>> loss = sy.losses.asymmetric(reduction="none")
    >>> loss(np.array([0.0, 0.0, -3.0]), np.array([1, 0, 0])).round(4)    # ln 2, 0.45⁴ (−ln 0.55), p = 0.047 < m
    array([0.6931, 0.0245, 0.    ])
    """
    return SigmoidCrossEntropy(
        gamma_neg=gamma_neg, gamma_pos=gamma_pos, probability_shift=probability_shift, **settings
    )


@recipe(
    formula="r (t (1 − p)^γ softplus(−a) + (1 − t) u^γ softplus(λa)/λ),   p = σ(a),   u = σ(λa),   "
    "a = z + κ logit π,   r = α + σ(β (n⁻¹ / Σ t n⁻¹ − μ))",
    when="long tails of labels that occur together, which resampling or weights by label would count twice",
    source="Wu et al., ECCV 2020 (arXiv:2007.09654)",
)
def distribution_balanced(
    counts: Any,
    rows: float | None = None,
    gamma: Any = 2.0,
    neg_scale: float = 2.0,
    kappa: float = 0.05,
    rebalance: tuple[float, float, float] = (0.1, 10.0, 0.2),
    **settings: Any,
) -> SigmoidCrossEntropy:
    """Return the distribution-balanced focal loss: re-balanced by what occurs together, tolerant of negatives.

        ℓ = t (1 − p)^γ (−log p) + (1 − t) u^γ (−log(1 − u))/λ,    p = σ(a), u = σ(λa),  a = z + κ log(π / (1 − π))
        r = α + σ(β (n_c⁻¹ / Σ_j t_j n_j⁻¹ − μ)) is the weight of label c in its row

    Parameters
    ----------
    counts : ClassCounts of indicators, or (n_labels,)
        Rows with each label: ``sy.ClassCounts.from_indicators(Y)``.
    rows : number, optional
        N, the number of rows, where `counts` does not know it; π = n / N.
    gamma : float in [0, ∞), default 2
        Focusing exponent.
    neg_scale : float in (0, ∞), default 2
        λ of the negatives.
    kappa : float, default 0.05
        κ of the offset. It is towards the label's prior, as a bias that a layer starts with.
    rebalance : (α, β, μ), default (0.1, 10, 0.2)
        α the smallest weight, β the slope and μ the centre of its smoothing.
    **settings
        Any other parameter of `SigmoidCrossEntropy`.

    Raises
    ------
    InputError
        A number of rows that is not known, or smaller than a count.

    Notes
    -----
    Labels without rows, or with all of them, count as with one row, or all but one: log-odds are finite. The mean is
    Σ s·ω·ℓ / Σ s·ω with r in ω; the authors divide by the number of entries (``denominator="rows"``) and multiply by
    2. Their code, and timm's, divide κ by λ once more, which the authors have called an error
    (wutong16/DistributionBalancedLoss#8): ``kappa=0.025`` gives their numbers.

    Examples
    --------
    >>> import numpy as np, steelyard as sy
    >>> loss = sy.losses.distribution_balanced([50, 5], rows=100, gamma=0.0, kappa=0.0, reduction="none")
    >>> loss.class_weight is None, loss.label_rarity
    (True, array([0.02, 0.2 ]))
    >>> loss(np.zeros((1, 2)), np.array([[1, 0]])).round(4)       # weights 0.1 + σ(10·0.8), 0.1 + σ(10·9.8)
    array([[0.7622, 0.3812]])
    """
    given = as_counts(counts)
    total = given.rows if rows is None else rows
    if total is None:
        raise InputError(
            "`rows`, the number of rows that several labels were counted in",
            "counts without it",
            "sy.ClassCounts.from_indicators(Y) knows it; or pass rows=…",
        )
    if not total >= given.counts.max() or total < 2:
        raise InputError("`rows` of at least 2 and at least the largest count", repr(total))
    n = np.clip(np.asarray(given.counts, np.float64), 1.0, float(total) - 1.0)
    floor, slope, center = rebalance
    return SigmoidCrossEntropy(
        gamma_pos=gamma,
        gamma_neg=gamma,
        neg_scale=neg_scale,
        logit_offset=kappa * np.log(n / (total - n)),
        label_rarity=1.0 / n,
        rebalance_slope=slope,
        rebalance_center=center,
        rebalance_floor=floor,
        **settings,
    )


@recipe(
    formula="t q (−log p) + (1 − t) f (−log(1 − p)),   f = σ(γ (G₊/G₋ − μ)),   q = 1 + α (1 − f)",
    when="long tails where rare labels are drowned by negatives: weights follow the gradients that each label had",
    source="Tan et al., CVPR 2021 (arXiv:2012.08548)",
)
def equalization_v2(
    positive_gradient: Any,
    negative_gradient: Any,
    alpha: float = 4.0,
    gamma: float = 12.0,
    mu: float = 0.8,
    **settings: Any,
) -> SigmoidCrossEntropy:
    """Return the gradient-guided equalization loss (EQL v2) for gradient sums so far.

        ℓ = t q_c (−log p) + (1 − t) f_c (−log(1 − p)),    f = σ(γ (G₊/G₋ − μ)),    q = 1 + α (1 − f)

    Parameters
    ----------
    positive_gradient, negative_gradient : (n_labels,)
        G₊ and G₋ ≥ 0: sums of absolute gradients of positives and of negatives of each label, weights included.
    alpha : float ≥ 0, default 4
        How far positives are raised.
    gamma, mu : float, default 12 and 0.8
        Slope and centre of the mapping; γμ ≤ 60.
    **settings
        Any other parameter of `SigmoidCrossEntropy`.

    Raises
    ------
    InputError
        Sums that are negative or of different shapes, or γμ > 60: weights that float32 cannot hold.

    Notes
    -----
    A label without any gradient so far has the weights 1. The mean is Σ s·ω·ℓ / Σ s·ω; the authors divide the sum
    over labels by the number of rows.

    See Also
    --------
    GradientBalance : keeps the sums while training.

    Examples
    --------
    >>> import steelyard as sy
    >>> loss = sy.losses.equalization_v2([8.0, 6.0], [10.0, 10.0])
    >>> loss.class_weight.round(4), (loss.class_weight * loss.pos_weight).round(4)     # f and q
    (array([0.5   , 0.0832]), array([3.    , 4.6673]))
    """
    up, down = (np.asarray(v, np.float64) for v in (positive_gradient, negative_gradient))
    if up.ndim != 1 or up.shape != down.shape:
        raise InputError("gradient sums of shape (n_labels,)", f"shapes {up.shape} and {down.shape}")
    if not (np.isfinite(up).all() and np.isfinite(down).all() and (up >= 0).all() and (down >= 0).all()):
        raise InputError("finite gradient sums ≥ 0", f"{min(up.min(), down.min()):g} as the smallest")
    if not alpha >= 0.0 or not gamma >= 0.0 or not gamma * mu <= _STEEPEST:
        raise InputError(
            f"alpha ≥ 0, gamma ≥ 0 and gamma · mu ≤ {_STEEPEST:g}", f"alpha={alpha}, gamma={gamma}, mu={mu}"
        )
    # beyond 1 the mapping is flat as soon as γ is of the size that it is meant for, and at ∞ it is 1
    ratio = np.divide(up, down, out=np.full(up.shape, np.inf), where=down > 0.0)
    with np.errstate(over="ignore", invalid="ignore"):  # 0 · ∞ of γ = 0 is replaced
        steep = np.where(np.isinf(ratio), np.inf, gamma * (ratio - mu))
    f = 1.0 / (1.0 + np.exp(-np.minimum(steep, 700.0)))
    f = np.where((up == 0.0) & (down == 0.0), 1.0, f)
    return SigmoidCrossEntropy(class_weight=f, pos_weight=(1.0 + alpha * (1.0 - f)) / f, **settings)
