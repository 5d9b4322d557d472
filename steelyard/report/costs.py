"""What mistakes cost, as it was stated: the matrix, and what it means in words."""

from __future__ import annotations

from typing import Any

from steelyard.decisions.cost_words import amount, in_words
from steelyard.decisions.stated_costs import Costs
from steelyard.report.content import Results

__all__ = ["stated_costs"]

_MOST_CLASSES = 15  # a larger matrix is in results.json


def stated_costs(results: Results) -> dict[str, Any] | None:
    """Return what the section on costs shows; None where none were stated.

    Parameters
    ----------
    results : mapping
        The content of results.json.

    Returns
    -------
    dict or None
        Common classes first, as in the confusion matrices.
    """
    matrix = results["settings"].get("costs")
    if matrix is None:
        return None
    dataset = results["dataset"]
    names = [str(c) for c in dataset["classes"]]
    costs = Costs(tuple(dataset["classes"]), tuple(tuple(row) for row in matrix))
    counts = dict(zip(costs.classes, dataset["counts"], strict=True))
    order = sorted(range(len(names)), key=lambda k: -dataset["counts"][k])
    shown = len(names) <= _MOST_CLASSES
    return {
        "sentences": in_words(costs, counts, results["settings"]["positive"]).split("\n"),
        "labels": [names[j] for j in order] if shown else [],
        "rows": [{"label": names[k], "cells": [_cell(matrix[k][j]) for j in order]} for k in order] if shown else [],
    }


def _cell(cost: float | str) -> str:
    return cost if isinstance(cost, str) else amount(cost)
