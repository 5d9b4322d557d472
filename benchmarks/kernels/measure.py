"""Taking times in turns, and what is made of them: medians, ratios with their spread, geometric means.

A machine that does other things slows whole stretches of a run. What is to be compared is therefore timed in turns, and
a ratio is the median of the ratios within a round, never that of two medians from different minutes.
"""

import math
import time
from collections.abc import Callable, Mapping, Sequence

import numpy as np

Call = Callable[[], object]
WORTH_TIMING = 5e-3  # seconds: a call that is shorter is repeated until the clock and the loop no longer matter


def repeats_for(seconds: float, worth: float = WORTH_TIMING) -> int:
    """Return how often a call of so many seconds is repeated to make one measurement."""
    return max(1, min(10_000, math.ceil(worth / max(seconds, 1e-9))))


def once(call: Call, repeats: int = 1, clock: Callable[[], float] = time.perf_counter) -> float:
    """Return the seconds of one call, as the mean over `repeats` of them."""
    begun = clock()
    for _ in range(repeats):
        call()
    return (clock() - begun) / repeats


def rounds_for(seconds_per_round: float, budget: float, at_least: int = 3, at_most: int = 15) -> int:
    """Return how many rounds fit a budget of seconds, an odd number, so that the median is one of them."""
    fitting = int(min(at_most, max(at_least, budget / max(seconds_per_round, 1e-9))))
    return fitting if fitting % 2 else fitting - 1


def summary(values: Sequence[float]) -> dict[str, float]:
    """Return median, p20, p80 and the number of values."""
    low, middle, high = np.quantile(np.asarray(values, dtype=float), [0.2, 0.5, 0.8])
    return {"median": float(middle), "p20": float(low), "p80": float(high), "n": len(values)}


def ratios(values: Sequence[float], base: Sequence[float]) -> dict[str, float]:
    """Return the summary of values over base, round by round."""
    return summary([v / b for v, b in zip(values, base, strict=True)])


def geometric_mean(values: Sequence[float]) -> float:
    """Return the geometric mean, NaN of nothing."""
    return math.exp(sum(math.log(v) for v in values) / len(values)) if values else math.nan


def turn(
    calls: Mapping[str, Call],
    repeats: Mapping[str, int],
    after: Callable[[str], object] = lambda _: None,
    backwards: bool = False,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, float]:
    """Return the seconds of each call, one after the other; what `after` does of each is not timed."""
    out = {}
    for name in reversed(list(calls)) if backwards else calls:
        out[name] = once(calls[name], repeats[name], clock)
        after(name)
    return out
