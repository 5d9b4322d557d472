import re

import numpy as np
import pandas as pd
import pytest

import steelyard as sy
from steelyard.comparison.dataset import from_memory
from steelyard.report import advice


@pytest.fixture(scope="module")
def given():
    """What a table with every flaw that we know of is warned about."""
    rng = np.random.default_rng(0)
    n = 120
    y = np.where(np.arange(n) < 3, "rare", "common")
    frame = pd.DataFrame(
        {
            "a": rng.normal(size=n),
            "empty": np.full(n, np.nan),
            "constant": 1.0,
            "number": np.arange(n),
            "name": [f"person {k}" for k in rng.permutation(n)],
            "ratio": np.where(rng.random(n) < 0.1, np.inf, rng.normal(size=n)),
            "day": pd.date_range("2024-01-01", periods=n)[rng.permutation(n)],
            "list": [[1, 2]] * n,
        }
    )
    said = list(from_memory(frame, y).warnings)
    said += from_memory(np.repeat(rng.normal(size=(60, 1)), 2, 0), y).warnings
    priced = {"a": np.arange(n) % 7, "sum": np.ones(n)}
    said += from_memory(priced, y, costs={"rare": {"common": "sum"}, "common": {"rare": 1}}).warnings
    floor = sy.compare(frame[["a"]], y, [], "linear", "precision@recall>=0.5", cv=3, repeats=1)
    said += floor.to_dict()["warnings"]
    return said + sy.compare(frame[["a"]], y, ["balanced"], model="linear", cv=3, repeats=1).to_dict()["warnings"]


def test_every_warning_is_explained(given):
    notes = advice.notes(given)
    assert len(given) >= 9
    assert [n["first"] for n in notes if not n["meaning"]] == []
    assert all(n["remedy"] for n in notes)


def test_no_advice_is_left_over(given):
    """An advice that no warning asks for belongs to a warning whose words have changed."""
    others = [
        "ldam (linear): 3 of 15 fits stopped after 2000 steps before its gradient (3e-05) was small",
        "decisions are not tuned: a training fold has a single row of some class, and none to hold out; merge such a "
        "class with another, or use more folds",
    ]
    for one in advice._ADVICE:
        assert any(re.search(one.pattern, text) for text in [*given, *others]), one.pattern


def test_warnings_of_one_kind_share_their_explanation():
    note, other = advice.notes(
        ["column 'a' is left out: it is constant", "unheard of", "column 'b' is left out: it is constant"]
    )
    assert (note["first"][8], note["others"][0][8]) == ("a", "b")
    assert other == {"first": "unheard of", "others": [], "meaning": "", "remedy": ""}


def test_what_was_skipped_for_one_reason_stands_in_one_line():
    entries = [{"model": m, "strategy": "smote", "reason": "too few"} for m in ("linear", "mlp")]
    assert advice.skipped(entries, ["linear", "mlp"]) == [{"who": "smote (linear), smote (mlp)", "reason": "too few"}]
    assert advice.skipped(entries[:1], ["linear"]) == [{"who": "smote", "reason": "too few"}]
    assert advice.skipped([{"strategy": "focal", "reason": "x"}], ["a", "b"]) == [{"who": "focal", "reason": "x"}]
