"""What the user has at hand, read: a loss, a front's module, a strategy; counts, sampler, batches, decision."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steelyard import sampling, strategies
from steelyard.errors import InputError, did_you_mean, one_of
from steelyard.explanation.foreign import Foreign, from_other_library
from steelyard.losses.base import Loss
from steelyard.losses.reduction import REDUCTIONS
from steelyard.losses.sigmoid import SigmoidCrossEntropy
from steelyard.losses.softmax import SoftmaxCrossEntropy
from steelyard.strategies import Strategy
from steelyard.weights import ClassCounts, as_counts, class_weight

__all__ = ["Training", "read"]

Vector = NDArray[np.float64]

DECISIONS = ("argmax", "prior_threshold", "post_hoc_logit_adjustment", "tuned")
DENOMINATORS = ("rows", "sample_weight")


@dataclass(frozen=True)
class Training:
    """A loss, and all around it that moves what is learnt or decided.

    Attributes
    ----------
    loss : Loss
        The loss in force when training ends.
    counts : ClassCounts
        Of the rows there are.
    trained : float64 ndarray of shape (C,)
        Class shares that training sees, after the sampler.
    sampler : str or None
        In words.
    batch_size : int or None
    denominator : str or None
        None: Σ s·ω.
    decision : str or float
        A number is a threshold on the model's probability of the second class.
    tau : float
        Of "post_hoc_logit_adjustment".
    strategy : str or None
    before : Loss or None
        The loss that training begins with, where that is another one.
    defer : float
        The share of training after which `loss` takes over.
    settled : bool
        Whether the numbers are there already, and not still to be found on inner folds.
    clipped : bool
        Whether the loss works on probabilities that are clipped, as another library's may.
    """

    loss: Loss
    counts: ClassCounts
    trained: Vector
    sampler: str | None
    batch_size: int | None
    denominator: str | None
    decision: str | float
    tau: float = 1.0
    strategy: str | None = None
    before: Loss | None = None
    defer: float = 1.0
    settled: bool = True
    clipped: bool = False

    @property
    def priors(self) -> Vector:
        """Class shares of the rows there are."""
        return self.counts.priors

    @property
    def rare(self) -> int:
        """Index of the rarest class that has rows."""
        return int(np.argmin(np.where(self.counts.counts > 0, self.priors, np.inf)))

    @property
    def common(self) -> int:
        """Index of the commonest class."""
        return int(np.argmax(self.priors))

    @property
    def binary(self) -> bool:
        """Whether one logit of a sigmoid tells two classes apart."""
        return isinstance(self.loss, SigmoidCrossEntropy) and self.counts.n_classes == 2 and self.labels == 1

    @property
    def several_labels(self) -> bool:
        """Whether rows have several labels, each with a logit of its own."""
        return self.loss.dense_targets and not self.binary

    @property
    def labels(self) -> int:
        """Number of labels that the parameters of a sigmoid loss are for."""
        sizes = [
            v.shape[0]
            for n, v in self.loss.parameters.items()
            if v is not None and len(v.shape) and n != "outcome_weight"
        ]
        return int(sizes[0]) if sizes else 1

    @property
    def mute(self) -> bool:
        """Whether a weight of 0 keeps a class from being learnt."""
        weights = (self.parameter("class_weight"), self.parameter("pos_weight"))
        return any(w is not None and bool((w == 0).any()) for w in weights)

    def parameter(self, name: str) -> Any:
        """Return a parameter of the loss as an array, or None where it is neutral or the loss has none such."""
        value = self.loss.parameters.get(name)
        return None if value is None else np.asarray(value, np.float64)

    @property
    def row_weights(self) -> Vector | None:
        """Weights ω by true class, where they are constant."""
        if self.binary and self.parameter("outcome_weight") is None:
            w = np.ones(1) if self.parameter("class_weight") is None else self.parameter("class_weight").reshape(-1)
            v = self.parameter("pos_weight")
            if v is None and self.parameter("class_weight") is None:
                return None
            return np.array([w[0], w[0] * (1.0 if v is None else v.reshape(-1)[0])])
        w = self.parameter("class_weight")
        if not isinstance(self.loss, SoftmaxCrossEntropy) or w is None or self.loss.weight_by != "target":
            return None
        return np.broadcast_to(w, (self.counts.n_classes,))


def read(
    subject: Any,
    counts: Any,
    sampler: Any,
    batch_size: int | None,
    denominator: Any,
    reduction: str | None,
    decision: str | float | None,
) -> Training:
    """Bring all that can be handed over into one form, or say what is wrong with it."""
    counts = as_counts(counts)
    more: dict[str, Any] = {}
    if isinstance(subject, str):
        subject = strategies.get(subject)
    if isinstance(subject, Strategy):
        point = subject.resolve(counts)
        loss = point.last_loss
        more = {"strategy": subject.name, "tau": point.tau, "settled": not subject.needs_inner}
        if point.later is not None:
            more |= {"before": point.loss, "defer": point.defer}
        sampler = point.sampler if sampler is None else sampler
        decision = point.decision if decision is None else decision
    else:
        loss, own, clipped = _loss(subject, counts)
        more = {"clipped": clipped}
        denominator = own if denominator is None else denominator
    if reduction is not None:
        one_of("reduction", reduction, REDUCTIONS)
        loss = loss.replace(reduction=reduction)
    if denominator is not None and not isinstance(denominator, str):
        denominator = "constant"  # a number or a tensor: the same in every batch
    elif denominator is not None:
        one_of("denominator", denominator, DENOMINATORS)
    if batch_size is not None and (isinstance(batch_size, bool) or not batch_size >= 1):
        raise InputError("`batch_size` ≥ 1", repr(batch_size))
    trained, words = _sampled(sampler, counts)
    training = Training(
        loss=loss,
        counts=counts,
        trained=trained,
        sampler=words,
        batch_size=None if batch_size is None else int(batch_size),
        denominator=denominator,
        decision=_decision(decision, counts),
        **more,
    )
    _check_classes(training)
    return training


def _loss(subject: Any, counts: ClassCounts) -> Foreign:
    for one in (subject, getattr(subject, "loss", None)):  # a front's module has its loss there
        if isinstance(one, Loss):
            return Foreign(one, None)
    foreign = from_other_library(subject)
    if foreign is not None:
        return foreign
    if isinstance(subject, Mapping | list | tuple | np.ndarray):
        weight = class_weight(subject, counts) if isinstance(subject, Mapping) else subject
        return Foreign(SoftmaxCrossEntropy(class_weight=weight), None)
    raise InputError(
        "a loss, a front made of one, a cross-entropy of torch or Keras, a strategy or class weights",
        type(subject).__name__,
        "sy.losses.names() and sy.strategies.names() list them; of another object, hand over its `.loss`.",
    )


def _sampled(sampler: Any, counts: ClassCounts) -> tuple[Vector, str | None]:
    """Return the class shares that training sees, and the sampler in words."""
    if sampler is None:
        return counts.priors, None
    if isinstance(sampler, str):
        if sampler not in sampling.ALL:
            raise InputError(
                "a sampler, one of " + ", ".join(sampling.ALL) + ", or the class shares of the sampled rows",
                repr(sampler),
                did_you_mean(sampler, sampling.ALL),
            )
        return sampling.sampled_priors(sampler, counts.priors), sampler
    if isinstance(sampler, Mapping):
        unknown = [c for c in sampler if c not in counts.classes]
        if unknown:
            raise InputError("classes of the counts in `sampler`", repr(unknown[0]))
        sampler = [sampler.get(c, 0.0) for c in counts.classes]
    shares = np.asarray(sampler.counts if isinstance(sampler, ClassCounts) else sampler, np.float64)
    if shares.shape != (counts.n_classes,) or not (shares >= 0).all() or not shares.sum() > 0:
        raise InputError(
            f"`sampler` as a name ({', '.join(sampling.ALL)}) or {counts.n_classes} class shares or counts, not "
            "negative",
            repr(sampler),
        )
    shares = shares / shares.sum()
    return shares, "a sampler with shares " + ", ".join(f"{s:.3g}" for s in shares)


def _decision(decision: str | float | None, counts: ClassCounts) -> str | float:
    if decision is None:
        return "argmax"
    if isinstance(decision, str):
        one_of("decision", decision, DECISIONS)
        return decision
    if counts.n_classes != 2 or not 0.0 < decision < 1.0:
        raise InputError(
            "`decision` as one of " + ", ".join(DECISIONS) + ", or of two classes a threshold in (0, 1)",
            repr(decision),
        )
    return float(decision)


def _check_classes(training: Training) -> None:
    loss, n_classes = training.loss, training.counts.n_classes
    for name, value in loss.parameters.items():
        if value is None or name == "outcome_weight" or len(value.shape) == 0:
            continue
        if value.shape[-1] != n_classes and not (isinstance(loss, SigmoidCrossEntropy) and value.shape[-1] == 1):
            raise InputError(
                f"counts of {value.shape[-1]} classes, as `{name}` has",
                f"{n_classes}",
                "classes that never occur are kept by ClassCounts.from_labels(y, classes=[...]).",
            )
