"""Decision rules: small objects of a few numbers that turn probabilities into labels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from steelyard.decisions.validation import checked_probabilities
from steelyard.errors import InputError

__all__ = ["IndexRule", "PlugIn", "Threshold", "from_dict"]

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

    def to_dict(self) -> dict[str, Any]:
        """Return the rule as JSON data."""
        return {"rule": "threshold", "threshold": self.threshold, "positive": self.positive}


@dataclass(frozen=True)
class PlugIn:
    r"""Any number of classes: arg max of weighted probabilities.

    .. math:: \hat y = \arg\max_k w_k\, p_k, \qquad w_k = f_k\, \pi_k^{-\tau}

    Attributes
    ----------
    tau : float
        Power of the priors.
    priors : tuple of float
        Class shares of the rows that the probabilities are about.
    factors : tuple of float or None
        What each class has beyond the power of its prior; None: 1 for all.

    Examples
    --------
    >>> PlugIn(1.0, (0.9, 0.1))([[0.8, 0.2]])
    array([1])
    """

    tau: float
    priors: tuple[float, ...]
    factors: tuple[float, ...] | None = None

    @property
    def weights(self) -> Floats:
        """The weight of each class, float64 of shape (C,), the largest 1."""
        log = -self.tau * np.log(np.asarray(self.priors))
        if self.factors is not None:
            log = log + np.log(np.asarray(self.factors))
        return np.asarray(np.exp(log - log.max()))

    def __call__(self, proba: ArrayLike) -> NDArray[np.int64]:
        """Return class indices of shape (n,); the first of equal ones."""
        p = checked_probabilities(proba)
        return np.asarray((p * self.weights).argmax(1), np.int64)

    def to_dict(self) -> dict[str, Any]:
        """Return the rule as JSON data."""
        factors = None if self.factors is None else list(self.factors)
        return {"rule": "plug_in", "tau": self.tau, "priors": list(self.priors), "factors": factors}


IndexRule = Threshold | PlugIn


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
        factors = content.get("factors")
        return PlugIn(
            float(content["tau"]),
            tuple(float(p) for p in content["priors"]),
            None if factors is None else tuple(float(f) for f in factors),
        )
    raise InputError("a decision rule, 'threshold' or 'plug_in'", repr(dict(content))[:80])
