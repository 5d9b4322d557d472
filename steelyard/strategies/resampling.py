"""Other rows instead of other numbers: classes of equal size by repeating or leaving out."""

from __future__ import annotations

from steelyard import losses
from steelyard.strategies.point import Point
from steelyard.strategies.strategy import register
from steelyard.weights import ClassCounts


@register(
    summary="Rows of the smaller classes are repeated at random until all classes are equally large.",
    helps="As balanced weights, which it equals on average, with the noise of the draw added.",
    source="Equal in expectation to balanced weights: Elkan, IJCAI 2001; imbalanced-learn draws the rows.",
)
def oversample(_: ClassCounts) -> Point:
    """Repeat rows of the smaller classes."""
    return Point(losses.cross_entropy(), sampler="random_over")


@register(
    summary="Rows of the larger classes are left out at random until all classes are equally small.",
    helps="Speed on large data. Ranking usually suffers, since most rows of the common class are thrown away.",
    source="Drummond and Holte, ICML workshop 2003; imbalanced-learn draws the rows.",
)
def undersample(_: ClassCounts) -> Point:
    """Leave out rows of the larger classes."""
    return Point(losses.cross_entropy(), sampler="random_under")
