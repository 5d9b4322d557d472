"""`steelyard.jax.Loss`: the compiled kernel in XLA, against float64 references and against the formula."""

from __future__ import annotations

import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import steelyard as sy
import steelyard.jax
from steelyard import kernels
from steelyard.errors import InputError
from steelyard.kernels import in_jax
from tests.fronts.points import (
    COUNTS,
    PAIRED,
    SIGMOID,
    SWITCHABLE,
    batch,
    binary_batch,
    expected,
    expected_sigmoid,
)

W = [0.5, 1.5, 4.0]
EVERYTHING = sy.losses.SoftmaxCrossEntropy(
    class_weight=W, logit_scale=[1.0, 0.5, 2.0], logit_offset=[0.0, 1.0, -1.0], margin=[0.0, 0.3, 0.5],
    gamma=2.0, label_smoothing=0.1, poly_coefficient=0.5,
)  # fmt: skip
UNKNOWN = [name for name in PAIRED if name not in SWITCHABLE]

pytestmark = pytest.mark.skipif(
    in_jax.why_not_here() is not None, reason=f"no compiled kernel for JAX: {in_jax.why_not_here()}"
)


def fused(loss: Any, **settings: Any) -> Any:
    return steelyard.jax.Loss(loss, kernel="fused", **settings)


def arrays(rows: int = 8, dtype: Any = jnp.float32) -> tuple[Any, Any]:
    z, y = batch(rows)
    return jnp.asarray(z, dtype), jnp.asarray(y)


# --- values and gradients ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SWITCHABLE)
@pytest.mark.parametrize("x64", [False, True])
def test_value_and_gradient_under_jit(name: str, x64: bool) -> None:
    loss, parameters = SWITCHABLE[name]
    want, slope = expected(parameters, *batch())
    with jax.enable_x64(x64):
        z, y = arrays(dtype=jnp.float64 if x64 else jnp.float32)
        value, gradient = jax.jit(jax.value_and_grad(fused(loss)))(z, y)
        assert float(fused(loss)(z, y)) == float(value)
    assert value.dtype == gradient.dtype == (jnp.float64 if x64 else jnp.float32)
    assert float(value) == pytest.approx(want, rel=1e-12 if x64 else 1e-5)
    np.testing.assert_allclose(gradient, slope, rtol=1e-10 if x64 else 1e-4, atol=1e-13 if x64 else 1e-6)


NOT_FUSED = ("asymmetric", "distribution-balanced")


@pytest.mark.parametrize("name", NOT_FUSED)
def test_what_of_the_sigmoid_family_has_no_kernel_is_an_error_and_never_another_loss(name: str) -> None:
    z, t = binary_batch()
    loss, parameters = SIGMOID[name]
    logits, targets = jnp.asarray(z, jnp.float32), jnp.asarray(t)
    with pytest.raises(InputError, match="there is no kernel for `"):
        fused(loss)(logits, targets)
    value = sy.jax.Loss(loss)(logits, targets)
    assert float(value) == pytest.approx(expected_sigmoid(parameters, z, t), rel=1e-5)


@pytest.mark.parametrize("loss", [sy.losses.zlpr(), sy.losses.two_way()], ids=lambda loss: type(loss).__name__)
def test_losses_that_rank_labels_have_no_kernel(loss: Any) -> None:
    z = jnp.asarray(batch()[0], jnp.float32)
    t = (z > 0.5).astype(jnp.float32)
    with pytest.raises(InputError, match="there is no kernel for a"):
        fused(loss)(z, t)
    assert float(sy.jax.Loss(loss)(z, t)) == pytest.approx(float(loss(z, t)), rel=1e-6)


@pytest.mark.parametrize("name", [name for name in SIGMOID if name not in NOT_FUSED])
def test_sigmoid_family(name: str) -> None:
    z, t = binary_batch()
    loss, parameters = SIGMOID[name]
    logits, targets = jnp.asarray(z, jnp.float32), jnp.asarray(t)
    value, gradient = jax.jit(jax.value_and_grad(fused(loss)))(logits, targets)
    assert float(value) == pytest.approx(expected_sigmoid(parameters, z, t), rel=1e-5)
    np.testing.assert_allclose(gradient, jax.grad(loss)(logits, targets), rtol=1e-5, atol=1e-7)


def test_weighted_cross_entropy_from_optax() -> None:
    z, y = arrays()
    w = jnp.asarray(W)[y]
    rows = optax.softmax_cross_entropy_with_integer_labels(z, y)
    value = fused(sy.losses.weighted_cross_entropy(W))(z, y)
    assert float(value) == pytest.approx(float((w * rows).sum() / w.sum()), rel=1e-6)


@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16])
def test_16_bit_logits(dtype: Any) -> None:
    z, y = arrays(dtype=dtype)
    want, slope = expected(SWITCHABLE["focal"][1], np.asarray(z).astype(np.float64), batch()[1])
    value, gradient = jax.jit(jax.value_and_grad(fused(SWITCHABLE["focal"][0])))(z, y)
    assert (value.dtype, gradient.dtype) == (jnp.float32, dtype)
    assert float(value) == pytest.approx(want, rel=1e-5)
    np.testing.assert_allclose(np.asarray(gradient).astype(np.float64), slope, rtol=2.0**-7, atol=1e-6)


FORMS = list(itertools.product(["rows", "channels", "last", "one row"], [False, True], ["mean", "sum", "none"]))


@pytest.mark.parametrize(
    ("shape", "dense", "reduction"),
    # each shape, kind of target and reduction several times; all of them where time does not matter
    [form if i % 3 == i // 3 % 3 else pytest.param(*form, marks=pytest.mark.slow) for i, form in enumerate(FORMS)],
)
def test_layouts_targets_reductions_and_weights(shape: str, dense: bool, reduction: str) -> None:
    """Every form of a call against the formula, which has its own reference: value, and gradient of a random sum."""
    rng = np.random.default_rng(3)
    sizes, axis = {"rows": ((6, 3), 1), "channels": ((2, 3, 4, 2), 1), "last": ((2, 4, 3), -1), "one row": ((3,), 0)}[
        shape
    ]
    z = jnp.asarray(rng.normal(size=sizes), jnp.float32)
    if dense:
        raw = rng.random(sizes)
        y = jnp.asarray(raw / raw.sum(axis, keepdims=True), jnp.float32)
    else:
        y = jnp.asarray(rng.integers(0, 3, np.delete(sizes, axis)))
    s = None if shape == "one row" else jnp.asarray(rng.random(sizes[0]), jnp.float32)
    loss = EVERYTHING.replace(reduction=reduction)

    def total(call: Any, z: Any) -> Any:
        out = call(z)
        return (out * jnp.cos(jnp.arange(out.size)).reshape(out.shape)).sum()

    ours = jax.value_and_grad(lambda z: total(lambda z: fused(loss, class_axis=axis)(z, y, s), z))(z)
    want = jax.value_and_grad(lambda z: total(lambda z: loss(z, y, s, class_axis=axis), z))(z)
    for a, b in zip(ours, want, strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize("denominator", [None, "rows", "sample_weight", 3.5])
def test_what_a_mean_is_divided_by(denominator: Any) -> None:
    z, y = arrays()
    y = y.at[2].set(-1)
    s = jnp.arange(1.0, 9.0)
    loss = EVERYTHING.replace(ignore_index=-1)
    both = [
        jax.value_and_grad(lambda z, call=call: 2.0 * call(z, y, s, denominator=denominator))(z)
        for call in (fused(loss), loss)
    ]
    np.testing.assert_allclose(both[0][0], both[1][0], rtol=1e-6)
    np.testing.assert_allclose(both[0][1], both[1][1], rtol=1e-5, atol=1e-7)
    assert float(jnp.abs(both[0][1][2]).max()) == 0.0


def test_numbers_of_the_call() -> None:
    z, y = arrays()
    w, offset = jnp.asarray([1.0, 2.0, 3.0]), jnp.asarray([0.5, 0.0, -0.5])
    loss = sy.losses.logit_adjusted(COUNTS)
    ours = fused(loss)(z, y, class_weight=w, logit_offset=offset)
    assert float(ours) == pytest.approx(float(loss(z, y, class_weight=w, logit_offset=offset)), rel=1e-6)


def test_a_row_that_does_not_count_may_hold_nan() -> None:
    z, y = arrays()
    loss = fused(sy.losses.cross_entropy(ignore_index=-1))
    value, gradient = jax.value_and_grad(loss)(z.at[0].set(jnp.nan), y.at[0].set(-1))
    assert bool(jnp.isfinite(value))
    assert bool((gradient[0] == 0).all())
    assert float(loss(z, jnp.full(8, -1))) == 0.0
    np.testing.assert_array_equal(jax.grad(loss)(z, jnp.full(8, -1)), jnp.zeros_like(z))


# --- transformations --------------------------------------------------------------------------------------------

TRANSFORMED = {
    "gradient of a model": lambda call, z, y: jax.grad(lambda a: call(z @ a, y))(jnp.eye(3)),
    "jvp": lambda call, z, y: jax.jvp(lambda z: call(z, y), (z,), (jnp.cos(z),))[1],
    "hessian": lambda call, z, y: jax.hessian(call)(z, y),
    "reverse over reverse": lambda call, z, y: jax.grad(lambda z: (jax.grad(call)(z, y) ** 2).sum())(z),
    "linearize": lambda call, z, y: jax.linearize(lambda z: call(z, y), z)[1](jnp.sin(z)),
    "vmap": lambda call, z, y: jax.vmap(call)(z.reshape(2, 4, 3), y.reshape(2, 4)),
    "vmap of gradients": lambda call, z, y: jax.vmap(jax.grad(call))(z.reshape(2, 4, 3), y.reshape(2, 4)),
    "vmap over logits alone": lambda call, z, y: jax.vmap(jax.value_and_grad(call), (0, None))(
        jnp.stack([z, 2 * z]), y
    )[1],
    "vmap twice": lambda call, z, y: jax.vmap(jax.vmap(call, (0, None)), (None, 0))(
        z.reshape(2, 4, 3), y.reshape(2, 4)
    ),
    "vmap of hessians": lambda call, z, y: jax.vmap(jax.hessian(call))(z.reshape(4, 2, 3), y.reshape(4, 2)),
    "checkpoint": lambda call, z, y: jax.grad(jax.checkpoint(lambda z: call(3.0 * z, y)))(z),
    "scan": lambda call, z, y: jax.lax.scan(lambda z, _: (z - jax.grad(call)(z, y), call(z, y)), z, length=3)[1],
}


@pytest.mark.parametrize("name", TRANSFORMED)
@pytest.mark.parametrize("jitted", [pytest.param(False, marks=pytest.mark.slow), True], ids=["eager", "jit"])
def test_transformations(name: str, jitted: bool) -> None:
    work = TRANSFORMED[name]
    z, y = arrays()
    results = []
    for call in (fused(EVERYTHING), EVERYTHING):

        def run(z: Any, call: Any = call) -> Any:
            return work(call, z, y)

        results.append((jax.jit(run) if jitted else run)(z))
    np.testing.assert_allclose(*results, rtol=2e-5, atol=2e-6)


def test_hessian_of_cross_entropy_by_hand() -> None:
    with jax.enable_x64(True):
        z, y = arrays(2, jnp.float64)
        hessian = jax.hessian(fused(sy.losses.cross_entropy(reduction="sum")))(z, y)
        p = jax.nn.softmax(z, 1)
        for i in range(2):
            np.testing.assert_allclose(hessian[i, :, i], jnp.diag(p[i]) - jnp.outer(p[i], p[i]), atol=1e-14)


def test_the_gradient_is_computed_with_the_value_and_not_scaled_again() -> None:
    """One call of the kernel, and nothing but it over the logits, in the program of value_and_grad."""
    z, y = arrays()
    program = jax.jit(jax.value_and_grad(fused(EVERYTHING))).lower(z, y).compile().as_text()
    assert program.count(f'custom_call_target="{in_jax.TARGET}"') == 1
    assert not [line for line in program.splitlines() if "f32[8,3]" in line and "multiply" in line]


def test_gradients_of_parameters_are_those_of_the_formula() -> None:
    z, y = arrays()
    ours = jax.grad(lambda criterion: criterion(z, y))(fused(EVERYTHING))
    want = jax.grad(lambda loss: loss(z, y))(EVERYTHING)
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(want), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7)


def test_one_trace_for_many_losses() -> None:
    traces = []

    @jax.jit
    def step(criterion: Any, z: Any, y: Any) -> Any:
        traces.append(1)
        return jax.value_and_grad(lambda z: criterion(z, y))(z)

    for w, gamma in ((W, 2.0), ([3.0, 1.0, 0.5], 1.0), ([1.0, 1.0, 9.0], 0.5)):
        value, gradient = step(fused(sy.losses.focal(gamma=gamma, class_weight=w)), *arrays())
        want, slope = expected({"gamma": gamma, "class_weight": w}, *batch())
        assert float(value) == pytest.approx(want, rel=1e-5)
        np.testing.assert_allclose(gradient, slope, rtol=1e-4, atol=1e-6)
    assert len(traces) == 1


def test_vmap_over_losses() -> None:
    points = [{"gamma": gamma, "class_weight": w} for w, gamma in ((W, 2.0), ([3.0, 1.0, 0.5], 1.0))]
    losses = [fused(sy.losses.focal(**point)) for point in points]
    stacked = jax.tree.map(lambda *leaves: jnp.stack([jnp.asarray(v, jnp.float32) for v in leaves]), *losses)
    values = jax.jit(jax.vmap(lambda criterion, z, y: criterion(z, y), in_axes=(0, None, None)))(stacked, *arrays())
    want = [expected(point, *batch())[0] for point in points]
    np.testing.assert_allclose(values, want, rtol=1e-5)


def test_numerator_and_denominator_over_shards() -> None:
    z, y = arrays(12)
    criterion = fused(SWITCHABLE["focal"][0])
    numerators, denominators = jax.vmap(criterion.numerator_and_denominator)(z.reshape(4, 3, 3), y.reshape(4, 3))
    want = expected(SWITCHABLE["focal"][1], *batch(12))[0]
    assert float(numerators.sum() / denominators.sum()) == pytest.approx(want, rel=1e-5)
    slope = jax.grad(lambda z: criterion.numerator_and_denominator(z, y)[0])(z)
    formula = jax.grad(lambda z: SWITCHABLE["focal"][0].numerator_and_denominator(z, y)[0])(z)
    np.testing.assert_allclose(slope, formula, rtol=1e-5, atol=1e-7)


def test_the_same_bits_alone_and_in_a_batch() -> None:
    rng = np.random.default_rng(0)
    z = jnp.asarray(rng.normal(size=(3, 64, 17)), jnp.float32)
    y = jnp.asarray(rng.integers(0, 17, (3, 64)))
    criterion = fused(sy.losses.focal(gamma=1.5))
    together = jax.vmap(jax.value_and_grad(criterion))(z, y)
    for i in range(3):
        for a, b in zip(together, jax.value_and_grad(criterion)(z[i], y[i]), strict=True):
            np.testing.assert_array_equal(a[i], b)


def test_empty_batches() -> None:
    criterion = fused(sy.losses.weighted_cross_entropy(W))
    value, gradient = jax.value_and_grad(criterion)(jnp.zeros((0, 3)), jnp.zeros(0, jnp.int32))
    assert (float(value), gradient.shape) == (0.0, (0, 3))


# --- choice and errors ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", UNKNOWN)
def test_what_the_kernel_does_not_know(name: str) -> None:
    loss, parameters = PAIRED[name]
    with pytest.raises(InputError, match="kernel='auto' or 'formula'"):
        fused(loss)
    criterion = steelyard.jax.Loss(loss)
    assert criterion.uses().startswith("formula (")
    assert float(criterion(*arrays())) == pytest.approx(expected(parameters, *batch())[0], rel=1e-5)


def test_weights_of_each_row_are_for_the_formula() -> None:
    z, y = arrays()
    w = jnp.ones((8, 3))
    with pytest.raises(InputError, match="`class_weight` of each row"):
        fused(sy.losses.cross_entropy())(z, y, class_weight=w)
    plain = steelyard.jax.Loss(sy.losses.cross_entropy())
    assert float(plain(z, y, class_weight=w)) == pytest.approx(float(plain(z, y)), rel=1e-6)


def test_uses_says_what_is_in_use(monkeypatch: pytest.MonkeyPatch) -> None:
    loss = sy.losses.cross_entropy()
    assert steelyard.jax.Loss(loss).uses() == f"fused ({kernels.available()})"
    assert steelyard.jax.Loss(loss, kernel="formula").uses() == "formula (asked for)"
    with pytest.raises(InputError, match="kernel"):
        steelyard.jax.Loss(loss, kernel="fast")
    monkeypatch.setattr(in_jax, "why_not_here", lambda: "there is none here")
    assert steelyard.jax.Loss(loss).uses() == "formula (there is none here)"
    with pytest.raises(InputError, match="there is none here"):
        fused(loss)


def test_wrong_input_is_an_error() -> None:
    z, y = arrays()
    criterion = fused(sy.losses.weighted_cross_entropy(W))
    with pytest.raises(InputError, match="logits of 3 classes"):
        criterion(jnp.zeros((4, 5)), jnp.zeros(4, jnp.int32))
    with pytest.raises(InputError, match="targets of shape"):
        criterion(z, y[:3])
    with pytest.raises(InputError, match=r"targets in \[0, 2\]; got 7 at row 1"):
        criterion(z, y.at[1].set(7))
    with pytest.raises(jax.errors.JaxRuntimeError, match=r"targets in \[0, 2\]"):
        jax.block_until_ready(jax.jit(criterion)(z, y.at[1].set(7)))
    with pytest.raises(InputError, match="finite `logits`"):
        criterion(z.at[0, 0].set(jnp.nan), y)


def test_goes_through_tree_operations_unchanged() -> None:
    criterion = fused(EVERYTHING, class_axis=-1)
    leaves, structure = jax.tree.flatten(criterion)
    again = jax.tree.unflatten(structure, leaves)
    assert (again.loss, again.kernel, again.class_axis) == (EVERYTHING, "fused", -1)
    assert structure != jax.tree.structure(steelyard.jax.Loss(EVERYTHING, class_axis=-1))
    assert list(itertools.islice(map(np.ndim, leaves), 2)) == [1, 1]


# --- the handler itself: whatever a program hands over, it looks before it reads ----------------------------------

WHOLE: dict[str, Any] = {
    "present": np.int64(2), "wanted": np.int64(2), "core": np.int64(2), "sigmoid": np.int64(0), "divide": np.int64(1),
    "has_ignore": np.int64(0), "ignore_index": np.int64(0), "threads": np.int64(1), "instructions": "baseline",
}  # fmt: skip
SOUND = ((6, 3), (6,), (3,), (6, 3))  # logits, targets, class weights, gradient
UNSOUND: dict[str, tuple[Any, dict[str, Any], str]] = {
    "targets of other rows": (((6, 3), (5,), (3,), (6, 3)), {}, "do not fit"),
    "weights of other classes": (((6, 3), (6,), (4,), (6, 3)), {}, "do not fit"),
    "a gradient of another shape": (((6, 3), (6,), (3,), (6, 2)), {}, "do not fit"),
    "a number in place of weights": (((6, 3), (6,), (), (6, 3)), {}, "do not fit"),
    "logits of too few axes": (((6,), (6,), (3,), (6, 3)), {}, "too few axes"),
    "another number of buffers": (SOUND, {"present": np.int64(0)}, "number of buffers"),
    "more axes than there are": (SOUND, {"core": np.int64(7)}, "too few axes"),
    "an attribute of another type": (SOUND, {"threads": np.float32(1.5)}, "another version"),
    "unknown instructions": (SOUND, {"instructions": "none such"}, "does not know"),
    "an unknown target kind": (SOUND, {"sigmoid": np.int64(1)}, "do not fit|does not know"),
}


def handed_over(shapes: Any, attributes: dict[str, Any]) -> Any:
    z, y, w, g = shapes
    out = (jax.ShapeDtypeStruct((4,), jnp.float32), jax.ShapeDtypeStruct(g, jnp.float32))
    run = jax.ffi.ffi_call(in_jax.TARGET, out)
    return jax.block_until_ready(run(jnp.zeros(z), jnp.zeros(y, jnp.int32), jnp.ones(w), **attributes))


def test_a_sound_call_of_the_handler() -> None:
    sums, gradient = handed_over(SOUND, WHOLE)
    np.testing.assert_allclose(sums, [6 * np.log(3), 6, 6, 6], rtol=1e-6)
    np.testing.assert_allclose(gradient[:, 1], np.full(6, 1 / 18), rtol=1e-6)


@pytest.mark.parametrize("name", UNSOUND)
def test_an_unsound_call_of_the_handler(name: str) -> None:
    shapes, changed, message = UNSOUND[name]
    with pytest.raises((ValueError, RuntimeError), match=message):
        handed_over(shapes, WHOLE | changed)
