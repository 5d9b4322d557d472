"""What the threshold explorer works on: for each model, strategy and class what every stored threshold catches."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from steelyard.report import words
from steelyard.report.content import Results

__all__ = ["explorer", "places"]


def explorer(results: Results) -> dict[str, Any] | None:
    """Return the data that the script of the page gets, and what the explorer starts with.

    Parameters
    ----------
    results : mapping
        The content of results.json.

    Returns
    -------
    dict or None
        None for results without thresholds. ``series``: [{model, strategy, same, class, t, tp, fp, half, share}];
        ``costs``: class → [of a false alarm, of a miss]; ``start``: the place of the series to begin with.
    """
    views = results.get("views") or {}
    entries = views.get("thresholds") or []
    if not entries:
        return None
    dataset = results["dataset"]
    labels = list(dict.fromkeys(str(e["class"]) for e in entries))
    series = [
        {
            "model": e["model"],
            "strategy": e["strategy"],
            "same": e["same"],
            "class": str(e["class"]),
            "t": e["threshold"],
            "tp": e["found"],
            "fp": e["false_alarms"],
            "half": e["half"],
            "share": e["share"],
        }
        for e in entries
    ]
    best = results["best"]
    mine = [k for k, e in enumerate(entries) if e["model"] == best["model"]]
    winner = [k for k in mine if best["strategy"] in (entries[k]["strategy"], *entries[k]["same"])]
    return {
        "repeats": views["repeats"],
        "rows": sum(dataset["counts"]),
        "two": len(dataset["classes"]) == 2,
        "labels": labels,
        "other": _other(dataset, labels[0]),
        "series": series,
        "costs": {label: _costs(results, label) for label in labels},
        "stated": _fixed(results["settings"].get("costs")),
        "start": (winner or mine or [0])[0],
    }


def _costs(results: Results, label: str) -> list[float]:
    """Return what a false alarm and a miss cost beyond being right, in the mean of the other classes."""
    dataset, matrix = results["dataset"], results["settings"].get("costs")
    k = [str(c) for c in dataset["classes"]].index(label)
    if not _fixed(matrix):
        # as balanced accuracy weighs them: a class counts as much as all others together
        share = dataset["counts"][k] / sum(dataset["counts"])
        return [1.0, float(f"{(1.0 - share) / share:.2g}")]
    others = [j for j in range(len(matrix)) if j != k]
    rest = sum(dataset["counts"][j] for j in others)
    alarm = sum(dataset["counts"][j] * (matrix[j][k] - matrix[j][j]) for j in others) / rest
    miss = sum(dataset["counts"][j] * (matrix[k][j] - matrix[k][k]) for j in others) / rest
    return [float(f"{max(alarm, 0.0):.4g}"), float(f"{max(miss, 0.0):.4g}")]


def _fixed(matrix: Any) -> bool:
    """Whether costs were stated, and are the same for every row: a cell that names a column is not."""
    return matrix is not None and not any(isinstance(cell, str) for row in matrix for cell in row)


def _other(dataset: Results, label: str) -> str:
    """Return the other one of two classes."""
    return next((str(c) for c in dataset["classes"] if str(c) != label), "")


def places(found: Mapping[str, Any]) -> list[dict[str, str]]:
    """Return what the named thresholds of the first series do, in words: for pages without a script.

    Parameters
    ----------
    found : mapping
        What `explorer` returned.
    """
    series = found["series"][found["start"]]
    alarm, miss = found["costs"][series["class"]]
    positives, negatives = series["tp"][-1], series["fp"][-1]
    rows = positives + negatives

    def cost(k: int) -> float:
        return float(alarm * series["fp"][k] + miss * (positives - series["tp"][k]))

    def f1(k: int) -> float:
        return float(2.0 * series["tp"][k] / (positives + series["tp"][k] + series["fp"][k]))

    every = range(len(series["t"]))
    named = [
        ("cheapest", min(every, key=cost)),
        ("best F1", max(every, key=f1)),
        ("share of the class", series["share"]),
        ("0.5", series["half"]),
    ]
    lines = []
    for name, k in named:
        tp, fp = series["tp"][k], series["fp"][k]
        lines.append(
            {
                "name": name,
                "threshold": "above every row" if series["t"][k] is None else f"{series['t'][k]:.6g}",
                "recall": words.number(tp / positives),
                "precision": words.number(tp / (tp + fp) if tp + fp else None),
                "f1": words.number(f1(k)),
                "alarms": words.number(1000.0 * (tp + fp) / rows, 2),
                "cost": words.number(1000.0 * cost(k) / rows, 2),
            }
        )
    return lines
