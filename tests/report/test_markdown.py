"""The report as Markdown, read by a parser that is not ours."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from steelyard.report import markdown
from steelyard.report.markdown_text import fenced, text
from tests.report.synthetic import results

EVIL = "a|b <script>alert('x')</script> **bold** [l](http://x) `c` ![i](u) &lt; _e_ ~~s~~ # head"
READ = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])


def tokens(source):
    found = []
    for token in READ.parse(source):
        found.append(token)
        found += token.children or []
    return found


def shown(source):
    return " ".join(t.content for t in tokens(source) if t.type in ("text", "code_inline", "fence", "text_special"))


@pytest.fixture(scope="module")
def hostile():
    return results(3, models=("linear", "mlp"), strategies=("none", "balanced", "focal"), rows=600, cv=3, repeats=1,
                   labels=[f"{EVIL}{k}" for k in range(3)], warnings=(EVIL,), skipped=())  # fmt: skip


def test_it_has_the_sections_of_the_page_and_the_numbers_of_the_results(large):
    source = markdown(large)
    headings = re.findall(r"^## (.*)$", source, re.M)
    assert headings[0] == large["settings"]["metric"]
    assert {"Each class", "The same in your own code", "How it was run"} <= set(headings)
    best = large["best"]
    assert f"**{best['estimate']:.3f}**" in source
    for row in large["summary"]:
        if row["metric"] == "average_precision":
            assert f"| {row['strategy']}" in source
            assert f"{row['mean']:.3f} ({row['ci_low']:.3f} to {row['ci_high']:.3f})" in source


def test_every_table_has_as_many_cells_as_its_head(large, hostile):
    for content in (large, hostile):
        seen = tokens(markdown(content))
        columns, width, tables = 0, None, 0
        for token in seen:
            if token.type == "table_open":
                width, tables = None, tables + 1
            elif token.type == "tr_open":
                columns = 0
            elif token.type in ("th_open", "td_open"):
                columns += 1
            elif token.type == "tr_close":
                width = width or columns
                assert columns == width
        assert tables >= 8
        assert not any(t.type == "text" and "|---" in t.content for t in seen), "a table that is not read as one"


def test_strangers_text_is_text(hostile):
    content = hostile | {"settings": hostile["settings"] | {"data": EVIL + "\n# head", "target": EVIL}}
    source = markdown(content)
    found = {t.type for t in tokens(source)}
    assert not {"html_inline", "html_block", "link_open", "image", "s_open"} & found
    assert "c" not in [t.content for t in tokens(source) if t.type == "code_inline"]
    assert [t.tag for t in READ.parse(source) if t.type == "heading_open"].count("h1") == 1
    for label in content["dataset"]["classes"]:
        assert label.replace(" ", "") in shown(source).replace(" ", "")


@settings(deadline=None)
@given(st.text(min_size=1))
def test_any_text_comes_back_as_it_was_but_for_its_spaces(value):
    source = f"| head |\n|---|\n| x{text(value)}x |\n"
    cells = [t for t in READ.parse(source) if t.type == "inline"]
    assert len(cells) == 2
    words = "".join(c.content for c in cells[1].children)
    assert {c.type for c in cells[1].children} <= {"text", "text_special"}
    assert words.split() == f"x{value}x".replace("\x00", "\ufffd").split()


def test_code_cannot_end_its_fence():
    code = 'labels = ["```", "````"]\n'
    block = next(t for t in READ.parse(fenced(code)) if t.type == "fence")
    assert block.content == code


def test_older_results_give_a_text_too(large):
    source = markdown({key: value for key, value in large.items() if key != "views"})
    assert "Each class" not in source
