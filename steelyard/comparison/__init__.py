"""From a table to results: folds, training, out-of-fold scores, metrics, verdicts."""

from __future__ import annotations

from steelyard.comparison.in_memory import compare
from steelyard.comparison.results import Result

__all__ = ["Result", "compare"]
