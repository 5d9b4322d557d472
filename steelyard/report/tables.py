"""Tables without a chart: the recall of each class, the means of every metric."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from steelyard.report import words
from steelyard.report.content import Results, strategies_of

__all__ = ["all_metrics", "recalls"]

_RECALL_COLUMNS = 12  # classes in the table of recalls; with more, the rarest
_BOTH_DECISIONS = 4  # up to so many classes both decisions stand side by side


def recalls(results: Results, models: Sequence[str]) -> dict[str, Any] | None:
    """Return the share of each class that is found, per strategy, at its own and at the tuned decision."""
    dataset = results["dataset"]
    order = sorted(range(len(dataset["classes"])), key=lambda k: dataset["counts"][k])[:_RECALL_COLUMNS]
    labels = [str(dataset["classes"][k]) for k in order]
    means = {
        (r["model"], r["strategy"], r["decision"], r["metric"]): r["mean"]
        for r in results["summary"]
        if r["metric"].startswith("recall_")
    }
    if not means:
        return None
    decisions = [d for d in ("default", "tuned") if any(key[2] == d for key in means)]
    together = [decisions] if len(labels) <= _BOTH_DECISIONS else [[d] for d in decisions]

    def row(model: str, strategy: str, shown: Sequence[str]) -> dict[str, Any]:
        values = [means.get((model, strategy, d, f"recall_{label}")) for d in shown for label in labels]
        return {"strategy": strategy, "cells": [_share(v) for v in values]}

    return {
        "classes": [
            {"label": label, "rows": f"{dataset['counts'][k]:,}"} for label, k in zip(labels, order, strict=True)
        ],
        "groups": [
            {
                "model": model,
                "tables": [
                    {"decisions": shown, "rows": [row(model, s, shown) for s in strategies_of(results, model)]}
                    for shown in together
                ],
            }
            for model in models
        ],
        "cut": len(dataset["classes"]) > _RECALL_COLUMNS,
    }


def _share(value: float | None) -> dict[str, Any]:
    return {"text": words.number(value, 2), "share": 0 if value is None else round(100 * value)}


def all_metrics(results: Results, models: Sequence[str]) -> dict[str, Any]:
    """Return all means at the default decision."""
    names = list(dict.fromkeys(r["metric"] for r in results["summary"] if not r["metric"].startswith("recall_")))
    means = {
        (r["model"], r["strategy"], r["metric"]): r["mean"] for r in results["summary"] if r["decision"] == "default"
    }

    def cells(model: str, strategy: str) -> list[str]:
        digits = {m: 4 if m.startswith(("neg_", "brier_")) else 3 for m in names}
        return [words.number(means.get((model, strategy, m)), digits[m]) for m in names]

    return {
        "metrics": [name.split("_") for name in names],  # a long name may break after an underscore
        "groups": [
            {
                "model": model,
                "rows": [{"strategy": s, "cells": cells(model, s)} for s in strategies_of(results, model)],
            }
            for model in models
        ],
    }
