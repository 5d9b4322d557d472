"""The figures of README.md, and the report beside the results, are those of the last `make bench`."""

from __future__ import annotations

import json
from typing import Any

import pytest

from benchmarks.kernels import tables
from benchmarks.kernels.__main__ import RESULTS, written
from tests.docs.pages import ROOT


@pytest.fixture(scope="module")
def found() -> Any:
    if not RESULTS.exists():
        pytest.skip("no figures are stored: make bench has not been run to its end on a machine that does nothing else")
    return json.loads(RESULTS.read_text(encoding="utf-8"))


def test_readme_holds_what_was_measured(found: Any) -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert tables.into_readme(text, found) == text, "make bench-readme"


@pytest.mark.skipif(RESULTS.exists(), reason="figures are stored")
def test_without_a_measurement_the_readme_has_no_figures() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    between = text.split("written by `make bench-readme` -->")[1].split("<!-- end of figures -->")[0]
    assert not between.strip()


def test_the_report_is_that_of_the_results(found: Any) -> None:
    assert RESULTS.with_suffix(".md").read_text(encoding="utf-8") == tables.whole(found), "make bench-readme"


def test_results_are_written_as_they_are_read(found: Any) -> None:
    assert written(found) == RESULTS.read_text(encoding="utf-8")


def test_the_results_are_those_of_a_whole_run(found: Any) -> None:
    assert not found["quick"]
    assert {"copy", "ours", "torch eager"} <= {row["variant"] for row in found["rows"] if "seconds" in row}
    assert {row["dtype"] for row in found["rows"]} == {"float32", "bfloat16"}
    assert {(row["threads"], row["pages"]) for row in found["rows"]} >= {(1, "as they come"), (1, "huge")}
