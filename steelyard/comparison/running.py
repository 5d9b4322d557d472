"""The comparison itself: folds, models, strategies, scores, metrics, summary."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import steelyard
from steelyard.comparison.dataset import Dataset
from steelyard.comparison.fold_scores import Failure, PreparedFold, Scores, score_fold
from steelyard.comparison.folds import Split, outer_splits, ratio_of_sizes, tunable
from steelyard.comparison.free_threshold import free_threshold
from steelyard.comparison.journal import FILE, Journal
from steelyard.comparison.racing import Race
from steelyard.comparison.results import SCHEMA_VERSION, Result
from steelyard.comparison.scoring import fold_metrics, out_of_fold, scored_metrics
from steelyard.comparison.settings import BASELINE, Settings
from steelyard.comparison.summary import best_of, summarise
from steelyard.comparison.versions import library_versions
from steelyard.comparison.views import views
from steelyard.errors import InputError
from steelyard.strategies import Strategy
from steelyard.training import Model

if TYPE_CHECKING:
    from steelyard.comparison.classifier import Classifier

__all__ = ["Progress", "run"]

Progress = Callable[[int, int, str], None]

_FEW_PER_FOLD = 10  # test rows of the rarest class; with fewer, one row moves its recall by more than 10 %


def run(
    dataset: Dataset, settings: Settings, progress: Progress | None = None, folder: str | Path | None = None
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

    Returns
    -------
    Result

    Raises
    ------
    InputError
        If the baseline itself cannot be trained, or the journal is of another comparison.
    """
    target = dataset.target
    splits = outer_splits(
        target.y, settings.cv, settings.repeats, settings.random_state, dataset.ties, target.counts.classes
    )
    untuned = _untunable(dataset, settings, splits)
    if untuned:
        settings = replace(settings, tuned=False)
    race = Race(dataset, settings, splits)
    if folder is None:
        outcomes = _outcomes(dataset, settings, splits, progress, None, race)
    else:
        about = {
            "data": dataset.fingerprint(),
            "settings": settings.to_dict(dataset.target),
            "version": steelyard.__version__,
        }
        with Journal(Path(folder) / FILE, about) as journal:
            outcomes = _outcomes(dataset, settings, splits, progress, journal, race)
    skipped = _skipped(outcomes)
    scores = [o for o in outcomes if isinstance(o, Scores) and (o.model, o.strategy) not in skipped]
    stopped = {who: reason for who, reason in race.stopped.items() if who not in skipped}
    return _result(dataset, settings, splits, scores, skipped, stopped, untuned)


def _outcomes(
    dataset: Dataset,
    settings: Settings,
    splits: Sequence[Split],
    progress: Progress | None,
    journal: Journal | None,
    race: Race,
) -> list[Scores | Failure]:
    """Do the work fold by fold, each fold for every model, or take it from the journal.

    A race depends on nothing but the outcomes so far, so that a resumed run stops the same strategies.
    """
    from threadpoolctl import threadpool_limits

    total, done = len(splits) * len(settings.models), 0
    outcomes: list[Scores | Failure] = []
    # one thread to a product: the products are small, and waiting for a busy core costs far more than it saves
    with threadpool_limits(1):
        for split in splits:
            race.before(split, outcomes)
            by_model: dict[str, list[Scores | Failure]] = {}
            if journal is not None:
                by_model = {m.name: _remembered(journal, m, split, race.going[m.name]) for m in settings.models}
            missing = [m for m in settings.models if not by_model.get(m.name)]
            done += len(settings.models) - len(missing)
            if progress is not None:
                progress(done, total, f"repeat {split.repeat + 1}, fold {split.fold + 1}")
            for name, finished in _trained(dataset, settings, split, missing, race.going):
                by_model[name] = finished
                if journal is not None:
                    journal.add(name, split.repeat, split.fold, _memory(finished))
                done += 1
                if progress is not None:
                    progress(done, total, f"repeat {split.repeat + 1}, fold {split.fold + 1}")
            for model in settings.models:
                outcomes += by_model[model.name]
    return outcomes


def _trained(
    dataset: Dataset,
    settings: Settings,
    split: Split,
    models: Sequence[Model],
    strategies: Mapping[str, Sequence[Strategy]],
) -> Iterator[tuple[str, list[Scores | Failure]]]:
    """Train models on one fold, at the same time: one that is held up by Python leaves a core to the others."""
    if not models:
        return
    fold = PreparedFold(dataset, settings, split)
    if len(models) == 1:
        yield models[0].name, score_fold(fold, models[0], strategies[models[0].name])
        return
    with ThreadPoolExecutor(len(models)) as pool:
        work = {pool.submit(score_fold, fold, model, strategies[model.name]): model.name for model in models}
        for future in as_completed(work):
            yield work[future], future.result()


def _memory(finished: Iterable[Scores | Failure]) -> dict[str, tuple[dict[str, Any], dict[str, Any]]]:
    """Return outcomes as the journal keeps them."""
    kept: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {}
    for o in finished:
        if isinstance(o, Failure):
            kept[o.strategy] = {"failed": o.reason}, {}
        else:
            arrays = {"proba": o.proba, "default": o.default}
            if o.tuned is not None:
                arrays["tuned"] = o.tuned
            kept[o.strategy] = {"seconds": o.seconds, "trouble": o.trouble}, arrays
    return kept


def _remembered(journal: Journal, model: Model, split: Split, strategies: Iterable[Strategy]) -> list[Scores | Failure]:
    """Return the outcomes that the journal holds of a model on a fold; none when it holds none."""
    kept = journal.get(model.name, split.repeat, split.fold)
    out: list[Scores | Failure] = []
    for strategy in strategies if kept else ():
        facts, arrays = kept[strategy.name]
        if "failed" in facts:
            out.append(Failure(model.name, strategy.name, facts["failed"]))
        else:
            out.append(
                Scores(
                    model.name,
                    strategy.name,
                    split,
                    arrays["proba"],
                    arrays["default"],
                    arrays.get("tuned"),
                    facts["seconds"],
                    facts["trouble"],
                )
            )
    return out


def _skipped(outcomes: Iterable[Scores | Failure]) -> dict[tuple[str, str], str]:
    """Return what is left out, with the first reason: a strategy that fails on one fold has no mean over folds."""
    skipped: dict[tuple[str, str], str] = {}
    for o in outcomes:
        if isinstance(o, Failure):
            if o.strategy == BASELINE:
                raise InputError(
                    f"a table that the baseline of model '{o.model}' can be trained on",
                    o.reason,
                    "nothing can be compared without it.",
                )
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
    best = best_of(summary, seen, primary, scored.target.y, settings)
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
        "warnings": [*dataset.warnings, *untuned, *_few_rows(dataset, settings), *_troubles(scores, settings)],
        "skipped": [{"model": model, "strategy": strategy, "reason": reason} for (model, strategy), reason in left_out],
        "views": views(seen, scored, summary, wanted, settings),
    }
    return Result(content, stored, None if best["strategy"] is None else lambda: _winner(dataset, settings, best))


def _winner(dataset: Dataset, settings: Settings, best: Mapping[str, Any]) -> Classifier:
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
