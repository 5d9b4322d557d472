"""The TensorFlow module: eager, graph, XLA, unknown sizes, switching, states."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

import steelyard as sy
from steelyard.errors import InputError
from tests.fronts.points import PAIRED, SIGMOID, SWITCHABLE, batch, binary_batch, expected, expected_sigmoid

W = [0.5, 1.5, 4.0]
MODES: dict[str, dict[str, Any]] = {
    "eager": {},
    "graph": {"jit_compile": False},
    "XLA": {"jit_compile": True},
    "unknown sizes": {
        "input_signature": [tf.TensorSpec([None, None], tf.float64), tf.TensorSpec([None], tf.int32)],
    },
}


def tensors(dtype: Any = tf.float64, rows: int = 8) -> tuple[Any, Any]:
    z, y = batch(rows)
    return tf.constant(z, dtype), tf.constant(y, tf.int32)


def with_gradient(call: Any, z: Any, y: Any) -> tuple[Any, Any]:
    with tf.GradientTape() as tape:
        tape.watch(z)
        value = call(z, y)
    return value, tape.gradient(value, z)


# --- values -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", ["weighted", "VS", "smoothing", "by pair", "cost term"])
def test_value_and_gradient_against_the_reference(name: str, mode: str) -> None:
    loss, parameters = PAIRED[name]
    module = sy.tensorflow.Loss(loss)

    def step(z: Any, y: Any) -> Any:
        return with_gradient(module, z, y)

    run = tf.function(step, **MODES[mode]) if MODES[mode] else step
    for rows in (8, 5):
        value, gradient = run(*tensors(rows=rows))
        want, slope = expected(parameters, *batch(rows))
        assert float(value) == pytest.approx(want, rel=1e-12)
        np.testing.assert_allclose(gradient, slope, rtol=1e-10, atol=1e-13)


def test_weighted_cross_entropy_from_tensorflows_own_functions() -> None:
    z, y = tensors()
    w = tf.gather(tf.constant(W, tf.float64), y)
    rows = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=y, logits=z)
    value = sy.tensorflow.Loss(sy.losses.weighted_cross_entropy(W))(z, y)
    assert float(value) == pytest.approx(float(tf.reduce_sum(w * rows) / tf.reduce_sum(w)), rel=1e-12)


@pytest.mark.parametrize("name", SIGMOID)
def test_sigmoid_family(name: str) -> None:
    loss, parameters = SIGMOID[name]
    z, t = binary_batch()
    value = tf.function(sy.tensorflow.Loss(loss))(tf.constant(z), tf.constant(t))
    assert float(value) == pytest.approx(expected_sigmoid(parameters, z, t), rel=1e-12)


def test_weighted_cross_entropy_with_logits() -> None:
    z, t = binary_batch()
    theirs = tf.nn.weighted_cross_entropy_with_logits(tf.constant(t, tf.float64), tf.constant(z), 7.0)
    module = sy.tensorflow.Loss(sy.losses.binary_cross_entropy(pos_weight=7.0, reduction="none"))
    np.testing.assert_allclose(module(tf.constant(z), tf.constant(t)), theirs, rtol=1e-12)


@pytest.mark.parametrize("class_axis", [-1, 1])
@pytest.mark.parametrize("known", [True, False])
def test_class_axis(class_axis: int, known: bool) -> None:
    z = np.random.default_rng(0).normal(size=(2, 5, 3))  # (batch, time, classes)
    y = np.arange(10).reshape(2, 5) % 3
    w = tf.gather(tf.constant(W, tf.float64), y)
    rows = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=y, logits=z)
    module = sy.tensorflow.Loss(sy.losses.weighted_cross_entropy(W), n_classes=3, class_axis=class_axis)
    logits = tf.constant(z if class_axis == -1 else np.moveaxis(z, -1, 1))
    shape = logits.shape if known else [None, None, 3] if class_axis == -1 else [None, 3, None]
    signature = [tf.TensorSpec(shape, tf.float64), tf.TensorSpec([None, None], tf.int64)]
    value = tf.function(module, input_signature=signature)(logits, tf.constant(y))
    assert float(value) == pytest.approx(float(tf.reduce_sum(w * rows) / tf.reduce_sum(w)), rel=1e-12)


def test_arguments_of_the_call_reach_the_loss() -> None:
    z, y = tensors()
    s, w = tf.range(8, dtype=tf.float64), tf.constant(W, tf.float64)
    rows = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=y, logits=z)
    module = sy.tensorflow.Loss(sy.losses.cross_entropy())
    value = module(z, y, sample_weight=s, class_weight=w, denominator=5.0)
    assert float(value) == pytest.approx(float(tf.reduce_sum(s * tf.gather(w, y) * rows) / 5.0), rel=1e-12)


def test_numbers_in_a_list() -> None:
    value = sy.tensorflow.Loss(sy.losses.cross_entropy())([[0.0, 0.0]], [1])
    assert float(value) == pytest.approx(np.log(2.0), rel=1e-6)


# --- assign -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize("pairs", [False, True])
def test_assign_traces_nothing_anew(pairs: bool, jit_compile: bool) -> None:
    traces = []
    module = sy.tensorflow.Loss(sy.losses.cross_entropy(), n_classes=3, pairs=pairs)

    @tf.function(jit_compile=jit_compile)
    def step(z: Any, y: Any) -> Any:
        traces.append(1)
        return with_gradient(module, z, y)

    for loss, parameters in (PAIRED if pairs else SWITCHABLE).values():
        module.assign(loss)
        value, gradient = step(*tensors())
        want, slope = expected(parameters, *batch())
        assert float(value) == pytest.approx(want, rel=1e-12)
        np.testing.assert_allclose(gradient, slope, rtol=1e-9, atol=1e-12)
        assert module.loss.weight_by == loss.weight_by
    assert len(traces) == 1


def test_assign_in_the_sigmoid_family() -> None:
    z, t = binary_batch()
    module = sy.tensorflow.Loss(sy.losses.binary_cross_entropy(), n_classes=1)
    step = tf.function(module)
    for loss, parameters in SIGMOID.values():
        module.assign(loss)
        value = step(tf.constant(z[:, None]), tf.constant(t[:, None]))
        assert float(value) == pytest.approx(expected_sigmoid(parameters, z, t), rel=1e-12)
    assert step.experimental_get_tracing_count() == 1


def test_one_trace_for_every_batch_size() -> None:
    module = sy.tensorflow.Loss(SWITCHABLE["VS"][0], n_classes=3)
    step = tf.function(module, reduce_retracing=True)
    for rows in (8, 5, 31, 64):
        assert float(step(*tensors(rows=rows))) == pytest.approx(
            expected(SWITCHABLE["VS"][1], *batch(rows))[0], rel=1e-12
        )
    assert step.experimental_get_tracing_count() <= 2


# --- derivatives, 16 bits ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["weighted", "focal", "smoothing"])
def test_second_derivatives(name: str) -> None:
    loss, parameters = SWITCHABLE[name]
    module, step = sy.tensorflow.Loss(loss), 1e-6
    z, y = tensors(rows=3)
    with tf.GradientTape() as outer:
        outer.watch(z)
        _, gradient = with_gradient(module, z, y)
    jacobian = outer.jacobian(gradient, z).numpy()
    for i, c in np.ndindex(3, 3):
        up, down = batch(3)[0].copy(), batch(3)[0].copy()
        up[i, c] += step
        down[i, c] -= step
        slope = (expected(parameters, up, batch(3)[1])[1] - expected(parameters, down, batch(3)[1])[1]) / (2 * step)
        np.testing.assert_allclose(jacobian[:, :, i, c], slope, atol=1e-8)


@pytest.mark.parametrize("dtype", [tf.float16, tf.bfloat16])
@pytest.mark.parametrize("jit_compile", [False, True])
def test_16_bit_logits(dtype: Any, jit_compile: bool) -> None:
    module = sy.tensorflow.Loss(SWITCHABLE["focal"][0], n_classes=3)
    z = tf.cast(tf.constant(batch()[0]), dtype)
    y = tf.constant(batch()[1], tf.int32)
    value, gradient = tf.function(lambda z, y: with_gradient(module, z, y), jit_compile=jit_compile)(z, y)
    want, slope = expected(SWITCHABLE["focal"][1], tf.cast(z, tf.float64).numpy(), batch()[1])
    assert (value.dtype, gradient.dtype) == (tf.float32, dtype)
    assert float(value) == pytest.approx(want, rel=1e-5)
    np.testing.assert_allclose(tf.cast(gradient, tf.float64), slope, rtol=2.0**-7, atol=1e-6)


# --- states -----------------------------------------------------------------------------------------------------


def test_checkpoint(tmp_path: Path) -> None:
    first = sy.tensorflow.Loss(SWITCHABLE["VS"][0], n_classes=3)
    path = tf.train.Checkpoint(loss=first).save(str(tmp_path / "c"))
    second = sy.tensorflow.Loss(sy.losses.cross_entropy(), n_classes=3)
    tf.train.Checkpoint(loss=second).restore(path).assert_consumed()
    assert float(second(*tensors())) == pytest.approx(expected(SWITCHABLE["VS"][1], *batch())[0], rel=1e-12)


def test_saved_model(tmp_path: Path) -> None:
    module = sy.tensorflow.Loss(SWITCHABLE["VS"][0], n_classes=3)
    holder = tf.Module()
    holder.loss = module
    holder.step = tf.function(
        lambda z, y: module(z, y),
        input_signature=[tf.TensorSpec([None, 3], tf.float64), tf.TensorSpec([None], tf.int32)],
    )
    tf.saved_model.save(holder, str(tmp_path))
    loaded = tf.saved_model.load(str(tmp_path))
    assert float(loaded.step(*tensors(rows=5))) == pytest.approx(expected(SWITCHABLE["VS"][1], *batch(5))[0], rel=1e-12)


def test_variables_are_found_and_not_trained() -> None:
    module = sy.tensorflow.Loss(SWITCHABLE["VS"][0], n_classes=3)
    assert {v.dtype for v in module.variables} == {tf.float64}
    assert {v.name for v in module.variables} >= {"class_weight:0", "logit_scale:0", "logit_offset:0", "margin:0"}
    assert module.trainable_variables == ()


# --- what is refused --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("logits", "targets", "message"),
    [
        ([[0.0, float("nan"), 1.0]], [0], "finite `logits`; got nan in row 0, class 1"),
        ([[0.0, 1.0, 2.0]], [3], r"targets in \[0, 2\]; got 3 at row 0"),
        ([[0.0, 1.0, 2.0]], [-1], r"targets in \[0, 2\]; got -1 at row 0.*ignore_index=-1"),
    ],
)
def test_values_are_looked_at_in_eager_calls(logits: Any, targets: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        sy.tensorflow.Loss(sy.losses.weighted_cross_entropy(W))(tf.constant(logits), tf.constant(targets))


def test_logits_of_another_number_of_classes() -> None:
    module = sy.tensorflow.Loss(sy.losses.cross_entropy(), n_classes=3)
    with pytest.raises(InputError, match="logits of 3 classes on axis -1, as n_classes says"):
        module(tf.zeros([2, 4]), tf.constant([0, 3]))


def test_integer_logits() -> None:
    with pytest.raises(InputError, match="floating-point `logits`; got dtype int32"):
        sy.tensorflow.Loss(sy.losses.cross_entropy())(tf.constant([[1, 2]]), tf.constant([0]))


def test_assign_of_another_family() -> None:
    with pytest.raises(InputError, match="a SigmoidCrossEntropy to assign; got SoftmaxCrossEntropy"):
        sy.tensorflow.Loss(sy.losses.binary_cross_entropy(), n_classes=1).assign(sy.losses.cross_entropy())


def test_assign_of_other_settings() -> None:
    with pytest.raises(InputError, match="reduction='mean', as this module was built with; got 'none'"):
        sy.tensorflow.Loss(sy.losses.cross_entropy(), n_classes=3).assign(sy.losses.cross_entropy(reduction="none"))


def test_pairs_need_n_classes() -> None:
    with pytest.raises(InputError, match="`n_classes` with pairs=True"):
        sy.tensorflow.Loss(sy.losses.cross_entropy(), pairs=True)
