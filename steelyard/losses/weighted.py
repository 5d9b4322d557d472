"""Cross-entropy, plain and weighted, and focal: recipes whose numbers are class weights and γ."""

from __future__ import annotations

from typing import Any

from steelyard.losses.registry import recipe
from steelyard.losses.softmax import SoftmaxCrossEntropy
from steelyard.weights import as_counts
from steelyard.weights import class_weight as scheme_weights

__all__ = ["class_balanced", "cross_entropy", "focal", "scaled_logits", "weighted_cross_entropy"]


@recipe(
    formula="−log p_y",
    when="the baseline; with a moved threshold or a post-hoc correction often all that is needed",
    source="—",
)
def cross_entropy(**settings: Any) -> SoftmaxCrossEntropy:
    """Return plain cross-entropy, −log p_y.

    Parameters
    ----------
    **settings
        Any parameter of `SoftmaxCrossEntropy`: label_smoothing, ignore_index, reduction, ...

    Examples
    --------
    >>> import numpy as np, steelyard as sy
    >>> round(float(sy.losses.cross_entropy()(np.zeros((1, 4)), np.array([2]))), 4)
    1.3863
    """
    return SoftmaxCrossEntropy(**settings)


@recipe(
    formula="w_y (−log p_y)",
    when="errors on some classes cost more; moves label metrics as a moved threshold does, and breaks calibration",
    source="King & Zeng, Political Analysis 9(2), 2001",
)
def weighted_cross_entropy(class_weight: Any, weight_by: str = "target", **settings: Any) -> SoftmaxCrossEntropy:
    """Return weighted cross-entropy, ω (−log p_y).

    Parameters
    ----------
    class_weight : (n_classes,), or (n_classes, n_classes) with ``weight_by="pair"``
        Weights by true class, by predicted class, or by the pair [truth, prediction].
    weight_by : str, default "target"
        See `SoftmaxCrossEntropy`.
    **settings
        Any other parameter of `SoftmaxCrossEntropy`.

    Examples
    --------
    >>> import numpy as np, steelyard as sy
    >>> loss = sy.losses.weighted_cross_entropy([1.0, 3.0], reduction="none")
    >>> loss(np.zeros((2, 2)), np.array([0, 1])).round(4)
    array([0.6931, 2.0794])
    """
    return SoftmaxCrossEntropy(class_weight=class_weight, weight_by=weight_by, **settings)


@recipe(
    formula="−log softmax(w · z)_y",
    when="rarely: it rescales the logits instead of weighting the loss; used at prediction too it changes nothing "
    "but the parametrisation of the last layer",
    source="a common forum answer to 'how do I weight classes'",
)
def scaled_logits(class_weight: Any, **settings: Any) -> SoftmaxCrossEntropy:
    """Return cross-entropy of logits multiplied by class weights: "weights into the logits".

    This is not a weighted loss. Each logit is multiplied by its own class's weight, Δ = w, in training only.

    Parameters
    ----------
    class_weight : (n_classes,)
        Factors Δ ≥ 0 of the logits.
    **settings
        Any other parameter of `SoftmaxCrossEntropy`.

    Examples
    --------
    >>> import numpy as np, steelyard as sy
    >>> loss = sy.losses.scaled_logits([1.0, 2.0])
    >>> round(float(loss(np.array([[1.0, 1.0]]), np.array([0]))), 4)      # softmax(1, 2)
    1.3133
    """
    return SoftmaxCrossEntropy(logit_scale=class_weight, **settings)


@recipe(
    formula="w_y (1 − p_y)^γ (−log p_y)",
    when="many easy examples drown the hard ones (dense detection); alone it is no cure for imbalance",
    source="Lin et al., ICCV 2017, eq. 5 (arXiv:1708.02002)",
)
def focal(gamma: Any = 2.0, class_weight: Any = None, **settings: Any) -> SoftmaxCrossEntropy:
    """Return the focal loss, w_y (1 − p_y)^γ (−log p_y).

    Parameters
    ----------
    gamma : float in [0, ∞), default 2
        Focusing exponent; 0 is cross-entropy.
    class_weight : (n_classes,), optional
        The α of the paper, by class.
    **settings
        Any other parameter of `SoftmaxCrossEntropy`.

    Notes
    -----
    The mean is Σ s·w·ℓ / Σ s·w: the focusing factor is not in the denominator. `posterior` undoes the flattening
    that focusing does to probabilities.

    Examples
    --------
    >>> import numpy as np, steelyard as sy
    >>> round(float(sy.losses.focal(gamma=2.0)(np.zeros((1, 2)), np.array([0]))), 4)     # ln 2 / 4
    0.1733
    """
    return SoftmaxCrossEntropy(gamma=gamma, class_weight=class_weight, **settings)


@recipe(
    formula="(1 − β)/(1 − β^n_y) · (1 − p_y)^γ (−log p_y), weights normalised to Σw = C",
    when="a long tail, with weights that level off for large classes",
    source="Cui et al., CVPR 2019, eq. 8 to 12 (arXiv:1901.05555)",
)
def class_balanced(counts: Any, beta: float = 0.9999, gamma: Any = 0.0, **settings: Any) -> SoftmaxCrossEntropy:
    """Return cross-entropy or focal loss weighted by the effective number of samples.

        w_c ∝ (1 − β)/(1 − β^{n_c}),    Σ w = C

    Parameters
    ----------
    counts : ClassCounts, mapping or (n_classes,)
        Class counts n_c.
    beta : float in [0, 1), default 0.9999
        0 is no weighting, β → 1 inverse frequency.
    gamma : float in [0, ∞), default 0
        Focusing exponent.
    **settings
        Any other parameter of `SoftmaxCrossEntropy`.

    Examples
    --------
    >>> import steelyard as sy
    >>> sy.losses.class_balanced([500, 5], beta=0.99).class_weight.round(4)
    array([0.094, 1.906])
    """
    w = scheme_weights("effective_number", as_counts(counts), beta=beta, normalize="n_classes")
    return SoftmaxCrossEntropy(class_weight=w, gamma=gamma, **settings)
