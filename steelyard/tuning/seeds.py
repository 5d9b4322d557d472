"""Seeds: one stream of random numbers per purpose and place, all from one `random_state`."""

from __future__ import annotations

import numpy as np

__all__ = ["FINAL", "seed"]

# one stream of random numbers per purpose: adding repeats or strategies changes none of the others
_PURPOSES = {"folds": 0, "inner folds": 1, "sampling": 2, "bootstrap": 3}
# the place, (repeat, fold), that all randomness of a fit on all rows is derived from: a repeat that no comparison
# reaches, so that the fit is the same however many repeats there were
FINAL = (1_000_000, 0)


def seed(random_state: int, purpose: str, *place: int) -> int:
    """Return a seed for one purpose at one place (repeat, fold, ...), derived from `random_state`.

    Examples
    --------
    >>> seed(0, "folds", 1) == seed(0, "folds", 1), seed(0, "folds", 1) == seed(0, "folds", 2)
    (True, False)
    """
    sequence = np.random.SeedSequence(random_state, spawn_key=(_PURPOSES[purpose], *place))
    return int(sequence.generate_state(1)[0])
