"""Results → what the page shows: texts and positions, no numbers left to format."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from steelyard import strategies
from steelyard.errors import InputError
from steelyard.metrics import Metric
from steelyard.report import words
from steelyard.report.advice import notes, skipped
from steelyard.report.content import Results, metric_called, models_in, rows_of
from steelyard.report.costs import stated_costs
from steelyard.report.curves import figures
from steelyard.report.floors import floor
from steelyard.report.labels import label_counts, label_rows
from steelyard.report.matrices import confusions
from steelyard.report.ranking import findings, ranking
from steelyard.report.tables import all_metrics, recalls

__all__ = ["view"]

_FEW_CLASSES = 15  # a longer list of classes is folded away
_FEW_STRATEGIES = 8


def view(results: Results) -> dict[str, Any]:
    """Return everything that the template names.

    Parameters
    ----------
    results : mapping
        The content of results.json. Without `views`, as older versions wrote it, the page has no confusion
        matrices and no curves.

    Returns
    -------
    dict
    """
    settings, dataset = results["settings"], results["dataset"]
    models = models_in(results)
    primary = metric_called(settings["metric"], results)
    deciding = metric_called(settings["decision_metric"], results)
    # what it ranks by first; then how well it decides, or, where that was asked, how well it ranks
    second = deciding if deciding.name != primary.name else metric_called("average_precision", results)
    page = {
        "title": settings.get("data") or "comparison",
        "target": settings.get("target"),
        "version": results["steelyard_version"],
        "models": models,
        "findings": [finding for metric in (primary, second) for finding in findings(results, metric, models)],
        "best": _best(results),
        "charts": [ranking(results, metric, models) for metric in (primary, second)],
        "costs": stated_costs(results),
        "floor": floor(results, models),
        "labels": label_rows(results),
        "recalls": recalls(results, models),
        "confusions": confusions(results, models),
        "figures": figures(results, models),
        "table": all_metrics(results, models),
        "facts": _facts(results, models),
        "classes": _classes(dataset),
        "few_classes": len(label_counts(dataset) or dataset["classes"]) <= _FEW_CLASSES,
        "notes": notes(results["warnings"]),
        "skipped": skipped(results["skipped"], models),
        "strategies": [_described(name, models) for name in settings["strategies"]],
        "few_strategies": len(settings["strategies"]) <= _FEW_STRATEGIES,
        "smallest": _smallest_effects(results, primary, models),
        "tuned": any(r["decision"] == "tuned" for r in results["summary"]),
        "metrics": _explained(results, primary, second),
    }
    return page | {"contents": _contents(page)}


def _contents(page: dict[str, Any]) -> list[tuple[str, str]]:
    """Return (anchor, name) of every section that the page has."""
    sections = [
        ("notes", "notes", page["notes"] or page["skipped"]),
        ("costs", "costs", page["costs"]),
        ("floor", "floor", page["floor"]),
        *((f"ranking-{k}", chart["metric"], True) for k, chart in enumerate(page["charts"], start=1)),
        ("labels", "labels", page["labels"]),
        ("recall", "recall of each class", page["recalls"]),
        ("confusion", "confusion matrices", page["confusions"]),
        ("curves", "precision and recall", page["figures"]),
        ("metrics", "all metrics", True),
        ("data", "data", True),
        ("strategies", "strategies", True),
        ("method", "what the numbers mean", True),
    ]
    return [(anchor, name) for anchor, name, there in sections if there]


def _best(results: Results) -> dict[str, Any] | None:
    best = results["best"]
    if best["strategy"] is None:
        return None
    metric = metric_called(best["metric"], results)
    # what does not depend on a decision has one row, whichever decision is recommended
    decision = best["decision"] if metric.kind == "label" else "default"
    about = best | {"decision": decision}
    mean = next(
        r["mean"]
        for r in results["summary"]
        if all(r[key] == about[key] for key in ("model", "strategy", "decision", "metric"))
    )
    return {
        "strategy": best["strategy"],
        "model": best["model"],
        "decision": f" with its {best['decision']} decision" if metric.kind == "label" or metric.floor else "",
        "metric": best["metric"],
        "mean": words.number(mean),
        "estimate": words.number(best["estimate"]),
        "interval": f"{words.number(best['ci_low'])} to {words.number(best['ci_high'])}",
    }


def _facts(results: Results, models: Sequence[str]) -> list[tuple[str, str]]:
    dataset, settings = results["dataset"], results["settings"]
    counts = dataset["counts"]
    facts = [
        ("rows", f"{dataset['rows']:,}"),
        ("features", f"{dataset['features']:,}"),
        ("classes", str(len(counts))),
        ("largest to smallest class", f"{max(counts) / min(counts):.1f}\u00a0:\u00a01"),
        ("folds × repeats", f"{settings['cv']} × {settings['repeats']}"),
        ("model" if len(models) == 1 else "models", words.joined(models)),
        ("seed", str(settings["random_state"])),
        ("fingerprint", dataset["fingerprint"][:12]),
    ]
    labels = label_counts(dataset)
    if labels is not None:
        rarest, n = min(labels, key=lambda pair: pair[1])
        facts[2:4] = [("labels", str(len(labels))), ("rarest label", f"{rarest}, {n:,} rows")]
    elif settings["positive"] is not None:
        facts.insert(3, ("positive class", str(settings["positive"])))
    return facts


def _classes(dataset: Results) -> list[dict[str, Any]]:
    counts = label_counts(dataset) or list(zip(dataset["classes"], dataset["counts"], strict=True))
    total, most = dataset["rows"], max(n for _, n in counts)
    rows = sorted(counts, key=lambda r: -r[1])
    return [
        {
            "label": str(c),
            "count": f"{n:,}",
            "share": f"{100 * n / total:.2f}\u00a0%",
            "width": round(100 * n / most, 2),
        }
        for c, n in rows
    ]


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


def _smallest_effects(results: Results, metric: Metric, models: Sequence[str]) -> str | None:
    """Return, by model, the difference from "none" that would be found with a probability of 80 %, typically."""
    found = [(model, _smallest_effect(results, metric, model)) for model in models]
    said = [(model, words.number(value)) for model, value in found if value is not None]
    if len(models) == 1:
        return said[0][1] if said else None
    return words.joined([f"{value} ({model})" for model, value in said]) if said else None


def _smallest_effect(results: Results, metric: Metric, model: str) -> float | None:
    rows = rows_of(results, model, metric.name, "default")
    found = [row["detectable"] for row in rows if row.get("detectable") is not None]
    return float(np.median(found)) if found else None


def _explained(results: Results, *first: Metric) -> list[dict[str, str]]:
    names: Sequence[str] = [m.name for m in first]
    others = [
        r["metric"] for r in results["summary"] if r["metric"] not in names and not r["metric"].startswith("recall_")
    ]
    chosen = [metric_called(name, results) for name in dict.fromkeys([*names, *others])]
    return [{"name": m.name, "text": m.explanation} for m in chosen]
