"""Our objectives in LightGBM against LightGBM's own."""

import numpy as np
import pytest

import steelyard as sy
from steelyard.errors import InputError

lgb = pytest.importorskip("lightgbm")

SETTINGS = {"num_threads": 1, "deterministic": True, "force_row_wise": True, "verbose": -1, "seed": 0}


def table(n_classes, n=1500):
    rng = np.random.default_rng(n_classes)
    priors = np.array([0.9, *[0.1 / (n_classes - 1)] * (n_classes - 1)])
    y = rng.choice(n_classes, n, p=priors)
    return rng.normal(size=(n, 5)) + 0.6 * y[:, None], y


def train(objective, X, y, rounds=40, weight=None):
    extra = {"num_class": objective.n_classes} if objective.n_classes > 2 else {}
    sums = np.bincount(y, weights=weight, minlength=objective.n_classes)
    data = lgb.Dataset(X, y, weight=weight, init_score=objective.start(sums, len(y)))
    booster = lgb.train({**SETTINGS, **extra, "objective": objective}, data, rounds)
    return booster.predict(X, raw_score=True) + objective.initial_score(sums)


def softmax(z):
    e = np.exp(z - z.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


@pytest.mark.parametrize("n_classes", [2, 4])
@pytest.mark.parametrize("weighted", ["plain", "class_weight", "sample_weight"])
def test_equals_the_built_in_objective(n_classes, weighted):
    X, y = table(n_classes)
    w = np.linspace(1.0, 8.0, n_classes) if weighted == "class_weight" else np.ones(n_classes)
    s = np.random.default_rng(1).uniform(0.5, 2.0, len(y)) if weighted == "sample_weight" else None
    name = "binary" if n_classes == 2 else "multiclass"
    extra = {"num_class": n_classes} if n_classes > 2 else {}
    data = lgb.Dataset(X, y, weight=w[y] if s is None else s)
    built_in = lgb.train({**SETTINGS, **extra, "objective": name}, data, 40).predict(X)
    built_in = np.stack([1 - built_in, built_in], 1) if n_classes == 2 else built_in
    objective = sy.boosting.lightgbm(sy.losses.weighted_cross_entropy(w), n_classes=n_classes)
    raw = train(objective, X, y, weight=s)
    # LightGBM holds gradients and weights in float32
    np.testing.assert_allclose(softmax(objective.logits(raw)), built_in, atol=1e-5)


@pytest.mark.parametrize("n_classes", [2, 4])
def test_posterior_brings_the_class_shares_back(n_classes):
    X, y = table(n_classes, n=4000)
    counts = np.bincount(y)
    for loss in (sy.losses.logit_adjusted(counts), sy.losses.focal(gamma=2.0), sy.losses.ldam(counts, scale=1.0)):
        objective = sy.boosting.lightgbm(loss, n_classes=n_classes)
        proba = objective.posterior(train(objective, X, y))
        np.testing.assert_allclose(proba.sum(1), 1.0)
        np.testing.assert_allclose(proba.mean(0), counts / len(y), atol=0.02)


def test_initial_score_by_hand():
    # weighted: log(w₁ n₁ / w₀ n₀); logit adjustment: log(n₁/n₀) − log(π₁/π₀) = 0
    weighted = sy.boosting.lightgbm(sy.losses.weighted_cross_entropy([1.0, 3.0]))
    np.testing.assert_allclose(weighted.initial_score([900, 100]), [np.log(300 / 900)], atol=1e-8)
    adjusted = sy.boosting.lightgbm(sy.losses.logit_adjusted([900, 100]))
    np.testing.assert_allclose(adjusted.initial_score([900, 100]), [0.0], atol=1e-8)
    several = sy.boosting.lightgbm(sy.losses.cross_entropy(), n_classes=3).initial_score([70, 20, 10])
    np.testing.assert_allclose(softmax(several[None])[0], [0.7, 0.2, 0.1], atol=1e-8)


def test_curvature_is_positive_where_focal_loss_is_not_convex():
    objective = sy.boosting.lightgbm(sy.losses.focal(gamma=2.0))
    _, h = objective.gradient_and_curvature(np.linspace(-40.0, 40.0, 401), np.zeros(401, int))
    assert (h > 0).all()


def test_bad_input():
    with pytest.raises(InputError, match="n_classes"):
        sy.boosting.lightgbm(sy.losses.cross_entropy(), n_classes=1)
    with pytest.raises(InputError, match="3 classes"):
        sy.boosting.lightgbm(sy.losses.cross_entropy(), n_classes=3).initial_score([1, 2])
