"""A small all-pairs generator: every two levels of any two factors meet in some case."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np

__all__ = ["all_pairs"]


def all_pairs(factors: Mapping[str, Sequence[Any]], seed: int, candidates: int = 40) -> list[dict[str, Any]]:
    """Greedy: of several random cases take the one that covers most of the pairs still open."""
    names = list(factors)
    rng = np.random.default_rng(seed)
    still_open = {
        (a, i, b, j)
        for a, b in combinations(range(len(names)), 2)
        for i in range(len(factors[names[a]]))
        for j in range(len(factors[names[b]]))
    }
    cases = []
    while still_open:
        a, i, b, j = min(still_open)  # one open pair is always met, so this ends
        best, met = None, set()
        for _ in range(candidates):
            case = [int(rng.integers(len(factors[n]))) for n in names]
            case[a], case[b] = i, j
            pairs = {(p, case[p], q, case[q]) for p, q in combinations(range(len(names)), 2)} & still_open
            if best is None or len(pairs) > len(met):
                best, met = case, pairs
        still_open -= met
        assert best is not None
        cases.append({n: factors[n][k] for n, k in zip(names, best, strict=True)})
    return cases
