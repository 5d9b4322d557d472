"""What a search maximises: a metric of decisions that are fitted on held-out rows, or of the scores themselves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from steelyard.decisions import best_prior_exponent, best_rule
from steelyard.metrics import Metric
from steelyard.metrics.confusion import confusion_matrix, precisions, recalls
from steelyard.tuning.tasks import Scored

__all__ = ["Objective"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Rule = Any


@dataclass(frozen=True)
class Objective:
    """A metric and the decision that goes with it.

    Attributes
    ----------
    metric : Metric
    n_classes : int
    positive : int or None
        Column of the positive class of two.
    decision : {"tuned", "default"}
        "tuned": every candidate decides by the rule that is best on its own held-out scores, so that weighting is not
        credited for moving a threshold. "default": by the arg max of the logits, as in a program that has no rule.
    """

    metric: Metric
    n_classes: int
    positive: int | None
    decision: Literal["tuned", "default"] = "tuned"

    @property
    def of_labels(self) -> bool:
        """Whether a decision changes the metric."""
        return self.metric.of_confusion is not None

    @property
    def floor(self) -> tuple[str, int, float] | None:
        """What a decision has to keep: a quantity, a class, a level."""
        return self.metric.floor

    @property
    def sign(self) -> float:
        """1 where more is better, −1 where less is."""
        return 1.0 if self.metric.greater_is_better else -1.0

    def rule(self, proba: Floats, y: Ints) -> Rule:
        """Return the decision that is best on held-out scores; None where the arg max decides."""
        if not self.of_labels or self.decision == "default":
            return None
        return best_rule(proba, y, self.metric, self.positive)

    def one_power(self, proba: Floats, y: Ints, priors: Floats) -> Rule:
        """Return the rule with one number: the power of the priors that is best on held-out scores."""
        of_confusion: Any = self.metric.of_confusion
        return best_prior_exponent(proba, y, priors, of_confusion, self.metric.greater_is_better)

    def labels(self, rule: Rule, scored: Scored) -> Ints:
        """Return class indices of the rows."""
        return scored.trained if rule is None else np.asarray(rule(scored.proba), np.int64)

    def value(self, y: Ints, scored: Scored, labels: Ints) -> float:
        """Return the metric of rows; NaN where it is undefined.

        For a metric with a floor it is what is to be raised (the precision, say) at these labels, whether or not they
        keep the floor; see `kept`.
        """
        if self.floor is None or self.metric.of_confusion is None:
            return self.metric.value(y, scored.proba, labels)
        return float(self.metric.of_confusion(confusion_matrix(y, labels, self.n_classes)))

    def kept(self, y: Ints, labels: Ints) -> float:
        """Return the quantity that a floor is about, at these labels."""
        assert self.floor is not None
        quantity, k, _ = self.floor
        of_confusion = {"recall": recalls, "precision": precisions}[quantity]
        return float(of_confusion(confusion_matrix(y, labels, self.n_classes))[k])

    def selection(self, y: Ints, scored: Scored, places: Sequence[NDArray[np.intp]]) -> float:
        """Return what a candidate is worth inside its training fold: more is better; −∞ where it is undefined.

        Each inner fold is labelled by a rule fitted on the held-out scores of the others. A decision that breaks a
        floor is worth less than any that keeps it, and the less the lower it falls.

        Parameters
        ----------
        y : int64 ndarray of shape (n,)
        scored : Scored
            Of the same rows, each by a model that did not see it.
        places : sequence of positions
            The rows of each inner fold. With one alone the rule is fitted on the rows that it labels.
        """
        labels = scored.trained
        if self.of_labels and self.decision == "tuned":
            labels = np.empty(len(y), np.int64)
            for place in places:
                others = np.ones(len(y), bool)
                others[place] = len(places) == 1
                labels[place] = self.rule(scored.proba[others], y[others])(scored.proba[place])
        value = self.sign * self.value(y, scored, labels)
        if self.floor is not None:
            attained = self.kept(y, labels)
            if not attained >= self.floor[2] - 1e-12:
                value = attained - 2.0 if np.isfinite(attained) else -np.inf
        return value if np.isfinite(value) else -np.inf
