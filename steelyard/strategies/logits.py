"""Offsets, scales and margins on the logits, in training only: the model has to make up for them."""

from __future__ import annotations

from steelyard import losses
from steelyard.strategies.point import Point
from steelyard.strategies.strategy import register
from steelyard.weights import ClassCounts, class_weight

_BIAS = (
    "The bias of a linear model absorbs a constant per class, so the fit is that of none with another bias: the "
    "labels are those of {}, and the corrected probabilities those of none."
)

_START = (
    "Trees start from the constant that fits the loss best, which takes back a constant per class: the trees are those "
    "of none, the labels those of {} with the same tau."
)


@register(
    summary="tau times the log prior is added to the logits in training and left out at prediction.",
    helps="Networks, where it lasts when class weights are forgotten: the robust simple choice.",
    source="Menon et al., ICLR 2021, arXiv:2007.07314, equation 10.",
    coincides={
        "linear": _BIAS.format("post_hoc_logit_adjustment with the same tau"),
        **dict.fromkeys(("lightgbm", "xgboost", "catboost"), _START.format("post_hoc_logit_adjustment")),
    },
)
def logit_adjusted(counts: ClassCounts, tau: float = 1.0) -> Point:
    """Add τ log π while training."""
    return Point(losses.logit_adjusted(counts, tau=tau))


@register(
    summary="Softmax over counts times exponentials: the log counts are added to the logits in training.",
    helps="As logit_adjusted at tau = 1; the two differ by a constant that a softmax does not see.",
    source="Ren et al., NeurIPS 2020, arXiv:2007.10740.",
    coincides={
        "*": "log n and log π differ by a constant, which a softmax does not see: it is logit_adjusted at tau = 1."
    },
)
def balanced_softmax(counts: ClassCounts) -> Point:
    """Add log n while training."""
    return Point(losses.balanced_softmax(counts))


@register(
    summary="Logits scaled by (n / largest n)^gamma and shifted by tau log π in training.",
    helps="Networks trained until they separate the data, where scales still act when weights no longer do.",
    source="Kini et al., NeurIPS 2021, arXiv:2103.01550.",
)
def vector_scaling(counts: ClassCounts, gamma: float = 0.15, tau: float = 1.0) -> Point:
    """Scale and shift the logits while training."""
    return Point(losses.vector_scaling(counts, gamma=gamma, tau=tau))


@register(
    summary="Rare classes must win by a margin, proportional to n^(−1/4), while training; networks get a cosine head.",
    helps="Networks on a long tail, best with deferred weights (ldam_drw). In other models a mere scaled margin.",
    source="Cao et al., NeurIPS 2019, arXiv:1906.07413.",
)
def ldam(counts: ClassCounts) -> Point:
    """Demand a margin for rare classes."""
    return Point(losses.ldam(counts), cosine=True)


@register(
    summary="ldam, with effective-number weights in the last fifth of training.",
    helps="Networks on a long tail: features are learned from all rows first, the decision is balanced last.",
    source="Cao et al., NeurIPS 2019, arXiv:1906.07413, algorithm 1.",
    coincides={"linear": "A linear model is trained to its one optimum: the loss of the last part alone decides it."},
)
def ldam_drw(counts: ClassCounts, beta: float = 0.9999, defer: float = 0.8) -> Point:
    """Demand a margin for rare classes, and weight them at the end."""
    w = class_weight("effective_number", counts, beta=beta, normalize="n_classes")
    return Point(losses.ldam(counts), later=losses.ldam(counts, class_weight=w), defer=defer, cosine=True)


@register(
    summary="Logits multiplied by balanced class weights in training: a common forum answer, not a weighted loss.",
    helps="Rarely: it rescales logits instead of weighting rows. Offered to be compared with what was meant.",
    source="The answer often given for weighting in TensorFlow; compare Ye et al., arXiv:2001.01385, on scales.",
)
def scaled_logits(counts: ClassCounts) -> Point:
    """Multiply the logits by class weights while training."""
    return Point(losses.scaled_logits(class_weight("balanced", counts)))
