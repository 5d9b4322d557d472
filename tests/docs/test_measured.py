"""Figures that decisions quote are what their script measures."""

from __future__ import annotations

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
