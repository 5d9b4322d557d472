"""Our objectives in LightGBM against LightGBM's own."""

import numpy as np
import pytest

import steelyard as sy
from tests.fronts.boosters import cells, check_posterior, losses, softmax, table

lgb = pytest.importorskip("lightgbm")

SETTINGS = {"num_threads": 1, "deterministic": True, "force_row_wise": True, "verbose": -1, "seed": 0}


def several(n_classes):
    return {"num_class": n_classes} if n_classes > 2 else {}


def train(objective, X, y, rounds=40, weight=None, **settings):
    sums = np.bincount(y, weights=weight, minlength=objective.n_classes)
    data = lgb.Dataset(X, y, weight=weight, init_score=objective.start(sums, len(y)))
    everything = {**SETTINGS, **several(objective.n_classes), **settings, "objective": objective}
    booster = lgb.train(everything, data, rounds)
    return booster, booster.predict(X, raw_score=True) + objective.initial_score(sums)


@pytest.mark.parametrize("n_classes", [2, 4])
@pytest.mark.parametrize("weighted", ["plain", "class_weight", "sample_weight"])
def test_trees_are_those_of_the_built_in_objective(n_classes, weighted):
    X, y = table(n_classes)
    # powers of two: products with them are exact, in whichever order a library rounds to float32
    w = 2.0 ** np.arange(n_classes) if weighted == "class_weight" else np.ones(n_classes)
    s = np.random.default_rng(1).uniform(0.5, 2.0, len(y)) if weighted == "sample_weight" else np.ones(len(y))
    name = "binary" if n_classes == 2 else "multiclass"
    objective = sy.boosting.lightgbm(sy.losses.weighted_cross_entropy(w), n_classes=n_classes)
    start = objective.start(np.bincount(y, weights=s), len(y))
    data = lgb.Dataset(X, y, weight=w[y] * s, init_score=start)
    built_in = lgb.train({**SETTINGS, **several(n_classes), "objective": name}, data, 40).trees_to_dataframe()
    ours = train(objective, X, y, weight=s)[0].trees_to_dataframe()
    assert ours["tree_index"].max() == 40 * (1 if n_classes == 2 else n_classes) - 1
    for column in ("tree_index", "node_index", "split_feature", "threshold", "decision_type", "count"):
        assert ours[column].equals(built_in[column]), column
    # LightGBM holds gradients and weights in float32
    np.testing.assert_allclose(ours["value"], built_in["value"], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("n_classes", [2, 4])
def test_start_is_that_of_boost_from_average(n_classes):
    # a custom objective equals the built-in one only with an initial score: LightGBM gives none by itself
    X, y = table(n_classes)
    name = "binary" if n_classes == 2 else "multiclass"
    built_in = lgb.train({**SETTINGS, **several(n_classes), "objective": name}, lgb.Dataset(X, y), 40).predict(X)
    built_in = np.stack([1 - built_in, built_in], 1) if n_classes == 2 else built_in
    objective = sy.boosting.lightgbm(sy.losses.cross_entropy(), n_classes=n_classes)
    np.testing.assert_allclose(softmax(objective.logits(train(objective, X, y)[1])), built_in, atol=1e-5)


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("name", losses(2))
def test_posterior_is_what_labels_were_drawn_from(name, n_classes):
    X, y, drawn, eta = cells(n_classes)
    objective = sy.boosting.lightgbm(losses(n_classes)[name], n_classes)
    exact = {"min_data_in_leaf": 1, "min_data_in_bin": 1, "min_sum_hessian_in_leaf": 0.0, "feature_pre_filter": False}
    raw = train(objective, X, y, 400, drawn, learning_rate=0.3, num_leaves=8, **exact)[1]
    check_posterior(objective.posterior(raw), drawn, eta)


def test_multi_class_focal_trains():
    X, y = table(4)
    objective = sy.boosting.lightgbm(sy.losses.focal(gamma=2.0), 4)
    start = objective.loss.value(objective.start(np.bincount(y), len(y)), y).mean()
    values = [objective.loss.value(train(objective, X, y, rounds)[1], y).mean() for rounds in (5, 20, 60)]
    assert start > values[0] > values[1] > values[2]
    assert values[2] < 0.1 * start


def test_later_takes_over_after_so_many_trees():
    X, y = table(2)
    early, late = sy.losses.cross_entropy(), sy.losses.weighted_cross_entropy([1.0, 30.0])
    both = train(sy.boosting.lightgbm(early, later=late, after=20), X, y)[0].trees_to_dataframe()
    alone = train(sy.boosting.lightgbm(early), X, y)[0].trees_to_dataframe()
    same = both["value"].reindex(alone.index) == alone["value"]
    assert same[alone["tree_index"] < 20].all()
    assert not same[alone["tree_index"] == 20].all()


def test_the_scikit_learn_estimator_takes_it_through_a_function_of_labels():
    X, y = table(4)
    objective = sy.boosting.lightgbm(sy.losses.cross_entropy(), 4)
    # LightGBM's estimator hands over labels and raw scores
    estimator = lgb.LGBMClassifier(
        objective=lambda y_true, raw: objective.gradient_and_curvature(raw, y_true), n_estimators=10, **SETTINGS
    )
    start = objective.start(np.bincount(y), len(y))
    estimator.fit(X, y, init_score=start)
    raw = estimator.predict(X, raw_score=True) + start
    data = lgb.Dataset(X, y, init_score=start)
    plain = lgb.train({**SETTINGS, "objective": "multiclass", "num_class": 4}, data, 10)
    np.testing.assert_allclose(raw, plain.predict(X, raw_score=True) + start, atol=1e-5)
