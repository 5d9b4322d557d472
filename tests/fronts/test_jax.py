"""Losses in JAX: transformations, losses as arguments, gradients of parameters, registration."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import steelyard as sy
import steelyard.jax
from steelyard.errors import InputError
from tests.fronts.points import PAIRED, SIGMOID, SWITCHABLE, batch, binary_batch, expected, expected_sigmoid

W = [0.5, 1.5, 4.0]


def arrays(rows: int = 8, dtype: Any = jnp.float32) -> tuple[Any, Any]:
    z, y = batch(rows)
    return jnp.asarray(z, dtype), jnp.asarray(y)


# --- values under the transformations ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", PAIRED)
@pytest.mark.parametrize("x64", [False, True])
def test_value_and_gradient_under_jit(name: str, x64: bool) -> None:
    loss, parameters = PAIRED[name]
    want, slope = expected(parameters, *batch())
    with jax.enable_x64(x64):
        z, y = arrays(dtype=jnp.float64 if x64 else jnp.float32)
        value, gradient = jax.jit(jax.value_and_grad(loss))(z, y)
    assert value.dtype == gradient.dtype == (jnp.float64 if x64 else jnp.float32)
    assert float(value) == pytest.approx(want, rel=1e-12 if x64 else 1e-5)
    np.testing.assert_allclose(gradient, slope, rtol=1e-10 if x64 else 1e-4, atol=1e-13 if x64 else 1e-6)


def test_weighted_cross_entropy_from_optax() -> None:
    z, y = arrays()
    w = jnp.asarray(W)[y]
    rows = optax.softmax_cross_entropy_with_integer_labels(z, y)
    value = sy.losses.weighted_cross_entropy(W)(z, y)
    assert float(value) == pytest.approx(float((w * rows).sum() / w.sum()), rel=1e-6)


def test_sigmoid_focal_from_optax() -> None:
    z, t = (jnp.asarray(v, jnp.float32) for v in binary_batch())
    ours = sy.losses.sigmoid_focal(gamma=2.0, alpha=0.25, reduction="none")(z, t)
    np.testing.assert_allclose(ours, optax.sigmoid_focal_loss(z, t, alpha=0.25, gamma=2.0), rtol=1e-5)


@pytest.mark.parametrize("name", SIGMOID)
def test_sigmoid_family(name: str) -> None:
    z, t = binary_batch()
    value = jax.jit(SIGMOID[name][0])(jnp.asarray(z, jnp.float32), jnp.asarray(t))
    assert float(value) == pytest.approx(expected_sigmoid(SIGMOID[name][1], z, t), rel=1e-5)


@pytest.mark.parametrize("name", PAIRED)
def test_vmap_over_batches(name: str) -> None:
    loss, parameters = PAIRED[name]
    z, y = arrays(12)
    values = jax.vmap(loss)(z.reshape(3, 4, 3), y.reshape(3, 4))
    wide, labels = batch(12)
    want = [expected(parameters, wide[4 * i : 4 * i + 4], labels[4 * i : 4 * i + 4])[0] for i in range(3)]
    np.testing.assert_allclose(values, want, rtol=1e-5)


def test_hessian_of_cross_entropy() -> None:
    with jax.enable_x64(True):
        z, y = arrays(2, jnp.float64)
        hessian = jax.hessian(sy.losses.cross_entropy(reduction="sum"))(z, y)
        p = jax.nn.softmax(z, 1)
        for i in range(2):
            np.testing.assert_allclose(hessian[i, :, i], jnp.diag(p[i]) - jnp.outer(p[i], p[i]), atol=1e-14)
        assert float(jnp.abs(hessian[0, :, 1]).max()) == 0.0


def test_forward_mode() -> None:
    z, y = arrays()
    direction = jnp.ones_like(z).at[:, 0].set(-2.0)
    _, slope = jax.jvp(lambda v: SWITCHABLE["VS"][0](v, y), (z,), (direction,))
    want = (expected(SWITCHABLE["VS"][1], *batch())[1] * np.asarray(direction)).sum()
    assert float(slope) == pytest.approx(want, rel=1e-4)


@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16])
def test_16_bit_logits(dtype: Any) -> None:
    z, y = arrays(dtype=dtype)
    value, gradient = jax.jit(jax.value_and_grad(SWITCHABLE["focal"][0]))(z, y)
    want, slope = expected(SWITCHABLE["focal"][1], np.asarray(z).astype(np.float64), batch()[1])
    assert (value.dtype, gradient.dtype) == (jnp.float32, dtype)
    assert float(value) == pytest.approx(want, rel=1e-5)
    np.testing.assert_allclose(np.asarray(gradient).astype(np.float64), slope, rtol=2.0**-7, atol=1e-6)


# --- losses as arguments ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("pairs", [False, True])
def test_one_trace_for_many_losses(pairs: bool) -> None:
    traces = []

    @jax.jit
    def step(loss: Any, z: Any, y: Any) -> Any:
        traces.append(1)
        return jax.value_and_grad(loss)(z, y)

    for loss, parameters in (PAIRED if pairs else SWITCHABLE).values():
        value, gradient = step(loss.expand(3, pairs=True) if pairs else loss.expand(3), *arrays())
        want, slope = expected(parameters, *batch())
        assert float(value) == pytest.approx(want, rel=1e-5)
        np.testing.assert_allclose(gradient, slope, rtol=1e-4, atol=1e-6)
    assert len(traces) == 1


def test_a_setting_is_part_of_the_program() -> None:
    traces = []

    @jax.jit
    def total(loss: Any, z: Any, y: Any) -> Any:
        traces.append(1)
        return loss(z, y)

    mean, added = (
        total(sy.losses.cross_entropy(), *arrays()),
        total(sy.losses.cross_entropy(reduction="sum"), *arrays()),
    )
    assert float(added) == pytest.approx(8 * float(mean), rel=1e-6)
    assert len(traces) == 2


def test_vmap_over_losses() -> None:
    """Many strategies trained at once: the same batch, one loss each."""
    losses = [loss.expand(3) for loss, _ in SWITCHABLE.values()]
    stacked = jax.tree.map(lambda *leaves: jnp.stack([jnp.asarray(v, jnp.float32) for v in leaves]), *losses)
    values = jax.jit(jax.vmap(lambda loss, z, y: loss(z, y), in_axes=(0, None, None)))(stacked, *arrays())
    want = [expected(parameters, *batch())[0] for _, parameters in SWITCHABLE.values()]
    np.testing.assert_allclose(values, want, rtol=1e-5)


def test_scan_over_losses_is_a_schedule() -> None:
    z, y = arrays()
    plan = [SWITCHABLE["cross-entropy"], SWITCHABLE["weighted"], SWITCHABLE["weighted"]]  # deferred weights
    stacked = jax.tree.map(
        lambda *leaves: jnp.stack([jnp.asarray(v, jnp.float32) for v in leaves]), *(loss.expand(3) for loss, _ in plan)
    )

    def step(logits: Any, loss: Any) -> tuple[Any, Any]:
        value, gradient = jax.value_and_grad(loss)(logits, y)
        return logits - 0.5 * gradient, value

    _, values = jax.lax.scan(step, z, stacked)
    at = batch()[0]
    for (_, parameters), got in zip(plan, values, strict=True):
        want, slope = expected(parameters, at, batch()[1])
        assert float(got) == pytest.approx(want, rel=1e-4)
        at = at - 0.5 * slope


def test_gradients_of_parameters() -> None:
    with jax.enable_x64(True):
        z, y = arrays(dtype=jnp.float64)
        loss = sy.losses.SoftmaxCrossEntropy(class_weight=W, logit_offset=[0.1, 0.0, -0.4], gamma=1.5, reduction="sum")
        slopes = jax.grad(lambda point: point(z, y))(loss)
        assert type(slopes) is type(loss)
        for name, index in (("class_weight", 1), ("logit_offset", 2), ("gamma", ())):
            numbers = {"class_weight": W, "logit_offset": [0.1, 0.0, -0.4], "gamma": 1.5}

            def total(change: float, name: str = name, index: Any = index, numbers: Any = numbers) -> float:
                moved = np.array(numbers[name], dtype=np.float64)
                moved[index] += change
                point = {**numbers, name: moved}
                want, _ = expected(point, *batch())
                return want * np.take(point["class_weight"], batch()[1]).sum()

            difference = (total(1e-6) - total(-1e-6)) / 2e-6
            assert float(slopes.parameters[name][index]) == pytest.approx(difference, rel=1e-7)


def test_parameters_made_inside_a_trace() -> None:
    @jax.jit
    def step(w: Any, z: Any, y: Any) -> Any:
        return sy.losses.weighted_cross_entropy(w)(z, y)

    value = step(jnp.asarray(W), *arrays())
    assert float(value) == pytest.approx(expected({"class_weight": W}, *batch())[0], rel=1e-5)


def test_a_loss_goes_through_tree_operations_unchanged() -> None:
    loss = PAIRED["by pair"][0]
    leaves, structure = jax.tree.flatten(loss)
    assert len(leaves) == 1
    again = jax.tree.unflatten(structure, leaves)
    assert again == loss
    assert structure == jax.tree.structure(sy.losses.weighted_cross_entropy(np.eye(3) + 1, weight_by="pair"))
    assert structure != jax.tree.structure(loss.replace(reduction="sum"))


# --- training ---------------------------------------------------------------------------------------------------


def test_an_optax_training_step() -> None:
    y = (np.arange(400) % 20 == 0).astype(int)
    x = np.random.default_rng(0).normal(size=(400, 2)) + 2.5 * y[:, None]
    x, labels = jnp.asarray(x, jnp.float32), jnp.asarray(y)
    loss = sy.losses.logit_adjusted(sy.ClassCounts.from_labels(y))
    optimizer = optax.sgd(0.5)
    model = {"w": jnp.zeros((2, 2)), "b": jnp.zeros(2)}

    def logits(model: Any) -> Any:
        return x @ model["w"] + model["b"]

    @jax.jit
    def train(model: Any) -> Any:
        def step(carry: Any, _: Any) -> Any:
            model, state = carry
            gradient = jax.grad(lambda m: loss(logits(m), labels))(model)
            updates, state = optimizer.update(gradient, state)
            return (optax.apply_updates(model, updates), state), None

        return jax.lax.scan(step, (model, optimizer.init(model)), length=200)[0][0]

    predicted = np.asarray(logits(train(model)).argmax(1))
    assert min((predicted[y == c] == c).mean() for c in (0, 1)) > 0.8


def test_sums_over_shards_are_the_mean_of_the_batch() -> None:
    z, y = arrays(12)
    loss = SWITCHABLE["focal"][0]
    numerators, denominators = jax.vmap(loss.numerator_and_denominator)(z.reshape(4, 3, 3), y.reshape(4, 3))
    want = expected(SWITCHABLE["focal"][1], *batch(12))[0]
    assert float(numerators.sum() / denominators.sum()) == pytest.approx(want, rel=1e-5)


# --- registration -----------------------------------------------------------------------------------------------

_CALL = "print(float(jax.jit(lambda loss, z, y: loss(z, y))(loss, jnp.zeros((1, 2)), jnp.array([1]))))"


@pytest.mark.parametrize(
    "order",
    [
        "import steelyard as sy; loss = sy.losses.focal(); import jax, jax.numpy as jnp, steelyard.jax",
        "import jax, jax.numpy as jnp; import steelyard as sy; loss = sy.losses.focal()",
        "import steelyard.jax; import jax, jax.numpy as jnp; import steelyard as sy; loss = sy.losses.focal()",
        "import steelyard as sy, pickle; data = pickle.dumps(sy.losses.focal()); import jax, jax.numpy as jnp; "
        "loss = pickle.loads(data)",
    ],
)
def test_either_order_of_imports(order: str) -> None:
    run = subprocess.run([sys.executable, "-c", f"{order}\n{_CALL}"], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert float(run.stdout) == pytest.approx(np.log(2.0) / 4.0, rel=1e-6)


def test_steelyard_alone_loads_no_jax() -> None:
    code = "import sys, steelyard as sy; sy.losses.focal(); sys.exit('jax' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# --- what is refused --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("logits", "targets", "message"),
    [
        ([[0.0, float("nan"), 1.0]], [0], "finite `logits`; got nan in row 0, class 1"),
        ([[0.0, 1.0, 2.0]], [3], r"targets in \[0, 2\]; got 3 at row 0"),
    ],
)
def test_values_are_looked_at_in_eager_calls(logits: Any, targets: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        sy.losses.weighted_cross_entropy(W)(jnp.asarray(logits), jnp.asarray(targets))


def test_shapes_are_looked_at_under_jit() -> None:
    with pytest.raises(InputError, match="logits of 3 classes, as `class_weight` has; got 2"):
        jax.jit(sy.losses.weighted_cross_entropy(W))(jnp.zeros((4, 2)), jnp.zeros(4, jnp.int32))


def test_hard_weights_are_no_pairs() -> None:
    with pytest.raises(InputError, match="no special case"):
        sy.losses.weighted_cross_entropy(W, weight_by="prediction_hard").expand(3, pairs=True)
