"""Losses whose offsets differ by example: by its logits (Seesaw), or drawn anew for each (Equalization, GCL).

Drawn offsets are an argument of the call: a loss is a value and holds no generator, so that a compiled step does not
freeze its noise, and a seed gives the same training in every framework.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from steelyard.errors import InputError
from steelyard.losses.registry import recipe
from steelyard.losses.softmax import SoftmaxCrossEntropy
from steelyard.weights import as_counts

__all__ = ["equalization", "equalization_offset", "gcl", "gcl_offset", "seesaw"]

Floats = NDArray[np.float64]

_EXCLUDED = -1e4  # e^−10000 is 0 in every dtype; −∞ would leave NaN where it meets a weight of 0


@recipe(
    formula="−log softmax(z + κ₁ log min(1, n_c/n_y) + κ₂ max(0, z_c − z_y))_y, the last term not differentiated",
    when="long tails: rare classes are not pushed down by common ones, unless they are really mistaken for them",
    source="Wang et al., CVPR 2021, eq. 4, 6 and 7 (arXiv:2008.10032)",
)
def seesaw(counts: Any, p: float = 0.8, q: float = 2.0, **settings: Any) -> SoftmaxCrossEntropy:
    r"""Return the Seesaw loss: mitigation by counts, compensation by mistakes.

        ℓ = −log softmax(a)_y,    a_c = z_c + p log min(1, n_c / n_y) + q max(0, sg(z_c − z_y))

    Parameters
    ----------
    counts : ClassCounts, mapping or (n_classes,)
        Class counts.
    p : float ≥ 0, default 0.8
        Exponent of the mitigation factor, κ₁.
    q : float ≥ 0, default 2
        Exponent of the compensation factor, κ₂.
    **settings
        Any other parameter of `SoftmaxCrossEntropy`.

    Examples
    --------
    >>> import numpy as np, steelyard as sy
    >>> loss = sy.losses.seesaw([100, 10], reduction="none")
    >>> loss(np.zeros((2, 2)), np.array([0, 1])).round(4)      # ln(1 + 0.1^0.8), ln 2
    array([0.1471, 0.6931])
    """
    n = as_counts(counts).filled
    mitigation = p * np.minimum(0.0, np.log(n)[None, :] - np.log(n)[:, None])
    return SoftmaxCrossEntropy(pairwise_offset=mitigation, compensation=q, **settings)


def _tail(counts: Any, threshold: float | None) -> NDArray[np.bool_]:
    filled = as_counts(counts)
    share = filled.filled / filled.total
    return np.asarray(share < (1.0 / len(share) if threshold is None else threshold))


@recipe(
    formula="−log softmax(z + log(1 − γ [π_c < λ][c ≠ y]))_y: the expectation of β ~ Bernoulli(γ)",
    when="rare classes that are drowned as negatives of all the others; equalization_offset draws β",
    source="Tan et al., CVPR 2020, eq. 8 and 9 (arXiv:2003.05176)",
)
def equalization(
    counts: Any, rate: float = 0.9, threshold: float | None = None, **settings: Any
) -> SoftmaxCrossEntropy:
    r"""Return the softmax equalization loss with β at its mean.

        ℓ = −log ( e^{z_y} / Σ_c w_c e^{z_c} ),    w_c = 1 − γ [π_c < λ][c ≠ y]

    Parameters
    ----------
    counts : ClassCounts, mapping or (n_classes,)
        Class counts; π = n / N.
    rate : float in [0, 1), default 0.9
        γ: how often a rare class is left out as a negative.
    threshold : float, optional
        λ: classes of a smaller share are rare; default 1 / n_classes.
    **settings
        Any other parameter of `SoftmaxCrossEntropy`.

    See Also
    --------
    equalization_offset : β drawn for each example and class, as in the paper.

    Examples
    --------
    >>> import numpy as np, steelyard as sy
    >>> loss = sy.losses.equalization([90, 10], reduction="none")
    >>> loss(np.zeros((2, 2)), np.array([0, 1])).round(4)      # ln(1 + 0.1), ln 2
    array([0.0953, 0.6931])
    """
    if not 0.0 <= rate < 1.0:
        raise InputError("`rate` in [0, 1)", repr(rate))
    rare = _tail(counts, threshold)
    offset = np.where(rare[None, :] & ~np.eye(len(rare), dtype=bool), np.log1p(-rate), 0.0)
    return SoftmaxCrossEntropy(pairwise_offset=offset, **settings)


def equalization_offset(
    counts: Any, targets: ArrayLike, generator: np.random.Generator, rate: float = 0.9, threshold: float | None = None
) -> Floats:
    """Draw the offsets of the softmax equalization loss: a rare class is left out of an example, or it is not.

    Parameters
    ----------
    counts, rate, threshold
        As in `equalization`; rate may be 1.
    targets : int array of shape (batch,)
        True classes, which are never left out.
    generator : numpy.random.Generator
        Draws β.

    Returns
    -------
    float64 ndarray of shape (batch, n_classes)
        0, or −10,000 for what is left out: ``loss(logits, targets, logit_offset=…)``.

    Examples
    --------
    >>> import numpy as np, steelyard as sy
    >>> sy.losses.equalization_offset([90, 10], [0, 1], np.random.default_rng(0), rate=1.0)
    array([[     0., -10000.],
           [     0.,      0.]])
    """
    if not 0.0 <= rate <= 1.0:
        raise InputError("`rate` in [0, 1]", repr(rate))
    y, rare = np.asarray(targets), _tail(counts, threshold)
    if y.ndim != 1 or y.dtype.kind not in "iu":
        raise InputError("integer `targets` of shape (batch,)", f"dtype {y.dtype}, shape {y.shape}")
    drawn = generator.random((len(y), len(rare))) < rate
    out = drawn & rare & (np.arange(len(rare)) != y[:, None])
    return np.where(out, _EXCLUDED, 0.0)


def _clouds(counts: Any) -> Floats:
    n = as_counts(counts).filled
    spread = np.log(n.max()) - np.log(n)
    return np.asarray(spread / spread.max() if spread.max() > 0 else spread, dtype=np.float64)


@recipe(
    formula="−log softmax(s (z_c − E|ε| log(n_max/n_c) / log(n_max/n_min)))_y; gcl_offset draws ε",
    when="cosine logits of long-tailed images: rare classes keep a distance from all others",
    source="Li et al., CVPR 2022, eq. 11 (arXiv:2305.11733)",
)
def gcl(counts: Any, std: float = 1.0 / 3.0, scale: float = 30.0, **settings: Any) -> SoftmaxCrossEntropy:
    r"""Return the Gaussian-clouded-logit loss with its noise at its mean.

        ℓ = −log softmax(s (z − E|ε| δ))_y,    δ_c = log(n_max / n_c) / log(n_max / n_min),    E|ε| = σ √(2/π)

    Parameters
    ----------
    counts : ClassCounts, mapping or (n_classes,)
        Class counts.
    std : float ≥ 0, default 1/3
        σ of the noise.
    scale : float > 0, default 30
        s, of cosine logits.
    **settings
        Any other parameter of `SoftmaxCrossEntropy`.

    See Also
    --------
    gcl_offset : noise drawn for each example and class, as in the paper; use it with ``gcl(counts, std=0)``.

    Examples
    --------
    >>> import steelyard as sy
    >>> sy.losses.gcl([100, 10, 1], std=1.0).logit_offset.round(3)
    array([ -0.   , -11.968, -23.937])
    """
    if not std >= 0.0:
        raise InputError("`std` ≥ 0", repr(std))
    offset = -scale * std * np.sqrt(2.0 / np.pi) * _clouds(counts)
    return SoftmaxCrossEntropy(logit_scale=scale, logit_offset=offset, **settings)


def gcl_offset(
    counts: Any, rows: int, generator: np.random.Generator, std: float = 1.0 / 3.0, scale: float = 30.0
) -> Floats:
    """Draw the offsets of the Gaussian-clouded-logit loss.

        −s |ε| δ_c,    ε ~ N(0, σ²) cut to [−1, 1], for each example and class

    Parameters
    ----------
    counts, std, scale
        As in `gcl`.
    rows : int
        Size of the batch.
    generator : numpy.random.Generator
        Draws ε.

    Returns
    -------
    float64 ndarray of shape (rows, n_classes)
        ``loss(logits, targets, logit_offset=…)``.

    Examples
    --------
    >>> import numpy as np, steelyard as sy
    >>> offset = sy.losses.gcl_offset([100, 1], 3, np.random.default_rng(0))
    >>> offset.shape, bool((offset[:, 0] == 0).all()), bool((offset[:, 1] < 0).all())
    ((3, 2), True, True)
    """
    cloud = _clouds(counts)
    noise = np.clip(np.abs(generator.normal(0.0, std, (rows, len(cloud)))), 0.0, 1.0)
    return np.asarray(-scale * noise * cloud, dtype=np.float64)
