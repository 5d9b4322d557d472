"""Costs that stand in columns of the table: what labels cost, and decisions that know it."""

import json

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

import steelyard as sy
from steelyard.cli import app
from steelyard.comparison.dataset import from_memory
from steelyard.decisions import min_cost
from steelyard.decisions.row_costs import RowCosts, RowMinCost
from steelyard.decisions.stated_costs import Costs
from steelyard.errors import InputError

COSTS = {"ok": {"fraud": 5}, "fraud": {"ok": "amount"}}


def data(n=1500, seed=0):
    rng = np.random.default_rng(seed)
    fraud = rng.random(n) < 0.1
    X = rng.normal(size=(n, 2)) + 1.0 * fraud[:, None]
    table = pd.DataFrame({"x": X[:, 0], "z": X[:, 1], "amount": np.exp(rng.normal(3.0, 1.5, n))})
    return table, np.where(fraud, "fraud", "ok")


@pytest.fixture(scope="module")
def result():
    table, y = data()
    return sy.compare(table, y, ["balanced", "tuned_weights"], "linear", cv=4, repeats=2, costs=COSTS)


def spent(y, labels, amount):
    return np.where(y == "fraud", np.where(labels == "ok", amount, 0.0), np.where(labels == "fraud", 5.0, 0.0))


def test_every_fold_counts_the_costs_of_its_own_rows(result):
    table, y = data()
    content = result.to_dict()
    assert content["settings"]["costs"] == [[0.0, "amount"], [5.0, 0.0]]
    assert content["settings"]["decision_metric"] == content["settings"]["metric"] == "expected_cost"
    assert not content["skipped"]
    classes = np.array(["fraud", "ok"])
    for strategy in ("none", "balanced", "tuned_weights"):
        stored = result.out_of_fold["linear", strategy]
        for decision, name in (("default", "expected_cost"), ("tuned", "expected_cost:tuned")):
            by_hand = [spent(y, classes[row], table["amount"]).mean() for row in stored.labels(decision)]
            runs = [r["metrics"][name] for r in content["runs"] if r["strategy"] == strategy]
            # folds differ by a row in size
            assert np.mean(runs) == pytest.approx(np.mean(by_hand), rel=2e-3)


def test_the_tuned_decision_is_near_the_cheapest_that_true_probabilities_allow(result):
    table, y = data()
    rows = {(r["strategy"], r["decision"]): r for r in result.to_dict()["summary"] if r["metric"] == "expected_cost"}
    log_odds = table["x"] + table["z"] - 1.0 + np.log(0.1 / 0.9)  # of two normals one apart in both
    p = 1.0 / (1.0 + np.exp(-log_odds))
    best = spent(y, np.where(p * table["amount"] > (1 - p) * 5.0, "fraud", "ok"), table["amount"]).mean()
    for strategy in ("none", "balanced"):
        tuned, plain = rows[strategy, "tuned"]["mean"], rows[strategy, "default"]["mean"]
        assert tuned < (0.75 if strategy == "none" else 1.0) * plain  # balanced weights are right for an amount of 45
        assert tuned < best * 1.1
    # weights cannot know an amount, but they know that amounts are large
    assert rows["tuned_weights", "default"]["mean"] < rows["none", "default"]["mean"]
    assert result.best["decision"] == "tuned"


def test_columns_of_costs_are_no_features_unless_asked():
    table, y = data(200)
    dataset = from_memory(table, y, costs=COSTS)
    assert list(dataset.features.frame.columns) == ["x", "z"]
    assert dataset.features.given == ("x", "z", "amount")
    assert any("'amount' says what mistakes cost, and is no feature" in w for w in dataset.warnings)
    asked = from_memory(table, y, costs=COSTS, cost_features=True)
    assert list(asked.features.frame.columns) == ["x", "z", "amount"]
    assert not any("amount" in w for w in asked.warnings)
    other = table.assign(amount=table["amount"] * 2)
    assert dataset.fingerprint() != from_memory(other, y, costs=COSTS).fingerprint()


def test_the_model_asks_new_rows_for_their_costs(result, tmp_path):
    from sklearn.base import clone

    model = result.model
    new, _ = data(50, seed=5)
    dear, cheap = model.predict(new.assign(amount=1e6)), model.predict(new.assign(amount=0.0))
    assert (dear == "fraud").all()
    assert (cheap == "ok").all()
    with pytest.raises(InputError, match="amount"):
        model.predict(new[["x", "z"]])
    np.testing.assert_array_equal(model.predict_proba(new[["x", "z"]]), model.predict_proba(new))
    with pytest.raises(InputError, match="finite costs ≥ 0 in the column 'amount'; got -1 in row 3"):
        model.predict(new.assign(amount=[1.0, 1.0, 1.0, -1.0] + [1.0] * 46))
    np.testing.assert_array_equal(model.predict(new.to_numpy()), model.predict(new))
    stored = sy.load(result.save(tmp_path)["model"])
    np.testing.assert_array_equal(stored.predict(new), model.predict(new))
    assert stored.costs == model.costs
    table, y = data()
    again = clone(stored).fit(table, y)
    np.testing.assert_array_equal(again.predict(new), model.predict(new))
    assert "Act on a row when its probability of fraud is above" in (tmp_path / "report.html").read_text()


def test_from_the_command_line(tmp_path):
    table, y = data(300)
    table.assign(y=y).to_csv(tmp_path / "d.csv", index=False)
    (tmp_path / "costs.csv").write_text("truth,ok,fraud\nok,0,5\nfraud,amount,0\n")
    out = tmp_path / "out"
    asked = f"compare {tmp_path}/d.csv --target y --costs {tmp_path}/costs.csv --model linear --strategies none"
    run = CliRunner().invoke(app, f"{asked} --cv 3 --repeats 1 --out {out}".split())
    assert run.exit_code == 0, run.output
    assert "above 5 / (5 + `amount`)" in run.output
    assert "is no feature" in run.output
    content = json.loads((out / "results.json").read_text())
    assert content["settings"]["costs"] == [[0.0, "amount"], [5.0, 0.0]]
    run = CliRunner().invoke(app, ["predict", str(out), str(tmp_path / "d.csv"), "--out", str(tmp_path / "p.csv")])
    assert run.exit_code == 0, run.output
    labels = pd.read_csv(tmp_path / "p.csv")["prediction"]
    assert set(labels) == {"ok", "fraud"}
    np.testing.assert_array_equal(labels, sy.load(out).predict(table))
    table.drop(columns="amount").to_csv(tmp_path / "short.csv", index=False)
    run = CliRunner().invoke(app, ["predict", str(out), str(tmp_path / "short.csv")])
    assert run.exit_code == 2
    assert "amount" in run.output
    run = CliRunner().invoke(app, f"{asked} --cost-features --cv 3 --repeats 1 --out {out}2".split())
    assert run.exit_code == 0, run.output
    assert "amount" in sy.load(f"{out}2").final_.columns.needed


def test_three_classes_are_decided_as_min_cost_decides():
    rng = np.random.default_rng(0)
    costs = Costs.from_mapping({"a": {"b": "u", "c": 1}, "b": {"a": "v", "c": 2}, "c": {"a": "u", "b": 3}}, list("abc"))
    table = {"u": rng.exponential(5.0, 500), "v": rng.exponential(1.0, 500)}
    rows = RowCosts.of(costs, table)
    p, y = rng.dirichlet([1, 1, 1], 500), rng.integers(0, 3, 500)
    matrices = costs.for_rows(table)
    np.testing.assert_array_equal(rows.cheapest(p), min_cost(p, matrices))
    np.testing.assert_array_equal(RowMinCost(1.0, (0.0, 0.0, 0.0)).on(rows)(p), min_cost(p, matrices))
    labels = rows.cheapest(p)
    np.testing.assert_array_equal(rows.of_labels(y, labels), matrices[np.arange(500), y, labels])
    assert rows.typical(y)[0, 1] == pytest.approx(table["u"][y == 0].mean())
    part = rows.metric().at_rows(np.arange(100, 200))
    assert part.value(y[100:200], p[100:200], labels[100:200]) == pytest.approx(
        matrices[np.arange(100, 200), y[100:200], labels[100:200]].mean()
    )
    with pytest.raises(InputError, match="diagonal is the least"):
        RowCosts.of(Costs((0, 1), (("d", 1.0), (1.0, 0.0))), {"d": [0.0, 2.0]})


def test_probabilities_that_are_off_are_put_right_before_costs_are_counted():
    rng = np.random.default_rng(1)
    true = rng.beta(0.5, 3.0, 20_000)
    y = (rng.random(20_000) < true).astype(int)
    off = true**2 / (true**2 + (1 - true) ** 2)  # twice the log odds
    rule = RowMinCost.fit(np.column_stack([1 - off, off]), y)
    assert rule.slope == pytest.approx(0.5, abs=0.05)  # 2,900 rows of the class: a standard error of about 0.012
    costs = RowCosts.of(Costs((0, 1), ((0.0, 1.0), ("u", 0.0))), {"u": rng.exponential(10.0, 20_000)})
    labels = rule.on(costs)(np.column_stack([1 - off, off]))
    right = costs.cheapest(np.column_stack([1 - true, true]))
    assert (labels == right).mean() > 0.99
    assert sy.decisions.from_dict(rule.to_dict()) == rule
    separated = RowMinCost.fit(np.array([[0.9, 0.1], [0.1, 0.9]] * 5), np.array([0, 1] * 5))
    assert separated == RowMinCost(1.0, (0.0, 0.0))


def test_a_search_for_weights_still_wants_one_matrix():
    table, y = data(100)
    with pytest.raises(InputError, match="same for every row.*'amount'"):
        sy.tune(table, y, "expected_cost", "linear", budget=1, costs=COSTS)
