"""Logits and targets of any shape → (batch, n_classes[, positions]), and back.

The class axis stands second in every formula. A reshape gets it there without moving data: axes before it are
merged into the first, axes behind it into the third.
"""

from __future__ import annotations

from math import prod
from types import ModuleType
from typing import Any, NamedTuple

from steelyard.errors import InputError

__all__ = ["Layout", "arrange", "broadcast_weight", "column", "per_row", "plain_shape"]

Tensor = Any

_ABSENT = -1e30


class Layout(NamedTuple):
    """Logits and targets as the formulas take them."""

    logits: Tensor  # (n, c) or (n, c, k), in the dtype of the arithmetic
    target: Tensor  # index (n) or (n, k), or dense like the logits
    dense: bool
    keep: Tensor | None  # (n) or (n, k): False where the row is ignored
    shape: tuple[Any, ...]  # of one value per example, as the user has it
    n_classes: Any


def plain_shape(x: Tensor) -> tuple[Any, ...]:
    """Return the sizes of the axes, with None where only the run knows them."""
    return tuple(x.shape)


def held(x: Any) -> Any:
    """Return what a Keras variable holds, and anything else as it is."""
    return x.value if hasattr(x, "value") and type(x).__module__.startswith("keras") else x


def _axis(class_axis: int, ndim: int) -> int:
    if ndim == 1:
        return 0
    axis = class_axis + ndim if class_axis < 0 else class_axis
    if not 0 <= axis < ndim:
        raise InputError(f"`class_axis` in [-{ndim}, {ndim - 1}] for {ndim}-d logits", str(class_axis))
    return axis


def _merge(xp: ModuleType, x: Tensor, axis: int) -> Tensor:
    """Merge the axes before `axis` and those behind it."""
    ndim = len(x.shape)
    if ndim == 2 and axis == 1:
        return x
    sizes = xp.shape(x)
    if axis == ndim - 1:
        return xp.reshape(x, (prod(sizes[:-1]), sizes[-1]))
    return xp.reshape(x, (prod(sizes[:axis]), sizes[axis], prod(sizes[axis + 1 :])))


def _same(a: tuple[Any, ...], b: tuple[Any, ...]) -> bool:
    if a == b:
        return True
    return len(a) == len(b) and all(m is None or n is None or m == n for m, n in zip(a, b, strict=True))


def arrange(
    xp: ModuleType,
    logits: Any,
    targets: Any,
    class_axis: int,
    ignore_index: int | None,
    dense_only: bool = False,
    entrywise: bool = True,
    raw: bool = False,
) -> Layout:
    """Return logits and targets in the layout of the formulas.

    Parameters
    ----------
    xp : module
        Operations of the framework.
    logits : tensor (..., n_classes, ...)
        Unnormalised scores. Without a batch axis, (n_classes,).
    targets : tensor
        Integers shaped like the logits without their class axis, or weights over classes shaped like the logits.
    class_axis : int
        Where the classes are.
    ignore_index : int or None
        The target of rows that do not count.
    dense_only : bool
        Targets are shaped like the logits whatever their dtype (several labels per row).
    entrywise : bool
        With `dense_only`, whether each entry has a value of its own (the sigmoid family) or each row; then an entry
        that is ignored is a label that is not there with a logit of −10³⁰, whose exponential is 0.
    raw : bool
        Leave logits in their dtype and what is ignored as it is: for kernels, which do both as they read.

    Raises
    ------
    InputError
        Shapes that do not fit, or class indices that are not integers.
    """
    z = logits if hasattr(logits, "shape") and hasattr(logits, "dtype") else xp.asarray(logits)
    z = held(z)
    if not hasattr(targets, "shape"):
        targets = xp.asarray(targets)
    ndim = len(z.shape)
    if ndim == 0:
        raise InputError("`logits` of shape (batch, n_classes)", "a scalar")
    axis = _axis(class_axis, ndim)
    sizes, target_sizes = plain_shape(z), plain_shape(targets)
    shape = xp.shape(z)
    if dense_only:
        if not _same(target_sizes, sizes):
            raise _mismatch(sizes, target_sizes, (sizes,), axis)
        alone = (shape[0], 1) if entrywise else (1, shape[0])
        merged = xp.reshape(z, alone) if ndim == 1 else _merge(xp, z, axis)
        target = _to(xp, targets, z)
        target = xp.reshape(target, alone) if ndim == 1 else _merge(xp, target, axis)
        keep = None
        if ignore_index is not None:
            keep = target != ignore_index
            target = xp.where(keep, target, 0)
        if not entrywise:
            of_rows = shape[:axis] + shape[axis + 1 :]
            at = _masked(xp, merged, target, True, keep, of_rows, shape[axis], _ABSENT)
            return at if keep is None else at._replace(keep=xp.sum(xp.cast(keep, at.logits.dtype)) > 0)
        return _masked(xp, merged, target, True, keep, shape, shape[axis], raw=raw)

    example_sizes = sizes[:axis] + sizes[axis + 1 :]
    example_shape = shape[:axis] + shape[axis + 1 :]
    merged = xp.reshape(z, (1, shape[0])) if ndim == 1 else _merge(xp, z, axis)
    if sizes[axis] == 1:
        raise InputError(
            "`logits` of at least two classes",
            f"shape {sizes} with one class on axis {axis}",
            "for one logit per row use SigmoidCrossEntropy with logits of shape (batch,).",
        )
    if _same(target_sizes, example_sizes) and len(target_sizes) == ndim - 1:
        target = _to(xp, targets, z)
        if not xp.is_integer(target):
            raise InputError(
                "integer targets where their shape is that of the logits without the class axis",
                f"dtype {target.dtype}",
                "cast them to integers; weights over classes have the shape of the logits.",
            )
        target = xp.indices(target, z)
        if ndim == 1:
            target = xp.reshape(target, (1,))
        elif ndim > 2 or axis == 0:
            behind = prod(shape[axis + 1 :])
            target = xp.reshape(target, (prod(shape[:axis]),) + ((behind,) if axis < ndim - 1 else ()))
        keep = None
        if ignore_index is not None:
            keep = target != ignore_index
            target = xp.where(keep, target, 0)
        return _masked(xp, merged, target, False, keep, example_shape, shape[axis], raw=raw)
    if _same(target_sizes, sizes):
        target = _to(xp, targets, z)
        target = xp.reshape(target, (1, shape[0])) if ndim == 1 else _merge(xp, target, axis)
        return _masked(xp, merged, target, True, None, example_shape, shape[axis], raw=raw)
    raise _mismatch(sizes, target_sizes, (example_sizes, sizes), axis)


def _to(xp: ModuleType, x: Any, like: Tensor) -> Tensor:
    return xp.asarray(x, like)


def _masked(
    xp: ModuleType,
    z: Tensor,
    target: Tensor,
    dense: bool,
    keep: Tensor | None,
    shape: Any,
    n_classes: Any,
    instead: float = 0.0,
    raw: bool = False,
) -> Layout:
    if raw:
        return Layout(z, target, dense, keep, tuple(shape), n_classes)
    dtype = xp.compute_dtype(z)
    z = xp.cast(z, dtype)
    if dense:
        target = xp.cast(target, dtype)
    if keep is not None:
        # an ignored row may hold anything, NaN included: it must not reach a gradient, not even times zero
        whole_row = len(keep.shape) < len(z.shape)
        z = xp.where(xp.expand_dims(keep, 1) if whole_row else keep, z, instead)
    return Layout(z, target, dense, keep, tuple(shape), n_classes)


def _mismatch(sizes: Any, got: Any, wanted: Any, axis: int) -> InputError:
    hint = None
    if len(got) > 1 and got[-1] == 1 and any(_same(got[:-1], tuple(w)) for w in wanted):
        hint = (
            "squeeze the last axis of the targets: (batch,) against (batch, 1) would pair every row with every other."
        )
    elif len(sizes) > 2 and tuple(got) == tuple(sizes[:-1]):
        hint = f"the classes seem to be on the last axis, not on axis {axis}: pass class_axis=-1."
    elif len(sizes) > 2 and tuple(got) == tuple(sizes[:1] + sizes[2:]):
        hint = "the classes seem to be on axis 1: pass class_axis=1."
    options = " or ".join(str(tuple(w)) for w in wanted)
    return InputError(f"targets of shape {options} for logits of shape {tuple(sizes)}", str(tuple(got)), hint)


def column(xp: ModuleType, v: Tensor, z: Tensor) -> Tensor:
    """Return per-class values ((), (c,) or (n, c)) so that they broadcast against logits (n, c[, k])."""
    if len(v.shape) == 0 or len(z.shape) == 2:
        return v
    return xp.expand_dims(v, len(v.shape))


def per_row(xp: ModuleType, weight: Tensor, at: Layout) -> Tensor:
    """Return class weights (batch, c) once per row of logits (batch · positions, c), where the classes stand last."""
    z, batch = at.logits, at.shape[0] if at.shape else None
    if len(weight.shape) != 2 or len(z.shape) != 2 or len(at.shape) < 2:
        return weight
    if isinstance(batch, int) and plain_shape(weight) != (batch, at.n_classes):
        return weight
    ones = xp.ones_like(xp.reshape(z, (batch, -1, at.n_classes)))
    return xp.reshape(xp.expand_dims(weight, 1) * ones, (-1, at.n_classes))


def broadcast_weight(xp: ModuleType, weight: Tensor, shape: tuple[Any, ...], sizes: tuple[Any, ...]) -> Tensor:
    """Return sample weights so that they broadcast against one value per example.

    A weight of shape (batch,) holds for every position of its row. Broadcasting from the right, as arrays do by
    themselves, would silently hand a row's weight to a column.
    """
    got = plain_shape(weight)
    if len(got) == 0:
        return weight
    fits = len(got) <= len(sizes) and all(
        m is None or n is None or m == n or (m == 1 and len(got) == len(sizes))
        for m, n in zip(got, sizes, strict=False)
    )
    if not fits:
        raise InputError(
            f"`sample_weight` of shape {tuple(sizes)}, or its leading axes",
            str(got),
            "one weight per example; per-class weights go to `class_weight`.",
        )
    for _ in range(len(shape) - len(got)):
        weight = xp.expand_dims(weight, len(weight.shape))
    return weight
