"""The ranking by one metric: a table per model on one axis, each strategy against the "none" of its model."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest
from typing import Any

from steelyard.metrics import Metric
from steelyard.report import words
from steelyard.report.charts import Axis, all_ends, axis_for, mark
from steelyard.report.content import BASELINE, Results, Row, rows_of, worth
from steelyard.report.differences import verdict_of

__all__ = ["findings", "ranking"]


def ranking(results: Results, metric: Metric, models: Sequence[str]) -> dict[str, Any]:
    """Return what the section on one metric shows.

    Parameters
    ----------
    results : mapping
        The content of results.json.
    metric : Metric
    models : sequence of str
        In the order of the page.

    Returns
    -------
    dict
        Strategies stand from best to worst; default and tuned decision side by side.
    """
    decisions = [d for d in _decisions(results, metric) if any(rows_of(results, m, metric.name, d) for m in models)]
    columns = {m: [rows_of(results, m, metric.name, d) for d in decisions] for m in models}
    axis = axis_for([end for parts in columns.values() for rows in parts for end in all_ends(rows)])
    groups = [_group(results, metric, model, columns[model], axis) for model in models]
    own = "each strategy's own decision" if metric.kind == "label" else ""
    return {
        "metric": metric.name,
        "explanation": metric.explanation + _kept(results, metric),
        "chance": None if metric.chance is None else words.number(metric.chance),
        "direction": "higher is better" if metric.greater_is_better else "lower is better",
        "headings": [own if d == "default" else "decision tuned inside the training folds" for d in decisions],
        "ticks": axis.ticks,
        "groups": groups,
        "overview": len(groups) > 1,
    }


def _decisions(results: Results, metric: Metric) -> tuple[str, ...]:
    """Return the decisions that a metric is shown at.

    What is raised under a floor is read where the floor is kept: a strategy's own decision knows of none.
    """
    return ("tuned",) if _floored(results, metric) else ("default", "tuned")


def _floored(results: Results, metric: Metric) -> bool:
    return results.get("floor") is not None and metric.name == results["settings"]["decision_metric"]


def _kept(results: Results, metric: Metric) -> str:
    if not _floored(results, metric):
        return ""
    about = results["floor"]
    return f" Decisions are tuned to keep {about['quantity']}_{about['class']} at {about['level']:g} or above."


def _group(results: Results, metric: Metric, model: str, columns: Sequence[list[Row]], axis: Axis) -> dict[str, Any]:
    lookup = [{r["strategy"]: r for r in rows} for rows in columns]
    ranked = sorted(columns[0], key=lambda r: worth(r["mean"], metric), reverse=True)
    lines = [at[BASELINE]["mean"] if BASELINE in at else None for at in lookup]
    rows = [
        {
            "strategy": r["strategy"],
            "best": _is_best(results, r, metric),
            "cells": [_cell(at.get(r["strategy"]), axis) for at in lookup],
        }
        for r in ranked
    ]
    # by each decision the best one; of equal means the simpler
    best = [
        max(part, key=lambda r: (worth(r["mean"], metric), r["strategy"] == BASELINE))["strategy"]
        for part in columns
        if part
    ]
    first = dict.fromkeys([BASELINE, *best])
    return {
        "model": model,
        "baseline": [None if mean is None else axis.position(mean) for mean in lines],
        "rows": rows,
        "overview": [row for name in first for row in rows if row["strategy"] == name],
        "tallies": [words.tally(part) for part in columns],
    }


def _is_best(results: Results, row: Row, metric: Metric) -> bool:
    best = results["best"]
    return (best["metric"], best["model"], best["strategy"]) == (metric.name, row["model"], row["strategy"])


def _cell(row: Row | None, axis: Axis) -> dict[str, Any]:
    if row is None:
        return {"mark": None, "mean": "–", "interval": "", "difference": "", "p": "", "verdict": "", "tone": ""}
    compared = row["verdict"] != "baseline"
    known = row["ci_low"] is not None and row["ci_high"] is not None
    return {
        "mark": mark(row, axis),
        "mean": words.number(row["mean"]),
        "interval": f"{words.number(row['ci_low'])} to {words.number(row['ci_high'])}" if known else "",
        "difference": words.difference(row["difference"]) if compared else "",
        "p": words.p_value(row["p_adjusted"]),
        "verdict": verdict_of(row),
        "tone": {"helps": "helps", "harms": "harms", "baseline": "base"}.get(row["verdict"], "same"),
    }


def findings(results: Results, metric: Metric, models: Sequence[str]) -> list[dict[str, str]]:
    """Return what the verdicts on one metric amount to; a sentence that holds for several models stands once."""
    said = []
    for model in models:
        shown = _decisions(results, metric)
        default, tuned = (rows_of(results, model, metric.name, d) if d in shown else [] for d in ("default", "tuned"))
        said.append(words.headline(default, tuned, metric.name, metric.kind))
    grouped: dict[str, list[str]] = {}
    for sentences in zip_longest(*said):
        for model, sentence in zip(models, sentences, strict=True):
            if sentence is not None:
                grouped.setdefault(sentence, []).append(model)
    return [
        {
            "models": "" if len(models) == 1 else "Every model" if len(who) == len(models) else words.joined(who),
            "sentence": sentence,
        }
        for sentence, who in grouped.items()
    ]
