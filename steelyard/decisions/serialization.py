"""Rules as JSON, and back: every number and text is checked, nothing is executed."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from steelyard.decisions.assessment import Comparison, Interval
from steelyard.decisions.fitted import Rule
from steelyard.decisions.label_thresholds import LabelThresholds
from steelyard.decisions.promises import Promise
from steelyard.decisions.row_costs import RowMinCost
from steelyard.decisions.rules import IndexRule
from steelyard.decisions.rules import from_dict as index_rule
from steelyard.errors import InputError

__all__ = ["from_dict", "rule_to_dict"]

_VERSION = 1
_HINT = "was the file written by `rule.to_dict()` or `steelyard decide --out`, and is it whole?"


def rule_to_dict(rule: Rule) -> dict[str, Any]:
    """Return a fitted rule as JSON data; undefined numbers are null."""
    return {
        "rule": "fitted",
        "version": _VERSION,
        "decision": rule.decision.to_dict(),
        "classes": list(rule.classes),
        "float_labels": rule.float_labels,
        "metric": rule.metric,
        "positive": rule.positive,
        "confidence": rule.confidence,
        "counts": list(rule.counts),
        "comparisons": [
            {"name": c.name, "label": c.label, **{k: _interval(getattr(c, k)) for k in ("before", "after", "gain")}}
            for c in rule.comparisons
        ],
        "confusion": [list(row) for row in rule.confusion],
        "confusion_before": [list(row) for row in rule.confusion_before],
        "cross_fitted": rule.cross_fitted,
        "uncertainty": {name: _interval(interval) for name, interval in rule.uncertainty.items()},
        "promises": [{f.name: getattr(p, f.name) for f in fields(Promise)} for p in rule.promises],
        "warnings": list(rule.warnings),
    }


def _interval(interval: Interval) -> list[float | None]:
    return [x if math.isfinite(x) else None for x in (interval.mean, interval.low, interval.high)]


def from_dict(content: Mapping[str, Any]) -> IndexRule | LabelThresholds | RowMinCost | Rule:
    """Return the rule that `to_dict` described: one of class indices, or one that `sy.decisions.fit` returned.

    Parameters
    ----------
    content : mapping
        JSON data; nothing in it is executed.

    Returns
    -------
    Threshold, PlugIn, TopAlarms, LabelThresholds, RowMinCost or Rule

    Raises
    ------
    InputError
        If it describes no rule.

    Examples
    --------
    >>> from steelyard.decisions import Threshold
    >>> from_dict(Threshold(0.3).to_dict())
    Threshold(threshold=0.3, positive=1)
    """
    if not isinstance(content, Mapping):
        raise InputError("a decision rule as a JSON object", f"a {type(content).__name__}", _HINT)
    try:
        if content.get("rule") == "fitted":
            return _fitted(content)
        if content.get("rule") == "row_min_cost":
            _only_finite([content["slope"], *content["offsets"]])
            return RowMinCost.from_dict(content)
        return _decision(content)
    except InputError:
        raise
    except (LookupError, TypeError, ValueError, OverflowError, AttributeError) as error:
        missing = f"no {error}" if isinstance(error, KeyError) else str(error)[:80]
        raise InputError("a decision rule as JSON", missing, _HINT) from None


def _decision(content: Mapping[str, Any]) -> IndexRule | LabelThresholds:
    for key, value in content.items():
        if key != "rule":
            _only_finite(value)
    if content.get("rule") == "label_thresholds":
        return LabelThresholds(tuple(float(t) for t in _list(content["thresholds"])))
    found = index_rule(content)
    weights = getattr(found, "weights", None)
    if weights is not None and not all(math.isfinite(w) and w >= 0 for w in weights.tolist()):
        raise ValueError("weights that are not finite")
    return found


def _only_finite(value: Any) -> None:
    if isinstance(value, (list, tuple)):
        for one in value:
            _only_finite(one)
    elif value is not None and (isinstance(value, (str, Mapping)) or not math.isfinite(value)):
        raise ValueError(f"{str(value)[:40]!r} where a number belongs")


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise ValueError(f"a {type(value).__name__} where a list belongs")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"a {type(value).__name__} where a text belongs")
    return value


def _read_interval(value: Any) -> Interval:
    three = _list(value)
    if len(three) != 3:
        raise ValueError(f"{len(three)} numbers for an interval")
    _only_finite(three)
    mean, low, high = (math.nan if x is None else float(x) for x in three)
    return Interval(mean, low, high)


def _matrix(value: Any) -> tuple[tuple[float, ...], ...]:
    _only_finite(_list(value))
    return tuple(tuple(float(x) for x in _list(row)) for row in value)


def _fitted(content: Mapping[str, Any]) -> Rule:
    if content["version"] != _VERSION:
        raise InputError(
            f"a rule of version {_VERSION}", repr(content["version"])[:40], "use the Steelyard that wrote it."
        )
    classes = tuple(_list(content["classes"]))
    if not classes or len(set(map(repr, classes))) != len(classes):
        raise ValueError("classes that are not distinct")
    for label in classes:
        if not isinstance(label, (str, int)):
            raise ValueError(f"a {type(label).__name__} for a class")
    decision = _decision(content["decision"])
    counts = tuple(int(n) for n in _list(content["counts"]))
    width = _width(decision)
    if len(counts) != len(classes) or (width is not None and width != len(classes)):
        raise ValueError(f"numbers for {width or len(counts)} classes, where {len(classes)} are named")
    positive, confidence = content["positive"], content["confidence"]
    if positive not in (None, 0, 1) or not (confidence is None or 0.0 < float(confidence) < 1.0):
        raise ValueError("a positive class or a confidence that is none")
    comparisons = tuple(
        Comparison(
            _text(c["name"]),
            None if c["label"] is None else range(len(classes))[int(c["label"])],
            *(_read_interval(c[k]) for k in ("before", "after", "gain")),
        )
        for c in _list(content["comparisons"])
    )
    if not comparisons:
        raise ValueError("no estimate")
    return Rule(
        decision,
        classes,
        content["float_labels"] is True,
        _text(content["metric"]),
        None if positive is None else int(positive),
        None if confidence is None else float(confidence),
        counts,
        comparisons,
        _matrix(content["confusion"]),
        _matrix(content["confusion_before"]),
        content["cross_fitted"] is True,
        {_text(name): _read_interval(three) for name, three in content["uncertainty"].items()},
        tuple(_promise(p) for p in _list(content["promises"])),
        tuple(_text(w) for w in _list(content["warnings"])),
    )


def _width(decision: IndexRule | LabelThresholds) -> int | None:
    """Return for how many classes a rule is; a threshold is for two."""
    if isinstance(decision, LabelThresholds):
        return len(decision.thresholds)
    priors = getattr(decision, "priors", None)
    return 2 if priors is None else len(priors)


def _promise(p: Mapping[str, Any]) -> Promise:
    confidence = p["confidence"]
    return Promise(
        _text(p["constraint"]),
        _text(p["quantity"]),
        _text(p["label"]),
        None if confidence is None else float(confidence),
        *(int(p[k]) for k in ("rows", "most", "broken", "n_classes")),
    )
