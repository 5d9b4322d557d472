"""`fit`: scored rows in, a rule for new rows out, with what it is worth."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steelyard.decisions import trust
from steelyard.decisions.assessment import Interval, assess, cross_fitted
from steelyard.decisions.best_rules import best_cut, chosen
from steelyard.decisions.binomial import checked_confidence
from steelyard.decisions.constraints import Constraint, Limits, limits, parse
from steelyard.decisions.costs import checked_costs
from steelyard.decisions.fitted import Rule
from steelyard.decisions.label_fitting import fit_labels
from steelyard.decisions.parameter_intervals import interval_of_threshold, intervals_of_weights
from steelyard.decisions.promises import promised
from steelyard.decisions.rules import IndexRule, PlugIn, Threshold, TopAlarms
from steelyard.decisions.score_columns import PREFIX, column_names, encoded, score_matrix
from steelyard.decisions.thresholds import Cuts
from steelyard.decisions.validation import checked_probabilities
from steelyard.errors import InputError
from steelyard.metrics.catalogue import Metric, get
from steelyard.metrics.confusion import confusion_matrix

__all__ = ["fit"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def fit(
    proba: Any,
    y: Any,
    metric: str | Callable[[Floats], Floats] = "f1_macro",
    *,
    classes: Sequence[Any] | None = None,
    positive: Any = None,
    cost_matrix: Any = None,
    constraints: str | Iterable[str] = (),
    confidence: float | None = 0.9,
    sample_weight: Any = None,
    random_state: int = 0,
) -> Rule:
    r"""Fit the decision that is best for a metric on rows that a model has scored; no model is trained.

    Two classes: a threshold, exact over all cuts. More: weights on the probabilities, :math:`\arg\max_k w_k p_k`
    (`best_plug_in`). Several labels per row (`y` of 0 and 1, as many columns as `proba`): a threshold for each.

    Parameters
    ----------
    proba : array-like or table of shape (n, C)
        Probabilities of rows that the model was *not* trained on. The columns of a table are found by name: the class,
        or "probability_" and the class, as `steelyard predict` writes.
    y : sequence of n labels
        Text, whole numbers or truth values; or an (n, L) array of 0 and 1.
    metric : str or callable
        Of `steelyard.metrics.names()`, one that a decision changes. "precision@recall>=0.95" is: maximise precision
        under the limit "recall>=0.95". A callable maps confusion matrices (m, C, C) to values (m,), more being better.
        Several labels: "f1_macro", "f1_micro", or a metric of two classes, averaged over labels. Default "f1_macro".
    classes : sequence of labels, optional
        In the order of the columns; default the sorted labels of `y`. Of several labels their names.
    positive : label, optional
        The positive class of two; default the rarer, the last if both are equally frequent.
    cost_matrix : array-like of shape (C, C) or `Costs`, optional
        For metric "expected_cost": ``cost_matrix[k, j]`` is the cost of labelling true class k as j.
    constraints : sequence of str
        "recall_sick>=0.95", "precision_sick>=0.3", "false_alarms_sick<=0.02" (share of the rows of other classes that
        are labelled sick), "alarm_rate_sick<=0.01" (share of all rows), "alarms<=100" (rows of any batch). For two
        classes the name may be left out: then it is the positive one.
    confidence : float or None
        With which all limits together hold on new rows, not only on these; None: on average only, which new rows keep
        about half of the time. Also the level of all intervals. Default 0.9.
    sample_weight : array-like of shape (n,), optional
        Limits then need ``confidence=None``: what weighted rows prove depends on where the weights come from.
    random_state : int
        Of folds and bootstraps. Default 0.

    Returns
    -------
    Rule
        Call it on new probabilities: labels. `print` it: what is labelled when, what it is worth beside the plain arg
        max (5 folds of the scored rows, fitted anew without each; bootstrap intervals), what it promises, and whether
        to trust it. `Rule.to_dict` is JSON.

    Raises
    ------
    InputError
        For scores that are no probabilities, labels without a column, limits that no rule keeps or that too few rows
        can prove (naming how many are needed), an unknown metric.

    Notes
    -----
    A floor of recall is turned into the number of rows of the class that may be missed: the largest m with
    :math:`P(\mathrm{Bin}(n, 1 - x) \le m) \le 1 - \text{confidence}`. For a threshold this is exact, for all thresholds
    at once (an order statistic; Clopper and Pearson 1934). Ceilings of false alarms and alarms likewise. A floor of
    precision is tested on a grid of cuts (Bonferroni; "Learn then test", arXiv:2110.01052); with more than two classes
    it is kept on average. Several limits share 1 − confidence.

    With more than two classes the weights are fitted to the same rows that the floor is proven on, so that the
    argument is not exact: on simulated tables of three classes a floor stated with confidence 0.9 held on new rows in
    84 to 92 % of them, with two classes in 91 to 95 % (benchmarks/studies/results/stated_recall.csv).

    With more than two classes, folds are fitted on at most 20,000 rows and bootstraps on at most 3,000.

    Examples
    --------
    >>> import steelyard as sy
    >>> rng = np.random.default_rng(0)
    >>> y = np.where(rng.random(3000) < 0.1, "sick", "well")
    >>> p = 1 / (1 + np.exp(3.5 - 2.0 * rng.normal(1.5 * (y == "sick"))))
    >>> rule = sy.decisions.fit(np.column_stack([p, 1 - p]), y, "precision@recall>=0.8")
    >>> print(rule.promises[0])  # doctest: +ELLIPSIS
    recall_sick>=0.8: holds for new rows with confidence 0.9. Of 318 rows of 'sick' 54 may be missed, 54 are; ...
    >>> rule([[0.5, 0.5], [0.01, 0.99]])
    array(['sick', 'well'], dtype='<U4')
    """
    level = checked_confidence(confidence)
    weight = _weights(sample_weight, np.shape(y)[0] if np.ndim(y) else 0)
    if np.ndim(y) == 2 and np.shape(y)[1] > 1:
        return _labels(proba, y, metric, classes, cost_matrix, constraints, positive, level, weight, random_state)
    truth, labels, counts, kind = encoded(y, classes, _width(proba, classes, y))
    p = _checked(score_matrix(proba, labels), truth)
    k = _positive(positive, labels, counts)
    measure = _metric(metric, labels, k, counts / counts.sum(), cost_matrix)
    asked = [*_floor(measure), *parse(constraints, labels, k)]
    if asked and level is not None and weight is not None:
        raise InputError("`confidence=None` for limits with `sample_weight`", f"confidence={level}", "see `fit`.")
    kept = limits(asked, _weighted_counts(truth, len(labels), weight), level, labels)
    decision = chosen(p, truth, measure, kept, k, weight, random_state)
    return _described(p, truth, decision, measure, kept, labels, kind == "float", k, level, weight, random_state)


def _described(
    p: Floats,
    y: Ints,
    decision: IndexRule,
    metric: Metric,
    kept: Limits,
    labels: tuple[Any, ...],
    floats: bool,
    positive: int | None,
    confidence: float | None,
    weight: Floats | None,
    random_state: int,
) -> Rule:
    """Say what the rule is worth, how sure it is, and whether to trust it."""
    n = len(labels)
    level = 0.9 if confidence is None else confidence
    counts = np.bincount(y, minlength=n)
    own = decision(p)

    def refit(rows: NDArray[np.intp]) -> IndexRule:
        part = None if weight is None else weight[rows]
        less = limits(kept.constraints, _weighted_counts(y[rows], n, part), confidence, labels, strict=False)
        return chosen(p[rows], y[rows], metric, less, positive, part, random_state, strict=False)

    # a fixed number of alarms is not fitted
    held_out = own if isinstance(decision, TopAlarms) else cross_fitted(p, y, refit, random_state)
    after = own if held_out is None else held_out
    aim: Any = metric.of_confusion
    comparisons, cm_before, cm = assess(y, p.argmax(1), after, n, metric.name, aim, level, weight, random_state)
    uncertainty = _uncertainty(p, y, decision, metric, kept, labels, positive, level, weight, random_state)
    before = "the plain arg max" if metric.cost_matrix is None or n == 2 else "the plain arg max, which knows no costs,"
    more = metric.greater_is_better
    warnings = [
        *trust.few_rows(counts.tolist(), labels),
        *trust.distinct_scores(p, labels),
        *([] if held_out is not None else ["a class has a single row: its value on new rows cannot be estimated."]),
        *_wide(decision, uncertainty, p, labels),
        # what keeps a limit gives up something for it
        *([] if kept.constraints else trust.no_gain(metric.name, comparisons[0].gain, more, before)),
        *trust.never_labelled(np.bincount(own, minlength=n), labels),
    ]
    if metric.cost_matrix is not None:
        shares = _weighted_counts(y, n, weight)
        warnings.extend(trust.calibration(p, shares / shares.sum(), labels, weight))
    return Rule(
        decision,
        labels,
        floats,
        metric.name,
        positive,
        confidence,
        tuple(counts.tolist()),
        comparisons,
        tuple(map(tuple, cm.tolist())),
        tuple(map(tuple, cm_before.tolist())),
        held_out is not None,
        uncertainty,
        promised(kept, confusion_matrix(y, own, n, weight), labels),
        tuple(warnings),
    )


def _wide(decision: IndexRule, uncertainty: dict[str, Interval], p: Floats, labels: tuple[Any, ...]) -> list[str]:
    if not isinstance(decision, Threshold):
        return []
    return trust.wide_threshold(uncertainty["threshold"], p[:, decision.positive], labels[decision.positive])


def _uncertainty(
    p: Floats,
    y: Ints,
    decision: IndexRule,
    metric: Metric,
    kept: Limits,
    labels: tuple[Any, ...],
    positive: int | None,
    level: float,
    weight: Floats | None,
    random_state: int,
) -> dict[str, Interval]:
    if isinstance(decision, Threshold):
        k = decision.positive
        cuts = Cuts.of(p[:, k], y == k, k, weight)
        shrink = 1.0 if weight is None else float(weight.sum() / (weight**2).sum())
        effective = (cuts.found[-1] * shrink, cuts.false[-1] * shrink)

        def best(some: Cuts) -> int:
            return best_cut(some, metric, kept, strict=False)

        return {"threshold": interval_of_threshold(cuts, decision.threshold, best, level, random_state, effective)}
    if isinstance(decision, PlugIn) and weight is None:

        def refit(some: Floats, truth: Ints) -> PlugIn:
            confidence = None if not kept.constraints else kept.confidence[0]
            less = limits(kept.constraints, np.bincount(truth, minlength=len(labels)), confidence, labels, strict=False)
            found = chosen(some, truth, metric, less, positive, None, random_state, strict=False)
            assert isinstance(found, PlugIn)
            return found

        intervals = intervals_of_weights(p, y, decision, refit, level, random_state)
        return {str(label): interval for label, interval in zip(labels, intervals, strict=True)}
    return {}


def _labels(
    proba: Any,
    y: Any,
    metric: Any,
    classes: Sequence[Any] | None,
    cost_matrix: Any,
    constraints: Any,
    positive: Any,
    confidence: float | None,
    weight: Floats | None,
    random_state: int,
) -> Rule:
    if not isinstance(metric, str) or cost_matrix is not None or constraints or positive is not None:
        raise InputError(
            "only a metric by name for several labels per row",
            "a callable, costs, limits or a positive class",
            "fit each label by itself: fit(np.column_stack([1 - p[:, k], p[:, k]]), y[:, k], ...).",
        )
    names = column_names(y) or [str(k) for k in range(np.shape(y)[1])] if classes is None else list(classes)
    if len(names) != np.shape(y)[1]:
        raise InputError(f"{np.shape(y)[1]} names in `classes`, one per label", str(len(names)))
    return fit_labels(score_matrix(proba, names), y, metric, names, confidence, weight, random_state)


def _width(proba: Any, classes: Any, y: Any) -> int:
    """Return the number of columns, of a table those that are named after classes."""
    names = column_names(proba)
    if names is None:
        shape = np.shape(proba)
        if len(shape) != 2 or shape[1] < 2:
            raise InputError(
                "`proba` of shape (n, n_classes)",
                f"shape {shape}",
                "for two classes give both columns: np.column_stack([1 - p, p]).",
            )
        return int(shape[1])
    if classes is not None:
        return len(list(classes))
    present = {str(c) for c in np.unique(np.asarray(y).astype(str)).tolist()}
    prefixed = [n for n in names if n.startswith(PREFIX)]
    # `steelyard predict` writes the label beside the probabilities
    if prefixed and not present & set(names):
        return len(prefixed)
    return len([n for n in names if n in present]) if present <= set(names) else len(names)


def _checked(p: Any, y: Ints) -> Floats:
    checked = checked_probabilities(p)
    if len(checked) != len(y):
        raise InputError("as many labels as rows of `proba`", f"{len(y)} labels for {len(checked)} rows")
    return checked


def _weights(sample_weight: Any, n: int) -> Floats | None:
    if sample_weight is None:
        return None
    weight = np.asarray(sample_weight, np.float64)
    if weight.shape != (n,) or not np.isfinite(weight).all() or (weight < 0).any() or weight.sum() <= 0:
        raise InputError(f"`sample_weight` ≥ 0 of shape ({n},), not all 0", f"shape {weight.shape}")
    return weight


def _weighted_counts(y: Ints, n: int, weight: Floats | None) -> Any:
    return np.bincount(y, weights=weight, minlength=n)


def _positive(positive: Any, labels: tuple[Any, ...], counts: Ints) -> int | None:
    if len(labels) != 2:
        if positive is not None:
            raise InputError("`positive` with two classes", f"{len(labels)} classes", "name the class in the metric.")
        return None
    if positive is None:
        return 0 if counts[0] < counts[1] else 1
    names = [str(c) for c in labels]
    if str(positive) not in names:
        raise InputError(f"`positive` as one of {', '.join(names)}", repr(positive))
    return names.index(str(positive))


def _metric(metric: Any, labels: tuple[Any, ...], positive: int | None, shares: Floats, costs: Any) -> Metric:
    if callable(metric):
        aim = metric

        def unused(*_: Any) -> Any:
            raise NotImplementedError

        name = getattr(metric, "__name__", type(metric).__name__)
        return Metric(name, "label", "Given as a function.", (-np.inf, np.inf), unused, of_confusion=aim)
    if not isinstance(metric, str):
        raise InputError("`metric` as a name or a function of confusion matrices", repr(metric))
    if costs is not None and metric != "expected_cost":
        raise InputError("metric='expected_cost' with a `cost_matrix`", f"'{metric}'")
    matrix = None if costs is None else np.asarray(checked_costs(costs, len(labels)), np.float64)
    if matrix is not None and matrix.ndim != 2:
        raise InputError(
            "one cost matrix for all rows to fit a rule", "one per row", "sy.decisions.min_cost decides with these."
        )
    found = get(metric, labels, positive, priors=shares, cost_matrix=matrix)
    if found.of_confusion is None:
        raise InputError(
            "a metric that depends on a decision", f"'{metric}'", "for example f1_macro or precision@recall>=0.95."
        )
    return found


def _floor(metric: Metric) -> list[Constraint]:
    return [] if metric.floor is None else [Constraint(*metric.floor)]
