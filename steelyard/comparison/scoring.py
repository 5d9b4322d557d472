"""Scores of test rows → metrics: one number per metric, decision and fold."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from copy import copy
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steelyard import metrics
from steelyard.comparison.dataset import Dataset
from steelyard.comparison.fold_scores import Scores
from steelyard.comparison.settings import COST_METRIC, Settings
from steelyard.decisions.best_rules import CONFIDENCE
from steelyard.decisions.binomial import rows_needed
from steelyard.metrics import Metric

__all__ = ["TUNED", "OutOfFold", "floor_kept", "fold_metrics", "out_of_fold", "scored_metrics", "too_few_for_floor"]

TUNED = ":tuned"  # a label metric of the tuned decision stands beside the plain name under this ending


def scored_metrics(dataset: Dataset, settings: Settings) -> tuple[Metric, ...]:
    """Return the metrics of a comparison: the one it ranks by, then the standard ones.

    The recall of each class is among them up to 50 classes; beyond, no one reads them. Of a metric with a floor, what
    is raised and what is kept at a decision stand beside the best that any threshold reaches.
    """
    target = dataset.target
    classes = target.counts.classes
    standard = metrics.standard_names(classes if len(classes) <= 50 else ())
    costly = () if settings.costs is None else (COST_METRIC,)
    floor = settings.measure(settings.metric, target).floor
    kept = () if floor is None else (f"{floor[0]}_{classes[floor[1]]}",)
    wanted = dict.fromkeys((settings.metric, settings.decision_metric, *kept, *costly, *standard))
    return tuple(settings.measure(name, target) for name in wanted)


def fold_metrics(scores: Scores, y: NDArray[np.int64], wanted: Iterable[Metric]) -> dict[str, float]:
    """Return every metric of one strategy on one fold.

    Label metrics stand under their name for the default decision and under "name:tuned" for the tuned one;
    the others do not depend on a decision.
    """
    truth = y[scores.split.test]
    values = {}
    for one in wanted:
        metric = one.at_rows(scores.split.test)
        values[metric.name] = metric.value(truth, scores.proba, scores.default)
        if metric.kind == "label" and scores.tuned is not None:
            values[metric.name + TUNED] = metric.value(truth, scores.proba, scores.tuned)
    return values


def floor_kept(
    scores: Sequence[Scores], measured: Sequence[Mapping[str, float]], dataset: Dataset, settings: Settings
) -> dict[str, Any] | None:
    """Return the part `floor` of results.json: what tuned decisions had to keep, and in how many folds they did.

    A floor is promised of the share among new rows. A test fold has few rows of the class, and falls below now and then
    although the promise holds.
    """
    floor = settings.measure(settings.metric, dataset.target).floor
    if floor is None or not settings.tuned:
        return None
    quantity, k, level = floor
    label = dataset.target.counts.classes[k]
    values: dict[tuple[str, str], list[float]] = {}
    for part, found in zip(scores, measured, strict=True):
        values.setdefault((part.model, part.strategy), []).append(found[f"{quantity}_{label}{TUNED}"])
    return {
        "quantity": quantity,
        "class": label,
        "level": level,
        "confidence": None if too_few_for_floor(scores, dataset, settings) else CONFIDENCE,
        "kept": [
            {"model": model, "strategy": strategy, "folds": len(v), "kept": sum(x >= level - 1e-12 for x in v)}
            for (model, strategy), v in values.items()
        ],
    }


def too_few_for_floor(scores: Iterable[Scores], dataset: Dataset, settings: Settings) -> list[str]:
    """Say that a floor of a recall is kept on average only, where training folds are too small to promise it."""
    metric = settings.measure(settings.metric, dataset.target)
    if metric.floor is None or metric.floor[0] != "recall" or not settings.tuned:
        return []
    _, k, level = metric.floor
    needed = rows_needed(1.0 - level, CONFIDENCE) if level < 1.0 else None
    fewest = min(int(np.sum(dataset.target.y[part.split.train] == k)) for part in scores)
    if needed is not None and fewest >= needed:
        return []
    label = dataset.target.counts.classes[k]
    why = (
        "no number of rows proves a recall of 1" if needed is None else f"a training fold has {fewest} of {needed} rows"
    )
    return [
        f"recall_{label}>={level:g} cannot be promised with confidence {CONFIDENCE:g} ({why}): tuned decisions keep it "
        "on the rows that they are fitted on, without a promise for new ones"
    ]


class OutOfFold:
    """The stored scores of one strategy: every row once per repeat, by a model that did not see it.

    Along time the earliest rows are only trained on: their probabilities are NaN, their labels −1.

    Attributes
    ----------
    proba : float64 ndarray of shape (repeats, n, C)
    default, tuned : int ndarray of shape (repeats, n)
        In as few bytes as the classes need. `tuned` is None where no decision was tuned.
    fold : int ndarray of shape (repeats, n)
        In which fold a row was tested; −1: in none.
    """

    def __init__(self, parts: Iterable[Scores], n: int) -> None:
        parts = list(parts)
        repeats = 1 + max(p.split.repeat for p in parts)
        self.proba = np.full((repeats, n, parts[0].proba.shape[1]), np.nan)
        narrow = np.min_scalar_type(-parts[0].proba.shape[1])
        self.default: NDArray[Any] = np.full((repeats, n), -1, narrow)
        self.fold: NDArray[Any] = np.full((repeats, n), -1, np.int16)
        self.tuned: NDArray[Any] | None = (
            None if any(p.tuned is None for p in parts) else np.full((repeats, n), -1, narrow)
        )
        for part in parts:
            place = part.split.repeat, part.split.test
            self.proba[place] = part.proba
            self.default[place] = part.default
            self.fold[place] = part.split.fold
            if self.tuned is not None and part.tuned is not None:
                self.tuned[place] = part.tuned

    @property
    def tested(self) -> NDArray[np.intp]:
        """The rows that were tested, the same in every repeat."""
        return np.flatnonzero(self.default[0] >= 0)

    def of(self, rows: NDArray[np.intp]) -> OutOfFold:
        """Return the scores of some rows."""
        part = copy(self)
        part.proba, part.default, part.fold = self.proba[:, rows], self.default[:, rows], self.fold[:, rows]
        part.tuned = None if self.tuned is None else self.tuned[:, rows]
        return part

    def labels(self, decision: str) -> Any:
        """Return the labels of "default" or "tuned", shape (repeats, n)."""
        return self.default if decision == "default" else self.tuned


def out_of_fold(scores: Iterable[Scores], n: int) -> dict[tuple[str, str], OutOfFold]:
    """Gather the scores of each model and strategy over all folds and repeats."""
    by_strategy: dict[tuple[str, str], list[Scores]] = {}
    for part in scores:
        by_strategy.setdefault((part.model, part.strategy), []).append(part)
    return {key: OutOfFold(parts, n) for key, parts in by_strategy.items()}
