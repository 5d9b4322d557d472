"""The baseline, and what can be done with its scores without training again."""

from __future__ import annotations

from steelyard import losses
from steelyard.strategies.point import Point
from steelyard.strategies.strategy import register
from steelyard.weights import ClassCounts

_SAME = (
    "At tau = 1 its labels are those of {}: arg max of z − log π and of p / π are one rule, and for two classes "
    "that is a threshold at the prior."
)


@register(
    summary="Plain cross-entropy; the label is the most probable class.",
    helps="The baseline of every verdict. Its probabilities are right when the model is: often all that is needed.",
    source="Cross-entropy is a proper score: Gneiting and Raftery, JASA 2007, doi:10.1198/016214506000001437.",
)
def none(_: ClassCounts) -> Point:
    """Train as if nothing were imbalanced."""
    return Point(losses.cross_entropy())


@register(
    summary="The fit of none; the label is the class whose probability exceeds its prior by the largest factor.",
    helps=(
        "Balanced accuracy and recall of rare classes, at no cost in training or calibration. "
        "It labels more rows as rare, so precision falls."
    ),
    source="Elkan, IJCAI 2001, with the costs that balanced accuracy implies.",
    coincides={"*": _SAME.format("post_hoc_logit_adjustment")},
)
def prior_threshold(_: ClassCounts) -> Point:
    """Decide by p / π; for two classes this is a threshold at the prior."""
    return Point(losses.cross_entropy(), decision="prior_threshold")


@register(
    summary="The fit of none; log priors, times tau, are subtracted from the logits before the arg max.",
    helps="As prior_threshold; tau between 0 and 1 trades recall of rare classes against precision.",
    source="Menon et al., ICLR 2021, arXiv:2007.07314, post hoc form.",
    coincides={"*": _SAME.format("prior_threshold")},
)
def post_hoc_logit_adjustment(_: ClassCounts, tau: float = 1.0) -> Point:
    """Decide by z − τ log π."""
    return Point(losses.cross_entropy(), decision="post_hoc_logit_adjustment", tau=tau)
