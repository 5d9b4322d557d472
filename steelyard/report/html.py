"""The page: a view of the results, poured into a template in which every value is escaped."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from steelyard.report.study import study_view
from steelyard.report.view import view

__all__ = ["render", "render_study"]


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
    return _page("report.html", view(results))


def render_study(study: Mapping[str, Any]) -> str:
    """Return the report of a study over data sets as HTML.

    Parameters
    ----------
    study : mapping
        The content of study.json.

    Returns
    -------
    str
        A whole page, as `render` makes one.
    """
    return _page("study.html", study_view(study))


def _page(template: str, content: Mapping[str, Any]) -> str:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("steelyard.report"),
        autoescape=True,
        undefined=StrictUndefined,  # a name that the view does not have is an error, not an empty cell
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(content)
