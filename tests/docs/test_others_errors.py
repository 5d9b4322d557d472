"""The guide on other libraries' errors is what the script measures, with what is installed here."""

from __future__ import annotations

import importlib
import json
import sys
from typing import Any

import pytest

from tests.docs.pages import ROOT

SCRIPT = ROOT / "benchmarks" / "accuracy" / "others_errors.py"
PAGE = ROOT / "docs" / "guides" / "what_other_libraries_get_wrong.md"

sys.path.insert(0, str(SCRIPT.parent))
script = importlib.import_module("others_errors")

STORED: dict[str, Any] = script.stored()
BOUND = ("xgboost_focal", 0)  # a bound of a second derivative is not its value, and the page says so


def test_the_page_is_made_of_the_results() -> None:
    assert PAGE.read_text(encoding="utf-8") == script.page(STORED)


def test_all_items_have_cases_that_were_run() -> None:
    assert {one.item for one in script.CASES} == set(script.ITEMS)
    assert list(STORED) == [one.key for one in script.CASES]
    json.dumps(STORED, allow_nan=False)


@pytest.mark.parametrize("key", [one.key for one in script.CASES])
def test_stored_figures_show_an_error_of_theirs_and_none_of_ours(key: str) -> None:
    wrong = []
    for i, row in enumerate(STORED[key]["rows"]):
        exact = row["exact"]
        wrong.append(isinstance(row["theirs"], str) or row["theirs"] != pytest.approx(exact, rel=5e-3, abs=1e-12))
        if row["ours"] is None or (key, i) == BOUND:
            continue
        if key == "xgboost_focal":
            assert row["ours"] < 0.01 * row["theirs"]
        else:
            assert row["ours"] == pytest.approx(exact, rel=1e-5, abs=1e-8 if key == "lightgbm_start" else 1e-30)
    assert any(wrong)


@pytest.mark.parametrize("one", script.CASES, ids=lambda one: one.key)
def test_measured_again(one: Any) -> None:
    found = script.installed(one)
    if found is None:
        pytest.skip(f"{one.package} is not installed")
    stored = STORED[one.key]
    try:
        now = script.measured(one)
    except ImportError as error:
        pytest.skip(f"{one.package} does not load: {error}")
    for before, row in zip(stored["rows"], now["rows"], strict=True):
        assert row["what"] == before["what"]
        assert row["exact"] == pytest.approx(before["exact"], rel=1e-9)
        close = {"rel": 1e-4, "abs": 1e-8 if one.key == "lightgbm_start" else 1e-30}
        assert row["ours"] == (None if before["ours"] is None else pytest.approx(before["ours"], **close))
    if found != stored["version"]:
        pytest.skip(f"measured with {one.package} {stored['version']}, here is {found}: run {SCRIPT.name} again")
    for before, row in zip(stored["rows"], now["rows"], strict=True):
        if isinstance(before["theirs"], str):
            assert row["theirs"] == before["theirs"]
        else:
            # float32 sums of theirs differ between processors
            assert row["theirs"] == pytest.approx(before["theirs"], rel=2e-2, abs=1e-7)
