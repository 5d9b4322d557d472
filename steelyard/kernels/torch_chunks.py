"""The linear form chunk by chunk: what a call consists of, and its sweep by the formula, on any device.

Only so many rows of logits and of their gradient exist at a time as the workspace holds; products are accumulated in
float32 (float64 for float64), over chunks too.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from steelyard._ops import torch as _xp
from steelyard.losses import _softmax
from steelyard.losses.layout import Layout
from steelyard.losses.softmax import SoftmaxCrossEntropy

__all__ = ["Call", "Result", "Wanted", "chunked", "numbers_of_rows", "packed", "unpacked", "without_neutral"]


# tensors of the size of a chunk's logits that exist at once, where the target's class alone counts and where every
# class does: the peak resident size of one chunk was 5.0 and 10.5 of them with every parameter on; matrices add two
_LIVE, _LIVE_DENSE = 7, 13
_CACHE_BYTES, _FEW_ROWS = 64 * 2**20, 64
# a block of W in the dtype of the arithmetic, where that is wider than its own
_BLOCK_BYTES = 16 * 2**20


def packed(p: _softmax.Parameters) -> tuple[list[Tensor], str]:
    """Return the parameters that are present and their names with commas between: as operators of torch take them."""
    present = {name: v for name, v in zip(p._fields, p, strict=True) if v is not None}
    return list(present.values()), ",".join(present)


def unpacked(parameters: Sequence[Tensor], names: str) -> _softmax.Parameters:
    """Return what `packed` took apart."""
    return _softmax.Parameters(**dict(zip(names.split(",") if names else (), parameters, strict=True)))


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
    kernel: str  # of `kernels.KERNELS`

    @property
    def numbers(self) -> _softmax.Parameters:
        """The parameters by name, None where absent."""
        return unpacked(self.parameters, self.names)


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


def chunked(call: Call, scale: Tensor | None, want: Wanted) -> Result:
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
        numbers = numbers_of_rows(call, keep, at)
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


def numbers_of_rows(call: Call, keep: Tensor | None, at: slice) -> _softmax.Parameters:
    """Return the parameters for some rows: class weights of the call (batch, c) are looked up row by row."""
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


def without_neutral(call: Call) -> Call:
    """Drop what does nothing: a compiled graph hands over every parameter that its module holds."""
    neutral = {p.name: p.neutral for p in SoftmaxCrossEntropy.PARAMETERS}
    left = {n: v for n, v in call.numbers._asdict().items() if v is not None and not bool((v == neutral[n]).all())}
    for one, other in (("cost_matrix", "cost_coefficient"), ("cost_coefficient", "cost_matrix")):
        if one not in left:
            left.pop(other, None)
    # without weights the form is the plain one, whatever they would go by
    by = call.weight_by if "class_weight" in left else "target"
    parameters, names = packed(_softmax.Parameters(**left))
    return call._replace(parameters=parameters, names=names, weight_by=by)
