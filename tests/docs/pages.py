"""Code in Markdown pages: found, and run as the reader would, every block of a page in one namespace."""

from __future__ import annotations

import doctest
import re
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parent.parent.parent

# what a fence may be called; anything else might be Python that nobody runs
_NOT_CODE_OF_OURS = {"console", "text", "json", "toml", "bibtex"}
_FENCE = re.compile(r"^(?P<indent> *)(?P<ticks>`{3,}|~{3,}) *(?P<info>[^\n`]*)$")


class Block(NamedTuple):
    page: Path
    line: int  # of the first line of code, from 1
    code: str


def python_blocks(page: Path) -> list[Block]:
    """Return the ```python blocks of a page.

    Raises
    ------
    AssertionError
        A fence that is not closed, or whose language is neither Python nor known not to be.
    """
    blocks = []
    lines = page.read_text(encoding="utf-8").splitlines()
    i = 0
    while i < len(lines):
        fence = _FENCE.match(lines[i])
        i += 1
        if fence is None:
            continue
        start, indent = i, len(fence["indent"])
        while i < len(lines) and lines[i].strip() != fence["ticks"]:
            i += 1
        assert i < len(lines), f"{page}:{start}: a fence that is never closed"
        language = fence["info"].strip()
        if language == "python":
            blocks.append(Block(page, start + 1, "\n".join(line[indent:] for line in lines[start:i]) + "\n"))
        else:
            assert language in _NOT_CODE_OF_OURS, f"{page}:{start}: fence {language!r}: python, or one of the known"
        i += 1
    return blocks


def run(blocks: list[Block], namespace: dict[str, Any] | None = None) -> dict[str, Any]:
    """Run blocks in one namespace; tracebacks show the page and its line."""
    namespace = {"__name__": "__main__"} if namespace is None else namespace
    for block in blocks:
        if block.code.lstrip().startswith(">>>"):
            where = f"{block.page}:{block.line}"
            example = doctest.DocTestParser().get_doctest(block.code, namespace, where, str(block.page), block.line)
            runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS)
            assert runner.run(example, clear_globs=False).failed == 0, where
            namespace.update(example.globs)
        else:
            # lines in front, so that a traceback points into the page
            exec(compile("\n" * (block.line - 1) + block.code, str(block.page), "exec"), namespace)
    return namespace
