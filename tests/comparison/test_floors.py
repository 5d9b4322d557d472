"""A comparison by precision at a floor of recall: its tuned decisions keep the floor, and it says how well."""

import re

import numpy as np
import pytest

import steelyard as sy
from steelyard.comparison.settings import settings
from steelyard.comparison.target import read_target
from steelyard.decisions.binomial import rows_needed
from steelyard.errors import InputError

METRIC = "precision@recall>=0.9"
TWO = read_target(["no"] * 60 + ["yes"] * 30)


def data(n=3000, seed=0):
    rng = np.random.default_rng(seed)
    hit = rng.random(n) < 0.1
    return rng.normal(size=(n, 2)) + 1.5 * hit[:, None], np.where(hit, "yes", "no")


@pytest.fixture(scope="module")
def result():
    X, y = data()
    return sy.compare(X, y, ["balanced"], "linear", METRIC, repeats=2)


def test_decisions_are_shown_by_what_they_raise_and_tuned_for_the_floor():
    asked = settings(TWO, metric=METRIC)
    assert asked.decision_metric == "precision_yes"
    assert asked.aim(TWO).floor == ("recall", 1, 0.9)
    asked = settings(TWO, metric="recall@precision>=0.5", costs=[[0, 1], [9, 0]])
    assert asked.decision_metric == "recall_yes"
    assert asked.aim(TWO).floor == ("precision", 1, 0.5)
    assert settings(TWO, metric="average_precision").aim(TWO).name == "balanced_accuracy"
    with pytest.raises(InputError, match="to rank by; got 'calibration_slope'"):
        settings(TWO, metric="calibration_slope")


def test_what_was_kept_is_counted_from_the_labels(result):
    _, y = data()
    content = result.to_dict()
    about = content["floor"]
    assert {k: about[k] for k in ("quantity", "class", "level", "confidence")} == {
        "quantity": "recall",
        "class": "yes",
        "level": 0.9,
        "confidence": 0.9,
    }
    rows = {(r["strategy"], r["decision"], r["metric"]): r for r in content["summary"]}
    for entry in about["kept"]:
        runs = [r["metrics"] for r in content["runs"] if r["strategy"] == entry["strategy"]]
        assert entry["folds"] == len(runs) == 10
        assert entry["kept"] == sum(r["recall_yes:tuned"] >= 0.9 for r in runs)
        labels = result.out_of_fold["linear", entry["strategy"]].tuned
        assert labels is not None
        found = np.mean([(row[y == "yes"] == 1).mean() for row in labels])
        assert rows[entry["strategy"], "tuned", "recall_yes"]["mean"] == pytest.approx(found, abs=0.01)
        right = np.mean([(y[row == 1] == "yes").mean() for row in labels])
        assert rows[entry["strategy"], "tuned", "precision_yes"]["mean"] == pytest.approx(right, abs=0.02)
        # promised with confidence .9 among new rows: above the floor, and not by labelling everything
        assert found > 0.9
        assert right > 1.3 * (y == "yes").mean()


def test_the_model_decides_by_the_rule_that_keeps_the_floor(result, tmp_path):
    assert result.best["decision"] == "tuned"
    X, y = data(20_000, seed=9)
    found = (result.model.predict(X[y == "yes"]) == "yes").mean()
    assert found > 0.9
    assert (result.model.predict(X) == "yes").mean() < 0.5
    paths = result.save(tmp_path)
    np.testing.assert_array_equal(sy.load(paths["model"]).predict(X), result.model.predict(X))
    page = paths["report"].read_text()
    assert "Is the floor kept: recall_yes ≥ 0.9" in page
    # what is raised is read where the floor is kept, and the sections stand in the order of the list of them
    assert "each strategy deciding in its own way" not in page
    assert "Decisions are tuned to keep recall_yes at 0.9 or above." in page
    anchors = re.findall(r'<a href="#([-\w]+)">', page.split("<nav")[1].split("</nav>")[0])
    assert anchors == [name for name in re.findall(r'<section id="([-\w]+)">', page) if name in anchors]
    assert "## precision@recall>=0.9" in result.report(tmp_path / "r.md").read_text()
    assert "on new rows with confidence 0.9" in page
    assert f"{result.to_dict()['floor']['kept'][0]['kept']} of 10" in page


def test_too_few_rows_to_promise_a_floor_are_said():
    X, y = data(300, seed=1)
    assert (y == "yes").sum() * 0.8 < rows_needed(0.1, 0.9) * 2
    few = sy.compare(X, y, [], "linear", "precision@recall>=0.97", cv=3, repeats=1).to_dict()
    assert few["floor"]["confidence"] is None
    assert any("recall_yes>=0.97 cannot be promised with confidence 0.9" in w for w in few["warnings"])


def test_a_floor_of_precision_and_more_than_two_classes():
    rng = np.random.default_rng(2)
    k = rng.choice(3, 600, p=[0.6, 0.3, 0.1])
    X = rng.normal(size=(600, 2)) + 2.0 * np.array([[0, 0], [1, 0], [1, 1]])[k]
    found = sy.compare(X, np.array(["a", "b", "c"])[k], [], "linear", "recall_c@precision>=0.5", cv=3, repeats=1)
    content = found.to_dict()
    assert content["settings"]["decision_metric"] == "recall_c"
    assert content["floor"]["quantity"] == "precision"
    rows = {(r["decision"], r["metric"]): r["mean"] for r in content["summary"]}
    assert rows["tuned", "precision_c"] > 0.4
    assert "precision_c ≥ 0.5" in sy_report(found)


def sy_report(found):
    from steelyard.report import render

    return render(found.to_dict())


def test_without_tuned_decisions_there_is_no_floor_to_keep():
    X, y = data(400, seed=3)
    found = sy.compare(X, y, [], "linear", METRIC, cv=3, repeats=1, decisions="default")
    assert found.to_dict()["floor"] is None
    assert found.best["decision"] == "default"
