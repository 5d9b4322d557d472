"""The page: a view of the results, poured into a template in which every value is escaped."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from steelyard.report.view import view

__all__ = ["render"]


def render(results: Mapping[str, Any]) -> str:
    """Return the report as HTML.

    Parameters
    ----------
    results : mapping
        The content of results.json.

    Returns
    -------
    str
        A whole page with its style inside. Class labels, column names and messages are text: a label such as
        "<script>" is shown, not run.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("steelyard.report"),
        autoescape=True,
        undefined=StrictUndefined,  # a name that the view does not have is an error, not an empty cell
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html").render(view(results))
