"""The pages: a view of the results, poured into a template in which every value is escaped."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from steelyard.report.study import study_view
from steelyard.report.view import view

__all__ = ["render", "render_study"]

_SCRIPTS = ("scripts/page.js", "scripts/figures.js", "scripts/explorer.js")


def render(results: Mapping[str, Any]) -> str:
    """Return the report as HTML.

    Parameters
    ----------
    results : mapping
        The content of results.json.

    Returns
    -------
    str
        A whole page with style and script inside; it asks no network for anything. Class labels, column names and
        messages are text: a label such as "<script>" is shown, not run. The page's own policy lets a browser run the
        one script of this package, known by its hash, and no other.
    """
    from markupsafe import Markup

    environment = _environment()
    assert environment.loader is not None
    # each file in a block of its own, so that none sees another's names
    files = [environment.loader.get_source(environment, name)[0] for name in _SCRIPTS]
    script = '"use strict";\n' + "\n".join(f"{{\n{text}}}" for text in files) + "\n"
    return _page(
        environment,
        "report.html",
        view(results)
        # trusted: files of this package, and nothing of the results is in them
        | {"script": Markup(script), "script_hash": b64encode(sha256(script.encode()).digest()).decode()},
    )


def render_study(study: Mapping[str, Any]) -> str:
    """Return the report of a study over data sets as HTML.

    Parameters
    ----------
    study : mapping
        The content of study.json.

    Returns
    -------
    str
        A whole page, like that of a comparison; names of files and reasons are text.
    """
    return _page(_environment(), "study.html", study_view(study))


def _page(environment: Any, template: str, content: Mapping[str, Any]) -> str:
    page: str = environment.get_template(template).render(content)
    return page


def _environment() -> Any:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    return Environment(
        loader=PackageLoader("steelyard.report"),
        autoescape=True,
        undefined=StrictUndefined,  # a name that the view does not have is an error, not an empty cell
        trim_blocks=True,
        lstrip_blocks=True,
    )
