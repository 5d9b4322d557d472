"""How the comparison was run: settings, folds, seeds, versions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from steelyard.report import words
from steelyard.report.content import Results
from steelyard.report.labels import label_counts

__all__ = ["data_facts", "folds_in_words", "how_it_ran"]


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


def folds_in_words(settings: Mapping[str, Any]) -> str:
    """Say how the rows were cut into folds.

    Examples
    --------
    >>> folds_in_words({"time": "date"}).split(":")[0]
    'The folds follow date'
    >>> folds_in_words({"groups": "patient"})[:80]
    'The rows are cut into folds with the classes in about equal shares and all rows '
    """
    if settings.get("time"):
        said = (
            f"The folds follow {_column(settings['time'])}: each is tested by models trained on all rows before it, "
            "and the earliest rows are only trained on."
        )
    else:
        together = ""
        if settings.get("groups"):
            together = f" and all rows of the same {_column(settings['groups'])} on one side of every split"
        shares = "about equal shares" if together else "equal shares"
        said = (
            f"The rows are cut into folds with the classes in {shares}{together}; each fold is tested once by models "
            "trained on the others."
        )
    if settings.get("dedupe"):
        said += " Rows with exactly the same features stay on one side of every split."
    return said


def _column(name: Any) -> str:
    return name if isinstance(name, str) else "group or moment"


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
