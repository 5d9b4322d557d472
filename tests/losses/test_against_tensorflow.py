"""TensorFlow's and Keras's own functions as oracles."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

import steelyard as sy

W = np.array([0.4, 1.0, 2.5, 3.1])
RNG = np.random.default_rng(0)
LOGITS = RNG.normal(0.0, 2.0, (7, 4))
Y = np.arange(7) % 4
SOFT = RNG.dirichlet(np.ones(4), 7)
BINARY = (RNG.random((7, 4)) > 0.5).astype(np.float64)
S = RNG.random(7)


def same(ours: tf.Tensor, theirs: tf.Tensor, rtol: float = 1e-12) -> None:
    np.testing.assert_allclose(np.asarray(ours), np.asarray(theirs), rtol=rtol, atol=1e-14)


def tensor(x: np.ndarray) -> tf.Tensor:
    return tf.constant(x)


def test_sparse_softmax_cross_entropy() -> None:
    loss = sy.losses.cross_entropy(reduction="none")
    same(loss(tensor(LOGITS), tensor(Y)), tf.nn.sparse_softmax_cross_entropy_with_logits(Y, LOGITS))


def test_softmax_cross_entropy_with_soft_labels() -> None:
    loss = sy.losses.cross_entropy(reduction="none")
    same(loss(tensor(LOGITS), tensor(SOFT)), tf.nn.softmax_cross_entropy_with_logits(SOFT, LOGITS))


def test_weights_gathered_by_label_times_the_sparse_loss() -> None:
    loss = sy.losses.weighted_cross_entropy(W, reduction="none")
    theirs = tf.gather(W, Y) * tf.nn.sparse_softmax_cross_entropy_with_logits(Y, LOGITS)
    same(loss(tensor(LOGITS), tensor(Y)), theirs)
    same(loss(tensor(LOGITS), tf.one_hot(Y, 4, dtype=tf.float64)), theirs)


def test_weighted_cross_entropy_with_logits() -> None:
    loss = sy.losses.binary_cross_entropy(W, reduction="none")
    theirs = tf.nn.weighted_cross_entropy_with_logits(BINARY, LOGITS, tf.constant(W))
    same(loss(tensor(LOGITS), tensor(BINARY)), theirs)


def test_sigmoid_cross_entropy_with_logits() -> None:
    loss = sy.losses.binary_cross_entropy(reduction="none")
    same(loss(tensor(LOGITS), tensor(BINARY)), tf.nn.sigmoid_cross_entropy_with_logits(BINARY, LOGITS))


def test_tensorflow_1_divides_by_the_number_of_weights_that_are_not_zero() -> None:
    s = np.array([0.0, 1.0, 2.0, 0.0, 4.0, 1.0, 0.5])
    theirs = tf.compat.v1.losses.sparse_softmax_cross_entropy(Y, LOGITS, weights=s)
    ours = sy.losses.cross_entropy()(tensor(LOGITS), tensor(Y), sample_weight=s, denominator=5.0)
    same(ours, theirs, rtol=1e-6)  # it computes in float32


# --- Keras ------------------------------------------------------------------------------------------------------


def keras_value(loss: keras.losses.Loss, y: np.ndarray, z: np.ndarray, s: np.ndarray | None = None) -> float:
    return float(loss(y, z, sample_weight=s))


def test_keras_divides_by_rows() -> None:
    theirs = keras_value(keras.losses.SparseCategoricalCrossentropy(from_logits=True, dtype="float64"), Y, LOGITS, S)
    ours = sy.losses.cross_entropy()(LOGITS, Y, sample_weight=S, denominator="rows")
    assert float(ours) == pytest.approx(theirs, rel=1e-12)


def test_keras_divides_by_sample_weights_when_asked() -> None:
    theirs = keras_value(
        keras.losses.CategoricalCrossentropy(from_logits=True, reduction="mean_with_sample_weight", dtype="float64"),
        SOFT,
        LOGITS,
        S,
    )
    ours = sy.losses.cross_entropy()(LOGITS, SOFT, sample_weight=S)
    assert float(ours) == pytest.approx(theirs, rel=1e-12)


def test_keras_label_smoothing() -> None:
    onehot = np.eye(4)[Y]
    theirs = keras_value(
        keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.1, dtype="float64"), onehot, LOGITS
    )
    assert float(sy.losses.cross_entropy(label_smoothing=0.1)(LOGITS, Y)) == pytest.approx(theirs, rel=1e-12)


@pytest.mark.parametrize("gamma", [0.5, 2.0, 5.0])
def test_keras_binary_focal(gamma: float) -> None:
    # within ±3, where Keras's clipping of probabilities at 1e-7 does not bite
    z = np.clip(LOGITS, -3.0, 3.0)
    for alpha in (None, 0.25):
        theirs = keras_value(
            keras.losses.BinaryFocalCrossentropy(
                apply_class_balancing=alpha is not None,
                alpha=alpha or 0.25,
                gamma=gamma,
                from_logits=True,
                dtype="float64",
            ),
            BINARY,
            z,
        )
        ours = sy.losses.sigmoid_focal(gamma, alpha)(z, BINARY, denominator="rows")
        assert float(ours) == pytest.approx(theirs, rel=1e-6)


def test_keras_categorical_focal() -> None:
    z, onehot = np.clip(LOGITS, -3.0, 3.0), np.eye(4)[Y]
    theirs = keras_value(
        keras.losses.CategoricalFocalCrossentropy(alpha=0.25, gamma=2.0, from_logits=True, dtype="float64"), onehot, z
    )
    assert 0.25 * float(sy.losses.focal(2.0)(z, Y)) == pytest.approx(theirs, rel=1e-6)


def test_keras_kills_the_gradient_of_the_worst_mistakes_and_we_do_not() -> None:
    # a true class 30 below the other: Keras's focal clips its probability at 1e-7, and the slope is gone
    z, t = tf.constant([[30.0, 0.0]]), tf.constant([[0.0, 1.0]])
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(z)
        theirs = keras.losses.CategoricalFocalCrossentropy(alpha=1.0, gamma=2.0, from_logits=True)(t, z)
        ours = sy.losses.focal(2.0)(z, t)
    assert np.abs(tape.gradient(theirs, z)).max() < 1e-6
    np.testing.assert_allclose(tape.gradient(ours, z), [[1.0, -1.0]], rtol=1e-6)
