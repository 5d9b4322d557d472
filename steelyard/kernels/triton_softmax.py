"""The softmax family in Triton: value and gradient of logits on a GPU, every parameter, integer targets.

One program takes a few rows. A row that fits into registers (up to 16,384 classes) is read once, a longer one once for
its sums and once for its gradient. Row sums leave the target out, as `losses/_softmax.py` does and for the same reason.
No value is looked at by the host, and every sum is taken in one order: the same input gives the same bits.
"""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from steelyard.kernels.triton_rows import complement_of, focused, log_sigmoid, sigmoid, softplus
from steelyard.losses._softmax import Parameters

__all__ = ["gradient", "multiply_", "softmax_rows", "value", "value_and_gradient"]


# how a class weight is chosen
_BY = {"target": 1, "prediction": 2, "pair": 3, "prediction_hard": 4, "pair_hard": 5}


@triton.jit
def _block(
    z_ptr, base, cols, stride_c, n_classes, y, own,
    scale_ptr, offset_ptr, offset_base, pairs_ptr, kappa,
    SCALE: tl.constexpr, OFFSET: tl.constexpr, PAIRS: tl.constexpr, KAPPA: tl.constexpr, WIDE: tl.constexpr,
):  # fmt: skip
    """Return logits z and adjusted logits a of some classes, −∞ beyond the last."""
    inside = cols < n_classes
    z = tl.load(z_ptr + base[:, None] + cols[None, :].to(tl.int64) * stride_c, inside[None, :], -float("inf")).to(WIDE)
    a = z
    if SCALE:
        a = tl.load(scale_ptr + cols, inside, 1.0)[None, :] * a
    if OFFSET:
        a = a + tl.load(offset_ptr + offset_base[:, None] + cols[None, :], inside[None, :], 0.0)
    if PAIRS:
        a = a + tl.load(pairs_ptr + y[:, None] * n_classes + cols[None, :], inside[None, :], 0.0)
    if KAPPA:
        lead = z - own[:, None]
        a = a + kappa * tl.where(lead > 0.0, lead, 0.0)
    return z, tl.where(inside[None, :], a, -float("inf"))


@triton.jit
def softmax_rows(
    z_ptr, g_ptr, y_ptr, loss_ptr, weight_ptr, stats_ptr, upstream_ptr,
    w_ptr, scale_ptr, offset_ptr, margin_ptr, pairs_ptr, smoothing_ptr, costs_ptr,
    gamma_ptr, poly_ptr, kappa_ptr, lambda_ptr,
    n_rows, n_classes, positions, stride_n, stride_c, stride_k, g_stride_n, g_stride_c, g_stride_k,
    w_stride, w_rows, offset_stride, offset_rows, ignore_index,
    VALUE: tl.constexpr, GRADIENT: tl.constexpr, UPSTREAM: tl.constexpr, IGNORE: tl.constexpr, BY: tl.constexpr,
    SCALE: tl.constexpr, OFFSET: tl.constexpr, MARGIN: tl.constexpr, PAIRS: tl.constexpr, SMOOTHING: tl.constexpr,
    COSTS: tl.constexpr, BENT: tl.constexpr, GAMMA: tl.constexpr, POLY: tl.constexpr, KAPPA: tl.constexpr,
    WIDE: tl.constexpr, ROWS: tl.constexpr, BLOCK: tl.constexpr, WHOLE: tl.constexpr,
):  # fmt: skip
    """Value, or gradient from the stats that a value left, or both at once."""
    wanted = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    here = wanted < n_rows
    row = tl.where(here, wanted, n_rows - 1)
    y = tl.load(y_ptr + row).to(tl.int64)
    keep = here
    if IGNORE:
        keep = y != ignore_index
        y = tl.where(keep, y, 0)
    # an index that is no class must not be an address; the row's result is NaN, which shows
    valid = (y >= 0) & (y < n_classes)
    y = tl.where(valid, y, 0)
    base = (row // positions) * stride_n + (row % positions) * stride_k
    offset_base = (row // offset_rows) * offset_stride
    zero = tl.zeros((ROWS,), WIDE)
    low = zero - float("inf")

    own = tl.load(z_ptr + base + y * stride_c).to(WIDE)
    own_a = own
    gamma, poly, kappa, margin = 0.0, 0.0, 0.0, zero
    if GAMMA:
        gamma = tl.load(gamma_ptr)
    if POLY:
        poly = tl.load(poly_ptr)
    if KAPPA:
        kappa = tl.load(kappa_ptr)
    if SCALE:
        own_a = tl.load(scale_ptr + y) * own_a
    if OFFSET:
        own_a = own_a + tl.load(offset_ptr + offset_base + y)
    if PAIRS:
        own_a = own_a + tl.load(pairs_ptr + y * n_classes + y)
    if MARGIN:
        margin = tl.load(margin_ptr + y)
    w_base = (row // w_rows) * w_stride
    if BY == 3 or BY == 5:
        w_base = y * n_classes

    first = tl.arange(0, BLOCK)
    z, a = first[None, :] + low[:, None], first[None, :] + low[:, None]
    if WHOLE:
        z, a = _block(
            z_ptr, base, first, stride_c, n_classes, y, own, scale_ptr, offset_ptr, offset_base, pairs_ptr, kappa,
            SCALE, OFFSET, PAIRS, KAPPA, WIDE,
        )  # fmt: skip
    last = BLOCK if WHOLE else n_classes

    # Σ over the classes that are not the target, and what weights by prediction need of all of them
    if VALUE:
        top, total, lead = low, zero, zero
        top_z, total_z, weighted, best = low, zero, zero, zero.to(tl.int64)
        for start in range(0, last, BLOCK):
            cols = start + first
            if not WHOLE:
                z, a = _block(
                    z_ptr, base, cols, stride_c, n_classes, y, own, scale_ptr, offset_ptr, offset_base, pairs_ptr,
                    kappa, SCALE, OFFSET, PAIRS, KAPPA, WIDE,
                )  # fmt: skip
            inside = cols < n_classes
            is_own = cols[None, :] == y[:, None]
            others = tl.where(is_own, -float("inf"), a)
            higher = tl.maximum(top, tl.max(others, 1))
            shift = tl.where(higher == -float("inf"), 0.0, higher)
            total = total * tl.exp(top - shift) + tl.sum(tl.exp(others - shift[:, None]), 1)
            top = higher
            if SMOOTHING and not BENT:
                lead = lead + tl.sum(tl.where(is_own | (cols >= n_classes)[None, :], 0.0, a - own_a[:, None]), 1)
            if BY == 2 or BY == 3:
                w = tl.load(w_ptr + w_base[:, None] + cols[None, :], inside[None, :], 0.0)
                higher_z = tl.maximum(top_z, tl.max(z, 1))
                shift_z = tl.where(higher_z == -float("inf"), 0.0, higher_z)
                decay, e = tl.exp(top_z - shift_z), tl.exp(z - shift_z[:, None])
                total_z = total_z * decay + tl.sum(e, 1)
                weighted = weighted * decay + tl.sum(w * e, 1)
                top_z = higher_z
            if BY == 4 or BY == 5:
                highest, at = tl.max(z, 1, return_indices=True)
                best = tl.where(highest > top_z, start + at.to(tl.int64), best)
                top_z = tl.maximum(top_z, highest)
        shift = tl.where(top == -float("inf"), 0.0, top)
        gap = top + tl.log(tl.where(total > 0.0, total, 1.0)) - own_a + margin
        omega = zero + 1.0
        if BY == 1:
            omega = tl.load(w_ptr + w_base + y)
        if BY == 2 or BY == 3:
            omega = weighted / total_z
        if BY == 4 or BY == 5:
            omega = tl.load(w_ptr + w_base + best)
    else:
        gap = tl.load(stats_ptr + row * 4)
        omega = tl.load(stats_ptr + row * 4 + 1)
        lead = zero

    n = softplus(gap)
    q_own, u_own = sigmoid(-gap), sigmoid(gap)
    phi, psi = n, zero + 1.0
    if BENT:
        phi, psi = focused(n, q_own, u_own, log_sigmoid(gap), gamma, poly)
    rate, b_own, b_other = zero, omega, zero
    if SMOOTHING:
        rate = tl.load(smoothing_ptr + y)
        b_other = omega * rate / n_classes
        b_own = omega * (1.0 - rate) + b_other
    reach = n - margin + own_a  # log Σ exp a over all classes, the margin of the target taken off
    slopes, cost, strength = b_own * psi, zero, 0.0
    if COSTS:
        strength = tl.load(lambda_ptr)

    # with costs, or focusing of every class, one more sum over q
    if VALUE:
        loss = b_own * phi
        if SMOOTHING and not BENT:
            # a class ruled out by −∞ has an infinite loss that a rate of 0 does not ask for
            loss = loss + tl.where(b_other > 0.0, b_other * ((n_classes - 1) * (n - margin) - lead), 0.0)
            slopes = omega
        if COSTS or (SMOOTHING and BENT):
            for start in range(0, last, BLOCK):
                cols = start + first
                if not WHOLE:
                    z, a = _block(
                        z_ptr, base, cols, stride_c, n_classes, y, own, scale_ptr, offset_ptr, offset_base, pairs_ptr,
                        kappa, SCALE, OFFSET, PAIRS, KAPPA, WIDE,
                    )  # fmt: skip
                other = (cols[None, :] != y[:, None]) & (cols < n_classes)[None, :]
                nll = tl.maximum(reach[:, None] - a, 0.0)
                q = tl.exp(-nll)
                if SMOOTHING and BENT:
                    u = complement_of(nll)
                    log_u = tl.where(u > 0.0, tl.log(tl.where(u > 0.0, u, 1.0)), -1e30)
                    phi_c, psi_c = focused(nll, q, u, log_u, gamma, poly)
                    phi_c = tl.where(other & (b_other > 0.0)[:, None], phi_c, 0.0)
                    loss = loss + b_other * tl.sum(phi_c, 1)
                    slopes = slopes + b_other * tl.sum(tl.where(other, psi_c, 0.0), 1)
                if COSTS:
                    m = tl.load(costs_ptr + y[:, None] * n_classes + cols[None, :], (cols < n_classes)[None, :], 0.0)
                    cost = cost + tl.sum(tl.where(other, m * q, 0.0), 1)
            if COSTS:
                cost = cost + tl.load(costs_ptr + y * n_classes + y) * q_own
                loss = loss + strength * cost
        nan = float("nan")
        tl.store(loss_ptr + row, tl.where(keep, tl.where(valid, loss, nan), 0.0), here)
        tl.store(weight_ptr + row, tl.where(keep, omega, 0.0), here)
        if not GRADIENT:
            tl.store(stats_ptr + row * 4, gap, here)
            tl.store(stats_ptr + row * 4 + 1, omega, here)
            tl.store(stats_ptr + row * 4 + 2, slopes, here)
            tl.store(stats_ptr + row * 4 + 3, cost, here)
    else:
        slopes = tl.load(stats_ptr + row * 4 + 2)
        cost = tl.load(stats_ptr + row * 4 + 3)

    if GRADIENT:
        factor = zero + 1.0
        if UPSTREAM:
            factor = tl.load(upstream_ptr + row).to(WIDE)
        g_base = (row // positions) * g_stride_n + (row % positions) * g_stride_k
        g_own = -b_own * psi * u_own
        if SMOOTHING:
            g_own = g_own + q_own * (slopes - b_own * psi)
        if COSTS:
            g_own = g_own + q_own * strength * (tl.load(costs_ptr + y * n_classes + y) - cost)
        for start in range(0, last, BLOCK):
            cols = start + first
            if not WHOLE:
                z, a = _block(
                    z_ptr, base, cols, stride_c, n_classes, y, own, scale_ptr, offset_ptr, offset_base, pairs_ptr,
                    kappa, SCALE, OFFSET, PAIRS, KAPPA, WIDE,
                )  # fmt: skip
            inside = cols < n_classes
            nll = (n - margin)[:, None] - (a - own_a[:, None])
            q = tl.exp(-nll)
            g = slopes[:, None] * q
            if SMOOTHING:
                if BENT:
                    nll = tl.maximum(nll, 0.0)
                    u = complement_of(nll)
                    log_u = tl.where(u > 0.0, tl.log(tl.where(u > 0.0, u, 1.0)), -1e30)
                    phi_c, psi_c = focused(nll, q, u, log_u, gamma, poly)
                    g = g - b_other[:, None] * psi_c
                else:
                    g = g - b_other[:, None]
            if COSTS:
                m = tl.load(costs_ptr + y[:, None] * n_classes + cols[None, :], inside[None, :], 0.0)
                g = g + q * (strength * (m - cost[:, None]))
            g = factor[:, None] * tl.where(cols[None, :] == y[:, None], g_own[:, None], g)
            if SCALE:
                g = tl.load(scale_ptr + cols, inside, 0.0)[None, :] * g
            g = tl.where(keep[:, None], g, 0.0)
            at = g_ptr + g_base[:, None] + cols[None, :].to(tl.int64) * g_stride_c
            tl.store(at, g.to(g_ptr.dtype.element_ty), inside[None, :] & here[:, None])


@triton.jit
def multiply(x_ptr, factor_ptr, n, BLOCK: tl.constexpr):
    """Multiply by a factor; by 1, the usual one, without reading what there is."""
    factor = tl.load(factor_ptr)
    if factor != 1.0:
        at = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
        x = tl.load(x_ptr + at, at < n, 0.0)
        tl.store(x_ptr + at, (factor * x.to(factor.dtype)).to(x_ptr.dtype.element_ty), at < n)


# --- launching ------------------------------------------------------------------------------------------------------


# how many classes there may be for a row to stay in registers, how many are taken at a time of a longer one, how many
# elements a tile of short rows has, and how many of them a thread: as far as the compiler for sm_90 needs no memory for
# registers (tests/kernels/triton_ahead.py)
_LOADS = {"light": (16384, 4096, 2048, 8), "heavy": (4096, 4096, 2048, 8), "double": (1024, 1024, 512, 2)}


def tile(n_classes: int, load: str = "light") -> dict[str, Any]:
    """Return the shape of a program's work: rows at once, classes at once, and the warps that do it."""
    whole, part, elements, share = _LOADS[load]
    if n_classes > whole:
        return {"ROWS": 1, "BLOCK": part, "WHOLE": False, "num_warps": 8 if load == "heavy" else 16}
    block = triton.next_power_of_2(n_classes)
    rows = max(1, min(elements // block, 64))
    return {"ROWS": rows, "BLOCK": block, "WHOLE": True, "num_warps": max(1, min(16, rows * block // (32 * share)))}


def load(p: Parameters, weight_by: str, dtype: torch.dtype) -> str:
    """Return how many numbers of a class are in registers at once, in words."""
    if dtype == torch.float64:
        return "double"
    bent = p.gamma is not None or p.poly_coefficient is not None
    smooth, sums = p.label_smoothing is not None and bent, p.class_weight is not None and weight_by != "target"
    return "heavy" if smooth or sums or p.cost_matrix is not None else "light"


def flags(p: Parameters, weight_by: str) -> dict[str, Any]:
    """Return what a kernel is specialised for: which parameters are present."""
    return {
        "BY": 0 if p.class_weight is None else _BY[weight_by],
        "SCALE": p.logit_scale is not None,
        "OFFSET": p.logit_offset is not None,
        "MARGIN": p.margin is not None,
        "PAIRS": p.pairwise_offset is not None,
        "SMOOTHING": p.label_smoothing is not None,
        "COSTS": p.cost_matrix is not None,
        "BENT": p.gamma is not None or p.poly_coefficient is not None,
        "GAMMA": p.gamma is not None,
        "POLY": p.poly_coefficient is not None,
        "KAPPA": p.compensation is not None,
    }


def _every_class(v: Tensor | None, n_classes: int, like: Tensor) -> Tensor:
    """Return a parameter at full shape; anything at all where it is absent."""
    return like if v is None else v.expand(n_classes).contiguous() if v.ndim < 2 else v.contiguous()


def _launch(
    z: Tensor,
    g: Tensor | None,
    y: Tensor,
    loss: Tensor | None,
    weight: Tensor | None,
    stats: Tensor | None,
    upstream: Tensor | None,
    p: Parameters,
    weight_by: str,
    ignore_index: int | None,
    rows_of_a_weight: int,
) -> None:
    n, n_classes = z.shape[:2]
    positions = z.shape[2] if z.ndim == 3 else 1
    rows = n * positions
    if rows == 0:
        return
    wide = torch.float64 if z.dtype == torch.float64 else torch.float32
    cast = [None if v is None else v.to(wide) for v in p]
    p = Parameters(*cast)
    # absent pointers are never followed: any tensor will do
    w, offset = p.class_weight, p.logit_offset
    out = z if g is None else g
    strides = (
        *z.stride()[:2],
        z.stride(2) if z.ndim == 3 else 0,
        *out.stride()[:2],
        out.stride(2) if z.ndim == 3 else 0,
    )
    by_row = w is not None and w.ndim == 2 and not weight_by.startswith("pair")
    arrays = [_every_class(v, n_classes, z) for v in p[:7]]
    tiles = tile(n_classes, load(p, weight_by, z.dtype))
    with _device_of(z):
        softmax_rows[(triton.cdiv(rows, tiles["ROWS"]),)](
            z, out, y, *(z if t is None else t for t in (loss, weight, stats, upstream)),
            *arrays[:5], arrays[6], z if p.cost_matrix is None else p.cost_matrix,
            *(z if v is None else v for v in (p.gamma, p.poly_coefficient, p.compensation, p.cost_coefficient)),
            rows, n_classes, positions, *strides,
            n_classes if by_row else 0, rows_of_a_weight * positions if by_row else 1,
            n_classes if offset is not None and offset.ndim == 2 else 0, positions,
            0 if ignore_index is None else ignore_index,
            VALUE=loss is not None, GRADIENT=g is not None, UPSTREAM=upstream is not None,
            IGNORE=ignore_index is not None, WIDE=tl.float64 if wide == torch.float64 else tl.float32,
            **flags(p, weight_by), **tiles, **_FUSED,
        )  # fmt: skip


# said, because Triton is about to change its default; 1 + x − 1 and the like stand alone and are not contracted
_FUSED: dict[str, Any] = {"enable_fp_fusion": True}


def _device_of(z: Tensor) -> Any:
    return torch.cuda.device(z.device) if z.is_cuda else nullcontext()


def _new(z: Tensor, *behind: int) -> Tensor:
    rows = z.shape[0] * (z.shape[2] if z.ndim == 3 else 1)
    return z.new_empty((rows, *behind), dtype=torch.float64 if z.dtype == torch.float64 else torch.float32)


def value(
    z: Tensor, y: Tensor, p: Parameters, weight_by: str, ignore_index: int | None = None, rows_of_a_weight: int = 1
) -> tuple[Tensor, Tensor, Tensor]:
    """Return ω·ℓ and ω of every row, and what `gradient` needs besides the logits.

    Parameters
    ----------
    z : tensor (n, n_classes) or (n, n_classes, positions)
        Logits on the GPU, any strides.
    y : integer tensor (n,) or (n, positions), contiguous
        Targets.
    p : Parameters
        Tensors of any floating dtype on the same device, None where absent.
    weight_by : str
        As in the loss.
    ignore_index : int, optional
        Target of rows that do not count: 0 and 0, whatever they hold.
    rows_of_a_weight : int, default 1
        How many of the n rows in turn a row of class weights (batch, n_classes) stands for.

    Returns
    -------
    tuple of tensors (n · positions,), (n · positions,) and (n · positions, 4)
        Float32, or float64 for float64. A target that is no class gives NaN.
    """
    loss, weight, stats = _new(z), _new(z), _new(z, 4)
    _launch(z, None, y, loss, weight, stats, None, p, weight_by, ignore_index, rows_of_a_weight)
    return loss, weight, stats


def gradient(
    z: Tensor,
    y: Tensor,
    stats: Tensor,
    upstream: Tensor | None,
    p: Parameters,
    weight_by: str,
    ignore_index: int | None = None,
    rows_of_a_weight: int = 1,
) -> Tensor:
    """Return upstream · ∂(ω·ℓ)/∂z of every row, shaped and laid out like the logits and of their dtype."""
    g = torch.empty_like(z)
    _launch(z, g, y, None, None, stats, upstream, p, weight_by, ignore_index, rows_of_a_weight)
    return g


def value_and_gradient(
    z: Tensor,
    y: Tensor,
    scale: Tensor | None,
    p: Parameters,
    weight_by: str,
    ignore_index: int | None = None,
    rows_of_a_weight: int = 1,
    out: Tensor | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return ω·ℓ and ω of every row, and scale · ∂(ω·ℓ)/∂z: logits read once, the gradient written once.

    Parameters
    ----------
    scale : tensor (n · positions,), optional
        Multiplies the gradient of each row.
    out : tensor like `z`, of any floating dtype, optional
        Where the gradient goes: `z` itself puts it in place of the logits.
    """
    loss, weight, g = _new(z), _new(z), torch.empty_like(z) if out is None else out
    _launch(z, g, y, loss, weight, None, scale, p, weight_by, ignore_index, rows_of_a_weight)
    return loss, weight, g


def multiply_(x: Tensor, factor: Tensor) -> Tensor:
    """Multiply a tensor by a scalar tensor, in place, and return it; the host does not look at the scalar."""
    if not x.is_contiguous():
        return x.mul_(factor)
    n = x.numel()
    if n:
        number = factor.to(torch.float64 if x.dtype == torch.float64 else torch.float32)
        with _device_of(x):
            multiply[(triton.cdiv(n, 4096),)](x, number, n, BLOCK=4096, num_warps=8, **_FUSED)
    return x
