"""What is known about each strategy, beside what this table says about it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from steelyard import strategies
from steelyard.errors import InputError
from steelyard.metrics import Metric
from steelyard.report.content import BASELINE, Results
from steelyard.report.differences import Differences, said
from steelyard.report.literature import general, statements

__all__ = ["evidence"]


def evidence(results: Results, metrics: Sequence[Metric], models: Sequence[str]) -> dict[str, Any]:
    """Return, for each strategy, what it does, what others found, and the user's own numbers.

    Parameters
    ----------
    results : mapping
        The content of results.json.
    metrics : sequence of Metric
        Those whose differences are shown, the most important first.
    models : sequence of str
    """
    differences = Differences(results)
    names = list(dict.fromkeys(m.name for m in metrics))
    rows = {(r["strategy"], r["model"], r["metric"], r["decision"]): r for r in results["summary"]}
    entries = []
    for strategy in results["settings"]["strategies"]:
        own = []
        for model in models:
            for metric in names:
                for decision in ("default", "tuned"):
                    row = rows.get((strategy, model, metric, decision))
                    if row is None or strategy == BASELINE:
                        continue
                    about = {"model": model, "metric": metric, "decision": decision}
                    own.append(about | said(row, differences.interval(row)))
        entries.append(
            _described(strategy, models)
            | {
                "statements": [{"text": s.text, "source": s.source} for s in statements(strategy)],
                "own": own,
                "short": [o for o in own if o["metric"] == names[0] and o["decision"] == "default"],
                "best": strategy == results["best"]["strategy"],
            }
        )
    return {
        "metric": names[0],
        "strategies": entries,
        "general": [{"text": s.text, "source": s.source} for s in general()],
    }


def _described(name: str, models: Sequence[str]) -> dict[str, str]:
    try:
        known = strategies.get(name)
    except InputError:  # results of another version may name strategies that this one does not have
        return {"name": name, "summary": "", "helps": "", "source": "", "note": ""}
    coincides = {m: known.coincides[m] for m in ("*", *models) if m in known.coincides}
    if len(models) > 1:
        coincides = {m: text if m == "*" else f"{m}: {text}" for m, text in coincides.items()}
    return {
        "name": name,
        "summary": known.summary,
        "helps": known.helps,
        "source": known.source,
        "note": " ".join(coincides.values()),
    }
