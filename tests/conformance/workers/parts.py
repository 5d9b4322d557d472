"""The rows of the exact-mean contract, and how they are dealt to ranks and micro-batches."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from tests.fronts.points import PAIRED, SIGMOID

ROWS = 24

_rng = np.random.default_rng(7)
X = _rng.normal(size=(ROWS, 5)).astype(np.float32).astype(np.float64)
Y = np.array([0] * 15 + [1] * 6 + [2] * 3)[_rng.permutation(ROWS)]  # rare classes are not the same share everywhere
WEIGHTS = _rng.uniform(0.1, 3.0, ROWS)
WEIGHTS[[2, 9, 17]] = 0.0
W = (_rng.normal(size=(5, 3)) * 0.7).astype(np.float32).astype(np.float64)

Slices = list[list[slice]]  # of each rank its micro-batches


def _cut(*ends: int) -> list[slice]:
    return [slice(a, b) for a, b in zip((0, *ends), (*ends, ROWS), strict=True)]


# ranks have as many micro-batches as each other, as a training loop has
ONE_RANK: dict[str, Slices] = {
    "one process": [_cut()],
    "eight micro-batches": [_cut(*range(3, ROWS, 3))],
    "uneven micro-batches, one empty": [_cut(1, 7, 7, 12)],
}
TWO_RANKS: dict[str, Slices] = {
    "two ranks": [[slice(0, 12)], [slice(12, ROWS)]],
    "two uneven ranks": [[slice(0, 19)], [slice(19, ROWS)]],
    "an idle rank": [[slice(0, ROWS)], [slice(0, 0)]],
    "two ranks, four micro-batches each": [[*_cut(3, 6, 9)[:3], slice(9, 12)], _cut(12, 15, 18, 21)[1:]],
    "two ranks, uneven micro-batches, one empty": [[slice(0, 1), slice(1, 10)], [slice(10, 10), slice(10, ROWS)]],
}


LOSSES = {**PAIRED, **{f"sigmoid, {name}": point for name, point in SIGMOID.items()}}


def loss_of(name: str) -> Any:
    return LOSSES[name][0]


def targets_of(name: str) -> np.ndarray:
    """Classes, or for the sigmoid family three labels of a row."""
    return Y if name in PAIRED else np.eye(3)[Y]


def tell(name: str, case: str, value: Any, gradient: Any) -> None:
    print("result", json.dumps([name, case, float(value), np.asarray(gradient, np.float64).tolist()]), flush=True)  # noqa: T201
