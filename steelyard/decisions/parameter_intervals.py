"""How sure the numbers of a rule are: fitted again on resampled rows."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from steelyard.decisions.assessment import Interval, interval_of
from steelyard.decisions.rules import PlugIn
from steelyard.decisions.thresholds import Cuts

__all__ = ["interval_of_threshold", "intervals_of_weights", "relative_weights"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_DRAWS = 200
_GROUPS = 1000
_REFITS = 30
_ROWS_PER_REFIT = 3000


def interval_of_threshold(
    cuts: Cuts,
    fitted: float,
    best: Callable[[Cuts], int],
    confidence: float,
    random_state: int,
    effective: tuple[float, float],
) -> Interval:
    """Return the bootstrap interval of a threshold: 200 times, both classes resampled by themselves.

    Between the cuts the rows are drawn in at most 1,000 groups of each class, so that a million rows cost little; the
    thresholds tried in a draw are the borders of these groups.

    Parameters
    ----------
    cuts : Cuts
        Of all rows.
    fitted : float
        The threshold on all rows.
    best : callable
        Cuts → index of the best.
    confidence : float
    random_state : int
    effective : (float, float)
        How many rows of equal weight the positive and the negative ones are worth.
    """
    chosen = _borders(cuts)
    levels = np.append(cuts.levels[chosen], cuts.levels[chosen[-1] + 1])
    rng = np.random.default_rng([random_state, 4])
    resampled = []
    for curve, rows in zip((cuts.found[chosen], cuts.false[chosen]), effective, strict=True):
        steps, n = np.diff(curve), max(round(rows), 1)
        draws = rng.multinomial(n, steps / steps.sum(), size=_DRAWS) * (curve[-1] / n)
        resampled.append(np.concatenate([np.zeros((_DRAWS, 1)), draws.cumsum(1)], axis=1))
    # the cut between two groups lies between the lowest score of the one and the highest of the other
    below = cuts.levels[chosen + 1]
    found = np.empty(_DRAWS)
    for d in range(_DRAWS):
        cut = best(Cuts(resampled[0][d], resampled[1][d], levels, cuts.positive))
        found[d] = np.clip((levels[cut] + below[cut]) / 2.0, 0.0, 1.0)
    return interval_of(fitted, found, confidence)


def _borders(cuts: Cuts) -> NDArray[np.intp]:
    """Return the cuts that split the rows of either class into at most 1,000 equal groups."""
    if len(cuts.found) <= _GROUPS:
        return np.arange(len(cuts.found))
    at = [0, len(cuts.found) - 1]
    for curve in (cuts.found, cuts.false):
        at.extend(np.searchsorted(curve, np.linspace(0.0, curve[-1], _GROUPS)).tolist())
    return np.unique(np.minimum(np.asarray(at, np.intp), len(cuts.found) - 1))


def relative_weights(rule: PlugIn, most_frequent: int) -> Floats:
    """Return the weights of a rule, that of the most frequent class being 1."""
    return np.asarray(rule.weights / rule.weights[most_frequent])


def intervals_of_weights(
    p: Floats, y: Ints, rule: PlugIn, fit: Callable[[Floats, Ints], PlugIn], confidence: float, random_state: int
) -> tuple[Interval, ...]:
    """Return bootstrap intervals of the weights relative to the most frequent class: 30 refits on at most 3,000 rows.

    With more rows than that the intervals are those of 3,000 rows, wider than need be.
    """
    counts = np.bincount(y)
    top = int(counts.argmax())
    rng = np.random.default_rng([random_state, 5])
    size = np.maximum(np.round(counts * min(1.0, _ROWS_PER_REFIT / len(y))), np.minimum(counts, 2)).astype(int)
    by_class = [np.flatnonzero(y == k) for k in range(len(counts))]
    drawn = []
    for _ in range(_REFITS):
        rows = np.concatenate([rng.choice(own, m) for own, m in zip(by_class, size, strict=True)])
        drawn.append(relative_weights(fit(p[rows], y[rows]), top))
    draws = np.array(drawn)
    weights = relative_weights(rule, top)
    return tuple(interval_of(float(w), draws[:, k], confidence) for k, w in enumerate(weights))
