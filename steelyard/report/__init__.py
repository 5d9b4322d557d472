"""results.json → one HTML file that needs no network, or the same as Markdown."""

from __future__ import annotations

from steelyard.report.html import render, render_study
from steelyard.report.markdown import markdown
from steelyard.report.study import as_markdown as study_as_markdown

__all__ = ["markdown", "render", "render_study", "study_as_markdown"]
