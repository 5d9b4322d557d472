"""Decision rules: small objects of a few numbers that turn probabilities into labels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from steelyard.decisions.validation import checked_probabilities
from steelyard.errors import InputError

__all__ = ["IndexRule", "PlugIn", "Threshold", "TopAlarms", "from_dict"]

Floats = NDArray[np.float64]


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

    def scores(self, proba: ArrayLike) -> Floats:
        """Return scores of shape (n, 2) of which the larger one decides, the first of equal ones: the rule as numbers.

        Examples
        --------
        >>> Threshold(0.25)([[0.75, 0.25]]), Threshold(0.25).scores([[0.75, 0.25]])[:, 1] > 0
        (array([1]), array([ True]))
        """
        p = checked_probabilities(proba)
        out = np.zeros((len(p), 2))
        # a probability that is equal to the threshold is positive: of equal scores the first decides
        cut = np.nextafter(self.threshold, -np.inf) if self.positive == 1 else self.threshold
        out[:, self.positive] = p[:, self.positive] - cut
        return out

    def to_dict(self) -> dict[str, Any]:
        """Return the rule as JSON data."""
        return {"rule": "threshold", "threshold": self.threshold, "positive": self.positive}


@dataclass(frozen=True)
class PlugIn:
    r"""Any number of classes: arg max of weighted probabilities.

    .. math:: \hat y = \arg\max_k w_k\, p_k, \qquad w_k = f_k\, \pi_k^{-\tau}

    With costs it is the least expected cost under the weighted probabilities,
    :math:`\arg\min_j \sum_k w_k p_k M[k, j]`.

    Attributes
    ----------
    tau : float
        Power of the priors.
    priors : tuple of float
        Class shares of the rows that the probabilities are about.
    factors : tuple of float or None
        What each class has beyond the power of its prior; None: 1 for all.
    cost_matrix : tuple of tuples of float, or None
        M[truth, label]; None: every mistake costs the same.

    Examples
    --------
    >>> PlugIn(1.0, (0.9, 0.1))([[0.8, 0.2]])
    array([1])
    """

    tau: float
    priors: tuple[float, ...]
    factors: tuple[float, ...] | None = None
    cost_matrix: tuple[tuple[float, ...], ...] | None = None

    @property
    def weights(self) -> Floats:
        """The weight of each class, float64 of shape (C,), the largest 1."""
        log = -self.tau * np.log(np.asarray(self.priors))
        if self.factors is not None:
            log = log + np.log(np.asarray(self.factors))
        return np.asarray(np.exp(log - log.max()))

    def __call__(self, proba: ArrayLike) -> NDArray[np.int64]:
        """Return class indices of shape (n,); the first of equal ones."""
        return np.asarray(self.scores(proba).argmax(1), np.int64)

    def scores(self, proba: ArrayLike) -> Floats:
        """Return scores of shape (n, C) of which the largest decides: w p, or with costs minus the expected cost."""
        p = checked_probabilities(proba)
        if p.shape[1] != len(self.priors):
            raise InputError(f"`proba` of {len(self.priors)} classes", f"{p.shape[1]} columns")
        if self.cost_matrix is None:
            return np.asarray(p * self.weights)
        return np.asarray(-(p @ (self.weights[:, None] * np.asarray(self.cost_matrix))))

    def to_dict(self) -> dict[str, Any]:
        """Return the rule as JSON data."""
        factors = None if self.factors is None else list(self.factors)
        costs = None if self.cost_matrix is None else [list(row) for row in self.cost_matrix]
        return {"rule": "plug_in", "tau": self.tau, "priors": list(self.priors), "factors": factors, "costs": costs}


@dataclass(frozen=True)
class TopAlarms:
    """Two classes: the positive one for the `most` rows of a batch that score highest, never more.

    Of rows with equal scores at the border none is taken, so that the order of the rows says nothing.

    Examples
    --------
    >>> TopAlarms(1)([[0.8, 0.2], [0.3, 0.7], [0.6, 0.4]])
    array([0, 1, 0])
    """

    most: int
    positive: int = 1

    def __call__(self, proba: ArrayLike) -> NDArray[np.int64]:
        """Return class indices of shape (n,)."""
        score = checked_probabilities(proba)[:, self.positive]
        if len(score) <= self.most:
            return np.full(len(score), self.positive, np.int64)
        # the highest score that is too many
        border = np.partition(score, len(score) - self.most - 1)[len(score) - self.most - 1]
        return np.where(score > border, self.positive, 1 - self.positive)

    def to_dict(self) -> dict[str, Any]:
        """Return the rule as JSON data."""
        return {"rule": "top_alarms", "most": self.most, "positive": self.positive}


IndexRule = Threshold | PlugIn | TopAlarms


def from_dict(content: Mapping[str, Any]) -> IndexRule:
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
    if kind == "plug_in":
        factors, costs = content.get("factors"), content.get("costs")
        return PlugIn(
            float(content["tau"]),
            tuple(float(p) for p in content["priors"]),
            None if factors is None else tuple(float(f) for f in factors),
            None if costs is None else tuple(tuple(float(c) for c in row) for row in costs),
        )
    if kind == "top_alarms" and content.get("positive") in (0, 1):
        return TopAlarms(int(content["most"]), int(content["positive"]))
    raise InputError("a decision rule, 'threshold', 'plug_in' or 'top_alarms'", repr(dict(content))[:80])
