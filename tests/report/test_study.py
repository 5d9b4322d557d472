"""The page and the Markdown of a study: names are text, positions are on the axis."""

import re
import xml.etree.ElementTree as ET

import pytest

from steelyard.comparison.study_summary import summarise_sets
from steelyard.report import render_study, study_as_markdown
from steelyard.report.rank_diagram import groups_within, rank_diagram

HOSTILE = "<script>alert(1)</script>|`x`"


@pytest.fixture
def content():
    strategies = {"none": 0.0, "good": 0.05, HOSTILE: -0.05, "even": 0.0}
    results = {
        f"s{i}": {
            "summary": [
                {"model": "linear", "decision": "default", "metric": "average_precision", "strategy": s}
                | {"mean": 0.4 + 0.03 * i + gain * (1 + 0.1 * i), "verdict": "baseline" if s == "none" else "helps"}
                for s, gain in strategies.items()
            ]
        }
        for i in range(8)
    }
    summary, tests = summarise_sets(results, "average_precision")
    best = {"model": "linear", "strategy": "good", "decision": "default", "metric": "average_precision"}
    return {
        "schema_version": 1,
        "steelyard_version": "0",
        "settings": {"cv": 5, "repeats": 3, "random_state": 0, "metric": "average_precision"},
        "metrics": ["average_precision"],
        "sets": [
            {"set": name, "file": f"{name}.csv", "rows": 1000, "features": 4, "classes": 2, "imbalance_ratio": 9.0}
            | {"baseline": 0.4, "best": best | {"estimate": 0.45, "ci_low": 0.4, "ci_high": 0.5}}
            for name in (*results, HOSTILE)
        ],
        "summary": summary,
        "tests": tests,
        "skipped": [{"set": "gone", "reason": HOSTILE}],
    }


def test_the_page_has_no_markup_of_the_user_and_asks_for_nothing(content):
    page = render_study(content)
    assert "<script" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert not re.search(r"""(src|href)=["']?(https?:)?//""", page)
    assert "good helps" in page


def test_the_markdown_is_tables_of_the_same_numbers(content):
    text = study_as_markdown(content)
    assert "<script" not in text
    rows = [line for line in text.splitlines() if line.startswith("| good")]
    assert len(rows) == 1
    cells = [cell.strip() for cell in rows[0].strip("|").split("|")]
    assert cells[0] == "good"
    assert cells[1].startswith("1.00")
    assert cells[6] == "helps"
    # a pipe in a name does not make a column
    widths = {len(re.split(r"(?<!\\)\|", line)) for line in text.splitlines() if line.startswith("| ")}
    assert len(widths) == 2  # the table of strategies and the table of sets


def test_too_few_sets_for_any_verdict_are_said(content):
    assert "too few" not in render_study(content)
    few = content | {"sets": content["sets"][:3]}
    assert "3 data sets are too few for a verdict: below 7, the same outcome on every one" in render_study(few)
    assert "3 data sets are too few" in study_as_markdown(few)


def test_bars_join_what_cannot_be_told_apart():
    assert groups_within([1.0, 1.2, 2.0, 3.5, 3.6], 1.0) == [(0, 2), (3, 4)]
    assert groups_within([1.0, 3.0], 1.0) == []
    assert groups_within([1.0, 2.0], 1.0) == [(0, 1)]


def test_a_diagram_is_in_order_and_inside_its_frame():
    ranked = [(f"s{i}", 1.0 + 0.6 * i) for i in range(9)]
    d = rank_diagram(ranked, 1.3)
    xs = [n["x"] for n in d["names"]]
    assert xs == sorted(xs)
    assert all(0 <= n["y"] <= d["height"] and 0 <= n["x"] <= d["width"] for n in d["names"])
    assert len(d["bars"]) == len(groups_within([r for _, r in ranked], 1.3))
    left = [n["y"] for n in d["names"] if n["side"] == "end"]
    assert left == sorted(left)
    assert len(left) == 5


def test_the_diagram_is_well_formed(content):
    page = render_study(content)
    drawing = re.search(r"<svg.*?</svg>", page, re.DOTALL)[0]
    texts = [t.text for t in ET.fromstring(drawing).iter() if t.tag.endswith("text")]
    assert any(t.startswith("good 1.00") for t in texts)
    assert any(HOSTILE in t for t in texts)
