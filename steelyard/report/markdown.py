"""The same content as Markdown: for a pull request, a notebook, a terminal."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from steelyard.report.markdown_text import fenced, text
from steelyard.report.view import view

__all__ = ["markdown"]


def markdown(results: Mapping[str, Any]) -> str:
    """Return the report as Markdown (CommonMark with tables).

    Parameters
    ----------
    results : mapping
        The content of results.json.

    Returns
    -------
    str
        Class labels, column names and messages are text in it.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("steelyard.report"),
        autoescape=False,  # for HTML; here every value goes through `text` instead
        finalize=text,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["fenced"] = fenced
    page = environment.get_template("report.md").render(view(results))
    return re.sub(r"\n{3,}", "\n\n", page).strip() + "\n"
