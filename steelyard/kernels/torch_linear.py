"""The linear form in PyTorch: hidden states and classifier weight in, loss and gradients out, the logits never stored.

    z = X Wᵀ + b        dX = G W        dW = Gᵀ X        db = Gᵀ 1        G = s ∂(ω·ℓ)/∂z

row chunk by row chunk, so that only `workspace` bytes of z and G exist at a time; products are accumulated in float32
(float64 for float64). A sum takes its gradients on the way forward, which saves the second product with W; single
losses take theirs on the way back, where the factor of each row is known, and form the logits twice.

Each is one operator of torch: compiled graphs hold it as it is, and which kernel does the work is settled when it runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import torch
from torch import Tensor

from steelyard._ops import torch as _xp
from steelyard.errors import InputError, one_of
from steelyard.kernels import KERNELS, torch_rows
from steelyard.kernels.torch_chunks import Call, Result, Wanted, chunked, numbers_of_rows, packed, without_neutral
from steelyard.losses import _softmax, checks
from steelyard.losses.base import Loss, Terms
from steelyard.losses.layout import Layout, broadcast_weight
from steelyard.losses.reduction import check_denominator, mean
from steelyard.losses.softmax import SoftmaxCrossEntropy

__all__ = ["WORKSPACE", "numerator_and_denominator", "reduced"]

WORKSPACE = 512 * 2**20  # bytes


def _sweep(call: Call, scale: Tensor | None, want: Wanted) -> Result:
    with torch.autocast(call.hidden.device.type, enabled=False):
        if call.hidden.device.type == "cpu":
            call = without_neutral(call)
        if _by_triton(call):
            from steelyard.kernels.triton_sweep import sweep

            return sweep(call, scale, want)
        return chunked(call, scale, want)


def _by_triton(call: Call) -> bool:
    """Whether a call goes to the kernels of a GPU; an error where it should and cannot."""
    why_not = torch_rows.why_not_triton(call.hidden, call.targets.ndim == 2)
    return torch_rows.asked("integer targets on a CUDA device, and Triton", why_not, call.kernel)


# --- as operators of torch ------------------------------------------------------------------------------------------

# the fields of `Call`, and of `Wanted`, as every operator takes them
_CALL = (
    "Tensor hidden, Tensor weight, Tensor? bias, Tensor targets, Tensor? sample_weight, Tensor[] parameters, "
    "str names, str weight_by, SymInt? ignore_index, SymInt positions, SymInt workspace, str kernel"
)
_WANTED = "bool want_hidden, bool want_weight, bool want_bias"
_FIELDS = len(Call._fields)


def _like_gradients(call: Call, want: Wanted, wide: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
    hidden, weight, bias = call[:3]
    return (
        torch.empty_like(hidden) if want.hidden else hidden.new_empty(0),
        torch.empty_like(weight, dtype=wide) if want.weight else weight.new_empty(0),
        torch.empty_like(bias, dtype=wide) if want.bias and bias is not None else weight.new_empty(0),
    )


def _gradients(call: Call, r: Result) -> tuple[Tensor, Tensor, Tensor]:
    found = zip((r.d_hidden, r.d_weight, r.d_bias), (call.hidden, call.weight, call.weight), strict=True)
    d_hidden, d_weight, d_bias = (like.new_empty(0) if d is None else d for d, like in found)
    return d_hidden, d_weight, d_bias


@torch.library.custom_op(
    "steelyard::linear_sum",
    mutates_args=(),
    schema=f"({_CALL}, {_WANTED}) -> (Tensor, Tensor, Tensor, Tensor, Tensor, Tensor)",
)
def _linear_sum(*given: Any) -> tuple[Tensor, ...]:
    call, want = Call(*given[:_FIELDS]), Wanted(*given[_FIELDS:])
    r = _sweep(call, call.sample_weight, want)
    return (_xp.total(r.loss), r.loss, r.weight, *_gradients(call, r))


@_linear_sum.register_fake
def _linear_sum_like(*given: Any) -> tuple[Tensor, ...]:
    call, want = Call(*given[:_FIELDS]), Wanted(*given[_FIELDS:])
    wide = _xp.compute_dtype(call.hidden)
    rows = call.hidden.new_empty(call.hidden.shape[0], dtype=wide)
    total = call.hidden.new_empty((), dtype=torch.float64)
    return (total, rows, torch.empty_like(rows), *_like_gradients(call, want, wide))


@torch.library.custom_op("steelyard::linear_rows", mutates_args=(), schema=f"({_CALL}) -> (Tensor, Tensor)")
def _linear_rows(*given: Any) -> tuple[Tensor, Tensor]:
    call = Call(*given)
    r = _sweep(call, call.sample_weight, Wanted(False, False, False))
    return r.loss, r.weight


@_linear_rows.register_fake
def _linear_rows_like(hidden: Tensor, *_: Any) -> tuple[Tensor, Tensor]:
    rows = hidden.new_empty(hidden.shape[0], dtype=_xp.compute_dtype(hidden))
    return rows, torch.empty_like(rows)


@torch.library.custom_op(
    "steelyard::linear_rows_gradient",
    mutates_args=(),
    schema=f"(Tensor upstream, {_CALL}, {_WANTED}) -> (Tensor, Tensor, Tensor)",
)
def _linear_rows_gradient(upstream: Tensor, *given: Any) -> tuple[Tensor, Tensor, Tensor]:
    call, want = Call(*given[:_FIELDS]), Wanted(*given[_FIELDS:])
    scale = upstream if call.sample_weight is None else upstream * call.sample_weight
    return _gradients(call, _sweep(call, scale, want))


@_linear_rows_gradient.register_fake
def _linear_rows_gradient_like(upstream: Tensor, *given: Any) -> tuple[Tensor, Tensor, Tensor]:
    return _like_gradients(Call(*given[:_FIELDS]), Wanted(*given[_FIELDS:]), upstream.dtype)


# --- gradients ------------------------------------------------------------------------------------------------------


def _keep(ctx: Any, inputs: tuple[Any, ...], extra: Sequence[Tensor] = ()) -> None:
    hidden, weight, bias, targets, sample_weight, parameters, *ctx.settings = inputs[:_FIELDS]
    ctx.n_parameters = len(parameters)
    ctx.save_for_backward(hidden, weight, bias, targets, sample_weight, *parameters, *extra)


def _kept(ctx: Any) -> tuple[Call, tuple[Tensor, ...]]:
    saved, n = ctx.saved_tensors, ctx.n_parameters
    hidden, weight, bias, targets, sample_weight = saved[:5]
    call = Call(hidden, weight, bias, targets, sample_weight, list(saved[5 : 5 + n]), *ctx.settings)
    return call, saved[5 + n :]


def _by_the_formula(call: Call, upstream: Tensor, summed: bool, want: Sequence[bool]) -> list[Tensor | None]:
    """Return the gradients as something that can be differentiated again: from all logits at once."""
    inputs = [x for x, wanted in zip(call[:3], want, strict=True) if wanted]
    with torch.enable_grad(), torch.autocast(call.hidden.device.type, enabled=False):
        wide = _xp.compute_dtype(call.hidden)
        z = call.hidden.to(wide) @ call.weight.to(call.hidden.dtype).to(wide).T
        z = z if call.bias is None else z + call.bias.to(wide)
        y, keep = call.targets, None
        dense = y.ndim == 2
        if call.ignore_index is not None and not dense:
            keep = y != call.ignore_index
            y, z = torch.where(keep, y, 0), torch.where(keep.unsqueeze(1), z, 0)
        at = Layout(z, y.to(wide) if dense else y, dense, None, (len(z),), z.shape[1])
        loss, _ = _softmax.value(_xp, at, numbers_of_rows(call, None, slice(0, len(z))), call.weight_by)
        loss = loss if keep is None else torch.where(keep, loss, 0)
        loss = loss if call.sample_weight is None else call.sample_weight * loss
        out = _xp.total(loss) if summed else loss
        found = iter(torch.autograd.grad(out, inputs, upstream, create_graph=True))
    return [next(found) if wanted else None for wanted in want]


def _sum_setup(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    ctx.want = inputs[_FIELDS:]
    _keep(ctx, inputs, output[3:])
    ctx.mark_non_differentiable(*output[1:])
    ctx.set_materialize_grads(False)


def _sum_backward(ctx: Any, upstream: Tensor | None, *_: Any) -> tuple[Any, ...]:
    call, stored = _kept(ctx)
    grads: Sequence[Tensor | None] = (None, None, None)
    if upstream is not None and torch.is_grad_enabled():
        grads = _by_the_formula(call, upstream, True, ctx.want)
    elif upstream is not None:
        grads = [
            (upstream * d).to(x.dtype) if wanted and x is not None else None
            for x, d, wanted in zip(call[:3], stored, ctx.want, strict=True)
        ]
    return (*grads, None, None, [None] * ctx.n_parameters, *[None] * 9)


def _rows_setup(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    _keep(ctx, inputs)
    ctx.mark_non_differentiable(output[1])
    ctx.set_materialize_grads(False)


def _rows_backward(ctx: Any, upstream: Tensor | None, _: Any) -> tuple[Any, ...]:
    call, _extra = _kept(ctx)
    want = tuple(x is not None and needed for x, needed in zip(call[:3], ctx.needs_input_grad[:3], strict=True))
    grads: Sequence[Tensor | None] = (None, None, None)
    if upstream is not None and torch.is_grad_enabled():
        grads = _by_the_formula(call, upstream, False, want)
    elif upstream is not None:
        found = _linear_rows_gradient(upstream.contiguous(), *call, *want)
        grads = [g.to(x.dtype) if w and x is not None else None for x, g, w in zip(call[:3], found, want, strict=True)]
    return (*grads, None, None, [None] * ctx.n_parameters, *[None] * 6)


_linear_sum.register_autograd(_sum_backward, setup_context=_sum_setup)
_linear_rows.register_autograd(_rows_backward, setup_context=_rows_setup)


# --- what the front calls -------------------------------------------------------------------------------------------


def reduced(
    loss: Loss,
    values: Any,
    hidden: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    targets: Tensor,
    sample_weight: Tensor | None,
    class_weight: Tensor | None,
    denominator: Tensor | float | str | None,
    workspace: int,
    kernel: str,
) -> Tensor:
    """Return the loss of ``hidden @ weight.T + bias``, reduced as `loss` says."""
    check_denominator(denominator)
    call = _call(loss, values, hidden, weight, bias, targets, sample_weight, class_weight, workspace, kernel)
    shape = tuple(hidden.shape[:-1])
    if loss.reduction == "none":
        rows, _ = _linear_rows(*call)
        _look(call, rows)
        return rows.reshape(shape)
    total, terms = _summed(call)
    result = total
    if loss.reduction == "mean":
        result = mean(_xp, total, loss._denominator(_xp, terms, total, denominator))
    _look(call, total)
    return _xp.cast(result, terms.numerator.dtype)


def numerator_and_denominator(
    loss: Loss,
    values: Any,
    hidden: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    targets: Tensor,
    sample_weight: Tensor | None,
    class_weight: Tensor | None,
    workspace: int,
    kernel: str,
) -> tuple[Tensor, Tensor]:
    """Return Σ s·ω·ℓ, differentiable, and Σ s·ω."""
    call = _call(loss, values, hidden, weight, bias, targets, sample_weight, class_weight, workspace, kernel)
    total, terms = _summed(call)
    _look(call, total)
    dtype = terms.numerator.dtype
    return _xp.cast(total, dtype), _xp.cast(loss._denominator(_xp, terms, total, None), dtype)


def _summed(call: Call) -> tuple[Tensor, Terms]:
    wanted = (_needs(call.hidden), _needs(call.weight), _needs(call.bias))
    total, rows, weight, *_ = _linear_sum(*call, *wanted)
    keep = None if call.ignore_index is None or call.targets.ndim == 2 else call.targets != call.ignore_index
    return total, Terms(rows.detach(), weight.detach(), keep, call.sample_weight)


def _needs(x: Tensor | None) -> bool:
    return x is not None and torch.is_grad_enabled() and x.requires_grad


def _call(
    loss: Loss,
    values: Any,
    hidden: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    targets: Tensor,
    sample_weight: Tensor | None,
    class_weight: Tensor | None,
    workspace: int,
    kernel: str,
) -> Call:
    """Return the call with one row per example, once its shapes and dtypes are known to fit."""
    if not isinstance(loss, SoftmaxCrossEntropy):
        raise InputError("a loss of the softmax family", type(loss).__name__)
    one_of("kernel", kernel, KERNELS)
    hidden = _in_the_dtype_of_products(hidden, weight)
    (n_classes, features), shape = weight.shape, tuple(hidden.shape[:-1])
    if hidden.ndim < 2 or hidden.shape[-1] != features:
        raise InputError(
            f"`hidden` of shape (..., {features}), as `weight` {tuple(weight.shape)} has", f"{tuple(hidden.shape)}"
        )
    if bias is not None and tuple(bias.shape) != (n_classes,):
        raise InputError(f"`bias` of shape ({n_classes},)", f"{tuple(bias.shape)}")
    checks.number_of_classes(loss, n_classes, values)
    y = _xp.asarray(targets, hidden)
    dense = tuple(y.shape) == (*shape, n_classes)
    if not dense and tuple(y.shape) != shape:
        raise InputError(
            f"targets of shape {shape} or {(*shape, n_classes)} for `hidden` of shape {tuple(hidden.shape)}",
            f"{tuple(y.shape)}",
        )
    if not dense and not _xp.is_integer(y):
        raise InputError("integer targets, one per row", f"dtype {y.dtype}", "cast them to integers.")
    wide = _xp.compute_dtype(hidden)
    s = None
    if sample_weight is not None:
        s = _xp.asarray(sample_weight, hidden, wide)
        s = broadcast_weight(_xp, s, shape, shape).expand(shape).reshape(-1)
    if class_weight is not None:
        w = _xp.asarray(class_weight, hidden, wide)
        checks.call_weight(_xp, loss, w, (shape[0], n_classes))
        values = values._replace(class_weight=w)
    for name, x in (("sample_weight", s), *zip(values._fields, values, strict=True)):
        if _needs(x):
            raise InputError(
                f"`{name}` that asks for no gradient",
                "requires_grad=True",
                "the linear form differentiates hidden, weight and bias; for the rest: loss(hidden @ weight.T + bias).",
            )
    if not isinstance(workspace, int) or workspace < 1:
        raise InputError("`workspace` in bytes, a positive integer", repr(workspace))
    y = y.reshape(-1, n_classes) if dense else y.to(torch.int64).reshape(-1)
    rows = hidden.reshape(-1, features)
    _targets_in_range(loss, rows, y, n_classes)
    ignore_index = None if loss.ignore_index is None else int(loss.ignore_index)
    positions = prod(shape[1:])
    return Call(rows, weight, bias, y, s, *packed(values), loss.weight_by, ignore_index, positions, workspace, kernel)


def _in_the_dtype_of_products(hidden: Tensor, weight: Tensor) -> Tensor:
    kind = hidden.device.type
    if torch.is_autocast_enabled(kind) and hidden.dtype != torch.float64:
        return hidden.to(torch.get_autocast_dtype(kind))
    if hidden.dtype != weight.dtype:
        raise InputError(
            f"`hidden` of the dtype of `weight`, {weight.dtype}",
            f"{hidden.dtype}",
            "run under torch.autocast, or cast one of them.",
        )
    return hidden


def _targets_in_range(loss: Loss, hidden: Tensor, y: Tensor, n_classes: int) -> None:
    if not _xp.concrete(hidden):
        return
    if y.ndim == 1 and loss.ignore_index is not None:
        y = torch.where(y != loss.ignore_index, y, 0)
    checks.target_range(_xp, loss, Layout(hidden.new_empty((0, n_classes)), y, y.ndim == 2, None, (), n_classes))


def _look(call: Call, result: Tensor) -> None:
    """In eager calls on the CPU: say why a result is not finite, or that a weight is negative."""
    if not _xp.concrete(result):
        return
    s = call.sample_weight
    if s is not None and len(s) and not bool((s >= 0).all()):
        row = int((~(s >= 0)).nonzero()[0])
        raise InputError("finite `sample_weight` ≥ 0", f"{s[row].item():g} at row {row}")
    if bool(torch.isfinite(result).all()):
        return
    for name, x in (("hidden", call.hidden), ("weight", call.weight)):
        bad = ~torch.isfinite(x.detach()).all(1)
        if name == "hidden" and call.ignore_index is not None and call.targets.ndim == 1:
            bad = bad & (call.targets != call.ignore_index)
        if bool(bad.any()):
            raise InputError(
                f"finite `{name}`",
                f"NaN or infinity in row {int(bad.nonzero()[0])}",
                "the model diverged before the loss was computed: look at the learning rate and at its input.",
            )
