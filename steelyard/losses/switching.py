"""Changing the loss inside a compiled graph: new numbers, same structure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from steelyard import _ops
from steelyard.errors import InputError, integer
from steelyard.losses.base import Loss

__all__ = ["check_classes", "closed", "numbers_of", "opened", "present"]


def opened(loss: Loss, n_classes: int | None, pairs: bool) -> Loss:
    """Return the structure that a front keeps: the parameters of `loss`, or all of them at full shape.

    They are plain arrays: a tensor of a framework is taken by its value.
    """
    if not isinstance(loss, Loss):
        raise InputError(
            "a loss of steelyard.losses",
            f"{type(loss).__name__} {loss!r}",
            "sy.losses.focal(gamma=2.0), say: sy.losses.names() lists them.",
        )
    loss = loss._with_parameters({n: _array(v) for n, v in loss.parameters.items()})
    if n_classes is None:
        if pairs:
            raise InputError("`n_classes` with pairs=True", "None")
        return loss
    integer("n_classes", n_classes)
    if not pairs:
        return loss.expand(n_classes)
    if loss.dense_targets:
        raise InputError("pairs=True for a loss of the softmax family only", type(loss).__name__)
    return loss.expand(n_classes, pairs=True)  # type: ignore[call-arg]


def _array(value: Any) -> Any:
    if value is None or isinstance(value, np.ndarray):
        return value
    xp = _ops.namespace(value)
    return np.array(xp.to_numpy(xp.asarray(value)), dtype=np.float64)


def numbers_of(loss: Loss, structure: Loss, n_classes: int | None, pairs: bool) -> dict[str, Any]:
    """Return the parameters of `loss` for a graph that was built for `structure`.

    Raises
    ------
    InputError
        The loss needs what the graph does not hold: another family, setting or parameter.
    """
    if type(loss) is not type(structure):
        raise InputError(f"a {type(structure).__name__} to assign", type(loss).__name__, "build another module for it.")
    wide = opened(loss, n_classes, pairs)
    mine, theirs = structure.static(), wide.static()
    for name, value in mine.items():
        if theirs[name] != value:
            hint = (
                "pairs=True holds weights by target, prediction and pair in one graph."
                if name == "weight_by"
                else "settings shape the graph: build another module for it."
            )
            raise InputError(f"{name}={value!r}, as this module was built with", repr(theirs[name]), hint)
    numbers = {}
    for p in structure.PARAMETERS:
        held, new = structure.parameters[p.name], wide.parameters[p.name]
        if held is None:
            if new is None:
                continue
            raise InputError(
                f"a loss with no other parameters than {[n for n, v in structure.parameters.items() if v is not None]}",
                f"one with `{p.name}`",
                "build the module with n_classes=… (and pairs=True for matrices), so that it holds every parameter.",
            )
        shape = held.shape
        if new is None:
            numbers[p.name] = np.full(shape, p.neutral)
        elif new.ndim == 0 or new.shape == shape:
            numbers[p.name] = np.array(np.broadcast_to(new, shape))
        else:
            raise InputError(f"`{p.name}` of shape {shape}", str(new.shape))
    return numbers


def present(loss: Loss, numbers: Mapping[str, Any]) -> dict[str, Any]:
    """Return `numbers` with None for what does nothing, which then costs nothing either."""
    out = {}
    for p in loss.PARAMETERS:
        value = numbers[p.name]
        out[p.name] = None if value is None or (value == p.neutral).all() else value
    if "cost_matrix" in out and (out["cost_matrix"] is None or out["cost_coefficient"] is None):
        out["cost_matrix"] = out["cost_coefficient"] = None
    return out


def closed(structure: Loss, numbers: Mapping[str, Any]) -> Loss:
    """Return the loss that a front's numbers stand for, as its user would have written it."""
    values, static = present(structure, numbers), structure.static()
    w: Any = values.get("class_weight")
    if w is None and "weight_by" in static:
        static["weight_by"] = "target"
    elif static.get("weight_by") == "pair":
        for name, line, others in (("target", w[:, 0], w[:, :1]), ("prediction", w[0], w[:1])):
            if (w == others).all():
                values["class_weight"], static["weight_by"] = line, name
                break
    return type(structure)(**values, **static)


def check_classes(n_classes: int | None, shape: tuple[Any, ...], class_axis: int) -> None:
    """Raise when logits have another number of classes than the module was built for."""
    if n_classes is None or len(shape) < 2:
        return
    got = shape[class_axis]
    if got is not None and got != n_classes:
        raise InputError(
            f"logits of {n_classes} classes on axis {class_axis}, as n_classes says",
            f"shape {tuple(shape)}",
            "class_axis says where the classes are.",
        )
