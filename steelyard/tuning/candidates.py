"""A candidate: class weights, offsets and scales of the logits, and a focusing exponent, as plain numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from steelyard.losses import SoftmaxCrossEntropy
from steelyard.strategies import Point

__all__ = ["NAME", "PLAIN", "Candidate"]

Floats = NDArray[np.float64]
Numbers = tuple[float, ...] | None

NAME = "tuned_weights"  # the strategy that a tuned point goes by


@dataclass(frozen=True)
class Candidate:
    """Numbers of one loss; None is what plain cross-entropy has.

    Attributes
    ----------
    log_weight : tuple of float or None
        Logarithms of the class weights, up to a constant.
    logit_offset, logit_scale : tuple of float or None
    gamma : float
        Focusing exponent.

    Examples
    --------
    >>> Candidate.weighted([0.0, np.log(3.0)]).class_weight(np.array([0.75, 0.25])).round(3)
    array([0.667, 2.   ])
    """

    log_weight: Numbers = None
    logit_offset: Numbers = None
    logit_scale: Numbers = None
    gamma: float = 0.0

    @classmethod
    def weighted(cls, log_weight: ArrayLike) -> Candidate:
        """Return a candidate with class weights only."""
        return cls(tuple(np.asarray(log_weight, np.float64).tolist()))

    def class_weight(self, priors: Floats) -> Floats:
        """Return the class weights, of shape (C,), scaled so that a row of the training fold weighs 1 on average."""
        log = np.zeros(len(priors)) if self.log_weight is None else np.asarray(self.log_weight)
        w = np.exp(log - log.max())
        return np.asarray(w / (w * priors).sum())

    def point(self, priors: Floats, complete: bool = False) -> Point:
        """Return what training takes.

        Parameters
        ----------
        priors : float64 ndarray of shape (C,)
            Class shares of the training rows.
        complete : bool
            Whether to give every parameter an array, absent ones the value that changes nothing: the compiled
            program of a network then serves every candidate.
        """
        n = len(priors)
        weight = None if self.log_weight is None else self.class_weight(priors)
        offset = None if self.logit_offset is None else np.asarray(self.logit_offset)
        scale = None if self.logit_scale is None else np.asarray(self.logit_scale)
        if complete:
            weight = np.ones(n) if weight is None else weight
            offset = np.zeros(n) if offset is None else offset
            scale = np.ones(n) if scale is None else scale
        loss = SoftmaxCrossEntropy(class_weight=weight, logit_offset=offset, logit_scale=scale, gamma=self.gamma)
        return Point(loss, strategy="none" if self == PLAIN else NAME, priors=priors)

    def to_dict(self) -> dict[str, Any]:
        """Return the candidate as JSON data."""
        return asdict(self)

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Candidate:
        """Return the candidate that `to_dict` described."""
        log_weight, offset, scale = (
            None if content[name] is None else tuple(map(float, content[name]))
            for name in ("log_weight", "logit_offset", "logit_scale")
        )
        return cls(log_weight, offset, scale, float(content["gamma"]))


PLAIN = Candidate()
