"""From one value per example to the loss: the only place where a denominator is chosen.

    numerator = Σ s·ω·ℓ        denominator = Σ s·ω        mean = numerator / denominator

over the rows that count. Frameworks disagree about the denominator of a weighted mean (rows, Σw, non-zero
weights), which is worth a factor of three on imbalanced data; here the mean is a weighted mean, other
denominators are asked for by name, and both sums can be had, so that several batches, ranks or micro-batches
add up to exactly the value of one.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

from steelyard.errors import InputError, did_you_mean

__all__ = ["DENOMINATORS", "REDUCTIONS", "mean"]

Tensor = Any

REDUCTIONS = ("mean", "sum", "none")
DENOMINATORS = ("rows", "sample_weight")


def mean(xp: ModuleType, numerator: Tensor, denominator: Tensor) -> Tensor:
    """Return numerator / denominator, and 0 with zero gradient where the denominator is 0.

    A batch in which every row is ignored says nothing: it must not turn a training run into NaN.
    """
    if xp.concrete(denominator):
        return numerator / denominator if xp.item(denominator) != 0.0 else numerator * 0.0
    empty = denominator == 0
    return xp.where(empty, 0.0, numerator / xp.where(empty, 1.0, denominator))


def check_denominator(value: Any) -> None:
    """Raise when a denominator is neither a number, a tensor nor one of the names."""
    if isinstance(value, str) and value not in DENOMINATORS:
        raise InputError(
            "`denominator` as None (Σ s·ω), a number, a tensor, 'rows' or 'sample_weight'",
            repr(value),
            did_you_mean(value, DENOMINATORS),
        )
