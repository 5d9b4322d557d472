"""How code is found in pages: a page whose code is not run is worse than a page without code."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs.pages import python_blocks, run


def page(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "page.md"
    path.write_text(text, encoding="utf-8")
    return path


def test_blocks_share_a_namespace_and_other_languages_are_left_out(tmp_path: Path) -> None:
    text = "a\n```python\nx = 1\n```\n```console\n$ false\n```\n- in a list\n\n  ```python\n  x += 1\n  ```\n"
    blocks = python_blocks(page(tmp_path, text))
    assert [(b.line, b.code) for b in blocks] == [(3, "x = 1\n"), (11, "x += 1\n")]
    assert run(blocks)["x"] == 2


def test_a_prompt_is_a_doctest(tmp_path: Path) -> None:
    good = "```python\nx = 20\n```\n```python\n>>> x + 1\n21\n>>> y = x\n```\n```python\nassert y == 20\n```\n"
    run(python_blocks(page(tmp_path, good)))
    with pytest.raises(AssertionError, match=r"page\.md:2"):
        run(python_blocks(page(tmp_path, "```python\n>>> 1 + 1\n3\n```\n")))


def test_an_error_points_to_the_line_of_the_page(tmp_path: Path) -> None:
    blocks = python_blocks(page(tmp_path, "one\ntwo\n```python\n\n1 / 0\n```\n"))
    with pytest.raises(ZeroDivisionError) as caught:
        run(blocks)
    assert caught.traceback[-1].lineno + 1 == 5
    assert caught.traceback[-1].path == blocks[0].page


@pytest.mark.parametrize("text", ["```\nx = 1\n```\n", "```py\nx = 1\n```\n", "```Python\n```\n", "```python\nx = 1\n"])
def test_nothing_is_skipped_in_silence(tmp_path: Path, text: str) -> None:
    with pytest.raises(AssertionError, match=r"page\.md"):
        python_blocks(page(tmp_path, text))
