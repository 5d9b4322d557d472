"""Metrics of all folds → means, intervals, verdicts, and the best of them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steelyard.comparison.scoring import TUNED, OutOfFold
from steelyard.comparison.selection import corrected_for_selection
from steelyard.comparison.settings import BASELINE, Settings
from steelyard.metrics import Estimate, Metric, corrected_resampled_t, holm, smallest_detectable, verdict
from steelyard.metrics.intervals import Verdict
from steelyard.tuning.seeds import seed

__all__ = ["best_among", "best_of", "summarise"]

Floats = NDArray[np.float64]
Values = Mapping[
    tuple[str, str], NDArray[np.float64]
]  # (strategy, metric name in runs) → one value per fold, of a model

_ALPHA = 0.05  # of a verdict, over the strategies of a model
_POWER = 0.8  # with which the smallest detectable difference would be found
Candidate = Sequence[Callable[[NDArray[np.float64] | None], float]]  # per repeat: the metric as a function of weights
# bootstrap samples: 500 up to 200,000 rows, then as many as draw 10⁸ rows, and never fewer than 100, of which the outer
# two are the limits of the interval. With so many rows the optimism that they estimate is itself next to nothing
_DRAWS, _FEWEST_DRAWS, _DRAWN_ROWS = 500, 100, 100_000_000

# a difference below this is what two optimisers of the same loss may differ by, whatever its p-value; costs, which have
# a unit, are counted in the range of what a row may cost
_RESOLUTION = 1e-4


def summarise(
    model: str,
    values: Values,
    strategies: Sequence[str],
    metrics: Sequence[Metric],
    settings: Settings,
    test_to_train: float,
    free: Callable[[Metric], Floats],
    stopped: int = 0,
) -> list[dict[str, Any]]:
    """Return the part `summary` of results.json for a model: one row per strategy, decision and metric.

    A strategy is compared with "none" at the same decision, default with default and tuned with tuned. Holm's
    adjustment runs over the strategies of the model. Metrics that do not depend on a decision have rows for "default"
    only.

    At its own decision a gain by a label metric counts as "helps" only if it is also one over plain training with a
    free moved threshold: its decision tuned for this very metric, in inner folds where that was done, else on the
    stored scores of the other folds. Both gains have to be shown, so the larger of two p-values counts (an
    intersection–union test; Berger, Technometrics 24, 1982). Where only the gain over "none" is, the row has
    ``only_threshold`` and no detectable difference. The mean over folds of that yardstick is ``free_threshold`` in the
    baseline's row, for whoever asks the same over many data sets.

    Parameters
    ----------
    model : str
    values : mapping of (strategy, metric name) to float64 ndarray of shape (J,)
    strategies : sequence of str
        With a value on every fold.
    metrics : sequence of Metric
    settings : Settings
    test_to_train : float
        Of the folds, as for `corrected_resampled_t`.
    free : callable
        Label metric → plain training with a moved threshold, shape (J,).
    stopped : int
        Strategies that a race has stopped. They could have helped, so that they count in Holm's adjustment.
    """
    rows = []
    tested = [s for s in strategies if s != BASELINE]
    level = _ALPHA / max(len(tested) + stopped, 1)  # Holm's first step: what any strategy has to pass at worst
    for metric in metrics:
        for decision in ("default", "tuned") if metric.kind == "label" else ("default",):
            name = metric.name + (TUNED if decision == "tuned" else "")
            if (BASELINE, name) not in values:
                continue
            gains = {s: values[s, name] - values[BASELINE, name] for s in tested}
            differences = {s: corrected_resampled_t(gain, test_to_train) for s, gain in gains.items()}
            adjusted = _adjusted({s: d.p_value for s, d in differences.items()}, stopped)
            base = corrected_resampled_t(values[BASELINE, name], test_to_train).mean
            verdicts = {s: _verdict(differences[s].mean, base, adjusted[s], metric) for s in tested}
            moved: Collection[str] = ()
            yardstick: Floats | None = None
            if metric.kind == "label" and decision == "default" and tested:
                is_tuned = settings.decision_metric == metric.name
                tuned = values.get((BASELINE, metric.name + TUNED)) if is_tuned else None
                yardstick = free(metric) if tuned is None else tuned
            if yardstick is not None and "helps" in verdicts.values():
                over = {s: corrected_resampled_t(values[s, name] - yardstick, test_to_train) for s in tested}
                moved = _only_moved(verdicts, differences, over, metric, stopped)
            for s in strategies:
                row: dict[str, Any] = {"model": model, "strategy": s, "decision": decision, "metric": metric.name}
                row |= _bounded(corrected_resampled_t(values[s, name], test_to_train), metric)
                if s == BASELINE:
                    row |= {"difference": None, "p_adjusted": None, "verdict": "baseline", "detectable": None}
                else:
                    row |= {
                        "difference": differences[s].mean,
                        "p_adjusted": adjusted[s],
                        "verdict": "no detectable difference" if s in moved else verdicts[s],
                        "detectable": smallest_detectable(gains[s], test_to_train, level, _POWER),
                    }
                of_free = yardstick if s == BASELINE and yardstick is not None else np.array([np.nan])
                row |= {"only_threshold": s in moved}
                rows.append(row | {"free_threshold": float(of_free.mean()) if np.isfinite(of_free).all() else None})
    return rows


def _adjusted(p_values: Mapping[str, float], stopped: int) -> dict[str, float]:
    """Adjust by Holm, as if strategies that a race has stopped had shown nothing."""
    found = holm([*p_values.values(), *[1.0] * stopped])
    return dict(zip(p_values, found[: len(p_values)].tolist(), strict=True))


def _verdict(difference: float, base: float, p: float, metric: Metric) -> Verdict:
    told_apart = abs(difference) >= _RESOLUTION * _unit(metric)
    up_is_better = metric.improves(difference, base) == (difference > 0)
    return verdict(difference, p if told_apart else 1.0, up_is_better, _ALPHA)


def _only_moved(
    verdicts: Mapping[str, Verdict],
    over_none: Mapping[str, Estimate],
    over_free: Mapping[str, Estimate],
    metric: Metric,
    stopped: int,
) -> set[str]:
    """Return the strategies that are better than "none", but not than "none" with a moved threshold."""
    sign = 1.0 if metric.greater_is_better else -1.0
    least = _RESOLUTION * _unit(metric)
    p = {s: max(over_none[s].p_value, e.p_value if sign * e.mean >= least else 1.0) for s, e in over_free.items()}
    adjusted = _adjusted(p, stopped)
    return {s for s, said in verdicts.items() if said == "helps" and not adjusted[s] < _ALPHA}


def _bounded(mean: Estimate, metric: Metric) -> dict[str, float]:
    """Cut the interval to the values that the metric can take: Student's t does not know them."""
    low, high = metric.bounds
    return {
        "mean": mean.mean,
        "ci_low": float(np.maximum(mean.low, low)),
        "ci_high": float(np.minimum(mean.high, high)),
    }


def _unit(metric: Metric) -> float:
    low, high = metric.bounds
    return high - low if metric.name == "expected_cost" else 1.0


def best_of(
    summary: Sequence[Mapping[str, Any]],
    scores: Mapping[tuple[str, str], OutOfFold],
    metric: Metric,
    y: NDArray[np.int64],
    settings: Settings,
) -> dict[str, Any]:
    """Return the part `best` of results.json: the best mean, corrected for having been the best.

    Of equal means the earlier wins, the baseline first and the default decision before the tuned one: what is
    simpler needs no reason.
    """

    def over_repeats(row: Mapping[str, Any]) -> Candidate:
        stored = scores[row["model"], row["strategy"]]
        labels = stored.labels(row["decision"])
        return [metric.prepare(y, stored.proba[r], labels[r]) for r in range(len(labels))]

    return best_among(summary, over_repeats, metric, y, settings)


def best_among(
    summary: Sequence[Mapping[str, Any]],
    candidate: Callable[[Mapping[str, Any]], Candidate],
    metric: Metric,
    strata: NDArray[np.int64],
    settings: Settings,
) -> dict[str, Any]:
    """Return what `best_of` does, of rows whose metric on drawn rows `candidate` knows; these are drawn in strata."""
    rows = [r for r in summary if r["metric"] == metric.name and np.isfinite(r["mean"])]
    empty = {"model": None, "strategy": None, "decision": None, "metric": metric.name}
    if not rows:
        return empty | {"estimate": None, "ci_low": None, "ci_high": None}
    sign = 1.0 if metric.greater_is_better else -1.0
    # twelve digits: equal but for rounding is equal
    order = [round(sign * r["mean"] / _unit(metric), 12) for r in rows]
    winner = int(np.argmax(order))
    corrected = corrected_for_selection(
        [candidate(row) for row in rows],
        winner,
        rows[winner]["mean"],
        strata,
        seed(settings.random_state, "bootstrap"),
        metric.greater_is_better,
        draws=int(np.clip(_DRAWN_ROWS // len(strata), _FEWEST_DRAWS, _DRAWS)),
    )
    low, high = metric.bounds
    return {key: rows[winner][key] for key in ("model", "strategy", "decision", "metric")} | {
        "estimate": float(np.clip(corrected.estimate, low, high)),
        "ci_low": float(np.maximum(corrected.low, low)),
        "ci_high": float(np.minimum(corrected.high, high)),
    }
