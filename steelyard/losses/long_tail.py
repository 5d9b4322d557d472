"""Losses that move the logits by the class counts: adjustment, margins, temperatures."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from steelyard.errors import InputError
from steelyard.losses.registry import recipe
from steelyard.losses.softmax import SoftmaxCrossEntropy
from steelyard.weights import as_counts

__all__ = ["balanced_softmax", "cdt", "ldam", "logit_adjusted", "vector_scaling"]


def _log_priors(counts: Any) -> NDArray[np.float64]:
    """Return log π; an absent class has the prior of the rarest present one, so that its offset is finite."""
    filled = as_counts(counts).filled
    return np.asarray(np.log(filled) - np.log(as_counts(counts).total), dtype=np.float64)


def _relative(counts: Any) -> NDArray[np.float64]:
    filled = as_counts(counts).filled
    return np.asarray(filled / filled.max(), dtype=np.float64)


@recipe(
    formula="−log softmax(z + τ log π)_y",
    when="the robust first choice for balanced metrics on a long tail; arg max z is then the balanced decision",
    source="Menon et al., ICLR 2021, eq. 10 (arXiv:2007.07314)",
)
def logit_adjusted(counts: Any, tau: float = 1.0, **settings: Any) -> SoftmaxCrossEntropy:
    """Return the logit-adjusted loss, −log softmax(z + τ log π)_y.

    Parameters
    ----------
    counts : ClassCounts, mapping or (n_classes,)
        Class counts; π = n / N.
    tau : float, default 1
        Strength; 0 is cross-entropy, 1 is consistent for the balanced error.
    **settings
        Any other parameter of `SoftmaxCrossEntropy`.

    Examples
    --------
    >>> import steelyard as sy
    >>> sy.losses.logit_adjusted([75, 25]).logit_offset.round(4)
    array([-0.2877, -1.3863])
    """
    return SoftmaxCrossEntropy(logit_offset=tau * _log_priors(counts), **settings)


@recipe(
    formula="−log (n_y e^{z_y} / Σ_c n_c e^{z_c})",
    when="the same loss as logit adjustment with τ = 1, under the name of its other paper",
    source="Ren et al., NeurIPS 2020, eq. 4 (arXiv:2007.10740)",
)
def balanced_softmax(counts: Any, **settings: Any) -> SoftmaxCrossEntropy:
    """Return Balanced Softmax, −log (n_y e^{z_y} / Σ_c n_c e^{z_c}).

    Parameters
    ----------
    counts : ClassCounts, mapping or (n_classes,)
        Class counts n_c. Only their ratios matter: log n and log π differ by a constant.
    **settings
        Any other parameter of `SoftmaxCrossEntropy`.

    Examples
    --------
    >>> import steelyard as sy
    >>> sy.losses.balanced_softmax([75, 25]) == sy.losses.logit_adjusted([75, 25])
    True
    """
    return SoftmaxCrossEntropy(logit_offset=_log_priors(counts), **settings)


@recipe(
    formula="−log softmax(s (z − m_y [c = y]))_y,  m_y ∝ n_y^(−1/4)",
    when="networks with a cosine head on a long tail, best with weights deferred to the last epochs",
    source="Cao et al., NeurIPS 2019, eq. 13 (arXiv:1906.07413)",
)
def ldam(
    counts: Any, max_margin: float = 0.5, scale: float = 30.0, class_weight: Any = None, **settings: Any
) -> SoftmaxCrossEntropy:
    """Return the label-distribution-aware margin loss.

        m_y = max_margin · (n_min / n_y)^{1/4},    ℓ = −log softmax(s (z − m_y [c = y]))_y

    Parameters
    ----------
    counts : ClassCounts, mapping or (n_classes,)
        Class counts.
    max_margin : float ≥ 0, default 0.5
        Margin of the rarest class, in units of the cosine logits.
    scale : float > 0, default 30
        s. The paper's logits are cosines in [−1, 1] of normalised features and weights, hence a scale; with
        ordinary logits take scale=1.
    class_weight : (n_classes,), optional
        Weights, deferred to the last epochs in LDAM-DRW.
    **settings
        Any other parameter of `SoftmaxCrossEntropy`.

    Examples
    --------
    >>> import steelyard as sy
    >>> loss = sy.losses.ldam([160, 10])
    >>> (loss.margin / loss.logit_scale).round(2)
    array([0.25, 0.5 ])
    """
    if not scale > 0:
        raise InputError("`scale` > 0", repr(scale))
    filled = as_counts(counts).filled
    margin = max_margin * (filled.min() / filled) ** 0.25
    return SoftmaxCrossEntropy(
        logit_scale=np.full(filled.shape, float(scale)),
        margin=scale * margin,
        class_weight=class_weight,
        **settings,
    )


@recipe(
    formula="−log softmax((n_c / n_max)^γ z)_y",
    when="networks that separate the training data, where weights are forgotten",
    source="Ye et al., 2020, eq. 5 (arXiv:2001.01385)",
)
def cdt(counts: Any, gamma: float = 0.2, **settings: Any) -> SoftmaxCrossEntropy:
    """Return the class-dependent-temperature loss, −log softmax((n_c / n_max)^γ z)_y.

    Parameters
    ----------
    counts : ClassCounts, mapping or (n_classes,)
        Class counts.
    gamma : float ≥ 0, default 0.2
        Exponent of the temperatures; 0 is cross-entropy.
    **settings
        Any other parameter of `SoftmaxCrossEntropy`.

    Examples
    --------
    >>> import steelyard as sy
    >>> sy.losses.cdt([100, 25], gamma=0.5).logit_scale
    array([1. , 0.5])
    """
    return SoftmaxCrossEntropy(logit_scale=_relative(counts) ** gamma, **settings)


@recipe(
    formula="w_y (−log softmax(Δ_c z_c + τ log π_c)_y),  Δ_c = (n_c / n_max)^γ",
    when="networks: offsets help early, scales when the training data are separated",
    source="Kini et al., NeurIPS 2021, eq. 3 (arXiv:2103.01550)",
)
def vector_scaling(
    counts: Any, tau: float = 1.0, gamma: float = 0.15, class_weight: Any = None, **settings: Any
) -> SoftmaxCrossEntropy:
    """Return the vector-scaling (VS) loss: temperatures, offsets and weights together.

        ℓ = w_y (−log softmax(Δ_c z_c + ι_c)_y),    Δ_c = (n_c / n_max)^γ,    ι_c = τ log π_c

    Parameters
    ----------
    counts : ClassCounts, mapping or (n_classes,)
        Class counts.
    tau : float, default 1
        Strength of the offsets.
    gamma : float ≥ 0, default 0.15
        Exponent of the temperatures.
    class_weight : (n_classes,), optional
        w.
    **settings
        Any other parameter of `SoftmaxCrossEntropy`.

    Examples
    --------
    >>> import steelyard as sy
    >>> sy.losses.vector_scaling([100, 25], gamma=0.5).logit_scale
    array([1. , 0.5])
    """
    return SoftmaxCrossEntropy(
        logit_scale=_relative(counts) ** gamma,
        logit_offset=tau * _log_priors(counts),
        class_weight=class_weight,
        **settings,
    )
