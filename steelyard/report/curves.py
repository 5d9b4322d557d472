"""Precision–recall curves, ROC curves and reliability as inline SVG: where each line, band and point stands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from steelyard.report import words
from steelyard.report.content import BASELINE, Results

__all__ = ["HEIGHT", "WIDTH", "figures"]

WIDTH, HEIGHT = 440, 330
_LEFT, _RIGHT, _TOP, _BOTTOM = 58, 12, 12, 42
_TICKS = (0.0, 0.25, 0.5, 0.75, 1.0)
_PARTS = ("curves", "thresholds", "reliability")
_SHOWN = 2  # lines that are shown to begin with; bands of more would hide each other
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
    """Return, per model, the figures of each viewed class: its two curves, and how far its probabilities hold.

    Parameters
    ----------
    results : mapping
        The content of results.json. Without thresholds and bands, as older versions wrote it, there are neither ROC
        curves nor bands.
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
        drawn = []
        for k, label in enumerate(classes):
            own = [
                [c for c in views.get(part) or [] if (c["model"], str(c["class"])) == (model, label)] for part in _PARTS
            ]
            # the winner first: it and the baseline are shown to begin with
            own = [_first(entries, results, model) for entries in own]
            if own[0]:
                share = _prevalence(results, label)
                drawn.append(_curves(own[0], share, model, label, f"curve-{number}-{k}"))
                shown = [e for e in own[1] if e["strategy"] in {c["strategy"] for c in own[0]}]
                if shown:
                    drawn.append(_roc(shown, own[0], model, label, f"roc-{number}-{k}"))
                if own[2]:
                    drawn.append(_reliability(own[2][:_RELIABLE], model, label, f"reliability-{number}-{k}"))
        if drawn:
            groups.append({"model": model, "figures": drawn})
    settings = results["settings"]
    return {
        "groups": groups,
        "several": len(results["dataset"]["classes"]) > 2,
        "cut": len(results["dataset"]["classes"]) > len(classes) > 1,
        "classes": words.joined(classes),
        "repeats": views["repeats"],
        "folds": settings["cv"] * settings["repeats"],
        "frame": _frame(),
    }


def _first(entries: Sequence[Any], results: Results, model: str) -> list[Any]:
    """Return the baseline, then the winner, then the others."""
    best = results["best"]["strategy"] if results["best"]["model"] == model else None
    return sorted(entries, key=lambda e: (e["strategy"] != BASELINE, e["strategy"] != best))


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


def _ribbon(across: Sequence[float], low: Sequence[float | None], high: Sequence[float | None]) -> str | None:
    """Return the outline of a band, where it is known."""
    known = [(a, lo, hi) for a, lo, hi in zip(across, low, high, strict=True) if lo is not None and hi is not None]
    if len(known) < 2:
        return None
    there = [f"{x(a):g} {y(hi):g}" for a, _, hi in known]
    back = [f"{x(a):g} {y(lo):g}" for a, lo, _ in reversed(known)]
    return "M" + "L".join(there + back) + "Z"


def _figure(
    name: str, kind: str, label: str, title: str, description: str, lines: list[dict[str, Any]]
) -> dict[str, Any]:
    for place, line in enumerate(lines):
        line["on"] = place < _SHOWN
    return {
        "id": name,
        "kind": kind,
        "label": label,
        "title": title,
        "description": description,
        "lines": lines[::-1],  # the baseline is drawn last, over the others
        "legend": lines,
        "banded": any(line["band"] for line in lines),
    }


def _curves(entries: Sequence[Mapping[str, Any]], share: float, model: str, label: str, name: str) -> dict[str, Any]:
    lines = []
    for e, style in zip(entries, _styles(entries), strict=True):
        band = e.get("band") or {}
        lines.append(
            {
                "strategy": e["strategy"],
                "style": style,
                "path": _path(e["recall"], e["precision"]),
                "band": _ribbon(band["recall"], band["precision_low"], band["precision_high"]) if band else None,
                "value": words.number(e["average_precision"]),
            }
        )
    reached = words.joined([f"{line['strategy']} {line['value']}" for line in lines])
    figure = _figure(
        name,
        "precision",
        label,
        f"Precision against recall for class {label}, {model}",
        f"Average precision: {reached}. A random order has a precision of {words.number(share)}, whatever its recall.",
        lines,
    )
    return figure | {"chance": f"M{x(0.0)} {y(share)}H{x(1.0)}", "share": {"y": y(share), "text": words.number(share)}}


def _roc(
    entries: Sequence[Mapping[str, Any]],
    curves: Sequence[Mapping[str, Any]],
    model: str,
    label: str,
    name: str,
) -> dict[str, Any]:
    bands = {c["strategy"]: c.get("band") or {} for c in curves}
    lines = []
    for e, style in zip(entries, _styles(entries), strict=True):
        band = bands[e["strategy"]]
        rate = [n / e["negatives"] for n in e["false_alarms"]]
        lines.append(
            {
                "strategy": e["strategy"],
                "style": style,
                "path": _path(rate, [n / e["positives"] for n in e["found"]]),
                "band": _ribbon(band["false_alarm_rate"], band["recall_low"], band["recall_high"]) if band else None,
                "value": words.number(e["roc_auc"]),
            }
        )
    reached = words.joined([f"{line['strategy']} {line['value']}" for line in lines])
    figure = _figure(
        name,
        "roc",
        label,
        f"Recall against the rate of false alarms for class {label}, {model}",
        f"Area under the curve: {reached}. A random order has 0.5.",
        lines,
    )
    return figure | {"chance": f"M{x(0.0)} {y(0.0)}L{x(1.0)} {y(1.0)}"}


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
                "band": _ribbon(e["predicted"], e["fold_low"], e["fold_high"]) if "fold_low" in e else None,
            }
        )
    said = "; ".join(
        f"{e['strategy']}: "
        + ", ".join(
            f"{words.number(p, 2)} → {words.number(o, 2)}" for p, o in zip(e["predicted"], e["observed"], strict=True)
        )
        for e in entries
    )
    figure = _figure(
        name,
        "reliability",
        label,
        f"Observed share against predicted probability of class {label}, {model}",
        f"Predicted → observed, {said}.",
        lines,
    )
    return figure | {"chance": f"M{x(0.0)} {y(0.0)}L{x(1.0)} {y(1.0)}"}
