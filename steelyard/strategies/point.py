"""A strategy resolved on the counts of one training fold: numbers, and nothing that could see a table."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from steelyard import sampling
from steelyard.decisions import post_hoc_logit_adjustment, prior_shift

__all__ = ["Point"]

Floats = NDArray[np.float64]
Decision = Literal["argmax", "prior_threshold", "post_hoc_logit_adjustment"]


def _argmax(_: Point, logits: Floats) -> Floats:
    return logits


def _prior_threshold(point: Point, logits: Floats) -> Floats:
    return np.asarray(point.posterior(logits) / point.priors)


def _post_hoc(point: Point, logits: Floats) -> Floats:
    return np.asarray(post_hoc_logit_adjustment(logits, point.priors, point.tau))


_DECISIONS: dict[str, Callable[[Point, Floats], Floats]] = {
    "argmax": _argmax,
    "prior_threshold": _prior_threshold,
    "post_hoc_logit_adjustment": _post_hoc,
}


def _at_scale_one(loss: Any) -> Any:
    if loss is None or loss.logit_scale is None:
        return loss
    scale = np.asarray(loss.logit_scale)
    return loss.replace(logit_scale=None, margin=None if loss.margin is None else loss.margin / scale)


@dataclass(frozen=True)
class Point:
    """What training and deciding need to know of a strategy on one training fold.

    Attributes
    ----------
    loss : steelyard.losses.SoftmaxCrossEntropy
        The loss to train on.
    sampler : str or None
        Name of a sampler in `steelyard.sampling` that chooses the rows to train on; None takes each row once.
    decision : {"argmax", "prior_threshold", "post_hoc_logit_adjustment"}
        How its default labels come from the logits. "argmax" takes the logits as the model gives them: what
        the loss added to them in training is not added at prediction, which is how those losses shift the
        decision.
    tau : float
        Parameter of "post_hoc_logit_adjustment".
    later : steelyard.losses.SoftmaxCrossEntropy or None
        The loss that takes over in the last part of training, where a model is trained in steps.
    defer : float
        The share of training after which it does.
    cosine : bool
        Whether a network gives cosines instead of products in its last layer.
    strategy : str
    priors : float64 ndarray of shape (C,)
        Class shares of the training fold.
    """

    loss: Any
    sampler: str | None = None
    decision: Decision = "argmax"
    tau: float = 1.0
    later: Any = None
    defer: float = 1.0
    cosine: bool = False
    strategy: str = ""
    priors: Any = None

    @property
    def training_key(self) -> str:
        """Return a text that is equal for points that train the same model: they share one fit.

        It holds the loss and the sampler, not the decision: post-hoc strategies share the fit of "none".
        """
        later = None if self.later is None else self.later.to_dict()
        return json.dumps([self.loss.to_dict(), self.sampler, later, self.defer, self.cosine], sort_keys=True)

    @property
    def last_loss(self) -> Any:
        """The loss in force when training ends: what the logits have to be read by."""
        return self.loss if self.later is None else self.later

    def posterior(self, logits: Floats) -> Floats:
        """Return probabilities corrected for what the loss and the sampler did.

        A model trained with weights, offsets or resampling states the probabilities of a population that does
        not exist; these are the ones of the training fold's own class shares. For rows that SMOTE made the
        correction is approximate: they change more than the shares.

        Parameters
        ----------
        logits : float64 ndarray of shape (n, C)

        Returns
        -------
        float64 ndarray of shape (n, C)
        """
        proba = np.asarray(self.last_loss.posterior(logits), np.float64)
        if self.sampler is None:
            return proba
        return prior_shift(proba, sampling.sampled_priors(self.sampler, self.priors), self.priors)

    def without_cosine(self) -> Point:
        """Return the point for a model whose logits are no cosines: the scale that cosines need is divided out.

        LDAM at scale 1 asks for the same margins of logits that can grow by themselves. Left in, the scale would
        undo the shrinkage of a penalised or boosted model.
        """
        if not self.cosine:
            return self
        return replace(self, loss=_at_scale_one(self.loss), later=_at_scale_one(self.later), cosine=False)

    def decide(self, logits: Floats) -> NDArray[np.int64]:
        """Return the strategy's default labels as class indices.

        Parameters
        ----------
        logits : float64 ndarray of shape (n, C)

        Returns
        -------
        int64 ndarray of shape (n,)
        """
        return np.asarray(self.scores(logits).argmax(1), np.int64)

    def scores(self, logits: Floats) -> Floats:
        """Return scores of shape (n, C) of which the largest one is the strategy's default label."""
        return _DECISIONS[self.decision](self, logits)
