"""Several labels per row: how each fares with the strategy that is best over all of them."""

from __future__ import annotations

from typing import Any

from steelyard.report import words
from steelyard.report.content import BASELINE, Results
from steelyard.report.differences import verdict_of

__all__ = ["label_counts", "label_rows"]


def label_rows(results: Results) -> list[dict[str, str]]:
    """Return a row of texts for each label; none where there is one label per row, or no winner.

    Parameters
    ----------
    results : mapping
        The content of results.json.
    """
    best = results["best"]
    if "labels" not in results or best["strategy"] is None:
        return []
    about = results["metrics"][best["metric"]]
    decision = best["decision"] if about["kind"] == "label" else "default"

    def line(part: dict[str, Any]) -> dict[str, str]:
        found = {
            r["strategy"]: r
            for r in part["summary"]
            if (r["model"], r["metric"], r["decision"]) == (best["model"], best["metric"], decision)
        }
        none, chosen, own = found[BASELINE], found[best["strategy"]], part["best"]
        how = f", {words.own_or_tuned(own['decision'])} decision" if about["kind"] == "label" else ""
        return {
            "label": part["label"],
            "rows": f"{part['rows']:,}",
            "chance": words.number(part["chance"][best["metric"]]),
            "none": words.number(none["mean"]),
            "best": words.number(chosen["mean"]),
            "interval": f"{words.number(chosen['ci_low'])}–{words.number(chosen['ci_high'])}",
            "verdict": verdict_of(chosen),
            "tone": {"helps": "helps", "harms": "harms", "baseline": "base"}.get(chosen["verdict"], "same"),
            "own": "–" if own["strategy"] is None else f"{own['strategy']} ({own['model']}{how})",
        }

    return [line(part) for part in results["labels"]]


def label_counts(dataset: Results) -> list[tuple[str, int]] | None:
    """Return (label, rows that have it); None where there is one label per row."""
    if "labels" not in dataset:
        return None
    return list(zip(dataset["labels"], dataset["label_counts"], strict=True))
