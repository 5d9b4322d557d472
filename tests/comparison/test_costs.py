"""A comparison that is told what mistakes cost."""

import json
import re
from types import SimpleNamespace

import numpy as np
import pytest
from typer.testing import CliRunner

import steelyard as sy
from steelyard.cli import app
from steelyard.comparison.results import load
from steelyard.comparison.settings import settings
from steelyard.comparison.summary import best_of, summarise
from steelyard.comparison.target import read_target
from steelyard.decisions.stated_costs import Costs
from steelyard.errors import InputError
from steelyard.metrics import get

MATRIX = np.array([[0.0, 1.0, 1.0], [1.0, 0.0, 1.0], [20.0, 20.0, 0.0]])
THREE = read_target(["a"] * 20 + ["b"] * 10 + ["c"] * 10)
TWO = read_target(["no"] * 20 + ["yes"] * 10)


def data(n=500, seed=0):
    rng = np.random.default_rng(seed)
    k = rng.choice(3, n, p=[0.7, 0.2, 0.1])
    return rng.normal(size=(n, 2)) + 1.5 * np.array([[0, 0], [1, 0], [1, 1]])[k], np.array(["a", "b", "c"])[k]


@pytest.fixture(scope="module")
def result():
    X, y = data()
    return sy.compare(X, y, ["balanced"], "linear", repeats=1, costs=MATRIX)


def test_what_costs_change_in_the_settings():
    asked = settings(THREE, costs=MATRIX)
    assert (asked.metric, asked.decision_metric) == ("expected_cost", "expected_cost")
    assert asked.to_dict(THREE)["costs"] == MATRIX.tolist()
    ranked = settings(THREE, metric="average_precision", costs={"c": {"a": 9}, "default": 1})
    assert (ranked.metric, ranked.decision_metric) == ("average_precision", "expected_cost")
    assert settings(THREE, metric="f1_macro", costs=MATRIX).decision_metric == "f1_macro"
    assert settings(THREE).to_dict(THREE)["costs"] is None


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"metric": "expected_cost"}, "costs for the metric 'expected_cost'; got none. Hint: give costs="),
        ({"costs": np.eye(2)}, "diagonal is the least"),
        ({"costs": np.ones((3, 3))}, r"shape \(2, 2\)"),
        ({"costs": {"no": {"yess": 1}, "default": 1}}, "did you mean 'yes'"),
        ({"costs": {"yes": {"no": "amount"}, "default": 1}}, "same for every row.*'amount'.*min_cost"),
        ({"costs": np.ones((30, 2, 2))}, "costs per row go with the decision"),
        ({"costs": "costs.csv"}, "a file of costs; got 'costs.csv', which is not there"),
    ],
)
def test_costs_that_cannot_be_used(asked, message):
    with pytest.raises(InputError, match=message):
        settings(TWO, **asked)


def test_every_figure_is_the_mean_cost_of_stored_labels(result):
    _, y = data()
    truth = np.searchsorted(["a", "b", "c"], y)
    content = result.to_dict()
    for row in content["summary"]:
        if row["metric"] == "expected_cost":
            labels = result.out_of_fold[row["model"], row["strategy"]].labels(row["decision"])[0]
            folds = [r["metrics"] for r in content["runs"] if r["strategy"] == row["strategy"]]
            name = "expected_cost" + (":tuned" if row["decision"] == "tuned" else "")
            assert row["mean"] == pytest.approx(np.mean([f[name] for f in folds]), rel=1e-12)
            # folds differ by a row or so in size
            assert row["mean"] == pytest.approx(MATRIX[truth, labels].mean(), rel=0.02)


def test_lower_is_better_everywhere(result):
    rows = [r for r in result.to_dict()["summary"] if r["metric"] == "expected_cost"]
    means = {(r["strategy"], r["decision"]): r["mean"] for r in rows}
    assert result.best["metric"] == "expected_cost"
    assert means[result.best["strategy"], result.best["decision"]] == min(means.values())
    # corrected for selection: not cheaper than what was seen
    assert result.best["estimate"] >= min(means.values()) - 1e-12
    # missing c is dear, and arg max does not know it: the tuned decision and balanced weights do
    assert means["none", "tuned"] < 0.8 * means["none", "default"]
    assert means["balanced", "default"] < means["none", "default"]
    for row in rows:
        if row["verdict"] == "helps":
            assert row["difference"] < 0
        if row["verdict"] == "harms":
            assert row["difference"] > 0


def synthetic(scale):
    """A summary and scores of three strategies whose costs per fold are known."""
    costs = scale * MATRIX
    rng = np.random.default_rng(1)
    y = np.arange(300) % 3
    stored = {}
    for name, wrong in (("none", 0.3), ("better", 0.1), ("worse", 0.6)):
        labels = np.where(rng.random(300) < wrong, (y + 1) % 3, y)
        stored["linear", name] = SimpleNamespace(
            proba=np.full((1, 300, 3), 1 / 3), labels=lambda _, labels=labels: labels[None]
        )
    metric = get("expected_cost", ["a", "b", "c"], cost_matrix=costs)
    asked = SimpleNamespace(cv=5, random_state=0, decision_metric="expected_cost")
    values = {
        (name, "expected_cost"): np.array(
            [metric.value(y[f::5], s.proba[0], s.labels("default")[0][f::5]) for f in range(5)]
        )
        for (_, name), s in stored.items()
    }
    plain = values["none", "expected_cost"]  # no threshold helps it
    rows = summarise("linear", values, ["none", "better", "worse"], [metric], asked, 0.25, lambda _: plain)
    return rows, best_of(rows, stored, metric, y, asked)


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_the_unit_of_costs_changes_no_verdict(scale):
    rows, best = synthetic(scale)
    assert {r["strategy"]: r["verdict"] for r in rows} == {"none": "baseline", "better": "helps", "worse": "harms"}
    assert best["strategy"] == "better"
    reference, reference_best = synthetic(1.0)
    for row, other in zip(rows, reference, strict=True):
        assert row["mean"] == pytest.approx(scale * other["mean"], rel=1e-9)
        assert row["p_adjusted"] == (None if other["p_adjusted"] is None else pytest.approx(other["p_adjusted"]))
    assert best["estimate"] == pytest.approx(scale * reference_best["estimate"], rel=1e-9)


def test_the_recommended_classifier_knows_the_costs(result, tmp_path):
    from sklearn.base import clone

    X, y = data()
    model = result.model
    assert isinstance(model.costs, Costs)
    again = clone(model).fit(X, y)
    np.testing.assert_array_equal(again.predict(X), model.predict(X))
    result.save(tmp_path)
    stored = sy.load(tmp_path)
    assert stored.costs == model.costs
    np.testing.assert_array_equal(stored.predict(X), model.predict(X))


def test_the_report_shows_the_costs(result, tmp_path):
    page = result.report(tmp_path / "report.html").read_text(encoding="utf-8")
    section = page.split('<section id="costs">')[1].split("</section>")[0]
    text = " ".join(re.sub(r"<[^>]+>", " ", section).split())
    assert "labelling c as a costs 20" in text
    assert "a, the commonest" in text
    assert "c 20 20 0" in text
    assert "Lower is better" in page


def test_the_report_ranks_the_cheapest_first(result, tmp_path):
    page = result.report(tmp_path / "report.html").read_text(encoding="utf-8")
    chart = page.split('<section id="ranking-1">')[1].split("</section>")[0]
    assert "expected_cost" in chart
    # the table of the model, after the overview: strategies from best to worst at their own decision
    names = re.findall(r'<th scope="row"[^>]*>\s*(?:<[^>]+>)*\s*(none|balanced)', chart)
    assert names[0] == "balanced"


def test_the_command_and_that_resume_refuses_other_costs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    X, y = data(200)
    lines = [f"{a:.4f},{b:.4f},{c}" for (a, b), c in zip(X, y, strict=True)]
    (tmp_path / "d.csv").write_text("u,v,kind\n" + "\n".join(lines) + "\n")
    (tmp_path / "costs.yaml").write_text("c: {a: 20, b: 20}\ndefault: 1\n")
    options = ["--target", "kind", "--model", "linear", "--strategies", "balanced", "--cv", "2"]
    options += ["--repeats", "1", "--out", "r"]
    run = CliRunner().invoke(app, ["compare", "d.csv", *options, "--costs", "costs.yaml"])
    assert run.exit_code == 0, run.output
    assert "labelling c as a costs 20" in run.output
    assert "best by expected_cost" in run.output
    content = load(tmp_path / "r").to_dict()
    assert content["settings"]["costs"] == MATRIX.tolist()
    assert json.loads((tmp_path / "r" / "results.json").read_text())["settings"]["metric"] == "expected_cost"
    same = CliRunner().invoke(app, ["compare", "d.csv", *options, "--costs", "costs.yaml", "--resume"])
    assert same.exit_code == 0, same.output
    (tmp_path / "costs.yaml").write_text("c: {a: 20, b: 21}\ndefault: 1\n")
    other = CliRunner().invoke(app, ["compare", "d.csv", *options, "--costs", "costs.yaml", "--resume"])
    assert other.exit_code != 0
    assert "the same settings as when" in " ".join(other.stderr.split())


def test_two_classes_cut_where_costs_say():
    """Gaussians one apart: the cheapest cut of the fitted score is known, and the tuned decision is near it."""
    rng = np.random.default_rng(3)
    y = (rng.random(3000) < 0.1).astype(int)
    X = rng.normal(size=(3000, 1)) + 1.5 * y[:, None]
    result = sy.compare(X, y, ["balanced"], "linear", cv=3, repeats=1, costs=[[0, 1], [30, 0]])
    rows = {
        (r["strategy"], r["decision"]): r["mean"] for r in result.to_dict()["summary"] if r["metric"] == "expected_cost"
    }
    # by the normal distribution: cut x* = log(π0 / (30 π1)) / 1.5 + 0.75
    from scipy.stats import norm

    cut = np.log(0.9 / (30 * 0.1)) / 1.5 + 0.75
    least = 0.9 * norm.sf(cut) + 0.1 * 30 * norm.cdf(cut - 1.5)
    assert rows["none", "tuned"] == pytest.approx(least, abs=0.1)
    assert rows["none", "default"] > 2 * least


def test_more_classes_are_decided_by_costs_that_no_class_weight_can_say():
    """One dear cell: the tuned decision is nearly as cheap as least expected cost on the same probabilities."""
    X, y = data(1500, seed=4)
    costs = np.array([[0.0, 1.0, 1.0], [1.0, 0.0, 1.0], [1.0, 30.0, 0.0]])
    result = sy.compare(X, y, ["prior_threshold"], "linear", cv=3, repeats=1, costs=costs)
    truth = np.searchsorted(["a", "b", "c"], y)
    stored = result.out_of_fold["linear", "none"]
    bayes = costs[truth, (stored.proba[0] @ costs).argmin(1)].mean()
    arg_max = costs[truth, stored.proba[0].argmax(1)].mean()
    tuned = costs[truth, stored.tuned[0]].mean()
    assert bayes < 0.7 * arg_max
    assert tuned < bayes + 0.1 * (arg_max - bayes)
