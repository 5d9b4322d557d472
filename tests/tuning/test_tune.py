import json

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm
from sklearn.metrics import precision_score, recall_score

import steelyard as sy
from steelyard.errors import InputError
from tests.tuning.synthetic import gaussians

SHORT = {"model": "linear", "generations": 1, "rounds": 2}


def test_worst_recall_of_two_normals_is_found():
    # a linear model and its log odds are right: moving the decision is all there is to gain, up to the Bayes rule
    X, y = gaussians(3000, 2.0, 0.06, 0)
    result = sy.tune(X, y, "worst_recall", **SHORT)
    assert result.stage in ("closed_form", "plug_in")
    assert np.isclose(result.estimate["value"], norm.cdf(1.0), atol=0.05)
    assert set(result.class_weight.values()) == {1.0}
    Xt, yt = gaussians(20000, 2.0, 0.06, 9)
    assert min(recall_score(yt, result.model.predict(Xt), average=None)) > norm.cdf(1.0) - 0.05


def test_weights_are_accepted_where_the_arg_max_decides_and_are_the_bayes_weights():
    X, y = gaussians(3000, 2.0, 0.06, 0)
    result = sy.tune(X, y, "balanced_accuracy", decision="default", **SHORT)
    assert result.stage in ("retrained", "searched")
    w = result.class_weight
    assert np.isclose(np.log(w[1] / w[0]), np.log(94 / 6), atol=0.7)
    assert result.rule is None
    assert np.isclose(result.estimate["value"], norm.cdf(1.0), atol=0.05)


def test_nothing_is_accepted_on_labels_that_are_noise():
    accepted = []
    for seed in range(10):
        rng = np.random.default_rng(seed)
        y = (np.arange(150) < 40).astype(int)
        result = sy.tune(rng.normal(size=(150, 2)), y, "balanced_accuracy", random_state=seed, **SHORT)
        accepted.append(result.stage)
    assert accepted.count("plain") >= 8


@pytest.mark.slow
def test_training_again_is_not_accepted_where_the_model_is_right():
    accepted = []
    for seed in range(4):
        X, y = gaussians(300, 1.5, 0.25, seed, columns=2)
        accepted.append(sy.tune(X, y, "f1_macro", random_state=seed, **SHORT).stage)
    assert sum(stage in ("retrained", "searched") for stage in accepted) <= 1


def test_a_floor_of_recall_is_kept_and_said(tmp_path):
    X, y = gaussians(2000, 2.0, 0.1, 0)
    labels = np.where(y == 1, "sick", "well")
    result = sy.tune(X, labels, "precision@recall>=0.9", out=tmp_path / "out", **SHORT)
    assert result.stage != "plain"
    floor = result.estimate["floor"]
    assert floor["pooled"] >= 0.9
    stages = {row["stage"]: row for row in result.to_dict()["stages"]}
    assert stages["plain"]["pooled"] < 0.9
    assert floor["folds_reached"] == sum(k >= 0.9 for k in stages[result.stage]["kept"])
    Xt, yt = gaussians(20000, 2.0, 0.1, 9)
    predicted = result.model.predict(Xt) == "sick"
    assert recall_score(yt, predicted) > 0.88
    # the cut that keeps a recall of .9 of N(2, 1): its precision, by the normal distribution
    cut = 2.0 + norm.ppf(0.1)
    best = 0.1 * 0.9 / (0.1 * 0.9 + 0.9 * norm.sf(cut))
    assert abs(precision_score(yt, predicted) - best) < 0.08


def test_costs(tmp_path):
    X, y = gaussians(1500, 2.0, 0.1, 0)
    costs = np.array([[0.0, 1.0], [30.0, 0.0]])
    result = sy.tune(X, y, "expected_cost", costs=costs, **SHORT)
    assert result.stage != "plain"
    # the Bayes rule cuts where the odds are 1 : 30
    cut = 1.0 + np.log(0.9 / 0.1 / 30) / 2.0
    bayes = 0.9 * norm.sf(cut) + 30 * 0.1 * norm.cdf(cut - 2.0)
    assert abs(result.estimate["value"] - bayes) < 0.12


def test_several_classes_and_the_network(tmp_path):
    rng = np.random.default_rng(0)
    y = np.repeat(["a", "b", "c"], [240, 60, 20])
    X = pd.DataFrame(rng.normal(size=(320, 2)) + 2.0 * np.eye(3)[np.unique(y, return_inverse=True)[1]][:, :2])
    X.columns = ["one", "two"]
    model = ("mlp", {"hidden": (8,), "epochs": 5})
    result = sy.tune(X, y, "f1_macro", model=model, generations=1, rounds=1, cv=3, out=tmp_path / "out")
    content = json.loads((tmp_path / "out" / "tuning.json").read_text())
    assert content == result.to_dict()
    assert [row["stage"] for row in content["stages"]] == ["plain", "closed_form", "plug_in", "retrained", "searched"]
    assert content["spent"]["laps"] == {"scores": 1, "retrained": 1, "searched": 1}
    loaded = sy.load(tmp_path / "out")
    assert (loaded.predict(X) == result.model.predict(X)).all()
    assert np.array_equal(loaded.predict_proba(X), result.model.predict_proba(X))
    assert set(result.class_weight) == {"a", "b", "c"}


def test_a_search_goes_on_with_a_larger_budget(tmp_path):
    X, y = gaussians(300, 1.5, 0.25, 0)
    out = tmp_path / "out"
    sy.tune(X, y, model="linear", generations=0, rounds=1, out=out)
    first = json.loads((out / "tuning.json").read_text())
    assert first["spent"]["laps"] == {"scores": 1, "retrained": 1}
    again = sy.tune(X, y, model="linear", generations=1, rounds=1, out=out, resume=True)
    fresh = sy.tune(X, y, model="linear", generations=1, rounds=1)
    assert again.stage == fresh.stage
    assert again.estimate == fresh.estimate
    assert again.to_dict()["weights"] == fresh.to_dict()["weights"]
    assert np.array_equal(again.model.predict_proba(X), fresh.model.predict_proba(X))


def test_another_table_is_not_gone_on_with(tmp_path):
    X, y = gaussians(120, 1.5, 0.25, 0)
    sy.tune(X, y, model="linear", generations=0, rounds=1, out=tmp_path / "out")
    with pytest.raises(InputError, match="the same data as when"):
        sy.tune(X + 1, y, model="linear", generations=0, rounds=1, out=tmp_path / "out", resume=True)
    with pytest.raises(InputError, match="the same settings as when"):
        sy.tune(X, y, "g_mean", model="linear", generations=0, rounds=1, out=tmp_path / "out", resume=True)


def test_other_names_of_the_classes_change_nothing():
    X, y = gaussians(300, 1.5, 0.25, 0)
    renamed = np.where(y == 1, "b", "a")
    few = {"model": "linear", "generations": 0, "rounds": 1}
    a, b = sy.tune(X, y, "balanced_accuracy", **few), sy.tune(X, renamed, "balanced_accuracy", **few)
    assert a.stage == b.stage
    assert a.estimate == b.estimate


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"budget": None}, "neither"),
        ({"budget": 0}, "budget"),
        ({"rounds": 0}, "rounds"),
        ({"generations": -1}, "generations"),
        ({"decision": "best"}, "decision"),
        ({"model": ["linear", "mlp"]}, "one `model`"),
        ({"metric": "f1_macros"}, "did you mean 'f1_macro'"),
        ({"metric": "expected_cost"}, "costs"),
        ({"cv": 1}, "cv"),
    ],
)
def test_what_cannot_be_met(more, message):
    X, y = gaussians(60, 1.5, 0.25, 0)
    with pytest.raises(InputError, match=message):
        sy.tune(X, y, **{"model": "linear"} | more)


def test_two_rows_of_a_class_are_too_few():
    with pytest.raises(InputError, match="at least 3 rows of every class"):
        sy.tune(np.arange(20.0)[:, None], [1, 1] + [0] * 18, model="linear")


def test_three_rows_of_a_class_are_enough_and_said_to_be_few():
    X, y = gaussians(60, 2.0, 0.05, 0)
    assert y.sum() == 3
    result = sy.tune(X, y, model="linear", generations=0, rounds=1)
    assert result.to_dict()["settings"]["cv"] == 3
    assert any("class 1 has 3 rows" in w for w in result.to_dict()["warnings"])
