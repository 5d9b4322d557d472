"""Other libraries' own test suites, run against our losses through thin adapters."""

from __future__ import annotations

from tests.peers import (
    keras_losses,
    optax_classification,
    sklearn_class_weight,
    tensorflow_pos_weight,
    torch_modules,
)
from tests.peers.suite import Suite

__all__ = ["SUITES", "table"]

SUITES: list[Suite] = [
    part.SUITE
    for part in (torch_modules, keras_losses, optax_classification, sklearn_class_weight, tensorflow_pos_weight)
]


def table() -> str:
    """Return the table of README: how many cases of each suite are run, and how many are left out."""
    rows = [f"| {s.name} | `{s.source}` | {len(s.run)} | {len(s.left_out)} |" for s in SUITES]
    total = f"| all | | {sum(len(s.run) for s in SUITES)} | {sum(len(s.left_out) for s in SUITES)} |"
    return "\n".join(["| suite | file | run | left out |", "|---|---|---:|---:|", *rows, total])
