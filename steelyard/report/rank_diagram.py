"""The critical-difference diagram: mean ranks on an axis, bars under those that cannot be told apart."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

__all__ = ["groups_within", "rank_diagram"]

_WIDTH, _LEFT, _RIGHT = 760.0, 210.0, 210.0
_LINE, _TOP, _BAR = 18.0, 62.0, 7.0


def groups_within(ranks: Sequence[float], difference: float) -> list[tuple[int, int]]:
    """Return (first, last) of the largest runs of sorted ranks that differ by at most `difference`.

    Examples
    --------
    >>> groups_within([1.0, 1.5, 2.2, 4.0], 1.0)
    [(0, 1), (1, 2)]
    """
    found: list[tuple[int, int]] = []
    for i, start in enumerate(ranks):
        last = max(j for j, rank in enumerate(ranks) if rank <= start + difference + 1e-12)
        if last > i and (not found or last > found[-1][1]):
            found.append((i, last))
    return found


def rank_diagram(ranked: Sequence[tuple[str, float]], difference: float) -> dict[str, Any]:
    """Return positions of a diagram of mean ranks, best at the left.

    Parameters
    ----------
    ranked : sequence of (name, mean rank)
        Best first.
    difference : float
        The critical difference.

    Returns
    -------
    dict
        ``width``, ``height``; ``axis`` (x1, x2, y), ``ticks`` [(x, label)], ``cd`` (x1, x2), ``names`` [{name, rank, x,
        y, end, side}], ``bars`` [(x1, x2, y)]: the better half of the names stands left, the worse half right.

    References
    ----------
    Demšar, JMLR 7, 2006, figure 1.
    """
    ranks = [rank for _, rank in ranked]
    low, high = math.floor(min(ranks)), math.ceil(max(ranks))
    high = max(high, low + 1)
    inner = _WIDTH - _LEFT - _RIGHT

    def x(rank: float) -> float:
        return round(_LEFT + inner * (rank - low) / (high - low), 1)

    bars = groups_within(ranks, difference)
    below = _TOP + 12.0 + _BAR * len(bars)
    half = (len(ranked) + 1) // 2
    names = []
    for i, (name, rank) in enumerate(ranked):
        left = i < half
        row = i if left else len(ranked) - 1 - i
        names.append(
            {
                "name": name,
                "rank": f"{rank:.2f}",
                "x": x(rank),
                "y": round(below + _LINE * (row + 0.5), 1),
                "end": _LEFT - 8.0 if left else _WIDTH - _RIGHT + 8.0,
                "side": "end" if left else "start",
            }
        )
    step = max(1, math.ceil((high - low) / 12))
    span = min(difference, float(high - low))
    return {
        "width": _WIDTH,
        "height": round(below + _LINE * half + 8.0, 1),
        "axis": (_LEFT, _WIDTH - _RIGHT, _TOP),
        "ticks": [(x(rank), str(rank)) for rank in range(low, high + 1, step)],
        "cd": (_LEFT, round(_LEFT + inner * span / (high - low), 1)),
        "cd_label": f"CD = {difference:.2f}" + ("" if span == difference else ", more than the whole axis"),
        "names": names,
        "bars": [
            (x(ranks[i]) - 3.0, x(ranks[j]) + 3.0, round(_TOP + 10.0 + _BAR * k, 1)) for k, (i, j) in enumerate(bars)
        ],
    }
