"""The section on costs: the matrix as it was given, in words, and nothing of a label is markup."""

import numpy as np
import pytest

from steelyard.report import render
from steelyard.report.costs import stated_costs
from tests.report.conftest import compared
from tests.report.page import Page

EVIL = "<script>alert(1)</script>"


@pytest.fixture(scope="module")
def content():
    return compared(["ok", EVIL], strategies=["balanced"]).to_dict()


def costly(content, matrix):
    return content | {"settings": content["settings"] | {"costs": matrix}}


def test_no_section_without_costs(content):
    assert stated_costs(content) is None
    assert ("section", {"id": "costs"}) not in Page(render(content)).tags


def test_hostile_labels_are_text(content):
    order = [content["dataset"]["classes"].index(c) for c in ("ok", EVIL)]
    matrix = np.array([[0.0, 1.0], [25_000.0, 0.0]])[np.ix_(order, order)] if order == [0, 1] else [[0, 25_000], [1, 0]]
    page = Page(render(costly(content, np.asarray(matrix, float).tolist())))
    assert [tag for tag, _ in page.tags].count("script") == 2  # the page's own, and its data
    assert ("section", {"id": "costs"}) in page.tags
    assert f"One missed row of class {EVIL} costs as much as 25,000 false alarms" in page.words
    cells = [text for where, tag, _, text in page.cells if where == "costs" and tag == "td"]
    assert sorted(cells) == ["0", "0", "1", "25,000"]


def test_a_matrix_that_nobody_reads_is_left_to_the_words():
    n = 20
    results = {
        "settings": {"costs": (1 - np.eye(n)).tolist(), "positive": None},
        "dataset": {"classes": list(range(n)), "counts": list(range(1, n + 1))},
    }
    shown = stated_costs(results)
    assert shown["rows"] == []
    assert shown["sentences"] == ["Every mistake costs the same: the likeliest label is the cheapest."]


def test_common_classes_stand_first():
    results = {
        "settings": {"costs": [[0, 1, 2], [3, 0, 4], [5, 6, 0]], "positive": None},
        "dataset": {"classes": ["a", "b", "c"], "counts": [5, 50, 20]},
    }
    shown = stated_costs(results)
    assert shown["labels"] == ["b", "c", "a"]
    assert [row["cells"] for row in shown["rows"]] == [["0", "4", "3"], ["6", "0", "5"], ["1", "2", "0"]]
