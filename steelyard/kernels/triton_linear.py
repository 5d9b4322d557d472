"""The linear form in Triton: plain matrix products around one kernel, the logits never stored.

With c a rough reference of each row and F = Δ∘exp(a − c), the whole family (docs/decisions/0017-gpu-kernels.md) is

    G  = diag(α) F − r Δᵀ          F[i, y_i] so chosen that G[i, y_i] is the target's gradient
    dX = diag(α) F W − r (ΔᵀW)     dW = Fᵀ diag(α) X − Δ (rᵀX)     db = Fᵀα − Δ Σ r

Class weights, sample weights, focusing, smoothing, margins and the upstream gradient are in the row scalars α and r and
in one entry per row; scales and offsets are in the epilogue of the first product. So the family moves no more data than
plain cross-entropy: F is written once, in 16 bits, and read twice.

c is the logit of the target, known before the product. Where a row turns out to lie more than 60 above it, its tiles
are computed again from its own maximum; whether that is so is decided on the device.
"""

from __future__ import annotations

from contextlib import nullcontext
from typing import NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor
from triton.tools.tensor_descriptor import TensorDescriptor

from steelyard.kernels.triton_rows import focused, log_sigmoid, sigmoid, softplus
from steelyard.losses._softmax import Parameters

__all__ = ["Parts", "can", "exponentials", "parts"]

ROWS, COLUMNS, DEPTH = 128, 256, 64  # of a tile
_WARPS, _STAGES = 8, 3
_GLUED = 128  # rows that a program of the row kernels takes
_FAR = 60.0  # e⁶⁰ times 10⁶ classes is finite in float32 and bfloat16, with room


class Parts(NamedTuple):
    """What a chunk's gradients are made of."""

    loss: Tensor  # (n,) ω·ℓ
    weight: Tensor  # (n,) ω
    f: Tensor  # (n, c)
    alpha: Tensor  # (n,)
    r: Tensor | None  # (n,)


def can(p: Parameters, weight_by: str, hidden: Tensor, classes: int) -> str | None:
    """Return why a call is not for these kernels, or None where it is."""
    if hidden.dtype != torch.bfloat16:
        return "exponentials have the range of bfloat16; other products are cuBLAS's own"
    if hidden.shape[1] % 8 or classes < 2:
        return "the width is not a multiple of 8"
    for name in ("pairwise_offset", "cost_matrix", "compensation"):
        if getattr(p, name) is not None:
            return f"`{name}` gives every entry of a row a number of its own"
    if p.class_weight is not None and weight_by != "target":
        return "weights by prediction need the sum of all probabilities first"
    if p.label_smoothing is not None and (p.gamma is not None or p.poly_coefficient is not None):
        return "focusing of every class is no multiple of its exponential"
    return None


@triton.jit
def own_logits(
    x_ptr, w_ptr, y_ptr, scale_ptr, shift_ptr, own_ptr,
    n_classes, width, x_stride, w_stride, ignore_index,
    IGNORE: tl.constexpr, SCALE: tl.constexpr, SHIFT: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Compute the adjusted logit of the target of one row, from its own row of W, in float32."""
    row = tl.program_id(0).to(tl.int64)
    y = tl.load(y_ptr + row).to(tl.int64)
    if IGNORE:
        y = tl.where(y == ignore_index, 0, y)
    y = tl.where((y >= 0) & (y < n_classes), y, 0)
    total = tl.zeros((BLOCK,), tl.float32)
    for start in range(0, width, BLOCK):
        k = start + tl.arange(0, BLOCK)
        x = tl.load(x_ptr + row * x_stride + k, k < width, 0.0).to(tl.float32)
        total += x * tl.load(w_ptr + y * w_stride + k, k < width, 0.0).to(tl.float32)
    own = tl.sum(total, 0)
    if SCALE:
        own *= tl.load(scale_ptr + y)
    if SHIFT:
        own += tl.load(shift_ptr + y)
    tl.store(own_ptr + row, own)


@triton.jit
def _quarter(
    acc, f_desc, scale_ptr, shift_ptr, sums_ptr, tops_ptr, leads_ptr, y, keep, c, rows, part, first_row, first,
    n_rows, n_classes,
    SCALE: tl.constexpr, SHIFT: tl.constexpr, SMOOTHING: tl.constexpr, WIDTH: tl.constexpr,
    DTYPE: tl.constexpr,
):  # fmt: skip
    """Epilogue of a quarter of a tile's columns: exponentials out, their sum and the largest logit of each row."""
    cols = first + tl.arange(0, WIDTH)
    inside = cols < n_classes
    scale = 1.0
    a = acc
    if SCALE:
        scale = tl.load(scale_ptr + cols, inside, 0.0)[None, :]
        a = a * scale
    if SHIFT:
        a = a + tl.load(shift_ptr + cols, inside, 0.0)[None, :]
    counts = inside[None, :] & (cols[None, :] != y[:, None]) & keep[:, None]
    a = tl.where(counts, a - c[:, None], -float("inf"))
    e = tl.exp(tl.minimum(a, 80.0))  # beyond, the row is computed again
    here = rows < n_rows
    if SMOOTHING:
        tl.store(leads_ptr + part * n_rows + rows, tl.sum(tl.where(counts, a, 0.0), 1), here)
    tl.store(sums_ptr + part * n_rows + rows, tl.sum(e, 1), here)
    tl.store(tops_ptr + part * n_rows + rows, tl.max(a, 1), here)
    f_desc.store([first_row, first], tl.where(counts, e * scale, 0.0).to(DTYPE))


@triton.jit
def exponentials(
    x_desc, w_desc, f_desc, y_ptr, c_ptr, scale_ptr, shift_ptr, sums_ptr, tops_ptr, leads_ptr, far_ptr,
    n_rows, n_classes, width, ignore_index, programs,
    AGAIN: tl.constexpr, IGNORE: tl.constexpr, SCALE: tl.constexpr, SHIFT: tl.constexpr,
    SMOOTHING: tl.constexpr, BM: tl.constexpr, BN: tl.constexpr, BK: tl.constexpr, DTYPE: tl.constexpr,
):  # fmt: skip
    """F = Δ∘exp(Δ X Wᵀ + shift − c) with 0 at the target; row sums without Δ and row maxima by quarters of tiles."""
    down = tl.cdiv(n_rows, BM)
    # down the rows first: a block of W is read once from memory, the chunk of X stays in the cache
    for tile in range(tl.program_id(0), down * tl.cdiv(n_classes, BN), programs):
        first_row, part = (tile % down) * BM, tile // down
        wanted = True
        if AGAIN:
            wanted = tl.load(far_ptr + tile % down) != 0
        if wanted:
            acc = tl.zeros((BM, BN), tl.float32)
            for k in range(0, width, BK):
                acc = tl.dot(x_desc.load([first_row, k]), w_desc.load([part * BN, k]).T, acc, input_precision="ieee")
            rows = first_row + tl.arange(0, BM)
            c = tl.load(c_ptr + rows, rows < n_rows, 0.0)
            y = tl.load(y_ptr + rows, rows < n_rows, 0)
            keep = rows < n_rows
            if IGNORE:
                keep = keep & (y != ignore_index)
            # a quarter of the columns at a time, so that accumulator and epilogue fit into registers together
            left, right = tl.split(tl.permute(tl.reshape(acc, (BM, 2, BN // 2)), (0, 2, 1)))
            first, second = tl.split(tl.permute(tl.reshape(left, (BM, 2, BN // 4)), (0, 2, 1)))
            third, fourth = tl.split(tl.permute(tl.reshape(right, (BM, 2, BN // 4)), (0, 2, 1)))
            for quarter in tl.static_range(4):
                if quarter == 0:
                    some = first
                elif quarter == 1:
                    some = second
                elif quarter == 2:
                    some = third
                else:
                    some = fourth
                _quarter(
                    some, f_desc, scale_ptr, shift_ptr, sums_ptr, tops_ptr, leads_ptr, y, keep, c, rows,
                    4 * part + quarter, first_row, part * BN + quarter * (BN // 4), n_rows, n_classes,
                    SCALE, SHIFT, SMOOTHING, BN // 4, DTYPE,
                )  # fmt: skip


@triton.jit
def references(c_ptr, tops_ptr, far_ptr, n_rows, parts, BM: tl.constexpr, FAR: tl.constexpr):
    """Move the reference of rows that lie far above it to their maximum, and say so for their block."""
    rows = tl.program_id(0) * BM + tl.arange(0, BM)
    here = rows < n_rows
    top = tl.zeros((BM,), tl.float32) - float("inf")
    for part in range(parts):
        top = tl.maximum(top, tl.load(tops_ptr + part * n_rows + rows, here, -float("inf")))
    c = tl.load(c_ptr + rows, here, 0.0)
    far = top > FAR
    tl.store(c_ptr + rows, tl.where(far & (top < float("inf")), c + top, c), here)
    tl.store(far_ptr + tl.program_id(0), tl.max(far.to(tl.int32), 0))


@triton.jit
def glue(
    y_ptr, own_ptr, c_ptr, sums_ptr, leads_ptr, f_ptr, factor_ptr, loss_ptr, weight_ptr, alpha_ptr, r_ptr,
    w_ptr, scale_ptr, margin_ptr, smoothing_ptr, gamma_ptr, poly_ptr,
    n_rows, n_classes, parts, f_stride, w_stride, w_rows, first_row, ignore_index,
    IGNORE: tl.constexpr, FACTOR: tl.constexpr, WEIGHT: tl.constexpr, SCALE: tl.constexpr, MARGIN: tl.constexpr,
    SMOOTHING: tl.constexpr, BENT: tl.constexpr, GAMMA: tl.constexpr, POLY: tl.constexpr, BM: tl.constexpr,
):  # fmt: skip
    """Loss, weight, α and r of each row from its sums, and the target's entry of F."""
    rows = tl.program_id(0) * BM + tl.arange(0, BM)
    here = rows < n_rows
    y = tl.load(y_ptr + rows, here, 0).to(tl.int64)
    keep = here
    if IGNORE:
        keep = keep & (y != ignore_index)
        y = tl.where(keep, y, 0)
    valid = (y >= 0) & (y < n_classes)
    y = tl.where(valid, y, 0)
    total = tl.zeros((BM,), tl.float32)
    lead = tl.zeros((BM,), tl.float32)
    for part in range(parts):
        total += tl.load(sums_ptr + part * n_rows + rows, here, 0.0)
        if SMOOTHING:
            lead += tl.load(leads_ptr + part * n_rows + rows, here, 0.0)
    own, c = tl.load(own_ptr + rows, here, 0.0), tl.load(c_ptr + rows, here, 0.0)
    gamma, poly = 0.0, 0.0
    if GAMMA:
        gamma = tl.load(gamma_ptr)
    if POLY:
        poly = tl.load(poly_ptr)
    margin = tl.zeros((BM,), tl.float32)
    if MARGIN:
        margin = tl.load(margin_ptr + y)
    # of sums that underflow nothing is left but that the loss is below e⁻⁸⁷
    gap = tl.log(tl.maximum(total, 1.1754943508222875e-38)) + (c - own) + margin
    gap = tl.where(total == total, gap, total)
    omega = tl.zeros((BM,), tl.float32) + 1.0
    if WEIGHT:
        omega = tl.load(w_ptr + ((first_row + rows) // w_rows).to(tl.int64) * w_stride + y)
    n, q_own, u_own = softplus(gap), sigmoid(-gap), sigmoid(gap)
    phi, psi = n, tl.zeros((BM,), tl.float32) + 1.0
    if BENT:
        phi, psi = focused(n, q_own, u_own, log_sigmoid(gap), gamma, poly)
    loss, slopes, g_own = omega * phi, omega * psi, -omega * psi * u_own
    b_other = tl.zeros((BM,), tl.float32)
    if SMOOTHING:
        rate = tl.load(smoothing_ptr + y)
        b_other = omega * rate / n_classes
        b_own = omega * (1.0 - rate) + b_other
        slopes = omega
        # Σ −log q over the other classes; one that −∞ rules out has an infinite loss that a rate of 0 does not ask for
        others = (n_classes - 1) * (n - margin - (c - own)) - lead
        loss = b_own * n + tl.where(b_other > 0.0, b_other * others, 0.0)
        g_own = q_own * (omega - b_own) - u_own * b_own
    alpha = slopes * tl.exp((c - own) + margin - n)  # c − log Σ exp a
    entry = tl.where(alpha > 0.0, (g_own + b_other) / tl.where(alpha > 0.0, alpha, 1.0), 0.0)
    if SCALE:
        entry = entry * tl.load(scale_ptr + y)
    factor = tl.zeros((BM,), tl.float32) + 1.0
    if FACTOR:
        factor = tl.load(factor_ptr + rows, here, 0.0)
    nan = float("nan")
    tl.store(loss_ptr + rows, tl.where(keep, tl.where(valid, loss, nan), 0.0), here)
    tl.store(weight_ptr + rows, tl.where(keep, omega, 0.0), here)
    tl.store(alpha_ptr + rows, tl.where(keep, factor * alpha, 0.0), here)
    if SMOOTHING:
        tl.store(r_ptr + rows, tl.where(keep, factor * b_other, 0.0), here)
    at = f_ptr + rows.to(tl.int64) * f_stride + y
    tl.store(at, tl.where(keep, entry, 0.0).to(f_ptr.dtype.element_ty), here)


# --- launching ------------------------------------------------------------------------------------------------------


def room(rows: int, classes: int, dtype: torch.dtype) -> int:
    """Return the bytes that `parts` takes for so many rows."""
    quarters = 4 * triton.cdiv(classes, COLUMNS)
    return int(rows * (triton.cdiv(classes, 8) * 8 * dtype.itemsize + 12 * quarters))


def _described(x: Tensor, block: list[int]) -> TensorDescriptor:
    return TensorDescriptor(x, list(x.shape), list(x.stride()), block)


def parts(
    hidden: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    y: Tensor,
    p: Parameters,
    factor: Tensor | None,
    ignore_index: int | None,
    first_row: int,
    rows_of_a_weight: int,
    tile: tuple[int, int, int] = (ROWS, COLUMNS, DEPTH),
    programs: int | None = None,
) -> Parts:
    """Return what the gradients of one chunk are made of.

    Parameters
    ----------
    hidden, weight : tensors (n, d) and (c, d) of one dtype, contiguous, d a multiple of 8
    bias : float32 tensor (c,), optional
    y : integer tensor (n,)
    p : Parameters
        For which `can` has nothing to say, as float32.
    factor : float32 tensor (n,), optional
        Multiplies the gradient of each row.
    first_row, rows_of_a_weight : int
        Where the chunk begins, and how many rows a row of class weights (batch, c) stands for.
    tile, programs
        Of the product, for tests.
    """
    (n, width), classes = hidden.shape, weight.shape[0]
    bm, bn, bk = tile
    quarters = 4 * triton.cdiv(classes, bn)
    number = {"device": hidden.device, "dtype": torch.float32}
    own, loss, omega, alpha = (torch.empty(n, **number) for _ in range(4))
    sums, tops = torch.empty((quarters, n), **number), torch.empty((quarters, n), **number)
    far = torch.empty(triton.cdiv(n, bm), device=hidden.device, dtype=torch.int32)
    # descriptors want rows that begin at multiples of 16 bytes
    padded = torch.empty((n, triton.cdiv(classes, 8) * 8), device=hidden.device, dtype=hidden.dtype)
    f = padded[:, :classes]
    scale, offset, margin, rate = (
        v if v is None else v.expand(classes).contiguous()
        for v in (p.logit_scale, p.logit_offset, p.margin, p.label_smoothing)
    )
    r = None if rate is None else torch.empty(n, **number)
    leads = sums if rate is None else torch.empty_like(sums)
    by_row = p.class_weight is not None and p.class_weight.ndim == 2
    ignored = {"ignore_index": 0 if ignore_index is None else ignore_index, "IGNORE": ignore_index is not None}
    # Δ (z + b) + ι = Δ z + (Δ b + ι): one vector less in the registers of the epilogue
    shift = offset if bias is None else bias if scale is None else bias * scale
    shift = shift if bias is None or offset is None else shift + offset
    flags = {"SCALE": scale is not None, "SHIFT": shift is not None}
    smoothed = {"SMOOTHING": rate is not None}
    scale_, shift_ = (own if v is None else v for v in (scale, shift))
    dtype = {torch.bfloat16: tl.bfloat16, torch.float32: tl.float32}[hidden.dtype]
    if programs is None:
        programs = torch.cuda.get_device_properties(hidden.device).multi_processor_count if hidden.is_cuda else 2
    with torch.cuda.device(hidden.device) if hidden.is_cuda else nullcontext():
        own_logits[(n,)](
            hidden, weight, y, scale_, shift_, own, classes, width, hidden.stride(0), weight.stride(0),
            **ignored, **flags, BLOCK=min(1024, triton.next_power_of_2(width)), enable_fp_fusion=True,
        )  # fmt: skip
        c = own.clone()
        described = (_described(hidden, [bm, bk]), _described(weight, [bn, bk]), _described(padded, [bm, bn // 4]))
        for again in (False, True):
            exponentials[(programs,)](
                *described, y, c, scale_, shift_, sums, tops, leads, far, n, classes, width, programs=programs,
                **ignored, **flags, **smoothed, AGAIN=again, BM=bm, BN=bn, BK=bk, DTYPE=dtype,
                num_warps=_WARPS, num_stages=_STAGES, enable_fp_fusion=True,
            )  # fmt: skip
            if not again:
                references[(len(far),)](c, tops, far, n, quarters, BM=bm, FAR=_FAR)
        glue[(triton.cdiv(n, _GLUED),)](
            y, own, c, sums, leads, padded, own if factor is None else factor, loss, omega, alpha,
            own if r is None else r,
            *(own if v is None else v for v in (p.class_weight, scale, margin, rate, p.gamma, p.poly_coefficient)),
            n, classes, quarters, padded.stride(0), classes if by_row else 0, rows_of_a_weight if by_row else 1,
            first_row,
            **ignored, FACTOR=factor is not None, WEIGHT=p.class_weight is not None, SCALE=scale is not None,
            MARGIN=margin is not None, **smoothed,
            BENT=p.gamma is not None or p.poly_coefficient is not None, GAMMA=p.gamma is not None,
            POLY=p.poly_coefficient is not None, BM=_GLUED, enable_fp_fusion=True,
        )  # fmt: skip
    return Parts(loss, omega, f, alpha, r)
