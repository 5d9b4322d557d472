"""Two classes: the threshold that is best among all that label some row differently."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from steelyard.decisions.rules import Threshold
from steelyard.decisions.validation import checked_probabilities
from steelyard.errors import InputError
from steelyard.metrics.ranking import Ranking

__all__ = ["Cuts", "OfConfusion", "best_threshold", "middle_best"]

Floats = NDArray[np.float64]
OfConfusion = Callable[[Floats], Floats]


def middle_best(values: Floats, greater_is_better: bool) -> int:
    """Return the index of the best value; of equally good ones the middle, farthest from doing worse."""
    signed = values if greater_is_better else -values
    best = np.nanmax(signed) if np.isfinite(signed).any() else np.nan
    if not np.isfinite(best):
        raise InputError("a metric that is defined for some decision", "none", "does `y` hold every class?")
    tied = np.flatnonzero(signed >= best - 1e-12)
    return int(tied[len(tied) // 2])


@dataclass(frozen=True)
class Cuts:
    """Every way in which a threshold can split scored rows, from nothing labelled positive to everything.

    Attributes
    ----------
    found, false : float64 ndarray of shape (m,)
        Weight of the positive and of the negative rows that are labelled positive.
    levels : float64 ndarray of shape (m + 1,)
        The distinct scores, highest first, with what lies beyond them on either side.
    positive : int
    """

    found: Floats
    false: Floats
    levels: Floats
    positive: int

    @classmethod
    def of(
        cls, score: NDArray[Any], truth: NDArray[np.bool_], positive: int = 1, sample_weight: Floats | None = None
    ) -> Cuts:
        """Sort once; rows with equal scores are labelled alike."""
        ranking = Ranking.of(score)
        curve = ranking.curve(truth, sample_weight)
        return cls(
            np.concatenate([[0.0], curve.true_positives]),
            np.concatenate([[0.0], curve.false_positives]),
            np.concatenate([[2.0], score[ranking.order[ranking.ends]], [-1.0]]),
            positive,
        )

    def confusion(self) -> Floats:
        """Return the confusion matrix of each cut, shape (m, 2, 2)."""
        yes, no = self.positive, 1 - self.positive
        out = np.empty((len(self.found), 2, 2))
        out[:, yes, yes] = self.found
        out[:, yes, no] = self.found[-1] - self.found
        out[:, no, yes] = self.false
        out[:, no, no] = self.false[-1] - self.false
        return out

    def threshold(self, cut: int) -> Threshold:
        """Return the threshold of a cut, halfway between the two neighbouring scores."""
        upper, lower = self.levels[cut], self.levels[cut + 1]
        if cut == 0:
            return Threshold(float(np.nextafter(lower, 2.0)), self.positive)
        if cut == len(self.found) - 1:
            return Threshold(0.0, self.positive)
        middle = float((upper + lower) / 2.0)
        return Threshold(middle if middle > lower else float(upper), self.positive)


def best_threshold(
    proba: ArrayLike,
    y: ArrayLike,
    metric: OfConfusion,
    positive: int = 1,
    greater_is_better: bool = True,
    sample_weight: ArrayLike | None = None,
) -> Threshold:
    """Find the threshold that is best for `metric` among all that label some row differently.

    One cut between each two neighbouring scores, and the two at the ends, are all there are: the search is
    exact, where a grid misses cuts close to 0 or 1, just where rare classes have theirs.

    Parameters
    ----------
    proba : array-like of shape (n, 2)
        Probabilities of rows that the model was not trained on.
    y : int array-like of shape (n,)
        Class indices.
    metric : callable
        Confusion matrices (m, 2, 2), [truth, label] → values (m,): for example
        `steelyard.metrics.confusion.f1_macro`.
    positive : int
        Column of the positive class. Default 1.
    greater_is_better : bool
    sample_weight : array-like of shape (n,), optional
        Weight of each row in the confusion matrices.

    Returns
    -------
    Threshold
        Halfway between the two neighbouring scores; of equally good cuts the middle one.

    Raises
    ------
    InputError
        If there are not two columns, or `metric` is undefined at every cut.

    Examples
    --------
    >>> from steelyard.metrics.confusion import balanced_accuracy
    >>> p = np.array([0.01, 0.02, 0.03, 0.10, 0.20])
    >>> rule = best_threshold(np.column_stack([1 - p, p]), [0, 0, 0, 1, 1], balanced_accuracy)
    >>> round(rule.threshold, 3)
    0.065
    """
    p = checked_probabilities(proba)
    if p.shape[1] != 2:
        raise InputError("two columns for a threshold", str(p.shape[1]), "best_prior_exponent takes any number.")
    weight = None if sample_weight is None else np.asarray(sample_weight, np.float64)
    cuts = Cuts.of(p[:, positive], np.asarray(y) == positive, positive, weight)
    return cuts.threshold(middle_best(np.asarray(metric(cuts.confusion())), greater_is_better))
