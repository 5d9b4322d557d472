"""Decision rules with one number in them, found on scored rows that the model was not trained on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from steelyard.decisions.validation import checked_priors, checked_probabilities
from steelyard.errors import InputError
from steelyard.metrics.confusion import confusion_matrix
from steelyard.metrics.ranking import Ranking

__all__ = ["PriorPlugIn", "Threshold", "best_prior_exponent", "best_threshold", "from_dict"]

Floats = NDArray[np.float64]
OfConfusion = Callable[[Floats], Floats]

# 0 is the plain arg max, 1 the optimum for balanced accuracy; beyond 2 rare classes drown the others
_EXPONENTS = np.round(np.arange(0.0, 2.01, 0.1), 1)


@dataclass(frozen=True)
class Threshold:
    """Two classes: the positive one where its probability is at least `threshold`.

    Examples
    --------
    >>> Threshold(0.3)([[0.8, 0.2], [0.6, 0.4]])
    array([0, 1])
    """

    threshold: float
    positive: int = 1

    def __call__(self, proba: ArrayLike) -> NDArray[np.int64]:
        """Return class indices of shape (n,)."""
        p = checked_probabilities(proba)
        return np.where(p[:, self.positive] >= self.threshold, self.positive, 1 - self.positive)

    def to_dict(self) -> dict[str, Any]:
        """Return the rule as JSON data."""
        return {"rule": "threshold", "threshold": self.threshold, "positive": self.positive}


@dataclass(frozen=True)
class PriorPlugIn:
    """Any number of classes: arg max of the probability divided by the prior to the power `tau`.

    Examples
    --------
    >>> PriorPlugIn(1.0, (0.9, 0.1))([[0.8, 0.2]])
    array([1])
    """

    tau: float
    priors: tuple[float, ...]

    def __call__(self, proba: ArrayLike) -> NDArray[np.int64]:
        """Return class indices of shape (n,); the first of equal ones."""
        p = checked_probabilities(proba)
        return np.asarray((p * np.asarray(self.priors) ** -self.tau).argmax(1), np.int64)

    def to_dict(self) -> dict[str, Any]:
        """Return the rule as JSON data."""
        return {"rule": "prior_plug_in", "tau": self.tau, "priors": list(self.priors)}


def from_dict(content: Mapping[str, Any]) -> Threshold | PriorPlugIn:
    """Return the rule that `to_dict` described.

    Parameters
    ----------
    content : mapping
        JSON data; nothing in it is executed.

    Raises
    ------
    InputError
        If it describes no rule.

    Examples
    --------
    >>> from_dict(Threshold(0.3).to_dict())
    Threshold(threshold=0.3, positive=1)
    """
    kind = content.get("rule")
    if kind == "threshold" and content.get("positive") in (0, 1):
        return Threshold(float(content["threshold"]), int(content["positive"]))
    if kind == "prior_plug_in":
        return PriorPlugIn(float(content["tau"]), tuple(float(p) for p in content["priors"]))
    raise InputError("a decision rule, 'threshold' or 'prior_plug_in'", repr(dict(content))[:80])


def _middle_best(values: Floats, greater_is_better: bool) -> int:
    """Index of the best value; of equally good ones the middle, farthest from doing worse."""
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
    cut = _middle_best(np.asarray(metric(confusion)), greater_is_better)
    # the distinct scores, highest first, with what lies beyond them on either side
    levels = np.concatenate([[2.0], score[ranking.order[ranking.ends]], [-1.0]])
    upper, lower = levels[cut], levels[cut + 1]
    if cut == 0:
        return Threshold(float(np.nextafter(lower, 2.0)), positive)
    if cut == len(found) - 1:
        return Threshold(0.0, positive)
    middle = float((upper + lower) / 2.0)
    return Threshold(middle if middle > lower else float(upper), positive)


def best_prior_exponent(
    proba: ArrayLike,
    y: ArrayLike,
    priors: ArrayLike,
    metric: OfConfusion,
    greater_is_better: bool = True,
) -> PriorPlugIn:
    r"""Find the τ in [0, 2] for which :math:`\arg\max_k p_k / \pi_k^\tau` is best for `metric`.

    One number for any number of classes: with few rare rows a weight per class would be fitted to noise.

    Parameters
    ----------
    proba : array-like of shape (n, C)
        Probabilities of rows that the model was not trained on.
    y : int array-like of shape (n,)
    priors : array-like of shape (C,)
        Class shares, all positive.
    metric : callable
        Confusion matrices (m, C, C) → values (m,).
    greater_is_better : bool

    Returns
    -------
    PriorPlugIn

    Raises
    ------
    InputError
        For wrong shapes, or when `metric` is undefined for every τ.

    Examples
    --------
    >>> from steelyard.metrics.confusion import balanced_accuracy
    >>> p = np.array([[0.9, 0.1], [0.8, 0.2], [0.7, 0.3], [0.65, 0.35]])
    >>> best_prior_exponent(p, [0, 0, 1, 1], [0.75, 0.25], balanced_accuracy).tau
    1.0
    """
    p = checked_probabilities(proba)
    truth = np.asarray(y)
    n = p.shape[1]
    shares = checked_priors(priors, n, "priors")
    if (shares == 0).any():
        raise InputError("`priors` > 0", f"0 for class {int(np.flatnonzero(shares == 0)[0])}")
    rules = [PriorPlugIn(float(tau), tuple(shares.tolist())) for tau in _EXPONENTS]
    confusion = np.stack([confusion_matrix(truth, rule(p), n) for rule in rules])
    return rules[_middle_best(np.asarray(metric(confusion)), greater_is_better)]
