"""``steelyard decide``: a file of scores in, a rule in words and JSON out, and the rule applied to new scores."""

import csv
import json

import numpy as np
import pytest
from typer.testing import CliRunner

from steelyard.cli import app


@pytest.fixture(scope="module")
def scores(tmp_path_factory):
    rng = np.random.default_rng(0)
    ill = rng.random(1500) < 0.08
    p = 1 / (1 + np.exp(3.5 - 2.0 * rng.normal(1.5 * ill)))
    path = tmp_path_factory.mktemp("scores") / "scores.csv"
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["probability_[b]well", "probability_sick", "truth"])
        rows.writerows([1 - q, q, "sick" if k else "[b]well"] for q, k in zip(p, ill, strict=True))
    return path


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """Rules that are saved under their default name go into an empty folder."""
    monkeypatch.chdir(tmp_path)


def invoke(*arguments):
    return CliRunner().invoke(app, ["decide", *map(str, arguments)])


def test_a_rule_is_fitted_said_saved_and_applied(scores, tmp_path):
    result = invoke(scores, "--target", "truth", "--metric", "f1", "--out", tmp_path / "rule.json")
    assert result.exit_code == 0, result.output
    rule = json.loads((tmp_path / "rule.json").read_text())
    assert f"{rule['decision']['threshold']:.3g}"[:4] in result.output
    assert "[b]well" in result.output  # text, not markup
    applied = invoke(scores, "--rule", tmp_path / "rule.json", "--out", tmp_path / "labels.csv")
    assert applied.exit_code == 0, applied.output
    with scores.open() as file, (tmp_path / "labels.csv").open() as labels:
        for row, label in zip(csv.DictReader(file), csv.DictReader(labels), strict=True):
            sick = float(row["probability_sick"]) >= rule["decision"]["threshold"]
            assert label["prediction"] == ("sick" if sick else "[b]well")


def test_limits_and_costs(scores, tmp_path):
    kept = invoke(scores, "--target", "truth", "--metric", "f1", "--constraint", "recall_sick>=0.8")
    assert kept.exit_code == 0, kept.output
    assert "recall_sick>=0.8" in kept.output
    (tmp_path / "costs.csv").write_text("truth,[b]well,sick\n[b]well,0,1\nsick,30,0\n")
    costly = invoke(scores, "--target", "truth", "--metric", "expected_cost", "--costs", tmp_path / "costs.csv")
    assert costly.exit_code == 0, costly.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--target", "y"], "'y'"),
        (["--target", "truth", "--metric", "f1_marco"], "f1_macro"),
        (["--target", "truth", "--constraint", "recall_sick>=0.999"], "at least 2302 rows"),
        (["--target", "truth", "--confidence", "2"], "confidence"),
        ([], "target"),
    ],
)
def test_what_cannot_be_done_is_one_line(scores, arguments, message):
    result = invoke(scores, *arguments)
    assert result.exit_code == 2
    assert message in result.output.replace("\n", " ")
