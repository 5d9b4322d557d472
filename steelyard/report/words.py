"""What the numbers amount to, in sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["difference", "headline", "joined", "number", "p_value"]

Rows = Sequence[Mapping[str, Any]]


def number(value: float | None, digits: int = 3) -> str:
    """Format a number; an undefined one is a dash.

    Examples
    --------
    >>> number(0.86274), number(None), number(-0.00001)
    ('0.863', '–', '0.000')
    """
    if value is None:
        return "–"
    text = f"{value:.{digits}f}"
    return text.lstrip("-") if float(text) == 0.0 else text.replace("-", "−")


def difference(value: float | None, digits: int = 3) -> str:
    """Format a difference, with its sign.

    Examples
    --------
    >>> difference(0.0949), difference(-0.02), difference(0.0)
    ('+0.095', '−0.020', '0.000')
    """
    text = number(value, digits)
    return f"+{text}" if value is not None and value > 0 and float(text) != 0.0 else text


def p_value(value: float | None) -> str:
    """Format a p-value.

    Examples
    --------
    >>> p_value(0.0004), p_value(0.0312), p_value(None)
    ('p < 0.001', 'p = 0.031', '')
    """
    if value is None:
        return ""
    return "p < 0.001" if value < 0.001 else f"p = {value:.3f}"


def joined(names: Sequence[str]) -> str:
    """Join names as a sentence does.

    Examples
    --------
    >>> joined(["a"]), joined(["a", "b", "c"])
    ('a', 'a, b and c')
    """
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _with(rows: Rows, verdict: str) -> list[str]:
    return [r["strategy"] for r in rows if r["verdict"] == verdict]


def _compared(rows: Rows, where: str) -> list[str]:
    """Say who helps and who harms, or that nothing was detected."""
    helps, harms = _with(rows, "helps"), _with(rows, "harms")
    said = []
    if helps:
        said.append(f"{where}, {joined(helps)} {'helps' if len(helps) == 1 else 'help'}.")
    if harms:
        said.append(f"{where}, {joined(harms)} {'harms' if len(harms) == 1 else 'harm'}.")
    if not said and any(r["verdict"] != "baseline" for r in rows):
        said.append(f"{where}, no strategy differs detectably from plain training.")
    return said


def headline(default: Rows, tuned: Rows, metric: str, kind: str) -> list[str]:
    """Return the findings for one metric as sentences.

    Parameters
    ----------
    default, tuned : sequences of summary rows
        `tuned` is empty where the metric does not depend on a decision, or none was tuned.
    metric : str
    kind : {"label", "ranking", "probability"}
    """
    if kind != "label":
        return _compared(default, f"By {metric}")
    said = _compared(default, f"By {metric}, each strategy deciding in its own way")
    if not tuned:
        return said
    said += _compared(tuned, "Once every strategy's decision is tuned, plain training included")
    if _with(default, "helps") and not _with(tuned, "helps"):
        said.append(
            "What helped was the moved decision: tuning that of the plain model does as well, as far as these rows "
            "can tell, without changing how it is trained."
        )
    return said
