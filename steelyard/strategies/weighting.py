"""Class weights on the loss: rare classes count for more in the mean."""

from __future__ import annotations

from steelyard import losses
from steelyard.strategies.point import Point
from steelyard.strategies.strategy import register
from steelyard.weights import ClassCounts, class_weight


@register(
    summary="Every class has the same total weight: N / (C n).",
    helps=(
        "Label metrics of models whose threshold cannot be moved. With a tuned threshold it rarely adds anything, "
        "and networks that separate their training data forget it."
    ),
    source="King and Zeng, 2001, doi:10.1093/oxfordjournals.pan.a004868; Byrd and Lipton, ICML 2019, for its limits.",
)
def balanced(counts: ClassCounts) -> Point:
    """Weight by the inverse frequency."""
    return Point(losses.weighted_cross_entropy(class_weight("balanced", counts)))


@register(
    summary="Weights n^(−1/2): half way, in logarithms, between none and balanced.",
    helps="Recall of rare classes with fewer false alarms than balanced weights.",
    source="Mahajan et al., ECCV 2018, arXiv:1805.00932 (square root of the frequency).",
)
def inverse_sqrt(counts: ClassCounts) -> Point:
    """Weight by the inverse square root of the frequency."""
    return Point(losses.weighted_cross_entropy(class_weight("power", counts, alpha=0.5)))


@register(
    summary="Weights log(N / n) + 1: they grow with rarity, but slowly.",
    helps="Many classes of very different sizes, where inverse frequency would let a few rows rule the mean.",
    source="A common recipe; the inverse document frequency of Spärck Jones, 1972, plus one.",
)
def log_inverse(counts: ClassCounts) -> Point:
    """Weight by the logarithm of the inverse frequency, plus one."""
    return Point(losses.weighted_cross_entropy(class_weight("log_inverse", counts)))


@register(
    summary="Weights (1 − beta) / (1 − beta^n): a row's weight falls as its class fills up.",
    helps="As balanced while classes are far smaller than 1 / (1 − beta); nearer to none when they are larger.",
    source="Cui et al., CVPR 2019, arXiv:1901.05555.",
)
def effective_number(counts: ClassCounts, beta: float = 0.9999) -> Point:
    """Weight by the inverse effective number of rows."""
    return Point(losses.weighted_cross_entropy(class_weight("effective_number", counts, beta=beta)))
