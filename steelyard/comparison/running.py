"""The comparison itself: folds, models, strategies, scores, metrics, summary."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import steelyard
from steelyard.comparison.cluster import Cluster
from steelyard.comparison.dataset import Dataset
from steelyard.comparison.fold_scores import Failure, Scores
from steelyard.comparison.folds import Split, outer_splits, ratio_of_sizes, tunable
from steelyard.comparison.free_threshold import free_threshold
from steelyard.comparison.jobs import Processes
from steelyard.comparison.journal import FILE, Journal
from steelyard.comparison.pieces import InThreads, Kept, Outcomes, Piece, Workers, recalled
from steelyard.comparison.racing import Race
from steelyard.comparison.results import SCHEMA_VERSION, Result
from steelyard.comparison.scoring import floor_kept, fold_metrics, out_of_fold, scored_metrics, too_few_for_floor
from steelyard.comparison.settings import BASELINE, Settings
from steelyard.comparison.summary import best_of, summarise
from steelyard.comparison.versions import library_versions
from steelyard.comparison.views import views
from steelyard.errors import InputError

if TYPE_CHECKING:
    from steelyard.comparison.classifier import Classifier

__all__ = ["Progress", "run", "winner"]

Progress = Callable[[int, int, str], None]

_FEW_PER_FOLD = 10  # test rows of the rarest class; with fewer, one row moves its recall by more than 10 %


def run(
    dataset: Dataset,
    settings: Settings,
    progress: Progress | None = None,
    folder: str | Path | None = None,
    jobs: int | None = None,
    ray: str | None = None,
    splits: Sequence[Split] | None = None,
) -> Result:
    """Train every strategy of every model on every fold and say what that amounts to.

    Parameters
    ----------
    dataset : Dataset
    settings : Settings
        Checked against the target of `dataset`.
    progress : callable, optional
        Called with (done, total, what is being done) before and after each piece of work.
    folder : path, optional
        Where the journal is kept. Work that it holds already is not done again.
    jobs : int, optional
        Processes that train at a time; −1: one per core. Default: this process.
    ray : str, optional
        Address of a Ray cluster that trains instead.
    splits : sequence of Split, optional
        Folds that are shared with other comparisons; default stratified by the target.

    Returns
    -------
    Result

    Raises
    ------
    InputError
        If the baseline itself cannot be trained, or the journal is of another comparison.
    """
    target = dataset.target
    if splits is None:
        splits = outer_splits(
            target.y, settings.cv, settings.repeats, settings.random_state, dataset.ties, target.counts.classes
        )
    untuned = _untunable(dataset, settings, splits)
    if untuned:
        settings = replace(settings, tuned=False)
    race = Race(dataset, settings, splits)
    for model in settings.models:
        if model.source is not None:
            model.source.check(len(dataset.features.frame.columns), dataset.target.counts.n_classes)
    about = {
        "data": dataset.fingerprint(),
        "settings": settings.to_dict(dataset.target),
        "version": steelyard.__version__,
    }
    with (
        _workers(dataset, settings, jobs, ray) as workers,
        nullcontext() if folder is None else Journal(Path(folder) / FILE, about) as journal,
    ):
        outcomes = _outcomes(settings, splits, progress, journal, workers, race)
    skipped = _skipped(outcomes)
    scores = [o for o in outcomes if isinstance(o, Scores) and (o.model, o.strategy) not in skipped]
    stopped = {who: reason for who, reason in race.stopped.items() if who not in skipped}
    return _result(dataset, settings, splits, scores, skipped, stopped, untuned)


def _outcomes(
    settings: Settings,
    splits: Sequence[Split],
    progress: Progress | None,
    journal: Journal | None,
    workers: Workers,
    race: Race,
) -> Outcomes:
    """Do the work a round at a time, or take it from the journal; in the order of folds and models, as it is asked.

    A race depends on nothing but the outcomes so far, so that a resumed run stops the same strategies.
    """
    total, done = len(splits) * len(settings.models), 0
    outcomes: Outcomes = []
    for splits_of_round in _rounds(splits, workers.together and not settings.race):
        race.before(splits_of_round[0], outcomes)
        pieces = [Piece(model, split, race.going[model.name]) for split in splits_of_round for model in settings.models]
        found = {} if journal is None else {p.key: work for p in pieces if (work := journal.get(*p.key))}
        missing = [p for p in pieces if p.key not in found]
        done += len(found)
        if progress is not None:
            progress(done, total, _said(missing[0] if missing else pieces[-1]))
        for piece, work in workers.done(missing):
            _refuse_without_baseline(piece, work)
            if journal is not None:
                journal.add(*piece.key, work)
            found[piece.key] = work
            done += 1
            if progress is not None:
                progress(done, total, _said(piece))
        for piece in pieces:
            outcomes += recalled(piece, found[piece.key])
    return outcomes


def _rounds(splits: Sequence[Split], together: bool) -> Iterator[list[Split]]:
    """Give the folds of one repeat at a time, or all of them, where none should wait for the last of a repeat."""
    if together:
        yield list(splits)
        return
    for _, of_repeat in groupby(splits, lambda s: s.repeat):
        yield list(of_repeat)


def _said(piece: Piece) -> str:
    return f"repeat {piece.split.repeat + 1}, fold {piece.split.fold + 1}"


def _workers(dataset: Dataset, settings: Settings, jobs: int | None, ray: str | None) -> Workers:
    if ray is not None:
        if jobs is not None:
            raise InputError("`jobs` or `ray`", "both", "how many pieces are done at a time is the cluster's to say.")
        return Cluster(dataset, settings, ray)
    if jobs is None or jobs == 1:
        return InThreads(dataset, settings)
    if jobs < -1 or jobs == 0:
        raise InputError("`jobs` as a number of processes, or -1 for one per core", repr(jobs))
    return Processes(dataset, settings, jobs if jobs > 0 else os.cpu_count() or 1)


def _refuse_without_baseline(piece: Piece, work: Kept) -> None:
    """Say at once that nothing can be compared, and keep nothing of it: it may be mended, and then gone on with."""
    failed = work[BASELINE][0].get("failed")
    if failed is not None:
        raise InputError(
            f"a table that the baseline of model '{piece.model}' can be trained on",
            failed,
            "nothing can be compared without it.",
        )


def _skipped(outcomes: Iterable[Scores | Failure]) -> dict[tuple[str, str], str]:
    """Return what is left out, with the first reason: a strategy that fails on one fold has no mean over folds."""
    skipped: dict[tuple[str, str], str] = {}
    for o in outcomes:
        if isinstance(o, Failure):
            skipped.setdefault((o.model, o.strategy), o.reason)
    return skipped


def _result(
    dataset: Dataset,
    settings: Settings,
    splits: Sequence[Split],
    scores: list[Scores],
    skipped: Mapping[tuple[str, str], str],
    stopped: Mapping[tuple[str, str], str],
    untuned: Sequence[str],
) -> Result:
    wanted = scored_metrics(dataset, settings)
    measured = [fold_metrics(part, dataset.target.y, wanted) for part in scores]
    whole = [part for part in scores if (part.model, part.strategy) not in stopped]
    stored = out_of_fold(whole, dataset.rows)
    ratio = ratio_of_sizes(splits)
    summary: list[dict[str, Any]] = []
    for model in settings.models:
        names = [s.name for s in settings.strategies if (model.name, s.name) in stored]
        values = {
            (name, key): np.array(
                [
                    m[key]
                    for part, m in zip(scores, measured, strict=True)
                    if (part.model, part.strategy) == (model.name, name)
                ]
            )
            for name in names
            for key in measured[0]
        }
        plain = stored[model.name, BASELINE]
        summary += summarise(
            model.name,
            values,
            names,
            wanted,
            settings,
            ratio,
            partial(free_threshold, plain=plain, splits=splits, dataset=dataset),
            sum(name == model.name for name, _ in stopped),
        )
    primary = next(m for m in wanted if m.name == settings.metric)
    # along time not every row is tested
    tested = next(iter(stored.values())).tested
    seen = {who: part.of(tested) for who, part in stored.items()}
    scored = replace(dataset, target=replace(dataset.target, y=dataset.target.y[tested]))
    best = best_of(summary, seen, primary.at_rows(tested), scored.target.y, settings)
    if primary.floor is not None and settings.tuned and best["strategy"] is not None:
        best["decision"] = "tuned"  # the one that keeps the floor
    left_out = [*skipped.items(), *stopped.items()]
    content = {
        "schema_version": SCHEMA_VERSION,
        "steelyard_version": steelyard.__version__,
        "versions": library_versions(),
        "dataset": dataset.describe(),
        "settings": settings.to_dict(dataset.target),
        "runs": _runs(scores, measured),
        "summary": summary,
        "best": best,
        "floor": floor_kept(scores, measured, dataset, settings),
        "metrics": {m.name: m.describe() for m in wanted},
        "warnings": [
            *dataset.warnings,
            *untuned,
            *too_few_for_floor(scores, dataset, settings),
            *_few_rows(dataset, settings),
            *_troubles(scores, settings),
        ],
        "skipped": [{"model": model, "strategy": strategy, "reason": reason} for (model, strategy), reason in left_out],
        "views": views(seen, scored, summary, wanted, settings),
    }
    return Result(content, stored, None if best["strategy"] is None else lambda: winner(dataset, settings, best))


def winner(dataset: Dataset, settings: Settings, best: Mapping[str, Any]) -> Classifier:
    """Return the part `best` of results.json trained on all rows."""
    from steelyard.comparison.classifier import trained  # loads scikit-learn
    from steelyard.comparison.final import fit_final

    final = fit_final(dataset, settings, best["model"], best["strategy"], best["decision"])
    return trained(final, best["decision"], settings.metric, settings.random_state)


def _runs(scores: Iterable[Scores], measured: Iterable[Mapping[str, float]]) -> list[dict[str, Any]]:
    rows = [
        {
            "model": part.model,
            "strategy": part.strategy,
            "repeat": part.split.repeat,
            "fold": part.split.fold,
            "metrics": dict(metrics),
            "fit_seconds": round(part.seconds, 6),
        }
        for part, metrics in zip(scores, measured, strict=True)
    ]
    return sorted(rows, key=lambda r: (r["model"], r["strategy"], r["repeat"], r["fold"]))


def _untunable(dataset: Dataset, settings: Settings, splits: Sequence[Split]) -> list[str]:
    """Say that decisions cannot be tuned, where some training fold has a class of which nothing can be held out."""
    if not settings.tuned or tunable(dataset.target.y, splits, settings.random_state, dataset.ties):
        return []
    if dataset.ties.groups is not None or dataset.ties.time is not None:
        tied = "groups" if dataset.ties.time is None else "earlier and later rows"
        return [
            f"decisions are not tuned: in a training fold some class cannot be held out by {tied}; "
            "merge such a class with another, or use other folds"
        ]
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
    """Say once per model and strategy how many of its fits were in trouble, with the first reason."""
    parts = list(scores)
    said = []
    for model in settings.models:
        for strategy in settings.strategies:
            own = [part for part in parts if (part.model, part.strategy) == (model.name, strategy.name)]
            reasons = [part.trouble for part in own if part.trouble is not None]
            if reasons:
                said.append(f"{strategy.name} ({model.name}): {len(reasons)} of {len(own)} fits {reasons[0]}")
    return said
