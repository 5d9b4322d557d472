"""What a warning means and what to do about it; which strategies are missing, and why."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["notes", "skipped"]


@dataclass(frozen=True)
class _Advice:
    pattern: str
    meaning: str
    remedy: str


_ADVICE = (
    _Advice(
        r"is left out: it has no (finite )?values",
        "The column is empty, so no model could learn from it.",
        "Nothing, if you know it. Otherwise look at how the table was exported.",
    ),
    _Advice(
        r"is left out: it is constant",
        "One value in every row tells no row from another.",
        "Nothing. If it should vary, look at how the table was joined or filtered.",
    ),
    _Advice(
        r"is left out: it numbers the rows",
        "A model could only learn in which order the file was written. Files are often sorted by class, and then such "
        "a column gives the answer away here and nothing on new rows.",
        "Nothing, if it is a running number. If it is a measurement, give it in another unit or with gaps.",
    ),
    _Advice(
        r"look like an identifier or free text",
        "Nearly every row has its own text, so there is nothing that rows have in common.",
        "Leave it out, or turn the text into features first (length, words, an embedding).",
    ),
    _Advice(
        r"is left out: its type, .*, is neither",
        "Lists, structures and bytes have no single value per row.",
        "Turn it into numbers or categories first, if it matters.",
    ),
    _Advice(
        r"infinite values?: they are treated as missing",
        "An infinite value is usually a division by zero on the way here. Missing values are filled in inside each "
        "training fold.",
        "Find where they come from: what they stand for may be a fact of its own.",
    ),
    _Advice(
        r"is a (moment|duration): it is used as a number",
        "A date as a number lets a model learn a trend over time. With folds drawn at random it is tested on the same "
        "period that it was trained on, which new rows will not be.",
        "Leave the column out if new rows come later than these, or derive what matters (weekday, age).",
    ),
    _Advice(
        r"of the rows repeat the features of an earlier row",
        "Copies end up in a training fold and in its test fold. Every score here is then too high, and strategies that "
        "remember rows gain most.",
        "Drop the copies, or keep rows that belong together in one fold.",
    ),
    _Advice(
        r"decisions are not tuned",
        "To tune a decision, rows of every class are held out of each training fold, and here there is none to spare.",
        "Collect more rows of that class, merge it with another, or use fewer repeats and more folds.",
    ),
    _Advice(
        r"says what mistakes cost, and is no feature",
        "What a row costs is often known only after its outcome, and would tell it to a model. Decisions use it all "
        "the same: it has to be known when a row is decided on, for the tuned decision to be usable.",
        "Ask for it with --cost-features, if it is known as early as the other columns.",
    ),
    _Advice(
        r"cannot be promised with confidence",
        "To be sure of a share among new rows takes rows: below this number even a decision that misses none of them "
        "proves nothing.",
        "Collect more rows of that class, or ask for a lower floor.",
    ),
    _Advice(
        r"^class .* has \d+ rows",
        "One row more or less moves the recall of this class by several per cent. That is noise of the data, which no "
        "number of repeats takes away.",
        "Read the intervals, not the means; collect more rows of this class before choosing between strategies.",
    ),
    _Advice(
        r"fits stopped after \d+ ",
        "The optimiser ran out of steps, so these fits are not quite the minimum of their loss. Differences of the "
        "size of rounding should not be read.",
        "Nothing, if it is a few fits. If it is most of them, look for features of extreme size.",
    ),
)


def notes(warnings: Sequence[str]) -> list[dict[str, Any]]:
    """Group warnings of one kind, and explain the kind.

    Parameters
    ----------
    warnings : sequence of str
        As in results.json.

    Returns
    -------
    list of dict
        {first, others, meaning, remedy}, in the order of the first of each kind. Meaning and remedy are empty
        for a warning of which nothing is known.

    Examples
    --------
    >>> note, = notes(["column 'a' is left out: it is constant", "column 'b' is left out: it is constant"])
    >>> note["others"], note["meaning"]
    (["column 'b' is left out: it is constant"], 'One value in every row tells no row from another.')
    """
    grouped: dict[_Advice | str, list[str]] = {}
    for text in warnings:
        known = next((a for a in _ADVICE if re.search(a.pattern, text)), None)
        grouped.setdefault(known or text, []).append(text)
    return [
        {
            "first": texts[0],
            "others": texts[1:],
            "meaning": kind.meaning if isinstance(kind, _Advice) else "",
            "remedy": kind.remedy if isinstance(kind, _Advice) else "",
        }
        for kind, texts in grouped.items()
    ]


def skipped(entries: Sequence[Mapping[str, Any]], models: Sequence[str]) -> list[dict[str, str]]:
    """Return what was left out and why; entries with one reason share a line.

    Examples
    --------
    >>> skipped([{"strategy": "smote", "model": "mlp", "reason": "too few rows"}], ["linear", "mlp"])
    [{'who': 'smote (mlp)', 'reason': 'too few rows'}]
    """
    grouped: dict[str, list[str]] = {}
    for entry in entries:
        model = entry.get("model")
        named = f"{entry['strategy']} ({model})" if model is not None and [model] != list(models) else entry["strategy"]
        grouped.setdefault(entry["reason"], []).append(named)
    return [{"who": ", ".join(who), "reason": reason} for reason, who in grouped.items()]
