"""Recipes of the sigmoid family: two classes with one logit, or several labels."""

from __future__ import annotations

from typing import Any

from steelyard.errors import InputError
from steelyard.losses.registry import recipe
from steelyard.losses.sigmoid import SigmoidCrossEntropy

__all__ = ["binary_cross_entropy", "outcome_weighted", "sigmoid_focal"]


@recipe(
    formula="t v (−log p) + (1 − t)(−log(1 − p))",
    when="two classes with one logit, or several labels; v = negatives / positives balances them",
    source="TensorFlow, weighted_cross_entropy_with_logits",
)
def binary_cross_entropy(pos_weight: Any = None, **settings: Any) -> SigmoidCrossEntropy:
    """Return binary cross-entropy with a weight on positives.

        ℓ = t v softplus(−z) + (1 − t) softplus(z)

    Parameters
    ----------
    pos_weight : number or (n_labels,), optional
        v ≥ 0, default 1.
    **settings
        Any other parameter of `SigmoidCrossEntropy`.

    Examples
    --------
    >>> import numpy as np, steelyard as sy
    >>> round(float(sy.losses.binary_cross_entropy()(np.array([0.0]), np.array([1.0]))), 4)
    0.6931
    """
    return SigmoidCrossEntropy(pos_weight=pos_weight, **settings)


@recipe(
    formula="(p O[t, 1] + (1 − p) O[t, 0]) · binary cross-entropy, O not differentiated through p",
    when="true and false positives and negatives have different importance while training",
    source="tensorflow/tensorflow#14909",
)
def outcome_weighted(outcome_weight: Any, **settings: Any) -> SigmoidCrossEntropy:
    """Return binary cross-entropy weighted by outcome: TN, FP, FN, TP.

    Parameters
    ----------
    outcome_weight : (2, 2)
        O[truth, decision]: [[TN, FP], [FN, TP]].
    **settings
        Any other parameter of `SigmoidCrossEntropy`.

    Examples
    --------
    >>> import numpy as np, steelyard as sy
    >>> loss = sy.losses.outcome_weighted([[1.0, 1.0], [5.0, 1.0]], reduction="none")
    >>> loss(np.array([0.0]), np.array([1.0])).round(4)       # (5 + 1) / 2 · ln 2
    array([2.0794])
    """
    return SigmoidCrossEntropy(outcome_weight=outcome_weight, **settings)


@recipe(
    formula="α t (1 − p)^γ (−log p) + (1 − α)(1 − t) p^γ (−log(1 − p))",
    when="dense detection: very many easy negatives",
    source="Lin et al., ICCV 2017, eq. 5 (arXiv:1708.02002)",
)
def sigmoid_focal(gamma: Any = 2.0, alpha: float | None = 0.25, **settings: Any) -> SigmoidCrossEntropy:
    """Return the binary focal loss.

        ℓ = α t (1 − p)^γ (−log p) + (1 − α)(1 − t) p^γ (−log(1 − p))

    Parameters
    ----------
    gamma : float in [0, ∞), default 2
        Focusing exponent.
    alpha : float in (0, 1), optional, default 0.25
        Weight of positives, 1 − α of negatives; None leaves both at 1.
    **settings
        Any other parameter of `SigmoidCrossEntropy`.

    Examples
    --------
    >>> import numpy as np, steelyard as sy
    >>> loss = sy.losses.sigmoid_focal(gamma=2.0, alpha=0.25, reduction="none")
    >>> loss(np.array([0.0, 0.0]), np.array([1.0, 0.0])).round(4)    # ln 2 / 4 · (1/4, 3/4)
    array([0.0433, 0.13  ])
    """
    if alpha is None:
        return SigmoidCrossEntropy(gamma_pos=gamma, gamma_neg=gamma, **settings)
    if not 0.0 < alpha < 1.0:
        raise InputError("`alpha` in (0, 1) or None", repr(alpha))
    return SigmoidCrossEntropy(
        class_weight=1.0 - alpha,
        pos_weight=alpha / (1.0 - alpha),
        gamma_pos=gamma,
        gamma_neg=gamma,
        **settings,
    )
