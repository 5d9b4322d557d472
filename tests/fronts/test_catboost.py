"""Our objectives in CatBoost against CatBoost's own."""

import json

import numpy as np
import pytest

import steelyard as sy
from steelyard.boosting import weights_and_offsets
from tests.fronts.boosters import cells, check_posterior, losses, table

cb = pytest.importorskip("catboost")

SETTINGS = {
    "thread_count": 1,
    "random_seed": 0,
    "logging_level": "Silent",
    "allow_writing_files": False,
    "leaf_estimation_method": "Newton",
    "leaf_estimation_iterations": 1,
    "learning_rate": 0.2,
}


def settings_of(n_classes):
    own = {"eval_metric": "Logloss", "bootstrap_type": "MVS", "subsample": 0.8}
    return own if n_classes == 2 else {"eval_metric": "MultiClass", "bootstrap_type": "Bayesian"}


def train(objective, X, y, rounds=10, weight=None, callbacks=None, **settings):
    sums = np.bincount(y, weights=weight, minlength=objective.n_classes)
    pool = cb.Pool(X, y, weight=weight, baseline=objective.start(sums, len(y)))
    everything = {**SETTINGS, **(settings or settings_of(objective.n_classes)), "iterations": rounds}
    booster = cb.CatBoost({**everything, "loss_function": objective}).fit(pool, callbacks=callbacks)
    return booster, booster.predict(X, prediction_type="RawFormulaVal") + objective.initial_score(sums)


def trees(booster, folder):
    booster.save_model(str(folder / "trees.json"), format="json")
    grown = json.loads((folder / "trees.json").read_text())["oblivious_trees"]
    return [([(s["float_feature_index"], s["border"]) for s in t["splits"]], t["leaf_values"]) for t in grown]


@pytest.mark.parametrize("n_classes", [2, 4])
@pytest.mark.parametrize("weighted", ["plain", "class_weight", "sample_weight"])
def test_trees_are_those_of_the_built_in_objective(n_classes, weighted, tmp_path):
    X, y = table(n_classes, 300 if n_classes > 2 else 1500)
    w = np.linspace(1.0, 3.0, n_classes) if weighted == "class_weight" else np.ones(n_classes)
    s = np.random.default_rng(1).uniform(0.5, 2.0, len(y)) if weighted == "sample_weight" else np.ones(len(y))
    # CatBoost scores splits by sums of row weights, which a weight inside the loss is not: it goes to the rows
    omega, _ = weights_and_offsets(sy.losses.weighted_cross_entropy(w), y, n_classes)
    weight = s if omega is None else s * omega
    objective = sy.boosting.catboost(sy.losses.cross_entropy(), n_classes=n_classes)
    ours, _ = train(objective, X, y, weight=weight)
    own = {"loss_function": "Logloss" if n_classes == 2 else "MultiClass", "class_weights": list(w)}
    start = objective.start(np.bincount(y, weights=weight), len(y))
    everything = {**SETTINGS, **settings_of(n_classes), "iterations": 10, **own}
    built_in = cb.CatBoost(everything).fit(cb.Pool(X, y, weight=s, baseline=start))
    ours, theirs = trees(ours, tmp_path), trees(built_in, tmp_path)
    assert len(ours) == len(theirs) == 10
    for (splits, leaves), (same_splits, same_leaves) in zip(ours, theirs, strict=True):
        assert splits == same_splits
        np.testing.assert_allclose(leaves, same_leaves, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("name", losses(2))
def test_posterior_is_what_labels_were_drawn_from(name, n_classes):
    X, y, drawn, eta = cells(n_classes)
    objective = sy.boosting.catboost(losses(n_classes)[name], n_classes)
    exact = {"l2_leaf_reg": 0.0, "bootstrap_type": "No", "random_strength": 0.0, "depth": 3, "learning_rate": 0.3}
    raw = train(objective, X, y, 100, drawn, eval_metric="Logloss" if n_classes == 2 else "MultiClass", **exact)[1]
    check_posterior(objective.posterior(raw), drawn, eta)


def test_multi_class_focal_trains():
    X, y = table(4, 300)
    objective = sy.boosting.catboost(sy.losses.focal(gamma=2.0), 4)
    start = objective.loss.value(objective.start(np.bincount(y), len(y)), y).mean()
    values = [objective.loss.value(train(objective, X, y, rounds)[1], y).mean() for rounds in (2, 6, 15)]
    assert start > values[0] > values[1] > values[2]
    assert values[2] < 0.5 * start


def test_later_takes_over_after_so_many_trees(tmp_path):
    X, y = table(2)
    early, late = sy.losses.cross_entropy(), sy.losses.weighted_cross_entropy([1.0, 30.0])
    deferred = sy.boosting.catboost(early, later=late, after=4)
    both = trees(train(deferred, X, y, callbacks=[deferred])[0], tmp_path)
    alone = trees(train(sy.boosting.catboost(early), X, y)[0], tmp_path)
    assert both[:4] == alone[:4]
    assert both[4] != alone[4]


def test_multi_class_derivatives_are_a_gradient_and_a_matrix():
    loss = sy.losses.focal(gamma=2.0, class_weight=[1.0, 2.0, 3.0])
    objective = sy.boosting.catboost(loss)
    z = np.array([0.3, -1.0, 2.0])
    first, second = objective.calc_ders_multi(z, 1.0, 0.5)
    g, h = objective.gradient_and_curvature(z[None], np.array([1]), np.array([0.5]))
    np.testing.assert_allclose(first, -g[0], rtol=1e-12)
    np.testing.assert_allclose(np.diag(second), -h[0], rtol=1e-12)
