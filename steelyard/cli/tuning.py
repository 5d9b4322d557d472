"""``steelyard tune``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Column, Table

from steelyard.cli import console

__all__ = ["tune"]

_EXAMPLES = """
Examples:

  steelyard tune data.csv --target y --metric f1_macro

  steelyard tune data.csv --target y --metric worst_recall --model linear --budget 300 --out runs/tuned

  steelyard tune data.csv --target y --metric "precision@recall>=0.95" --positive sick

  steelyard tune data.csv --target y --out runs/tuned --budget 1800 --resume
"""

_SHOWN = {"scores": "plain model", "retrained": "training again, round", "searched": "search, generation"}


def tune(
    data: Annotated[Path, typer.Argument(help="CSV, TSV, Parquet, Arrow or Feather; CSV and TSV also as .gz")],
    target: Annotated[str, typer.Option(help="Column of the labels.")],
    metric: Annotated[
        str, typer.Option(help='What is to be best, e.g. worst_recall, expected_cost, "precision@recall>=0.95".')
    ] = "f1_macro",
    model: Annotated[str, typer.Option(help="mlp, linear, lightgbm, xgboost or catboost.")] = "mlp",
    budget: Annotated[
        float, typer.Option(help="Seconds, those of earlier sittings included; what is cheap is always done.")
    ] = 60.0,
    generations: Annotated[
        int | None,
        typer.Option(help="Instead of a budget: generations of the search; the same seed gives the same result."),
    ] = None,
    costs: Annotated[
        Path | None, typer.Option(help="What mistakes cost, for --metric expected_cost: CSV or YAML.")
    ] = None,
    positive: Annotated[str | None, typer.Option(help="Positive class of two; default the rarer.")] = None,
    decision: Annotated[
        str,
        typer.Option(help="'tuned': every candidate decides by its own best rule; 'default': by the arg max."),
    ] = "tuned",
    seed: Annotated[int, typer.Option(help="Everything random is derived from it.")] = 0,
    out: Annotated[
        Path | None, typer.Option(help="Folder for the results; default runs/NAME-OF-THE-DATA-tuned.")
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Replace the results in --out once the new ones are complete.")
    ] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with an earlier search; with a larger --budget.")
    ] = False,
) -> None:
    """Find class weights for a table, and say whether they are worth more than moving the decision."""
    from steelyard.comparison.dataset import from_file
    from steelyard.comparison.run_folder import claimed
    from steelyard.comparison.tuned import allowed_budget, request, run

    folder = out if out is not None else Path("runs") / f"{data.name.split('.')[0]}-tuned"
    allowed = allowed_budget(budget, generations=generations)
    with claimed(folder, force, resume):
        dataset = from_file(data, target, positive)
        asked = request(dataset, metric, model, seed, costs, names={"data": data.name, "target": target})
        with _progress() as bar:
            task = bar.add_task("reading", total=None, time="")

            def show(what: str, done: int, total: int, seconds: float) -> None:
                lap, _, number = what.partition(" ")
                text = f"{_SHOWN[lap]} {number}".rstrip() + f": {done} of {total}"
                if allowed.seconds is None:
                    bar.update(task, completed=done, total=total, description=text, time=f"{seconds:.0f} s")
                else:
                    left = max(0.0, allowed.seconds - seconds)
                    spent = min(seconds, allowed.seconds)
                    bar.update(
                        task, completed=spent, total=allowed.seconds, description=text, time=f"{left:.0f} s left"
                    )

            with console.resumable(bar, folder):
                result = run(
                    dataset, asked, allowed, decision, folder, show, lambda: bar.update(task, description="on all rows")
                )
                paths = result.save(folder)
    content = result.to_dict()
    console.out.print(_table(content))
    for row in content["stages"]:
        why = f": {row['reason']}" if row["against"] else ""
        console.out.print(f"{row['stage']:11}  [dim]{row['explained']}[/]{escape(why)}", soft_wrap=True)
    _print_verdict(content)
    _print_weights(content, result)
    console.out.print(f"results  {escape(str(paths['results']))}", soft_wrap=True)
    console.out.print(f"model    {escape(str(paths['model']))}", soft_wrap=True)
    console.out.print(f"         steelyard predict {escape(str(paths['model']))} NEW_ROWS.csv", soft_wrap=True)
    if content["spent"]["interrupted"]:
        console.err.print("stopped early: this is the best so far; --resume goes on", soft_wrap=True)
        raise typer.Exit(130)


# the docstring is the text of --help; the examples are kept apart so that they read as lines of a terminal
tune.__doc__ = f"{tune.__doc__}\n\n\b{_EXAMPLES}"


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description:32}"),
        BarColumn(),
        TextColumn("{task.fields[time]}"),
        console=console.err,
        transient=True,
    )


def _table(content: dict[str, Any]) -> Table:
    """One row per stage: its value on untouched folds, what it adds, what it cost, and whether it is accepted."""
    from steelyard.report.words import difference, number

    settings, confidence = content["settings"], content["confidence"]
    names = Column("stage", no_wrap=True)
    table = Table(
        names, title=f"{escape(settings['data'])}, {settings['models'][0]}: mean of {settings['cv']} untouched folds"
    )
    level = content["estimate"]["floor"]
    table.add_column("precision" if level and level["quantity"] == "recall" else escape(settings["metric"]))
    if level:
        table.add_column(f"{level['quantity']}, all folds")
    table.add_column(f"difference\n{100 * confidence:.0f} % interval")
    table.add_column("seconds", justify="right")
    table.add_column("fits", justify="right")
    table.add_column("verdict")
    for row in content["stages"]:
        cells = [number(row["value"])]
        if level:
            cells.append(number(row["pooled"]))
        if row["against"] is None:
            cells.append("")
        else:
            interval = f"{number(row['difference_low'])} to {number(row['difference_high'])}"
            cells.append(f"{difference(row['difference'])}\n[dim]{interval}[/]")
        cells += [f"{row['seconds']:.1f}", f"{row['fits']:,}"] if row["fits"] else ["–", "–"]
        word = "[green]accepted[/]" if row["accepted"] else "[dim]not accepted[/]"
        cells.append(word if row["against"] else "[bold]baseline[/]")
        table.add_row(row["stage"], *cells, end_section=True)
    return table


def _print_verdict(content: dict[str, Any]) -> None:
    from steelyard.report.words import number

    explained = {row["stage"]: row["explained"] for row in content["stages"]}
    stage, estimate, metric = content["accepted"], content["estimate"], content["settings"]["metric"]
    interval = f"{number(estimate['ci_low'])} to {number(estimate['ci_high'])}"
    level = estimate["floor"]
    what = "precision" if level and level["quantity"] == "recall" else escape(metric)
    console.out.print(
        f"accepted: [bold]{stage}[/] ({explained[stage]}); expect {what} {number(estimate['value'])} "
        f"({interval}) on new rows",
        soft_wrap=True,
    )
    if level:
        console.out.print(
            f"{level['quantity']} on untouched folds {number(level['value'])} "
            f"({number(level['ci_low'])} to {number(level['ci_high'])}), {number(level['pooled'])} over their rows; "
            f"the floor {level['level']:g} was reached in {level['folds_reached']} of {level['folds']} folds",
            soft_wrap=True,
        )
    laps, spent = content["spent"]["laps"], content["spent"]["seconds"]
    done = [
        f"{laps[lap]} {word}{'s' * (laps[lap] > 1)}"
        for lap, word in (("retrained", "round"), ("searched", "generation"))
        if lap in laps
    ]
    console.out.print(f"spent {spent:.0f} s" + (f": {', '.join(done)}" if done else ""), soft_wrap=True)
    for warning in content["warnings"]:
        console.out.print(f"[yellow]note[/] {escape(warning)}", soft_wrap=True)


def _print_weights(content: dict[str, Any], result: Any) -> None:
    import numpy as np

    from steelyard.weights.printing import as_keras, as_sklearn, as_torch

    counts, weights = result.model.counts_, content["weights"]
    for line in result.rule_in_words():
        console.out.print(escape(line), soft_wrap=True)
    if content["accepted"] not in ("retrained", "searched"):
        console.out.print("class weights: none, every class weighs 1", soft_wrap=True)
        return
    values = np.array([float(f"{w:.6g}") for w in weights["class_weight"]])
    console.out.print("class weights to paste, scikit-learn, Keras and PyTorch:", soft_wrap=True)
    for form in (as_sklearn, as_keras, as_torch):
        console.out.print(escape(form(counts, values)), soft_wrap=True)
    more = [
        f"{name}={[round(v, 6) for v in weights[name]]}"
        for name in ("logit_offset", "logit_scale")
        if weights[name] is not None
    ]
    more += [f"gamma={weights['gamma']:.6g}"] if weights["gamma"] else []
    if more:
        numbers = ", ".join([f"class_weight={values.tolist()}", *more])
        console.out.print("all of the loss, in the order of the classes:", soft_wrap=True)
        console.out.print(f"loss = sy.losses.SoftmaxCrossEntropy({escape(numbers)})", soft_wrap=True)
