"""A scheme's name, a dict or an array → class weights."""

from __future__ import annotations

from inspect import Parameter
from numbers import Real
from typing import Any
from warnings import warn

import numpy as np
from numpy.typing import NDArray

from steelyard.errors import InputError, did_you_mean, one_of
from steelyard.weights.by_class import by_class
from steelyard.weights.counts import ClassCounts, as_counts
from steelyard.weights.normalization import normalized
from steelyard.weights.schemes import SCHEMES
from steelyard.weights.warnings import InvertedWeightsWarning

__all__ = ["class_weight", "class_weight_names"]


def class_weight_names() -> list[str]:
    """Return the names of the schemes that `class_weight` knows.

    Examples
    --------
    >>> class_weight_names()[:3]
    ['none', 'balanced', 'inverse']
    """
    return list(SCHEMES)


def class_weight(scheme: Any, counts: Any, normalize: str | None = None, **options: Any) -> NDArray[np.float64]:
    r"""Return one weight per class.

    With n_c the counts, N their total, C the number of present classes and π = n/N:

    .. math::

        \text{balanced: } \frac{N}{C n_c} \quad \text{inverse: } \frac{N}{n_c} \quad
        \text{power: } n_c^{-\alpha} \quad \text{log_inverse: } \log\frac{N}{n_c} + 1 \quad
        \text{effective_number: } \frac{1-\beta}{1-\beta^{n_c}} \quad \ldots

    ``steelyard.weights.schemes.table()`` lists every formula with its source.

    Parameters
    ----------
    scheme : str, None, mapping or array-like of shape (n_classes,)
        A name from `class_weight_names`; None is "none". A mapping label → weight or an array of weights is
        checked, ordered and normalised.
    counts : ClassCounts, mapping label → count, or 1-d array of counts
        As for `as_counts`.
    normalize : {"n_classes", "sum", "priors", "max"} or None, default None
        Σw = C, Σw = 1, Σπw = 1 (the mean weight of a row is 1), largest = 1; None: the formula as it stands.
        Sums run over present classes.
    **options
        Of the scheme: ``alpha`` (power), ``beta`` in [0, 1) (effective_number), ``c`` (enet), ``recall``
        (recall_driven), ``accuracy`` and ``tau`` (difficulty), ``cost_matrix`` (cost_row_sums).

    Returns
    -------
    ndarray of float64, shape (n_classes,)
        In the order of ``counts.classes``. A class without rows has the weight of the rarest present class
        (see `ClassCounts.filled` for why).

    Raises
    ------
    InputError
        Unknown scheme, normalisation or option; a missing option; negative or non-finite weights; a class
        without a weight.

    Warns
    -----
    InvertedWeightsWarning
        When weights are proportional to frequency.

    Numerics
    --------
    float64 throughout. The effective number is −expm1(n log β)/(1 − β): exact to rounding for β as near to 1
    as float64 goes and for fractional or huge n.

    References
    ----------
    Cui et al., CVPR 2019, arXiv:1901.05555; King & Zeng 2001, doi:10.1093/oxfordjournals.pan.a004868; and
    those of each scheme in the table.

    Examples
    --------
    >>> counts = ClassCounts.from_counts({"A": 198, "B": 436, "C": 710, "D": 272})
    >>> class_weight("balanced", counts).round(4)
    array([2.0404, 0.9266, 0.569 , 1.4853])
    >>> class_weight("effective_number", counts, beta=0.999, normalize="n_classes").round(4)
    array([1.529 , 0.7773, 0.5403, 1.1533])
    >>> class_weight({"A": 2, "B": 1, "C": 1, "D": 1}, counts)
    array([2., 1., 1., 1.])
    """
    counts = as_counts(counts)
    if scheme is None:
        scheme = "none"
    if isinstance(scheme, str):
        chosen = SCHEMES[one_of("scheme", scheme, SCHEMES)]
        _check_options(scheme, chosen.options, options)
        if not counts.present.any():
            raise InputError("at least one class with a count above 0", repr(counts), "count labels first, or merge.")
        weights = chosen.function(counts, **options)
    else:
        _check_options("of your own", {}, options)
        weights = _given(scheme, counts)
    return normalized(weights, counts, normalize)


def _check_options(scheme: str, known: dict[str, Any], given: dict[str, Any]) -> None:
    for name in given:
        if name not in known:
            listed = ", ".join(f"`{option}`" for option in known) or "no options"
            raise InputError(f"{listed} for class weights {scheme!r}", f"`{name}`", did_you_mean(name, known))
        if isinstance(known[name], float) and not isinstance(given[name], Real):
            raise InputError(f"`{name}` as a number", repr(given[name]))
    for name, default in known.items():
        if default is Parameter.empty and given.get(name) is None:
            raise InputError(f"`{name}` for class weights {scheme!r}", "none", f"pass {name}=..., one per class.")


def _given(scheme: Any, counts: ClassCounts) -> NDArray[np.float64]:
    weights = by_class("class_weight", scheme, counts)
    bad = ~(np.isfinite(weights) & (weights >= 0))
    if bad.any():
        i = int(np.argmax(bad))
        raise InputError("finite class weights ≥ 0", f"{weights[i].item()!r} for {counts.classes[i]!r}")
    shares = counts.counts / max(counts.counts.sum(), 1)
    # the inversion by hand: weights that are the shares themselves, or the counts
    if np.ptp(shares) > 0 and weights.any() and np.allclose(weights / weights.sum(), shares, rtol=1e-3, atol=0):
        warn(
            "class weights proportional to the class counts give frequent classes the larger weights, which "
            "mutes the rare ones. Hint: weights against imbalance fall with frequency: scheme='balanced'.",
            InvertedWeightsWarning,
            stacklevel=3,
        )
    return weights
