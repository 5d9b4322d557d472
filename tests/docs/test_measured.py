"""Figures that decisions quote are what their script measures."""

from __future__ import annotations

import json
import re
import runpy

import pytest

from tests.docs.pages import ROOT

PAGE = ROOT / "docs" / "decisions" / "0004-leave-one-class-out-of-the-sum.md"
SCRIPT = ROOT / "benchmarks" / "accuracy" / "small_losses.py"


def test_small_losses() -> None:
    script = runpy.run_path(str(SCRIPT))
    rows = re.findall(r"^\| (\d+) \| [^|]+ \|(.+)\|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert [int(gap) for gap, _ in rows] == list(script["GAPS"])
    for gap, cells in rows:
        quoted = [float(cell.strip(" %")) / 100 for cell in cells.split("|")]
        measured = script["relative_errors"](float(gap))
        assert measured["Steelyard"] < 1e-6, gap
        for name, figure in zip(script["COLUMNS"], quoted, strict=True):
            # how far off exactly depends on the order of a float32 sum, which differs between processors
            if figure > 0.02:
                assert measured[name] > 0.01, (gap, name)


def test_the_gradient_too() -> None:
    theirs, ours = runpy.run_path(str(SCRIPT))["gradients_of_target"](25.0)
    assert theirs == 0.0
    assert ours == pytest.approx(-1.3874056e-08, rel=1e-6)


def test_run_for_run_in_the_readme() -> None:
    stored = json.loads((ROOT / "benchmarks/speed/results/bench_compare_runs.json").read_text(encoding="utf-8"))
    measured = {
        (row["rows"], tuple(row["hidden"]), row["variant"]): row["over_ours_one_core"]["median"]
        for row in stored["runs"]["rows"]
    }
    others = ("skorch", "keras (tensorflow)", "keras (jax)", "torch loop", "scikit-learn")
    lines = re.findall(
        r"^\| ([\d,]+) rows, 2×(\d+) \|(.+)\|$", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE
    )
    assert len(lines) * len(others) == len(measured) - 2 * len(lines)
    for rows, width, cells in lines:
        quoted = [float(cell) for cell in cells.split("|")]
        at = int(rows.replace(",", "")), (int(width),) * 2
        assert quoted == [round(measured[*at, other], 1) for other in others]
