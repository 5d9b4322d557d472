"""`Rule`: a decision fitted for a user: labels in the user's own words, what it is worth, and whether to trust it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steelyard.decisions.assessment import Comparison, Interval
from steelyard.decisions.label_thresholds import LabelThresholds
from steelyard.decisions.promises import Promise
from steelyard.decisions.rules import IndexRule
from steelyard.decisions.score_columns import score_matrix
from steelyard.errors import InputError

__all__ = ["Rule"]

Matrix = tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class Rule:
    """A decision that `sy.decisions.fit` fitted on scored rows: call it on new scores, and it returns labels.

    Attributes
    ----------
    decision : Threshold, PlugIn, TopAlarms or LabelThresholds
        The same on class indices.
    classes : tuple
        Labels, in the order of the columns of the probabilities; for several labels per row their names.
    float_labels : bool
        Whether the labels came as whole floats, 1.0 instead of 1.
    metric : str
    positive : int or None
        Index of the positive class of two.
    confidence : float or None
        Of the limits; the intervals have it too (0.9 where it is None).
    counts : tuple of int
        Rows of each class that it was fitted on.
    comparisons : tuple of Comparison
        The metric, then recall and precision of each class: of the plain arg max, and of the rule.
    confusion, confusion_before : tuple of tuples of float
        [truth, label] of the rule and of the arg max on the rows it was fitted on, each labelled by a rule fitted on
        other rows. Of several labels: true positives, false positives and misses of each.
    cross_fitted : bool
        False where a class has a single row: then rows were labelled by the rule that they were used to fit.
    uncertainty : dict of str to Interval
        Bootstrap intervals of its parameters: "threshold", or the weight of each class relative to the most frequent.
    promises : tuple of Promise
        What the limits promise of new rows.
    warnings : tuple of str
        Reasons not to trust it.

    Examples
    --------
    >>> import steelyard as sy
    >>> p = np.linspace(0.0, 0.5, 200)
    >>> y = np.where(p > 0.3, "sick", "well")
    >>> rule = sy.decisions.fit(np.column_stack([p, 1 - p]), y)
    >>> rule([[0.4, 0.6], [0.1, 0.9]])
    array(['sick', 'well'], dtype='<U4')
    >>> sy.decisions.from_dict(rule.to_dict()) == rule
    True
    """

    decision: IndexRule | LabelThresholds
    classes: tuple[Any, ...]
    float_labels: bool
    metric: str
    positive: int | None
    confidence: float | None
    counts: tuple[int, ...]
    comparisons: tuple[Comparison, ...]
    confusion: Matrix
    confusion_before: Matrix
    cross_fitted: bool
    uncertainty: dict[str, Interval]
    promises: tuple[Promise, ...]
    warnings: tuple[str, ...]

    @property
    def estimate(self) -> Interval:
        """The metric of the rule on rows that it was not fitted on."""
        return self.comparisons[0].after

    @property
    def baseline(self) -> Interval:
        """The metric of the plain arg max on the same rows; of several labels, of thresholds at 0.5."""
        return self.comparisons[0].before

    @property
    def gain(self) -> Interval:
        """How much the rule adds, on the same rows; below 0 is better where lower is better."""
        return self.comparisons[0].gain

    @property
    def trusted(self) -> bool:
        """Whether there are no warnings."""
        return not self.warnings

    def indices(self, proba: Any) -> NDArray[np.int64]:
        """Return class indices of shape (n,); of several labels 0 or 1, (n, L).

        Parameters
        ----------
        proba : array-like or table of shape (n, C)
            A table's columns are found by their names, in any order.
        """
        p = score_matrix(proba, self.classes)
        if p.ndim == 2 and p.shape[1] != len(self.classes):
            raise InputError(f"`proba` with {len(self.classes)} columns, one per class", f"{p.shape[1]}")
        return self.decision(p)

    def __call__(self, proba: Any) -> NDArray[Any]:
        """Return labels of shape (n,), of the type that `fit` was given; of several labels 0 or 1, (n, L)."""
        found = self.indices(proba)
        return found if found.ndim == 2 else self.labels[found]

    @property
    def labels(self) -> NDArray[Any]:
        """The classes as an array: whole numbers, text, truth values, or what they have in common."""
        kinds = {type(c) for c in self.classes}
        if self.float_labels:
            return np.array(self.classes, np.float64)
        return np.array(self.classes, None if len(kinds) == 1 else object)

    def to_dict(self) -> dict[str, Any]:
        """Return the rule as JSON data, for `sy.decisions.from_dict`."""
        from steelyard.decisions.serialization import rule_to_dict

        return rule_to_dict(self)

    def __str__(self) -> str:
        from steelyard.decisions.rule_words import in_words

        return "\n".join(in_words(self))
