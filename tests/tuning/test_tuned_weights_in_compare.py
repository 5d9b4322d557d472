import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

import steelyard as sy
from steelyard import strategies
from steelyard.comparison.classifier import Classifier
from steelyard.comparison.dataset import from_memory
from steelyard.comparison.fold_scores import Failure, PreparedFold, Scores, score_fold
from steelyard.comparison.folds import outer_splits
from steelyard.comparison.settings import DEFAULT_STRATEGIES, settings
from tests.tuning.synthetic import gaussians


def test_it_is_in_the_register_and_not_among_the_defaults():
    assert "tuned_weights" in strategies.names()
    assert "tuned_weights" not in DEFAULT_STRATEGIES
    assert strategies.get("tuned_weights").needs_inner
    assert not strategies.get("balanced").needs_inner


def test_its_arg_max_reaches_what_worst_recall_can():
    X, y = gaussians(3000, 2.0, 0.06, 0)
    result = sy.compare(X, y, ["tuned_weights"], "linear", "worst_recall", repeats=1)
    table = result.table().query("metric == 'worst_recall'").set_index(["strategy", "decision"])["mean"]
    assert table["none", "default"] < 0.6
    assert np.isclose(table["tuned_weights", "default"], norm.cdf(1.0), atol=0.07)
    assert np.isclose(table["tuned_weights", "tuned"], table["none", "tuned"], atol=0.05)


@pytest.mark.parametrize(
    ("model", "decisions"),
    [
        ("linear", "both"),
        ("linear", "default"),
        ("lightgbm", "both"),
        ("lightgbm", "default"),
        pytest.param(("mlp", {"hidden": (8,), "epochs": 4}), "both", marks=pytest.mark.slow),
        (("mlp", {"hidden": (8,), "epochs": 4}), "default"),
    ],
    ids=str,
)
def test_every_model_and_decision(model, decisions, tmp_path):
    X, y = gaussians(300, 2.5, 0.2, 0, columns=2)
    result = sy.compare(
        X, y, ["tuned_weights"], model, "balanced_accuracy", cv=2, repeats=1, decisions=decisions, out=tmp_path / "out"
    )
    assert not result.to_dict()["skipped"]
    again = sy.compare(
        X, y, ["tuned_weights"], model, "balanced_accuracy", cv=2, repeats=1, decisions=decisions,
        out=tmp_path / "out", resume=True,
    )  # fmt: skip
    assert again.to_dict() == result.to_dict()
    assert (sy.load(tmp_path / "out").predict(X) == result.model.predict(X)).all()


def test_the_labels_of_the_test_rows_change_nothing():
    X, y = gaussians(300, 2.0, 0.2, 0)
    split = outer_splits(y, 3, 1, 0)[0]
    other = y.copy()
    other[split.test] = 1 - other[split.test]
    found = []
    for labels in (y, other):
        dataset = from_memory(X, labels)
        asked = settings(dataset.target, ["tuned_weights"], "linear", "balanced_accuracy", cv=3, repeats=1)
        (scores,) = score_fold(PreparedFold(dataset, asked, split), asked.models[0], asked.strategies[1:])
        assert isinstance(scores, Scores)
        found.append(scores)
    assert np.array_equal(found[0].proba, found[1].proba)
    assert np.array_equal(found[0].default, found[1].default)
    assert np.array_equal(found[0].tuned, found[1].tuned)


def test_a_class_with_one_training_row_skips_it_with_a_reason():
    X, y = gaussians(60, 2.0, 2 / 60, 0)
    dataset = from_memory(X, y)
    asked = settings(
        dataset.target, ["tuned_weights"], "linear", "balanced_accuracy", cv=2, repeats=1, decisions="default"
    )
    split = outer_splits(y, 2, 1, 0)[0]
    outcomes = score_fold(PreparedFold(dataset, asked, split), asked.models[0], asked.strategies)
    assert isinstance(outcomes[0], Scores)
    assert isinstance(outcomes[1], Failure)
    assert "two rows of every class" in outcomes[1].reason


@pytest.mark.parametrize("decision", ["default", "tuned"])
def test_the_classifier_trains_it(decision):
    X, y = gaussians(1500, 2.0, 0.06, 0)
    model = Classifier("linear", "tuned_weights", decision, metric="worst_recall").fit(
        pd.DataFrame(X, columns=["x"]), y
    )
    w = model.loss_.parameters["class_weight"]
    assert 1.5 < np.log(w[1] / w[0]) < 4.0
    assert model.get_params()["strategy"] == "tuned_weights"


def test_rounds_of_nothing():
    with pytest.raises(sy.errors.InputError, match="rounds"):
        strategies.get("tuned_weights", rounds=0).resolve(sy.ClassCounts.from_counts({"a": 9, "b": 1}))
