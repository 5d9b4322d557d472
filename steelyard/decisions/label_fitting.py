"""`fit` for several labels per row."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steelyard.decisions.assessment import Comparison, Interval, interval_of
from steelyard.decisions.binomial import wilson
from steelyard.decisions.fitted import Rule
from steelyard.decisions.label_thresholds import (
    LabelThresholds,
    best_label_thresholds,
    checked_label_probabilities,
    label_counts,
    label_metric,
)
from steelyard.decisions.parameter_intervals import interval_of_threshold
from steelyard.decisions.thresholds import Cuts, middle_best
from steelyard.decisions.trust import few_rows, never_labelled, no_gain
from steelyard.errors import InputError

__all__ = ["fit_labels"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_FOLDS = 5
_DRAWS = 200


def checked_indicators(y: Any, n_labels: int) -> Ints:
    """Return labels as 0 and 1 of shape (n, L)."""
    array = np.asarray(y)
    if array.ndim != 2 or array.shape[1] != n_labels:
        raise InputError(f"`y` of shape (n, {n_labels}), like `proba`", f"shape {array.shape}")
    if not np.isin(array, (0, 1)).all():
        raise InputError("`y` of 0 and 1 for several labels per row", "other values", "one column per label.")
    return np.asarray(array, np.int64)


def fit_labels(
    proba: Any,
    y: Any,
    metric: str,
    names: Sequence[Hashable],
    confidence: float | None,
    sample_weight: Floats | None,
    random_state: int,
) -> Rule:
    """Fit a threshold for each label; see `sy.decisions.fit`."""
    p = checked_label_probabilities(proba)
    truth = checked_indicators(y, p.shape[1])
    if len(p) != len(truth) or len(p) < 2:
        raise InputError("two rows or more, as many in `y` as in `proba`", f"{len(truth)} and {len(p)}")
    level = 0.9 if confidence is None else confidence
    decision = best_label_thresholds(p, truth, metric, sample_weight)
    fold = np.random.default_rng([random_state, 1]).permutation(len(p)) % min(_FOLDS, len(p))
    after = np.empty_like(truth)
    for f in range(int(fold.max()) + 1):
        rows = fold != f
        weight = None if sample_weight is None else sample_weight[rows]
        after[~rows] = best_label_thresholds(p[rows], truth[rows], metric, weight)(p[~rows])
    before = LabelThresholds((0.5,) * p.shape[1])(p)
    comparisons = _compare(truth, before, after, metric, level, sample_weight, random_state)
    counts = tuple(int(n) for n in truth.sum(0))
    measure = label_metric(metric)
    better = True if measure is None else measure.greater_is_better
    given = decision(p).sum(0)
    warnings = [
        *few_rows(counts, names),
        *never_labelled(given, names),
        *no_gain(metric, comparisons[0].gain, better, "thresholds of 0.5"),
    ]
    return Rule(
        decision,
        tuple(names),
        False,
        metric,
        None,
        confidence,
        counts,
        comparisons,
        _cells(label_counts(truth, after, sample_weight)),
        _cells(label_counts(truth, before, sample_weight)),
        True,
        {} if measure is None else _uncertainty(p, truth, decision, measure, names, level, sample_weight, random_state),
        (),
        tuple(warnings),
    )


def _cells(cm: Floats) -> tuple[tuple[float, ...], ...]:
    return tuple((float(c[1, 1]), float(c[0, 1]), float(c[1, 0])) for c in cm)


def _value(cm: Floats, name: str) -> Floats:
    """Return the metric of label counts (..., L, 2, 2)."""
    metric = label_metric(name)
    if metric is None:
        hits = cm[..., 1, 1].sum(-1)
        wrong = (cm[..., 0, 1] + cm[..., 1, 0]).sum(-1)
        whole = 2.0 * hits + wrong
        return np.asarray(np.divide(2.0 * hits, whole, out=np.full(np.shape(hits), np.nan), where=whole > 0))
    aim: Any = metric.of_confusion
    values = np.asarray(aim(cm), np.float64)
    defined = np.isfinite(values)
    # a label that no row has and that is never given has no F1; the others do
    total = np.where(defined, values, 0.0).sum(-1)
    n = defined.sum(-1)
    return np.asarray(np.divide(total, n, out=np.full(np.shape(total), np.nan), where=n > 0))


def _compare(
    y: Ints, before: Ints, after: Ints, name: str, level: float, weight: Floats | None, random_state: int
) -> tuple[Comparison, ...]:
    one, two = label_counts(y, before, weight), label_counts(y, after, weight)
    values = float(_value(one, name)), float(_value(two, name))
    rng = np.random.default_rng([random_state, 3])
    draws = np.empty((_DRAWS, 2))
    for d in range(_DRAWS):
        # labels of a row go together: whole rows are drawn
        w = rng.multinomial(len(y), np.full(len(y), 1.0 / len(y))).astype(np.float64)
        w = w if weight is None else w * weight
        draws[d] = [float(_value(label_counts(y, labels, w), name)) for labels in (before, after)]
    out = [
        Comparison(
            name,
            None,
            interval_of(values[0], draws[:, 0], level),
            interval_of(values[1], draws[:, 1], level),
            interval_of(values[1] - values[0], draws[:, 1] - draws[:, 0], level),
        )
    ]
    shrink = 1.0 if weight is None else float(weight.sum() / (weight**2).sum())
    for k in range(y.shape[1]):
        for what, cell in (("recall", (1, 0)), ("precision", (0, 1))):
            a, b = (_share(cm[k, 1, 1], cm[k, 1, 1] + cm[(k, *cell)], shrink, level) for cm in (one, two))
            out.append(Comparison(what, k, a, b, Interval(b.mean - a.mean, math.nan, math.nan)))
    return tuple(out)


def _share(hits: float, rows: float, per_weight: float, level: float) -> Interval:
    if rows <= 0:
        return Interval(math.nan, math.nan, math.nan)
    return Interval(float(hits / rows), *wilson(hits * per_weight, rows * per_weight, level))


def _uncertainty(
    p: Floats,
    y: Ints,
    decision: LabelThresholds,
    metric: Any,
    names: Sequence[Hashable],
    level: float,
    weight: Floats | None,
    random_state: int,
) -> dict[str, Interval]:
    found = {}
    shrink = 1.0 if weight is None else float(weight.sum() / (weight**2).sum())

    def best(cuts: Cuts) -> int:
        return middle_best(np.asarray(metric.of_confusion(cuts.confusion())), metric.greater_is_better)

    for k, name in enumerate(names):
        cuts = Cuts.of(p[:, k], y[:, k] == 1, 1, weight)
        if cuts.found[-1] <= 0 or cuts.false[-1] <= 0:
            continue
        effective = (cuts.found[-1] * shrink, cuts.false[-1] * shrink)
        found[str(name)] = interval_of_threshold(cuts, decision.thresholds[k], best, level, random_state + k, effective)
    return found
