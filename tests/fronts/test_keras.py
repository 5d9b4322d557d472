"""The Keras loss, under the backend that KERAS_BACKEND names; `test_keras_backends.py` runs this file on the others."""

from __future__ import annotations

import copy
import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import steelyard as sy
from steelyard.errors import InputError
from tests.fronts.keras_models import compiled, evaluated, linear, logits_of
from tests.fronts.points import PAIRED, SIGMOID, SWITCHABLE, batch, expected, expected_sigmoid

pytestmark = [
    # Keras' own variables, when Keras hands them to NumPy 2
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning"),
    # torch's own, on import of the backend of torch.compile
    pytest.mark.filterwarnings("ignore:`torch.jit.script:DeprecationWarning"),
]

W = [0.5, 1.5, 4.0]
BACKEND = keras.backend.backend()
RNG = np.random.default_rng(0)
X = RNG.normal(size=(32, 4)).astype(np.float32)
Y = np.arange(32) % 3


# --- values -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PAIRED)
def test_called_with_arrays(name: str) -> None:
    loss, parameters = PAIRED[name]
    z, y = batch()
    for module in (sy.keras.Loss(loss), sy.keras.Loss(loss, n_classes=3, pairs=True)):
        value = float(module(y, z.astype(np.float32)))
        assert value == pytest.approx(expected(parameters, z, y)[0], rel=1e-5)


def test_keras_own_loss_where_nothing_is_weighted() -> None:
    model = compiled(sy.keras.Loss(sy.losses.cross_entropy()))
    ours = evaluated(model, X, Y)
    model.compile(loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    assert ours == pytest.approx(evaluated(model, X, Y), rel=1e-5)


@pytest.mark.parametrize(
    "mode",
    [
        {"jit_compile": False},
        {"run_eagerly": True},
        # torch.compile of a whole training step takes half a minute
        pytest.param({"jit_compile": True}, marks=pytest.mark.slow if BACKEND == "torch" else ()),
    ],
    ids=["graph", "eager", "jit"],
)
def test_one_step_of_gradient_descent_by_hand(mode: dict[str, Any]) -> None:
    loss, parameters = SWITCHABLE["VS"]
    model = compiled(sy.keras.Loss(loss), rate=0.5, **mode)
    z = logits_of(model, X)
    kernel, bias = (np.asarray(w, dtype=np.float64) for w in model.get_weights())
    model.fit(X, Y, batch_size=32, epochs=1, shuffle=False, verbose=0)
    _, slope = expected(parameters, z, Y)
    np.testing.assert_allclose(model.get_weights()[0], kernel - 0.5 * X.T @ slope, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(model.get_weights()[1], bias - 0.5 * slope.sum(0), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", ["VS", "smoothing"])
@pytest.mark.parametrize("form", ["int64", "uint8", "float32", "column", "float column", "one-hot", "one-hot integers"])
def test_forms_of_labels(form: str, name: str) -> None:
    labels = {
        "column": Y[:, None],
        "float column": Y[:, None].astype(np.float32),
        "one-hot": np.eye(3, dtype=np.float32)[Y],
        "one-hot integers": np.eye(3, dtype=np.int64)[Y],
    }.get(form)
    labels = Y.astype(form) if labels is None else labels
    model = compiled(sy.keras.Loss(SWITCHABLE[name][0]))
    want, _ = expected(SWITCHABLE[name][1], logits_of(model, X), Y)
    assert evaluated(model, X, labels) == pytest.approx(want, rel=1e-5)


@pytest.mark.parametrize("name", SIGMOID)
@pytest.mark.parametrize("shape", [(32,), (32, 1)])
@pytest.mark.parametrize("dtype", ["int64", "float32"])
def test_sigmoid_family_with_one_logit(name: str, shape: tuple[int, ...], dtype: str) -> None:
    loss, parameters = SIGMOID[name]
    t = (np.arange(32) % 2).astype(dtype)
    model = compiled(sy.keras.Loss(loss), linear(1))
    z = logits_of(model, X)[:, 0]
    assert evaluated(model, X, t.reshape(shape)) == pytest.approx(expected_sigmoid(parameters, z, t), rel=1e-5)


def test_several_labels() -> None:
    t = (RNG.random((32, 3)) < 0.4).astype(np.float32)
    loss = sy.losses.binary_cross_entropy(pos_weight=[2.0, 5.0, 9.0])
    model = compiled(sy.keras.Loss(loss), linear(3))
    want = expected_sigmoid({"pos_weight": [2.0, 5.0, 9.0]}, logits_of(model, X), t)
    assert evaluated(model, X, t) == pytest.approx(want, rel=1e-5)


def test_per_example_values() -> None:
    z, y = batch()
    module = sy.keras.Loss(sy.losses.cross_entropy(), n_classes=3)
    module.assign(SWITCHABLE["focal"][0])
    rows = [expected({"gamma": 2.0}, z[i : i + 1], y[i : i + 1])[0] * W[y[i]] for i in range(8)]
    got = keras.ops.convert_to_numpy(module.call(y, z.astype(np.float32)))
    np.testing.assert_allclose(got, rows, rtol=1e-5)


# --- weights of examples, masks ---------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(32,), (32, 1)])
def test_sample_weight(shape: tuple[int, ...]) -> None:
    s = RNG.uniform(0.1, 3.0, 32).astype(np.float32)
    model = compiled(sy.keras.Loss(SWITCHABLE["focal"][0]))
    want, _ = expected(SWITCHABLE["focal"][1], logits_of(model, X), Y, s)
    assert evaluated(model, X, Y, sample_weight=s.reshape(shape)) == pytest.approx(want, rel=1e-5)


def test_class_weight_of_fit_is_class_weight_of_the_loss() -> None:
    """Both divide Σ w·ℓ by Σ w, where Keras' own loss divides by the number of rows."""
    kernels, losses = [], []
    for inside, argument in ((W, None), (None, dict(enumerate(W)))):
        model = compiled(sy.keras.Loss(sy.losses.SoftmaxCrossEntropy(class_weight=inside)), rate=0.5)
        history = model.fit(X, Y, batch_size=32, shuffle=False, verbose=0, class_weight=argument)
        kernels.append(model.get_weights()[0])
        losses.append(history.history["loss"][0])
    np.testing.assert_allclose(kernels[0], kernels[1], rtol=1e-5)
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)

    model = compiled(keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    theirs = model.fit(X, Y, batch_size=32, shuffle=False, verbose=0, class_weight=dict(enumerate(W)))
    assert theirs.history["loss"][0] * 32 / np.take(W, Y).sum() == pytest.approx(losses[0], rel=1e-5)


def test_class_weights_for_targets_over_time() -> None:
    """fit(class_weight=…) takes an argmax over time here; weights in the loss go by each label."""
    x, y = RNG.normal(size=(6, 5, 4)).astype(np.float32), np.arange(30).reshape(6, 5) % 3
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.layers.Input((5, 4)), keras.layers.Dense(3)])
    compiled(sy.keras.Loss(SWITCHABLE["weighted"][0]), model)
    want, _ = expected(SWITCHABLE["weighted"][1], logits_of(model, x).reshape(-1, 3), y.ravel())
    for labels in (y, y[..., None]):
        # compiled again, because TensorFlow gives up on the rank of labels whose rank changes
        assert evaluated(compiled(model.loss, model), x, labels) == pytest.approx(want, rel=1e-5)


def test_classes_on_axis_1() -> None:
    x, y = RNG.normal(size=(4, 2, 5)).astype(np.float32), np.arange(20).reshape(4, 5) % 2
    model = keras.Sequential([keras.layers.Input((2, 5)), keras.layers.Rescaling(1.0)])
    loss = sy.keras.Loss(sy.losses.weighted_cross_entropy([1.0, 4.0]), class_axis=1)
    want, _ = expected({"class_weight": [1.0, 4.0]}, np.moveaxis(x, 1, -1).reshape(-1, 2), y.ravel())
    for labels in (y, y[:, None]):
        assert evaluated(compiled(loss, model), x, labels) == pytest.approx(want, rel=1e-5)


@pytest.mark.parametrize("wrapped", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
def test_masks(wrapped: bool, weighted: bool) -> None:
    tokens = np.array([[3, 1, 0, 0], [2, 5, 4, 0], [1, 0, 0, 0], [4, 4, 1, 2]])
    y = np.arange(16).reshape(4, 4) % 3
    s = np.array([1.0, 0.5, 3.0, 0.0], dtype=np.float32) if weighted else None
    keras.utils.set_random_seed(0)
    head = keras.layers.Dense(3)
    model = keras.Sequential(
        [
            keras.layers.Input((4,)),
            keras.layers.Embedding(6, 4, mask_zero=True, embeddings_initializer="normal"),
            keras.layers.TimeDistributed(head) if wrapped else head,
        ]
    )
    compiled(sy.keras.Loss(SWITCHABLE["VS"][0], n_classes=3), model)
    keep = tokens != 0
    rows = None if s is None else np.broadcast_to(s[:, None], (4, 4))[keep]
    want, _ = expected(SWITCHABLE["VS"][1], logits_of(model, tokens)[keep], y[keep], 1.0 if rows is None else rows)
    assert evaluated(model, tokens, y, sample_weight=s) == pytest.approx(want, rel=1e-5)


def test_everything_masked_is_a_loss_of_0() -> None:
    model = keras.Sequential(
        [keras.layers.Input((4,)), keras.layers.Embedding(6, 4, mask_zero=True), keras.layers.Dense(3)]
    )
    compiled(sy.keras.Loss(SWITCHABLE["weighted"][0]), model, rate=0.1)
    before = model.get_weights()
    history = model.fit(np.zeros((2, 4), int), np.zeros((2, 4), int), verbose=0)
    assert history.history["loss"] == [0.0]
    for a, b in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


# --- precision, several outputs, training -----------------------------------------------------------------------


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision(policy: str) -> None:
    model = linear(dtype=keras.DTypePolicy(policy))
    optimizer = keras.optimizers.SGD(0.1)
    if policy == "mixed_float16":
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer, initial_scale=256.0)
    model.compile(optimizer=optimizer, loss=sy.keras.Loss(SWITCHABLE["focal"][0], n_classes=3))
    before = model.get_weights()[0]
    z = logits_of(model, X)
    want, slope = expected(SWITCHABLE["focal"][1], z, Y)
    assert evaluated(model, X, Y) == pytest.approx(want, rel=1e-4)
    model.fit(X, Y, batch_size=32, shuffle=False, verbose=0)
    np.testing.assert_allclose(model.get_weights()[0] - before, -0.1 * X.T @ slope, rtol=0.05, atol=2e-4)


def test_two_outputs_with_two_losses() -> None:
    keras.utils.set_random_seed(0)
    inputs = keras.Input((4,))
    heads = {"kind": keras.layers.Dense(3, name="kind")(inputs), "flag": keras.layers.Dense(1, name="flag")(inputs)}
    model = keras.Model(inputs, heads)
    kind = sy.keras.Loss(sy.losses.cross_entropy(), n_classes=3)
    flag = sy.keras.Loss(sy.losses.binary_cross_entropy(), n_classes=1)
    kind.attach(model)
    flag.attach(model)
    model.compile(
        optimizer=keras.optimizers.SGD(0.0), loss={"kind": kind, "flag": flag}, loss_weights={"kind": 1.0, "flag": 0.5}
    )
    t = np.arange(32) % 2
    out = {k: np.asarray(v, np.float64) for k, v in model.predict(X, batch_size=32, verbose=0).items()}
    for (first, a), (second, b) in zip(SWITCHABLE.values(), SIGMOID.values(), strict=False):
        kind.assign(first)
        flag.assign(second)
        history = model.fit(X, {"kind": Y, "flag": t}, batch_size=32, verbose=0).history
        want = expected(a, out["kind"], Y)[0], expected_sigmoid(b, out["flag"][:, 0], t)
        assert history["kind_loss"][0] == pytest.approx(want[0], rel=1e-5)
        assert history["flag_loss"][0] == pytest.approx(want[1], rel=1e-5)
        assert history["loss"][0] == pytest.approx(want[0] + 0.5 * want[1], rel=1e-5)


def test_fit_beats_chance_on_the_rare_class() -> None:
    y = (np.arange(400) % 20 == 0).astype(int)
    x = (np.random.default_rng(0).normal(size=(400, 2)) + 2.5 * y[:, None]).astype(np.float32)
    counts = sy.ClassCounts.from_labels(y)
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.layers.Input((2,)), keras.layers.Dense(2)])
    model.compile(optimizer=keras.optimizers.SGD(0.5), loss=sy.keras.Loss(sy.losses.logit_adjusted(counts)))
    model.fit(x, y, batch_size=100, epochs=40, verbose=0)
    predicted = logits_of(model, x).argmax(1)
    assert min((predicted[y == c] == c).mean() for c in (0, 1)) > 0.8


# --- switching --------------------------------------------------------------------------------------------------


class Counted(sy.keras.Loss):
    """Counts how often Python runs the loss: once per trace where a step is compiled."""

    calls = 0

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        self.calls += 1
        return super().__call__(*args, **kwargs)


def graphs_of_torch() -> int:
    from torch._dynamo.utils import counters

    return int(counters["stats"]["unique_graphs"])


class Switch(keras.callbacks.Callback):
    def __init__(self, loss: Any, each_batch: bool = False) -> None:
        super().__init__()
        self.loss, self.each_batch, self.plan = loss, each_batch, iter(PAIRED.values())
        self.calls: list[int] = []

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        if not self.each_batch:
            self.loss.assign(next(self.plan)[0])

    def on_train_batch_begin(self, step: int, logs: Any = None) -> None:
        if self.each_batch:
            self.loss.assign(next(self.plan)[0])

    def on_train_batch_end(self, step: int, logs: Any = None) -> None:
        self.calls.append(graphs_of_torch() if BACKEND == "torch" else self.loss.calls)


def kinds_of_models() -> dict[str, Any]:
    def functional() -> Any:
        inputs = keras.Input((4,))
        return keras.Model(inputs, keras.layers.Dense(3)(inputs))

    class Subclassed(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.head = keras.layers.Dense(3)

        def call(self, x: Any) -> Any:
            return self.head(x)

    unbuilt = keras.Sequential([keras.layers.Dense(3)])
    return {"built": linear(), "unbuilt": unbuilt, "functional": functional(), "subclassed": Subclassed()}


@pytest.mark.parametrize("kind", ["built", "unbuilt", "functional", "subclassed"])
@pytest.mark.parametrize("jit_compile", [False, pytest.param(True, marks=() if BACKEND == "jax" else pytest.mark.slow)])
def test_a_callback_switches_the_loss_at_every_epoch(kind: str, jit_compile: bool) -> None:
    model = kinds_of_models()[kind]
    # torch.compile would take a counter in Python for a reason to compile again; its own counter is read there
    made = sy.keras.Loss if BACKEND == "torch" else Counted
    loss = made(sy.losses.cross_entropy(), n_classes=3, pairs=True)
    loss.attach(model)
    model.compile(optimizer=keras.optimizers.SGD(0.0), loss=loss, jit_compile=jit_compile)
    switch = Switch(loss)
    history = model.fit(X, Y, batch_size=32, epochs=len(PAIRED), verbose=0, callbacks=[switch])
    z = logits_of(model, X)
    want = [expected(parameters, z, Y)[0] for _, parameters in PAIRED.values()]
    np.testing.assert_allclose(history.history["loss"], want, rtol=1e-5)
    assert list(history.history) == ["loss"]
    if BACKEND == "tensorflow" or jit_compile:
        # nothing was traced or compiled later; Keras' step on torch is compiled twice, once without gradients to zero
        assert switch.calls[1 if BACKEND == "torch" else 0] == switch.calls[-1]


def test_a_callback_switches_the_loss_between_batches() -> None:
    model = linear()
    loss = Counted(sy.losses.cross_entropy(), n_classes=3, pairs=True)
    loss.attach(model)
    compiled(loss, model)
    z = logits_of(model, X)
    model.fit(X, Y, batch_size=8, shuffle=False, verbose=0, callbacks=[Switch(loss, each_batch=True)])
    plan = list(PAIRED.values())[:4]
    parts = [expected(p, z[8 * i : 8 * i + 8], Y[8 * i : 8 * i + 8])[0] for i, (_, p) in enumerate(plan)]
    assert model.history.history["loss"][0] == pytest.approx(np.mean(parts), rel=1e-5)
    np.testing.assert_allclose(loss.loss.logit_offset, plan[3][1]["logit_offset"], rtol=1e-6)


def test_evaluation_sees_the_switched_loss() -> None:
    model = linear()
    loss = sy.keras.Loss(sy.losses.cross_entropy(), n_classes=3)
    loss.attach(model)
    compiled(loss, model)
    for core, parameters in SWITCHABLE.values():
        loss.assign(core)
        assert evaluated(model, X, Y) == pytest.approx(expected(parameters, logits_of(model, X), Y)[0], rel=1e-5)


def test_attaching_changes_no_weights() -> None:
    model = linear()
    weights = [w.shape for w in model.weights]
    loss = sy.keras.Loss(sy.losses.cross_entropy(), n_classes=3, pairs=True)
    loss.attach(model)
    loss.attach(model)
    compiled(loss, model)
    model.fit(X, Y, verbose=0)
    assert [w.shape for w in model.weights] == weights
    assert [layer.name for layer in model.layers] == ["dense"] or len(model.layers) == 1
    assert model.count_params() == 15


@pytest.mark.skipif(BACKEND != "jax", reason="only JAX compiles the parameters into the step")
def test_jax_without_attach() -> None:
    model = linear()
    loss = sy.keras.Loss(sy.losses.cross_entropy(), n_classes=3)
    loss.assign(sy.losses.focal())  # nothing was compiled yet: this is seen
    compiled(loss, model)
    assert evaluated(model, X, Y) == pytest.approx(expected({"gamma": 2.0}, logits_of(model, X), Y)[0], rel=1e-5)
    with pytest.raises(InputError, match="`attach\\(model\\)` before `fit`.*as constants.*after model.compile"):
        loss.assign(sy.losses.cross_entropy())
    loss.attach(model)
    loss.assign(sy.losses.cross_entropy())
    assert evaluated(model, X, Y) == pytest.approx(expected({}, logits_of(model, X), Y)[0], rel=1e-5)


@pytest.mark.skipif(BACKEND != "jax", reason="a call on the other backends does nothing")
def test_attach_needs_n_classes() -> None:
    with pytest.raises(InputError, match="built with n_classes=…; got one without"):
        sy.keras.Loss(sy.losses.cross_entropy()).attach(linear())


# --- saving -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n_classes", [None, 3])
def test_config(n_classes: int | None) -> None:
    module = sy.keras.Loss(SWITCHABLE["VS"][0], n_classes=n_classes, class_axis=1, name="vs")
    again = sy.keras.Loss.from_config(module.get_config())
    assert (again.n_classes, again.class_axis, again.name) == (n_classes, 1, "vs")
    z, y = batch()
    assert float(again(y, z.astype(np.float32))) == pytest.approx(expected(SWITCHABLE["VS"][1], z, y)[0], rel=1e-5)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_copies(copied: Any) -> None:
    z, y = batch()
    module = sy.keras.Loss(sy.losses.focal(), n_classes=3)
    twin = copied(module)
    twin.assign(SWITCHABLE["VS"][0])
    assert float(twin(y, z.astype(np.float32))) == pytest.approx(expected(SWITCHABLE["VS"][1], z, y)[0], rel=1e-5)
    assert module.loss == sy.losses.focal()


def test_serialized_as_keras_does() -> None:
    module = sy.keras.Loss(sy.losses.focal(), n_classes=3, pairs=True)
    module.assign(PAIRED["by prediction"][0])
    data = keras.losses.serialize(module)
    assert data["registered_name"] == "steelyard>Loss"
    again = keras.losses.deserialize(data)
    assert again.loss == PAIRED["by prediction"][0]
    again.assign(PAIRED["cost term"][0])


_TWO_REPLICAS = """
import numpy as np
import tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
import keras
import steelyard as sy
import steelyard.keras
x, y = np.random.default_rng(0).normal(size=(32, 4)).astype("float32"), np.arange(32) % 3
for strategy in (tf.distribute.get_strategy(), tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])):
    keras.utils.set_random_seed(0)
    with strategy.scope():
        model = keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(3)])
        model.compile(optimizer=keras.optimizers.SGD(0.5), loss=sy.keras.Loss(sy.losses.cross_entropy(), n_classes=3))
    history = model.fit(x, y, batch_size=32, shuffle=False, verbose=0).history
    print(*history["loss"], *model.get_weights()[0].ravel())
"""


@pytest.mark.skipif(BACKEND != "tensorflow", reason="tf.distribute")
def test_two_replicas_train_as_one() -> None:
    run = subprocess.run([sys.executable, "-c", _TWO_REPLICAS], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    one, two = (np.array(line.split(), dtype=float) for line in run.stdout.strip().split("\n")[-2:])
    np.testing.assert_allclose(two, one, rtol=1e-5, atol=1e-6)


_FRESH = """
import sys
import keras, numpy as np
path, x, y = sys.argv[1], np.load(sys.argv[2]), np.load(sys.argv[3])
try:
    keras.models.load_model(path)
except TypeError as error:
    print("refused:", "Could not locate" in str(error))
import steelyard.keras
model = keras.models.load_model(path)
print(repr(float(model.evaluate(x, y, batch_size=len(x), verbose=0))))
model.loss.attach(model)
import steelyard as sy
model.loss.assign(sy.losses.cross_entropy())
print(repr(float(model.evaluate(x, y, batch_size=len(x), verbose=0))))
"""


def test_a_saved_model_in_a_fresh_process(tmp_path: Path) -> None:
    model = linear()
    loss = sy.keras.Loss(sy.losses.cross_entropy(), n_classes=3)
    loss.attach(model)
    compiled(loss, model, rate=0.1)
    model.fit(X, Y, verbose=0)
    loss.assign(SWITCHABLE["VS"][0])
    model.save(tmp_path / "m.keras")
    np.save(tmp_path / "x.npy", X)
    np.save(tmp_path / "y.npy", Y)
    files = [str(tmp_path / name) for name in ("m.keras", "x.npy", "y.npy")]
    run = subprocess.run(
        [sys.executable, "-c", _FRESH, *files],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "KERAS_BACKEND": BACKEND},
    )
    assert run.returncode == 0, run.stderr
    refused, switched, plain = run.stdout.split("\n")[:3]
    assert refused == "refused: True"  # Keras does not import what a file names
    z = logits_of(model, X)
    assert float(switched) == pytest.approx(expected(SWITCHABLE["VS"][1], z, Y)[0], rel=1e-5)
    assert float(plain) == pytest.approx(expected({}, z, Y)[0], rel=1e-5)


def test_posterior() -> None:
    z, _ = batch()
    odds = np.exp(z) / W
    got = sy.keras.Loss(sy.losses.weighted_cross_entropy(W), n_classes=3).posterior(z.astype(np.float32))
    np.testing.assert_allclose(keras.ops.convert_to_numpy(got), odds / odds.sum(1, keepdims=True), rtol=1e-5)


# --- what is refused --------------------------------------------------------------------------------------------


def test_assign_needs_n_classes() -> None:
    with pytest.raises(InputError, match="built with n_classes=…; got one without.*sy.keras.Loss"):
        sy.keras.Loss(sy.losses.cross_entropy()).assign(sy.losses.focal())


def test_assign_of_other_settings() -> None:
    module = sy.keras.Loss(sy.losses.cross_entropy(), n_classes=3)
    with pytest.raises(InputError, match="weight_by='target', as this module was built with; got 'prediction'"):
        module.assign(PAIRED["by prediction"][0])
    with pytest.raises(InputError, match="a SoftmaxCrossEntropy to assign; got SigmoidCrossEntropy"):
        module.assign(SIGMOID["focal"][0])


def test_pairs_need_n_classes() -> None:
    with pytest.raises(InputError, match="`n_classes` with pairs=True"):
        sy.keras.Loss(sy.losses.cross_entropy(), pairs=True)


def test_hard_weights_are_no_pairs() -> None:
    hard = sy.losses.weighted_cross_entropy(W, weight_by="prediction_hard")
    with pytest.raises(InputError, match="no special case"):
        sy.keras.Loss(hard, n_classes=3, pairs=True)


def test_keras_reductions() -> None:
    with pytest.raises(InputError, match="reduction='sum_over_batch_size'.*loss.replace"):
        sy.keras.Loss(sy.losses.cross_entropy(), reduction="sum_over_batch_size")


def test_labels_that_are_no_classes() -> None:
    with pytest.raises(InputError, match=r"class indices.*got \[0.0, 0.5\]"):
        sy.keras.Loss(sy.losses.cross_entropy())(np.array([0.0, 0.5]), np.zeros((2, 3), np.float32))


def test_logits_of_another_number_of_classes() -> None:
    with pytest.raises(InputError, match="logits of 4 classes on axis -1"):
        compiled(sy.keras.Loss(sy.losses.cross_entropy(), n_classes=4), run_eagerly=True).evaluate(X, Y, verbose=0)


def test_symbolic_tensors() -> None:
    with pytest.raises(InputError, match="a symbolic KerasTensor.*model.compile"):
        sy.losses.cross_entropy()(keras.Input((3,)), np.array([0]))


def test_the_core_takes_keras_variables() -> None:
    z, y = batch()
    value = sy.losses.weighted_cross_entropy(W)(keras.Variable(z.astype(np.float32)), y)
    assert float(keras.ops.convert_to_numpy(value)) == pytest.approx(expected({"class_weight": W}, z, y)[0], rel=1e-5)
