import json

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

import steelyard as sy
from steelyard.cli import app

runner = CliRunner(env={"COLUMNS": "200", "TERM": "dumb"})


def invoke(*arguments):
    return runner.invoke(app, [str(a) for a in arguments])


@pytest.fixture
def table(tmp_path):
    rng = np.random.default_rng(0)
    y = rng.random(200) < 0.2
    frame = pd.DataFrame({"a": rng.normal(size=200) + y, "[red]b[/]": rng.choice(["u", "v"], 200), "fixed": 1})
    frame["outcome"] = np.where(y, "[bold]sick[/bold]", "<b>well</b>")
    frame.to_csv(tmp_path / "table.csv", index=False)
    return tmp_path / "table.csv"


def test_compare_prints_a_table_and_writes_the_files(table, tmp_path):
    out = tmp_path / "out"
    done = invoke(
        "compare",
        table,
        "--target",
        "outcome",
        "--strategies",
        "balanced, focal",
        "--cv",
        3,
        "--repeats",
        1,
        "--out",
        out,
    )
    assert done.exit_code == 0, done.output
    for word in ("none", "balanced", "focal", "average_precision", "balanced_accuracy", "(tuned decision)", "baseline"):
        assert word in done.stdout
    assert str(out / "results.json") in done.stdout
    assert "column 'fixed' is left out" in done.stdout
    content = json.loads((out / "results.json").read_text())
    assert content["settings"]["data"] == "table.csv"
    assert content["settings"]["positive"] == "[bold]sick[/bold]"
    assert "<b>well</b>" not in (out / "report.html").read_text()
    assert sorted(p.name for p in out.iterdir()) == [
        "journal.sqlite",
        "model",
        "report.html",
        "report.md",
        "results.json",
    ]


def test_labels_are_text_in_the_terminal(table, tmp_path):
    done = invoke(
        "compare", table, "--target", "outcome", "--metric", "recall_[bold]sick[/bold]", "--strategies", "balanced",
        "--cv", 3, "--repeats", 1, "--out", tmp_path / "out",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    assert "recall_[bold]sick[/bold]" in done.stdout


def test_finished_work_is_not_overwritten_unless_asked(table, tmp_path):
    common = ("--target", "outcome", "--strategies", "none", "--cv", 2, "--repeats", 1, "--decisions", "default")
    first = invoke("compare", table, *common, "--out", tmp_path / "out")
    assert first.exit_code == 0, first.output
    before = (tmp_path / "out" / "results.json").read_text()
    refused = invoke("compare", table, *common, "--out", tmp_path / "out", "--seed", 1)
    assert refused.exit_code == 2
    assert "--force" in refused.stderr
    assert (tmp_path / "out" / "results.json").read_text() == before
    assert invoke("compare", table, *common, "--out", tmp_path / "out", "--seed", 1, "--force").exit_code == 0
    assert (tmp_path / "out" / "results.json").read_text() != before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--target", "outcom"), "did you mean 'outcome'?"),
        (("--target", "outcome", "--metric", "roc_auk"), "did you mean 'roc_auc'?"),
        (("--target", "outcome", "--strategies", "balanced,fokal"), "did you mean 'focal'?"),
        (("--target", "outcome", "--positive", "ill"), "as `positive`, one of <b>well</b>, [bold]sick[/bold]"),
        (("--target", "outcome", "--cv", "1"), "`cv` as a whole number of at least 2"),
        (("--target", "outcome", "--model", "mpl"), "did you mean 'mlp'"),
        (("--target", "outcome", "--cv", "100"), "rows in every class for 100 folds"),
    ],
)
def test_bad_input_is_one_line_without_a_traceback(table, tmp_path, arguments, message):
    done = invoke("compare", table, *arguments, "--out", tmp_path / "out")
    assert done.exit_code == 2
    assert done.stdout == ""
    assert message in done.stderr
    assert done.stderr.startswith("Error: Expected ")
    assert done.stderr.count("\n") == 1
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()


def test_a_missing_file_is_one_line(tmp_path):
    done = invoke("compare", tmp_path / "no.csv", "--target", "y")
    assert done.exit_code == 2
    assert "which does not exist" in done.stderr
    assert invoke("report", tmp_path).exit_code == 2


def test_a_folder_that_cannot_be_written_is_one_line(table, tmp_path):
    (tmp_path / "file").write_text("")
    done = invoke(
        "compare", table, "--target", "outcome", "--strategies", "none", "--cv", 2, "--repeats", 1,
        "--out", tmp_path / "file" / "below",
    )  # fmt: skip
    assert done.exit_code == 2
    assert "Not a directory" in done.stderr
    assert "Traceback" not in done.stderr


def test_report_is_rebuilt_from_results(table, tmp_path):
    out = tmp_path / "out"
    invoke("compare", table, "--target", "outcome", "--strategies", "none", "--cv", 2, "--repeats", 1, "--out", out)
    before = (out / "report.html").read_text()
    (out / "report.html").unlink()
    assert invoke("report", out).exit_code == 0
    assert (out / "report.html").read_text() == before


def test_the_lists_name_everything():
    for command, names in (
        ("strategies", sy.strategies.names()),
        ("losses", sy.losses.names()),
        ("schemes", sy.class_weight_names()),
    ):
        listed = invoke(command)
        assert listed.exit_code == 0
        for name in names:
            assert name in listed.stdout, (command, name)


def test_help_has_examples_and_version_is_told():
    for line in ("steelyard compare data.csv --target y", "precision@recall>=0.95"):
        assert line in invoke("compare", "--help").stdout
    assert invoke("--version").stdout.strip() == f"steelyard {sy.__version__}"
    assert {"compare", "weights", "report", "strategies", "losses", "schemes"} <= set(invoke("--help").stdout.split())


def test_compare_takes_groups_time_copies_and_a_race(table, tmp_path):
    frame = pd.read_csv(table).assign(patient=np.arange(200) // 4, day=np.arange(200))
    frame.to_csv(table, index=False)
    asked = ("compare", table, "--target", "outcome", "--strategies", "balanced", "--model", "linear", "--cv", 3)
    runs = {
        "grouped": ("--groups", "patient", "--dedupe", "--repeats", 2, "--race"),
        "ordered": ("--time", "day", "--decisions", "default"),
    }
    settings = {}
    for name, more in runs.items():
        done = invoke(*asked, *more, "--out", tmp_path / name)
        assert done.exit_code == 0, done.output
        assert "smallest difference in average_precision that linear would show here" in done.stdout
        settings[name] = json.loads((tmp_path / name / "results.json").read_text())["settings"]
    picked = ("groups", "time", "dedupe", "race", "repeats")
    assert [settings["grouped"][k] for k in picked] == ["patient", None, True, True, 2]
    assert [settings["ordered"][k] for k in picked] == [None, "day", False, False, 1]
    assert "folds follow day" in done.stdout
    assert "The folds follow day:" in (tmp_path / "ordered" / "report.html").read_text()
    grouped = (tmp_path / "grouped" / "report.html").read_text()
    assert "all rows of the same patient on one side of every split" in grouped
    assert "exactly the same features stay" in grouped
    refused = invoke(*asked, "--groups", "patient", "--time", "day", "--out", tmp_path / "both")
    assert refused.exit_code != 0
    assert "groups or a time; got both" in refused.output


def test_a_moved_threshold_is_called_so(tmp_path):
    rng = np.random.default_rng(0)
    x = rng.normal(size=1500)
    y = rng.random(1500) < 1 / (1 + np.exp(2.5 - 1.5 * x))
    pd.DataFrame({"x": x, "y": y.astype(int)}).to_csv(tmp_path / "t.csv", index=False)
    asked = ("compare", tmp_path / "t.csv", "--target", "y", "--strategies", "balanced", "--model", "linear")
    done = invoke(*asked, "--repeats", 1, "--out", tmp_path / "out")
    assert done.exit_code == 0, done.output
    assert "moves the threshold only" in done.stdout
    assert "no strategy detectably beats plain training" in done.stdout
    assert "helps" not in done.stdout
    assert "not over plain training with a moved threshold" in (tmp_path / "out" / "report.html").read_text()
