"""`steelyard tune`: what a user reads, Ctrl-C, kill −9 and --resume."""

import json
import signal
import sqlite3
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from steelyard.cli import app
from tests.tuning.synthetic import gaussians

SHORT = ("--target", "y", "--model", "linear", "--generations", "1")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    X, y = gaussians(400, 2.0, 0.15, 0, columns=2)
    path = tmp_path_factory.mktemp("data") / "data.csv"
    pd.DataFrame({"one": X[:, 0], "two": X[:, 1], "y": np.where(y == 1, "[sick]", "well")}).to_csv(path, index=False)
    return path


def invoke(*arguments):
    return CliRunner().invoke(app, ["tune", *map(str, arguments)], env={"COLUMNS": "120"})


def test_a_table_of_stages_a_verdict_and_what_to_paste(data, tmp_path):
    out = tmp_path / "out"
    result = invoke(data, *SHORT, "--metric", "balanced_accuracy", "--decision", "default", "--out", out)
    assert result.exit_code == 0, result.output
    content = json.loads((out / "tuning.json").read_text())
    assert content["accepted"] in ("retrained", "searched")
    for stage in content["stages"]:
        assert stage["stage"] in result.output
        assert f"{stage['value']:.3f}" in result.output
    assert "accepted: " + content["accepted"] in result.output
    (line,) = [line for line in result.output.splitlines() if line.startswith("class_weight = {'")]
    pasted = {}
    exec(line, pasted)
    assert np.allclose(list(pasted["class_weight"].values()), content["weights"]["class_weight"], rtol=1e-5)
    assert list(pasted["class_weight"]) == ["[sick]", "well"]
    assert "torch.tensor([" in result.output
    assert f"steelyard predict {out / 'model'}" in result.output.replace("\n", "")
    assert (out / "trials.log").is_file()
    predicted = CliRunner().invoke(app, ["predict", str(out), str(data), "--out", str(tmp_path / "p.csv")])
    assert predicted.exit_code == 0, predicted.output


def test_a_floor_is_reported_with_how_it_was_kept(data, tmp_path):
    result = invoke(
        data, *SHORT, "--metric", "precision@recall>=0.8", "--positive", "[sick]", "--out", tmp_path / "out"
    )
    assert result.exit_code == 0, result.output
    assert "recall," in result.output  # the head of its column, which a narrow terminal breaks
    floor = json.loads((tmp_path / "out" / "tuning.json").read_text())["estimate"]["floor"]
    said = f"the floor 0.8 was reached in {floor['folds_reached']} of 5 folds"
    assert said in result.output.replace("\n", " ")
    assert f"recall on untouched folds {floor['value']:.3f}" in result.output


def test_a_budget_that_the_cheap_stages_exceed_is_said(data, tmp_path):
    result = invoke(data, "--target", "y", "--model", "linear", "--budget", "0.001", "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert "more than the budget" in result.output.replace("\n", " ")
    assert json.loads((tmp_path / "out" / "tuning.json").read_text())["spent"]["laps"] == {"scores": 1}


def test_what_is_there_is_not_written_over(data, tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    result = invoke(data, *SHORT, "--out", tmp_path)
    assert result.exit_code == 2
    assert "empty or new folder" in result.output


def test_a_metric_that_there_is_not(data, tmp_path):
    result = invoke(data, *SHORT, "--metric", "f1_makro", "--out", tmp_path / "out")
    assert result.exit_code == 2
    assert "did you mean 'f1_macro'?" in result.output.replace("\n", " ")


# --- interrupted ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def larger(tmp_path_factory):
    X, y = gaussians(6000, 1.5, 0.1, 0, columns=25)
    path = tmp_path_factory.mktemp("data") / "larger.csv"
    pd.DataFrame(X).add_prefix("x").assign(y=y).to_csv(path, index=False)
    return path


def command(data, out, *more):
    fixed = ("--target", "y", "--model", "linear", "--generations", "1", "--metric", "worst_recall")
    return [sys.executable, "-m", "steelyard", "tune", str(data), *fixed, "--out", str(out), *more]


def pieces(out):
    try:
        with sqlite3.connect(f"file:{out / 'journal.sqlite'}?mode=ro", uri=True) as connection:
            return connection.execute("SELECT COUNT(*) FROM work").fetchone()[0]
    except sqlite3.OperationalError:
        return 0


def stopped(data, out, signal_number, after):
    process = subprocess.Popen(command(data, out, "--resume"), stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    until = time.monotonic() + 120
    while process.poll() is None and pieces(out) < after and time.monotonic() < until:
        time.sleep(0.005)
    assert process.poll() is None, "the search was over before it could be stopped: it tests nothing"
    process.send_signal(signal_number)
    text, _ = process.communicate(timeout=60)
    return process.returncode, text.decode()


def results(out):
    content = json.loads((out / "tuning.json").read_text())
    content.pop("spent")
    return content | {"stages": [s | {"seconds": 0} for s in content["stages"]]}


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL on this system")
def test_kill_9_and_ctrl_c_and_resume_equal_the_uninterrupted_search(larger, tmp_path):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    subprocess.run(command(larger, whole), check=True, capture_output=True)
    code, _ = stopped(larger, broken, signal.SIGKILL, 2)
    assert code == -signal.SIGKILL
    assert not (broken / "tuning.json").exists()
    kept = pieces(broken)
    assert kept >= 2
    code, text = stopped(larger, broken, signal.SIGINT, 8)
    assert code == 130
    assert "best so far" in text
    early = json.loads((broken / "tuning.json").read_text())
    assert early["spent"]["interrupted"]
    assert early["spent"]["laps"]["scores"] == 1
    assert (broken / "model").is_dir()
    subprocess.run(command(larger, broken, "--resume"), check=True, capture_output=True)
    assert results(broken) == results(whole)
    sums = [(folder / "model" / "SHA256SUMS").read_text() for folder in (whole, broken)]
    assert sums[0] == sums[1]
