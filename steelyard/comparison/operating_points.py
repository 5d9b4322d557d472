"""What every threshold would do, in few exact points: rows found and false alarms, cumulated from the highest score."""

from __future__ import annotations

import math
from itertools import chain, zip_longest
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steelyard.comparison.thinning import by_distance
from steelyard.metrics.ranking import Ranking, roc_auc

__all__ = ["hull", "operating_points", "shortest_between"]

Floats = NDArray[np.float64]


def operating_points(p: Floats, hit: NDArray[np.bool_], most: int) -> dict[str, Any]:
    """Return thresholds on a probability, with the rows that each one catches.

    Parameters
    ----------
    p : float64 ndarray of shape (n,)
        Probability of the class, of rows that the model was not trained on.
    hit : bool ndarray of shape (n,)
        Whether a row is of the class.
    most : int
        Points to keep. Every vertex of the convex hull of the ROC curve is among them, as far as they suffice. A
        threshold that is best for any costs, any share of the class, F1 or balanced accuracy is one of these
        vertices, so that the best stored point is then the best of all thresholds. The others are those that the
        ROC and precision–recall curves need most.

    Returns
    -------
    dict
        ``threshold``: from high to low, the first null: no row is labelled so. Label the class where the probability
        is at least this; the counts are exact then. Of all numbers that cut there the one with the fewest digits is
        taken, but for 0.5 and the share of the class, which stand as they are.

        ``found``, ``false_alarms``: rows of the class, and of others, at or above the threshold.

        ``half``, ``share``: the places of the thresholds 0.5 and the share of the class.

        ``roc_auc``.

    Notes
    -----
    A cost c₀·FP + c₁·FN is linear in (FP, TP), and F1 = 2TP / (P + TP + FP) has straight level lines in it, so either
    is best at a vertex of the hull: Provost and Fawcett, Machine Learning 42, 2001.

    Examples
    --------
    >>> operating_points(np.array([0.9, 0.6, 0.2, 0.1]), np.array([True, False, True, False]), 300)["threshold"]
    [None, 0.8, 0.5, 0.2, 0.0]
    """
    ranking = Ranking.of(p)
    curve = ranking.curve(hit)
    scores = p[ranking.order][ranking.ends]
    found = np.concatenate([[0.0], curve.true_positives])
    false = np.concatenate([[0.0], curve.false_positives])
    special = {"half": 0.5, "share": float(hit.mean())}
    cuts = {name: int(np.searchsorted(-scores, -value, side="right")) for name, value in special.items()}
    kept = _kept(found, false, set(cuts.values()), most)
    below = np.append(scores[1:], -np.inf)
    named = {cuts[name]: special[name] for name in ("share", "half")}  # 0.5, where both are one cut
    thresholds = [
        None if at == 0 else named[at] if at in named else shortest_between(float(below[at - 1]), float(scores[at - 1]))
        for at in kept
    ]
    place = {at: k for k, at in enumerate(kept)}
    return {
        "threshold": thresholds,
        "found": found[kept].astype(int).tolist(),
        "false_alarms": false[kept].astype(int).tolist(),
        **{name: place[at] for name, at in cuts.items()},
        "roc_auc": roc_auc(curve),
    }


def _kept(found: Floats, false: Floats, wanted: set[int], most: int) -> list[int]:
    if len(found) <= most:
        return list(range(len(found)))
    kept = wanted | {0, len(found) - 1}
    recall, rate = found / max(found[-1], 1.0), false / max(false[-1], 1.0)
    precision = np.divide(found, found + false, out=np.ones_like(found), where=found + false > 0)
    corners = hull(false, found)
    vertices = corners[_most_needed_first(np.column_stack([rate, recall])[corners])]
    lines = [by_distance(np.column_stack(pair)) for pair in ((rate, recall), (recall, precision))]
    between = (at for pair in zip_longest(*lines) for at in pair if at is not None)
    for at in chain(vertices.tolist(), between):
        if len(kept) >= most:
            break
        kept.add(int(at))
    return sorted(kept)


def _most_needed_first(points: Floats) -> list[int]:
    order = dict.fromkeys(by_distance(points))
    return [*order, *(k for k in range(len(points)) if k not in order)]


def hull(x: Floats, y: Floats) -> NDArray[np.intp]:
    """Return the places of the vertices of the upper convex hull of different points that rise in both directions.

    Examples
    --------
    >>> hull(np.array([0.0, 0.0, 1.0, 1.0, 2.0]), np.array([0.0, 2.0, 2.0, 3.0, 3.0]))
    array([0, 1, 3, 4])
    """
    # only where a rise ends and a run begins can a vertex be: as many places as rows of the class, at most
    rises, runs = np.diff(y, prepend=-np.inf) > 0, np.diff(x, append=np.inf) > 0
    rises[-1] = runs[0] = True
    stack: list[int] = []
    for k in np.flatnonzero(rises & runs).tolist():
        while len(stack) > 1:
            a, b = stack[-2], stack[-1]
            if (x[b] - x[a]) * (y[k] - y[a]) < (y[b] - y[a]) * (x[k] - x[a]):
                break
            stack.pop()
        stack.append(k)
    return np.array(stack, np.intp)


def shortest_between(low: float, high: float) -> float:
    """Return a number in (low, high] with as few digits as there are, near the middle; 0 where nothing is below.

    Examples
    --------
    >>> shortest_between(0.0412, 0.0437), shortest_between(0.25, 0.25000000000000006)
    (0.042, 0.25000000000000006)
    """
    if not math.isfinite(low):
        return 0.0
    for digits in range(1, 17):
        for value in (round((low + high) / 2.0, digits), round(high, digits)):
            if low < value <= high:
                return value
    return high
