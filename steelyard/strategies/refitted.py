"""Class weights that are found by training, looking at the mistakes, and training again."""

from __future__ import annotations

from steelyard import losses
from steelyard.errors import InputError
from steelyard.strategies.point import Point
from steelyard.strategies.strategy import register
from steelyard.weights import ClassCounts, class_weight


@register(
    summary="Class weights moved after the mistakes on inner folds of the training fold, with a refit a round.",
    helps=(
        "Where the arg max itself has to be good for the metric, because no decision rule can be used. "
        "Beside a tuned decision it seldom pays for its refits."
    ),
    source=(
        "Hedge: Freund and Schapire, JCSS 55, 1997, doi:10.1006/jcss.1997.1504; needs from the slope of the metric: "
        "Narasimhan et al., ICML 2015."
    ),
    needs_inner=True,
)
def tuned_weights(counts: ClassCounts, rounds: float = 4.0) -> Point:
    """Weight classes by what their mistakes cost; counts alone say no more than balanced weights."""
    if not rounds >= 1:
        raise InputError("`rounds` of at least 1", repr(rounds))
    return Point(losses.weighted_cross_entropy(class_weight("balanced", counts, normalize="priors")))
