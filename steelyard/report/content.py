"""What several parts of the page ask of results.json."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from steelyard import metrics
from steelyard.metrics import Metric

__all__ = ["BASELINE", "Results", "Row", "best_row", "metric_called", "models_in", "rows_of", "strategies_of", "worth"]

Results = Mapping[str, Any]
Row = dict[str, Any]

BASELINE = "none"


def metric_called(name: str, results: Results) -> Metric:
    """Return the metric, knowing the classes, and what chance reaches on folds of this size."""
    dataset = results["dataset"]
    positive = results["settings"]["positive"]
    classes = dataset["classes"]
    priors = np.asarray(dataset["counts"], float) / sum(dataset["counts"])
    index = None if positive is None else classes.index(positive)
    cells = results["settings"].get("costs")
    costs = 1.0 - np.eye(
        len(classes)
    )  # of results without them, or with one per row, only words and direction are asked
    if cells is not None and not any(isinstance(c, str) for row in cells for c in row):
        costs = np.asarray(cells, float)
    metric = metrics.get(name, classes, index, priors, costs)
    about = results.get("metrics", {}).get(name, {})  # results of an older version may lack it
    return replace(metric, chance=about.get("chance", metric.chance))


def worth(value: float | None, metric: Metric) -> float:
    """Return a number that is larger for a better value, and smallest for an undefined one."""
    if value is None:
        return -np.inf
    return value if metric.greater_is_better else -value


def rows_of(results: Results, model: str, metric: str, decision: str) -> list[Row]:
    """Return the rows of the summary for one model, metric and decision."""
    wanted = (model, metric, decision)
    return [r for r in results["summary"] if (r["model"], r["metric"], r["decision"]) == wanted]


def best_row(results: Results, strategy: str | None = None) -> Row:
    """Return the row of the summary that the winner was chosen by, or that of another strategy beside it.

    What does not depend on a decision has one row, whichever decision is recommended.
    """
    best = results["best"]
    metric = metric_called(best["metric"], results)
    decision = best["decision"] if metric.kind == "label" else "default"
    rows = rows_of(results, best["model"], best["metric"], decision)
    return next(r for r in rows if r["strategy"] == (strategy or best["strategy"]))


def models_in(results: Results) -> list[str]:
    """Return the models that have results, the one with the best mean first."""
    metric = metric_called(results["settings"]["metric"], results)
    best: dict[str, float] = {}
    for row in results["summary"]:
        if row["metric"] == metric.name:
            best[row["model"]] = max(worth(row["mean"], metric), best.get(row["model"], -np.inf))
    winner = results["best"]["model"]
    return sorted(best, key=lambda model: (model != winner, -best[model]))


def strategies_of(results: Results, model: str) -> list[str]:
    """Return the strategies that have results with a model, in the order of the settings."""
    found = {r["strategy"] for r in results["summary"] if r["model"] == model}
    return [s for s in results["settings"]["strategies"] if s in found]
