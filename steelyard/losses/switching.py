"""Changing the loss inside a compiled graph: new numbers, same structure."""

from __future__ import annotations

from typing import Any

import numpy as np

from steelyard.errors import InputError
from steelyard.losses.base import Loss

__all__ = ["numbers_of", "opened"]


def opened(loss: Loss, n_classes: int | None, pairs: bool) -> Loss:
    """Return the structure that a front keeps: the parameters of `loss`, or all of them at full shape."""
    if n_classes is None:
        if pairs:
            raise InputError("`n_classes` with pairs=True", "None")
        return loss
    return loss.expand(n_classes, pairs=True) if pairs else loss.expand(n_classes)  # type: ignore[call-arg]


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
    for name, held in structure.parameters.items():
        new = wide.parameters[name]
        if held is None and new is None:
            continue
        if held is None or (new is None and n_classes is None):
            raise InputError(
                f"a loss with the parameters {[n for n, v in structure.parameters.items() if v is not None]}",
                f"{'one' if held is None else 'none'} for `{name}`",
                "build the module with n_classes=… (and pairs=True for matrices), so that it holds every parameter.",
            )
        array = np.asarray(new, dtype=np.float64)
        if array.shape != tuple(held.shape):
            raise InputError(f"`{name}` of shape {tuple(held.shape)}", str(array.shape))
        numbers[name] = array
    return numbers
