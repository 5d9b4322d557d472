"""A metric with a floor: what tuned decisions reached, and whether they kept it on test folds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from steelyard.report import words
from steelyard.report.content import Results, rows_of, strategies_of

__all__ = ["floor"]


def floor(results: Results, models: Sequence[str]) -> dict[str, Any] | None:
    """Return what the section on the floor shows; None where the metric has none, or no decision was tuned.

    Parameters
    ----------
    results : mapping
        The content of results.json.
    models : sequence of str
        In the order of the page.
    """
    about = results.get("floor")
    if about is None:
        return None
    kept_name, raised_name = f"{about['quantity']}_{about['class']}", results["settings"]["decision_metric"]
    counts = {(r["model"], r["strategy"]): r for r in about["kept"]}

    def group(model: str) -> dict[str, Any]:
        kept, raised = (
            {r["strategy"]: r for r in rows_of(results, model, name, "tuned")} for name in (kept_name, raised_name)
        )
        return {
            "model": model,
            "rows": [
                {
                    "strategy": s,
                    "raised": _cell(raised[s]),
                    "kept": _cell(kept[s]),
                    "folds": f"{counts[model, s]['kept']} of {counts[model, s]['folds']}",
                }
                for s in strategies_of(results, model)
                if s in kept and s in raised
            ],
        }

    promise = about["confidence"]
    return {
        "raised": raised_name,
        "kept": kept_name,
        "level": f"{about['level']:g}",
        "promise": None if promise is None else f"{promise:g}",
        "proven": about["quantity"] == "precision",
        "groups": [group(model) for model in models],
    }


def _cell(row: dict[str, Any]) -> str:
    return f"{words.number(row['mean'])} ({words.number(row['ci_low'])} to {words.number(row['ci_high'])})"
