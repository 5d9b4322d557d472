"""What a loss's parameters may be: shapes, ranges, neutral values, JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from steelyard import _ops
from steelyard.errors import InputError

__all__ = ["Parameter", "filled", "is_array_of_ours", "read"]


@dataclass(frozen=True)
class Parameter:
    """One parameter of a family: its form, its range and the value at which it does nothing."""

    name: str
    # "rate" is "class" that reads as its neutral number, and not as None, where it is absent
    form: str  # "scalar" | "class", "rate": () or (c,) | "classes": (c,) | "matrix": (c, c) | "outcome": (2, 2)
    neutral: float
    minimum: float = -np.inf
    maximum: float = np.inf
    open_maximum: bool = False
    open_minimum: bool = False


_NDIM = {"scalar": (0,), "class": (0, 1), "rate": (0, 1), "classes": (1,), "matrix": (2,), "outcome": (2,)}
_SHAPE = {
    "scalar": "a number",
    "class": "a number or (n_classes,)",
    "rate": "a number or (n_classes,)",
    "classes": "(n_classes,)",
    "matrix": "(n_classes, n_classes)",
    "outcome": "(2, 2)[truth, decision]",
}


def is_array_of_ours(value: Any) -> bool:
    """Whether a parameter is a plain float64 array, and not a tensor that a framework follows."""
    return isinstance(value, np.ndarray)


def _range(p: Parameter) -> str:
    low = "(−∞" if p.minimum == -np.inf else f"{'(' if p.open_minimum else '['}{p.minimum:g}"
    high = "∞)" if p.maximum == np.inf else f"{p.maximum:g}{')' if p.open_maximum else ']'}"
    return f"{low}, {high}"


def _from_mapping(name: str, value: Mapping[Any, Any]) -> list[Any]:
    indices = sorted(value)
    if indices != list(range(len(indices))):
        raise InputError(
            f"`{name}` as a dict with the keys 0 … n_classes − 1",
            f"the keys {list(value)[:6]}",
            "for labels use class_weight({label: weight}, counts), which puts them in order.",
        )
    return [value[i] for i in indices]


def read(p: Parameter, value: Any) -> Any:
    """Return a parameter as a float64 array, or as the framework tensor that it is; None where it does nothing.

    Raises
    ------
    InputError
        A value of the wrong shape, out of range, or not finite.
    """
    if value is None:
        return None
    if isinstance(value, str):
        raise InputError(
            f"`{p.name}` as {_SHAPE[p.form]}",
            repr(value),
            f"a scheme needs counts: {p.name}=class_weight({value!r}, counts).",
        )
    if isinstance(value, Mapping):
        value = _from_mapping(p.name, value)
    xp = _ops.namespace(value)
    if not xp.__name__.endswith("numpy"):
        # a tensor of a framework stays what it is: it may be traced, or asked for its gradient
        _check_shape(p, tuple(value.shape), value)
        if not xp.concrete(value):
            return value
        _check_values(p, np.asarray(xp.to_numpy(xp.asarray(value)), dtype=np.float64))
        return value
    try:
        array = np.array(value, dtype=np.float64)
    except (TypeError, ValueError):
        raise InputError(f"`{p.name}` as {_SHAPE[p.form]}", f"{type(value).__name__} {value!r}") from None
    _check_shape(p, array.shape, value)
    _check_values(p, array)
    if array.ndim == 0 and float(array) == p.neutral:
        return None
    array.flags.writeable = False
    return array


def _check_shape(p: Parameter, shape: tuple[int, ...], value: Any) -> None:
    fits = len(shape) in _NDIM[p.form]
    if p.form == "matrix":
        fits = fits and shape[0] == shape[1]
    if p.form == "outcome":
        fits = shape == (2, 2)
    if not fits:
        raise InputError(
            f"`{p.name}` of shape {_SHAPE[p.form]}",
            f"shape {shape}" if shape else f"the number {value!r}",
        )


def _check_values(p: Parameter, array: Any) -> None:
    bad = ~np.isfinite(array) | (array < p.minimum) | (array > p.maximum)
    if p.open_maximum:
        bad |= array == p.maximum
    if p.open_minimum:
        bad |= array == p.minimum
    if bad.any():
        where = np.argwhere(bad)[0]
        at = f" at {tuple(int(i) for i in where)}" if array.ndim else ""
        raise InputError(f"`{p.name}` in {_range(p)}", f"{array[tuple(where)]:g}{at}")


def filled(p: Parameter, value: Any, n_classes: int) -> Any:
    """Return a parameter at its full shape, with its neutral value where it is absent."""
    shape = {"scalar": (), "class": (n_classes,), "rate": (n_classes,), "classes": (n_classes,), "outcome": (2, 2)}.get(
        p.form, (n_classes, n_classes)
    )
    if value is None:
        return np.full(shape, p.neutral)
    if is_array_of_ours(value):
        if value.ndim and value.shape != shape:
            raise InputError(
                f"`{p.name}` for {n_classes} classes",
                f"shape {value.shape}",
                "n_classes is that of the logits.",
            )
        return np.array(np.broadcast_to(value, shape))
    return value
