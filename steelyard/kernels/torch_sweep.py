"""The compiled softmax kernel in eager PyTorch on the CPU: loss and gradient from one sweep over the logits.

The first derivative comes from the kernel, in the forward pass; a second one is that of the formula. Whatever the
kernel does not know, and every input that is wrong, goes to the formula, which computes it or says what is wrong.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from steelyard import kernels
from steelyard._ops import torch as _xp
from steelyard.losses import checks
from steelyard.losses.base import Loss
from steelyard.losses.reduction import check_denominator
from steelyard.losses.softmax import SoftmaxCrossEntropy

__all__ = ["evaluate", "plan", "why_not_here", "why_not_these", "why_not_this"]

_DTYPES = {torch.float32: 0, torch.float64: 1, torch.bfloat16: 2, torch.float16: 3}
_INTEGERS, _DENSE = {torch.int64: 0, torch.int32: 1}, 2
_DIVIDE = {None: 1, "rows": 2, "sample_weight": 3}
_BY_NOTHING, _BY_NUMBER = 0, 4
_PER_CLASS = ("class_weight", "logit_scale", "logit_offset", "margin", "label_smoothing")
_UNKNOWN = ("pairwise_offset", "cost_matrix", "compensation")


def why_not_this(loss: Loss) -> str | None:
    """Return what of a loss the kernel does not know, or None."""
    if not isinstance(loss, SoftmaxCrossEntropy):
        return f"there is none for a {type(loss).__name__}"
    if loss.weight_by != "target":
        return f"there is none for weight_by={loss.weight_by!r}"
    return None


def why_not_these(numbers: Mapping[str, Any]) -> str | None:
    """Return which parameter that is present the kernel does not know, or None."""
    for name in _UNKNOWN:
        if numbers[name] is not None:
            return f"there is none for `{name}`"
    return None


def why_not_here(logits: Tensor, targets: Tensor, sample_weight: Any = None, class_weight: Any = None) -> str | None:
    """Return why the kernel does not take a call, or None. Compiled graphs do not ask."""
    if type(logits) not in (Tensor, torch.nn.Parameter) or not isinstance(targets, Tensor):
        return f"logits are a {type(logits).__name__}"
    if logits.device.type != "cpu":
        return f"logits are on {logits.device.type}"
    if logits.dtype not in _DTYPES or logits.ndim < 2:
        return f"logits are {logits.dtype}, {logits.ndim}-dimensional"
    dense = targets.ndim == logits.ndim
    if not (targets.is_floating_point() if dense else targets.dtype in _INTEGERS) or targets.device.type != "cpu":
        return f"targets are {targets.dtype} on {targets.device.type}"
    if class_weight is not None and (not isinstance(class_weight, Tensor) or class_weight.ndim != 1):
        return "class weights of the call are not a tensor (n_classes,)"
    if targets.requires_grad or any(isinstance(x, Tensor) and x.requires_grad for x in (sample_weight, class_weight)):
        return "targets or weights ask for a gradient"
    if torch._C._are_functorch_transforms_active() or torch.autograd.forward_ad._current_level >= 0:
        return "torch.func or forward-mode differentiation is at work"
    return None


def plan(loss: Any, numbers: Mapping[str, NDArray[np.float64] | None], n_classes: int) -> Any:
    """Return the parameters as the kernel holds them; `numbers` are those of the loss, in float64."""
    tables: dict[str, Any] = {}
    for name in _PER_CLASS:
        value = numbers[name]
        if value is not None:
            tables[name] = np.ascontiguousarray(np.broadcast_to(value, (n_classes,)), dtype=np.float64)
    for name in ("gamma", "poly_coefficient"):
        tables[name] = 0.0 if numbers[name] is None else float(numbers[name])  # type: ignore[arg-type]
    smoothing, index = numbers["label_smoothing"], loss.ignore_index
    tables["one_smoothing"] = smoothing is not None and np.ndim(smoothing) == 0
    tables["ignore_index"] = None if index is None else int(index)
    instructions = kernels.available().instructions
    return kernels.native().Plan(False, instructions, n_classes, **tables)


class _Call(NamedTuple):
    """One call: what a sweep is told beside the logits and the gradient."""

    plan: Any
    loss: Any
    values: Any  # the parameters as tensors, for the formula
    shape: tuple[int, ...]  # batch, positions, and the strides of batch, class and position
    targets: Tensor
    kind: int
    sample_weight: Tensor | None
    class_weight: Tensor | None
    denominator: Any
    class_axis: int
    wide: torch.dtype

    def sweep(self, z: Tensor, gradient: Tensor | None, loss: Tensor | None, upstream: Tensor | None) -> Any:
        divide, number = _BY_NOTHING, 1.0
        if self.loss.reduction == "mean":
            named = self.denominator is None or isinstance(self.denominator, str)
            divide = _DIVIDE[self.denominator] if named else _BY_NUMBER
            number = 1.0 if named else float(self.denominator)
        s, w = self.sample_weight, self.class_weight
        return self.plan.run(
            _DTYPES[z.dtype],
            *self.shape,
            z.data_ptr(),
            0 if gradient is None else gradient.data_ptr(),
            self.targets.data_ptr(),
            self.kind,
            0 if s is None else s.data_ptr(),
            0 if w is None else w.data_ptr(),
            0 if upstream is None else upstream.data_ptr(),
            divide,
            number,
            1.0,
            0 if loss is None else loss.data_ptr(),
            0,
            torch.get_num_threads(),
        )

    def reduced(self, sums: tuple[int, float, float, float, int, int]) -> Tensor:
        _, total, weight, of_samples, rows, _ = sums
        if self.loss.reduction == "mean":
            by = {None: weight, "rows": rows, "sample_weight": of_samples}
            named = self.denominator is None or isinstance(self.denominator, str)
            d = by[self.denominator] if named else float(self.denominator)
            total = total / d if d else 0.0
        return torch.scalar_tensor(total, dtype=self.wide)

    def formula(self, z: Tensor) -> Tensor:
        result: Tensor = self.loss.evaluate(
            _xp, self.values, z, self.targets, self.sample_weight, self.class_weight, self.denominator, self.class_axis
        )
        return result


class _Wrong(Exception):  # noqa: N818 - no error for a user: the formula says what is wrong
    pass


class _Sweep(torch.autograd.Function):
    """The loss of a call; the gradient is found on the way and kept until it is asked for, once."""

    @staticmethod
    def forward(ctx: Any, z: Tensor, call: _Call) -> Tensor:
        rows = call.loss.reduction == "none"
        gradient = torch.empty_like(z) if ctx.needs_input_grad[0] and not rows else None
        out = z.new_empty(call.targets.shape[: z.ndim - 1], dtype=call.wide) if rows else None
        if rows and call.kind == _DENSE:
            shape = list(z.shape)
            del shape[call.class_axis]
            out = z.new_empty(shape, dtype=call.wide)
        sums = call.sweep(z, gradient, out, None)
        if sums[0] or not math.isfinite(sums[1]):
            raise _Wrong
        ctx.save_for_backward(z)
        ctx.call, ctx.gradient = call, gradient
        return call.reduced(sums) if out is None else out

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, None]:
        (z,) = ctx.saved_tensors
        call: _Call = ctx.call
        if torch.is_grad_enabled():  # it will be differentiated again
            with torch.enable_grad():
                (g,) = torch.autograd.grad(call.formula(z), z, upstream, create_graph=True)
            return g, None
        g, ctx.gradient = ctx.gradient, None
        if call.loss.reduction == "none":
            g = torch.empty_like(z)
            call.sweep(z, g, None, upstream.to(call.wide).contiguous())
            return g, None
        if g is None:  # a second way back through a retained graph
            g = torch.empty_like(z)
            call.sweep(z, g, None, None)
        factor = upstream.item()
        return g if factor == 1.0 else g.mul_(factor), None


def evaluate(
    held: Any,
    loss: Any,
    values: Any,
    logits: Tensor,
    targets: Tensor,
    sample_weight: Any,
    class_weight: Tensor | None,
    denominator: Any,
    class_axis: int,
) -> Tensor | None:
    """Return what `Loss.evaluate` returns, or None where the formula has to compute or to complain.

    Parameters
    ----------
    held : Plan
        The parameters, from `plan`.
    loss, values
        The loss, and its parameters as tensors: for second derivatives.
    logits, targets, sample_weight, class_weight, denominator, class_axis
        As for `steelyard.losses.Loss.__call__`; `why_not_here` has been asked.
    """
    if denominator is not None:
        check_denominator(denominator)
    axis = class_axis % logits.ndim
    z, placed = _placed(logits, axis)
    if placed is None:
        return None
    wide = _xp.compute_dtype(logits)
    shape = (*z.shape[:axis], *z.shape[axis + 1 :])
    y, kind = targets, _DENSE
    if targets.ndim == logits.ndim:
        if targets.shape != z.shape or (targets.numel() and not targets.amin() >= 0):
            return None
        y = targets.to(z.dtype)
        if y.stride() != z.stride():
            y = torch.empty_like(z).copy_(y)
    elif targets.shape != shape:
        return None
    else:
        y, kind = targets.contiguous(), _INTEGERS[targets.dtype]
    s = sample_weight
    if s is not None:
        s = torch.as_tensor(s)
        if s.shape != shape[: s.ndim] or s.device.type != "cpu" or (s.numel() and not s.amin() >= 0):
            return None
        s = s.to(wide).reshape(s.shape + (1,) * (len(shape) - s.ndim)).expand(shape).contiguous()
    w = class_weight
    if w is not None:
        if w.shape != (z.shape[axis],) or w.device.type != "cpu":
            return None
        w = w.to(wide).contiguous()
        checks.call_weight(_xp, loss, w, (z.shape[0], z.shape[axis]))
    if isinstance(denominator, Tensor):
        if denominator.requires_grad:
            return None
        denominator = denominator.item()
    if isinstance(denominator, (int, float)) and not denominator:
        return None
    call = _Call(held, loss, values, placed, y, kind, s, w, denominator, axis, wide)
    try:
        result: Tensor = _Sweep.apply(z, call)
    except _Wrong:
        return None
    return result


def _placed(z: Tensor, axis: int) -> tuple[Tensor, tuple[int, ...] | None]:
    """Return the logits as the kernel can read them, and (batch, positions, strides of batch, class and position)."""
    c = z.shape[axis]
    if not c:
        return z, None
    if axis == z.ndim - 1:
        z = z.contiguous()
        return z, (z.numel() // c, 1, c, 1, 1)
    if axis != 1:
        return z, None
    if z.ndim == 4 and not z.is_contiguous() and z.is_contiguous(memory_format=torch.channels_last):
        return z, (z.numel() // c, 1, c, 1, 1)
    z = z.contiguous()
    positions = math.prod(z.shape[2:])
    return z, (z.shape[0], positions, c * positions, positions, 1)
