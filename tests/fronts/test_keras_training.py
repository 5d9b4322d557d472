"""Around the Keras loss: weights where ``fit(class_weight=…)`` fails, the bias to start from, schedules.

Under the backend that KERAS_BACKEND names; `test_keras_backends.py` runs this file on the others.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import steelyard as sy
from steelyard.errors import InputError
from tests.fronts.keras_models import compiled, evaluated, linear, logits_of
from tests.fronts.points import expected, expected_sigmoid

pytestmark = [
    # Keras' own variables, when Keras hands them to NumPy 2
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning"),
    # torch's own, on import of the backend of torch.compile
    pytest.mark.filterwarnings("ignore:`torch.jit.script:DeprecationWarning"),
]

BACKEND = keras.backend.backend()
RNG = np.random.default_rng(0)
W = [0.5, 1.5, 4.0]
X = RNG.normal(size=(32, 4)).astype(np.float32)
Y = np.arange(32) % 3
COUNTS = sy.ClassCounts.from_counts([900, 80, 20])
PRIORS = np.array([0.9, 0.08, 0.02])


# --- class weights where fit(class_weight=…) does not work ------------------------------------------------------


def keras_weights(y: Any) -> np.ndarray:
    """What ``fit(class_weight=…)`` makes of targets: one weight for each row, from an arg max over the last axis."""
    from keras.src.trainers.data_adapters.data_adapter_utils import class_weight_to_sample_weights

    return np.asarray(class_weight_to_sample_weights(y, dict(enumerate(W))))


@pytest.mark.parametrize("form", ["integers", "one-hot"])
def test_pixels(form: str) -> None:
    x, y = RNG.normal(size=(2, 3, 5, 4)).astype(np.float32), np.arange(30).reshape(2, 3, 5) % 3
    with pytest.raises(TypeError):
        keras_weights(y)
    labels = y if form == "integers" else np.eye(3, dtype=np.float32)[y]
    model = compiled(sy.keras.Loss(sy.losses.weighted_cross_entropy(W)), linear(shape=(3, 5, 4)))
    want, _ = expected({"class_weight": W}, logits_of(model, x).reshape(-1, 3), y.ravel())
    assert evaluated(model, x, labels) == pytest.approx(want, rel=1e-5)


def test_tokens() -> None:
    x, y = RNG.normal(size=(3, 4, 4)).astype(np.float32), np.array([[0, 0, 1, 2], [0, 0, 0, 0], [2, 2, 2, 1]])
    # the place of the largest label in its sentence, which is no class at all: 3, 0, 0
    assert keras_weights(y).tolist() == [1.0, W[0], W[0]]
    model = compiled(sy.keras.Loss(sy.losses.weighted_cross_entropy(W)), linear(shape=(4, 4)))
    want, _ = expected({"class_weight": W}, logits_of(model, x).reshape(-1, 3), y.ravel())
    assert evaluated(model, x, y) == pytest.approx(want, rel=1e-5)


def test_several_labels_of_a_row() -> None:
    t = np.array([[1, 1, 0], [0, 1, 1], [0, 0, 0], [1, 0, 1]], dtype=np.float32)
    # the first label that is there, and the first one where none is
    assert keras_weights(t).tolist() == [W[0], W[1], W[0], W[0]]
    model = compiled(sy.keras.Loss(sy.losses.SigmoidCrossEntropy(class_weight=W, pos_weight=[2.0, 5.0, 9.0])), linear())
    want = expected_sigmoid({"class_weight": W, "pos_weight": [2.0, 5.0, 9.0]}, logits_of(model, X[:4]), t)
    assert evaluated(model, X[:4], t) == pytest.approx(want, rel=1e-5)


def two_heads() -> Any:
    keras.utils.set_random_seed(0)
    inputs = keras.Input((4,))
    heads = {"kind": keras.layers.Dense(3, name="kind")(inputs), "flag": keras.layers.Dense(1, name="flag")(inputs)}
    return keras.Model(inputs, heads)


def test_several_outputs_with_weights_of_classes_and_rows() -> None:
    t = (np.arange(32) % 2).astype(np.float32)
    y = {"kind": Y, "flag": t[:, None]}
    model = two_heads()
    losses = {
        "kind": sy.keras.Loss(sy.losses.weighted_cross_entropy(W)),
        "flag": sy.keras.Loss(sy.losses.binary_cross_entropy(pos_weight=7.0)),
    }
    compiled(losses, model)
    with pytest.raises(ValueError, match="single output"):
        model.fit(X, y, class_weight=dict(enumerate(W)), verbose=0)
    s = {"kind": np.linspace(0.0, 2.0, 32).astype(np.float32), "flag": np.ones(32, np.float32)}
    history = model.fit(X, y, sample_weight=s, batch_size=32, shuffle=False, verbose=0).history
    out = model.predict(X, batch_size=32, verbose=0)
    kind, _ = expected({"class_weight": W}, np.asarray(out["kind"], np.float64), Y, s["kind"])
    flag = expected_sigmoid({"pos_weight": 7.0}, np.asarray(out["flag"], np.float64)[:, 0], t)
    assert history["kind_loss"][0] == pytest.approx(kind, rel=1e-5)
    assert history["flag_loss"][0] == pytest.approx(flag, rel=1e-5)
    assert history["loss"][0] == pytest.approx(kind + flag, rel=1e-5)


# --- the denominator --------------------------------------------------------------------------------------------


def test_the_number_of_rows_as_the_denominator_is_keras_own_mean() -> None:
    ours = compiled(sy.keras.Loss(sy.losses.weighted_cross_entropy(W), denominator="rows"), linear())
    theirs = compiled(keras.losses.SparseCategoricalCrossentropy(from_logits=True), linear(), rate=0.0)
    history = theirs.fit(X, Y, batch_size=32, shuffle=False, verbose=0, class_weight=dict(enumerate(W)))
    assert evaluated(ours, X, Y) == pytest.approx(history.history["loss"][0], rel=1e-5)
    assert sy.keras.Loss.from_config(ours.loss.get_config()).denominator == "rows"


def test_accumulated_gradients_are_exact_with_a_denominator_that_parts_share() -> None:
    s = np.linspace(0.1, 2.0, 32).astype(np.float32)
    kernels = []
    for size, steps in ((32, None), (8, 4)):
        model = linear()
        optimizer = keras.optimizers.SGD(0.5, gradient_accumulation_steps=steps)
        model.compile(optimizer, sy.keras.Loss(sy.losses.weighted_cross_entropy(W), denominator="rows"))
        model.fit(X, Y, sample_weight=s, batch_size=size, shuffle=False, verbose=0)
        kernels.append(model.get_weights()[0])
    np.testing.assert_allclose(kernels[1], kernels[0], rtol=1e-5, atol=1e-6)
    assert np.abs(kernels[0] - linear().get_weights()[0]).max() > 0.01


def test_an_unknown_denominator() -> None:
    with pytest.raises(InputError, match="`denominator` as None.*got 'row'.*did you mean 'rows'"):
        sy.keras.Loss(sy.losses.cross_entropy(), denominator="row")


# --- the bias to start from -------------------------------------------------------------------------------------


def with_bias(outputs: int, initializer: Any, **settings: Any) -> Any:
    return linear(outputs, kernel_initializer="zeros", bias_initializer=initializer, **settings)


def test_a_fresh_model_predicts_the_class_shares() -> None:
    model = with_bias(3, sy.keras.OutputBias(COUNTS))
    np.testing.assert_allclose(keras.ops.convert_to_numpy(keras.ops.softmax(model(X[:2]))), [PRIORS] * 2, rtol=1e-5)
    # the least loss that a constant can have: the entropy of the shares
    y = np.repeat([0, 1, 2], [90, 8, 2])
    compiled(sy.keras.Loss(sy.losses.cross_entropy()), model)
    assert evaluated(model, np.zeros((100, 4)), y) == pytest.approx(-(PRIORS * np.log(PRIORS)).sum(), rel=1e-5)


@pytest.mark.parametrize(
    "loss",
    [sy.losses.logit_adjusted(COUNTS), sy.losses.focal(2.0, class_weight=[1.0, 3.0, 9.0]), sy.losses.ldam(COUNTS)],
    ids=["logit adjusted", "focal", "ldam"],
)
def test_seen_through_the_loss(loss: Any) -> None:
    front = sy.keras.Loss(loss)
    model = with_bias(3, sy.keras.OutputBias(COUNTS, front))
    posterior = keras.ops.convert_to_numpy(front.posterior(model(X[:2])))
    np.testing.assert_allclose(posterior, [PRIORS] * 2, rtol=2e-4)  # LDAM's scale of 30 makes much of float32


def test_one_logit_and_several_labels() -> None:
    one = with_bias(1, sy.keras.OutputBias([95, 5]))
    assert float(one.get_weights()[1][0]) == pytest.approx(np.log(5 / 95), rel=1e-6)
    labels = sy.ClassCounts.from_indicators([[1, 0], [1, 1], [0, 0], [1, 0]])
    several = with_bias(2, sy.keras.OutputBias(labels))
    np.testing.assert_allclose(several.get_weights()[1], [np.log(3), -np.log(3)], rtol=1e-6)


def test_it_is_saved_with_the_model(tmp_path: Path) -> None:
    counts = sy.ClassCounts.from_counts({("a", 1): 900, "b": 100})  # labels that JSON has no types for
    model = with_bias(2, sy.keras.OutputBias(counts, sy.losses.focal(1.5)), dtype="mixed_float16")
    model.save(tmp_path / "m.keras")
    again = keras.models.load_model(tmp_path / "m.keras").layers[-1].bias_initializer
    assert isinstance(again, sy.keras.OutputBias)
    assert again.loss == sy.losses.focal(1.5)
    got = keras.ops.convert_to_numpy(again((2,), dtype="float16"))
    assert got.dtype == np.float16
    np.testing.assert_allclose(got, model.get_weights()[1], rtol=1e-3)
    labels = sy.keras.OutputBias(sy.ClassCounts.from_indicators([[1, 0], [1, 1], [0, 0]]))
    twin = keras.initializers.deserialize(keras.initializers.serialize(labels))
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(twin((2,))), keras.ops.convert_to_numpy(labels((2,))))


def test_a_layer_with_another_number_of_outputs() -> None:
    with pytest.raises(InputError, match=r"bias of shape \(3,\) for these counts; got \(4,\)"):
        with_bias(4, sy.keras.OutputBias(COUNTS))


# --- schedules --------------------------------------------------------------------------------------------------


class Counted(sy.keras.Loss):
    """Counts how often Python runs the loss: once per trace where a step is compiled."""

    calls = 0

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        self.calls += 1
        return super().__call__(*args, **kwargs)


class Traces(keras.callbacks.Callback):
    def __init__(self, loss: Counted) -> None:
        super().__init__()
        self.loss, self.seen = loss, []

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.seen.append(self.loss.calls)


def fit(model: Any, callbacks: list[Any], epochs: int, size: int = 32, **settings: Any) -> list[float]:
    history = model.fit(X, Y, batch_size=size, epochs=epochs, shuffle=False, verbose=0, callbacks=callbacks, **settings)
    assert set(history.history) == {"loss"}
    return list(history.history["loss"])


@pytest.mark.parametrize("gamma", [0.0, 2.0])
def test_deferred_weights(gamma: float) -> None:
    loss = Counted(sy.losses.focal(gamma), n_classes=3)
    model = compiled(loss, linear())
    schedule = sy.schedules.deferred(COUNTS, start=2, scheme="balanced")
    traces = Traces(loss)
    got = fit(model, [sy.keras.ClassWeightScheduler(schedule), traces], epochs=4)
    z, after = logits_of(model, X), sy.class_weight("balanced", COUNTS, normalize="n_classes")
    plain, weighted = (expected({"gamma": gamma, **w}, z, Y)[0] for w in ({}, {"class_weight": after}))
    np.testing.assert_allclose(got, [plain, plain, weighted, weighted], rtol=1e-5)
    assert loss.loss.replace(class_weight=None) == sy.losses.focal(gamma)
    if BACKEND == "tensorflow":
        assert len(set(traces.seen)) == 1  # nothing was traced after the first step
    elif BACKEND == "jax":
        assert traces.seen[0] == traces.seen[-1]


def test_a_resumed_training_goes_on_in_the_schedule() -> None:
    model = compiled(sy.keras.Loss(sy.losses.cross_entropy(), n_classes=3), linear())
    schedule = sy.schedules.deferred(COUNTS, start=2, scheme="balanced")
    got = fit(model, [sy.keras.ClassWeightScheduler(schedule)], epochs=3, initial_epoch=2)
    after = sy.class_weight("balanced", COUNTS)
    assert got == pytest.approx([expected({"class_weight": after}, logits_of(model, X), Y)[0]], rel=1e-5)


def test_batches_are_counted_over_all_epochs() -> None:
    model = compiled(sy.keras.Loss(sy.losses.cross_entropy(), n_classes=3), linear())
    schedule = sy.schedules.deferred(COUNTS, start=6, scheme="balanced")
    after = sy.class_weight("balanced", COUNTS)
    got = []
    for _ in range(2):  # a second fit goes on where the optimiser stands
        got += fit(model, [sy.keras.ClassWeightScheduler(schedule, unit="batch")], epochs=1, size=8)
    z = logits_of(model, X)
    parts = [slice(8 * i, 8 * i + 8) for i in range(4)]
    plain, weighted = ([expected(p, z[part], Y[part])[0] for part in parts] for p in ({}, {"class_weight": after}))
    assert got == pytest.approx([np.mean(plain), np.mean(plain[:2] + weighted[2:])], rel=1e-5)


@pytest.mark.parametrize("form", ["arrays", "batches", "one-hot"])
def test_recall_driven_weights_follow_the_rows(form: str) -> None:
    x_held, y_held = X[:20], Y[:20]
    rows = {
        "arrays": (x_held, y_held),
        "batches": [(x_held[:7], y_held[:7]), (x_held[7:], y_held[7:])],
        "one-hot": (x_held, np.eye(3)[y_held]),
    }[form]
    model = compiled(sy.keras.Loss(sy.losses.cross_entropy(), n_classes=3), linear())
    schedule = sy.schedules.recall_driven(COUNTS)
    got = fit(model, [sy.keras.ClassWeightScheduler(schedule, rows)], epochs=2)
    decided = logits_of(model, x_held).argmax(1)
    missed = np.array([(decided[y_held == c] != c).sum() for c in range(3)])
    w = np.maximum(missed, 1) / np.bincount(y_held)
    z = logits_of(model, X)
    assert len(set(w)) > 1
    assert got == pytest.approx([expected(p, z, Y)[0] for p in ({}, {"class_weight": w})], rel=1e-5)


def test_difficulty_driven_training_over_tokens_that_are_ignored() -> None:
    x, y = RNG.normal(size=(6, 5, 4)).astype(np.float32), np.arange(30).reshape(6, 5) % 3
    y[y == 1] = 0
    y[:, -1] = -1
    loss = sy.keras.Loss(sy.losses.cross_entropy(ignore_index=-1), n_classes=3)
    model = compiled(loss, linear(shape=(5, 4)))
    schedule = sy.schedules.difficulty([10, 10, 10], tau=2.0, normalize=None)
    model.fit(x, y, epochs=2, verbose=0, callbacks=[sy.keras.ClassWeightScheduler(schedule, (x, y))])
    decided, keep = logits_of(model, x).argmax(-1), y >= 0
    found = [float((decided[keep & (y == c)] == c).mean()) if (y == c).any() else 0.0 for c in range(3)]
    np.testing.assert_allclose(loss.loss.class_weight, (1.0 - np.array(found)) ** 2, rtol=1e-6)


def test_one_logit_and_one_of_several_losses() -> None:
    t = (np.arange(32) % 4 == 0).astype(np.float32)
    model = two_heads()
    flag = sy.keras.Loss(sy.losses.binary_cross_entropy(), n_classes=1)
    compiled({"kind": sy.keras.Loss(sy.losses.cross_entropy()), "flag": flag}, model)
    schedule = sy.schedules.recall_driven([24, 8])
    scheduler = sy.keras.ClassWeightScheduler(schedule, (X, t), loss=flag, output="flag")
    y = {"kind": Y, "flag": t[:, None]}
    history = model.fit(X, y, batch_size=32, epochs=2, shuffle=False, verbose=0, callbacks=[scheduler]).history
    z = np.asarray(model.predict(X, batch_size=32, verbose=0)["flag"], np.float64)[:, 0]
    missed = [max((z[t == c] > 0).astype(int).__ne__(c).sum(), 1) / (t == c).sum() for c in (0, 1)]
    ratio = missed[1] / missed[0]
    want = [expected_sigmoid(p, z, t) for p in ({}, {"pos_weight": ratio})]
    assert history["flag_loss"] == pytest.approx(want, rel=1e-5)


def test_a_schedule_needs_a_loss_that_can_be_switched() -> None:
    schedule = sy.schedules.deferred(COUNTS, start=1)
    for loss in (sy.keras.Loss(sy.losses.cross_entropy()), "sparse_categorical_crossentropy"):
        with pytest.raises(InputError, match=r"sy.keras.Loss\(loss, n_classes=…\)"):
            fit(compiled(loss, linear()), [sy.keras.ClassWeightScheduler(schedule)], epochs=1)
    with pytest.raises(InputError, match="a schedule of sy.schedules; got ndarray"):
        sy.keras.ClassWeightScheduler(np.ones(3))
    with pytest.raises(InputError, match="`unit` in {'epoch', 'batch'}"):
        sy.keras.ClassWeightScheduler(schedule, unit="step")
