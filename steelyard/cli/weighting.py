"""``steelyard weights``: parse, call, print."""

from __future__ import annotations

import sys
import warnings
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from numpy import float64
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from rich.text import Text

from steelyard.errors import InputError, MissingDependencyError, one_of
from steelyard.weights import ClassCounts, class_weight, class_weight_names
from steelyard.weights.files import count_file
from steelyard.weights.normalization import NORMALIZATIONS
from steelyard.weights.printing import as_json, as_keras, as_sklearn, as_torch, implied_thresholds

__all__ = ["Format", "weights"]


class Format(StrEnum):
    """How the weights are printed."""

    TABLE = "table"
    JSON = "json"
    KERAS = "keras"
    TORCH = "torch"
    SKLEARN = "sklearn"


def weights(
    data: Annotated[Path, typer.Argument(help="CSV, TSV (also .gz), Parquet, Arrow or Feather.")],
    target: Annotated[str, typer.Option(help="The column with the labels.")],
    scheme: Annotated[str, typer.Option(help="Name of the formula; `steelyard schemes` lists them.")] = "balanced",
    normalize: Annotated[
        str, typer.Option(help="n_classes, sum, priors or max; none: the formula as it stands.")
    ] = "none",
    format: Annotated[Format, typer.Option(help="A table, or text to paste.")] = Format.TABLE,
    option: Annotated[
        list[str] | None, typer.Option(help="A number of the scheme, as NAME=VALUE; may be repeated.")
    ] = None,
    ignore_missing: Annotated[bool, typer.Option("--ignore-missing", help="Leave rows without a label out.")] = False,
) -> None:
    """Print class weights for the labels of a file, ready to paste.

    Only the target column is read, batch by batch. For example:

        steelyard weights data.csv --target y

        steelyard weights data.parquet --target y --scheme effective_number --option beta=0.999

        steelyard weights data.csv --target y --normalize n_classes --format keras
    """
    try:
        numbers = _numbers(option or [])
        one_of("scheme", scheme, class_weight_names())
        scale = None if normalize == "none" else one_of("normalize", normalize, ["none", *NORMALIZATIONS])
        counts = count_file(data, target, ignore_missing=ignore_missing)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            values = class_weight(scheme, counts, normalize=scale, **numbers)
    except (InputError, MissingDependencyError) as error:
        typer.echo(f"Error: {error}", err=True)
        raise typer.Exit(2) from None
    for warning in caught:
        typer.echo(f"Warning: {warning.message}", err=True)
    if format is Format.TABLE:
        _print_table(counts, values, scheme, normalize)
    elif format is Format.JSON:
        typer.echo(as_json(counts, values, scheme, scale))
    else:
        text = {Format.KERAS: as_keras, Format.TORCH: as_torch, Format.SKLEARN: as_sklearn}[format]
        typer.echo(text(counts, values))


def _numbers(options: list[str]) -> dict[str, float]:
    numbers = {}
    for text in options:
        name, equals, value = text.partition("=")
        try:
            numbers[name] = float(value)
        except ValueError:
            equals = ""
        if not equals:
            raise InputError("`--option` as NAME=NUMBER", repr(text), "for example --option beta=0.999.")
    return numbers


def _print_table(counts: ClassCounts, values: NDArray[float64], scheme: str, normalize: str) -> None:
    table = Table(title=Text(f"{scheme}, normalised: {normalize}"))
    table.add_column("class", overflow="fold")
    for name in ("rows", "share", "weight"):
        table.add_column(name, justify="right")
    thresholds = implied_thresholds(values)
    if thresholds is not None:
        table.add_column("threshold", justify="right")
    columns = zip(counts.classes, counts.counts.tolist(), counts.priors.tolist(), values.tolist(), strict=True)
    for i, (label, count, share, weight) in enumerate(columns):
        cells = [f"{count:,}", f"{share:.2%}", f"{weight:.6g}"]
        if thresholds is not None:
            cells.append(f"{thresholds[i]:.4g}")
        table.add_row(_as_text(label), *cells)
    if thresholds is not None:
        table.caption = Text(
            "threshold: training with these weights and predicting at 0.5 is predicting the class where its "
            "unweighted probability exceeds this."
        )
    Console(file=sys.stdout).print(table)


def _as_text(label: object) -> Text:
    """Return a label as text: no markup, and escapes for what a terminal would obey."""
    shown = str(label)
    return Text(shown if shown.isprintable() and shown else repr(label))
