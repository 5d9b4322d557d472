"""Confusion matrices as tables: counts, and colour by their share of the true class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from steelyard.report import words
from steelyard.report.content import BASELINE, Results

__all__ = ["confusions"]

_SMALL = 5  # up to so many classes a cell has room for its share, and two matrices stand side by side
_MIDDLE = 15  # up to so many, recall and precision stand beside the matrix


def confusions(results: Results, models: Sequence[str]) -> dict[str, Any] | None:
    """Return, per model, the matrices of "none" and of the best strategy by either metric, and those of the next ones.

    The matrices of one strategy, one per decision, are kept together.

    Parameters
    ----------
    results : mapping
        The content of results.json.
    models : sequence of str

    Returns
    -------
    dict or None
        None for results without views.
    """
    views = results.get("views") or {}
    entries = views.get("confusion") or []
    if not entries:
        return None
    groups = []
    for model in models:
        own = [e for e in entries if e["model"] == model]
        names = list(dict.fromkeys(e["strategy"] for e in own))
        best = results["best"]
        winner = [best["strategy"]] if best["model"] == model else []
        first = {BASELINE, *[n for n in names if n != BASELINE][:1], *winner}
        by_strategy = [
            (name, [_matrix(e, results, views["repeats"]) for e in own if e["strategy"] == name]) for name in names
        ]
        groups.append(
            {
                "model": model,
                "shown": [matrices for name, matrices in by_strategy if name in first],
                "more": [matrices for name, matrices in by_strategy if name not in first],
                "rest": words.joined([n for n in names if n not in first]),
            }
        )
    n_classes = len(results["dataset"]["classes"])
    listed = any("worst" in e for e in entries)
    return {
        "groups": [g for g in groups if g["shown"]],
        "listed": listed,
        "repeats": views["repeats"],
        "metric": results["settings"]["decision_metric"],
        "size": "listed"
        if listed
        else "small"
        if n_classes <= _SMALL
        else "middle"
        if n_classes <= _MIDDLE
        else "large",
    }


def _matrix(entry: Mapping[str, Any], results: Results, repeats: int) -> dict[str, Any]:
    about = {"strategy": entry["strategy"], "decision": words.own_or_tuned(entry["decision"])}
    if "worst" in entry:
        return about | {
            "worst": [
                {
                    "truth": str(w["truth"]),
                    "predicted": str(w["predicted"]),
                    "rows": rows(w["rows"], repeats),
                    "share": percent(w["share"]),
                    "width": round(100 * w["share"], 1),
                }
                for w in entry["worst"]
            ]
        }
    dataset, cells = results["dataset"], entry["matrix"]
    order = sorted(range(len(cells)), key=lambda k: -dataset["counts"][k])  # common classes first
    labelled = [sum(row[k] for row in cells) for k in range(len(cells))]
    return about | {
        "labels": [str(dataset["classes"][k]) for k in order],
        "rows": [
            {
                "label": str(dataset["classes"][i]),
                "cells": [_cell(cells[i][j], sum(cells[i]), i == j, repeats) for j in order],
                "recall": percent(_ratio(cells[i][i], sum(cells[i]))),
            }
            for i in order
        ],
        "precision": [percent(_ratio(cells[j][j], labelled[j])) for j in order],
    }


def _ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _cell(count: int, of: int, right: bool, repeats: int) -> dict[str, Any]:
    share = _ratio(count, of)
    return {
        "text": rows(count, repeats),
        "share": percent(share),
        # a square root: one row in twenty of a class, lost, must be seen
        "depth": 0 if not share else round(100 * share**0.5),
        "kind": "right" if right else "wrong" if count else "zero",
    }


def rows(total: int, repeats: int) -> str:
    """Format a number of rows, which is a mean where the folds were drawn several times.

    Examples
    --------
    >>> rows(3012, 1), rows(7, 3), rows(427, 3)
    ('3,012', '2.3', '142')
    """
    mean = total / repeats
    return f"{mean:,.0f}" if mean == int(mean) or mean >= 9.95 else f"{mean:.1f}"


def percent(share: float | None) -> str:
    """Format a share; a few of many are not none of them.

    Examples
    --------
    >>> percent(0.251), percent(0.004), percent(0.9996), percent(0.0), percent(None)
    ('25 %', '0.4 %', '99.9 %', '0 %', '–')
    """
    if share is None:
        return "–"
    if share in (0.0, 1.0) or 0.00995 <= share < 0.995:
        return f"{100 * share:.0f} %"
    return f"{min(max(100 * share, 0.1), 99.9):.1f} %"
