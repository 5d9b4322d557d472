"""The Triton kernels against float64: on a GPU where there is one, else in Triton's interpreter.

Not collected by itself, because whether Triton interprets is settled when it is imported: `test_triton.py` runs this
file in a process of its own. On a GPU: CUDA_VISIBLE_DEVICES=0 pytest -n 0 tests/kernels/triton_conformance.py
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import pytest
import torch

INTERPRETED = not torch.cuda.is_available()
if INTERPRETED and os.environ.get("TRITON_INTERPRET") != "1":
    raise RuntimeError("without a GPU this file needs TRITON_INTERPRET=1 in the environment")

import steelyard as sy
from steelyard._ops import torch as xp
from steelyard.errors import InputError
from steelyard.kernels import torch_rows, triton_linear, triton_softmax, triton_sweep
from steelyard.kernels.torch_chunks import Call, Wanted
from steelyard.losses._softmax import Parameters
from tests.conformance.points import WEIGHT_BY, random_softmax_point, softmax_point
from tests.losses import reference

DEVICE = "cpu" if INTERPRETED else "cuda"


def on(x: Any, dtype: torch.dtype | None = None) -> torch.Tensor:
    return torch.tensor(np.asarray(x), device=DEVICE, dtype=dtype)


def numbers(loss: Any, dtype: torch.dtype = torch.float64) -> Parameters:
    return Parameters(*(None if v is None else on(v, dtype) for v in loss.parameters.values()))


def drawn(n: int, c: int, seed: int = 0, spread: float = 2.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.normal(0.0, spread, (n, c)), rng.integers(0, c, n), rng.uniform(0.1, 2.0, n)


def check_rows(loss: Any, z: np.ndarray, y: np.ndarray, u: np.ndarray, dtype: torch.dtype, rtol: float) -> None:
    """Value and gradient, apart and in one pass, against the loops of tests.losses.reference."""
    logits = on(z, dtype)
    want = reference.expected(loss.to_dict(), logits.double().cpu().numpy(), y)
    wide = torch.float64 if dtype == torch.float64 else torch.float32
    p, targets, upstream = numbers(loss, wide), on(y), on(u, wide)
    settings = (p, loss.weight_by, loss.ignore_index)
    value, weight, stats = triton_softmax.value(logits, targets, *settings)
    g = triton_softmax.gradient(logits, targets, stats, upstream, *settings)
    once, _, g_once = triton_softmax.value_and_gradient(logits, targets, upstream, *settings)
    size = 1.0 + want.largest_logit
    for got in (value, once):
        np.testing.assert_allclose(got.double().cpu(), want.loss, rtol=rtol * size, atol=rtol * size)
    np.testing.assert_allclose(weight.double().cpu(), want.weight, rtol=10 * rtol * size)
    rounding = torch.finfo(dtype).eps if dtype in (torch.bfloat16, torch.float16) else 0.0
    for got in (g, g_once):
        off = np.abs(got.double().cpu().numpy() - u[:, None] * want.gradient)
        allowed = rtol * size * (1.0 + want.scale) + rounding * np.abs(want.gradient)
        assert (off <= allowed * (1.0 + u[:, None])).all(), off.max()


# --- the logits form --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("weight_by", WEIGHT_BY)
def test_every_parameter_at_once(weight_by: str) -> None:
    check_rows(softmax_point(weight_by), *drawn(9, 4), torch.float64, 1e-13)


@pytest.mark.parametrize("seed", range(6))
def test_random_points(seed: int) -> None:
    loss = random_softmax_point(np.random.default_rng(seed))
    check_rows(loss, *drawn(7, 4, seed), torch.float64, 1e-13)


@pytest.mark.parametrize("weight_by", ["target", "prediction", "pair_hard"])
def test_rows_longer_than_a_block(weight_by: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(triton_softmax._LOADS, "double", (2, 2, 512, 2))
    check_rows(softmax_point(weight_by), *drawn(5, 4), torch.float64, 1e-13)
    rng = np.random.default_rng(0)
    plain = sy.losses.logit_adjusted(rng.integers(1, 90, 11), gamma=1.5, class_weight=rng.uniform(0.5, 2.0, 11))
    check_rows(plain, *drawn(5, 11), torch.float64, 1e-13)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_dtypes(dtype: torch.dtype) -> None:
    # the interpreter truncates where bfloat16 is stored: one unit instead of half a one
    check_rows(softmax_point("target"), *drawn(9, 4), dtype, 1e-6)


@pytest.mark.parametrize("gap", [5.0, 15.0, 30.0, 80.0])
def test_small_losses_and_their_gradients_are_exact_in_float32(gap: float) -> None:
    z = torch.zeros((1, 1000), device=DEVICE)
    z[0, 3] = gap
    exact = np.log1p(999.0 * np.exp(-gap))
    value, _, stats = triton_softmax.value(z, on([3]), Parameters(), "target")
    g = triton_softmax.gradient(z, on([3]), stats, None, Parameters(), "target")
    tolerance = 1e-6 if INTERPRETED else 1e-5  # the exponential of a GPU is off by gap · 2⁻²⁴
    assert value.item() == pytest.approx(exact, rel=tolerance)
    assert g[0, 3].item() == pytest.approx(np.expm1(-exact), rel=tolerance)


@pytest.mark.parametrize("size", [1e2, 1e4])
@pytest.mark.parametrize("gamma", [0.0, 0.3, 5.0])
def test_extreme_logits_are_finite_and_not_dead(size: float, gamma: float) -> None:
    z = on([[size, 0.0, -size], [-size, 0.0, size]], torch.float32)
    loss = sy.losses.focal(gamma=gamma)
    value, _, g = triton_softmax.value_and_gradient(z, on([0, 0]), None, numbers(loss, torch.float32), "target")
    assert torch.isfinite(value).all()
    assert torch.isfinite(g).all()
    assert value[1].item() == pytest.approx(2.0 * size, rel=1e-6)
    assert g[1, 0].item() == pytest.approx(-1.0, rel=1e-6)


def test_ignored_rows_may_hold_nan_and_a_target_that_is_no_class_shows() -> None:
    z, y, u = drawn(6, 4)
    z[2] = np.nan
    loss = softmax_point("target")
    y[2], y[4] = -100, 7
    value, weight, g = triton_softmax.value_and_gradient(on(z), on(y), on(u), numbers(loss), "target", -100)
    assert value[2].item() == weight[2].item() == 0.0
    assert (g[2] == 0.0).all()
    assert torch.isnan(value).nonzero().flatten().tolist() == [4]


def test_in_place_is_the_same_gradient() -> None:
    z, y, u = (on(v) for v in drawn(6, 4))
    p = numbers(softmax_point("target"))
    _, _, g = triton_softmax.value_and_gradient(z, y, u, p, "target")
    storage = z.clone()
    triton_softmax.value_and_gradient(storage, y, u, p, "target", out=storage)
    assert torch.equal(storage, g)


@pytest.mark.parametrize(("shape", "axis"), [((6, 4), 1), ((3, 4, 5), 1), ((2, 3, 4), -1), ((2, 4, 3, 2), 1)])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_the_call_is_that_of_the_formula(shape: tuple[int, ...], axis: int, reduction: str) -> None:
    rng = np.random.default_rng(0)
    loss = softmax_point("prediction", ignore_index=-1, reduction=reduction)
    z = on(rng.normal(size=shape)).requires_grad_()
    sizes = tuple(v for i, v in enumerate(shape) if i != axis % len(shape))
    y, s, w = on(rng.integers(-1, 4, sizes)), on(rng.uniform(0.1, 2.0, shape[0])), on(rng.uniform(0.5, 2.0, 4))
    values = loss._constants(xp, z)
    for settings in ({}, {"class_weight": w}, {"denominator": "rows"}, {"denominator": 7.0}):
        given = {"class_weight": None, "denominator": None, **settings}
        ours = torch_rows.evaluate(loss, values, z, y, s, **given, class_axis=axis)
        want = loss(z, y, s, class_axis=axis, **settings)
        assert torch.allclose(ours, want, rtol=1e-12)
        u = torch.ones_like(want)
        assert torch.allclose(*(torch.autograd.grad(v, z, u)[0] for v in (ours, want)), rtol=1e-10, atol=1e-14)


def test_class_weights_by_row() -> None:
    rng = np.random.default_rng(0)
    loss, w = sy.losses.focal(), on(rng.uniform(0.5, 2.0, (2, 4)))
    for shape, axis, sizes in (((2, 3, 4), -1, (2, 3)), ((2, 4, 3), 1, (2, 3))):
        z, y = on(rng.normal(size=shape)), on(rng.integers(0, 4, sizes))
        ours = torch_rows.evaluate(loss, loss._constants(xp, z), z, y, None, w, None, axis)
        assert ours.item() == pytest.approx(loss(z, y, class_weight=w, class_axis=axis).item(), rel=1e-12)


def test_the_whole_call_in_place() -> None:
    rng = np.random.default_rng(0)
    x, w = on(rng.normal(size=(6, 5))).requires_grad_(), on(rng.normal(size=(5, 4))).requires_grad_()
    y, s = on([0, 1, -1, 3, 2, 1]), on(rng.uniform(0.1, 2.0, 6))
    loss = softmax_point("target", ignore_index=-1)
    z = x @ w
    ours = torch_rows.evaluate(loss, loss._constants(xp, z), z, y, s, None, None, 1, in_place=True)
    want = loss(x @ w, y, s)
    assert ours.item() == pytest.approx(want.item(), rel=1e-12)
    got = torch.autograd.grad(3.0 * ours, (x, w), retain_graph=True)
    for a, b in zip(got, torch.autograd.grad(3.0 * want, (x, w)), strict=True):
        assert torch.allclose(a, b, rtol=1e-10, atol=1e-14)
    with pytest.raises(InputError, match="a second one"):
        torch.autograd.grad(ours, x)
    for changes, message in (({"reduction": "none"}, "in place"), ({"weight_by": "prediction"}, "by target")):
        other = loss.replace(**changes)
        with pytest.raises(InputError, match=message):
            torch_rows.evaluate(other, other._constants(xp, z), x @ w, y, s, None, None, 1, in_place=True)
    leaf = on(rng.normal(size=(6, 4))).requires_grad_()
    with pytest.raises(InputError, match="leaf"):
        torch_rows.evaluate(loss, loss._constants(xp, z), leaf, y, s, None, None, 1, in_place=True)


def test_gradients_twice_and_a_compiled_graph() -> None:
    loss = softmax_point("target", compensation=0.0)
    z, y, _ = drawn(3, 4)
    z, y = on(z).requires_grad_(), on(y)
    values = loss._constants(xp, z)

    def call(z: torch.Tensor) -> torch.Tensor:
        return torch_rows.evaluate(loss, values, z, y, None, None, None, 1)

    assert torch.autograd.gradcheck(call, z)
    assert torch.autograd.gradgradcheck(call, z)
    compiled = torch.compile(call, fullgraph=True, backend="aot_eager")(z)
    want = loss(z, y)
    assert compiled.item() == pytest.approx(want.item(), rel=1e-12)
    assert torch.allclose(*(torch.autograd.grad(v, z)[0] for v in (compiled, want)), rtol=1e-10)


# --- the linear form --------------------------------------------------------------------------------------------

_C = 45
_RNG = np.random.default_rng(3)
LINEAR = {
    "cross-entropy": sy.losses.cross_entropy(),
    "everything but smoothing": sy.losses.SoftmaxCrossEntropy(
        class_weight=_RNG.uniform(0.5, 2.0, _C),
        logit_scale=_RNG.uniform(0.5, 1.5, _C),
        logit_offset=_RNG.normal(size=_C),
        margin=_RNG.uniform(0.0, 1.0, _C),
        gamma=1.5,
        poly_coefficient=0.7,
        ignore_index=-1,
    ),
    "everything but focusing": sy.losses.SoftmaxCrossEntropy(
        class_weight=_RNG.uniform(0.5, 2.0, _C),
        logit_scale=_RNG.uniform(0.5, 1.5, _C),
        logit_offset=_RNG.normal(size=_C),
        margin=_RNG.uniform(0.0, 1.0, _C),
        label_smoothing=_RNG.uniform(0.0, 0.3, _C),
        ignore_index=-1,
    ),
    "smoothing": sy.losses.cross_entropy(label_smoothing=0.1),
}


def linear_problem(loss: Any, spread: float, bias: bool, workspace: int, dtype: torch.dtype) -> Call:
    rng = np.random.default_rng(4)
    n, d = 37, 24
    x, w, b = rng.normal(0.0, spread, (n, d)), rng.normal(0.0, 0.5, (_C, d)), rng.normal(size=_C)
    y, s = rng.integers(0, _C, n), rng.uniform(0.1, 2.0, n)
    if loss.ignore_index is not None:
        y[5], x[5] = loss.ignore_index, np.nan
    p = numbers(loss, torch.float64)
    present = {name: v for name, v in zip(p._fields, p, strict=True) if v is not None}
    return Call(
        on(x, dtype), on(w, dtype), on(b, dtype) if bias else None, on(y), on(s, torch.float32),
        list(present.values()), ",".join(present), loss.weight_by, loss.ignore_index, 1, workspace, "auto",
    )  # fmt: skip


def check_linear(loss: Any, call: Call, got: Any, rtol: float) -> None:
    """Against float64 that torch differentiates, from the same rounded operands."""
    x, w = (torch.nan_to_num(t.double()).requires_grad_() for t in (call.hidden, call.weight))
    b = None if call.bias is None else call.bias.double().requires_grad_()
    z = x @ w.T if b is None else x @ w.T + b
    want = loss.replace(reduction="none")(z, call.targets, call.sample_weight.double())
    inputs = [t for t in (x, w, b) if t is not None]
    gradients = torch.autograd.grad(want.sum(), inputs)
    assert ((got.loss - want).abs() <= rtol * (1.0 + want.abs())).all()
    for a, e in zip((got.d_hidden, got.d_weight, got.d_bias), gradients, strict=False):
        assert (a.double() - e).norm() <= rtol * e.norm()


@pytest.mark.parametrize("name", LINEAR)
@pytest.mark.parametrize("spread", [1.0, 30.0])  # the second has rows that lie far above their reference
def test_exponentials_and_products(name: str, spread: float) -> None:
    loss = LINEAR[name]
    # several chunks, tiles that overhang on both sides; Triton's interpreter computes dots of bfloat16 wrongly
    call = linear_problem(
        loss, spread, name != "smoothing", 16 * triton_linear.room(1, _C, torch.float32), torch.float32
    )
    got = triton_sweep.by_parts(call, call.sample_weight, Wanted(True, True, True), (16, 32, 16))
    check_linear(loss, call, got, 3e-6 if spread == 1.0 else 3e-5)


@pytest.mark.parametrize("point", ["everything", "pairs", "cross-entropy"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16])
def test_logits_of_chunks(point: str, dtype: torch.dtype) -> None:
    rng = np.random.default_rng(5)
    matrix = rng.uniform(0.0, 1.0, (_C, _C))
    loss = {
        "cross-entropy": LINEAR["cross-entropy"],
        "everything": LINEAR["everything but smoothing"].replace(label_smoothing=0.1, weight_by="prediction"),
        "pairs": sy.losses.SoftmaxCrossEntropy(
            class_weight=1.0 + matrix,
            weight_by="pair",
            pairwise_offset=matrix,
            cost_matrix=matrix,
            cost_coefficient=0.3,
        ),
    }[point]
    call = linear_problem(loss, 1.0, True, 2**14, dtype)
    got = triton_sweep.sweep(call, call.sample_weight.to(xp.compute_dtype(call.hidden)), Wanted(True, True, True))
    assert got.d_weight.dtype == xp.compute_dtype(call.hidden)
    check_linear(loss, call, got, {torch.float64: 1e-12, torch.float32: 1e-5, torch.float16: 2e-3}[dtype])


def test_which_kernel_takes_what() -> None:
    hidden = torch.zeros((4, 16), dtype=torch.bfloat16)
    for name, loss in LINEAR.items():
        assert triton_linear.can(numbers(loss), "target", hidden, _C) is None, name
    reason = triton_linear.can(numbers(softmax_point("target")), "target", hidden, 4)
    assert reason is not None
    assert "pairwise_offset" in reason
    assert triton_linear.can(Parameters(), "target", hidden.half(), _C) is not None
    assert triton_linear.can(Parameters(), "target", hidden[:, :12].contiguous(), _C) is not None


@pytest.mark.skipif(INTERPRETED, reason="dots of bfloat16 are wrong in Triton's interpreter: on a GPU only")
@pytest.mark.parametrize("name", LINEAR)
def test_bfloat16_on_the_device(name: str) -> None:
    loss = LINEAR[name]
    call = linear_problem(loss, 1.0, True, 2**20, torch.bfloat16)
    got = triton_sweep.sweep(call, call.sample_weight, Wanted(True, True, True))
    check_linear(loss, call, got, 1e-2)
    again = triton_sweep.sweep(call, call.sample_weight, Wanted(True, True, True))
    assert all(torch.equal(a, b) for a, b in zip(got, again, strict=True))
