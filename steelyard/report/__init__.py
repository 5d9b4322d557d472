"""results.json → one HTML file that needs nothing else: no network, no script."""

from __future__ import annotations

from steelyard.report.html import render, render_study
from steelyard.report.study import as_markdown as study_as_markdown

__all__ = ["render", "render_study", "study_as_markdown"]
