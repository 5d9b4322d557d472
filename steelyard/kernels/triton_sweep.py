"""The linear form on a GPU: row chunks, each by one of two kernels, and the products that make gradients of them.

bfloat16 goes through `triton_linear`, whose exponentials are the gradient up to a factor per row. What has numbers of
its own for every entry of a row (pairwise offsets, costs, compensation, weights by prediction, focusing of every class)
goes through logits of the chunk and `triton_softmax`, and so do other dtypes. Nothing here waits for the device.
"""

from __future__ import annotations

import torch
from torch import Tensor

from steelyard._ops import torch as _xp
from steelyard.kernels import triton_linear, triton_softmax
from steelyard.kernels.torch_chunks import Call, Result, Wanted
from steelyard.losses._softmax import Parameters

__all__ = ["by_logits", "by_parts", "sweep"]

_ROWS = 128  # chunks are multiples of so many rows, where the workspace holds as many


def sweep(call: Call, scale: Tensor | None, want: Wanted) -> Result:
    """Return losses and the gradients of Σ scale·ω·ℓ for integer targets."""
    weight = call.weight.to(call.hidden.dtype)
    call = call._replace(hidden=call.hidden.contiguous(), weight=weight.contiguous())
    if triton_linear.can(call.numbers, call.weight_by, call.hidden, len(weight)) is None:
        return by_parts(call, scale, want)
    return by_logits(call, scale, want)


class _Sums:
    """The gradients as they grow, chunk by chunk."""

    def __init__(self, call: Call, want: Wanted) -> None:
        hidden, weight = call.hidden, call.weight
        self.wide = _xp.compute_dtype(hidden)
        n = hidden.shape[0]
        self.loss, self.omega = (hidden.new_empty(n, dtype=self.wide) for _ in range(2))
        self.hidden = torch.empty_like(hidden) if want.hidden else None
        self.weight = torch.zeros_like(weight, dtype=self.wide) if want.weight else None
        self.bias = weight.new_zeros(len(weight), dtype=self.wide) if want.bias and call.bias is not None else None

    def done(self, scale: Tensor | None) -> Result:
        if scale is not None:
            self.loss, self.omega = scale * self.loss, scale * self.omega
        return Result(self.loss, self.omega, self.hidden, self.weight, self.bias)


def _chunks(call: Call, bytes_of_a_row: int) -> list[slice]:
    step = max(1, call.workspace // bytes_of_a_row)
    step = step // _ROWS * _ROWS if step >= _ROWS else step
    n = call.hidden.shape[0]
    return [slice(i, min(i + step, n)) for i in range(0, n, step)]


def _numbers(call: Call, wide: torch.dtype) -> Parameters:
    return Parameters(*(None if v is None else v.to(wide) for v in call.numbers))


def _counted(call: Call, at: slice) -> Tensor:
    """Return the rows of a chunk, zeros where ignored: what those hold must not reach a product, even times zero."""
    x = call.hidden[at]
    return x if call.ignore_index is None else torch.where((call.targets[at] != call.ignore_index).unsqueeze(1), x, 0)


def _product(a: Tensor, b: Tensor, wide: torch.dtype) -> Tensor:
    """Return a @ b in the dtype of the arithmetic, from operands of theirs."""
    if a.dtype == wide:
        return a @ b
    return torch.mm(a, b, out_dtype=wide) if a.is_cuda else a.to(wide) @ b.to(wide)


def _add_product(total: Tensor, a: Tensor, b: Tensor) -> None:
    """Add a @ b to a total of wider dtype."""
    if a.dtype == total.dtype:
        total.addmm_(a, b)
    elif a.is_cuda:
        torch.addmm(total, a, b, out_dtype=total.dtype, out=total)
    else:
        total.addmm_(a.to(total.dtype), b.to(total.dtype))


def by_logits(call: Call, scale: Tensor | None, want: Wanted) -> Result:
    """Logits of a chunk in float32, their gradient in the dtype of the products, the products."""
    sums = _Sums(call, want)
    wide, weight, narrow = sums.wide, call.weight, call.hidden.dtype
    p = _numbers(call, wide)
    bias = None if call.bias is None else call.bias.to(wide)
    by_row = p.class_weight is not None and p.class_weight.ndim == 2 and not call.weight_by.startswith("pair")
    row = len(weight) * (wide.itemsize * (2 if by_row else 1) + (0 if narrow == wide else narrow.itemsize))
    settings = (call.weight_by, call.ignore_index)
    for at in _chunks(call, row):
        x, y = _counted(call, at), call.targets[at]
        factor = None if scale is None else scale[at]
        z = _product(x, weight.T, wide)
        z = z if bias is None else z.add_(bias)
        here = p
        if by_row and p.class_weight is not None:
            rows = torch.arange(at.start, at.stop, device=x.device) // call.positions
            here = p._replace(class_weight=p.class_weight[rows])
        if not any(want):
            sums.loss[at], sums.omega[at], _ = triton_softmax.value(z, y, here, *settings)
            continue
        g = z if narrow == wide else torch.empty_like(z, dtype=narrow)
        sums.loss[at], sums.omega[at], _ = triton_softmax.value_and_gradient(z, y, factor, here, *settings, out=g)
        if sums.weight is not None:
            _add_product(sums.weight, g.T, x)
        if sums.bias is not None:
            sums.bias += g.sum(0, dtype=wide)
        if sums.hidden is not None:
            torch.mm(g, weight, out=sums.hidden[at])
        del z, g
    return sums.done(scale)


def by_parts(
    call: Call,
    scale: Tensor | None,
    want: Wanted,
    tile: tuple[int, int, int] = (triton_linear.ROWS, triton_linear.COLUMNS, triton_linear.DEPTH),
) -> Result:
    """Exponentials of a chunk, and the products with them; smoothing as a term of rank one."""
    sums = _Sums(call, want)
    wide, weight, narrow = sums.wide, call.weight, call.hidden.dtype
    p = _numbers(call, wide)
    bias = None if call.bias is None else call.bias.to(wide)
    delta = None if p.logit_scale is None else p.logit_scale.expand(len(weight))
    smooth = p.label_smoothing is not None
    # ΔᵀW, and what of rᵀX and Σ r there is so far
    column = _weighted_rows(weight, delta, wide) if smooth and sums.hidden is not None else None
    r_hidden, r_total = weight.new_zeros(weight.shape[1], dtype=wide), weight.new_zeros((), dtype=wide)
    for at in _chunks(call, triton_linear.room(1, len(weight), narrow)):
        x = _counted(call, at)
        found = triton_linear.parts(
            x, weight, bias, call.targets[at], p, None if scale is None else scale[at], call.ignore_index, at.start,
            call.positions, tile,
        )  # fmt: skip
        sums.loss[at], sums.omega[at] = found.loss, found.weight
        alpha, r = found.alpha.unsqueeze(1), found.r
        if sums.weight is not None:
            _add_product(sums.weight, found.f.T, (alpha * x).to(narrow))
        if sums.bias is not None:
            sums.bias += _product(found.f.T, alpha.to(narrow), wide).squeeze(1)
        if sums.hidden is not None:
            d = alpha * _product(found.f, weight, wide)
            sums.hidden[at] = d if r is None or column is None else d - r.unsqueeze(1) * column
        if r is not None:
            r_hidden += r @ x.to(wide)
            r_total += r.sum()
    if smooth:
        ones = torch.ones_like(r_total).expand(len(weight)) if delta is None else delta
        if sums.weight is not None:
            sums.weight.addr_(ones, r_hidden, alpha=-1.0)
        if sums.bias is not None:
            sums.bias -= ones * r_total
    return sums.done(scale)


def _weighted_rows(weight: Tensor, delta: Tensor | None, wide: torch.dtype) -> Tensor:
    """Return ΔᵀW, block by block, so that no copy of W in the wider dtype exists."""
    total = weight.new_zeros(weight.shape[1], dtype=wide)
    for start in range(0, len(weight), 8192):
        block = weight[start : start + 8192]
        total += block.sum(0, dtype=wide) if delta is None else delta[start : start + 8192] @ block.to(wide)
    return total
