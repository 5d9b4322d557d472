"""A Keras model of the user's own, against a plain Keras loop on the rows of the same steps."""

import numpy as np
import pytest

import steelyard as sy
from steelyard import strategies, training
from steelyard.errors import InputError
from steelyard.training import own, recipe

keras = pytest.importorskip("keras")

COUNTS = sy.ClassCounts.from_counts({0: 160, 1: 40})
RNG = np.random.default_rng(0)
Y = np.repeat([0, 1], [160, 40])
X = (RNG.normal(size=(200, 4)) + 0.7 * Y[:, None]).astype(np.float32)
STATE = 5


def make(n_features, n_classes):
    return keras.Sequential([keras.layers.Input((n_features,)), keras.layers.Dense(n_classes)])


def point(name):
    return training.resolve("own", strategies.get(name), COUNTS)


def fit(name, **options):
    trained, _ = own.source(make).fit(X, Y, point(name), 2, STATE, options)
    return trained


@pytest.mark.parametrize("name", ["none", "balanced"])
def test_it_is_trained_as_keras_trains_it(name):
    plan = recipe.plan(X, Y, point(name), 2, STATE, {"epochs": 5})
    weight = point(name).loss.parameters["class_weight"]
    weight = np.ones(2) if weight is None else weight
    with own.seeded(STATE):
        model = make(4, 2)
    rate = keras.optimizers.schedules.CosineDecay(4e-3, plan.steps)
    # Keras divides a batch's sum by its size; weights over their mean then give the constant denominator
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer=keras.optimizers.AdamW(rate, weight_decay=1e-4), loss=loss)
    mean = weight[Y[plan.batches.ravel()]].mean()
    for rows in plan.batches:
        model.train_on_batch(X[rows], Y[rows], sample_weight=(weight[Y[rows]] / mean).astype(np.float32))
    expected = model.predict(X, verbose=0)
    np.testing.assert_allclose(fit(name, epochs=5).logits(X), expected, atol=2e-5)


def test_the_same_seed_gives_the_same_model():
    before = fit("focal", epochs=2).logits(X)
    keras.random.normal((3,))
    np.testing.assert_array_equal(fit("focal", epochs=2).logits(X), before)


def test_the_weights_of_the_end_are_used_at_the_end():
    rare = {name: fit(name, epochs=40).logits(X).argmax(1).mean() for name in ("ldam", "ldam_drw")}
    assert rare["ldam_drw"] > rare["ldam"]


def test_a_softmax_at_the_end_is_refused():
    def softmaxed(n_features, n_classes):
        return keras.Sequential(
            [keras.layers.Input((n_features,)), keras.layers.Dense(n_classes, activation="softmax")]
        )

    with pytest.raises(InputError, match="no softmax after the last layer"):
        own.source(softmaxed).check(4, 2)


def test_a_model_that_is_built_already_is_refused():
    with pytest.raises(InputError, match="Keras model that is built already"):
        own.source(make(4, 2))


def test_weights_come_back_to_the_last_bit():
    trained = fit("none", epochs=1)
    facts, arrays = trained.state()
    again = own.source(make).restore(facts, arrays)
    np.testing.assert_array_equal(again.logits(X), trained.logits(X))


def test_another_factory_is_refused():
    facts, arrays = fit("none", epochs=1).state()

    def wider(n_features, n_classes):
        layers = [keras.layers.Input((n_features,)), keras.layers.Dense(3), keras.layers.Dense(n_classes)]
        return keras.Sequential(layers)

    with pytest.raises(own.FactoryError, match="the factory that built the stored model; got another"):
        own.source(wider).restore(facts, arrays)
