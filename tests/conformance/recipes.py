"""Every recipe of the registry with arguments chosen by the names of its parameters.

A new recipe whose parameters have known names is covered without a change here.
"""

from __future__ import annotations

import inspect
from functools import cache
from typing import Any

import numpy as np

import steelyard as sy
from steelyard.errors import InputError

N_CLASSES = 4
ROWS = 6

_COSTS = np.array([[0.0, 1.0, 2.5, 0.5], [0.3, 0.0, 1.5, 1.0], [4.0, 2.0, 0.0, 0.2], [1.0, 0.7, 3.0, 0.0]])
# several candidates where recipes ask for different things under one name; the first that is accepted is taken
ARGUMENTS: dict[str, tuple[Any, ...]] = {
    "counts": ([60, 24, 9, 3], sy.ClassCounts((0, 1, 2, 3), np.array([60, 24, 9, 3]), rows=100)),
    "class_weight": ([0.4, 1.0, 2.5, 3.1],),
    "cost_matrix": (_COSTS, _COSTS + 1.0),
    "pairwise_offset": (_COSTS / 2.0 - 0.4,),
    "outcome_weight": ([[1.0, 2.0], [5.0, 1.5]],),
    "pos_weight": ([3.0, 0.5, 8.0, 1.0],),
    "positive_gradient": ([9.0, 3.0, 1.0, 0.0],),
    "negative_gradient": ([10.0, 4.0, 5.0, 0.0],),
}


def _make(name: str, everything: bool) -> Any:
    make = sy.losses.describe(name).make
    named = [
        p
        for p in inspect.signature(make).parameters.values()
        if p.kind is not p.VAR_KEYWORD and (p.default is p.empty or (everything and p.name in ARGUMENTS))
    ]
    missing = [p.name for p in named if p.name not in ARGUMENTS]
    if missing:
        raise LookupError(f"say in ARGUMENTS what {name} may be given for {missing}")
    refused: InputError | None = None
    for choice in range(max((len(ARGUMENTS[p.name]) for p in named), default=1)):
        chosen = {p.name: ARGUMENTS[p.name][min(choice, len(ARGUMENTS[p.name]) - 1)] for p in named}
        try:
            return make(**chosen)
        except InputError as error:
            refused = error
    raise LookupError(f"no arguments for {name}") from refused


@cache
def all_recipes() -> dict[str, Any]:
    """Recipe → loss; with "+" where arguments beyond the required ones were given too."""
    out = {}
    for name in sy.losses.names():
        out[name] = _make(name, everything=False)
        full = _make(name, everything=True)
        if full != out[name]:
            out[f"{name}+"] = full
    return out


def of_family(family: str) -> list[str]:
    return [name for name, loss in all_recipes().items() if type(loss).__name__ == family]


def target_forms(loss: Any) -> tuple[str, ...]:
    return ("integer", "soft") if loss.dense_targets else ("integer", "one-hot", "soft")


def logits(seed: int = 0, shape: tuple[int, ...] = (ROWS, N_CLASSES), spread: float = 2.0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0.0, spread, shape)


def targets(loss: Any, form: str, seed: int = 0, rows: int = ROWS) -> np.ndarray:
    """Targets for logits (rows, N_CLASSES)."""
    rng = np.random.default_rng(1000 + seed)
    if loss.dense_targets:
        p = rng.random((rows, N_CLASSES))
        return (p > 0.6).astype(np.int64) if form == "integer" else p
    y = np.arange(rows) % N_CLASSES
    if form == "integer":
        return y
    return np.eye(N_CLASSES)[y] if form == "one-hot" else rng.dirichlet(np.ones(N_CLASSES), rows)
