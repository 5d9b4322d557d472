import copy
import re
from html.parser import HTMLParser

import pytest

from steelyard.report import render
from tests.report.conftest import compared


class Page(HTMLParser):
    """Checks that tags nest, and collects what a browser would load or show."""

    VOID = frozenset({"meta", "br", "wbr", "link", "img", "input", "hr"})

    def __init__(self, html):
        super().__init__()
        self.open, self.tags, self.text = [], [], []
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.text.append(" " if tag != "wbr" else "")
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] != "style":
            self.text.append(data)

    @property
    def words(self):
        return re.sub(r"\s+", " ", "".join(self.text))


@pytest.mark.parametrize("which", ["two", "three"])
def test_the_page_is_well_formed_and_needs_nothing_else(which, request):
    html = render(request.getfixturevalue(which).to_dict())
    page = Page(html)
    names = [tag for tag, _ in page.tags]
    assert not {"script", "link", "img", "iframe"} & set(names)
    assert not any(k in a for _, a in page.tags for k in ("src", "href", "onload", "onclick"))
    assert "http" not in html
    assert "url(" not in html


def test_the_page_says_what_was_found(two):
    content = two.to_dict()
    words = Page(render(content)).words
    for name in content["settings"]["strategies"]:
        assert name in words
    best = content["best"]
    assert f"Best by {best['metric']}: {best['strategy']}" in words
    assert f"expect {best['estimate']:.3f} on new rows" in words
    row = next(r for r in content["summary"] if r["strategy"] == "balanced" and r["metric"] == "balanced_accuracy")
    assert f"{row['mean']:.3f} {row['ci_low']:.3f} to {row['ci_high']:.3f}" in words
    assert "no detectable difference" in words
    assert "column 'fixed' is left out: it is constant" in words
    assert "positive class sick" in words
    assert "Decision tuned inside the training folds" in words


def test_what_coincides_in_a_linear_model_is_said(two):
    words = Page(render(two.to_dict())).words
    assert "The bias of a linear model absorbs a constant per class" in words


def test_the_recall_of_each_class_stands_beside_its_rows(three):
    words = Page(render(three.to_dict())).words
    counts = dict(zip(three.to_dict()["dataset"]["classes"], three.to_dict()["dataset"]["counts"], strict=True))
    for label, rows in counts.items():
        assert f"{label} {rows} rows" in words


def test_hostile_names_are_text():
    evil = "<script>alert('x')</script>"
    result = compared(["ok", evil], features=('"><img src=x onerror=alert(1)>', "b"), strategies=["balanced"])
    content = result.to_dict()
    content["settings"]["data"] = "{{ 7 * 7 }}<b>.csv"
    content["warnings"].append("<u>warned</u>")
    content["skipped"].append({"strategy": "<i>", "reason": "</main>"})
    html = render(content)
    page = Page(html)
    assert "script" not in [tag for tag, _ in page.tags]
    assert not {"img", "u", "i"} & {tag for tag, a in page.tags if "class" not in a}
    assert evil in page.words
    assert "{{ 7 * 7 }}<b>.csv" in page.words
    assert "<u>warned</u>" in page.words


def test_undefined_numbers_are_dashes(two):
    content = two.to_dict()
    for row in content["summary"]:
        if row["strategy"] == "focal":
            row.update(mean=None, ci_low=None, ci_high=None, difference=None, p_adjusted=None)
    content["best"].update(strategy=None, decision=None, estimate=None, ci_low=None, ci_high=None)
    words = Page(render(content)).words
    assert "–" in words
    assert "nan" not in words.lower()
    assert "None" not in words.replace("None of", "")


def test_results_of_another_version_with_an_unknown_strategy_still_give_a_page(two):
    content = copy.deepcopy(two.to_dict())
    for part in (content["runs"], content["summary"]):
        for row in part:
            row["strategy"] = row["strategy"].replace("focal", "quantum")
    content["settings"]["strategies"] = [s.replace("focal", "quantum") for s in content["settings"]["strategies"]]
    assert "quantum" in Page(render(content)).words


def test_only_the_baseline(two):
    content = two.to_dict()
    for key in ("runs", "summary"):
        content[key] = [row for row in content[key] if row["strategy"] == "none"]
    content["settings"]["strategies"] = ["none"]
    content["best"].update(strategy="none", decision="default")
    Page(render(content))
