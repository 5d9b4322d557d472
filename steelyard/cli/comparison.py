"""``steelyard compare`` and ``steelyard report``."""

from __future__ import annotations

import re
from importlib import import_module
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

  steelyard compare data.csv --target y --model xgboost,catboost

  steelyard compare data.csv --target y --out runs/y --resume

  steelyard compare data.csv --target y --metric "precision@recall>=0.95" --positive sick --out runs/sick

  steelyard compare data.csv --target y --costs costs.csv

  steelyard compare visits.csv --target ill --groups patient

  steelyard compare orders.csv --target fraud --time date

  steelyard compare data.csv --target y --model linear,nets:make_net --jobs 4

  steelyard compare posts.csv --target toxic,threat,insult
"""


def compare(
    data: Annotated[Path, typer.Argument(help="CSV, TSV, Parquet, Arrow or Feather; CSV and TSV also as .gz")],
    target: Annotated[str, typer.Option(help="Column of the labels; several columns of 0 and 1 with commas between.")],
    metric: Annotated[
        str | None,
        typer.Option(
            help="What to rank by; default expected_cost with --costs, else average_precision for two classes, "
            "balanced_accuracy for more."
        ),
    ] = None,
    costs: Annotated[
        Path | None,
        typer.Option(
            help="What mistakes cost: CSV (rows truth, columns label) or YAML (truth: label: cost). "
            "A cell is a number, or the name of a column with the cost for each row."
        ),
    ] = None,
    cost_features: Annotated[
        bool,
        typer.Option(
            "--cost-features", help="Columns that costs stand in are features too: known before the outcome is."
        ),
    ] = False,
    strategies: Annotated[
        str | None,
        typer.Option(help="Names with commas between, or 'all'; see `steelyard strategies`."),
    ] = None,
    model: Annotated[
        str,
        typer.Option(
            help="Models with commas between: linear, lightgbm, xgboost, catboost, mlp; also your own: "
            "package.module:function, where the function "
            "(n_features, n_classes) builds a torch module or a Keras model, or gives a scikit-learn classifier."
        ),
    ] = "linear,lightgbm,mlp",
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
    jobs: Annotated[
        int | None,
        typer.Option(help="Processes that train at a time, -1 for one per core; default: one, with all cores."),
    ] = None,
    ray: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="Train on a running Ray cluster: auto, HOST:PORT. The same results."),
    ] = None,
) -> None:
    """Say which strategy helps on a table: same folds for all, intervals, verdicts, a report."""
    from steelyard.comparison.label_sets import LabelSet, from_file
    from steelyard.comparison.multilabel import run_labels
    from steelyard.comparison.results import Result
    from steelyard.comparison.run_folder import claimed
    from steelyard.comparison.running import run
    from steelyard.comparison.settings import settings

    folder = out if out is not None else Path("runs") / data.name.split(".")[0]
    with claimed(folder, force, resume):
        dataset = from_file(data, target, positive, costs, cost_features, groups, time, dedupe)
        asked = settings(
            dataset.target,
            strategies if strategies in (None, "all") else [s.strip() for s in strategies.split(",")],
            [m.strip() for m in model.split(",")],
            metric,
            cv,
            repeats,
            seed,
            decisions,
            names={"data": data.name, "target": dataset.name if isinstance(dataset, LabelSet) else target},
            costs=dataset.costs,
            ties=dataset.ties,
            race=race,
        )
        with _progress() as bar:
            task = bar.add_task("reading", total=None)

            def progress(done: int, total: int, name: str) -> None:
                bar.update(task, completed=done, total=total, description=escape(name))

            with console.resumable(bar, folder):
                if isinstance(dataset, LabelSet):
                    result: Result = run_labels(dataset, asked, progress, folder, jobs, ray)
                else:
                    result = run(dataset, asked, progress, folder, jobs, ray)
                bar.update(task, description="the best, on all rows")
                paths = result.save(folder)
    content = result.to_dict()
    if asked.costs is not None:
        positive = content["settings"]["positive"]
        console.out.print(escape(asked.costs.describe(dataset.target.counts, positive)), soft_wrap=True)
    for name in content["settings"]["models"]:
        console.out.print(_table(content, name))
    if "labels" in content:
        console.out.print(_label_table(content))
    _print_rest(content)
    console.out.print(f"results  {escape(str(paths['results']))}", soft_wrap=True)
    console.out.print(f"report   {escape(str(paths['report']))}", soft_wrap=True)
    if "model" in paths:
        console.out.print(f"model    {escape(str(paths['model']))}", soft_wrap=True)
        more = import_module("steelyard.comparison.stored").arguments(result.model)
        line = f"         steelyard predict {paths['model']} NEW_ROWS.csv{more}"
        console.out.print(escape(line), soft_wrap=True)
    elif result.not_stored is not None:
        console.out.print(f"model    not stored. {escape(result.not_stored)}", soft_wrap=True)


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
    from steelyard.report.differences import verdict_of
    from steelyard.report.words import number

    settings = content["settings"]
    floor = content.get("floor")
    columns = [(settings["metric"], "default")]
    if settings["decision_metric"] != settings["metric"] and floor is None:
        columns.append((settings["decision_metric"], "default"))
    columns.append((settings["decision_metric"], "tuned"))
    kept = {}
    if floor is not None:
        columns.append((f"{floor['quantity']}_{floor['class']}", "tuned"))
        kept = {r["strategy"]: f"kept in {r['kept']} of {r['folds']}" for r in floor["kept"] if r["model"] == model}
    rows = {(r["strategy"], r["metric"], r["decision"]): r for r in content["summary"] if r["model"] == model}
    columns = [c for c in columns if ("none", *c) in rows]
    longest = max(map(len, settings["strategies"]))
    names = Column("strategy", no_wrap=True, min_width=longest)
    over = f"{len(content['labels'])} labels and folds" if "labels" in content else "folds"
    table = Table(names, title=f"{escape(settings['data'])}, {model}: mean over {over}, 95 % interval, verdict")
    for metric, decision in columns:
        tuned = "\n(tuned decision)" if decision == "tuned" else ""
        about = content["metrics"][metric]
        lower = "\n(lower is better)" if about["greater_is_better"] is False else ""
        chance = "" if about["chance"] is None else f"\n(chance {number(about['chance'])})"
        best = "\n(best threshold)" if floor is not None and metric == settings["metric"] else ""
        table.add_column(escape(_in_lines(metric)) + tuned + lower + chance + best, overflow="fold")
    if floor is not None:
        table.columns[-1].header = f"{table.columns[-1].header}\n(floor {floor['level']:g})"
    for name in settings["strategies"]:
        found = [rows.get((name, *c)) for c in columns]
        if found[0] is None:  # skipped
            continue
        cells = []
        for column, row in zip(columns, found, strict=True):
            if row is None:
                continue
            if kept and column == columns[-1]:
                cells.append(
                    f"{number(row['mean'])} [dim]{number(row['ci_low'])}–{number(row['ci_high'])}[/]\n{kept[name]}"
                )
                continue
            color = _COLORS.get(row["verdict"], "dim")
            interval = f"{number(row['ci_low'])}–{number(row['ci_high'])}"
            cells.append(f"{number(row['mean'])} [dim]{interval}[/]\n[{color}]{verdict_of(row)}[/]")
        table.add_row(escape(name), *cells, end_section=True)
    return table


def _in_lines(name: str, width: int = 17) -> str:
    """Break a long name of a metric after an underscore or an @, so that the table does not break it inside a word.

    Examples
    --------
    >>> print(_in_lines("precision_hypothyroid"))
    precision_
    hypothyroid
    """
    lines = [""]
    for part in re.findall(r"[^_@]*[_@]?", name):
        if lines[-1] and len(lines[-1] + part) > width:
            lines.append("")
        lines[-1] += part
    return "\n".join(lines)


def _label_table(content: dict[str, Any]) -> Table:
    """One row per label: plain training, and the strategy that is best on average over labels."""
    from steelyard.report.labels import label_rows

    best = content["best"]
    about = f"{best['strategy']} with {best['model']}, the best over all labels"
    table = Table(title=f"{escape(best['metric'])} of each label: {escape(about)}, against none")
    for heading in ("label", "rows", "chance", "none", "best over all", "verdict", "best of the label"):
        table.add_column(heading, justify="left" if heading in ("label", "verdict", "best of the label") else "right")
    for row in label_rows(content):
        color = _COLORS.get(row["verdict"], "dim")
        table.add_row(
            escape(row["label"]),
            row["rows"],
            row["chance"],
            row["none"],
            f"{row['best']} [dim]{row['interval']}[/]",
            f"[{color}]{row['verdict']}[/]",
            escape(row["own"]),
        )
    return table


def _print_rest(content: dict[str, Any]) -> None:
    from steelyard.report.answer import answer
    from steelyard.report.content import metric_called, models_in
    from steelyard.report.words import number, own_or_tuned

    for line in _explained(content):
        console.out.print(escape(line), soft_wrap=True)
    best = content["best"]
    if best["strategy"] is not None:
        metric = metric_called(best["metric"], content)
        said = answer(content, metric, models_in(content), explored=False)["sentence"]
        decides = metric.kind == "label" or metric.floor is not None
        decision = f" ({own_or_tuned(best['decision'])} decision)" if decides else ""
        console.out.print(f"[bold]{escape(said)}[/]", soft_wrap=True)
        console.out.print(
            f"best by {escape(best['metric'])}: [bold]{escape(best['strategy'])}[/] with {escape(best['model'])}"
            f"{decision}, expect {number(best['estimate'])} "
            f"({number(best['ci_low'])} to {number(best['ci_high'])}) on new rows",
            soft_wrap=True,
        )
    for warning in content["warnings"]:
        console.out.print(f"[yellow]note[/] {escape(warning)}", soft_wrap=True)
    for skip in content["skipped"]:
        who = f"{skip['strategy']} ({skip['model']})"
        console.out.print(f"[yellow]skipped[/] {escape(who)}: {escape(skip['reason'])}", soft_wrap=True)


def _explained(content: dict[str, Any]) -> list[str]:
    """Say what "moves the threshold only" in the table means, and how small a difference these data could show."""
    from steelyard.report.words import number

    metric, lines = content["settings"]["metric"], []
    if any(row["only_threshold"] for row in content["summary"]):
        lines.append(
            "moves the threshold only: better than none at its own threshold, but not than none with a moved "
            "threshold, which costs no training"
        )
    for model in content["settings"]["models"]:
        found = [r for r in content["summary"] if (r["model"], r["metric"]) == (model, metric)]
        smallest = [r["detectable"] for r in found if r["decision"] == "default" and r["detectable"] is not None]
        if smallest:
            half, every = number(median(smallest)), number(max(smallest))
            lines.append(
                f"smallest difference in {metric} that {model} would show here, 4 times of 5: "
                + (every if half == every else f"{half} for half of the strategies, {every} for all")
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
