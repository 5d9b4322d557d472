"""The comparison itself: folds, models, strategies, scores, metrics, summary."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import steelyard
from steelyard.comparison.dataset import Dataset
from steelyard.comparison.fold_scores import Failure, PreparedFold, Scores, score_fold
from steelyard.comparison.folds import Split, outer_splits
from steelyard.comparison.journal import FILE, Journal
from steelyard.comparison.results import SCHEMA_VERSION, Result
from steelyard.comparison.scoring import floor_kept, fold_metrics, out_of_fold, scored_metrics, too_few_for_floor
from steelyard.comparison.settings import BASELINE, Settings
from steelyard.comparison.summary import best_of, summarise
from steelyard.comparison.views import views
from steelyard.errors import InputError
from steelyard.training import Model

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
    if splits is None:
        splits = outer_splits(dataset.target.y, settings.cv, settings.repeats, settings.random_state)
    untuned = _untunable(dataset, settings, splits)
    if untuned:
        settings = replace(settings, tuned=False)
    if folder is None:
        outcomes = _outcomes(dataset, settings, splits, progress, None)
    else:
        about = {
            "data": dataset.fingerprint(),
            "settings": settings.to_dict(dataset.target),
            "version": steelyard.__version__,
        }
        with Journal(Path(folder) / FILE, about) as journal:
            outcomes = _outcomes(dataset, settings, splits, progress, journal)
    skipped = _skipped(outcomes)
    scores = [o for o in outcomes if isinstance(o, Scores) and (o.model, o.strategy) not in skipped]
    return _result(dataset, settings, scores, skipped, untuned)


def _outcomes(
    dataset: Dataset,
    settings: Settings,
    splits: Sequence[Split],
    progress: Progress | None,
    journal: Journal | None,
) -> list[Scores | Failure]:
    """Do the work fold by fold, each fold for every model, or take it from the journal."""
    from threadpoolctl import threadpool_limits

    total, done = len(splits) * len(settings.models), 0
    outcomes: list[Scores | Failure] = []
    # one thread to a product: the products are small, and waiting for a busy core costs far more than it saves
    with threadpool_limits(1):
        for split in splits:
            by_model: dict[str, list[Scores | Failure]] = {}
            if journal is not None:
                by_model = {m.name: _remembered(journal, m, split, settings) for m in settings.models}
            missing = [m for m in settings.models if not by_model.get(m.name)]
            done += len(settings.models) - len(missing)
            if progress is not None:
                progress(done, total, f"repeat {split.repeat + 1}, fold {split.fold + 1}")
            for name, finished in _trained(dataset, settings, split, missing):
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
    dataset: Dataset, settings: Settings, split: Split, models: Sequence[Model]
) -> Iterator[tuple[str, list[Scores | Failure]]]:
    """Train models on one fold, at the same time: one that is held up by Python leaves a core to the others."""
    if not models:
        return
    fold = PreparedFold(dataset, settings, split)
    if len(models) == 1:
        yield models[0].name, score_fold(fold, models[0], settings.strategies)
        return
    with ThreadPoolExecutor(len(models)) as pool:
        work = {pool.submit(score_fold, fold, model, settings.strategies): model.name for model in models}
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


def _remembered(journal: Journal, model: Model, split: Split, settings: Settings) -> list[Scores | Failure]:
    """Return the outcomes that the journal holds of a model on a fold; none when it holds none."""
    kept = journal.get(model.name, split.repeat, split.fold)
    out: list[Scores | Failure] = []
    for strategy in settings.strategies if kept else ():
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
    scores: list[Scores],
    skipped: Mapping[tuple[str, str], str],
    untuned: Sequence[str],
) -> Result:
    wanted = scored_metrics(dataset, settings)
    measured = [fold_metrics(part, dataset.target.y, wanted) for part in scores]
    stored = out_of_fold(scores, dataset.rows)
    summary: list[dict[str, Any]] = []
    for model in settings.models:
        names = [s.name for s in settings.strategies if (model.name, s.name) not in skipped]
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
        summary += summarise(model.name, values, names, wanted, settings)
    primary = next(m for m in wanted if m.name == settings.metric)
    best = best_of(summary, stored, primary, dataset, settings)
    if primary.floor is not None and settings.tuned and best["strategy"] is not None:
        best["decision"] = "tuned"  # the one that keeps the floor
    content = {
        "schema_version": SCHEMA_VERSION,
        "steelyard_version": steelyard.__version__,
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
        "skipped": [
            {"model": model, "strategy": strategy, "reason": reason} for (model, strategy), reason in skipped.items()
        ],
        "views": views(stored, dataset, summary, wanted, settings),
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
