"""Cross-entropy with one added idea: a polynomial term, smoothing by class, an expected cost."""

from __future__ import annotations

from typing import Any

import numpy as np

from steelyard.errors import InputError
from steelyard.losses.registry import recipe
from steelyard.losses.softmax import SoftmaxCrossEntropy
from steelyard.weights import as_counts

__all__ = ["class_aware_smoothing", "cost_regularized", "poly1"]


@recipe(
    formula="w_y (1 − p_y)^γ (−log p_y + ε₁ (1 − p_y))",
    when="a steeper or flatter start of training than cross-entropy's: ε₁ > 0 pulls confident predictions further",
    source="Leng et al., ICLR 2022, eq. 2 and 3 (arXiv:2204.12511)",
)
def poly1(poly_coefficient: float = 1.0, gamma: Any = 0.0, **settings: Any) -> SoftmaxCrossEntropy:
    """Return Poly-1 cross-entropy, or with γ Poly-1 focal loss.

        ℓ = w_y [ (1 − p_y)^γ (−log p_y) + ε₁ (1 − p_y)^(γ+1) ]

    Parameters
    ----------
    poly_coefficient : float > −1, default 1
        ε₁. Around 2 for images in the paper, −1 < ε₁ < 0 for overconfident tasks.
    gamma : float in [0, ∞), default 0
        Focusing exponent.
    **settings
        Any other parameter of `SoftmaxCrossEntropy`.

    Examples
    --------
    >>> import numpy as np, steelyard as sy
    >>> round(float(sy.losses.poly1(2.0)(np.zeros((1, 2)), np.array([0]))), 4)      # ln 2 + 2 · 1/2
    1.6931
    """
    return SoftmaxCrossEntropy(poly_coefficient=poly_coefficient, gamma=gamma, **settings)


@recipe(
    formula="−Σ_c ((1 − ε_y) [c = y] + ε_y / C) log p_c,  ε_y from `tail` (rarest) to `head` (commonest)",
    when="overconfident common classes: they are smoothed more than rare ones",
    source="Zhong et al., CVPR 2021, eq. 4 to 6 (arXiv:2104.00466)",
)
def class_aware_smoothing(counts: Any, head: float = 0.3, tail: float = 0.0, **settings: Any) -> SoftmaxCrossEntropy:
    """Return cross-entropy with label-aware smoothing (MiSLAS), in its concave form.

        ε_y = tail + (head − tail) sin( π (n_y − n_min) / (2 (n_max − n_min)) )

    Parameters
    ----------
    counts : ClassCounts, mapping or (n_classes,)
        Class counts.
    head, tail : float in [0, 1), default 0.3 and 0
        Smoothing of the commonest and of the rarest class.
    **settings
        Any other parameter of `SoftmaxCrossEntropy`.

    Examples
    --------
    >>> import steelyard as sy
    >>> sy.losses.class_aware_smoothing([90, 50, 10]).label_smoothing.round(4)
    array([0.3   , 0.2121, 0.    ])
    """
    n = as_counts(counts).filled
    width = n.max() - n.min()
    share = (n - n.min()) / width if width > 0 else np.ones(len(n))
    smoothing = tail + (head - tail) * np.sin(np.pi / 2.0 * share)
    if not (np.isfinite(smoothing).all() and min(head, tail) >= 0.0 and max(head, tail) < 1.0):
        raise InputError("`head` and `tail` in [0, 1)", f"{head!r} and {tail!r}")
    return SoftmaxCrossEntropy(label_smoothing=smoothing, **settings)


@recipe(
    formula="−log p_y + λ Σ_j M[y, j] p_j",
    when="costs between classes as a regulariser; for decisions by cost train without it and use decisions.min_cost",
    source="Galdran et al., MICCAI 2020, eq. 3 (arXiv:2010.00462)",
)
def cost_regularized(cost_matrix: Any, cost_coefficient: float = 1.0, **settings: Any) -> SoftmaxCrossEntropy:
    """Return cross-entropy plus the expected cost of deciding by the predicted probabilities.

        ℓ = −log p_y + λ Σ_j M[y, j] p_j

    Parameters
    ----------
    cost_matrix : (n_classes, n_classes)
        M[truth, decision] ≥ 0.
    cost_coefficient : float ≥ 0, default 1
        λ.
    **settings
        Any other parameter of `SoftmaxCrossEntropy`.

    Examples
    --------
    >>> import numpy as np, steelyard as sy
    >>> loss = sy.losses.cost_regularized([[0.0, 4.0], [1.0, 0.0]])
    >>> round(float(loss(np.zeros((1, 2)), np.array([0]))), 4)      # ln 2 + 4 · 1/2
    2.6931
    """
    return SoftmaxCrossEntropy(cost_matrix=cost_matrix, cost_coefficient=cost_coefficient, **settings)
