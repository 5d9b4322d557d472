"""Our objectives in XGBoost against XGBoost's own."""

import numpy as np
import pytest

import steelyard as sy
from tests.fronts.boosters import cells, check_posterior, losses, table

xgb = pytest.importorskip("xgboost")

SETTINGS = {"nthread": 1, "seed": 0, "verbosity": 1}


def several(n_classes):
    return {"num_class": n_classes} if n_classes > 2 else {}


def train(objective, X, y, rounds=20, weight=None, **settings):
    start = objective.start(np.bincount(y, weights=weight, minlength=objective.n_classes), len(y))
    data = xgb.DMatrix(X, y, weight=weight, base_margin=start)
    everything = {**SETTINGS, **several(objective.n_classes), "base_score": 0.0, **settings}
    booster = xgb.train(everything, data, rounds, obj=objective)
    return booster, booster.predict(xgb.DMatrix(X, base_margin=start), output_margin=True)


@pytest.mark.parametrize("n_classes", [2, 4])
@pytest.mark.parametrize("weighted", ["plain", "class_weight", "sample_weight"])
def test_trees_are_those_of_the_built_in_objective(n_classes, weighted):
    X, y = table(n_classes)
    # powers of two: products with them are exact, in whichever order a library rounds to float32
    w = 2.0 ** np.arange(n_classes) if weighted == "class_weight" else np.ones(n_classes)
    s = np.random.default_rng(1).uniform(0.5, 2.0, len(y)) if weighted == "sample_weight" else np.ones(len(y))
    name = "binary:logistic" if n_classes == 2 else "multi:softprob"
    # weights of classes in the loss are not seen by the sketch of quantiles, which rows of equal weight are
    few = np.round(X * 8) / 8
    data = xgb.DMatrix(few, y, weight=w[y] * s)
    built_in = xgb.train({**SETTINGS, **several(n_classes), "objective": name}, data, 20)
    objective = sy.boosting.xgboost(sy.losses.weighted_cross_entropy(w), n_classes=n_classes)
    booster, raw = train(objective, few, y, weight=s)
    ours, theirs = booster.trees_to_dataframe(), built_in.trees_to_dataframe()
    assert ours["Tree"].max() == 20 * (1 if n_classes == 2 else n_classes) - 1
    for column in ("Tree", "Node", "Feature", "Split", "Yes"):
        assert ours[column].equals(theirs[column]), column
    leaves = ours["Feature"] == "Leaf"
    # gradients are float32, and so are sums of them
    np.testing.assert_allclose(ours["Gain"][leaves], theirs["Gain"][leaves], rtol=2e-3, atol=2e-4)
    # XGBoost starts from the average by itself: the same scores
    np.testing.assert_allclose(raw, built_in.predict(data, output_margin=True), atol=2e-4)


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("name", losses(2))
def test_posterior_is_what_labels_were_drawn_from(name, n_classes):
    X, y, drawn, eta = cells(n_classes)
    objective = sy.boosting.xgboost(losses(n_classes)[name], n_classes)
    exact = {"reg_lambda": 0.0, "min_child_weight": 0.0, "max_depth": 3}
    # XGBoost splits nothing that gains less than 1e-6, and gains grow with weights
    raw = train(objective, X, y, 400, 1e4 * drawn, learning_rate=0.3, **exact)[1]
    check_posterior(objective.posterior(raw), drawn, eta)


def test_multi_class_focal_trains():
    X, y = table(4)
    objective = sy.boosting.xgboost(sy.losses.focal(gamma=2.0), 4)
    start = objective.loss.value(objective.start(np.bincount(y), len(y)), y).mean()
    values = [objective.loss.value(train(objective, X, y, rounds)[1], y).mean() for rounds in (3, 10, 40)]
    assert start > values[0] > values[1] > values[2]
    assert values[2] < 0.1 * start


def test_later_takes_over_after_so_many_trees():
    X, y = table(2)
    early, late = sy.losses.cross_entropy(), sy.losses.weighted_cross_entropy([1.0, 30.0])
    both = train(sy.boosting.xgboost(early, later=late, after=10), X, y)[0].get_dump()
    alone = train(sy.boosting.xgboost(early), X, y)[0].get_dump()
    assert both[:10] == alone[:10]
    assert both[10] != alone[10]


def test_the_scikit_learn_estimator_takes_the_function_of_labels():
    X, y = table(2)
    s = np.random.default_rng(0).uniform(0.5, 2.0, len(y))
    objective = sy.boosting.xgboost(sy.losses.focal(gamma=2.0))
    estimator = xgb.XGBClassifier(objective=objective.on_labels, base_score=0.0, n_estimators=10, n_jobs=1)
    start = objective.start(np.bincount(y, weights=s), len(y))
    estimator.fit(X, y, sample_weight=s, base_margin=start)
    trained = train(objective, X, y, 10, s)[1]
    np.testing.assert_array_equal(estimator.predict(X, output_margin=True, base_margin=start), trained)
