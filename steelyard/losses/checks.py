"""Looking at values, in eager calls only, and as little as will do.

What costs nothing is looked at first: torch raises on an index out of range by itself, and a NaN or infinite
logit shows in the loss. Only when something is wrong is the input gone through to say what and where.
"""

from __future__ import annotations

from math import isfinite
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from steelyard.errors import InputError
from steelyard.losses.layout import Layout, arrange, plain_shape

if TYPE_CHECKING:
    from steelyard.losses.base import Loss

__all__ = ["after", "all_finite", "before", "call_weight", "explain", "number_of_classes", "target_range"]

Tensor = Any


def number_of_classes(loss: Loss, n_classes: Any, values: Any) -> None:
    """Raise when the logits have another number of classes than the parameters."""
    if not isinstance(n_classes, int):
        return
    for name, v in zip(values._fields, values, strict=True):
        if v is None or len(v.shape) == 0 or name == "outcome_weight":
            continue
        size = v.shape[-1]
        if size is not None and size != n_classes and not (loss.dense_targets and size == 1):
            raise InputError(
                f"logits of {size} classes, as `{name}` has",
                f"{n_classes}",
                "the classes are on axis 1 unless class_axis says otherwise.",
            )


def call_weight(xp: ModuleType, loss: Loss, weight: Tensor, logits: tuple[Any, ...]) -> None:
    """Raise when class weights given at the call fit neither the classes nor the rows, or are negative."""
    got, (n, c) = plain_shape(weight), logits[:2]
    fits = len(got) == 1 and _fits(got[0], c)
    fits = fits or (len(got) == 2 and _fits(got[0], n) and _fits(got[1], c))
    if not fits:
        raise InputError(
            f"`class_weight` of shape ({c},) or ({n}, {c})",
            str(got),
            "pair weights belong to the loss: SoftmaxCrossEntropy(class_weight=W, weight_by='pair').",
        )
    if loss.static().get("weight_by", "target").startswith("pair"):
        raise InputError(
            "no `class_weight` at the call of a loss that weights by pairs",
            f"shape {got}",
            "loss.replace(class_weight=W) makes a loss with another matrix.",
        )
    if xp.concrete(weight) and not _smallest(xp, weight) >= 0:
        raise InputError("`class_weight` ≥ 0", f"{_smallest(xp, weight):g} among those of this call")


def _fits(a: Any, b: Any) -> bool:
    return a is None or b is None or a == b


def target_range(xp: ModuleType, loss: Loss, at: Layout) -> None:
    """Raise when an integer target is no class, or a dense one no weight."""
    if not xp.concrete(at.target):
        return  # logits with values and targets without: data that a jitted function closes over
    if at.dense:
        _in_interval(xp, at.target, 1.0 if loss.dense_targets else np.inf)
        return
    _in_range(np.asarray(xp.to_numpy(at.target)), int(at.logits.shape[1]), loss.ignore_index)


def _in_range(y: Any, n_classes: int, ignore_index: int | None) -> None:
    if y.size == 0 or (int(y.min()) >= 0 and int(y.max()) < n_classes):
        return
    bad = np.argwhere((y < 0) | (y >= n_classes))[0]
    value = int(y[tuple(bad)])
    place = f"row {bad[0]}" if len(bad) == 1 else f"position {tuple(int(i) for i in bad)}"
    hint = (
        f"rows that should not count: ignore_index={value}."
        if value < 0 and ignore_index is None
        else "encode labels with counts.encode(y)."
    )
    raise InputError(f"targets in [0, {n_classes - 1}]", f"{value} at {place}", hint)


def _in_interval(xp: ModuleType, t: Tensor, largest: float) -> None:
    t = np.asarray(xp.to_numpy(t))
    if t.size == 0 or (t.min() >= 0 and t.max() <= largest):
        return
    bad = np.argwhere(~((t >= 0) & (t <= largest)))[0]
    interval = "[0, 1]" if largest == 1.0 else "[0, ∞)"
    raise InputError(f"targets in {interval}", f"{t[tuple(bad)]:g} at {tuple(int(i) for i in bad)}")


def after(
    xp: ModuleType,
    loss: Loss,
    result: Tensor,
    logits: Tensor,
    targets: Tensor,
    sample_weight: Tensor | None,
    class_axis: int,
) -> None:
    """Look at the result; when it is not finite, or a weight is negative, say why."""
    finite = isfinite(xp.item(result)) if len(result.shape) == 0 else np.isfinite(xp.to_numpy(result)).all()
    negative = sample_weight is not None and _smallest(xp, sample_weight) < 0
    if xp.checks_indices and not negative:
        # dense targets have no index that the framework would look at
        negative = loss.dense_targets or (len(np.shape(targets)) == len(logits.shape) and _smallest(xp, targets) < 0)
    if not finite or negative:
        before(xp, loss, logits, targets, sample_weight, class_axis)


def _smallest(xp: ModuleType, x: Any) -> float:
    x = x if hasattr(x, "shape") else np.asarray(x)
    size = 1
    for n in x.shape:
        size *= int(n)
    if size == 0:
        return 0.0
    if isinstance(x, np.ndarray) or hasattr(x, "detach"):
        return float(x.min())
    # in JAX an operation would be traced where the array itself is not: data that a jitted function closes over
    return float(np.min(xp.to_numpy(x)))


def all_finite(xp: ModuleType, logits: Tensor) -> bool:
    """Whether all logits are finite, by their sum: one pass, and a sum that overflows only asks for a closer look."""
    with np.errstate(all="ignore"):  # ∞ − ∞ is what is looked for
        return isfinite(xp.item(xp.total(logits)))


def before(
    xp: ModuleType,
    loss: Loss,
    logits: Tensor,
    targets: Tensor,
    sample_weight: Tensor | None,
    class_axis: int,
) -> None:
    """Go through the input and raise at the first value that no loss can be computed from."""
    at = arrange(xp, logits, targets, class_axis, loss.ignore_index, loss.dense_targets, loss.entrywise)
    z = np.asarray(xp.to_numpy(at.logits))
    target_range(xp, loss, at)
    # −inf is a class ruled out, which is legitimate unless it is the target or nothing is left
    out = np.isneginf(z)
    if not at.dense:
        y = np.expand_dims(np.asarray(xp.to_numpy(at.target)), 1)
        classes = np.arange(z.shape[1]).reshape((1, -1) + (1,) * (z.ndim - 2))
        out = out & ((y == classes) | out.all(1, keepdims=True))
    bad = np.isnan(z) | (z == np.inf) | out
    if bad.any():
        where = np.argwhere(bad)[0]
        raise InputError(
            "finite `logits`",
            f"{z[tuple(where)]} in row {where[0]}, class {where[1]}",
            "the model diverged before the loss was computed: look at the learning rate and at its input.",
        )
    if sample_weight is not None:
        s = np.asarray(xp.to_numpy(sample_weight) if not isinstance(sample_weight, list) else sample_weight)
        if s.size and not (s.min() >= 0 and np.isfinite(s).all()):
            wrong = np.argwhere(~((s >= 0) & np.isfinite(s)))[0]
            raise InputError("finite `sample_weight` ≥ 0", f"{s[tuple(wrong)]:g} at {tuple(int(i) for i in wrong)}")


def explain(
    xp: ModuleType,
    loss: Loss,
    logits: Tensor,
    targets: Tensor,
    sample_weight: Tensor | None,
    class_axis: int,
) -> None:
    """Say why the framework refused, when the reason is in the input; return when it is not."""
    if xp.concrete(logits) if hasattr(logits, "device") else True:
        try:
            before(xp, loss, logits, targets, sample_weight, class_axis)
        except RuntimeError:
            return
