"""``steelyard predict``."""

from __future__ import annotations

import inspect
import re
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.progress import Progress, SpinnerColumn, TextColumn

from steelyard.cli import console
from steelyard.errors import InputError

__all__ = ["predict"]

_EXAMPLES = """
Examples:

  steelyard predict runs/data/model new.csv > predictions.csv

  steelyard predict runs/data new.parquet --out predictions.parquet

  steelyard predict runs/data new.csv --target-prior "yes=0.02,no=0.98" --out predictions.csv

  steelyard predict runs/data new.csv --factory nets:make_net --out predictions.csv
"""


def predict(
    model: Annotated[
        Path, typer.Argument(metavar="MODEL", help="A folder that `steelyard compare` wrote: DIR or DIR/model.")
    ],
    data: Annotated[
        Path, typer.Argument(metavar="DATA", help="CSV, TSV, Parquet, Arrow or Feather; CSV and TSV also as .gz.")
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            help="CSV, TSV (also .gz) or Parquet, by its ending; an old file is replaced. Default: print CSV."
        ),
    ] = None,
    target_prior: Annotated[
        str | None,
        typer.Option(
            metavar="CLASS=SHARE,...",
            help="Class shares of the new rows, where they are not those of training; one class may be left out.",
        ),
    ] = None,
    factory: Annotated[
        str | None,
        typer.Option(
            metavar="MODULE:FUNCTION",
            help="What built a torch module or Keras model of your own: it is imported and run.",
        ),
    ] = None,
    trust: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TYPE", help="A type that a scikit-learn model of your own may hold; an error names them."
        ),
    ] = None,
    proba: Annotated[bool, typer.Option(help="Write a column of probabilities for each class.")] = True,
) -> None:
    """Label the rows of a file with a trained model: a column `prediction`, and one `probability_<class>` per class.

    A model of several labels writes `prediction_<label>` and `probability_<label>` for each.

    Rows keep their order. Columns may come in any order; those that the model does not know, a target among them,
    are ignored. Memory stays bounded however long the file is.
    """
    from steelyard.comparison.predictions import check_out, predict_file
    from steelyard.comparison.stored import load

    if out is not None:
        check_out(out, data)
    classifier = load(model, factory, trust or ())
    if target_prior is not None and hasattr(classifier, "labels_"):
        raise InputError("`--target-prior` with one label per row", f"a model of {len(classifier.labels_)} labels")
    if target_prior is not None:
        classifier = classifier.with_prior(_shares(target_prior, classifier.classes_.tolist()))
    if out is None:
        predict_file(classifier, data, sys.stdout, proba)
        return
    with _progress() as bar:
        task = bar.add_task("reading", total=None)
        rows = predict_file(classifier, data, out, proba, lambda done: bar.update(task, description=f"{done:,} rows"))
    console.err.print(f"{rows:,} rows  {escape(str(out))}", soft_wrap=True)


# as in `compare`: the examples are kept apart so that they read as lines of a terminal
predict.__doc__ = f"{inspect.cleandoc(predict.__doc__ or '')}\n\n\b{_EXAMPLES}"


def _progress() -> Progress:
    return Progress(SpinnerColumn(), TextColumn("{task.description}"), console=console.err, transient=True)


def _shares(text: str, classes: list[Any]) -> dict[str, float]:
    """Read CLASS=SHARE,... where a class's own name may hold commas and equal signs."""
    names = sorted((str(label) for label in classes), key=len, reverse=True)
    shares: dict[str, float] = {}
    rest = text.strip()
    while rest:
        name = next((n for n in names if rest.startswith(f"{n}=")), None)
        found = re.match(r"\s*([0-9.eE+-]+)\s*(,\s*|$)", rest[len(name) + 1 :]) if name is not None else None
        try:
            if name is None or found is None:
                raise ValueError
            shares[name] = float(found[1])
        except ValueError:
            listed = ", ".join(names[::-1][:12])
            raise InputError(
                "`--target-prior` as CLASS=SHARE with commas between", repr(rest), f"the classes are {listed}."
            ) from None
        rest = rest[len(name) + 1 + found.end() :]
    return shares
