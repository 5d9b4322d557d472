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
from steelyard.kernels.coverage import PER_CLASS, unknown_kind, unknown_parameter
from steelyard.losses import checks
from steelyard.losses.base import Loss
from steelyard.losses.layout import broadcast_weight
from steelyard.losses.reduction import check_denominator
from steelyard.losses.softmax import SoftmaxCrossEntropy

__all__ = ["evaluate", "plan", "why_not_here", "why_not_these", "why_not_this"]

_DTYPES = {torch.float32: 0, torch.float64: 1, torch.bfloat16: 2, torch.float16: 3}
_INTEGERS, _DENSE = {torch.int64: 0, torch.int32: 1}, 2
_DIVIDE = {None: 1, "rows": 2, "sample_weight": 3}
_BY_NOTHING, _BY_NUMBER = 0, 4


def why_not_this(loss: Loss) -> str | None:
    """Return what the kernel does not know of the kind of a loss, or None."""
    return _none_for(unknown_kind(loss, SoftmaxCrossEntropy))


def why_not_these(loss: Loss, numbers: Mapping[str, Any]) -> str | None:
    """Return which of the parameters that are there the kernel does not know, or None."""
    return _none_for(unknown_parameter(loss, numbers))


def _none_for(unknown: str | None) -> str | None:
    return None if unknown is None else f"there is none for {unknown}"


def why_not_here(
    logits: Tensor,
    targets: Tensor,
    sample_weight: Any = None,
    class_weight: Any = None,
    denominator: Any = None,
    class_axis: int = 1,
) -> str | None:
    """Return why the kernel does not take a call, or None. Compiled graphs do not ask."""
    if type(logits) not in (Tensor, torch.nn.Parameter) or not isinstance(targets, Tensor):
        return f"logits are a {type(logits).__name__}"
    if logits.device.type != "cpu":
        return f"logits are on {logits.device.type}"
    if logits.dtype not in _DTYPES or logits.ndim < 2:
        return f"logits are {logits.dtype}, {logits.ndim}-dimensional"
    if class_axis % logits.ndim not in (1, logits.ndim - 1):
        return f"classes are on axis {class_axis} of {logits.ndim}"
    dense = targets.ndim == logits.ndim
    if not (targets.is_floating_point() if dense else targets.dtype in _INTEGERS) or targets.device.type != "cpu":
        return f"targets are {targets.dtype} on {targets.device.type}"
    if class_weight is not None and (not isinstance(class_weight, Tensor) or class_weight.ndim != 1):
        return "class weights of the call are not a tensor (n_classes,)"
    if targets.requires_grad or any(
        isinstance(x, Tensor) and x.requires_grad for x in (sample_weight, class_weight, denominator)
    ):
        return "targets, weights or the denominator ask for a gradient"
    if torch._C._are_functorch_transforms_active() or torch.autograd.forward_ad._current_level >= 0:
        return "torch.func or forward-mode differentiation is at work"
    return None


def plan(loss: Any, numbers: Mapping[str, NDArray[np.float64] | None], n_classes: int) -> Any:
    """Return the parameters as the kernel holds them; `numbers` are those of the loss, in float64."""
    tables: dict[str, Any] = {}
    for name in PER_CLASS:
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
    placed: tuple[int, ...]  # batch, positions, and the strides of batch, class and position
    rows: tuple[int, ...]  # the shape of one value per row
    targets: Tensor
    kind: int
    sample_weight: Tensor | None
    class_weight: Tensor | None
    denominator: float | str | None
    class_axis: int
    wide: torch.dtype

    @property
    def divided(self) -> tuple[int, float]:
        """By what the kernel divides, and the number where it is one."""
        if self.loss.reduction != "mean":
            return _BY_NOTHING, 1.0
        if self.denominator is None or isinstance(self.denominator, str):
            return _DIVIDE[self.denominator], 1.0
        return _BY_NUMBER, float(self.denominator)

    def sweep(self, z: Tensor, gradient: Tensor | None, loss: Tensor | None, upstream: Tensor | None) -> Any:
        s, w = self.sample_weight, self.class_weight
        return self.plan.run(
            _DTYPES[z.dtype],
            *self.placed,
            z.data_ptr(),
            0 if gradient is None else gradient.data_ptr(),
            self.targets.data_ptr(),
            self.kind,
            0 if s is None else s.data_ptr(),
            0 if w is None else w.data_ptr(),
            0 if upstream is None else upstream.data_ptr(),
            *self.divided,
            1.0,
            0 if loss is None else loss.data_ptr(),
            0,
            torch.get_num_threads(),
        )

    def reduced(self, sums: tuple[int, float, float, float, int, int]) -> Tensor:
        _, total, weight, of_samples, rows, _ = sums
        divide, number = self.divided
        by = (1.0, weight, rows, of_samples, number)[divide]
        return torch.scalar_tensor(total / by if by else 0.0, dtype=self.wide)

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
        by_row = call.loss.reduction == "none"
        gradient = torch.empty_like(z) if ctx.needs_input_grad[0] and not by_row else None
        out = z.new_empty(call.rows, dtype=call.wide) if by_row else None
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
    """Return what `Loss.evaluate` returns, or None where something is wrong, which the formula will say.

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
    axis, wide = class_axis % logits.ndim, _xp.compute_dtype(logits)
    if targets.ndim == logits.ndim and targets.dtype != logits.dtype:
        logits = logits.to(wide)  # 16 bits might not hold these targets
    z, placed = _placed(logits, axis)
    rows = (*z.shape[:axis], *z.shape[axis + 1 :])
    if not z.shape[axis] or targets.shape not in (rows, z.shape):
        return None
    if targets.ndim == z.ndim:
        if targets.numel() and not targets.amin() >= 0:
            return None
        y, kind = targets.to(z.dtype), _DENSE
        if y.stride() != z.stride():
            y = torch.empty_like(z).copy_(y)
    else:
        y, kind = targets.contiguous(), _INTEGERS[targets.dtype]
    s, w = sample_weight, class_weight
    if s is not None:
        s = _xp.asarray(s, z, wide)
        s = broadcast_weight(_xp, s, rows, rows).expand(rows).contiguous()
    if w is not None:
        w = w.to(wide).contiguous()
        checks.call_weight(_xp, loss, w, (z.shape[0], z.shape[axis]))
    if isinstance(denominator, Tensor):
        denominator = denominator.item()
    try:
        result: Tensor = _Sweep.apply(
            z, _Call(held, loss, values, placed, rows, y, kind, s, w, denominator, axis, wide)
        )
    except _Wrong:
        return None
    return result


def _placed(z: Tensor, axis: int) -> tuple[Tensor, tuple[int, ...]]:
    """Return the logits as the kernel can read them, and (batch, positions, strides of batch, class and position)."""
    c = max(1, z.shape[axis])
    if axis == 1 and z.ndim == 4 and not z.is_contiguous() and z.is_contiguous(memory_format=torch.channels_last):
        return z, (z.numel() // c, 1, c, 1, 1)
    z = z.contiguous()
    if axis == z.ndim - 1:
        return z, (z.numel() // c, 1, c, 1, 1)
    positions = math.prod(z.shape[2:])
    return z, (z.shape[0], positions, c * positions, positions, 1)
