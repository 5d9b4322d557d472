"""What the compiled cross-entropies compute, and what of a loss they do not: for whoever hands them a loss."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from steelyard.losses.base import Loss

__all__ = ["PER_CLASS", "unknown_kind", "unknown_parameter"]

PER_CLASS = ("class_weight", "logit_scale", "logit_offset", "margin", "label_smoothing")
_OF_CLASSES = frozenset((*PER_CLASS, "gamma", "poly_coefficient"))
_OF_LABELS = frozenset(("class_weight", "pos_weight", "gamma_pos", "gamma_neg", "outcome_weight"))


def unknown_kind(loss: Loss, *families: type[Loss]) -> str | None:
    """Return what there is no kernel for, of the kind of a loss, as a noun; None if its parameters settle it.

    Examples
    --------
    >>> import steelyard as sy
    >>> unknown_kind(sy.losses.zlpr(), sy.losses.SoftmaxCrossEntropy)
    'a ZLPR'
    """
    if not isinstance(loss, families):
        return f"a {type(loss).__name__}"
    weight_by = loss.static().get("weight_by", "target")
    return None if weight_by == "target" else f"weight_by={weight_by!r}"


def unknown_parameter(loss: Loss, numbers: Mapping[str, Any]) -> str | None:
    """Return the first parameter that is there, in `numbers`, and that no kernel knows, as a noun; None if none is.

    Examples
    --------
    >>> import steelyard as sy
    >>> loss = sy.losses.softmax_margin([[0.0, 1.0], [1.0, 0.0]])
    >>> unknown_parameter(loss, loss.parameters)
    '`pairwise_offset`'
    """
    known = _OF_LABELS if loss.dense_targets else _OF_CLASSES
    return next((f"`{name}`" for name, value in numbers.items() if value is not None and name not in known), None)
