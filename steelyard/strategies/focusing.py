"""Focal losses: rows that are already right count for less."""

from __future__ import annotations

from steelyard import losses
from steelyard.strategies.point import Point
from steelyard.strategies.strategy import register
from steelyard.weights import ClassCounts


@register(
    summary="Each row's loss is multiplied by (1 − its probability of the truth)^gamma.",
    helps=(
        "Many easy rows of the common class, in networks. Alone it is no cure for imbalance: "
        "it changes confidence more than it changes the label."
    ),
    source="Lin et al., ICCV 2017, arXiv:1708.02002, equation 4.",
)
def focal(_: ClassCounts, gamma: float = 2.0) -> Point:
    """Focus on hard rows, without class weights."""
    return Point(losses.focal(gamma=gamma))


@register(
    summary="Focal loss with effective-number class weights.",
    helps="As focal, with the shift of the decision that focal alone does not make.",
    source="Cui et al., CVPR 2019, arXiv:1901.05555.",
)
def class_balanced_focal(counts: ClassCounts, beta: float = 0.9999, gamma: float = 2.0) -> Point:
    """Focus on hard rows, weighted by the inverse effective number of their class."""
    return Point(losses.class_balanced(counts, beta=beta, gamma=gamma))
