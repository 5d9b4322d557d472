"""What the numbers amount to, in sentences."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["difference", "headline", "joined", "number", "own_or_tuned", "p_value", "tally"]

Rows = Sequence[Mapping[str, Any]]

_MOST_NAMES = 6  # more names in a sentence are not read


def number(value: float | None, digits: int = 3) -> str:
    """Format a number; an undefined one is a dash. From 10 on, as costs may be, there are fewer decimals.

    Examples
    --------
    >>> number(0.86274), number(None), number(-0.00001), number(1234.56)
    ('0.863', '–', '0.000', '1,235')
    """
    if value is None:
        return "–"
    if abs(value) >= 10.0:
        digits = max(0, digits + 1 - len(str(int(abs(value)))))
    text = f"{value:,.{digits}f}"
    return text.lstrip("-") if _is_zero(text) else text.replace("-", "−")


def difference(value: float | None, digits: int = 3) -> str:
    """Format a difference, with its sign.

    Examples
    --------
    >>> difference(0.0949), difference(-0.02), difference(0.0)
    ('+0.095', '−0.020', '0.000')
    """
    text = number(value, digits)
    return f"+{text}" if value is not None and value > 0 and not _is_zero(text) else text


def _is_zero(text: str) -> bool:
    return not any(digit in text for digit in "123456789")


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


def own_or_tuned(decision: str) -> str:
    """Name a decision of results.json as people are told of it.

    Examples
    --------
    >>> own_or_tuned("default"), own_or_tuned("tuned")
    ('own', 'tuned')
    """
    return "own" if decision == "default" else decision


def joined(names: Sequence[str]) -> str:
    """Join names as a sentence does.

    Examples
    --------
    >>> joined(["a"]), joined(["a", "b", "c"])
    ('a', 'a, b and c')
    """
    if not names:
        return ""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _with(rows: Rows, verdict: str) -> list[str]:
    """Return the strategies of a verdict, the largest difference first."""
    return _largest_first([r for r in rows if r["verdict"] == verdict])


def _largest_first(rows: Rows) -> list[str]:
    return [r["strategy"] for r in sorted(rows, key=lambda r: -abs(r.get("difference") or 0.0))]


def _who(names: Sequence[str], tested: int, verb: str) -> str:
    """Name them all, or, where there are many, their number and the first few."""
    if len(names) == 1:
        return f"{names[0]} {verb}s"
    if len(names) <= _MOST_NAMES:
        return f"{joined(names)} {verb}"
    whole = "all" if len(names) == tested else f"{len(names)} of"
    return f"{whole} {tested} strategies {verb}, most of all {joined(names[:3])}"


def tally(rows: Rows) -> str:
    """Say how many strategies got which verdict.

    Examples
    --------
    >>> tally([{"verdict": "baseline"}, {"verdict": "helps"}, {"verdict": "no detectable difference"}])
    '1 helps, 1 no detectable difference'
    """
    count = Counter("moved" if r.get("only_threshold") else r["verdict"] for r in rows)
    words = {
        "helps": ("helps", "help"),
        "harms": ("harms", "harm"),
        "moved": ("moves the threshold only", "move the threshold only"),
    }
    said = [f"{count[v]} {one if count[v] == 1 else many}" for v, (one, many) in words.items() if count[v]]
    same = count["no detectable difference"]
    return ", ".join([*said, f"{same} no detectable difference"] if same else said)


def _compared(rows: Rows, where: str) -> list[str]:
    """Say who helps and who harms, or that nothing was detected."""
    helps, harms = _with(rows, "helps"), _with(rows, "harms")
    tested = sum(r["verdict"] != "baseline" for r in rows)
    moved = _largest_first([r for r in rows if r.get("only_threshold")])
    said = []
    if helps:
        said.append(f"{where}, {_who(helps, tested, 'help')}.")
    if moved:
        said.append(
            f"{where}, {_who(moved, tested, 'gain')}{',' if len(moved) > _MOST_NAMES else ''} over plain training at "
            "its own threshold, and not over plain training with a moved threshold, which costs no training."
        )
    if harms:
        said.append(f"{where}, {_who(harms, tested, 'harm')}.")
    if not said and tested:
        said.append(f"{where}, no strategy differs detectably from plain training.")
    return said


def headline(default: Rows, tuned: Rows, metric: str, kind: str) -> list[str]:
    """Return the findings for one metric as sentences.

    Parameters
    ----------
    default, tuned : sequences of summary rows
        `tuned` is empty where the metric does not depend on a decision, or none was tuned; `default` where the metric
        is only read at tuned decisions.
    metric : str
    kind : {"label", "ranking", "probability"}
    """
    if kind != "label":
        return _compared(default, f"By {metric}")
    if not default:
        return _compared(tuned, f"By {metric}, once every strategy's decision is tuned")
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
