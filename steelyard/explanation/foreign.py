"""Losses of other libraries, read by their attributes: no framework is imported for it."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from steelyard.errors import InputError
from steelyard.losses.base import Loss
from steelyard.losses.sigmoid import SigmoidCrossEntropy
from steelyard.losses.softmax import SoftmaxCrossEntropy

__all__ = ["Foreign", "from_other_library"]


class Foreign(NamedTuple):
    """The loss that another library's object is.

    Attributes
    ----------
    loss : Loss
    denominator : str or None
        As in `explain`.
    clipped : bool
        Whether it works on probabilities that are clipped.
    """

    loss: Loss
    denominator: str | None
    clipped: bool = False


def from_other_library(subject: Any) -> Foreign | None:
    """Read a loss object of torch or Keras; None where it is none that is known.

    Raises
    ------
    InputError
        For one that Steelyard has no equal of.
    """
    kind = next((k for k in type(subject).__mro__ if k.__module__.startswith(("torch.nn", "keras."))), None)
    if kind is None:
        return None
    library = "torch" if kind.__module__.startswith("torch.nn") else "keras"
    make = _READ.get((library, kind.__name__))
    return None if make is None else make(subject)


def _numbers(value: Any) -> Any:
    if value is None:
        return None
    return np.asarray(value.detach().cpu() if hasattr(value, "detach") else value, np.float64)


def _torch_cross_entropy(one: Any) -> Foreign:
    if one.weight is not None and one.label_smoothing:
        raise InputError(
            "weights or label smoothing",
            "both, in torch.nn.CrossEntropyLoss",
            "torch weights the smoothed mass of each class by that class, which moves probability to the classes of "
            "large weight (pytorch#104776); Steelyard has no equal. Explain one without the other.",
        )
    loss = SoftmaxCrossEntropy(
        class_weight=_numbers(one.weight), label_smoothing=float(one.label_smoothing), reduction=one.reduction
    )
    return Foreign(loss, None)


def _torch_binary(one: Any) -> Foreign:
    if one.weight is not None:
        raise InputError("torch.nn.BCEWithLogitsLoss without `weight`", "one", "it weights entries, not classes.")
    loss = SigmoidCrossEntropy(pos_weight=_numbers(one.pos_weight), reduction=one.reduction)
    return Foreign(loss, "rows")


def _keras(one: Any, loss: Any, always_clipped: bool = False) -> Foreign:
    settings = one.get_config()
    clipped = always_clipped or not settings.get("from_logits", False)
    reduction = "sum" if settings["reduction"] == "sum" else "mean"
    weighted = settings["reduction"] == "mean_with_sample_weight"
    return Foreign(loss.replace(reduction=reduction), None if weighted else "rows", clipped)


def _keras_softmax(one: Any) -> Foreign:
    smoothing = float(one.get_config().get("label_smoothing", 0.0))
    return _keras(one, SoftmaxCrossEntropy(label_smoothing=smoothing))


def _keras_binary(one: Any) -> Foreign:
    settings = one.get_config()
    if settings.get("label_smoothing"):
        raise InputError("binary cross-entropy without label smoothing", "one with it, in Keras", _NO_EQUAL)
    if "gamma" not in settings:
        return _keras(one, SigmoidCrossEntropy())
    gamma, alpha = float(settings["gamma"]), float(settings["alpha"])
    weights: dict[str, Any] = {"class_weight": 1.0 - alpha, "pos_weight": alpha / (1.0 - alpha)}
    balancing: dict[str, Any] = weights if settings["apply_class_balancing"] else {}
    return _keras(one, SigmoidCrossEntropy(gamma_pos=gamma, gamma_neg=gamma, **balancing))


def _keras_categorical_focal(one: Any) -> Foreign:
    settings = one.get_config()
    alpha = np.asarray(settings["alpha"], np.float64)
    weight = alpha if alpha.ndim else None  # one α for all classes scales the loss and moves nothing
    loss = SoftmaxCrossEntropy(
        class_weight=weight, gamma=float(settings["gamma"]), label_smoothing=float(settings["label_smoothing"])
    )
    return _keras(one, loss, always_clipped=True)


_NO_EQUAL = "Steelyard has no equal; explain it without."
_READ = {
    ("torch", "CrossEntropyLoss"): _torch_cross_entropy,
    ("torch", "BCEWithLogitsLoss"): _torch_binary,
    ("keras", "SparseCategoricalCrossentropy"): _keras_softmax,
    ("keras", "CategoricalCrossentropy"): _keras_softmax,
    ("keras", "BinaryCrossentropy"): _keras_binary,
    ("keras", "BinaryFocalCrossentropy"): _keras_binary,
    ("keras", "CategoricalFocalCrossentropy"): _keras_categorical_focal,
}
