"""How the comparison was run: settings, folds, seeds, versions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from steelyard.report import words
from steelyard.report.content import Results
from steelyard.report.labels import label_counts

__all__ = ["data_facts", "how_it_ran"]


def data_facts(results: Results) -> list[tuple[str, str]]:
    """Return what is known about the table."""
    dataset, settings = results["dataset"], results["settings"]
    counts = dataset["counts"]
    facts = [
        ("rows", f"{dataset['rows']:,}"),
        ("features", f"{dataset['features']:,}"),
        ("classes", str(len(counts))),
        ("largest to smallest class", f"{max(counts) / min(counts):.1f}\u00a0:\u00a01"),
        ("fingerprint of the table", dataset["fingerprint"][:12]),
    ]
    labels = label_counts(dataset)
    if labels is not None:
        rarest, n = min(labels, key=lambda pair: pair[1])
        facts[2:4] = [("labels", str(len(labels))), ("rarest label", f"{rarest}, {n:,} rows")]
    elif settings["positive"] is not None:
        facts.insert(3, ("positive class", str(settings["positive"])))
    return facts


def how_it_ran(results: Results, models: Sequence[str]) -> list[tuple[str, str]]:
    """Return the settings, each as (name, value); whatever else the settings hold stands at the end."""
    settings = dict(results["settings"])
    seconds = sum(run.get("fit_seconds") or 0.0 for run in results["runs"])
    facts = [
        ("ranked by", str(settings["metric"])),
        ("decisions tuned for", str(settings["decision_metric"]) if settings["decisions"] == "both" else "not tuned"),
        ("folds × repeats", f"{settings['cv']} × {settings['repeats']}"),
        ("fits", f"{len(results['runs']):,}, {words.number(seconds)} s of training"),
        ("model" if len(models) == 1 else "models", words.joined(models)),
        ("seed", str(settings["random_state"])),
        ("Steelyard", str(results["steelyard_version"])),
    ]
    facts += [(f"version of {k}", str(v)) for k, v in (results.get("versions") or {}).items()]
    return facts + [(name, _text(value)) for name, value in settings.items() if name not in _SAID and value]


_SAID = {"data", "target", "metric", "decision_metric", "decisions", "cv", "repeats", "models", "random_state"} | {
    "positive",
    "strategies",
    "costs",
}


def _text(value: Any) -> str:
    """Return a setting in words: parameters as name = value."""
    if isinstance(value, Mapping):
        return ", ".join(
            f"{k}: {_text(v)}" if isinstance(v, Mapping) else f"{k} = {_text(v)}" for k, v in value.items()
        )
    if isinstance(value, list):
        return ", ".join(map(_text, value))
    return "yes" if value is True else str(value)
