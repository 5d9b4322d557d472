"""A study over data sets → what its page and its Markdown show."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from steelyard import metrics
from steelyard.errors import InputError
from steelyard.report import words
from steelyard.report.charts import Axis, axis_for
from steelyard.report.differences import verdict_of
from steelyard.report.markdown_text import text
from steelyard.report.rank_diagram import rank_diagram

__all__ = ["as_markdown", "study_view"]

Study = Mapping[str, Any]
Row = Mapping[str, Any]

_TONES = {"helps": "helps", "harms": "harms", "baseline": "base"}
_MOST_IN_DIAGRAM = 24  # names beside an axis: with more, the table is easier to read


def study_view(study: Study) -> dict[str, Any]:
    """Return everything that the template names: texts and positions.

    Parameters
    ----------
    study : mapping
        The content of study.json.

    Returns
    -------
    dict
    """
    first, *others = study["metrics"] or [study["settings"]["metric"]]
    return {
        "version": study["steelyard_version"],
        "metric": first,
        "explanation": _explanation(first),
        "n_sets": len(study["sets"]),
        "folds": f"{study['settings']['cv']} × {study['settings']['repeats']}",
        "seed": study["settings"]["random_state"],
        "findings": _findings(study, first),
        "groups": _groups(study, first),
        "others": [{"metric": name, "groups": _groups(study, name)} for name in others],
        "sets": [_of_set(one) for one in study["sets"]],
        "skipped": study["skipped"],
    }


def _explanation(metric: str) -> str:
    try:
        return metrics.get(metric, ("other", "positive")).explanation
    except InputError:
        return ""


def _groups(study: Study, metric: str) -> list[dict[str, Any]]:
    groups = []
    for test in study["tests"]:
        if test["metric"] != metric:
            continue
        rows = _ranked(study, test)
        axis = axis_for([r[end] for r in rows for end in ("rank_low", "mean_rank", "rank_high")])
        changes = axis_for([0.0, *(r[end] for r in rows for end in ("ci_low", "difference", "ci_high"))])
        ranked = [(r["strategy"], r["mean_rank"]) for r in rows if r["mean_rank"] is not None]
        drawn = test["critical_difference"] is not None and 2 <= len(ranked) <= _MOST_IN_DIAGRAM
        groups.append(
            {
                "model": test["model"],
                "decision": _decision(test["decision"]) if _has_decisions(metric) else "",
                "n_sets": test["n_sets"],
                "p": words.p_value(test["p_value"]),
                "cd": None if test["critical_difference"] is None else f"{test['critical_difference']:.2f}",
                "diagram": rank_diagram(ranked, test["critical_difference"]) if drawn else None,
                "ticks": axis.ticks,
                "change_ticks": changes.ticks,
                "zero": changes.position(0.0),
                "rows": [_line(r, axis, changes) for r in rows],
            }
        )
    return groups


def _ranked(study: Study, test: Row) -> list[Row]:
    key = tuple(test[k] for k in ("model", "decision", "metric"))
    rows = [r for r in study["summary"] if tuple(r[k] for k in ("model", "decision", "metric")) == key]
    return sorted(rows, key=lambda r: (r["mean_rank"] is None, r["mean_rank"] or 0.0))


def _has_decisions(metric: str) -> bool:
    try:
        return metrics.get(metric, ("other", "positive")).kind == "label"
    except InputError:
        return True


def _decision(decision: str) -> str:
    return "each strategy's own decision" if decision == "default" else "decisions tuned inside the training folds"


def _line(row: Row, ranks: Axis, changes: Axis) -> dict[str, Any]:
    return {
        "strategy": row["strategy"],
        "mean": words.number(row["mean"]),
        "rank": "–" if row["mean_rank"] is None else f"{row['mean_rank']:.2f}",
        "rank_interval": _between(row["rank_low"], row["rank_high"], 1),
        "rank_mark": _mark(row, ranks, ("rank_low", "mean_rank", "rank_high")),
        "difference": "" if row["difference"] is None else words.difference(row["difference"]),
        "interval": ""
        if row["ci_low"] is None
        else f"{words.difference(row['ci_low'])} to {words.difference(row['ci_high'])}",
        "mark": _mark(row, changes, ("ci_low", "difference", "ci_high")),
        "p": words.p_value(row["p_adjusted"]),
        "verdict": verdict_of(row),
        "tone": _TONES.get(row["verdict"], "same"),
        "tally": "" if row["verdict"] == "baseline" else f"{row['helps']} / {row['harms']} of {row['n_sets']}",
    }


def _between(low: float | None, high: float | None, digits: int) -> str:
    return "" if low is None or high is None else f"{low:.{digits}f} to {high:.{digits}f}"


def _mark(row: Row, axis: Axis, ends: tuple[str, str, str]) -> dict[str, float] | None:
    low, middle, high = (row[end] for end in ends)
    if middle is None:
        return None
    start = axis.position(middle if low is None else low)
    end = axis.position(middle if high is None else high)
    return {"start": start, "width": round(end - start, 2), "middle": axis.position(middle)}


def _of_set(one: Row) -> dict[str, Any]:
    best = one["best"]
    how = f", {words.own_or_tuned(best['decision'])} decision" if _has_decisions(best["metric"]) else ""
    who = "–" if best["strategy"] is None else f"{best['strategy']} ({best['model']}{how})"
    return {
        "set": one["set"],
        "link": f"sets/{one['set']}/report.html",
        "rows": f"{one['rows']:,}",
        "features": f"{one['features']:,}",
        "classes": str(one["classes"]),
        "ratio": f"{one['imbalance_ratio']:.1f}",
        "none": words.number(one["baseline"]),
        "best": who,
        "estimate": words.number(best["estimate"]),
        "interval": f"{words.number(best['ci_low'])} to {words.number(best['ci_high'])}",
    }


def _findings(study: Study, metric: str) -> list[str]:
    """Say per model and decision who differs from plain training over the data sets."""
    said = []
    for test in study["tests"]:
        if test["metric"] != metric:
            continue
        rows = _ranked(study, test)
        where = f"{test['model']}"
        if _has_decisions(metric):
            where += ", " + _decision(test["decision"])
        found = []
        for outcome, verb in (("helps", "help"), ("harms", "harm")):
            names = [r["strategy"] for r in rows if r["verdict"] == outcome]
            if names:
                found.append(f"{words.joined(names)} {verb}{'s' if len(names) == 1 else ''}")
        moved = [r["strategy"] for r in rows if r.get("only_threshold")]
        if moved:
            found.append(f"{words.joined(moved)} move{'s' if len(moved) == 1 else ''} the threshold only")
        text = "; ".join(found) if found else "no strategy differs detectably from plain training"
        said.append(f"{where}: {text}, over {test['n_sets']} data sets.")
    strategies = {r["strategy"] for r in study["summary"] if r["verdict"] != "baseline"}
    needed = _sets_needed(len(strategies))
    if strategies and len(study["sets"]) < needed:
        said.append(
            f"{len(study['sets'])} data sets are too few for a verdict: below {needed}, the same outcome on every one "
            "of them could be chance."
        )
    return said


def _sets_needed(strategies: int) -> int:
    """Return on how many data sets one of several strategies must gain before a signed-rank test can say so at 5 %.

    With all n differences of one sign p = 2 / 2ⁿ, two-sided; Holm's adjustment multiplies the smallest of m by m.

    Examples
    --------
    >>> _sets_needed(1), _sets_needed(16)
    (6, 10)
    """
    return math.ceil(math.log2(2 * max(strategies, 1) / 0.05))


def as_markdown(study: Study) -> str:
    """Return the study as Markdown: the same content, in tables.

    Names are text: what Markdown would read as markup is escaped.
    """
    view = study_view(study)
    lines = [
        f"# A study over {view['n_sets']} data sets",
        "",
        f"Ranked by `{view['metric']}`. {view['explanation']} {view['folds']} folds, seed {view['seed']}, "
        f"Steelyard {view['version']}. Intervals: 95 %, over data sets. Verdicts: signed-rank test against `none` over "
        "data sets, Holm's adjustment over the strategies of a model.",
        "",
        *(f"- {text(sentence)}" for sentence in view["findings"]),
    ]
    for part in [{"metric": view["metric"], "groups": view["groups"]}, *view["others"]]:
        for group in part["groups"]:
            named = f"{part['metric']}, {group['model']}" + (f", {group['decision']}" if group["decision"] else "")
            friedman = f" Friedman {group['p']}." if group["p"] else ""
            nemenyi = f" Critical difference of mean ranks (Nemenyi, .05): {group['cd']}." if group["cd"] else ""
            lines += ["", f"## {text(named)}", "", f"{group['n_sets']} data sets.{friedman}{nemenyi}", ""]
            lines += _table(
                ("strategy", "mean rank", "mean", "against none", "95 %", "p", "verdict", "helps / harms on"),
                [_cells(row) for row in group["rows"]],
            )
    lines += ["", "## Data sets", ""]
    lines += _table(
        ("set", "rows", "features", "classes", "largest : smallest", "none", "best", "expect", "95 %"),
        [
            tuple(s[k] for k in ("set", "rows", "features", "classes", "ratio", "none", "best", "estimate", "interval"))
            for s in view["sets"]
        ],
    )
    lines += ["", *(f"- left out: {text(s['set'])}: {text(s['reason'])}" for s in view["skipped"])]
    return "\n".join(lines).rstrip() + "\n"


def _cells(row: Row) -> list[str]:
    rank = f"{row['rank']} ({row['rank_interval']})" if row["rank_interval"] else row["rank"]
    return [row["strategy"], rank, *(row[k] for k in ("mean", "difference", "interval", "p", "verdict", "tally"))]


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    drawn = [head, ["---"] * len(head), *([text(cell) for cell in row] for row in rows)]
    return ["| " + " | ".join(cells) + " |" for cells in drawn]
