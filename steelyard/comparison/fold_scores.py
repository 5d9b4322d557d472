"""One outer fold: preprocess, train each strategy, decide, and hand back scores of the test rows.

Everything that is learned here is learned from the training fold: preprocessing, counts, drawn rows,
thresholds. The test rows are transformed and scored, and their labels are not looked at.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steelyard import metrics, training
from steelyard.comparison.dataset import Dataset
from steelyard.comparison.folds import Split, inner_splits
from steelyard.comparison.new_rows import Columns
from steelyard.comparison.preprocessing import learn, matrix
from steelyard.comparison.settings import Settings
from steelyard.decisions import best_rule
from steelyard.decisions.row_costs import RowCosts, RowMinCost
from steelyard.strategies import Point, Strategy
from steelyard.training import Fitted, Model
from steelyard.tuning import retraining
from steelyard.tuning.objectives import Objective
from steelyard.tuning.out_of_fold import counts_of
from steelyard.tuning.seeds import seed
from steelyard.tuning.tasks import Part, Task
from steelyard.weights import ClassCounts

__all__ = ["Failure", "PreparedFold", "Scores", "score_fold", "tuned_rule"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Rule = Callable[[Floats], Ints]

_KEPT = 1 << 24  # values of a table; the inner folds of a larger one are not kept


@dataclass(frozen=True)
class Scores:
    """What one strategy says of the test rows of one fold.

    Attributes
    ----------
    model : str
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

    model: str
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

    model: str
    strategy: str
    reason: str


@dataclass(frozen=True)
class _Rows:
    """Preprocessed rows to train on and rows to score."""

    train: NDArray[Any]
    y: Ints
    score: NDArray[Any]
    columns: Columns


def _prepared(dataset: Dataset, train: NDArray[np.intp], score: NDArray[np.intp]) -> _Rows:
    features = dataset.features
    columns = learn(features, train)
    return _Rows(matrix(columns, features, train), dataset.target.y[train], matrix(columns, features, score), columns)


class _Inner(Sequence[tuple[NDArray[np.intp], "_Rows"]]):
    """The inner folds: which rows of the training fold are held out, and the fit that scores them.

    Small ones are prepared once; large ones again whenever they are asked for, so that one at a time is in memory.
    """

    def __init__(self, dataset: Dataset, train: NDArray[np.intp], splits: Sequence[tuple[Any, Any]]) -> None:
        self._dataset, self._train, self._splits = dataset, train, splits
        self._kept: dict[int, _Rows] | None = {} if dataset.features.frame.size <= _KEPT else None
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._splits)

    @property
    def held_out(self) -> NDArray[np.intp]:
        """Rows of the training fold that some inner fold holds out; along time the earliest are not among them."""
        return np.sort(np.concatenate([held_out for _, held_out in self._splits]))

    def __getitem__(self, place: Any) -> Any:
        kept, held_out = self._splits[place]
        if self._kept is None:
            return held_out, _prepared(self._dataset, self._train[kept], self._train[held_out])
        with self._lock:
            if place not in self._kept:
                self._kept[place] = _prepared(self._dataset, self._train[kept], self._train[held_out])
            return held_out, self._kept[place]


class PreparedFold:
    """One fold, preprocessed once for all models: its training and test rows, and those of its inner folds.

    Parameters
    ----------
    dataset : Dataset
    settings : Settings
    split : Split
    threads : int, default 1
        Fits of boosted trees that run at the same time.
    """

    def __init__(self, dataset: Dataset, settings: Settings, split: Split, threads: int = 1) -> None:
        self.dataset, self.settings, self.split, self.threads = dataset, settings, split, threads
        self.n_classes = dataset.target.counts.n_classes
        self.outer = _prepared(dataset, split.train, split.test)
        needed = settings.tuned or any(s.needs_inner for s in settings.strategies)
        ties = dataset.ties.of(split.train)
        places = inner_splits(self.outer.y, split, settings.random_state, ties) if needed else []
        self.inner = _Inner(dataset, split.train, places)

    def state(self, *place: int) -> int:
        """Return the seed of all training at a place of this fold: the fold itself, or one of its inner folds."""
        return seed(self.settings.random_state, "sampling", self.split.repeat, self.split.fold, *place)

    def counts(self, y: Ints) -> ClassCounts:
        """Return the counts of the labels of some rows, absent classes kept."""
        return counts_of(y, self.n_classes)

    def task(self, name: str, test: bool = True) -> Task:
        """Return the fold as a search sees it: without the labels of its test rows, or without these rows."""
        outer, none = self.outer, slice(None if test else 0)
        return Task(
            name,
            Part(outer.train, outer.y, outer.score[none], self.state()),
            tuple(
                (held_out, Part(rows.train, rows.y, rows.score, self.state(place)))
                for place, (held_out, rows) in enumerate(self.inner, start=1)
            ),
            self.n_classes,
        )

    def settled(self, model: Model, strategy: Strategy) -> Strategy:
        """Return the strategy with its numbers found, where it takes held-out scores of the training fold to do so."""
        if not strategy.needs_inner:
            return strategy
        target = self.dataset.target
        metric = self.settings.aim(target)
        if metric.of_confusion is None and isinstance(self.dataset.costs, RowCosts):
            # weights are the same for all rows: the costs that they answer to are those of a typical row
            typical = self.dataset.costs.take(self.split.train).typical(self.outer.y)
            metric = metrics.get(metric.name, target.counts.classes, target.positive, cost_matrix=typical)
        objective = Objective(metric, self.n_classes, target.positive, "default")
        return retraining.settled(strategy, model, self.task(strategy.name, test=False), objective)


def score_fold(fold: PreparedFold, model: Model, strategies: Sequence[Strategy]) -> list[Scores | Failure]:
    """Train a model on one fold for every strategy, and score the test rows.

    Parameters
    ----------
    fold : PreparedFold
    model : Model
    strategies : sequence of Strategy

    Returns
    -------
    list of Scores or Failure
        In the order of `strategies`.
    """
    outcomes: dict[str, Scores | Failure] = {}
    points: dict[str, Point] = {}
    counts = fold.counts(fold.outer.y)
    by_name: dict[str, Strategy] = {}
    for strategy in strategies:
        try:
            by_name[strategy.name] = fold.settled(model, strategy)
            points[strategy.name] = training.resolve(model, by_name[strategy.name], counts)
        except Exception as error:  # a strategy that fails is reported as skipped; the others go on
            outcomes[strategy.name] = _failure(model, strategy.name, error)
    # strategies that train the same model share the fit
    distinct = {point.training_key: point for point in points.values()}
    fits = _fits(fold, model, distinct, fold.outer, fold.state(), {})
    tuned = fold.settings.tuned and fold.inner
    rules = _rules(fold, model, {k: by_name[p.strategy] for k, p in distinct.items()}, fits) if tuned else {}
    for name, point in points.items():
        key = point.training_key
        try:
            outcomes[name] = _scored(fold, model, point, _or_raise(fits[key]), _or_raise(rules.get(key)))
        except Exception as error:
            outcomes[name] = _failure(model, name, error)
    return [outcomes[strategy.name] for strategy in strategies]


def _failure(model: Model, strategy: str, error: Exception) -> Failure:
    expected = isinstance(error, training.NotExpressibleError)  # no error of anybody's: its name would say there is one
    return Failure(model.name, strategy, str(error) if expected else f"{type(error).__name__}: {error}")


def _or_raise(value: Any) -> Any:
    if isinstance(value, Exception):
        raise value
    return value


def _fits(
    fold: PreparedFold,
    model: Model,
    points: Mapping[str, Point],
    rows: _Rows,
    state: int,
    starts: Mapping[str, Fitted | Exception],
) -> dict[str, Fitted | Exception]:
    given = [starts.get(key) for key in points]
    usable = [start if isinstance(start, Fitted) else None for start in given]
    some, n_classes = list(points.values()), fold.n_classes
    fitted = training.fit_all(model, rows.train, rows.y, some, n_classes, state, usable, fold.threads)
    return dict(zip(points, fitted, strict=True))


def _scored(fold: PreparedFold, model: Model, point: Point, fitted: Fitted, rule: Rule | None) -> Scores:
    logits = training.logits(fitted.model, fold.outer.score)
    proba = point.posterior(logits)
    if not np.isfinite(proba).all():
        raise FloatingPointError("its probabilities are not finite")
    return Scores(
        model=model.name,
        strategy=point.strategy,
        split=fold.split,
        proba=proba,
        default=point.decide(logits),
        tuned=None if rule is None else _labelled(rule, proba, fold),
        seconds=fitted.seconds,
        trouble=fitted.trouble,
    )


def _labelled(rule: Any, proba: Floats, fold: PreparedFold) -> Ints:
    if isinstance(rule, RowMinCost):
        assert isinstance(fold.dataset.costs, RowCosts)
        rule = rule.on(fold.dataset.costs.take(fold.split.test))
    return np.asarray(rule(proba), np.int64)


def _rules(
    fold: PreparedFold,
    model: Model,
    strategies: Mapping[str, Strategy],
    fits: Mapping[str, Fitted | Exception],
) -> dict[str, Rule | Exception]:
    """Fit a decision for each fit, on out-of-fold probabilities of the training fold."""
    y = fold.outer.y
    proba = {key: np.full((len(y), fold.n_classes), np.nan) for key in strategies}
    failed: dict[str, Exception] = {}
    for place, (held_out, rows) in enumerate(fold.inner, start=1):
        counts = fold.counts(rows.y)
        points = {}
        for key, strategy in strategies.items():
            try:
                points[key] = training.resolve(model, strategy, counts)
            except Exception as error:
                failed.setdefault(key, error)
        inner = _fits(fold, model, points, rows, fold.state(place), fits)
        for key, fitted in inner.items():
            if isinstance(fitted, Exception):
                failed.setdefault(key, fitted)
            else:
                proba[key][held_out] = points[key].posterior(training.logits(fitted.model, rows.score))
    known = fold.inner.held_out
    return {
        key: failed.get(key) or tuned_rule(fold.dataset, fold.settings, proba[key][known], y[known])
        for key in strategies
    }


def tuned_rule(dataset: Dataset, settings: Settings, proba: Floats, y: Ints) -> Any:
    """Return the decision that is best on out-of-fold probabilities, for `Settings.aim`.

    A threshold, or weights on the probabilities; they keep a floor that the metric has with confidence 0.9, where the
    rows are enough to promise that. Under costs that each row has its own of: the least expected cost.
    """
    target = dataset.target
    aim = settings.aim(target)
    if aim.of_confusion is None and settings.row_costs is not None:
        return RowMinCost.fit(proba, y)
    return best_rule(proba, y, aim, target.positive)
