"""The command `steelyard`: parse, call, print. What a command does is done elsewhere, from Python too."""

from __future__ import annotations

from typing import Annotated

import typer

import steelyard
from steelyard.cli import comparison, console, listings
from steelyard.cli.decision import decide
from steelyard.cli.prediction import predict
from steelyard.cli.studying import study
from steelyard.cli.tuning import tune
from steelyard.cli.weighting import weights

__all__ = ["app"]

app = typer.Typer(
    name="steelyard",
    cls=console.Group,
    no_args_is_help=True,
    rich_markup_mode="rich",
    # a traceback is for us, and says nothing to a user; local variables would show their data
    pretty_exceptions_show_locals=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"steelyard {steelyard.__version__}")
        raise typer.Exit


@app.callback()
def _steelyard(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    """Train, compare and decide with classifiers on imbalanced data."""


app.command()(comparison.compare)
app.command()(study)
app.command()(tune)
app.command()(decide)
app.command()(predict)
app.command()(weights)
app.command()(comparison.report)
app.command()(listings.strategies)
app.command()(listings.losses)
app.command()(listings.schemes)
