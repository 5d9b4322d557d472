"""results.json → one HTML file that needs nothing else: no network, no script."""

from __future__ import annotations

from steelyard.report.html import render

__all__ = ["render"]
