"""A user's module in a terminal: from the folder that the user is in."""

import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

NETS = """
import torch

def make_net(n_features, n_classes):
    return torch.nn.Linear(n_features, n_classes)

def nothing(n_features, n_classes):
    torch.nn.Linear(n_features, n_classes)
"""


@pytest.fixture
def here(tmp_path):
    rng = np.random.default_rng(0)
    y = rng.random(200) < 0.2
    frame = pd.DataFrame({"a": rng.normal(size=200) + y, "[red]b[/]": rng.choice(["u", "v"], 200)})
    frame["y"] = np.where(y, "ill", "well")
    frame.to_csv(tmp_path / "data.csv", index=False)
    (tmp_path / "nets.py").write_text(NETS)
    return tmp_path


def typed(here, *arguments):
    # as the installed command: the folder of the command is on the path, and not the one that the user is in
    script = "import sys; sys.path = [p for p in sys.path if p]; from steelyard.__main__ import main; main()"
    return subprocess.run([sys.executable, "-c", script, *arguments], cwd=here, capture_output=True, text=True)


def compare(here, model, *more):
    fast = ("--cv", "2", "--repeats", "1", "--decisions", "default", "--strategies", "none,focal")
    return typed(here, "compare", "data.csv", "--target", "y", "--model", model, *fast, *more)


def test_compare_and_predict(here):
    done = compare(here, "linear,nets:make_net", "--out", "out", "--metric", "neg_log_loss")
    assert done.returncode == 0, done.stderr
    content = json.loads((here / "out" / "results.json").read_text())
    assert content["settings"]["models"] == ["linear", "make_net"]
    alone = compare(here, "nets:make_net", "--out", "alone")
    assert "steelyard predict alone/model NEW_ROWS.csv --factory nets:make_net" in alone.stdout
    refused = typed(here, "predict", "alone", "data.csv")
    assert refused.returncode == 2
    assert "or --factory package.module:function; when it was trained it was 'nets:make_net'" in refused.stderr
    predicted = typed(here, "predict", "alone", "data.csv", "--factory", "nets:make_net")
    assert predicted.returncode == 0, predicted.stderr
    assert len(predicted.stdout.splitlines()) == 201


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("nets:make_nett", "Expected a function 'make_nett' in 'nets'; got none. Hint: did you mean 'make_net'?"),
        ("nest:make_net", "none that is installed. Hint: did you mean 'nets'?"),
        ("nets:nothing", "got None. Hint: does the function end with `return`?"),
    ],
)
def test_what_is_wrong_is_one_line_and_leaves_nothing(here, model, message):
    done = compare(here, model, "--out", "out")
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert not (here / "out").exists()
