"""Two classes: the threshold that is best among all that label some row differently."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from steelyard.decisions.rules import Threshold
from steelyard.decisions.validation import checked_probabilities
from steelyard.errors import InputError
from steelyard.metrics.ranking import Ranking

__all__ = ["OfConfusion", "best_threshold", "middle_best"]

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


def best_threshold(
    proba: ArrayLike, y: ArrayLike, metric: OfConfusion, positive: int = 1, greater_is_better: bool = True
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
    score, truth = p[:, positive], np.asarray(y) == positive
    ranking = Ranking.of(score)
    curve = ranking.curve(truth)
    found = np.concatenate([[0.0], curve.true_positives])  # the first cut labels nothing positive
    false = np.concatenate([[0.0], curve.false_positives])
    confusion = np.empty((len(found), 2, 2))
    negative = 1 - positive
    confusion[:, positive, positive] = found
    confusion[:, positive, negative] = found[-1] - found
    confusion[:, negative, positive] = false
    confusion[:, negative, negative] = false[-1] - false
    cut = middle_best(np.asarray(metric(confusion)), greater_is_better)
    # the distinct scores, highest first, with what lies beyond them on either side
    levels = np.concatenate([[2.0], score[ranking.order[ranking.ends]], [-1.0]])
    upper, lower = levels[cut], levels[cut + 1]
    if cut == 0:
        return Threshold(float(np.nextafter(lower, 2.0)), positive)
    if cut == len(found) - 1:
        return Threshold(0.0, positive)
    middle = float((upper + lower) / 2.0)
    return Threshold(middle if middle > lower else float(upper), positive)
