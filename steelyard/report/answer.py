"""The first screen: one sentence that answers the question, and the four numbers behind it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from steelyard.metrics import Metric
from steelyard.report import words
from steelyard.report.content import BASELINE, Results, Row, best_row
from steelyard.report.differences import Differences

__all__ = ["answer"]


def answer(results: Results, metric: Metric, models: Sequence[str], explored: bool = True) -> dict[str, Any]:
    """Return the sentence and the numbers.

    Parameters
    ----------
    results : mapping
        The content of results.json.
    metric : Metric
        What strategies are ranked by.
    models : sequence of str
    explored : bool, default True
        Whether the threshold and cost explorer stands below.
    """
    best = results["best"]
    if best["strategy"] is None:
        return {"sentence": "No strategy could be ranked.", "more": "", "tone": "same", "numbers": []}
    row, base = best_row(results), best_row(results, BASELINE)
    differences = Differences(results)
    sentence, more, tone = _verdict(row, results["summary"], metric, models)
    if explored and tone == "same" and not row.get("only_threshold"):
        more += " Choose the threshold for your own costs below."
    own = None if row["strategy"] == BASELINE else differences.interval(row)
    numbers = [
        {
            "name": "best by its mean",
            "value": row["strategy"],
            "text": f"with {row['model']}" + _deciding(best["decision"], metric),
            "word": True,
        },
        {
            "name": "expect on new rows",
            "value": words.number(best["estimate"]),
            "text": f"{metric.name}, 95 % interval {words.number(best['ci_low'])} to {words.number(best['ci_high'])}; "
            f"corrected for having been picked as the best (mean over the folds: {words.number(row['mean'])})",
            "word": False,
        },
    ]
    if row["strategy"] != BASELINE:
        interval = "" if own is None else f", 95 % interval {words.difference(own[0])} to {words.difference(own[1])}"
        numbers.append(
            {
                "name": "plain training",
                "value": words.number(base["mean"]),
                "text": f"difference of the best {words.difference(row['difference'])}{interval}",
                "word": False,
            }
        )
    smallest = differences.smallest(metric, row["model"], list(results["summary"]))
    if smallest is not None:
        numbers.append(
            {
                "name": "smallest detectable effect",
                "value": words.number(smallest.value),
                "text": smallest.text,
                "word": False,
            }
        )
    return {"sentence": sentence, "more": more, "tone": tone, "numbers": numbers}


def _deciding(decision: str, metric: Metric) -> str:
    if metric.kind != "label" and metric.floor is None:
        return ""
    return ", its decision tuned" if decision == "tuned" else ", deciding in its own way"


def _verdict(row: Row, rows: Sequence[Row], metric: Metric, models: Sequence[str]) -> tuple[str, str, str]:
    who = row["strategy"] if len(models) == 1 else f"{row['strategy']} with {row['model']}"
    ranked = [r for r in rows if (r["metric"], r["decision"]) == (metric.name, row["decision"])]
    if row["verdict"] == "helps":
        return f"{who} helps.", f"By {metric.name}, it beats plain training by more than chance explains.", "helps"
    if row.get("only_threshold"):
        return (
            f"{who} is best, and only moves the threshold.",
            "Plain training with a moved threshold does as well, as far as these rows can tell, and costs no training.",
            "same",
        )
    if any(r["verdict"] == "helps" for r in ranked):
        # another strategy beats plain training of its own model, and yet is not the best
        plain = "plain training" if row["strategy"] == BASELINE else who
        return (
            f"The best is {plain}.",
            "Others beat plain training of their own model, and do not reach its mean.",
            "same",
        )
    best = (
        "Plain training has the best mean, too."
        if row["strategy"] == BASELINE
        else f"{who} has the best mean, but these rows cannot tell it from plain training: take what is simpler."
    )
    tuned = ", once decisions are tuned" if row["decision"] == "tuned" else ""
    return f"By {metric.name}{tuned}, no strategy detectably beats plain training.", best, "same"
