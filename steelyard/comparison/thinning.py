"""Fewer points on a drawn line: the ones that a line through the others would miss by most."""

from __future__ import annotations

import heapq
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

__all__ = ["by_distance", "thinned"]

Floats = NDArray[np.float64]


def by_distance(points: Floats) -> Iterator[int]:
    """Yield the ends, then always the point that a line through those before would miss by most, until none is missed.

    Parameters
    ----------
    points : float64 ndarray of shape (n, 2)
        In the order of the line.

    References
    ----------
    Splitting at the farthest point is what Douglas and Peucker do, Cartographica 10, 1973.

    Examples
    --------
    >>> line = np.array([[0.0, 0.0], [1.0, 0.1], [2.0, 1.0], [3.0, 0.0], [4.0, 0.0]])
    >>> list(by_distance(line))
    [0, 4, 2, 3, 1]
    """
    last = len(points) - 1
    yield from dict.fromkeys((0, last))
    waiting = [_farthest(points, 0, last)]
    while waiting[0][0] < -1e-9:
        _, first, at, last = heapq.heappop(waiting)
        yield at
        for part in ((first, at), (at, last)):
            heapq.heappush(waiting, _farthest(points, *part))


def thinned(points: Floats, most: int) -> list[int]:
    """Return which points to keep, in order: at most `most` (but both ends)."""
    kept = []
    for at in by_distance(points):
        kept.append(at)
        if len(kept) >= most:
            break
    return sorted(kept)


def _farthest(points: Floats, first: int, last: int) -> tuple[float, int, int, int]:
    """Return minus the distance of the point farthest from the chord, and (first, its place, last)."""
    between = points[first + 1 : last] - points[first]
    if not len(between):
        return 0.0, first, first, last
    chord = points[last] - points[first]
    away = np.abs(between[:, 0] * chord[1] - between[:, 1] * chord[0])
    length = float(np.hypot(*chord))
    away = away / length if length > 0.0 else np.hypot(*between.T)
    at = int(np.argmax(away))
    return -float(away[at]), first, first + 1 + at, last
