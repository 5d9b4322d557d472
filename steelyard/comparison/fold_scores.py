"""One outer fold: preprocess, train each strategy, decide, and hand back scores of the test rows.

Everything that is learned here is learned from the training fold: preprocessing, counts, drawn rows,
thresholds. The test rows are transformed and scored, and their labels are not looked at.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steelyard import metrics, training
from steelyard.comparison.dataset import Dataset
from steelyard.comparison.folds import Split, inner_splits, seed
from steelyard.comparison.preprocessing import preprocessor
from steelyard.comparison.settings import Settings
from steelyard.decisions import best_prior_exponent, best_threshold
from steelyard.strategies import Point, Strategy
from steelyard.training import Fitted
from steelyard.weights import ClassCounts

__all__ = ["Failure", "Scores", "score_fold"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Rule = Callable[[Floats], Ints]


@dataclass(frozen=True)
class Scores:
    """What one strategy says of the test rows of one fold.

    Attributes
    ----------
    strategy : str
    split : Split
    proba : float64 ndarray of shape (n_test, C)
        Corrected for what the strategy did in training.
    default : int64 ndarray of shape (n_test,)
        The strategy's own labels.
    tuned : int64 ndarray of shape (n_test,) or None
        Labels of a rule fitted on inner folds of the training fold.
    seconds : float
        Of the fit; strategies that share a fit each report it.
    trouble : str or None
        Why the fit should be read with care.
    """

    strategy: str
    split: Split
    proba: Floats
    default: Ints
    tuned: Ints | None
    seconds: float
    trouble: str | None


@dataclass(frozen=True)
class Failure:
    """A strategy that could not be trained on a fold, and why."""

    strategy: str
    reason: str


@dataclass(frozen=True)
class _Rows:
    """Preprocessed rows to train on and rows to score."""

    train: Floats
    y: Ints
    score: Floats


def _prepared(dataset: Dataset, train: NDArray[np.intp], score: NDArray[np.intp]) -> _Rows:
    frame = dataset.features.frame
    transform = preprocessor(dataset.features, len(train))
    return _Rows(
        np.ascontiguousarray(transform.fit_transform(frame.iloc[train])),
        dataset.target.y[train],
        np.ascontiguousarray(transform.transform(frame.iloc[score])),
    )


def score_fold(
    dataset: Dataset, settings: Settings, split: Split, without: frozenset[str] = frozenset()
) -> Iterator[Scores | Failure]:
    """Train and score every strategy on one fold, one after the other.

    Parameters
    ----------
    dataset : Dataset
    settings : Settings
    split : Split
    without : set of str
        Strategies to leave out, because they failed before.

    Yields
    ------
    Scores or Failure
        In the order of ``settings.strategies``.
    """
    fold = _Fold(dataset, settings, split)
    for strategy in settings.strategies:
        if strategy.name in without:
            continue
        try:
            yield fold.scores(strategy)
        except Exception as error:  # a strategy that fails is reported as skipped; the others go on
            yield Failure(strategy.name, f"{type(error).__name__}: {error}")


class _Fold:
    """The fits of one fold, shared by the strategies that train the same model."""

    def __init__(self, dataset: Dataset, settings: Settings, split: Split) -> None:
        self.dataset, self.settings, self.split = dataset, settings, split
        self.n_classes = dataset.target.counts.n_classes
        self.rows = _prepared(dataset, split.train, split.test)
        self.inner: list[tuple[NDArray[np.intp], _Rows]] | None = None
        self.fits: dict[str, tuple[Fitted, float]] = {}
        self.rules: dict[str, Rule] = {}

    def scores(self, strategy: Strategy) -> Scores:
        point = strategy.resolve(self._counts(self.rows.y))
        fitted, seconds = self._fit(point)
        logits = fitted.model.logits(self.rows.score)
        proba = point.posterior(logits)
        if not np.isfinite(proba).all():
            raise FloatingPointError("its probabilities are not finite")
        rule = self._rule(strategy, point, fitted) if self.settings.tuned else None
        return Scores(
            strategy=strategy.name,
            split=self.split,
            proba=proba,
            default=point.decide(logits),
            tuned=None if rule is None else rule(proba),
            seconds=seconds,
            trouble=fitted.trouble,
        )

    def _counts(self, y: Ints) -> ClassCounts:
        return ClassCounts.from_labels(y, classes=range(self.n_classes))

    def _generator(self, *place: int) -> np.random.Generator:
        state = seed(self.settings.random_state, "sampling", self.split.repeat, self.split.fold, *place)
        return np.random.default_rng(state)

    def _fit(self, point: Point) -> tuple[Fitted, float]:
        key = point.training_key
        if key not in self.fits:
            begun = time.perf_counter()
            fitted = training.fit(
                self.settings.model, self.rows.train, self.rows.y, point, self.n_classes, self._generator()
            )
            self.fits[key] = fitted, time.perf_counter() - begun
        return self.fits[key]

    def _rule(self, strategy: Strategy, point: Point, fitted: Fitted) -> Rule | None:
        """Fit a decision on out-of-fold probabilities of the training fold; None if nothing can be held out."""
        key = point.training_key
        if key not in self.rules:
            if self.inner is None:
                self.inner = self._inner_rows()
            if not self.inner:
                return None
            proba = np.empty((len(self.rows.y), self.n_classes))
            for i, (held_out, rows) in enumerate(self.inner):
                inner_point = strategy.resolve(self._counts(rows.y))
                model = training.fit(
                    self.settings.model,
                    rows.train,
                    rows.y,
                    inner_point,
                    self.n_classes,
                    self._generator(i + 1),
                    start=fitted if rows.train.shape[1] == self.rows.train.shape[1] else None,
                ).model
                proba[held_out] = inner_point.posterior(model.logits(rows.score))
            self.rules[key] = self._tuned(proba)
        return self.rules[key]

    def _inner_rows(self) -> list[tuple[NDArray[np.intp], _Rows]]:
        train = self.split.train
        return [
            (held_out, _prepared(self.dataset, train[kept], train[held_out]))
            for kept, held_out in inner_splits(self.rows.y, self.split, self.settings.random_state)
        ]

    def _tuned(self, proba: Floats) -> Rule:
        target = self.dataset.target
        metric = metrics.get(self.settings.decision_metric, target.counts.classes, target.positive)
        of_confusion: Any = metric.of_confusion
        if target.positive is not None:
            return best_threshold(proba, self.rows.y, of_confusion, target.positive, metric.greater_is_better)
        priors = self._counts(self.rows.y).priors
        return best_prior_exponent(proba, self.rows.y, priors, of_confusion, metric.greater_is_better)
