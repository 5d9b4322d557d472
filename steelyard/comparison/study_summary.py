"""Results of many data sets → mean ranks, critical differences, and differences from the baseline with verdicts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steelyard.comparison.settings import BASELINE
from steelyard.errors import InputError
from steelyard.metrics import WITH_IDEAL, get, holm, names, verdict
from steelyard.metrics.ranks import across_sets, rank_methods

__all__ = ["common_metrics", "summarise_sets"]

Row = Mapping[str, Any]

_RESOLUTION = 1e-4  # means nearer than this are a tie: two optimisers of the same loss differ by as much
_UNIT = 4  # the decimals of it


def common_metrics(results: Mapping[str, Row], first: str) -> list[str]:
    """Return the metrics that every data set has, `first` before the others; those of one class mean different things.

    Examples
    --------
    >>> rows = lambda *names: {"summary": [{"metric": name} for name in names]}
    >>> common_metrics({"a": rows("f1", "recall_x", "roc_auc"), "b": rows("roc_auc", "f1", "recall_x")}, "roc_auc")
    ['roc_auc', 'f1']
    """
    found = [dict.fromkeys(r["metric"] for r in one["summary"]) for one in results.values()]
    # a slope of which neither more nor less is better has no rank
    general = {first, *names()} - set(WITH_IDEAL)
    shared = [name for name in found[0] if name in general and all(name in others for others in found)] if found else []
    return sorted(shared, key=lambda name: name != first)


def summarise_sets(results: Mapping[str, Row], first: str) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Compare strategies over data sets.

    Parameters
    ----------
    results : mapping of data set to the content of its results.json
    first : str
        The metric that the study ranks by.

    Returns
    -------
    summary : list of dict
        One row per model, strategy, decision and metric: {model, strategy, decision, metric, n_sets, mean, mean_rank,
        rank_low, rank_high, difference, ci_low, ci_high, p_adjusted, verdict, only_threshold, helps, harms}. `mean` is
        the mean over data sets, `difference` its difference from "none" with a 95 % Student interval over data sets,
        `p_adjusted` that of the signed-rank test after Holm's adjustment over the strategies of a model; `helps` and
        `harms` count data sets on which the verdict was that. At its own decision a strategy "helps" by a label metric
        only if it is better than "none" and than "none" with its decision tuned, by the larger p-value of the two;
        where only the first was shown, `only_threshold` is true. Ranks are of strategies that have a value on every
        data set; others have none.
    tests : list of dict
        One row per model, decision and metric: {model, decision, metric, n_sets, n_strategies, p_value,
        critical_difference}, of Friedman's and Nemenyi's tests.
    """
    summary: list[dict[str, Any]] = []
    tests: list[dict[str, Any]] = []
    for metric in common_metrics(results, first):
        for model, decision in _groups(results, metric):
            rows = _by_strategy(results, model, decision, metric)
            greater = _greater_is_better(metric)
            free = None if decision == "tuned" else _free_thresholds(results, model, metric, rows[BASELINE])
            means = {s: np.array([_mean(of_set.get(name)) for name in results]) for s, of_set in rows.items()}
            whole = [s for s in means if np.isfinite(means[s]).all()]
            ranks = rank_methods(np.column_stack([means[s].round(_UNIT) for s in whole]), greater) if whole else None
            at = {s: i for i, s in enumerate(whole)}
            differences = {s: across_sets(_settled(means[s] - means[BASELINE])) for s in means}
            tested = [s for s in means if s != BASELINE]
            adjusted = dict(zip(tested, holm([differences[s].p_value for s in tested]), strict=True))
            moved = _only_moved(means, free, differences, greater, adjusted)
            for s in means:
                d, counted = differences[s], Counter(r["verdict"] for r in rows[s].values())
                p = adjusted.get(s)
                of_baseline = "baseline" if p is None else verdict(d.mean, float(p), greater)
                summary.append(
                    {"model": model, "strategy": s, "decision": decision, "metric": metric}
                    | {"n_sets": int(np.isfinite(means[s]).sum()), "mean": float(np.nanmean(means[s]))}
                    | {"mean_rank": _of(ranks, "mean", at.get(s))}
                    | {"rank_low": _of(ranks, "low", at.get(s)), "rank_high": _of(ranks, "high", at.get(s))}
                    | {"difference": None if p is None else d.mean}
                    | {"ci_low": None if p is None else d.low, "ci_high": None if p is None else d.high}
                    | {"p_adjusted": p, "helps": counted["helps"], "harms": counted["harms"]}
                    | {"verdict": "no detectable difference" if s in moved else of_baseline}
                    | {"only_threshold": s in moved}
                )
            if ranks is not None:
                tests.append(
                    {"model": model, "decision": decision, "metric": metric, "n_sets": ranks.n_sets}
                    | {"n_strategies": len(whole), "p_value": ranks.p_value}
                    | {"critical_difference": ranks.critical_difference}
                )
    return summary, tests


def _only_moved(
    means: Mapping[str, Any],
    free: Any,
    differences: Mapping[str, Any],
    greater: bool,
    adjusted: Mapping[str, Any],
) -> set[str]:
    """Return the strategies that beat plain training, and do not beat plain training with a moved threshold."""
    if free is None:
        return set()
    beyond = {s: across_sets(_settled(means[s] - free)) for s in adjusted}
    larger = holm([max(differences[s].p_value, beyond[s].p_value) for s in adjusted])
    return {
        s
        for (s, p), both in zip(adjusted.items(), larger, strict=True)
        if verdict(differences[s].mean, float(p), greater) == "helps"
        and verdict(beyond[s].mean, float(both), greater) != "helps"
    }


def _free_thresholds(
    results: Mapping[str, Row], model: str, metric: str, baseline: Mapping[str, Row]
) -> NDArray[np.float64] | None:
    """Return what plain training with a moved threshold has on each data set, None where there is nothing to move.

    It is with the baseline where the comparison has tuned a threshold for this very metric or found one on its stored
    scores; where not (results of an earlier version), its decision that was tuned for another metric stands in.
    """
    tuned = _by_strategy(results, model, "tuned", metric).get(BASELINE, {})
    found = [baseline[name].get("free_threshold") for name in results]
    values = [_mean(tuned.get(n)) if f is None else float(f) for n, f in zip(results, found, strict=True)]
    return np.array(values) if np.isfinite(values).all() else None


def _groups(results: Mapping[str, Row], metric: str) -> list[tuple[str, str]]:
    """Return the models and decisions whose baseline has this metric on every data set."""
    found = [
        dict.fromkeys(
            (r["model"], r["decision"])
            for r in one["summary"]
            if r["metric"] == metric and r["strategy"] == BASELINE and r["mean"] is not None
        )
        for one in results.values()
    ]
    return [group for group in found[0] if all(group in others for others in found)]


def _by_strategy(results: Mapping[str, Row], model: str, decision: str, metric: str) -> dict[str, dict[str, Row]]:
    """Return the rows of the summaries, by strategy and data set; strategies in the order of the settings."""
    rows: dict[str, dict[str, Row]] = {}
    for name, one in results.items():
        for r in one["summary"]:
            if (r["model"], r["decision"], r["metric"]) == (model, decision, metric) and r["mean"] is not None:
                rows.setdefault(r["strategy"], {})[name] = r
    return rows


def _mean(row: Row | None) -> float:
    return float("nan") if row is None else float(row["mean"])


def _settled(differences: Any) -> Any:
    return np.where(np.abs(differences) < _RESOLUTION, 0.0, differences)


def _of(ranks: Any, name: str, place: int | None) -> float | None:
    return None if place is None else float(getattr(ranks, name)[place])


def _greater_is_better(metric: str) -> bool:
    if metric == "expected_cost":
        return False
    try:
        return get(metric, ("other", "positive")).greater_is_better
    except InputError:  # of a class by its name: recalls and precisions
        return True
