"""``steelyard study``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Column, Table

from steelyard.cli import console

__all__ = ["study"]

_COLORS = {"helps": "green", "harms": "red", "baseline": "bold"}

_EXAMPLES = """
Examples:

  steelyard study a.csv b.csv c.parquet --target y

  steelyard study tables/ --target class --model linear,lightgbm --out runs/study

  steelyard study fraud.csv=is_fraud churn.csv=left --metric f1_macro

  steelyard study tables/ --target class --out runs/study --resume
"""


def study(
    files: Annotated[
        list[str], typer.Argument(help="Tables, or folders of them; FILE=COLUMN where the labels have another name.")
    ],
    target: Annotated[str | None, typer.Option(help="Column of the labels in every file that names none.")] = None,
    metric: Annotated[
        str | None,
        typer.Option(help="What to rank by; default average_precision for two classes, else balanced_accuracy."),
    ] = None,
    strategies: Annotated[
        str | None, typer.Option(help="Names with commas between, or 'all'; see `steelyard strategies`.")
    ] = None,
    model: Annotated[str, typer.Option(help="Models with commas between.")] = "linear,lightgbm,mlp",
    cv: Annotated[int, typer.Option(help="Folds.")] = 5,
    repeats: Annotated[int, typer.Option(help="How often the folds are drawn anew.")] = 3,
    seed: Annotated[int, typer.Option(help="Everything random is derived from it.")] = 0,
    decisions: Annotated[
        str, typer.Option(help="'both': also score every strategy with a tuned decision; 'default': do not.")
    ] = "both",
    out: Annotated[Path, typer.Option(help="Folder for the study and the results of each data set.")] = Path(
        "runs/study"
    ),
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an interrupted study.")] = False,
) -> None:
    """Compare strategies over many data sets: mean ranks, critical differences, verdicts, a report."""
    from steelyard.comparison.run_folder import locked
    from steelyard.comparison.studying import check_study_folder, sources
    from steelyard.comparison.studying import study as run_study

    of = sources(files, target)
    check_study_folder(out, resume)
    with locked(out), _progress() as bar:
        task = bar.add_task("reading", total=None)

        def show(name: str, done: int, total: int, what: str) -> None:
            bar.update(task, completed=done, total=total, description=escape(f"{name}: {what}" if what else name))

        with console.resumable(bar, out):
            result = run_study(
                of,
                out,
                strategies if strategies in (None, "all") else [s.strip() for s in strategies.split(",")],
                [m.strip() for m in model.split(",")],
                metric,
                cv,
                repeats,
                seed,
                decisions,
                show,
            )
            bar.update(task, description="writing")
            paths = result.save(out)
    content = result.to_dict()
    for test in content["tests"]:
        if test["metric"] == content["metrics"][0]:
            console.out.print(_table(content, test))
    for one in content["skipped"]:
        console.out.print(f"[yellow]left out[/] {escape(one['set'])}: {escape(one['reason'])}", soft_wrap=True)
    for name, path in paths.items():
        console.out.print(f"{name:8} {escape(str(path))}", soft_wrap=True)


# the docstring is the text of --help; the examples are kept apart so that they read as lines of a terminal
study.__doc__ = f"{study.__doc__}\n\n\b{_EXAMPLES}"


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description:40}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console.err,
        transient=True,
    )


def _table(content: dict[str, Any], test: dict[str, Any]) -> Table:
    """One row per strategy, best mean rank first."""
    from steelyard.report.differences import verdict_of
    from steelyard.report.words import difference, number, own_or_tuned, p_value

    rows = [r for r in content["summary"] if all(r[k] == test[k] for k in ("model", "decision", "metric"))]
    rows.sort(key=lambda r: (r["mean_rank"] is None, r["mean_rank"] or 0.0))
    several = len({t["decision"] for t in content["tests"] if t["metric"] == test["metric"]}) > 1
    how = f", {own_or_tuned(test['decision'])} decision" if several else ""
    cd = "" if test["critical_difference"] is None else f", ranks differ beyond {test['critical_difference']:.2f}"
    table = Table(
        Column("strategy", no_wrap=True, min_width=max(len(r["strategy"]) for r in rows)),
        title=f"{escape(test['metric'])}, {escape(test['model'])}{how}: {test['n_sets']} data sets{cd}",
    )
    for heading in ("mean rank", "mean", "against none, 95 %", "p"):
        table.add_column(heading, justify="right")
    table.add_column("verdict")
    table.add_column("helps / harms on", justify="right")
    for r in rows:
        rank = "–" if r["mean_rank"] is None else f"{r['mean_rank']:.2f}"
        if r["rank_low"] is not None:
            rank += f" [dim]{r['rank_low']:.1f}–{r['rank_high']:.1f}[/]"
        change = ""
        if r["difference"] is not None:
            change = f"{difference(r['difference'])} [dim]{number(r['ci_low'])} to {number(r['ci_high'])}[/]"
        base = r["verdict"] == "baseline"
        table.add_row(
            escape(r["strategy"]),
            rank,
            number(r["mean"]),
            change,
            p_value(r["p_adjusted"]).removeprefix("p ").removeprefix("= "),
            f"[{_COLORS.get(r['verdict'], 'dim')}]{verdict_of(r)}[/]",
            "" if base else f"{r['helps']} / {r['harms']}",
        )
    return table
