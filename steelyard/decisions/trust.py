"""Reasons not to trust a rule, as sentences."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steelyard.decisions.assessment import Interval

__all__ = [
    "calibration",
    "distinct_scores",
    "few_rows",
    "never_labelled",
    "no_gain",
    "wide_threshold",
]

Floats = NDArray[np.float64]

_FEW = 20  # a recall from 20 rows has a 90 % interval about 0.3 wide
_DISTINCT = 20
_WIDE = 3.0  # times as many rows labelled at one end of the interval as at the other


def few_rows(counts: Sequence[int], classes: Sequence[Hashable]) -> list[str]:
    """Say which classes have so few rows that any estimate about them is rough."""
    small = [(c, int(n)) for c, n in zip(classes, counts, strict=True) if n < _FEW]
    if not small:
        return []
    listed = ", ".join(f"'{c}' has {n}" for c, n in small[:5]) + (", ..." if len(small) > 5 else "")
    noun = "row" if small[0][1] == 1 and len(small) == 1 else "rows"
    return [f"{listed} {noun}: what is said about such a class is rough; {_FEW} are the least, 100 are better."]


def distinct_scores(p: Floats, classes: Sequence[Hashable]) -> list[str]:
    """Say where scores are constant, almost constant, or take few values."""
    found = []
    for k in range(p.shape[1]) if p.shape[1] != 2 else (1,):
        values, times = np.unique(p[:, k], return_counts=True)
        share = times.max() / len(p)
        if len(values) == 1:
            found.append(f"every row has the same probability of '{classes[k]}', {values[0]:.4g}: nothing can be told.")
        elif share > 0.95 and len(p) >= 40:
            at = values[times.argmax()]
            found.append(f"{share:.1%} of the rows have the same probability of '{classes[k]}', {at:.4g}.")
        elif len(values) < min(_DISTINCT, len(p) // 4):
            found.append(
                f"the probability of '{classes[k]}' takes only {len(values)} different values in {len(p):,} rows: rows "
                "with equal scores are labelled alike."
            )
    return found if len(found) <= 3 else [*found[:3], f"so it is for {len(found) - 3} more classes."]


def wide_threshold(interval: Interval, score: Floats, label: Hashable) -> list[str]:
    """Say whether the two ends of a threshold's interval label very different numbers of rows."""
    if not math.isfinite(interval.mean):
        return []
    many, few = (int((score >= t).sum()) for t in (interval.low, interval.high))
    if many <= _WIDE * max(few, 1):
        return []
    return [
        f"the threshold is poorly determined: {interval.low:.3g} to {interval.high:.3g} fit about as well, and label "
        f"{many:,} or {few:,} rows '{label}' (more than {_WIDE:.0f} times as many); more rows of the rarer class help."
    ]


def no_gain(name: str, gain: Interval, greater_is_better: bool, before: str) -> list[str]:
    """Say when the rule is not better than what needs no fitting, beyond noise."""
    if not math.isfinite(gain.mean):
        return []
    worst = gain.low if greater_is_better else -gain.high
    if worst > 0.0:
        return []
    return [
        f"no gain over {before} beyond noise: {name} changes by {gain.mean:+.3f} ({gain.low:+.3f} to {gain.high:+.3f})."
    ]


def calibration(p: Floats, shares: Floats, classes: Sequence[Hashable], weight: Floats | None) -> list[str]:
    """Say which mean probabilities are far from the class shares: costs then meet wrong probabilities."""
    w = np.full(len(p), 1.0 / len(p)) if weight is None else weight / weight.sum()
    mean = w @ p
    # of Bernoulli draws with these probabilities
    error = np.sqrt(w**2 @ (p * (1.0 - p)))
    off = np.flatnonzero((np.abs(mean - shares) > 3.0 * error + 1e-9) & (np.abs(mean - shares) > 0.1 * shares))
    if not off.size:
        return []
    k = int(off[np.argmax(np.abs(np.log(np.maximum(mean[off], 1e-12) / shares[off])))])
    return [
        f"the probabilities look uncalibrated: their mean for '{classes[k]}' is {mean[k]:.3g}, its share of the rows "
        f"{shares[k]:.3g}. The rule is fitted to such scores, but costs per row or new costs are not: calibrate first."
    ]


def never_labelled(labelled: NDArray[Any], classes: Sequence[Hashable]) -> list[str]:
    """Say which classes no row is given."""
    none = [f"'{classes[k]}'" for k in np.flatnonzero(np.asarray(labelled) <= 0).tolist()]
    if not none:
        return []
    listed = ", ".join(none[:5]) + (", ..." if len(none) > 5 else "")
    return [f"no row is labelled {listed}."]
