"""The compiled cross-entropies by themselves, on every instruction set, against the formulas in float64."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

import steelyard as sy
from steelyard import kernels

pytestmark = pytest.mark.skipif(not kernels.available().compiled, reason=kernels.available().reason)

ml_dtypes = pytest.importorskip("ml_dtypes", reason="NumPy has no bfloat16 of its own")

# dtype → its code, its numbers, those of the arithmetic; its rounding, that of the arithmetic, its smallest number
DTYPES: dict[str, tuple[int, Any, Any, float, float, float]] = {
    "float32": (0, np.float32, np.float32, 0.0, 2.0**-23, 0.0),
    "float64": (1, np.float64, np.float64, 0.0, 2.0**-52, 0.0),
    "bfloat16": (2, ml_dtypes.bfloat16, np.float32, 2.0**-8, 2.0**-23, 0.0),
    "float16": (3, np.float16, np.float32, 2.0**-11, 2.0**-23, 2.0**-24),
}
DENSE, BY_WEIGHT = 2, 1
DONE, BAD_ARGUMENT, BAD_TARGET, BAD_WEIGHT = 0, 1, 3, 4
# sweeps are chosen by the number of classes: pairs, transposed (whole tiles and not), along the row (likewise)
CLASSES = (2, 3, 10, 16, 20, 64, 65, 1000)


def points(n_classes: int, rng: np.random.Generator) -> dict[str, dict[str, Any]]:
    w, d = rng.random(n_classes) + 0.1, rng.random(n_classes) + 0.5
    o, m = rng.normal(size=n_classes), rng.random(n_classes)
    return {
        "plain": {},
        "weighted": {"class_weight": w},
        "focal": {"gamma": 2.0, "class_weight": w},
        "adjusted": {"logit_offset": o},
        "scaled": {"logit_scale": d, "margin": m},
        "smoothed": {"label_smoothing": 0.1},
        "smoothed by class": {"label_smoothing": m * 0.3, "class_weight": w},
        "poly": {"gamma": 0.5, "poly_coefficient": 0.7},
        "everything": {
            "class_weight": w, "logit_scale": d, "logit_offset": o, "margin": m, "gamma": 1.7, "label_smoothing": 0.1,
            "poly_coefficient": 0.5,
        },
    }  # fmt: skip


def made(instructions: str, n_classes: int, point: dict[str, Any], ignore: int | None = None) -> Any:
    scalars = {k: float(point[k]) for k in ("gamma", "poly_coefficient") if k in point}
    tables = {k: np.array(np.broadcast_to(v, n_classes), np.float64) for k, v in point.items() if k not in scalars}
    one = np.ndim(point.get("label_smoothing", [0.0])) == 0
    return kernels.native().Plan(
        False, instructions, n_classes, one_smoothing=one, ignore_index=ignore, **tables, **scalars
    )


def address(x: np.ndarray | None) -> int:
    return 0 if x is None else int(x.__array_interface__["data"][0])


def run(
    plan: Any,
    dtype: str,
    z: np.ndarray,
    target: np.ndarray,
    s: np.ndarray | None = None,
    gradient: np.ndarray | None = None,
    threads: int = 1,
    curvature: np.ndarray | None = None,
    divide: int = BY_WEIGHT,
) -> tuple[Any, np.ndarray, np.ndarray]:
    """Return (status, Σ s·ω·ℓ, Σ s·ω, Σ s, rows, bad row), the gradient and each row's loss."""
    code, _, wide, *_ = DTYPES[dtype]
    n, positions = z.shape[0], z.shape[2] if z.ndim == 3 else 1
    strides = (z.shape[1] * positions, positions, 1)
    kind = {"int64": 0, "int32": 1}.get(target.dtype.name, DENSE)
    gradient = np.full_like(z, 7) if gradient is None else gradient
    each = np.full(z.shape if kind == DENSE and target.shape == z.shape and s is not None and s.shape == z.shape
                   else (n, positions), 7, wide)  # fmt: skip
    found = plan.run(
        code, n, positions, *strides, address(z), address(gradient), address(target), kind, address(s), 0, 0, divide,
        0.0, 1.0, address(each), address(curvature), threads,
    )  # fmt: skip
    return found, gradient, each


def check(instructions: str, dtype: str, n_classes: int, name: str, positions: int, dense: bool, seed: int) -> None:
    rng = np.random.default_rng(seed)
    point = points(n_classes, rng)[name]
    _, kind, wide, half_ulp, epsilon, smallest = DTYPES[dtype]
    shape = (37, n_classes) if positions == 1 else (2, n_classes, positions)
    rows = shape[:1] + shape[2:]
    z = (rng.normal(size=shape) * 3).astype(kind)
    ignore = -100 if name in ("plain", "focal", "everything") and not dense else None
    y = rng.integers(0, n_classes, rows)
    if ignore is not None:
        y[rng.random(rows) < 0.3] = ignore
        z = np.where(np.expand_dims(y == ignore, 1), np.array(np.nan, kind), z)
    target = y
    if dense:
        target = np.ascontiguousarray(np.moveaxis(rng.dirichlet(np.full(n_classes, 0.3), rows), -1, 1).astype(kind))
    s = rng.random(rows).astype(wide) if name != "plain" else None
    found, gradient, each = run(made(instructions, n_classes, point, ignore), dtype, z, target, s)
    assert found[0] == DONE

    loss = sy.losses.SoftmaxCrossEntropy(**point, ignore_index=ignore, reduction="none")
    wide_z, wide_t = z.astype(np.float64), target.astype(np.float64) if dense else target
    scale = np.ones(rows) if s is None else s.astype(np.float64)
    want = loss(wide_z, wide_t, sample_weight=scale)
    numerator, denominator = loss.numerator_and_denominator(wide_z, wide_t, sample_weight=scale)
    want_gradient = np.expand_dims(scale, 1) * loss.gradient(wide_z, wide_t) / denominator
    # as in tests/conformance/comparison.py: four roundings of the largest adjusted logit, γ + 1 times
    rtol = 4 * epsilon * (7 + 2 * np.nanmax(np.abs(wide_z))) * (1 + point.get("gamma", 0.0))
    np.testing.assert_allclose(each.reshape(rows), want, rtol=rtol, atol=0)
    np.testing.assert_allclose(found[1:3], (numerator, denominator), rtol=rtol)
    assert found[4] == (y.size if ignore is None or dense else (y != ignore).sum())
    # soft and smoothed targets cancel: their gradient is exact relative to the weight of the row
    largest = np.abs(want_gradient).max(1, keepdims=True)
    if dense or "label_smoothing" in point:
        largest = largest + np.expand_dims(scale, 1) / denominator
    bound = rtol * largest + half_ulp * np.abs(want_gradient) + smallest
    assert (np.abs(gradient.astype(np.float64) - want_gradient) <= bound).all()


def covering(every: int) -> list[tuple[Any, ...]]:
    """Return combinations in which every pair of settings meets; with `every` 1 all of them."""
    names = tuple(points(2, np.random.default_rng(0)))
    grid = itertools.product(DTYPES, CLASSES, names, ((1, False), (1, True), (37, False), (133, True)))
    return [case for i, case in enumerate(grid) if i % every == 0]


def test_equals_the_formula(instructions):
    for i, (dtype, n_classes, name, (positions, dense)) in enumerate(covering(7)):
        check(instructions, dtype, n_classes, name, positions, dense, i)


@pytest.mark.slow
def test_equals_the_formula_in_every_combination(instructions):
    for i, (dtype, n_classes, name, (positions, dense)) in enumerate(covering(1)):
        check(instructions, dtype, n_classes, name, positions, dense, 10_000 + i)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("curvature", [False, True])
def test_the_sigmoid_family_equals_the_formula(instructions, dtype, curvature):
    rng = np.random.default_rng(5)
    _code, kind, wide, half_ulp, epsilon, smallest = DTYPES[dtype]
    cases = [(1, 1), (5, 1), (40, 1), (5, 70), (3, 1)]
    weights = [
        {},
        {"pos_weight": 3.0},
        {"class_weight": True, "pos_weight": True},
        {"gamma_pos": 1.5, "gamma_neg": 3.0},
    ]
    weights.append({"outcome_weight": [[1.0, 2.0], [4.0, 0.5]], "class_weight": True, "gamma_pos": 2.0})
    for (n_classes, positions), point in itertools.product(cases, weights):
        point = {k: rng.random(n_classes) + 0.5 if v is True else v for k, v in point.items()}
        shape = (37, n_classes) if positions == 1 else (3, n_classes, positions)
        z = (rng.normal(size=shape) * 4).astype(kind)
        t = rng.integers(0, 2, shape).astype(kind)
        s = rng.random(shape).astype(wide)
        tables = {
            k: np.array(np.broadcast_to(v, n_classes), np.float64)
            for k, v in point.items()
            if k in ("class_weight", "pos_weight")
        }
        if "outcome_weight" in point:
            tables["outcome_weight"] = np.array(point["outcome_weight"]).ravel()
        plan = kernels.native().Plan(
            True, instructions, n_classes, gamma=point.get("gamma_pos", 0.0), gamma_neg=point.get("gamma_neg", 0.0),
            **tables,
        )  # fmt: skip
        h = np.full(shape, 7, wide) if curvature else None
        found, gradient, each = run(plan, dtype, z, t, s, curvature=h)
        assert found[0] == DONE
        loss = sy.losses.SigmoidCrossEntropy(**point, reduction="none")
        wide_z, wide_t, wide_s = (x.astype(np.float64) for x in (z, t, s))
        rtol = (
            4 * epsilon * (2 + np.abs(wide_z).max()) * (1 + max(point.get("gamma_pos", 0), point.get("gamma_neg", 0)))
        )
        np.testing.assert_allclose(each.reshape(shape), loss(wide_z, wide_t, sample_weight=wide_s), rtol=rtol)
        sums = loss.numerator_and_denominator(wide_z, wide_t, sample_weight=wide_s)
        np.testing.assert_allclose(found[1:3], sums, rtol=rtol)
        want = wide_s * loss.gradient(wide_z, wide_t) / sums[1]
        bound = (rtol + half_ulp) * np.abs(want) + smallest + 1e-37
        assert (np.abs(gradient.astype(np.float64) - want) <= bound).all()
        if h is not None:
            np.testing.assert_allclose(h, np.maximum(wide_s * loss.curvature(wide_z, wide_t), 1e-16), rtol=2 * rtol)


@pytest.mark.parametrize("shape", [(300_001, 2), (40_000, 10), (5000, 100), (900, 1000), (3, 20, 40_000)])
@pytest.mark.parametrize("name", ["weighted", "everything"])
def test_threads_change_no_bit(instructions, shape, name):
    rng = np.random.default_rng(1)
    z = rng.normal(size=shape).astype(np.float32)
    y = rng.integers(0, shape[1], shape[:1] + shape[2:])
    plan = made(instructions, shape[1], points(shape[1], rng)[name])
    alone = run(plan, "float32", z, y)
    for threads in (2, 5):
        together = run(plan, "float32", z, y, threads=threads)
        assert alone[0] == together[0]
        assert alone[1].tobytes() == together[1].tobytes()
        assert alone[2].tobytes() == together[2].tobytes()


@pytest.mark.parametrize("n_classes", [2, 10, 64, 200])
def test_addresses_that_are_aligned_to_nothing_but_their_numbers(instructions, n_classes):
    rng = np.random.default_rng(2)
    plan = made(instructions, n_classes, points(n_classes, rng)["everything"])
    y = rng.integers(0, n_classes, 33)
    held = rng.normal(size=33 * n_classes + 1).astype(np.float32)
    z = held[1:].reshape(33, n_classes)
    g = np.full(33 * n_classes + 2, 7, np.float32)
    shifted = run(plan, "float32", z, y, gradient=g[1:-1].reshape(33, n_classes))
    plain = run(plan, "float32", z.copy(), y)
    assert shifted[0] == plain[0]
    assert shifted[1].tobytes() == plain[1].tobytes()
    assert g[0] == 7
    assert g[-1] == 7


def test_a_gradient_written_past_the_caches_is_the_same(instructions):
    rng = np.random.default_rng(3)
    for n_classes in (2, 1001):
        rows = (17 << 20) // 4 // n_classes  # 17 MB: from 16 on it is
        z = rng.normal(size=(rows, n_classes)).astype(np.float32)
        y = rng.integers(0, n_classes, rows)
        plan = made(instructions, n_classes, {"class_weight": rng.random(n_classes) + 0.1})
        whole, part = run(plan, "float32", z, y), run(plan, "float32", z[:64], y[:64])
        np.testing.assert_allclose(whole[1][:64] * whole[0][2], part[1] * part[0][2], rtol=2e-6)
        np.testing.assert_allclose(whole[1].sum(1), 0, atol=1e-9)
        assert (whole[1][np.arange(rows), y] < 0).all()


def test_the_gradient_in_place_of_the_logits(instructions):
    rng = np.random.default_rng(4)
    for n_classes, name in itertools.product((2, 10, 20, 100, 1000), ("weighted", "everything")):
        z = rng.normal(size=(37, n_classes)).astype(np.float32)
        y = rng.integers(0, n_classes, 37)
        plan = made(instructions, n_classes, points(n_classes, rng)[name])
        apart = run(plan, "float32", z, y)
        over = run(plan, "float32", z, y, gradient=z)
        assert apart[0] == over[0]
        assert apart[1].tobytes() == z.tobytes()


def test_a_million_classes(instructions):
    n_classes = 1_000_003
    rng = np.random.default_rng(6)
    z = rng.normal(size=(2, n_classes)).astype(np.float32)
    y = np.array([n_classes - 1, 7])
    found, gradient, _ = run(made(instructions, n_classes, {}), "float32", z, y)
    loss = sy.losses.cross_entropy()
    assert found[1] / found[2] == pytest.approx(float(loss(z.astype(np.float64), y)), rel=1e-6)
    want = loss.gradient(z.astype(np.float64), y) / 2
    np.testing.assert_allclose(gradient, want, atol=1e-6 * np.abs(want).max(), rtol=1e-5)


def test_extreme_logits_are_finite_and_alive(instructions):
    for dtype, n_classes in itertools.product(("float32", "float64", "bfloat16", "float16"), (2, 10, 100)):
        z = np.zeros((4, n_classes), DTYPES[dtype][1])
        z[0, 0], z[1, 0], z[2], z[3] = 1e4, -1e4, 1e4, -1e4
        z[3, 1] = 1e4
        y = np.zeros(4, np.int64)
        for gamma in (0.0, 0.5, 2.0, 5.0):
            found, gradient, each = run(made(instructions, n_classes, {"gamma": gamma}), dtype, z, y)
            assert np.isfinite(found[1])
            assert np.isfinite(gradient.astype(np.float64)).all()
            assert float(each[1, 0]) == pytest.approx(1e4 + np.log(n_classes - 1), rel=4e-3)
            assert float(gradient[1, 0]) == pytest.approx(-1 / 4, rel=5e-3)


def test_small_losses_are_right(instructions):
    for n_classes, gap in itertools.product((2, 10, 1000), (15, 20, 30, 60)):
        z = np.zeros((1, n_classes), np.float32)
        z[0, 0] = gap
        found, gradient, _ = run(made(instructions, n_classes, {}), "float32", z, np.array([0]))
        want = np.log1p((n_classes - 1) * np.exp(-float(gap)))
        assert found[1] == pytest.approx(want, rel=1e-6)
        assert float(gradient[0, 0]) == pytest.approx(np.expm1(-want), rel=1e-6)


def test_what_cannot_be_is_said(instructions):
    plan = made(instructions, 3, {})
    z, y = np.zeros((4, 3), np.float32), np.array([0, 1, 2, 0])
    assert run(plan, "float32", z, np.array([0, 1, 3, 0]))[0][0::5] == (BAD_TARGET, 2)
    assert run(plan, "float32", z, np.array([0, -1, 2, 0]))[0][0::5] == (BAD_TARGET, 1)
    assert run(plan, "float32", z, y, np.array([1, 1, 1, -1], np.float32))[0][0::5] == (BAD_WEIGHT, 3)
    assert run(plan, "float32", z[:0], y[:0])[0] == (DONE, 0.0, 0.0, 0.0, 0, -1)
    # shapes alone, at addresses that are never read: one row more than what a size can hold is refused, and so are
    # classes that lie nowhere next to each other
    for batch, strides in ((2**62, (3, 1, 1)), (2, (3, 2, 1)), (-1, (3, 1, 1))):
        status = plan.run(0, batch, 1, *strides, 64, 0, 64, 0, 0, 0, 0, 1, 0.0, 1.0, 0, 0, 1)[0]
        assert status == BAD_ARGUMENT


def test_nothing_but_ignored_rows_is_nothing(instructions):
    for n_classes in (2, 10, 100):
        z = np.full((5, n_classes), np.nan, np.float32)
        found, gradient, each = run(made(instructions, n_classes, {}, -1), "float32", z, np.full(5, -1))
        assert found[:5] == (DONE, 0.0, 0.0, 0.0, 0)
        assert not gradient.any()
        assert not each.any()


def test_input_is_only_read(instructions):
    z, y = np.ones((5, 3), np.float32), np.array([0, 1, 2, 0, 1])
    z.flags.writeable = y.flags.writeable = False
    assert run(made(instructions, 3, {"gamma": 2.0}), "float32", z, y)[0][0] == DONE
