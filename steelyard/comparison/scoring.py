"""Scores of test rows → metrics: one number per metric, decision and fold."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steelyard import metrics
from steelyard.comparison.dataset import Dataset
from steelyard.comparison.fold_scores import Scores
from steelyard.comparison.settings import Settings
from steelyard.metrics import Metric

__all__ = ["TUNED", "OutOfFold", "fold_metrics", "out_of_fold", "scored_metrics"]

TUNED = ":tuned"  # a label metric of the tuned decision stands beside the plain name under this ending


def scored_metrics(dataset: Dataset, settings: Settings) -> tuple[Metric, ...]:
    """Return the metrics of a comparison: the one it ranks by, then the standard ones.

    The recall of each class is among them up to 50 classes; beyond, no one reads them.
    """
    target = dataset.target
    classes = target.counts.classes
    standard = metrics.standard_names(classes if len(classes) <= 50 else ())
    costly = () if settings.costs is None else ("expected_cost",)
    wanted = dict.fromkeys((settings.metric, settings.decision_metric, *costly, *standard))
    return tuple(settings.measure(name, target) for name in wanted)


def fold_metrics(scores: Scores, y: NDArray[np.int64], wanted: Iterable[Metric]) -> dict[str, float]:
    """Return every metric of one strategy on one fold.

    Label metrics stand under their name for the default decision and under "name:tuned" for the tuned one;
    the others do not depend on a decision.
    """
    truth = y[scores.split.test]
    values = {}
    for metric in wanted:
        values[metric.name] = metric.value(truth, scores.proba, scores.default)
        if metric.kind == "label" and scores.tuned is not None:
            values[metric.name + TUNED] = metric.value(truth, scores.proba, scores.tuned)
    return values


class OutOfFold:
    """The stored scores of one strategy: every row once per repeat, by a model that did not see it.

    Attributes
    ----------
    proba : float64 ndarray of shape (repeats, n, C)
    default, tuned : int ndarray of shape (repeats, n)
        In as few bytes as the classes need. `tuned` is None where no decision was tuned.
    """

    def __init__(self, parts: Iterable[Scores], n: int) -> None:
        parts = list(parts)
        repeats = 1 + max(p.split.repeat for p in parts)
        self.proba = np.full((repeats, n, parts[0].proba.shape[1]), np.nan)
        narrow = np.min_scalar_type(-parts[0].proba.shape[1])
        self.default = np.full((repeats, n), -1, narrow)
        self.tuned: NDArray[Any] | None = (
            None if any(p.tuned is None for p in parts) else np.full((repeats, n), -1, narrow)
        )
        for part in parts:
            place = part.split.repeat, part.split.test
            self.proba[place] = part.proba
            self.default[place] = part.default
            if self.tuned is not None and part.tuned is not None:
                self.tuned[place] = part.tuned

    def labels(self, decision: str) -> Any:
        """Return the labels of "default" or "tuned", shape (repeats, n)."""
        return self.default if decision == "default" else self.tuned


def out_of_fold(scores: Iterable[Scores], n: int) -> dict[tuple[str, str], OutOfFold]:
    """Gather the scores of each model and strategy over all folds and repeats."""
    by_strategy: dict[tuple[str, str], list[Scores]] = {}
    for part in scores:
        by_strategy.setdefault((part.model, part.strategy), []).append(part)
    return {key: OutOfFold(parts, n) for key, parts in by_strategy.items()}
