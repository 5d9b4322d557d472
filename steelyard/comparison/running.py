"""The comparison itself: folds, strategies, scores, metrics, summary."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

import steelyard
from steelyard.comparison.dataset import Dataset
from steelyard.comparison.fold_scores import Failure, Scores, score_fold
from steelyard.comparison.folds import Split, outer_splits
from steelyard.comparison.results import SCHEMA_VERSION, Result
from steelyard.comparison.scoring import fold_metrics, out_of_fold, scored_metrics
from steelyard.comparison.settings import BASELINE, Settings
from steelyard.comparison.summary import best_of, summarise
from steelyard.errors import InputError

__all__ = ["Progress", "run"]

Progress = Callable[[int, int, str], None]

_FEW_PER_FOLD = 10  # test rows of the rarest class; with fewer, one row moves its recall by more than 10 %


def run(dataset: Dataset, settings: Settings, progress: Progress | None = None) -> Result:
    """Train every strategy on every fold and say what that amounts to.

    Parameters
    ----------
    dataset : Dataset
    settings : Settings
        Checked against the target of `dataset`.
    progress : callable, optional
        Called after each fit with (done, total, strategy).

    Returns
    -------
    Result

    Raises
    ------
    InputError
        If the baseline itself cannot be trained.
    """
    splits = outer_splits(dataset.target.y, settings.cv, settings.repeats, settings.random_state)
    untuned = _untunable(dataset, settings, splits)
    if untuned:
        settings = replace(settings, tuned=False)
    scores, skipped = _all_scores(dataset, settings, splits, progress)
    names = [s.name for s in settings.strategies if s.name not in skipped]
    scores = [part for part in scores if part.strategy not in skipped]
    wanted = scored_metrics(dataset, settings)
    measured = [fold_metrics(part, dataset.target.y, wanted) for part in scores]
    values = {
        (name, key): np.array([m[key] for part, m in zip(scores, measured, strict=True) if part.strategy == name])
        for name in names
        for key in measured[0]
    }
    summary = summarise(values, names, wanted, settings)
    stored = out_of_fold(scores, dataset.rows)
    primary = next(m for m in wanted if m.name == settings.metric)
    content = {
        "schema_version": SCHEMA_VERSION,
        "steelyard_version": steelyard.__version__,
        "dataset": dataset.describe(),
        "settings": settings.to_dict(dataset.target),
        "runs": _runs(scores, measured, settings),
        "summary": summary,
        "best": best_of(summary, stored, primary, dataset, settings),
        "warnings": [*dataset.warnings, *untuned, *_few_rows(dataset, settings), *_troubles(scores, settings)],
        "skipped": [{"strategy": name, "reason": reason} for name, reason in skipped.items()],
    }
    return Result(content, stored)


def _all_scores(
    dataset: Dataset, settings: Settings, splits: Sequence[Split], progress: Progress | None
) -> tuple[list[Scores], dict[str, str]]:
    """Score fold by fold; a strategy that fails once is left out of the folds that follow."""
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    total, done = len(splits) * len(settings.strategies), 0
    scores: list[Scores] = []
    skipped: dict[str, str] = {}
    # one thread: the products are small, and threads that wait for a busy core cost far more than they save
    with threadpool_limits(1):
        for split in splits:
            for outcome in score_fold(dataset, settings, split, frozenset(skipped)):
                if isinstance(outcome, Failure):
                    _note_failure(outcome, skipped)
                else:
                    scores.append(outcome)
                done += 1
                if progress is not None:
                    progress(done, total, outcome.strategy)
    return scores, skipped


def _note_failure(failure: Failure, skipped: dict[str, str]) -> None:
    if failure.strategy == BASELINE:
        raise InputError(
            "a table that the baseline can be trained on", failure.reason, "nothing can be compared without it."
        )
    skipped[failure.strategy] = failure.reason


def _runs(
    scores: Iterable[Scores], measured: Iterable[Mapping[str, float]], settings: Settings
) -> list[dict[str, Any]]:
    rows = [
        {
            "model": settings.model,
            "strategy": part.strategy,
            "repeat": part.split.repeat,
            "fold": part.split.fold,
            "metrics": dict(metrics),
            "fit_seconds": round(part.seconds, 6),
        }
        for part, metrics in zip(scores, measured, strict=True)
    ]
    return sorted(rows, key=lambda r: (r["model"], r["strategy"], r["repeat"], r["fold"]))


def _untunable(dataset: Dataset, settings: Settings, splits: Iterable[Split]) -> list[str]:
    """Say that decisions cannot be tuned, where some training fold has a class of which nothing can be held out."""
    if not settings.tuned or all(np.bincount(dataset.target.y[s.train]).min() >= 2 for s in splits):
        return []
    return [
        "decisions are not tuned: a training fold has a single row of some class, and none to hold out; "
        "merge such a class with another, or use more folds"
    ]


def _few_rows(dataset: Dataset, settings: Settings) -> list[str]:
    counts = dataset.target.counts
    rarest = int(np.argmin(counts.counts))
    n = int(counts.counts[rarest])
    if n / settings.cv >= _FEW_PER_FOLD:
        return []
    return [
        f"class {counts.classes[rarest]} has {n} rows, about {n / settings.cv:.0f} in a test fold: "
        "expect wide intervals, and read 'no detectable difference' as 'too few rows to tell'"
    ]


def _troubles(scores: Iterable[Scores], settings: Settings) -> list[str]:
    """Say once per strategy how many of its fits were in trouble, with the first reason."""
    parts = list(scores)
    said = []
    for strategy in settings.strategies:
        own = [part for part in parts if part.strategy == strategy.name]
        reasons = [part.trouble for part in own if part.trouble is not None]
        if reasons:
            said.append(f"{strategy.name} ({settings.model}): {len(reasons)} of {len(own)} fits {reasons[0]}")
    return said
