"""Text in Markdown: nothing that a user wrote is markup there."""

from __future__ import annotations

import re
from typing import Any

__all__ = ["fenced", "text"]

# what CommonMark, and tables in it, could read as markup; an underscore inside a word is none, and a > only quotes at
# the start of a line
_MARKUP = re.compile(r"[\\`*\[\]<|~&$!]|^>|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])")

# not every reader knows a backslash before these
_ENTITIES = {"<": "&lt;", ">": "&gt;", "&": "&amp;"}


class _Fenced(str):
    """Code with its fence: it is not escaped."""


def text(value: Any) -> str:
    r"""Return a value as text in Markdown: nothing in it is markup, and it stays on its line.

    Examples
    --------
    >>> print(text("a|b <b>*x*</b> class_1 _y_"))
    a\|b &lt;b>\*x\*&lt;/b> class_1 \_y\_
    """
    if isinstance(value, _Fenced):
        return value
    return _MARKUP.sub(lambda found: _ENTITIES.get(found[0], "\\" + found[0]), re.sub(r"\s+", " ", str(value)))


def fenced(code: str) -> _Fenced:
    """Return code in a fence that nothing inside it can close."""
    longest = max((len(run) for run in re.findall("`+", code)), default=0)
    fence = "`" * max(3, longest + 1)
    return _Fenced(f"{fence}python\n{code}{fence}")
