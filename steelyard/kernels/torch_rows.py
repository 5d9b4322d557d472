"""The logits form on a GPU, as torch has it: operators around `triton_softmax`, their gradients, the reduction.

The value reads the logits once, the gradient reads them once more and writes as much; nothing else of that size exists.
In place, on request, both are one pass: the gradient takes the storage of the logits, and the way back finds it there.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor

from steelyard._ops import torch as _xp
from steelyard.errors import InputError
from steelyard.kernels.torch_chunks import packed, unpacked
from steelyard.losses import _softmax, checks
from steelyard.losses.base import Loss, Terms
from steelyard.losses.layout import Layout, arrange, broadcast_weight
from steelyard.losses.reduction import check_denominator, mean
from steelyard.losses.softmax import SoftmaxCrossEntropy

__all__ = ["asked", "evaluate", "rows", "takes", "why_not_triton"]

_TRITON = find_spec("triton") is not None  # looked for once: a compiled graph cannot


def takes(loss: Loss, logits: Tensor, targets: Tensor, kernel: str) -> bool:
    """Whether a call goes to the kernels; an error where it should and cannot."""
    if isinstance(loss, SoftmaxCrossEntropy) or not logits.is_cuda:
        why_not = why_not_triton(logits, len(targets.shape) == logits.ndim, "logits")
    else:
        why_not = f"a {type(loss).__name__}"
    return asked("integer targets, logits on a CUDA device, and Triton", why_not, kernel)


def why_not_triton(x: Tensor, dense: bool, what: str = "tensors") -> str | None:
    """Return why the kernels of a GPU cannot take tensors like `x`, or None."""
    if not x.is_cuda:
        return f"{what} on {x.device.type}"
    if dense:
        return "targets over all classes"
    return None if _TRITON else "no Triton installed"


def asked(expected: str, why_not: str | None, kernel: str) -> bool:
    """Whether kernels are used, of those that are asked for and why they cannot be; "fused" is an error there."""
    if why_not is not None and kernel == "fused":
        raise InputError(f"{expected}, with kernel='fused'", why_not, "kernel='auto'.")
    return why_not is None and kernel != "formula"


# --- operators ------------------------------------------------------------------------------------------------------


@torch.library.custom_op("steelyard::softmax_rows", mutates_args=())
def _softmax_rows(
    logits: Tensor,
    targets: Tensor,
    parameters: Sequence[Tensor],
    names: str,
    weight_by: str,
    ignore_index: int | None,
    rows_of_a_weight: int,
) -> tuple[Tensor, Tensor, Tensor]:
    from steelyard.kernels import triton_softmax

    p = unpacked(parameters, names)
    return triton_softmax.value(logits, targets, p, weight_by, ignore_index, rows_of_a_weight)


@_softmax_rows.register_fake
def _softmax_rows_like(logits: Tensor, targets: Tensor, *_: Any) -> tuple[Tensor, Tensor, Tensor]:
    n, wide = targets.numel(), _xp.compute_dtype(logits)
    loss, weight, stats = (logits.new_empty(size, dtype=wide) for size in ((n,), (n,), (n, 4)))
    return loss, weight, stats


@torch.library.custom_op("steelyard::softmax_rows_gradient", mutates_args=())
def _softmax_rows_gradient(
    upstream: Tensor,
    logits: Tensor,
    targets: Tensor,
    stats: Tensor,
    parameters: Sequence[Tensor],
    names: str,
    weight_by: str,
    ignore_index: int | None,
    rows_of_a_weight: int,
) -> Tensor:
    from steelyard.kernels import triton_softmax

    p = unpacked(parameters, names)
    return triton_softmax.gradient(logits, targets, stats, upstream, p, weight_by, ignore_index, rows_of_a_weight)


@_softmax_rows_gradient.register_fake
def _softmax_rows_gradient_like(_upstream: Tensor, logits: Tensor, *_: Any) -> Tensor:
    return torch.empty_like(logits)


def _setup(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    logits, targets, parameters, *ctx.settings = inputs
    ctx.save_for_backward(logits, targets, output[2], *parameters)
    ctx.mark_non_differentiable(*output[1:])
    ctx.set_materialize_grads(False)


def _backward(ctx: Any, upstream: Tensor | None, *_: Any) -> tuple[Any, ...]:
    logits, targets, stats, *parameters = ctx.saved_tensors
    g = None
    if upstream is not None and torch.is_grad_enabled():
        g = _by_the_formula(logits, targets, upstream, unpacked(parameters, ctx.settings[0]), *ctx.settings[1:])
    elif upstream is not None:
        g = _softmax_rows_gradient(upstream.contiguous(), logits, targets, stats, parameters, *ctx.settings)
    return (g, None, [None] * len(parameters), *[None] * 4)


def _by_the_formula(
    logits: Tensor,
    targets: Tensor,
    upstream: Tensor,
    p: _softmax.Parameters,
    weight_by: str,
    ignore_index: int | None,
    rows_of_a_weight: int,
) -> Tensor:
    """Return the gradient as something that can be differentiated again."""
    with torch.enable_grad():
        z, y, keep = logits.to(_xp.compute_dtype(logits)), targets, None
        if ignore_index is not None:
            keep = y != ignore_index
            y, z = torch.where(keep, y, 0), torch.where(keep.unsqueeze(1), z, 0)
        w = p.class_weight
        if w is not None and w.ndim == 2 and not weight_by.startswith("pair"):
            p = p._replace(class_weight=w.repeat_interleave(rows_of_a_weight, 0))
        loss, _ = _softmax.value(_xp, Layout(z, y, False, None, (), z.shape[1]), p, weight_by)
        loss = loss if keep is None else torch.where(keep, loss, 0)
        (g,) = torch.autograd.grad(loss, logits, upstream.reshape(loss.shape), create_graph=True)
    return g


_softmax_rows.register_autograd(_backward, setup_context=_setup)


# --- the whole call -------------------------------------------------------------------------------------------------


def rows(
    logits: Tensor,
    targets: Tensor,
    p: _softmax.Parameters,
    weight_by: str,
    ignore_index: int | None = None,
    rows_of_a_weight: int = 1,
) -> tuple[Tensor, Tensor]:
    """Return ω·ℓ, differentiable by the logits, and ω, each one per row.

    Parameters
    ----------
    logits : tensor (n, n_classes) or (n, n_classes, positions)
        In any of four dtypes and any strides.
    targets : integer tensor (n,) or (n, positions)
    p : Parameters
        As tensors, which get no gradient.
    weight_by, ignore_index
        As in the loss.
    rows_of_a_weight : int, default 1
        How many of the n rows in turn a row of class weights (batch, n_classes) stands for.

    Returns
    -------
    two tensors shaped like the targets
        Float32, or float64 for float64.
    """
    loss, weight, _ = _softmax_rows(logits, targets.contiguous(), *packed(p), weight_by, ignore_index, rows_of_a_weight)
    return loss.reshape(targets.shape), weight.reshape(targets.shape)


def evaluate(
    loss: Any,
    values: _softmax.Parameters,
    logits: Tensor,
    targets: Tensor,
    sample_weight: Tensor | None,
    class_weight: Tensor | None,
    denominator: Tensor | float | str | None,
    class_axis: int,
    in_place: bool = False,
) -> Tensor:
    """Return what `Loss.evaluate` returns, from the kernels. In place, `logits` hold their gradient afterwards."""
    check_denominator(denominator)
    at = arrange(_xp, logits, targets, class_axis, loss.ignore_index, raw=True)
    if at.dense:
        raise InputError("integer targets", f"shape {tuple(targets.shape)}")
    checks.number_of_classes(loss, at.n_classes, values)
    z, y, wide = at.logits, at.target, _xp.compute_dtype(at.logits)
    ignore_index = None if loss.ignore_index is None else int(loss.ignore_index)
    if at.keep is not None:
        y = torch.where(at.keep, y, ignore_index)
    repeat = 1
    if class_weight is not None:
        w = _xp.asarray(class_weight, logits, wide)
        batch = at.shape[0] if at.shape else 1
        checks.call_weight(_xp, loss, w, (batch, at.n_classes))
        values, repeat = values._replace(class_weight=w), max(1, z.shape[0] // max(1, batch))
    s = None
    if sample_weight is not None:
        s = broadcast_weight(_xp, _xp.asarray(sample_weight, logits, wide), at.shape, at.shape)
    keep = None if at.keep is None else at.keep.reshape(at.shape)
    if in_place:
        if logits.is_leaf and logits.requires_grad:
            raise InputError("logits that a layer has just computed, in place", "a leaf, whose values would be lost")
        return _in_place(loss, values, z, y, s, keep, denominator, ignore_index, repeat, at.shape)
    value, weight = (x.reshape(at.shape) for x in rows(z, y, values, loss.weight_by, ignore_index, repeat))
    if s is not None:
        value, weight = s * value, s * weight
    if loss.reduction == "none":
        return value
    total = _xp.total(value)
    if loss.reduction == "mean":
        terms = Terms(value, weight, keep, s)
        total = mean(_xp, total, loss._denominator(_xp, terms, total, denominator))
    return total.to(wide)


def _in_place(
    loss: Any,
    values: _softmax.Parameters,
    z: Tensor,
    y: Tensor,
    s: Tensor | None,
    keep: Tensor | None,
    denominator: Any,
    ignore_index: int | None,
    repeat: int,
    shape: tuple[int, ...],
) -> Tensor:
    if loss.reduction == "none":
        raise InputError("reduction 'mean' or 'sum' in place", "'none'", "one gradient per row is not known before.")
    if values.class_weight is not None and loss.weight_by != "target":
        raise InputError(
            "weights by target in place", f"weight_by={loss.weight_by!r}", "their sum is not known before."
        )
    wide = _xp.compute_dtype(z)
    scale = torch.ones(y.shape, dtype=wide, device=z.device) if s is None else s.expand(shape).reshape(y.shape)
    if loss.reduction == "mean":
        ones = torch.ones(shape, dtype=wide, device=z.device)
        weight = _weights(values.class_weight, y, ignore_index, repeat, wide).reshape(shape)
        weight = weight if s is None else s * weight
        zero = torch.zeros((), dtype=_xp.total(ones).dtype, device=z.device)
        by = loss._denominator(_xp, Terms(ones, weight, keep, s), zero, denominator)
        scale = (scale / torch.where(by == 0, 1.0, by)).to(wide)
    total: Tensor = _InPlace.apply(z, y, scale.contiguous(), values, loss.weight_by, ignore_index, repeat)
    return total.to(wide)


def _weights(w: Tensor | None, y: Tensor, ignore_index: int | None, repeat: int, wide: torch.dtype) -> Tensor:
    keep = torch.ones_like(y, dtype=torch.bool) if ignore_index is None else y != ignore_index
    if w is None:
        return keep.to(wide)
    at = torch.where(keep, y, 0)
    if w.ndim == 1:
        return torch.where(keep, w.to(wide)[at], 0)
    row = torch.arange(len(y), device=y.device) // repeat
    return torch.where(keep, w.to(wide)[row if y.ndim == 1 else row.unsqueeze(1), at], 0)


class _InPlace(torch.autograd.Function):
    """Σ scale·ω·ℓ, whose gradient takes the place of the logits."""

    @staticmethod
    def forward(
        ctx: Any,
        z: Tensor,
        y: Tensor,
        scale: Tensor,
        values: _softmax.Parameters,
        weight_by: str,
        ignore_index: int | None,
        rows_of_a_weight: int,
    ) -> Tensor:
        from steelyard.kernels import triton_softmax

        storage = z.detach()
        value, _, _ = triton_softmax.value_and_gradient(
            storage, y.contiguous(), scale, values, weight_by, ignore_index, rows_of_a_weight, out=storage
        )
        # whatever else needs the logits on the way back is told by torch that they are gone
        torch.autograd.graph.increment_version(z)
        ctx.gradient = storage
        return _xp.total(value * scale.reshape(-1))

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Any, ...]:
        from steelyard.kernels import triton_softmax

        if ctx.gradient is None:
            raise InputError("one way back through a loss in place", "a second one", "inplace=False keeps the logits.")
        g, ctx.gradient = ctx.gradient, None
        return (triton_softmax.multiply_(g, upstream), *[None] * 6)
