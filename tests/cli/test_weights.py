from __future__ import annotations

import json

import numpy as np
import pytest

typer = pytest.importorskip("typer")
from typer.testing import CliRunner  # noqa: E402

from steelyard.cli.weighting import weights  # noqa: E402

app = typer.Typer()
app.command()(weights)


@pytest.fixture
def data(tmp_path):
    path = tmp_path / "data.csv"
    rows = ["x,y", *["1,A"] * 198, *["2,B"] * 436, *["3,C"] * 710, *["4,D"] * 272]
    path.write_text("\n".join(rows))
    return str(path)


def run(*arguments, code=0):
    result = CliRunner().invoke(app, [str(a) for a in arguments], env={"COLUMNS": "200"})
    assert result.exit_code == code, result.output
    return result


def test_table(data):
    out = run(data, "--target", "y").stdout
    for text in ("balanced", "class", "198", "12.25%", "2.0404", "0.569014"):
        assert text in out
    assert "threshold" not in out


def test_json(data):
    d = json.loads(run(data, "--target", "y", "--scheme", "log_inverse", "--format", "json").stdout)
    assert (d["classes"], d["counts"]) == (["A", "B", "C", "D"], [198, 436, 710, 272])
    assert (d["scheme"], d["normalize"]) == ("log_inverse", None)
    np.testing.assert_allclose(d["weights"], np.log(1616 / np.array(d["counts"])) + 1, rtol=1e-15)


def test_normalize_and_option(data):
    arguments = ["--scheme", "power", "--option", "alpha=1", "--normalize", "sum", "--format", "json"]
    d = json.loads(run(data, "--target", "y", *arguments).stdout)
    inverse = 1 / np.array(d["counts"])
    np.testing.assert_allclose(d["weights"], inverse / inverse.sum(), rtol=1e-14)


def test_keras(data):
    out = run(data, "--target", "y", "--format", "keras").stdout
    namespace: dict = {}
    exec(out, namespace)
    assert namespace["class_weight"] == pytest.approx({i: 404 / n for i, n in enumerate([198, 436, 710, 272])})
    assert "# 'A', 198 rows" in out


def test_sklearn(data):
    namespace: dict = {}
    exec(run(data, "--target", "y", "--format", "sklearn").stdout, namespace)
    assert namespace["class_weight"] == pytest.approx({"A": 404 / 198, "B": 404 / 436, "C": 404 / 710, "D": 404 / 272})


def test_torch(data):
    out = run(data, "--target", "y", "--format", "torch").stdout
    assert "# in this order: 'A', 'B', 'C', 'D'\nweight = torch.tensor([2.04" in out


def test_two_classes_have_thresholds(tmp_path):
    path = tmp_path / "two.csv"
    path.write_text("y\n" + "no\n" * 9 + "yes\n")
    out = run(path, "--target", "y").stdout
    row = next(line for line in out.splitlines() if "yes" in line)
    assert "0.1" in row.rsplit("│", 2)[-2]  # balanced weights: the share of the class
    assert "threshold" in out


def test_the_inversion_is_warned_of_on_stderr(data):
    result = run(data, "--target", "y", "--scheme", "proportional", "--format", "json")
    assert "mutes the rare ones" in result.stderr
    assert json.loads(result.stdout)["scheme"] == "proportional"


def test_labels_are_text(tmp_path):
    path = tmp_path / "nasty.csv"
    path.write_text("y\n[red]a[/red]\n[/]\n[link=x]\n\x1b[31mz\n")
    out = run(path, "--target", "y").stdout
    for label in ("[red]a[/red]", "[/]", "[link=x]", r"'\x1b[31mz'"):
        assert label in out
    assert "\x1b[31m" not in out


def test_missing_labels(tmp_path):
    path = tmp_path / "missing.csv"
    path.write_text("x,y\n1,a\n2,\n3,b\n")
    assert "1 of 3 rows" in run(path, "--target", "y", code=2).stderr
    assert json.loads(run(path, "--target", "y", "--ignore-missing", "--format", "json").stdout)["counts"] == [1, 1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--target", "Y"], "a target column among {'x', 'y'}"),
        (["--target", "yy"], "did you mean 'y'?"),
        (["--target", "y", "--scheme", "balnced"], "did you mean 'balanced'?"),
        (["--target", "y", "--normalize", "n_class"], "did you mean 'n_classes'?"),
        (["--target", "y", "--option", "beta"], "NAME=NUMBER"),
        (["--target", "y", "--option", "beta=x"], "NAME=NUMBER"),
        (["--target", "y", "--option", "beta=0.9"], "no options"),
        (["--target", "y", "--scheme", "recall_driven"], "pass recall="),
    ],
)
def test_bad_arguments(data, arguments, message):
    result = run(data, *arguments, code=2)
    assert message in result.stderr
    assert not result.stdout


def test_a_file_that_is_not_there(tmp_path):
    assert "does not exist" in run(tmp_path / "none.csv", "--target", "y", code=2).stderr
