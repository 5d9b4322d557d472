"""Each class by itself: rows, recall, precision and F1, with the counts behind them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from steelyard.report import words
from steelyard.report.content import BASELINE, Results

__all__ = ["per_class"]


def per_class(results: Results, models: Sequence[str]) -> dict[str, Any] | None:
    """Return, per model, a table for "none" and one for the best strategy, at each decision.

    Parameters
    ----------
    results : mapping
        The content of results.json.
    models : sequence of str

    Returns
    -------
    dict or None
        None for results without these counts. Cells carry the number that they are sorted by.
    """
    views = results.get("views") or {}
    entries = views.get("classes") or []
    if not entries:
        return None
    best = results["best"]
    groups = []
    for model in models:
        own = [e for e in entries if e["model"] == model]
        names = list(dict.fromkeys(e["strategy"] for e in own))
        first = best["strategy"] if best["model"] == model else next((n for n in names if n != BASELINE), BASELINE)
        shown = [n for n in dict.fromkeys([first, BASELINE]) if n in names]
        tables = [_table(e, results, views["repeats"]) for name in shown for e in own if e["strategy"] == name]
        if tables:
            groups.append({"model": model, "tables": tables})
    return {"groups": groups, "repeats": views["repeats"]}


def _table(entry: Mapping[str, Any], results: Results, repeats: int) -> dict[str, Any]:
    dataset = results["dataset"]
    order = sorted(range(len(dataset["classes"])), key=lambda k: dataset["counts"][k])
    rows = [
        _row(str(dataset["classes"][k]), dataset["counts"][k], entry["found"][k], entry["labelled"][k], repeats)
        for k in order
    ]
    return {"strategy": entry["strategy"], "decision": words.own_or_tuned(entry["decision"]), "rows": rows}


def _row(label: str, count: int, found: int, labelled: int, repeats: int) -> dict[str, Any]:
    """Return the cells of a class; rows found and labelled are means over repeats, shares are of all repeats."""
    recall = found / (count * repeats) if count else None
    precision = found / labelled if labelled else None
    f1 = 2.0 * found / (count * repeats + labelled) if count or labelled else None
    return {
        "label": label,
        "cells": [
            {"text": f"{count:,}", "of": "", "value": count, "share": None},
            _share(recall, f"{_rows(found / repeats)} of {count:,}"),
            _share(precision, f"{_rows(found / repeats)} of {_rows(labelled / repeats)}"),
            _share(f1, ""),
        ],
    }


def _share(value: float | None, of: str) -> dict[str, Any]:
    return {
        "text": words.number(value),
        "of": of,
        "value": -1.0 if value is None else round(value, 6),
        "share": 0 if value is None else round(100 * value),
    }


def _rows(value: float) -> str:
    return f"{value:,.0f}" if value == round(value) else f"{value:,.1f}"
