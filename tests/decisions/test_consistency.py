"""A fitted decision approaches the best possible one: the study of the docs, in small."""

import runpy

import pytest

from tests.docs.pages import ROOT

pytest.importorskip("sklearn")

SCRIPT = ROOT / "benchmarks" / "studies" / "plug_in_regret.py"


def test_regret_falls_with_the_rows_for_every_metric(monkeypatch):
    script = runpy.run_path(str(SCRIPT))
    inside = script["study"].__globals__
    monkeypatch.setitem(inside, "SIZES", (300, 6_000))
    monkeypatch.setitem(inside, "REPEATS", 4)
    monkeypatch.setitem(inside, "FRESH", 60_000)
    table = script["study"]()
    for name in script["METRICS"]:
        few, many = (row["regret"] for row in table if row["metric"] == name)
        assert many < few / 2, name
        assert many > -0.01, name  # nothing beats the optimum but by chance
