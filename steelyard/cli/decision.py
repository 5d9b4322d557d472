"""``steelyard decide``."""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from steelyard.cli import console
from steelyard.errors import InputError

__all__ = ["decide"]

_MOST_CLASSES = 12  # longer tables are not read

_EXAMPLES = """
Examples:

  steelyard decide scores.csv --target y

  steelyard decide scores.csv --target diagnosis --metric "precision@recall>=0.95" --positive sick

  steelyard decide scores.csv --target y --score p_fraud --constraint "alarm_rate<=0.01"

  steelyard decide scores.csv --target y --costs costs.csv --out rule.json

  steelyard decide new_scores.csv --rule rule.json --out labels.csv
"""


def decide(
    scores: Annotated[
        Path,
        typer.Argument(
            metavar="SCORES",
            help="CSV, TSV, Parquet, Arrow or Feather: a column of probabilities per class, named as the class or "
            "probability_CLASS, of rows that the model was not trained on.",
        ),
    ],
    target: Annotated[str | None, typer.Option(metavar="COL", help="Column of the true labels.")] = None,
    metric: Annotated[
        str | None,
        typer.Option(
            help='What the rule is to raise: f1_macro, balanced_accuracy, f1, "precision@recall>=0.95", ... '
            "Default f1_macro, with --costs expected_cost."
        ),
    ] = None,
    positive: Annotated[str | None, typer.Option(help="Positive class of two; default the rarer.")] = None,
    constraint: Annotated[
        list[str] | None,
        typer.Option(
            metavar="LIMIT",
            help='"recall_sick>=0.95", "precision_sick>=0.3", "false_alarms<=0.02", "alarm_rate<=0.01" or '
            '"alarms<=100"; may be repeated.',
        ),
    ] = None,
    confidence: Annotated[
        str, typer.Option(help="With which limits hold on new rows; none: on average only, about half of the time.")
    ] = "0.9",
    costs: Annotated[
        Path | None,
        typer.Option(help="What mistakes cost: CSV (rows truth, columns label) or YAML (truth: label: cost)."),
    ] = None,
    score: Annotated[
        str | None,
        typer.Option(metavar="COL", help="With two classes: the one column, the probability of the positive class."),
    ] = None,
    rule: Annotated[Path | None, typer.Option(metavar="FILE", help="Apply this saved rule instead of fitting.")] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Where the rule is saved, as JSON; default NAME-OF-THE-SCORES.rule.json in this folder. With --rule: "
            "where the labels go, CSV, TSV (also .gz) or Parquet; default: print CSV. An old file is replaced."
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Everything random is derived from it.")] = 0,
) -> None:
    """Find the best decision for scores that you already have: a threshold, or a weight per class. Nothing is trained.

    Prints the rule in words, what it is worth on rows it was not fitted on beside the plain arg max, and whether to
    trust it; saves it as JSON, which --rule applies to new scores.
    """
    if rule is not None:
        if target is not None or metric is not None or constraint or costs is not None:
            raise InputError("--rule by itself, with --score and --out", "options for fitting a rule as well")
        _apply(scores, rule, score, out)
        return
    if target is None:
        raise InputError("--target COL, the true labels, or --rule FILE", "neither", "see steelyard decide --help.")
    _fit(scores, target, metric, positive, constraint or [], _confidence(confidence), costs, score, out, seed)


# the docstring is the text of --help; the examples are kept apart so that they read as lines of a terminal
decide.__doc__ = f"{inspect.cleandoc(decide.__doc__ or '')}\n\n\b{_EXAMPLES}"


def _confidence(text: str) -> float | None:
    if text.strip().lower() == "none":
        return None
    try:
        return float(text)
    except ValueError:
        raise InputError("--confidence as a number in (0, 1), or none", repr(text)) from None


def _fit(
    scores: Path,
    target: str,
    metric: str | None,
    positive: str | None,
    constraints: list[str],
    confidence: float | None,
    costs: Path | None,
    score: str | None,
    out: Path | None,
    seed: int,
) -> None:
    from steelyard.comparison.score_table import ScoreTable
    from steelyard.comparison.target import read_target
    from steelyard.decisions import fit, read_costs

    path = out if out is not None else Path(f"{scores.name.split('.')[0]}.rule.json")
    if path.resolve() == scores.resolve():
        raise InputError("--out apart from SCORES", str(path))
    table = ScoreTable(scores)
    labels = table.labels(target)
    found = read_target(labels, target, positive)
    classes = found.counts.classes
    fitted = fit(
        table.scores(classes, score, found.positive),
        labels,
        metric or ("f1_macro" if costs is None else "expected_cost"),
        classes=classes,
        positive=None if found.positive is None else classes[found.positive],
        cost_matrix=None if costs is None else read_costs(costs, classes).matrix,
        constraints=constraints,
        confidence=confidence,
        random_state=seed,
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(fitted.to_dict(), indent=1, allow_nan=False) + "\n", encoding="utf-8")
    _show(fitted)
    _say(f"saved    {path}")
    _say(f"         steelyard decide NEW_SCORES.csv --rule {path} --out labels.csv")


def _say(text: str, style: str = "") -> None:
    """Print words of ours and of the user: no markup, and nothing that a terminal would obey."""
    shown = "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
    console.out.print(Text(shown, style), soft_wrap=True)


def _show(rule: Any) -> None:
    from steelyard.decisions.rule_words import decision_in_words

    for line in decision_in_words(rule):
        _say(line, "bold" if not line.startswith(" ") else "")
    console.out.print(_table(rule))
    if len(rule.classes) <= _MOST_CLASSES:
        console.out.print(_confusion(rule))
    for promise in rule.promises:
        _say(str(promise))
    if rule.trusted:
        _say("Nothing speaks against trusting it.", "green")
    for warning in rule.warnings:
        _say(f"note     {warning}", "yellow")


def _cell(interval: Any) -> str:
    from steelyard.report.words import number

    if interval.mean != interval.mean:
        return "–"
    return f"{number(interval.mean)}\n[dim]{number(interval.low)}–{number(interval.high)}[/]"


def _table(rule: Any) -> Table:
    level = 0.9 if rule.confidence is None else rule.confidence
    where = "rows labelled by rules fitted on other rows" if rule.cross_fitted else "the rows the rule was fitted on"
    table = Table(title=f"{sum(rule.counts):,} {where}; {100 * level:.0f} % intervals", title_justify="left")
    table.add_column("")
    table.add_column("arg max", justify="right", no_wrap=True)
    table.add_column("rule", justify="right", no_wrap=True)
    table.add_column("gain", justify="right", no_wrap=True)
    for one in rule.comparisons:
        if one.label is not None and len(rule.classes) > _MOST_CLASSES:
            continue
        name = one.name if one.label is None else f"{one.name} of {rule.classes[one.label]}"
        table.add_row(Text(name), _cell(one.before), _cell(one.after), _signed(one.gain), end_section=True)
    return table


def _signed(interval: Any) -> str:
    from steelyard.report.words import difference

    if interval.mean != interval.mean:
        return "–"
    known = interval.low == interval.low
    around = f"\n[dim]{difference(interval.low)} to {difference(interval.high)}[/]" if known else ""
    return f"{difference(interval.mean)}{around}"


def _confusion(rule: Any) -> Table:
    table = Table(title="truth ↓  label →", title_justify="left")
    table.add_column("")
    for label in rule.classes:
        table.add_column(Text(str(label)), justify="right")
    for label, row in zip(rule.classes, rule.confusion, strict=True):
        table.add_row(Text(str(label)), *(f"{n:,.0f}" for n in row))
    return table


def _apply(scores: Path, path: Path, score: str | None, out: Path | None) -> None:
    from steelyard.comparison.predictions import check_out
    from steelyard.comparison.score_table import ScoreTable, write_labels
    from steelyard.decisions import Rule, from_dict

    if out is not None:
        check_out(out, scores)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise InputError("a rule that `steelyard decide` saved", f"'{path}' ({str(error)[:80]})") from None
    rule = from_dict(content)
    if not isinstance(rule, Rule):
        raise InputError("a rule that `steelyard decide` saved", f"'{path}', a rule without class names")
    found = rule(ScoreTable(scores).scores(rule.classes, score, rule.positive))
    columns = (
        {"prediction": found.tolist()}
        if found.ndim == 1
        else {str(name): found[:, k].tolist() for k, name in enumerate(rule.classes)}
    )
    write_labels(columns, out)
    if out is not None:
        console.err.print(Text(f"{len(found):,} rows  {out}"), soft_wrap=True)
