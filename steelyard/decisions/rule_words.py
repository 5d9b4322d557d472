"""A fitted rule in plain words."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from steelyard.decisions.label_thresholds import LabelThresholds
from steelyard.decisions.rules import PlugIn, Threshold, TopAlarms

if TYPE_CHECKING:
    from steelyard.decisions.fitted import Rule

__all__ = ["decision_in_words", "in_words"]

_MOST = 12  # longer lists are not read


def _number(x: float) -> str:
    """Return a number with three digits that say something: 0.000312, and 0.99973 rather than 1."""
    if not 0.0 < x < 1.0 or x < 0.9:
        return f"{x:.3g}"
    digits = max(3, int(np.ceil(-np.log10(1.0 - x))) + 2)
    return f"{x:.{min(digits, 15)}f}"


def _range(rule: Rule, name: str) -> str:
    interval = rule.uncertainty.get(name)
    if interval is None or interval.low != interval.low:
        return ""
    return f" ({_number(interval.low)} to {_number(interval.high)})"


def decision_in_words(rule: Rule) -> list[str]:
    """Return what is labelled when."""
    decision = rule.decision
    if isinstance(decision, Threshold):
        yes, no = rule.classes[decision.positive], rule.classes[1 - decision.positive]
        if decision.threshold <= 0.0:
            return [f"Every row is labelled '{yes}'."]
        if decision.threshold > 1.0:
            return [f"Every row is labelled '{no}'."]
        t = f"{_number(decision.threshold)}{_range(rule, 'threshold')}"
        return [f"A row is '{yes}' where its probability of '{yes}' is at least {t}, otherwise '{no}'."]
    if isinstance(decision, TopAlarms):
        yes = rule.classes[decision.positive]
        return [
            f"Of every batch of rows the {decision.most:,} with the highest probability of '{yes}' are labelled "
            f"'{yes}', fewer where scores are equal at the border."
        ]
    if isinstance(decision, LabelThresholds):
        lines = ["A row has a label where its probability is at least:"]
        for label, value in list(zip(rule.classes, decision.thresholds, strict=True))[:_MOST]:
            at = "never given" if value > 1.0 else f"{_number(value)}{_range(rule, str(label))}"
            lines.append(f"  {label}  {at}")
        return lines + _more(len(rule.classes), "labels")
    return _weights(rule, decision)


def _more(n: int, what: str) -> list[str]:
    return [f"  and {n - _MOST} more {what}"] if n > _MOST else []


def _weights(rule: Rule, decision: PlugIn) -> list[str]:
    weights = decision.weights
    top = int(np.argmax(rule.counts))
    relative = weights / weights[top]
    plain = bool(np.allclose(relative, 1.0))
    if decision.cost_matrix is not None:
        start = "A row gets the label of least expected cost"
        if plain:
            return [start + " under its probabilities as they are."]
        lines = [start + ", each probability first multiplied by the weight of its class:"]
    elif plain:
        return ["A row gets its most probable class: no weights did better."]
    else:
        lines = ["A row gets the class with the highest weight × probability; the weights:"]
    for k in list(np.argsort(-relative, kind="stable"))[:_MOST]:
        lines.append(f"  {rule.classes[k]}  {relative[k]:.3g}{_range(rule, str(rule.classes[k]))}")
    lines += _more(len(weights), "classes")
    if decision.factors is None:
        lines.append(f"  (one number for all classes: weight = share of the class to the power −{decision.tau:g})")
    return lines


def in_words(rule: Rule) -> list[str]:
    """Return the rule in sentences: what it does, what it is worth, what it promises, whether to trust it."""
    lines = decision_in_words(rule)
    level = 0.9 if rule.confidence is None else rule.confidence
    where = "on rows it was not fitted on" if rule.cross_fitted else "on the very rows it was fitted on"
    before = "thresholds of 0.5" if isinstance(rule.decision, LabelThresholds) else "the plain arg max"
    lines.append(
        f"{rule.metric}: {rule.estimate} {where}; {before}: {rule.baseline}. Gain {rule.gain}; "
        f"{100 * level:.0f} % intervals."
    )
    lines.extend(str(promise) for promise in rule.promises)
    if rule.trusted:
        lines.append("Nothing speaks against trusting it.")
    else:
        lines.append("Reasons for care:")
        lines.extend(f"- {warning}" for warning in rule.warnings)
    return lines
