"""Metrics of all folds → means, intervals, verdicts, and the best of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steelyard.comparison.dataset import Dataset
from steelyard.comparison.folds import seed
from steelyard.comparison.scoring import TUNED, OutOfFold
from steelyard.comparison.selection import corrected_for_selection
from steelyard.comparison.settings import BASELINE, Settings
from steelyard.metrics import Estimate, Metric, corrected_resampled_t, holm, verdict

__all__ = ["best_of", "summarise"]

Values = Mapping[
    tuple[str, str], NDArray[np.float64]
]  # (strategy, metric name in runs) → one value per fold, of a model

# bootstrap samples: 500 up to 200,000 rows, then as many as draw 10⁸ rows, and never fewer than 100, of which the outer
# two are the limits of the interval. With so many rows the optimism that they estimate is itself next to nothing
_DRAWS, _FEWEST_DRAWS, _DRAWN_ROWS = 500, 100, 100_000_000

# a difference below this is what two optimisers of the same loss may differ by, whatever its p-value; costs, which have
# a unit, are counted in the range of what a row may cost
_RESOLUTION = 1e-4


def summarise(
    model: str, values: Values, strategies: Sequence[str], metrics: Sequence[Metric], settings: Settings
) -> list[dict[str, Any]]:
    """Return the part `summary` of results.json for a model: one row per strategy, decision and metric.

    A strategy is compared with "none" at the same decision, default with default and tuned with tuned, so
    that no strategy is credited for moving a threshold that could have been moved for nothing. Holm's
    adjustment runs over the strategies of the model. Metrics that do not depend on a decision have rows for "default"
    only.
    """
    ratio = 1.0 / (settings.cv - 1)
    rows = []
    for metric in metrics:
        decisions = ("default", "tuned") if metric.kind == "label" else ("default",)
        for decision in decisions:
            name = metric.name + (TUNED if decision == "tuned" else "")
            if (BASELINE, name) not in values:
                continue
            base = values[BASELINE, name]
            differences = {s: corrected_resampled_t(values[s, name] - base, ratio) for s in strategies}
            tested = [s for s in strategies if s != BASELINE]
            adjusted = dict(zip(tested, holm([differences[s].p_value for s in tested]), strict=True))
            for s in strategies:
                mean = corrected_resampled_t(values[s, name], ratio)
                rows.append(
                    {"model": model, "strategy": s, "decision": decision, "metric": metric.name}
                    | _bounded(mean, metric)
                    | _compared(s, differences[s], adjusted, metric)
                )
    return rows


def _bounded(mean: Estimate, metric: Metric) -> dict[str, float]:
    """Cut the interval to the values that the metric can take: Student's t does not know them."""
    low, high = metric.bounds
    return {
        "mean": mean.mean,
        "ci_low": float(np.maximum(mean.low, low)),
        "ci_high": float(np.minimum(mean.high, high)),
    }


def _compared(strategy: str, difference: Estimate, adjusted: Mapping[str, float], metric: Metric) -> dict[str, Any]:
    if strategy == BASELINE:
        return {"difference": None, "p_adjusted": None, "verdict": "baseline"}
    p = float(adjusted[strategy])
    told_apart = abs(difference.mean) >= _RESOLUTION * _unit(metric)
    return {
        "difference": difference.mean,
        "p_adjusted": p,
        "verdict": verdict(difference.mean, p if told_apart else 1.0, metric.greater_is_better),
    }


def _unit(metric: Metric) -> float:
    low, high = metric.bounds
    return high - low if metric.name == "expected_cost" else 1.0


def best_of(
    summary: Sequence[Mapping[str, Any]],
    scores: Mapping[tuple[str, str], OutOfFold],
    metric: Metric,
    dataset: Dataset,
    settings: Settings,
) -> dict[str, Any]:
    """Return the part `best` of results.json: the best mean, corrected for having been the best.

    Of equal means the earlier wins, the baseline first and the default decision before the tuned one: what is
    simpler needs no reason.
    """
    rows = [r for r in summary if r["metric"] == metric.name and np.isfinite(r["mean"])]
    empty = {"model": None, "strategy": None, "decision": None, "metric": metric.name}
    if not rows:
        return empty | {"estimate": None, "ci_low": None, "ci_high": None}
    sign = 1.0 if metric.greater_is_better else -1.0
    # twelve digits: equal but for rounding is equal
    order = [round(sign * r["mean"] / _unit(metric), 12) for r in rows]
    winner = int(np.argmax(order))
    y = dataset.target.y
    candidates = []
    for row in rows:
        stored = scores[row["model"], row["strategy"]]
        labels = stored.labels(row["decision"])
        candidates.append([metric.prepare(y, stored.proba[r], labels[r]) for r in range(len(labels))])
    corrected = corrected_for_selection(
        candidates,
        winner,
        rows[winner]["mean"],
        y,
        seed(settings.random_state, "bootstrap"),
        metric.greater_is_better,
        draws=int(np.clip(_DRAWN_ROWS // len(y), _FEWEST_DRAWS, _DRAWS)),
    )
    low, high = metric.bounds
    return {key: rows[winner][key] for key in ("model", "strategy", "decision", "metric")} | {
        "estimate": float(np.clip(corrected.estimate, low, high)),
        "ci_low": float(np.maximum(corrected.low, low)),
        "ci_high": float(np.minimum(corrected.high, high)),
    }
