"""Results → what the page shows: texts and positions, no numbers left to format."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from steelyard.metrics import Metric
from steelyard.report.advice import notes, skipped
from steelyard.report.answer import answer
from steelyard.report.classes import per_class
from steelyard.report.content import BASELINE, Results, best_row, metric_called, models_in
from steelyard.report.costs import stated_costs
from steelyard.report.curves import figures
from steelyard.report.evidence import evidence
from steelyard.report.explorer import explorer, places
from steelyard.report.floors import floor
from steelyard.report.labels import label_counts, label_rows
from steelyard.report.matrices import confusions
from steelyard.report.ranking import findings, ranking
from steelyard.report.recipe import decision_for, recipe_for
from steelyard.report.running import data_facts, folds_in_words, how_it_ran
from steelyard.report.snippets import snippets
from steelyard.report.tables import all_metrics, recalls

__all__ = ["view"]

_FEW_CLASSES = 15  # a longer list of classes is folded away
_FEW_STRATEGIES = 8
_FRAMEWORK = {"linear": "scikit-learn", "mlp": "PyTorch", "lightgbm": "LightGBM", "xgboost": "XGBoost"}


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
    explored = explorer(results)
    page = {
        "title": settings.get("data") or "comparison",
        "target": settings.get("target"),
        "version": results["steelyard_version"],
        "models": models,
        "findings": [finding for metric in (primary, second) for finding in findings(results, metric, models)],
        "answer": answer(results, primary, models, explored is not None and settings.get("costs") is None),
        "best": results["best"] if results["best"]["strategy"] is not None else None,
        "charts": [ranking(results, metric, models) for metric in (primary, second)],
        "costs": stated_costs(results),
        "floor": floor(results, models),
        "labels": label_rows(results),
        "explorer": explored,
        "places": [] if explored is None else places(explored),
        "per_class": per_class(results, models),
        "recalls": recalls(results, models),
        "confusions": confusions(results, models),
        "figures": figures(results, models),
        "table": all_metrics(results, models),
        "facts": data_facts(results),
        "ran": how_it_ran(results, models),
        "folds": folds_in_words(settings),
        "classes": _classes(dataset),
        "few_classes": len(label_counts(dataset) or dataset["classes"]) <= _FEW_CLASSES,
        "notes": notes(results["warnings"]),
        "skipped": skipped(results["skipped"], models),
        "evidence": evidence(results, (primary, deciding), models),
        "paste": _to_paste(results),
        "few_strategies": len(settings["strategies"]) <= _FEW_STRATEGIES,
        "tuned": any(r["decision"] == "tuned" for r in results["summary"]),
        "metrics": _explained(results, primary, second),
    }
    return page | {"contents": _contents(page)}


def _contents(page: dict[str, Any]) -> list[tuple[str, str]]:
    """Return (anchor, name) of every section that the page has."""
    sections = [
        *((f"ranking-{k}", chart["metric"], True) for k, chart in enumerate(page["charts"], start=1)),
        ("floor", "floor", page["floor"]),
        ("labels", "labels", page["labels"]),
        ("explore", "threshold and costs", page["explorer"]),
        ("costs", "stated costs", page["costs"]),
        ("curves", "curves", page["figures"]),
        ("classes", "each class", page["per_class"] or page["recalls"]),
        ("confusion", "confusion matrices", page["confusions"]),
        ("evidence", "evidence", True),
        ("paste", "code to paste", page["paste"]),
        ("metrics", "all metrics", True),
        ("run", "how it was run", True),
        ("method", "what the numbers mean", True),
    ]
    return [(anchor, name) for anchor, name, there in sections if there]


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


def _to_paste(results: Results) -> dict[str, Any] | None:
    """Return code for the winner, and, where it does not detectably beat plain training, for that too."""
    best = results["best"]
    if best["strategy"] is None or "labels" in results:  # of several labels each has its own report
        return None
    decision = decision_for(results)
    verdict = best_row(results)["verdict"]
    names = [best["strategy"]] if verdict == "helps" else list(dict.fromkeys([best["strategy"], BASELINE]))
    entries = []
    for name in names:
        recipe = recipe_for(results, best["model"], name, decision)
        offered = [] if recipe is None else snippets(recipe)
        first = _FRAMEWORK.get(best["model"], "")
        entries.append(
            {
                "strategy": name,
                "model": best["model"],
                "decision": decision,
                "snippets": sorted((s for s in offered if s.code), key=lambda s: s.name != first),
                "without": [s for s in offered if not s.code],
            }
        )
    return {"entries": entries, "same": verdict == "no detectable difference"}


def _explained(results: Results, *first: Metric) -> list[dict[str, str]]:
    names: Sequence[str] = [m.name for m in first]
    others = [
        r["metric"] for r in results["summary"] if r["metric"] not in names and not r["metric"].startswith("recall_")
    ]
    chosen = [metric_called(name, results) for name in dict.fromkeys([*names, *others])]
    return [{"name": m.name, "text": m.explanation} for m in chosen]
