"""``steelyard compare`` and ``steelyard report``."""

from __future__ import annotations

from pathlib import Path
from statistics import median
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Column, Table

from steelyard.cli import console
from steelyard.errors import one_of

__all__ = ["compare", "report"]

_COLORS = {"helps": "green", "harms": "red", "baseline": "bold"}

_EXAMPLES = """
Examples:

  steelyard compare data.csv --target y

  steelyard compare data.parquet --target diagnosis --model lightgbm --strategies none,balanced,focal

  steelyard compare data.csv --target y --out runs/y --resume

  steelyard compare data.csv --target y --metric "precision@recall>=0.95" --positive sick --out runs/sick

  steelyard compare data.csv --target y --costs costs.csv

  steelyard compare visits.csv --target ill --groups patient

  steelyard compare orders.csv --target fraud --time date
"""


def compare(
    data: Annotated[Path, typer.Argument(help="CSV, TSV, Parquet, Arrow or Feather; CSV and TSV also as .gz")],
    target: Annotated[str, typer.Option(help="Column of the labels.")],
    metric: Annotated[
        str | None,
        typer.Option(
            help="What to rank by; default expected_cost with --costs, else average_precision for two classes, "
            "balanced_accuracy for more."
        ),
    ] = None,
    costs: Annotated[
        Path | None,
        typer.Option(help="What mistakes cost: CSV (rows truth, columns label) or YAML (truth: label: cost)."),
    ] = None,
    strategies: Annotated[
        str | None,
        typer.Option(help="Names with commas between, or 'all'; see `steelyard strategies`."),
    ] = None,
    model: Annotated[str, typer.Option(help="Models with commas between.")] = "linear,lightgbm,mlp",
    cv: Annotated[int, typer.Option(help="Folds.")] = 5,
    repeats: Annotated[int, typer.Option(help="How often the folds are drawn anew.")] = 3,
    positive: Annotated[str | None, typer.Option(help="Positive class of two; default the rarer.")] = None,
    seed: Annotated[int, typer.Option(help="Everything random is derived from it.")] = 0,
    decisions: Annotated[
        str,
        typer.Option(help="'both': also score every strategy with a tuned decision; 'default': do not."),
    ] = "both",
    out: Annotated[Path | None, typer.Option(help="Folder for the results; default runs/NAME-OF-THE-DATA.")] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Replace the results in --out once the new ones are complete.")
    ] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with an interrupted comparison; on a finished one, just show it.")
    ] = False,
    groups: Annotated[
        str | None,
        typer.Option(help="Column of what rows belong to (a patient, a site); no group is on both sides of a split."),
    ] = None,
    time: Annotated[
        str | None,
        typer.Option(help="Column of when rows were; train on earlier rows, test on later ones, in one repeat."),
    ] = None,
    dedupe: Annotated[
        bool, typer.Option("--dedupe", help="Keep rows with exactly the same features on one side of every split.")
    ] = False,
    race: Annotated[
        bool,
        typer.Option("--race", help="Stop strategies that lose after a repeat: faster, for a look; no final evidence."),
    ] = False,
) -> None:
    """Say which strategy helps on a table: same folds for all, intervals, verdicts, a report."""
    from steelyard.comparison.dataset import from_file
    from steelyard.comparison.results import check_folder
    from steelyard.comparison.running import run
    from steelyard.comparison.settings import settings

    folder = out if out is not None else Path("runs") / data.name.split(".")[0]
    check_folder(folder, force, resume)
    dataset = from_file(data, target, positive, groups, time, dedupe)
    asked = settings(
        dataset.target,
        strategies if strategies in (None, "all") else [s.strip() for s in strategies.split(",")],
        [m.strip() for m in model.split(",")],
        metric,
        cv,
        repeats,
        seed,
        decisions,
        names={"data": data.name, "target": target},
        costs=costs,
        ties=dataset.ties,
        race=race,
    )
    with _progress() as bar:
        task = bar.add_task("reading", total=None)
        try:
            result = run(
                dataset,
                asked,
                lambda done, total, name: bar.update(task, completed=done, total=total, description=escape(name)),
                folder,
            )
            bar.update(task, description="the best, on all rows")
            paths = result.save(folder)
        except KeyboardInterrupt:
            bar.stop()
            where = escape(str(folder))
            console.err.print(f"stopped; what is finished is in {where}: --resume goes on with it", soft_wrap=True)
            raise typer.Exit(130) from None
    content = result.to_dict()
    if asked.costs is not None:
        positive = content["settings"]["positive"]
        console.out.print(escape(asked.costs.describe(dataset.target.counts, positive)), soft_wrap=True)
    for name in content["settings"]["models"]:
        console.out.print(_table(content, name))
    _print_rest(content)
    console.out.print(f"results  {escape(str(paths['results']))}", soft_wrap=True)
    console.out.print(f"report   {escape(str(paths['report']))}", soft_wrap=True)
    if "model" in paths:
        console.out.print(f"model    {escape(str(paths['model']))}", soft_wrap=True)
        console.out.print(f"         steelyard predict {escape(str(paths['model']))} NEW_ROWS.csv", soft_wrap=True)


# the docstring is the text of --help; the examples are kept apart so that they read as lines of a terminal
compare.__doc__ = f"{compare.__doc__}\n\n\b{_EXAMPLES}"


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description:24}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console.err,
        transient=True,
    )


def _table(content: dict[str, Any], model: str) -> Table:
    """One row per strategy: the metric it ranks by, then how it decides, by itself and tuned."""
    from steelyard.report.words import number

    settings = content["settings"]
    columns = [(settings["metric"], "default")]
    if settings["decision_metric"] != settings["metric"]:
        columns.append((settings["decision_metric"], "default"))
    columns.append((settings["decision_metric"], "tuned"))
    rows = {(r["strategy"], r["metric"], r["decision"]): r for r in content["summary"] if r["model"] == model}
    columns = [c for c in columns if ("none", *c) in rows]
    longest = max(map(len, settings["strategies"]))
    names = Column("strategy", no_wrap=True, min_width=longest)
    table = Table(names, title=f"{escape(settings['data'])}, {model}: mean over folds, 95 % interval, verdict")
    for metric, decision in columns:
        tuned = "\n(tuned decision)" if decision == "tuned" else ""
        lower = "\n(lower is better)" if metric == "expected_cost" else ""
        table.add_column(escape(metric) + tuned + lower)
    for name in settings["strategies"]:
        found = [rows.get((name, *c)) for c in columns]
        if found[0] is None:  # skipped
            continue
        cells = []
        for row in filter(None, found):
            color = _COLORS.get(row["verdict"], "dim")
            interval = f"{number(row['ci_low'])}–{number(row['ci_high'])}"
            said = "a moved threshold" if row["only_threshold"] else row["verdict"]
            cells.append(f"{number(row['mean'])} [dim]{interval}[/]\n[{color}]{said}[/]")
        table.add_row(escape(name), *cells, end_section=True)
    return table


def _print_rest(content: dict[str, Any]) -> None:
    from steelyard.report.words import number

    for line in _explained(content):
        console.out.print(escape(line), soft_wrap=True)
    best = content["best"]
    if best["strategy"] is not None:
        console.out.print(
            f"best by {escape(best['metric'])}: [bold]{escape(best['strategy'])}[/] with {best['model']} "
            f"({best['decision']}), expect {number(best['estimate'])} "
            f"({number(best['ci_low'])} to {number(best['ci_high'])}) on new rows"
        )
    for warning in content["warnings"]:
        console.out.print(f"[yellow]note[/] {escape(warning)}")
    for skip in content["skipped"]:
        who = f"{skip['strategy']} ({skip['model']})"
        console.out.print(f"[yellow]skipped[/] {escape(who)}: {escape(skip['reason'])}")


def _explained(content: dict[str, Any]) -> list[str]:
    """Say what a moved threshold in the table means, and how small a difference these data could show."""
    from steelyard.report.words import number

    metric, lines = content["settings"]["metric"], []
    if any(row["only_threshold"] for row in content["summary"]):
        lines.append(
            "a moved threshold: better than none at its threshold, but not than none with a moved threshold, "
            "which costs no training"
        )
    for model in content["settings"]["models"]:
        found = [r for r in content["summary"] if (r["model"], r["metric"]) == (model, metric)]
        smallest = [r["detectable"] for r in found if r["decision"] == "default" and r["detectable"] is not None]
        if smallest:
            lines.append(
                f"smallest difference in {metric} that {model} would show here, 4 times of 5: "
                f"{number(median(smallest))} for half of the strategies, {number(max(smallest))} for all"
            )
    return lines


def report(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A folder with results.json.")],
    format: Annotated[
        str,
        typer.Option(help="'html' writes DIR/report.html, 'md' DIR/report.md; 'json' prints results.json."),
    ] = "html",
) -> None:
    """Write the report again from results.json, as a page or as Markdown; or print the results as JSON."""
    from steelyard.comparison.results import as_text, load

    one_of("--format", format, ("html", "md", "json"))
    result = load(folder)
    if format == "json":
        typer.echo(as_text(result.to_dict()), nl=False)
        return
    path = result.report(folder / f"report.{format}")
    console.out.print(f"report   {escape(str(path))}", soft_wrap=True)


report.__doc__ = f"""{report.__doc__}

\b
Examples:

  steelyard report runs/mine

  steelyard report runs/mine --format md

  steelyard report runs/mine --format json | jq .best
"""
