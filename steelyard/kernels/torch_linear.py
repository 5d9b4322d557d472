"""The linear form in PyTorch: hidden states and classifier weight in, loss and gradients out, the logits never stored.

    z = X Wᵀ + b        dX = G W        dW = Gᵀ X        db = Gᵀ 1        G = s ∂(ω·ℓ)/∂z

row chunk by row chunk, so that only `workspace` bytes of z and G exist at a time; products are accumulated in float32
(float64 for float64). A sum takes its gradients on the way forward, which saves the second product with W; single
losses take theirs on the way back, where the factor of each row is known, and form the logits twice.

Each is one operator of torch: compiled graphs hold it as it is, and which kernel does the work is settled when it runs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from math import prod
from typing import Any, NamedTuple

import torch
from torch import Tensor

from steelyard._ops import torch as _xp
from steelyard.errors import InputError, one_of
from steelyard.losses import _softmax, checks
from steelyard.losses.base import Loss, Terms
from steelyard.losses.layout import Layout, broadcast_weight
from steelyard.losses.reduction import check_denominator, mean
from steelyard.losses.softmax import SoftmaxCrossEntropy

__all__ = ["KERNELS", "WORKSPACE", "Call", "Result", "Wanted", "numerator_and_denominator", "reduced"]

KERNELS = ("auto", "fused", "formula")
WORKSPACE = 512 * 2**20  # bytes

# tensors of the size of a chunk's logits that exist at once, by integer targets and by targets over all classes:
# measured (benchmarks/gpu/linear_on_the_cpu.py), rounded up
_LIVE, _LIVE_DENSE = 7, 13
_CACHE_BYTES, _FEW_ROWS = 64 * 2**20, 64
# a block of W in the dtype of the arithmetic, where that is wider than its own
_BLOCK_BYTES = 16 * 2**20


class Call(NamedTuple):
    """What a call consists of, as the operators take it."""

    hidden: Tensor  # (n, d), in the dtype of the products
    weight: Tensor  # (c, d)
    bias: Tensor | None  # (c,)
    targets: Tensor  # (n,) indices, or (n, c)
    sample_weight: Tensor | None  # (n,)
    parameters: Sequence[Tensor]  # those of _softmax.Parameters that are present
    names: str  # of which these are, with commas between
    weight_by: str
    ignore_index: int | None
    positions: int  # rows of the call's class weights (batch, c) stand for this many rows each
    workspace: int
    kernel: str  # of KERNELS

    @property
    def numbers(self) -> _softmax.Parameters:
        """The parameters by name, None where absent."""
        return _softmax.Parameters(
            **dict(zip(self.names.split(",") if self.names else (), self.parameters, strict=True))
        )


class Wanted(NamedTuple):
    """Which gradients are asked for."""

    hidden: bool
    weight: bool
    bias: bool


class Result(NamedTuple):
    """What a sweep over the rows leaves."""

    loss: Tensor  # (n,) s·ω·ℓ
    weight: Tensor  # (n,) s·ω
    d_hidden: Tensor | None
    d_weight: Tensor | None
    d_bias: Tensor | None


# --- products in the dtype of the arithmetic ------------------------------------------------------------------------


def _blocks(weight: Tensor, product: torch.dtype, wide: torch.dtype) -> Iterator[tuple[slice, Tensor]]:
    """Yield W as it is, or block by block: rounded to the dtype of the products, held in that of the arithmetic."""
    if weight.dtype == wide == product:
        yield slice(None), weight
        return
    step = max(1, _BLOCK_BYTES // (weight.shape[1] * wide.itemsize))
    for start in range(0, weight.shape[0], step):
        yield slice(start, start + step), weight[start : start + step].to(product).to(wide)


def _logits(x: Tensor, weight: Tensor, bias: Tensor | None, product: torch.dtype) -> Tensor:
    z = x.new_empty((x.shape[0], weight.shape[0]))
    for at, block in _blocks(weight, product, x.dtype):
        torch.mm(x, block.T, out=z[:, at]) if at == slice(None) else z[:, at].copy_(x @ block.T)
    return z if bias is None else z.add_(bias)


# --- the sweep ------------------------------------------------------------------------------------------------------


def rows_at_once(call: Call, wide: torch.dtype) -> int:
    """Return how many rows of logits fit into the workspace, at least one."""
    p = call.numbers
    dense = call.targets.ndim == 2 or p.label_smoothing is not None or p.cost_matrix is not None
    row = call.weight.shape[0] * wide.itemsize * (_LIVE_DENSE if dense else _LIVE)
    # few enough for the cache, but enough that a product is more than reading W
    wanted = max(_FEW_ROWS, _CACHE_BYTES // row) if call.hidden.device.type == "cpu" else call.workspace // row
    return int(max(1, min(wanted, call.workspace // row)))


def _chunked(call: Call, scale: Tensor | None, want: Wanted) -> Result:
    """Return losses and the gradients of Σ scale·ω·ℓ by the formula, on any device."""
    wide = _xp.compute_dtype(call.hidden)
    hidden, targets, n = call.hidden, call.targets, call.hidden.shape[0]
    keep = None if call.ignore_index is None or targets.ndim == 2 else (targets != call.ignore_index).nonzero()[:, 0]
    if keep is not None and len(keep) == n:
        keep = None
    if keep is not None:  # an ignored row costs no product, and what it holds reaches nothing
        hidden, targets = hidden[keep], targets[keep]
        scale = None if scale is None else scale[keep]
    loss, weight = hidden.new_zeros(len(hidden), dtype=wide), hidden.new_zeros(len(hidden), dtype=wide)
    d_hidden = torch.zeros_like(hidden) if want.hidden else None
    d_weight = torch.zeros_like(call.weight, dtype=wide) if want.weight else None
    d_bias = None if call.bias is None or not want.bias else torch.zeros_like(call.bias, dtype=wide)
    bias = None if call.bias is None else call.bias.to(wide)
    step = rows_at_once(call, wide)
    for start in range(0, len(hidden), step):
        at = slice(start, min(start + step, len(hidden)))
        numbers = _numbers(call, keep, at)
        loss[at], weight[at] = _chunk(
            call, numbers, hidden[at], targets[at], None if scale is None else scale[at], bias,
            None if d_hidden is None else d_hidden[at], d_weight, d_bias,
        )  # fmt: skip
    if keep is None:
        return Result(loss, weight, d_hidden, d_weight, d_bias)
    loss, weight = (x.new_zeros(n).index_copy_(0, keep, x) for x in (loss, weight))
    if d_hidden is not None:
        d_hidden = torch.zeros_like(call.hidden).index_copy_(0, keep, d_hidden)
    return Result(loss, weight, d_hidden, d_weight, d_bias)


def _numbers(call: Call, keep: Tensor | None, at: slice) -> _softmax.Parameters:
    p = call.numbers
    if p.class_weight is None or p.class_weight.ndim != 2 or call.weight_by.startswith("pair"):
        return p
    rows = torch.arange(at.start, at.stop, device=call.hidden.device) if keep is None else keep[at]
    return p._replace(class_weight=p.class_weight[rows // call.positions])


def _chunk(
    call: Call,
    p: _softmax.Parameters,
    hidden: Tensor,
    targets: Tensor,
    scale: Tensor | None,
    bias: Tensor | None,
    d_hidden: Tensor | None,
    d_weight: Tensor | None,
    d_bias: Tensor | None,
) -> tuple[Tensor, Tensor]:
    """Return s·ω·ℓ and s·ω of one chunk, and add its gradients to those that are wanted."""
    wide = _xp.compute_dtype(hidden)
    x = hidden.to(wide)
    z = _logits(x, call.weight, bias, hidden.dtype)
    dense = targets.ndim == 2
    at = Layout(z, targets.to(wide) if dense else targets, dense, None, (len(x),), z.shape[1])
    if d_hidden is None and d_weight is None and d_bias is None:
        loss, weight = _softmax.value(_xp, at, p, call.weight_by)
        g = None
    else:
        loss, weight, g = _softmax.value_and_gradient(_xp, at, p, call.weight_by)
    del z, at
    weight = torch.ones_like(loss) if weight is None else weight
    if scale is not None:
        loss, weight = scale * loss, scale * weight
        g = None if g is None else g.mul_(scale.unsqueeze(1))
    if g is None:
        return loss, weight
    if d_weight is not None:
        d_weight.addmm_(g.T, x)
    if d_bias is not None:
        d_bias.add_(g.sum(0))
    if d_hidden is not None:
        # summed in the wider dtype in any case; this is the last product, so its operands may be what the result is
        narrow = hidden.dtype if hidden.dtype == torch.bfloat16 else wide  # float16 does not reach far enough down
        d_hidden.copy_(g.to(narrow) @ call.weight.to(hidden.dtype).to(narrow))
    return loss, weight


def _without_neutral(call: Call) -> Call:
    """Drop what does nothing: a compiled graph hands over every parameter that its module holds."""
    neutral = {p.name: p.neutral for p in SoftmaxCrossEntropy.PARAMETERS}
    left = {n: v for n, v in call.numbers._asdict().items() if v is not None and not bool((v == neutral[n]).all())}
    for one, other in (("cost_matrix", "cost_coefficient"), ("cost_coefficient", "cost_matrix")):
        if one not in left:
            left.pop(other, None)
    # without weights the form is the plain one, whatever they would go by
    by = call.weight_by if "class_weight" in left else "target"
    return call._replace(parameters=list(left.values()), names=",".join(left), weight_by=by)


def _sweep(call: Call, scale: Tensor | None, want: Wanted) -> Result:
    with torch.autocast(call.hidden.device.type, enabled=False):
        if call.hidden.device.type == "cpu":
            call = _without_neutral(call)
        if _by_triton(call):
            from steelyard.kernels.triton_sweep import sweep

            return sweep(call, scale, want)
        return _chunked(call, scale, want)


def _by_triton(call: Call) -> bool:
    """Whether a call goes to the kernels of a GPU; an error where it should and cannot."""
    if call.kernel == "formula":
        return False
    why = None
    if not call.hidden.is_cuda:
        why = f"tensors on {call.hidden.device.type}"
    elif call.targets.ndim == 2:
        why = "targets over all classes"
    elif find_spec("triton") is None:
        why = "no Triton installed"
    if why is not None and call.kernel == "fused":
        raise InputError("integer targets on a CUDA device, and Triton, with kernel='fused'", why, "kernel='auto'.")
    return why is None


def _or_empty(x: Tensor | None, like: Tensor) -> Tensor:
    return like.new_empty(0) if x is None else x


# --- as operators of torch ------------------------------------------------------------------------------------------


@torch.library.custom_op("steelyard::linear_sum", mutates_args=())
def _linear_sum(
    hidden: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    targets: Tensor,
    sample_weight: Tensor | None,
    parameters: Sequence[Tensor],
    names: str,
    weight_by: str,
    ignore_index: int | None,
    positions: int,
    workspace: int,
    kernel: str,
    want_hidden: bool,
    want_weight: bool,
    want_bias: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    call = Call(
        hidden,
        weight,
        bias,
        targets,
        sample_weight,
        parameters,
        names,
        weight_by,
        ignore_index,
        positions,
        workspace,
        kernel,
    )
    r = _sweep(call, sample_weight, Wanted(want_hidden, want_weight, want_bias))
    return (
        _xp.total(r.loss),
        r.loss,
        r.weight,
        _or_empty(r.d_hidden, hidden),
        _or_empty(r.d_weight, weight),
        _or_empty(r.d_bias, weight),
    )


@_linear_sum.register_fake
def _linear_sum_like(
    hidden: Tensor, weight: Tensor, bias: Tensor | None, *rest: Any
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    want_hidden, want_weight, want_bias = rest[-3:]
    wide = _xp.compute_dtype(hidden)
    rows = hidden.new_empty(hidden.shape[0], dtype=wide)
    return (
        hidden.new_empty((), dtype=torch.float64),
        rows,
        torch.empty_like(rows),
        torch.empty_like(hidden) if want_hidden else hidden.new_empty(0),
        torch.empty_like(weight, dtype=wide) if want_weight else weight.new_empty(0),
        torch.empty_like(bias, dtype=wide) if want_bias and bias is not None else weight.new_empty(0),
    )


@torch.library.custom_op("steelyard::linear_rows", mutates_args=())
def _linear_rows(
    hidden: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    targets: Tensor,
    sample_weight: Tensor | None,
    parameters: Sequence[Tensor],
    names: str,
    weight_by: str,
    ignore_index: int | None,
    positions: int,
    workspace: int,
    kernel: str,
) -> tuple[Tensor, Tensor]:
    call = Call(
        hidden,
        weight,
        bias,
        targets,
        sample_weight,
        parameters,
        names,
        weight_by,
        ignore_index,
        positions,
        workspace,
        kernel,
    )
    r = _sweep(call, sample_weight, Wanted(False, False, False))
    return r.loss, r.weight


@_linear_rows.register_fake
def _linear_rows_like(hidden: Tensor, *_: Any) -> tuple[Tensor, Tensor]:
    rows = hidden.new_empty(hidden.shape[0], dtype=_xp.compute_dtype(hidden))
    return rows, torch.empty_like(rows)


@torch.library.custom_op("steelyard::linear_rows_gradient", mutates_args=())
def _linear_rows_gradient(
    upstream: Tensor,
    hidden: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    targets: Tensor,
    sample_weight: Tensor | None,
    parameters: Sequence[Tensor],
    names: str,
    weight_by: str,
    ignore_index: int | None,
    positions: int,
    workspace: int,
    kernel: str,
    want_hidden: bool,
    want_weight: bool,
    want_bias: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    call = Call(
        hidden,
        weight,
        bias,
        targets,
        sample_weight,
        parameters,
        names,
        weight_by,
        ignore_index,
        positions,
        workspace,
        kernel,
    )
    scale = upstream if sample_weight is None else upstream * sample_weight
    r = _sweep(call, scale, Wanted(want_hidden, want_weight, want_bias))
    return _or_empty(r.d_hidden, hidden), _or_empty(r.d_weight, weight), _or_empty(r.d_bias, weight)


@_linear_rows_gradient.register_fake
def _linear_rows_gradient_like(
    upstream: Tensor, hidden: Tensor, weight: Tensor, bias: Tensor | None, *rest: Any
) -> tuple[Tensor, Tensor, Tensor]:
    want_hidden, want_weight, want_bias = rest[-3:]
    return (
        torch.empty_like(hidden) if want_hidden else hidden.new_empty(0),
        torch.empty_like(weight, dtype=upstream.dtype) if want_weight else weight.new_empty(0),
        torch.empty_like(bias, dtype=upstream.dtype) if want_bias and bias is not None else weight.new_empty(0),
    )


# --- gradients ------------------------------------------------------------------------------------------------------


def _keep(ctx: Any, inputs: tuple[Any, ...], extra: Sequence[Tensor] = ()) -> None:
    hidden, weight, bias, targets, sample_weight, parameters, *ctx.settings = inputs[:12]
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
        loss, _ = _softmax.value(_xp, at, _numbers(call, None, slice(0, len(z))), call.weight_by)
        loss = loss if keep is None else torch.where(keep, loss, 0)
        loss = loss if call.sample_weight is None else call.sample_weight * loss
        out = _xp.total(loss) if summed else loss
        found = iter(torch.autograd.grad(out, inputs, upstream, create_graph=True))
    return [next(found) if wanted else None for wanted in want]


def _sum_setup(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    ctx.want = inputs[12:]
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
    present = {name: v for name, v in zip(values._fields, values, strict=True) if v is not None}
    given, names = list(present.values()), ",".join(present)
    return Call(rows, weight, bias, y, s, given, names, loss.weight_by, ignore_index, positions, workspace, kernel)


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
