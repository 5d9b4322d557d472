"""Boosted trees of the comparison against plain LightGBM."""

import numpy as np
import pytest

import steelyard as sy
from steelyard import training
from steelyard.training.boosted import LightGBMTrees as BoostedTrees

lgb = pytest.importorskip("lightgbm")

PLAIN = {"num_threads": 1, "deterministic": True, "force_row_wise": True, "verbose": -1}


def data(n_classes, n=900):
    rng = np.random.default_rng(n_classes)
    y = rng.choice(n_classes, n, p=[0.8, 0.2] if n_classes == 2 else [0.7, 0.2, 0.1])
    return rng.normal(size=(n, 4)) + 0.7 * y[:, None], y


def trained(strategy, X, y, n_classes, **options):
    counts = sy.ClassCounts.from_labels(y, classes=range(n_classes))
    point = training.resolve("lightgbm", sy.strategies.get(strategy), counts)
    model = training.get("lightgbm", n_estimators=30, **options)
    return point, training.fit(model, X, y, point, n_classes, np.random.default_rng(0)).model


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("strategy", ["none", "balanced", "inverse_sqrt"])
def test_weights_equal_plain_lightgbm_with_weights(strategy, n_classes):
    X, y = data(n_classes)
    point, model = trained(strategy, X, y, n_classes)
    w = point.loss.class_weight
    settings = PLAIN | ({"objective": "binary"} if n_classes == 2 else {"objective": "multiclass", "num_class": 3})
    plain = lgb.train(settings | {"seed": 0}, lgb.Dataset(X, y, weight=None if w is None else w[y]), 30).predict(X)
    plain = np.stack([1 - plain, plain], 1) if n_classes == 2 else plain
    z = model.logits(X)
    e = np.exp(z - z.max(1, keepdims=True))
    np.testing.assert_allclose(e / e.sum(1, keepdims=True), plain, rtol=1e-9)


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("strategy", sy.strategies.names())
def test_every_strategy_trains_and_learns(strategy, n_classes):
    X, y = data(n_classes)
    point, model = trained(strategy, X, y, n_classes)
    proba = point.posterior(model.logits(X))
    np.testing.assert_allclose(proba.sum(1), 1.0)
    recalls = [(proba.argmax(1) == y)[y == k].mean() for k in range(n_classes)]
    assert np.mean(recalls) > 1.2 / n_classes
    # probabilities that are worse than the class shares would be say that training went astray
    shares = np.bincount(y) / len(y)
    assert -np.log(proba[np.arange(len(y)), y]).mean() < -np.log(shares[y]).mean()


def test_deferred_trees_take_the_later_loss():
    X, y = data(2)
    counts = sy.ClassCounts.from_labels(y)
    early = sy.losses.cross_entropy()
    late = sy.losses.weighted_cross_entropy([1.0, 20.0])
    model = training.get("lightgbm", n_estimators=20)

    def mean_score(defer):
        point = sy.strategies.get("none").resolve(counts)
        object.__setattr__(point, "loss", early)
        object.__setattr__(point, "later", late)
        object.__setattr__(point, "defer", defer)
        z = training.fit(model, X, y, point, 2, np.random.default_rng(0)).model.logits(X)
        return float((z[:, 1] - z[:, 0]).mean())

    assert mean_score(0.0) > mean_score(0.5) > mean_score(1.0)


def test_stored_trees_are_the_same_trees():
    X, y = data(3)
    _, model = trained("focal", X, y, 3)
    again = BoostedTrees.from_state(*model.state())
    np.testing.assert_array_equal(again.logits(X), model.logits(X))
