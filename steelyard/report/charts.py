"""Where marks stand: intervals on a common axis, in per cent of its width."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["Axis", "axis_for", "decimals", "mark"]


@dataclass(frozen=True)
class Axis:
    """A linear axis with its ticks.

    Attributes
    ----------
    low, high : float
    ticks : tuple of (position in per cent, label)
    """

    low: float
    high: float
    ticks: tuple[tuple[float, str], ...]

    def position(self, value: float) -> float:
        """Return where `value` stands, in per cent, cut to the axis."""
        share = (value - self.low) / (self.high - self.low)
        return round(100.0 * min(max(share, 0.0), 1.0), 2)


def decimals(step: float) -> int:
    """Return the decimals that tell ticks of this distance apart.

    Examples
    --------
    >>> decimals(0.05), decimals(0.1), decimals(20.0)
    (2, 1, 0)
    """
    return max(0, -math.floor(math.log10(step) + 1e-9))


def axis_for(values: Iterable[float | None]) -> Axis:
    """Return an axis that holds `values`, with about five round ticks.

    Examples
    --------
    >>> [label for _, label in axis_for([0.71, 0.93]).ticks]
    ['0.70', '0.75', '0.80', '0.85', '0.90', '0.95']
    """
    known = [v for v in values if v is not None]
    low, high = (min(known), max(known)) if known else (0.0, 1.0)
    span = max(high - low, 1e-6 * max(abs(low), abs(high), 1.0))
    power = 10.0 ** math.floor(math.log10(span / 5.0))
    step = next(m * power for m in (1.0, 2.0, 5.0, 10.0) if m * power * 6.0 >= span)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    last = max(last, first + 1)
    axis = Axis(first * step, last * step, ())
    labels = [f"{i * step:.{decimals(step)}f}".replace("-", "−") for i in range(first, last + 1)]
    ticks = tuple((axis.position(i * step), label) for i, label in zip(range(first, last + 1), labels, strict=True))
    return Axis(axis.low, axis.high, ticks)


def mark(row: Mapping[str, Any], axis: Axis) -> dict[str, float] | None:
    """Return start, end and middle of an interval on the axis; None for an undefined mean."""
    if row["mean"] is None:
        return None
    low = row["mean"] if row["ci_low"] is None else row["ci_low"]
    high = row["mean"] if row["ci_high"] is None else row["ci_high"]
    start, end = axis.position(low), axis.position(high)
    return {"start": start, "width": round(end - start, 2), "middle": axis.position(row["mean"])}


def all_ends(rows: Sequence[Mapping[str, Any]]) -> list[float | None]:
    """Return every number that an axis for these rows must hold."""
    return [row[key] for row in rows for key in ("mean", "ci_low", "ci_high")]
