"""Losses for several labels inside tf.function, with and without XLA, and in Keras: the numbers of NumPy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

import steelyard as sy
from tests.fronts.multi_label import LABELS, LOSSES, batch


@pytest.mark.parametrize("xla", [False, True])
@pytest.mark.parametrize("name", LOSSES)
def test_in_a_graph(name: str, xla: bool) -> None:
    loss = LOSSES[name].replace(ignore_index=-1)
    criterion = sy.tensorflow.Loss(loss)
    shape = [7 if xla else None, LABELS]

    @tf.function(
        input_signature=[
            tf.TensorSpec(shape, tf.float32),
            tf.TensorSpec(shape, tf.int64),
            tf.TensorSpec(shape[:1], tf.float32),
        ],
        jit_compile=xla,
    )
    def step(z: tf.Tensor, t: tf.Tensor, s: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        with tf.GradientTape() as tape:
            tape.watch(z)
            value = criterion(z, t, s)
        return value, tape.gradient(value, z)

    for rows in (7,) if xla else (7, 5):
        z, t, s = batch(rows)
        value, gradient = step(tf.constant(z, tf.float32), t, tf.constant(s, tf.float32))
        assert float(value) == pytest.approx(float(loss(z, t, s)), rel=1e-5)
        assert np.isfinite(gradient.numpy()).all()
        assert (gradient.numpy()[t == -1] == 0).all()


# Keras' own, where it copies variables of TensorFlow
@pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")
@pytest.mark.parametrize("name", ["distribution_balanced", "zlpr", "two_way"])
def test_keras_fits_saves_and_loads(name: str, tmp_path: Path) -> None:
    import keras

    loss = LOSSES[name]
    z, t, s = batch(16)
    t = np.maximum(t, 0)
    model = keras.Sequential([keras.layers.Input((LABELS,)), keras.layers.Dense(LABELS)])
    model.compile(optimizer=keras.optimizers.SGD(0.1), loss=sy.keras.Loss(loss))
    before = model.evaluate(z, t, sample_weight=s, batch_size=16, verbose=0)
    assert before == pytest.approx(float(loss(model.predict(z, verbose=0), t, s.astype(np.float32))), rel=1e-5)
    model.fit(z, t, sample_weight=s, batch_size=16, epochs=3, verbose=0)
    assert model.evaluate(z, t, sample_weight=s, batch_size=16, verbose=0) < before
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.loss.loss == loss
