"""A metric's name → what it measures, in which direction, and its value."""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from steelyard.errors import InputError, did_you_mean
from steelyard.metrics import calibration as _calibration
from steelyard.metrics import confusion as _confusion
from steelyard.metrics import probability as _probability
from steelyard.metrics import ranking as _ranking

__all__ = ["WITH_IDEAL", "Metric", "get", "names", "standard_names"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
OfWeights = Callable[["Floats | None"], float]


@dataclass(frozen=True)
class Metric:
    """One number about scored rows.

    Attributes
    ----------
    name : str
    kind : {"label", "ranking", "probability"}
        Whether it reads the labels that a decision gave, the order of the probabilities, or their values.
        Only label metrics change with the decision.
    explanation : str
        What it says, in a sentence.
    bounds : (float, float)
        The values that it can take.
    chance : float or None
        What a model without any knowledge reaches, where that is one number.
    greater_is_better : bool
    of_confusion : callable or None
        The function of confusion matrices (..., C, C) → (...) that a decision is chosen by: a label metric itself, or
        what the decision is to raise while it keeps `floor`.
    floor : (str, int, float) or None
        A quantity, the index of a class and the level that a decision has to keep: ("recall", 1, 0.95).
    cost_matrix : float64 ndarray of shape (C, C) or None
        What expected_cost counts with.
    ratio_of : int or None
        The class whose F1 it is, where there are more than two.
    ideal : float or None
        The value that is best, where neither more nor less is: 1 for a calibration slope.
    at_rows_ : callable or None
        Positions of rows → the metric of these rows, where rows differ in more than truth and prediction.
    """

    name: str
    kind: Literal["label", "ranking", "probability"]
    explanation: str
    bounds: tuple[float, float]
    prepare_: Callable[[Ints, Floats, Ints], OfWeights]
    chance: float | None = None
    greater_is_better: bool = True
    of_confusion: Callable[[Floats], Floats] | None = None
    floor: tuple[str, int, float] | None = None
    cost_matrix: Floats | None = field(default=None, compare=False)
    ratio_of: int | None = None
    ideal: float | None = None
    at_rows_: Callable[[NDArray[np.intp]], Metric] | None = field(default=None, compare=False)

    def at_rows(self, rows: NDArray[np.intp]) -> Metric:
        """Return the metric of some rows of the table: the same, unless each row has its own costs."""
        return self if self.at_rows_ is None else self.at_rows_(rows)

    def describe(self) -> dict[str, Any]:
        """Return what a reader of its values has to know, as JSON data."""
        return {
            "kind": self.kind,
            "explanation": self.explanation,
            "chance": self.chance,
            "greater_is_better": None if self.ideal is not None else self.greater_is_better,
            "ideal": self.ideal,
        }

    def improves(self, difference: float, baseline: float) -> bool:
        """Say whether a difference from the value of a baseline is for the better."""
        if self.ideal is not None:
            return abs(baseline + difference - self.ideal) < abs(baseline - self.ideal)
        return (difference > 0) == self.greater_is_better

    def prepare(self, y: Ints, proba: Floats, predicted: Ints) -> OfWeights:
        """Do what does not depend on row weights once; return the metric as a function of the weights.

        Parameters
        ----------
        y, predicted : int ndarray of shape (n,)
            Class indices: the truth, and what a decision made of the probabilities.
        proba : float64 ndarray of shape (n, C)
        """
        return self.prepare_(y, proba, predicted)

    def value(self, y: Ints, proba: Floats, predicted: Ints, sample_weight: Floats | None = None) -> float:
        """Return the metric of these rows; NaN where it is undefined."""
        return self.prepare_(y, proba, predicted)(sample_weight)


def _label(name: str, n: int, function: Callable[[Floats], Floats], explanation: str, **more: Any) -> Metric:
    def prepare(y: Ints, _: Floats, predicted: Ints) -> OfWeights:
        return lambda weight: float(function(_confusion.confusion_matrix(y, predicted, n, weight)))

    bounds = more.pop("bounds", (0.0, 1.0))
    return Metric(name, "label", explanation, bounds, prepare, of_confusion=function, **more)


def _ranked(name: str, which: Sequence[int], function: Callable[..., float], explanation: str, **more: Any) -> Metric:
    """Mean of one against the rest over `which`; for two classes that is the positive one."""

    def prepare(y: Ints, proba: Floats, _: Ints) -> OfWeights:
        parts = [_ranking.Ranking.of(proba[:, k]).where_found(y == k) for k in which]
        return lambda weight: sum(function(curve(weight)) for curve in parts) / len(parts)

    return Metric(name, "ranking", explanation, (0.0, 1.0), prepare, **more)


def _probabilistic(name: str, rows: Callable[[Floats, Ints], Floats], explanation: str, lowest: float) -> Metric:
    def prepare(y: Ints, proba: Floats, _: Ints) -> OfWeights:
        losses = rows(proba, y)
        # average() refuses weights that sum to zero; nothing was scored then
        return lambda w: -float(np.average(losses, weights=w)) if w is None or w.sum() > 0 else float("nan")

    return Metric(name, "probability", explanation, (lowest, 0.0), prepare)


def _of_parts(name: str, which: Sequence[int], part: str, explanation: str, **more: Any) -> Metric:
    """Sum over `which` of a part of the Brier score; for two classes that is the positive one alone."""

    def prepare(y: Ints, proba: Floats, _: Ints) -> OfWeights:
        binned = [(_calibration.Binned.of(proba[:, k]), y == k) for k in which]
        return lambda weight: float(sum(getattr(b.parts(hit, weight), part) for b, hit in binned))

    most = float(min(len(which), 2))
    return Metric(name, "probability", explanation, (-most, most), prepare, **more)


def _line(name: str, value: Callable[[Floats, Ints, Floats | None], float], ideal: float, explanation: str) -> Metric:
    def prepare(y: Ints, proba: Floats, _: Ints) -> OfWeights:
        return lambda weight: value(proba, y, weight)

    return Metric(name, "probability", explanation, (-np.inf, np.inf), prepare, ideal=ideal)


_OF_CLASS = re.compile(r"(recall|precision|f1)_(.+)")
_AT = re.compile(r"(precision|recall)(?:_(?P<label>.+))?@(precision|recall)>=(?P<level>[0-9.]+)")
_PLAIN = (
    "average_precision",
    "roc_auc",
    "balanced_accuracy",
    "f1_macro",
    "matthews_corrcoef",
    "g_mean",
    "worst_recall",
    "neg_log_loss",
    "neg_brier_score",
    "brier_reliability",
    "brier_resolution",
)
# best at a value, neither more nor less; the intercept is of two classes
WITH_IDEAL = ("calibration_slope", "calibration_intercept")
_PATTERNS = (
    "brier_uncertainty",
    "f1",
    "f1_<class>",
    "precision_<class>",
    "recall_<class>",
    "precision@recall>=x",
    "recall@precision>=x",
    "expected_cost",
)


def names() -> tuple[str, ...]:
    """Return every metric name; `<class>` and `x` stand for a label and a number.

    Examples
    --------
    >>> names()[:3]
    ('average_precision', 'roc_auc', 'balanced_accuracy')
    """
    return _PLAIN + WITH_IDEAL + _PATTERNS


def standard_names(classes: Sequence[Hashable]) -> tuple[str, ...]:
    """Return the metrics that every comparison reports: the plain ones, the recalibrating line, and every recall."""
    line = {0: (), 2: WITH_IDEAL}.get(len(classes), WITH_IDEAL[:1])
    return _PLAIN + line + tuple(f"recall_{label}" for label in classes)


def get(
    name: str,
    classes: Sequence[Hashable],
    positive: int | None = None,
    priors: Floats | None = None,
    cost_matrix: Floats | None = None,
    rows: int | None = None,
) -> Metric:
    """Return the metric called `name` for these classes.

    Parameters
    ----------
    name : str
        scikit-learn's name where it has one: average_precision, roc_auc, balanced_accuracy, f1_macro,
        matthews_corrcoef, neg_log_loss, neg_brier_score, f1 (two classes: of the positive one). Ours: g_mean,
        worst_recall, recall_<class>, precision_<class>, f1_<class>, expected_cost (lower is better),
        precision@recall>=x, recall@precision>=x; brier_reliability (lower is better), brier_resolution and
        brier_uncertainty, of which the Brier score is the first less the second plus the third; calibration_slope
        (best at 1) and, for two classes, calibration_intercept (best at 0).
        With more than two classes, average_precision and roc_auc are means over one class against
        the rest, and the last two name their class: "precision_<class>@recall>=x".
    classes : sequence
        The labels, in the order of the columns of the probabilities.
    positive : int, optional
        Index of the positive class when there are two; default 1.
    priors : ndarray of shape (C,), optional
        Class shares of the rows to be scored, for `Metric.chance` of average_precision.
    cost_matrix : ndarray of shape (C, C), optional
        Needed by expected_cost.
    rows : int, optional
        Rows that are scored at a time, as in a test fold: of few rows, average_precision in a random order is well
        above the share of the positive class. Default many.

    Returns
    -------
    Metric

    Raises
    ------
    InputError
        If there is no such metric, or it does not fit these classes.

    Examples
    --------
    >>> metric = get("recall_rare", ["common", "rare"])
    >>> y, labels = np.array([0, 0, 1, 1]), np.array([0, 1, 1, 0])
    >>> metric.value(y, np.empty((4, 2)), labels)
    0.5
    """
    n = len(classes)
    rank = [1 if positive is None else positive] if n == 2 else list(range(n))
    plain = _plain(name, n, rank, priors, rows)
    if plain is not None:
        return plain
    labels = [str(c) for c in classes]
    if name == "f1":
        if n > 2:
            raise InputError(f"a class in `f1`, as there are {n}", "none", f"f1_macro, or f1_{labels[-1]}.")
        return _of_class("f1", "f1", rank[0], labels)
    of_class = _OF_CLASS.fullmatch(name)
    misspelt = of_class is not None and of_class[2] not in labels and did_you_mean(name, ["f1_macro"])
    if of_class is not None and (of_class[2] in labels or "@" not in name) and not misspelt:
        return _of_class(name, of_class[1], _class_index(name, of_class[2], labels), labels)
    at = _AT.fullmatch(name)
    if at is not None and at[1] != at[3]:
        return _at_level(name, at, labels, rank)
    if name == "expected_cost":
        return _expected_cost(n, cost_matrix)
    if name == "calibration_intercept":
        raise InputError(
            f"two classes for `{name}`", str(n), "calibration_slope has one number for any number of them."
        )
    hint = did_you_mean(name, _PLAIN + WITH_IDEAL + tuple(f"recall_{label}" for label in labels))
    raise InputError(f"a metric, one of {', '.join(names())}", repr(name), hint)


def _plain(name: str, n: int, rank: list[int], priors: Floats | None, rows: int | None) -> Metric | None:
    over = "" if n == 2 else ", averaged over each class against the rest"
    match name:
        case "average_precision":
            shares = None if priors is None else priors[rank].tolist()
            if shares is not None and rows is not None:
                shares = [_ranking.average_precision_by_chance(max(1.0, share * rows), rows) for share in shares]
            chance = None if shares is None else float(np.mean(shares))
            text = f"Area under the precision–recall curve{over}; chance is the share of the positive class, or more."
            return _ranked(name, rank, _ranking.average_precision, text, chance=chance)
        case "roc_auc":
            text = f"Probability that a positive row is ranked above a negative one{over}; chance is 0.5."
            return _ranked(name, rank, _ranking.roc_auc, text, chance=0.5)
        case "balanced_accuracy":
            text = "Mean recall over the classes; chance is one divided by their number."
            return _label(name, n, _confusion.balanced_accuracy, text, chance=1.0 / n)
        case "f1_macro":
            text = "Mean over the classes of F1, the harmonic mean of precision and recall."
            return _label(name, n, _confusion.f1_macro, text)
        case "matthews_corrcoef":
            text = "Correlation between truth and label; chance is 0."
            return _label(name, n, _confusion.matthews_corrcoef, text, chance=0.0, bounds=(-1.0, 1.0))
        case "g_mean":
            text = "Geometric mean of the recalls: 0 as soon as one class is never found."
            return _label(name, n, _confusion.g_mean, text)
        case "worst_recall":
            return _label(name, n, _confusion.worst_recall, "Recall of the class that is served worst.")
        case "neg_log_loss":
            text = "Minus the mean log loss of the probabilities, in nats; 0 is perfect."
            return _probabilistic(name, _probability.log_loss, text, -np.inf)
        case "neg_brier_score":
            text = "Minus the mean squared error of the probabilities; 0 is perfect."
            return _probabilistic(name, _probability.brier_score, text, -1.0 if n == 2 else -2.0)
        case "brier_reliability":
            text = "Squared distance of probabilities from the shares that came true, freed of chance; 0 is perfect."
            return _of_parts(name, rank, "reliability", text, greater_is_better=False)
        case "brier_resolution":
            text = "How far the probabilities tell rows apart: what they take off the Brier score of the class shares."
            return _of_parts(name, rank, "resolution", text)
        case "brier_uncertainty":
            text = "Brier score of the class shares: the same for every model."
            return _of_parts(name, rank, "uncertainty", text, greater_is_better=False)
        case "calibration_slope":
            text = (
                "Slope of logistic recalibration: 1 is right; below 1 probabilities are too extreme, above too timid."
            )
            return _line(name, lambda p, y, w: _calibration.recalibrate(p, y, w).slope, 1.0, text)
        case "calibration_intercept" if n == 2:
            k = rank[0]
            text = "Log odds by which the positive class is stated too rarely (above 0) or too often (below 0)."
            return _line(name, lambda p, y, w: _calibration.calibration_intercept(p[:, k], y == k, w), 0.0, text)
    return None


def _class_index(name: str, label: str, labels: Sequence[str]) -> int:
    if label not in labels:
        listed = ", ".join(labels[:12]) + (", ..." if len(labels) > 12 else "")
        raise InputError(f"a class in `{name}`, one of {listed}", repr(label), did_you_mean(label, labels))
    return list(labels).index(label)


def _of_class(name: str, quantity: str, k: int, labels: Sequence[str]) -> Metric:
    function, text = {
        "recall": (_confusion.recalls, f"Share of the rows of class {labels[k]} that are labelled so."),
        "precision": (_confusion.precisions, f"Share of the rows labelled {labels[k]} that are of this class."),
        "f1": (_confusion.f1, f"Harmonic mean of precision and recall of class {labels[k]}."),
    }[quantity]
    ratio = k if quantity == "f1" and len(labels) > 2 else None
    return _label(name, len(labels), lambda cm: function(cm)[..., k], text, ratio_of=ratio)


def _at_level(name: str, at: re.Match[str], labels: Sequence[str], rank: list[int]) -> Metric:
    try:
        level = float(at["level"])
    except ValueError:
        level = float("nan")
    if not 0.0 < level <= 1.0:
        raise InputError(f"a level in (0, 1] after '>=' in `{name}`", at["level"], "write for example 0.95.")
    if at["label"] is None and len(labels) > 2:
        raise InputError(
            f"a class in `{name}`, as there are {len(labels)}",
            "none",
            f"write {at[1]}_{labels[-1]}@{at[3]}>={at['level']}.",
        )
    k = rank[0] if at["label"] is None else _class_index(name, at["label"], labels)
    function = _ranking.precision_at_recall if at[1] == "precision" else _ranking.recall_at_precision
    text = f"Best {at[1]} over all thresholds with a {at[3]} of at least {level:g}, for class {labels[k]}."
    aim = _confusion.precisions if at[1] == "precision" else _confusion.recalls
    return replace(
        _ranked(name, [k], lambda curve: function(curve, level), text),
        of_confusion=lambda cm: aim(cm)[..., k],
        floor=(at[3], k, level),
    )


def _expected_cost(n: int, cost_matrix: Floats | None) -> Metric:
    if cost_matrix is None:
        raise InputError("a cost matrix for `expected_cost`", "none", "give cost_matrix=, or choose balanced_accuracy.")
    costs = np.asarray(cost_matrix, np.float64)
    if costs.shape != (n, n) or not np.isfinite(costs).all():
        raise InputError(f"finite costs of shape ({n}, {n})", f"shape {costs.shape}")
    return _label(
        "expected_cost",
        n,
        lambda cm: _confusion.expected_cost(cm, costs),
        "Mean cost of a row under the cost matrix.",
        bounds=(float(costs.min()), float(costs.max())),
        greater_is_better=False,
        cost_matrix=costs,
    )
