"""``steelyard strategies``, ``losses`` and ``schemes``: what there is."""

from __future__ import annotations

from collections.abc import Iterable

from rich.markup import escape
from rich.table import Column, Table

from steelyard.cli import console

__all__ = ["losses", "schemes", "strategies"]


def _print(columns: Iterable[str], rows: Iterable[Iterable[str]]) -> None:
    first, *rest = columns
    cells = [[escape(cell) for cell in row] for row in rows]
    # a name is there to be copied: it is never cut, however narrow the terminal
    longest = max(len(row[0]) for row in cells)
    table = Table(Column(first, no_wrap=True, min_width=longest), *rest, show_lines=True)
    for row in cells:
        table.add_row(*row)
    console.out.print(table)


def strategies() -> None:
    """List the strategies: what each does, when it helps, where it comes from."""
    from steelyard.strategies import get, names

    _print(
        ("strategy", "what it does", "when it helps", "source"),
        ((s.name, s.summary, s.helps, s.source) for s in map(get, names())),
    )


def losses() -> None:
    """List the losses: formula, when to use each, where it comes from."""
    from steelyard.losses import describe, names

    described = ((name, describe(name)) for name in names())
    _print(
        ("loss", "formula", "when", "source"),
        ((name, d.formula, d.when, d.source) for name, d in described),
    )


def schemes() -> None:
    """List the schemes of class weights: formula, when it helps, where it comes from."""
    from steelyard.weights.schemes import table

    _print(
        ("scheme", "options", "formula", "when it helps", "source"),
        ((row["name"], row["options"], row["formula"], row["note"], row["source"]) for row in table()),
    )
