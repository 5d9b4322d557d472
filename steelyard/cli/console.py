"""The terminal: where text goes, and how complaints look."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress

from steelyard.errors import InputError, MissingDependencyError

__all__ = ["Group", "err", "out", "resumable"]

out = Console(highlight=False)
err = Console(stderr=True, highlight=False)


@contextmanager
def resumable(bar: Progress, folder: Path) -> Iterator[None]:
    """Say at Ctrl-C where the finished work is and how to go on with it; exit with 130."""
    try:
        yield
    except KeyboardInterrupt:
        bar.stop()
        where = escape(str(folder))
        err.print(f"stopped; what is finished is in {where}: --resume goes on with it", soft_wrap=True)
        raise typer.Exit(130) from None


class Group(typer.core.TyperGroup):
    """A group of commands that says one red line, and exits with 2, where a user's input cannot be used."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except (InputError, MissingDependencyError) as error:
            message = str(error)
        except BrokenPipeError:
            raise  # the reader of a pipe left: `steelyard strategies | head`
        except OSError as error:
            message = f"{error.strerror or error}: {error.filename}" if error.filename else str(error)
        err.print(f"[bold red]Error:[/] [red]{escape(message)}[/]", soft_wrap=True)
        raise typer.Exit(2)
