"""Results → what the page shows: texts and positions, no numbers left to format."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from steelyard import metrics, strategies
from steelyard.errors import InputError
from steelyard.metrics import Metric, corrected_resampled_t
from steelyard.report import words
from steelyard.report.charts import all_ends, axis_for, mark

__all__ = ["view"]

Results = Mapping[str, Any]
Row = dict[str, Any]

_TUNED = ":tuned"
_RECALL_COLUMNS = 12  # classes in the table of recalls; with more, the rarest


def view(results: Results) -> dict[str, Any]:
    """Return everything that the template names.

    Parameters
    ----------
    results : mapping
        The content of results.json.

    Returns
    -------
    dict
    """
    settings, dataset = results["settings"], results["dataset"]
    primary = _metric(settings["metric"], results)
    deciding = _metric(settings["decision_metric"], results)
    # what it ranks by first; then how well it decides, or, where that was asked, how well it ranks
    second = deciding if deciding.name != primary.name else _metric("average_precision", results)
    charts = [_chart(results, metric) for metric in (primary, second)]
    return {
        "title": settings.get("data") or "comparison",
        "target": settings.get("target"),
        "version": results["steelyard_version"],
        "findings": [sentence for chart in charts for sentence in chart["findings"]],
        "best": _best(results),
        "charts": charts,
        "recalls": _recalls(results),
        "table": _table(results),
        "facts": _facts(dataset, settings),
        "classes": _classes(dataset),
        "warnings": results["warnings"],
        "skipped": results["skipped"],
        "strategies": [_described(name, settings) for name in settings["strategies"]],
        "smallest": _smallest_effect(results, primary),
        "metrics": _explained(results, primary, second),
    }


def _metric(name: str, results: Results) -> Metric:
    dataset = results["dataset"]
    positive = results["settings"]["positive"]
    classes = dataset["classes"]
    priors = np.asarray(dataset["counts"], float) / sum(dataset["counts"])
    index = None if positive is None else classes.index(positive)
    return metrics.get(name, classes, index, priors)


def _rows(results: Results, metric: str, decision: str) -> list[Row]:
    return [r for r in results["summary"] if r["metric"] == metric and r["decision"] == decision]


def _chart(results: Results, metric: Metric) -> dict[str, Any]:
    """Intervals of one metric, strategies from best to worst; default and tuned decision side by side."""
    default = _rows(results, metric.name, "default")
    tuned = _rows(results, metric.name, "tuned")
    axis = axis_for([*all_ends(default), *all_ends(tuned)])
    sign = 1.0 if metric.greater_is_better else -1.0
    ranked = sorted(default, key=lambda r: -np.inf if r["mean"] is None else sign * r["mean"], reverse=True)
    columns = [("each strategy's own decision" if metric.kind == "label" else "", default)]
    if tuned:
        columns.append(("decision tuned inside the training folds", tuned))
    baselines = [next((r for r in rows if r["verdict"] == "baseline"), None) for _, rows in columns]
    lookup = [{r["strategy"]: r for r in rows} for _, rows in columns]
    return {
        "metric": metric.name,
        "explanation": metric.explanation,
        "chance": None if metric.chance is None else words.number(metric.chance),
        "direction": "higher is better" if metric.greater_is_better else "lower is better",
        "headings": [heading for heading, _ in columns],
        "ticks": axis.ticks,
        "baseline": [None if b is None or b["mean"] is None else axis.position(b["mean"]) for b in baselines],
        "rows": [
            {"strategy": r["strategy"], "cells": [_cell(at.get(r["strategy"]), axis) for at in lookup]} for r in ranked
        ],
        "findings": words.headline(default, tuned, metric.name, metric.kind),
    }


def _cell(row: Row | None, axis: Any) -> dict[str, Any]:
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
        "verdict": row["verdict"],
        "tone": {"helps": "helps", "harms": "harms", "baseline": "base"}.get(row["verdict"], "same"),
    }


def _best(results: Results) -> dict[str, Any] | None:
    best = results["best"]
    if best["strategy"] is None:
        return None
    mean = next(
        r["mean"]
        for r in results["summary"]
        if all(r[key] == best[key] for key in ("model", "strategy", "decision", "metric"))
    )
    kind = _metric(best["metric"], results).kind
    return {
        "strategy": best["strategy"],
        "model": best["model"],
        "decision": f" with its {best['decision']} decision" if kind == "label" else "",
        "metric": best["metric"],
        "mean": words.number(mean),
        "estimate": words.number(best["estimate"]),
        "interval": f"{words.number(best['ci_low'])} to {words.number(best['ci_high'])}",
    }


def _recalls(results: Results) -> dict[str, Any] | None:
    """Return the share of each class that is found, per strategy, at its own and at the tuned decision."""
    dataset = results["dataset"]
    order = sorted(range(len(dataset["classes"])), key=lambda k: dataset["counts"][k])[:_RECALL_COLUMNS]
    labels = [str(dataset["classes"][k]) for k in order]
    means = {
        (r["strategy"], r["decision"], r["metric"]): r["mean"]
        for r in results["summary"]
        if r["metric"].startswith("recall_")
    }
    if not means:
        return None
    decisions = [d for d in ("default", "tuned") if any(key[1] == d for key in means)]
    named = [s for s in results["settings"]["strategies"] if (s, "default", f"recall_{labels[0]}") in means]
    return {
        "decisions": decisions,
        "classes": [
            {"label": label, "rows": f"{dataset['counts'][k]:,}"} for label, k in zip(labels, order, strict=True)
        ],
        "rows": [
            {
                "strategy": name,
                "cells": [_recall(means.get((name, d, f"recall_{c}"))) for d in decisions for c in labels],
            }
            for name in named
        ],
        "cut": len(dataset["classes"]) > _RECALL_COLUMNS,
    }


def _recall(value: float | None) -> dict[str, Any]:
    return {"text": words.number(value, 2), "share": 0 if value is None else round(100 * value)}


def _table(results: Results) -> dict[str, Any]:
    """All means at the default decision."""
    names = list(dict.fromkeys(r["metric"] for r in results["summary"] if not r["metric"].startswith("recall_")))
    means = {(r["strategy"], r["metric"]): r["mean"] for r in results["summary"] if r["decision"] == "default"}
    named = [s for s in results["settings"]["strategies"] if (s, names[0]) in means]
    return {
        "metrics": [name.split("_") for name in names],  # a long name may break after an underscore
        "rows": [
            {"strategy": s, "cells": [words.number(means[s, m], 4 if m.startswith("neg_") else 3) for m in names]}
            for s in named
        ],
    }


def _facts(dataset: Results, settings: Results) -> list[tuple[str, str]]:
    counts = dataset["counts"]
    facts = [
        ("rows", f"{dataset['rows']:,}"),
        ("features", f"{dataset['features']:,}"),
        ("classes", str(len(counts))),
        ("largest to smallest class", f"{max(counts) / min(counts):.1f} : 1"),
        ("folds × repeats", f"{settings['cv']} × {settings['repeats']}"),
        ("model", words.joined(settings["models"])),
        ("seed", str(settings["random_state"])),
        ("fingerprint", dataset["fingerprint"][:12]),
    ]
    if settings["positive"] is not None:
        facts.insert(3, ("positive class", str(settings["positive"])))
    return facts


def _classes(dataset: Results) -> list[dict[str, Any]]:
    total, most = sum(dataset["counts"]), max(dataset["counts"])
    rows = sorted(zip(dataset["classes"], dataset["counts"], strict=True), key=lambda r: -r[1])
    return [
        {"label": str(c), "count": f"{n:,}", "share": f"{n / total:.2%}", "width": round(100 * n / most, 2)}
        for c, n in rows
    ]


def _described(name: str, settings: Results) -> dict[str, str]:
    try:
        known = strategies.get(name)
    except InputError:  # results of another version may name strategies that this one does not have
        return {"name": name, "summary": "", "helps": "", "source": "", "note": ""}
    notes = [known.coincides[m] for m in ("*", *settings["models"]) if m in known.coincides]
    return {
        "name": name,
        "summary": known.summary,
        "helps": known.helps,
        "source": known.source,
        "note": " ".join(notes),
    }


def _smallest_effect(results: Results, metric: Metric) -> str | None:
    """Return half the width of a typical interval of a difference: less than that could not have been seen."""
    ratio = 1.0 / (results["settings"]["cv"] - 1)
    values: dict[str, list[float]] = {}
    for run in results["runs"]:
        value = run["metrics"].get(metric.name)
        values.setdefault(run["strategy"], []).append(float("nan") if value is None else value)
    base = np.asarray(values.pop("none"))
    estimates = [corrected_resampled_t(np.asarray(v) - base, ratio) for v in values.values()]
    halves = [e.high - e.mean for e in estimates if np.isfinite(e.high) and e.high > e.mean]
    return words.number(float(np.median(halves))) if halves else None


def _explained(results: Results, *first: Metric) -> list[dict[str, str]]:
    names: Sequence[str] = [m.name for m in first]
    others = [
        r["metric"] for r in results["summary"] if r["metric"] not in names and not r["metric"].startswith("recall_")
    ]
    chosen = [_metric(name, results) for name in dict.fromkeys([*names, *others])]
    return [{"name": m.name, "text": m.explanation} for m in chosen]
