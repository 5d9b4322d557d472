"""Differences from "none" with their intervals: from the summary, or, where it has none, from the folds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from steelyard.metrics import Estimate, Metric, corrected_resampled_t
from steelyard.report import words
from steelyard.report.content import BASELINE, Results, Row

__all__ = ["Differences", "Smallest", "said", "verdict_of"]

_TUNED = ":tuned"  # ending of a metric of the tuned decision, in `runs`


@dataclass(frozen=True)
class Smallest:
    """The smallest difference that could be seen, and what "seen" means."""

    value: float
    text: str


class Differences:
    """The folds of results.json, by model, strategy and metric.

    Parameters
    ----------
    results : mapping
        The content of results.json.
    """

    def __init__(self, results: Results) -> None:
        self._ratio = 1.0 / (results["settings"]["cv"] - 1)
        self._runs: dict[tuple[str, str], list[Any]] = {}
        for run in results["runs"]:
            self._runs.setdefault((run["model"], run["strategy"]), []).append(run["metrics"])

    def values(self, model: str, strategy: str, metric: str, decision: str) -> np.ndarray[Any, Any]:
        """Return one number per fold and repeat, NaN where it is undefined."""
        name = metric + (_TUNED if decision == "tuned" else "")
        found = [run.get(name) for run in self._runs.get((model, strategy), [])]
        return np.array([np.nan if v is None else v for v in found], np.float64)

    def interval(self, row: Row) -> tuple[float, float] | None:
        """Return the 95 % interval of a summary row's difference; None where there is none."""
        low, high = row.get("difference_low"), row.get("difference_high")
        if low is not None and high is not None:
            return float(low), float(high)
        at = row["model"], row["metric"], row["decision"]
        base = self.values(at[0], BASELINE, *at[1:])
        own = self.values(at[0], row["strategy"], *at[1:])
        if row["strategy"] == BASELINE or len(base) != len(own) or len(own) < 2:
            return None
        found: Estimate = corrected_resampled_t(own - base, self._ratio)
        return (found.low, found.high) if np.isfinite([found.low, found.high]).all() else None

    def smallest(self, metric: Metric, model: str, rows: list[Row]) -> Smallest | None:
        """Return the smallest difference that these rows and folds could show for a strategy of a model."""
        own = [r for r in rows if (r["model"], r["metric"], r["decision"]) == (model, metric.name, "default")]
        stated = [r["detectable"] for r in own if r.get("detectable") is not None]
        if stated:
            return Smallest(
                float(np.median(stated)),
                f"a true difference of this size from plain training with {model} would be found four times of five",
            )
        halves = [(high - low) / 2.0 for low, high in filter(None, map(self.interval, own)) if high > low]
        if not halves:
            return None
        return Smallest(
            float(np.median(halves)),
            f"half the width of a typical interval of a difference with {model}: less could not be told from noise",
        )


def said(row: Row, interval: tuple[float, float] | None) -> dict[str, str]:
    """Return a difference in words: {difference, interval, verdict, tone}.

    Examples
    --------
    >>> row = {"difference": 0.012, "verdict": "no detectable difference"}
    >>> said(row, (-0.004, 0.028))["difference"], said(row, (-0.004, 0.028))["interval"]
    ('+0.012', '[−0.004, +0.028]')
    """
    ends = "" if interval is None else f"[{words.difference(interval[0])}, {words.difference(interval[1])}]"
    return {
        "difference": words.difference(row["difference"]),
        "interval": ends,
        "verdict": verdict_of(row),
        "tone": {"helps": "helps", "harms": "harms", "baseline": "base"}.get(row["verdict"], "same"),
    }


def verdict_of(row: Mapping[str, Any]) -> str:
    """Return the verdict; where only the threshold was moved, it says so."""
    return "moves the threshold only" if row.get("only_threshold") else str(row["verdict"])
