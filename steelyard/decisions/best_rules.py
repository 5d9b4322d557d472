"""The rule that is best for a metric on scored rows, under limits; nothing about how sure that is."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from steelyard.decisions.binomial import lower_bound
from steelyard.decisions.constraints import BROKEN, Constraint, Limits, keep, limits
from steelyard.decisions.line_search import Scored, ascend
from steelyard.decisions.plug_in import best_plug_in
from steelyard.decisions.precision_floor import highest_proven, proven
from steelyard.decisions.rules import PlugIn, Threshold, TopAlarms
from steelyard.decisions.thresholds import Cuts, middle_best
from steelyard.decisions.validation import checked_probabilities
from steelyard.errors import InputError
from steelyard.metrics.catalogue import Metric

__all__ = ["CONFIDENCE", "best_cut", "best_rule", "chosen"]

Floats = NDArray[np.float64]

CONFIDENCE = 0.9  # with which a floor holds on new rows, unless another is asked for


def best_rule(
    proba: ArrayLike,
    y: ArrayLike,
    metric: Metric,
    positive: int | None = None,
    confidence: float | None = CONFIDENCE,
    random_state: int = 0,
    sample_weight: Floats | None = None,
) -> Threshold | PlugIn:
    """Return the rule that is best for a metric on scored rows: a threshold, or weights on the probabilities.

    For two classes the search is exact over all cuts; for more see `best_plug_in`. A metric such as
    "precision@recall>=0.95" keeps its floor on new rows with this confidence; where the rows are too few to
    promise that, it keeps it on average (`sy.decisions.fit` would raise an error).

    Parameters
    ----------
    proba : array-like of shape (n, C)
        Probabilities of rows that the model was not trained on.
    y : int array-like of shape (n,)
        Class indices; every class has a row.
    metric : Metric
        Of `steelyard.metrics.get`; one that a decision changes.
    positive : int, optional
        Column of the positive class when there are two; default 1.
    confidence : float or None
        With which a floor holds on new rows. Default 0.9.
    random_state : int
        Of the cross-validation by which weights are shrunk. Default 0.
    sample_weight : float64 ndarray of shape (n,), optional
        Not with a floor, which is promised by numbers of rows.

    Returns
    -------
    Threshold or PlugIn
        Class indices from probabilities.

    Raises
    ------
    InputError
        If the metric does not depend on a decision, or is undefined for every rule.

    Examples
    --------
    >>> from steelyard.metrics.catalogue import get
    >>> p = np.array([0.01, 0.02, 0.03, 0.10, 0.20])
    >>> rule = best_rule(np.column_stack([1 - p, p]), [0, 0, 0, 1, 1], get("f1", ["no", "yes"]))
    >>> round(rule.threshold, 3)
    0.065
    """
    p, truth = checked_probabilities(proba), np.asarray(y, np.int64)
    if sample_weight is not None and metric.floor is not None:
        raise InputError("a metric without a floor for rows with `sample_weight`", f"'{metric.name}'")
    constraints = [] if metric.floor is None else [Constraint(*metric.floor)]
    names = range(p.shape[1])
    kept = limits(constraints, np.bincount(truth, minlength=p.shape[1]), confidence, names, strict=False)
    rule = chosen(p, truth, metric, kept, positive, sample_weight, random_state, strict=False)
    assert not isinstance(rule, TopAlarms)  # which only a constraint asks for
    return rule


def chosen(
    p: Floats,
    y: NDArray[np.int64],
    metric: Metric,
    kept: Limits,
    positive: int | None,
    sample_weight: Floats | None = None,
    random_state: int = 0,
    strict: bool = True,
) -> Threshold | PlugIn | TopAlarms:
    """Return the best rule within the limits; see `best_rule`. With `strict` a limit that none keeps is an error."""
    if metric.of_confusion is None:
        raise InputError(
            "a metric that depends on a decision", f"'{metric.name}'", "for example f1_macro or balanced_accuracy."
        )
    n_classes = p.shape[1]
    budget = [one for one in kept.constraints if one.quantity == "alarms"]
    if budget:
        if n_classes > 2 or len(kept.constraints) > 1:
            got = f"{n_classes} classes and {len(kept.constraints)} limits"
            raise InputError("alarms<=k by itself, with two classes", got, "alarm_rate<=r joins other limits.")
        return TopAlarms(int(budget[0].level), budget[0].label)
    if n_classes == 2:
        k = 1 if positive is None else positive
        cuts = Cuts.of(p[:, k], y == k, k, sample_weight)
        return cuts.threshold(best_cut(cuts, metric, kept, strict))
    return _plug_in(p, y, metric, kept, sample_weight, random_state, strict)


def _plug_in(
    p: Floats,
    y: NDArray[np.int64],
    metric: Metric,
    kept: Limits,
    sample_weight: Floats | None,
    random_state: int,
    strict: bool,
) -> PlugIn:
    counts = np.bincount(y, weights=sample_weight, minlength=p.shape[1])
    shares = counts / counts.sum()
    if not kept.constraints:
        return best_plug_in(p, y, metric, shares, sample_weight, random_state)
    # shrinkage knows no limits: what it finds is one place where the search within them starts
    starts = [np.zeros(len(shares)), -np.log(shares)]
    if metric.floor is None:
        starts.append(np.log(best_plug_in(p, y, metric, shares, sample_weight, random_state).weights))
    scored, inside = Scored.of(p, y, sample_weight), keep(metric, kept).of_confusion
    assert inside is not None
    log_w, value = max((ascend(scored, start, inside, 1.0) for start in starts), key=lambda found: found[1])
    if strict and not value > -BROKEN:
        raise _infeasible(kept, "ask for less, or for fewer at a time; confidence=None keeps them on average only.")
    return PlugIn(0.0, tuple(shares.tolist()), tuple(np.exp(np.clip(log_w - log_w.max(), -300.0, 0.0)).tolist()))


def _infeasible(kept: Limits, hint: str) -> InputError:
    named = ", ".join(one.named(kept.classes) for one in kept.constraints)
    return InputError(f"limits that some rule keeps ({named})", "none found on these rows", hint)


def best_cut(cuts: Cuts, metric: Metric, kept: Limits, strict: bool) -> int:
    """Return the cut that is best within the limits; without `strict`, where none keeps them, the one nearest to."""
    aim: Any = metric.of_confusion
    sign = 1.0 if metric.greater_is_better else -1.0
    confusion = cuts.confusion()
    values = sign * np.asarray(aim(confusion), np.float64)
    if not kept.constraints:
        return middle_best(values, True)
    excess = kept.excess(confusion)
    for one, confidence in zip(kept.constraints, kept.confidence, strict=True):
        if one.quantity == "precision" and confidence is not None:
            sure = _proven(cuts, one, confidence)
            if sure.any() or strict:
                excess = np.where(sure, excess, np.maximum(excess, 1e-3))
    allowed = (excess <= 1e-12) & np.isfinite(values)
    if allowed.any():
        return middle_best(np.where(allowed, values, np.nan), True)
    if strict:
        raise _infeasible(kept, _reachable(cuts, kept))
    nearest = np.flatnonzero(excess <= excess.min() + 1e-12)
    return int(nearest[len(nearest) // 2])


def _proven(cuts: Cuts, one: Constraint, confidence: float) -> NDArray[np.bool_]:
    if one.label == cuts.positive:
        return proven(cuts, one.level, confidence)
    return proven(_others(cuts), one.level, confidence)[::-1]


def _reachable(cuts: Cuts, kept: Limits) -> str:
    """Say what the scores would allow for the first limit, when the others are kept."""
    confusion = cuts.confusion()
    last, others = kept.constraints[0], kept.without(0)
    possible = others.excess(confusion) <= 1e-12
    if last.quantity == "precision" and kept.confidence[0] is not None:
        about = cuts if last.label == cuts.positive else _others(cuts)
        where = possible if last.label == cuts.positive else possible[::-1]
        best = highest_proven(about, last.level, kept.confidence[0], where)
        return f"on these rows a precision of {best:.3g} can be proven; confidence=None keeps it on average only."
    values = last.attained(confusion[possible])
    if not np.isfinite(values).any():
        return "ask for less, or for fewer limits; confidence=None keeps them on average only."
    best = float(np.nanmax(values) if last.is_floor else np.nanmin(values))
    sign = "≥" if last.is_floor else "≤"
    beside = " beside the other limits" if others.constraints else ""
    if kept.confidence[0] is None or last.quantity == "precision":
        return f"on these rows {last.quantity} {sign} {best:.3g} can be had{beside}."
    n = round(float(last.exposed(confusion[0])))
    # what so few mistakes prove
    right = best if last.is_floor else 1.0 - best
    sure = lower_bound(round(right * n), n, kept.confidence[0])
    sure = sure if last.is_floor else 1.0 - sure
    return (
        f"{last.quantity} {sign} {sure:.3g} can be promised{beside}; "
        f"confidence=None promises nothing, and reaches {best:.3g} on these rows."
    )


def _others(cuts: Cuts) -> Cuts:
    """Return the same cuts as the other class sees them: from nothing labelled so to everything."""
    return Cuts(
        (cuts.false[-1] - cuts.false)[::-1], (cuts.found[-1] - cuts.found)[::-1], cuts.levels[::-1], 1 - cuts.positive
    )
