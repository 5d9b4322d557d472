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


@register(
    summary="New rows between neighbours of the smaller classes until all classes are equally large.",
    helps="Sometimes weak and linear learners. Probabilities after it cannot be corrected exactly.",
    source="Chawla et al., JAIR 16, 2002, doi:10.1613/jair.953; imbalanced-learn makes the rows.",
)
def smote(_: ClassCounts) -> Point:
    """Interpolate new rows of the smaller classes."""
    return Point(losses.cross_entropy(), sampler="smote")


@register(
    summary="Every batch has the same number of rows of each class, on average.",
    helps="Networks trained in batches, in which a rare class would often be missing; as balanced weights otherwise.",
    source="Equal in expectation to balanced weights; He and Garcia, IEEE TKDE 2009, doi:10.1109/TKDE.2008.239.",
    coincides={
        "linear": "A model that sees all rows at once has no batches: it is balanced weights.",
        "lightgbm": "A model that sees all rows at once has no batches: it is balanced weights.",
        "xgboost": "A model that sees all rows at once has no batches: it is balanced weights.",
        "catboost": "A model that sees all rows at once has no batches: it is balanced weights.",
    },
)
def balanced_batches(_: ClassCounts) -> Point:
    """Draw batches with equal classes."""
    return Point(losses.cross_entropy(), sampler="balanced_batches")
