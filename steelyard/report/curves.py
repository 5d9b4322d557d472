"""Precision–recall curves and reliability as inline SVG: where each line and point stands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from steelyard.report import words
from steelyard.report.content import BASELINE, Results

__all__ = ["HEIGHT", "WIDTH", "figures"]

WIDTH, HEIGHT = 440, 330
_LEFT, _RIGHT, _TOP, _BOTTOM = 58, 12, 12, 42
_TICKS = (0.0, 0.25, 0.5, 0.75, 1.0)
_RELIABLE = 2  # series of a reliability view: more would hide each other


def x(value: float) -> float:
    """Return the place of a value in [0, 1] on the horizontal axis.

    Examples
    --------
    >>> x(0.0), x(1.0)
    (58.0, 428.0)
    """
    return round(_LEFT + value * (WIDTH - _LEFT - _RIGHT), 1)


def y(value: float) -> float:
    """Return the place of a value in [0, 1] on the vertical axis, which points up.

    Examples
    --------
    >>> y(0.0), y(1.0)
    (288.0, 12.0)
    """
    return round(HEIGHT - _BOTTOM - value * (HEIGHT - _TOP - _BOTTOM), 1)


def figures(results: Results, models: Sequence[str]) -> dict[str, Any] | None:
    """Return, per model, the figures of each viewed class: its curves, then how far its probabilities hold.

    Parameters
    ----------
    results : mapping
        The content of results.json.
    models : sequence of str

    Returns
    -------
    dict or None
        None for results without views.
    """
    views = results.get("views") or {}
    curves = views.get("curves") or []
    if not curves:
        return None
    classes = list(dict.fromkeys(str(c["class"]) for c in curves))
    groups = []
    for number, model in enumerate(models):
        drawn, reliable = [], []
        for k, label in enumerate(classes):
            own = [c for c in curves if (c["model"], str(c["class"])) == (model, label)]
            if own:
                drawn.append(_curves(own, results, model, label, f"curve-{number}-{k}"))
            own = [c for c in views.get("reliability", []) if (c["model"], str(c["class"])) == (model, label)]
            if own:
                reliable.append(_reliability(own[:_RELIABLE], model, label, f"reliability-{number}-{k}"))
        if drawn:
            groups.append({"model": model, "curves": drawn, "reliability": reliable})
    return {
        "groups": groups,
        "several": len(results["dataset"]["classes"]) > 2,
        "cut": len(results["dataset"]["classes"]) > len(classes) > 1,
        "classes": words.joined(classes),
        "repeats": views["repeats"],
        "frame": _frame(),
    }


def _frame() -> dict[str, Any]:
    """Return axes and grid, the same in every figure."""
    return {
        "width": WIDTH,
        "height": HEIGHT,
        "left": x(0.0),
        "right": x(1.0),
        "top": y(1.0),
        "bottom": y(0.0),
        "middle": x(0.5),
        "half": y(0.5),
        "across": [(x(t), f"{t:g}") for t in _TICKS],
        "up": [(y(t), f"{t:g}") for t in _TICKS],
    }


def _path(across: Sequence[float], up: Sequence[float]) -> str:
    return "M" + "L".join(f"{x(a):g} {y(b):g}" for a, b in zip(across, up, strict=True))


def _prevalence(results: Results, label: str) -> float:
    dataset = results["dataset"]
    count = dataset["counts"][[str(c) for c in dataset["classes"]].index(label)]
    return float(count / sum(dataset["counts"]))


def _styles(entries: Sequence[Mapping[str, Any]]) -> list[int]:
    """Return the style of each line: 0 for the baseline, whoever else is drawn."""
    others = iter(range(1, len(entries) + 1))
    return [0 if e["strategy"] == BASELINE else next(others) for e in entries]


def _curves(
    entries: Sequence[Mapping[str, Any]], results: Results, model: str, label: str, name: str
) -> dict[str, Any]:
    share = _prevalence(results, label)
    lines = [
        {
            "strategy": e["strategy"],
            "style": style,
            "path": _path(e["recall"], e["precision"]),
            "value": words.number(e["average_precision"]),
        }
        for e, style in zip(entries, _styles(entries), strict=True)
    ]
    reached = words.joined([f"{line['strategy']} {line['value']}" for line in lines])
    return {
        "id": name,
        "label": label,
        "title": f"Precision against recall for class {label}, {model}",
        "description": f"Average precision: {reached}. A random order has a precision of {words.number(share)}, "
        "whatever its recall.",
        "lines": lines[::-1],  # the baseline is drawn last, over the others
        "legend": lines,
        "share": {"y": y(share), "text": words.number(share)},
    }


def _reliability(entries: Sequence[Mapping[str, Any]], model: str, label: str, name: str) -> dict[str, Any]:
    lines = []
    for e, style in zip(entries, _styles(entries), strict=True):
        points = [
            {
                "x": x(p),
                "y": y(o),
                "low": y(low),
                "high": y(high),
                "text": f"{e['strategy']}: predicted {words.number(p)}, observed {words.number(o)} of {rows:,.0f} rows",
            }
            for p, o, low, high, rows in zip(
                e["predicted"], e["observed"], e["ci_low"], e["ci_high"], e["rows"], strict=True
            )
        ]
        lines.append(
            {
                "strategy": e["strategy"],
                "style": style,
                "path": _path(e["predicted"], e["observed"]),
                "points": points,
            }
        )
    said = "; ".join(
        f"{e['strategy']}: "
        + ", ".join(
            f"{words.number(p, 2)} → {words.number(o, 2)}" for p, o in zip(e["predicted"], e["observed"], strict=True)
        )
        for e in entries
    )
    return {
        "id": name,
        "label": label,
        "title": f"Observed share against predicted probability of class {label}, {model}",
        "description": f"Predicted → observed, {said}.",
        "lines": lines[::-1],
        "legend": lines,
    }
