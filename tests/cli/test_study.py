import json

import numpy as np
import pandas as pd
from typer.testing import CliRunner

from steelyard.cli import app

runner = CliRunner(env={"COLUMNS": "160", "TERM": "dumb"})


def invoke(*arguments):
    return runner.invoke(app, [str(a) for a in arguments])


def test_a_study_of_a_folder(tmp_path):
    (tmp_path / "tables").mkdir()
    for i in range(2):
        rng = np.random.default_rng(i)
        y = rng.random(200) < 0.2
        frame = pd.DataFrame({"a": rng.normal(size=200) + y, "[red]c[/]": np.where(y, "[b]x[/]", "y")})
        frame.to_csv(tmp_path / "tables" / f"[b]t{i}.csv", index=False)
    settings = ("--target", "[red]c[/]", "--model", "linear", "--strategies", "balanced", "--cv", 3, "--repeats", 1)
    out = tmp_path / "out"
    done = invoke("study", tmp_path / "tables", *settings, "--out", out)
    assert done.exit_code == 0, done.output
    for word in ("average_precision, linear", "2 data sets", "balanced", "none", "baseline", "study.html"):
        assert word in done.stdout
    assert sorted(p.name for p in out.iterdir()) == ["rows.parquet", "sets", "study.html", "study.json", "study.md"]
    content = json.loads((out / "study.json").read_text())
    assert [one["set"] for one in content["sets"]] == ["[b]t0", "[b]t1"]
    assert (out / "sets" / "[b]t0" / "report.html").is_file()
    refused = invoke("study", tmp_path / "tables", *settings, "--out", out)
    assert refused.exit_code == 2
    assert "--resume goes on" in refused.output
    again = invoke("study", tmp_path / "tables", *settings, "--out", out, "--resume")
    assert again.exit_code == 0
    assert json.loads((out / "study.json").read_text()) == content


def test_one_file_is_no_study(tmp_path):
    (tmp_path / "a.csv").write_text("x,y\n1,a\n")
    done = invoke("study", tmp_path / "a.csv", "--target", "y", "--out", tmp_path / "out")
    assert done.exit_code == 2
    assert "at least two data sets" in done.output
    assert "steelyard compare" in done.output
