"""A comparison of several labels per row: one comparison per label on the same folds, and what they amount to."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import steelyard
from steelyard.comparison.folds import Split, ratio_of_sizes
from steelyard.comparison.free_threshold import free_threshold
from steelyard.comparison.journal import FILE, Journal
from steelyard.comparison.label_sets import LabelSet
from steelyard.comparison.results import SCHEMA_VERSION, Result
from steelyard.comparison.running import Progress, run, winner
from steelyard.comparison.scoring import scored_metrics
from steelyard.comparison.settings import BASELINE, Settings
from steelyard.comparison.summary import best_among, summarise
from steelyard.errors import InputError
from steelyard.metrics import Metric

if TYPE_CHECKING:
    from steelyard.comparison.multilabel_classifier import MultiLabelClassifier

__all__ = ["MultiLabelResult", "run_labels"]

FOLDER = "labels"
Runs = Mapping[tuple[str, str, int, int], Mapping[str, Any]]  # model, strategy, repeat, fold


class MultiLabelResult(Result):
    """What a comparison of several labels found: the means over labels, and the result of each.

    Attributes
    ----------
    labels : dict of str to Result
        The comparison of each label by itself, without a trained model.
    """

    def __init__(
        self, content: Mapping[str, Any], labels: Mapping[str, Result], train: Callable[[], Any] | None
    ) -> None:
        super().__init__(content, None, train)
        self.labels = dict(labels)

    def save(self, folder: str | Path) -> dict[str, Path]:
        """Write what `Result.save` writes, and results.json and report.html of each label into labels/."""
        paths = super().save(folder)
        places = [label_folder(Path(folder), k, name) for k, name in enumerate(self.labels)]
        for place, result in zip(places, self.labels.values(), strict=True):
            result.save(place)
        whole = Path(folder) / FOLDER
        for old in whole.iterdir():  # of labels that replaced results had
            if old not in places:
                shutil.rmtree(old)
        return paths | {"labels": whole}


def label_folder(folder: Path, k: int, name: str) -> Path:
    """Return where the comparison of a label is kept: its number, and what of its name every file system takes.

    Examples
    --------
    >>> label_folder(Path("runs"), 2, "<b>/toxic").as_posix()
    'runs/labels/02-b_toxic'
    """
    plain = re.sub(r"[^A-Za-z0-9.-]+", "_", name).strip("_.")[:40]
    return folder / FOLDER / (f"{k:02d}-{plain}" if plain else f"{k:02d}")


def run_labels(
    labels: LabelSet,
    settings: Settings,
    progress: Progress | None = None,
    folder: str | Path | None = None,
    jobs: int | None = None,
    ray: str | None = None,
) -> MultiLabelResult:
    """Compare strategies on each label, on the same folds, and by their means over labels.

    The mean over labels of each fold is treated as the score of one label is: corrected t, Holm, verdicts. A mean is
    undefined on a fold where a label's metric is.

    Parameters
    ----------
    labels : LabelSet
    settings : Settings
        Checked against ``labels.target``.
    progress, folder, jobs, ray
        See `steelyard.comparison.running.run`; each label has its own journal below `folder`.

    Returns
    -------
    MultiLabelResult

    Raises
    ------
    InputError
        As `run`, and if there are no folds in which every label has rows.
    """
    if settings.race:
        raise InputError("a race with one label per row", "several labels", "compare without --race (race=False).")
    splits = labels.splits(settings.cv, settings.repeats, settings.random_state)
    workers = {"jobs": jobs, "ray": ray}
    if folder is None:
        return _result(labels, settings, splits, _each(labels, settings, splits, progress, None, workers))
    folder = Path(folder)
    if not (folder / FILE).exists():  # work without the journal that says what it belongs to is not gone on with
        for old in (folder / FOLDER).glob(f"*/{FILE}*"):
            old.unlink()
    about = {
        "data": labels.fingerprint(),
        "settings": settings.to_dict(labels.target) | {"labels": list(labels.names)},
        "version": steelyard.__version__,
    }
    with Journal(folder / FILE, about):
        return _result(labels, settings, splits, _each(labels, settings, splits, progress, folder, workers))


def _each(
    labels: LabelSet,
    settings: Settings,
    splits: Sequence[Split],
    progress: Progress | None,
    folder: Path | None,
    workers: Mapping[str, Any],
) -> dict[str, Result]:
    found = {}
    per_label = len(splits) * len(settings.models)
    for k, (name, dataset) in enumerate(zip(labels.names, labels.datasets, strict=True)):

        def said(done: int, _: int, what: str, before: int = k * per_label, name: str = name) -> None:
            if progress is not None:
                progress(before + done, per_label * len(labels.names), f"{name}: {what}")

        own = replace(settings, names={**settings.names, "target": name})
        where = None if folder is None else label_folder(folder, k, name)
        result = run(dataset, own, said, where, splits=splits, **workers)
        # a model of each label's own winner is not what was asked for
        found[name] = Result(result.to_dict(), result.out_of_fold)
    return found


def _result(
    labels: LabelSet, settings: Settings, splits: Sequence[Split], found: dict[str, Result]
) -> MultiLabelResult:
    contents = {name: result.to_dict() for name, result in found.items()}
    skipped = {
        (s["model"], s["strategy"]): f"{s['reason']} (label {name})"
        for name, c in contents.items()
        for s in c["skipped"]
    }
    runs = [{(r["model"], r["strategy"], r["repeat"], r["fold"]): r for r in c["runs"]} for c in contents.values()]
    places = [p for p in runs[0] if (p[0], p[1]) not in skipped]
    macro = {place: _mean([r[place]["metrics"] for r in runs]) for place in places}
    wanted = [_over_labels(m, labels, settings) for m in scored_metrics(labels.datasets[0], settings)]
    summary: list[dict[str, Any]] = []
    for model in settings.models:
        names = [s.name for s in settings.strategies if (model.name, s.name) not in skipped]
        keys = macro[places[0]]
        values = {
            (name, key): np.array([m[key] for p, m in macro.items() if p[:2] == (model.name, name)])
            for name in names
            for key in keys
        }
        free = partial(_free_threshold, labels=labels, settings=settings, splits=splits, found=found, model=model.name)
        summary += summarise(model.name, values, names, wanted, settings, ratio_of_sizes(splits), free)
    best = _best(labels, settings, found, summary, next(m for m in wanted if m.name == settings.metric))
    content = {
        "schema_version": SCHEMA_VERSION,
        "steelyard_version": steelyard.__version__,
        "dataset": labels.describe(),
        "settings": settings.to_dict(labels.target),
        "runs": [
            dict(zip(("model", "strategy", "repeat", "fold"), place, strict=True))
            | {"metrics": metrics, "fit_seconds": round(sum(r[place]["fit_seconds"] for r in runs), 6)}
            for place, metrics in macro.items()
        ],
        "summary": summary,
        "best": best,
        "floor": None,
        "metrics": {m.name: m.describe() for m in wanted},
        "warnings": _warnings(contents),
        "skipped": [{"model": m, "strategy": s, "reason": reason} for (m, s), reason in skipped.items()],
        "labels": [
            {
                "label": name,
                "rows": int(d.target.y.sum()),
                "chance": {m: c["metrics"][m]["chance"] for m in c["metrics"]},
            }
            | {key: c[key] for key in ("summary", "best", "floor")}
            for (name, c), d in zip(contents.items(), labels.datasets, strict=True)
        ],
    }
    train = None if best["strategy"] is None else lambda: _model(labels, settings, best)
    return MultiLabelResult(content, found, train)


def _free_threshold(
    metric: Metric,
    labels: LabelSet,
    settings: Settings,
    splits: Sequence[Split],
    found: Mapping[str, Result],
    model: str,
) -> Any:
    """Return plain training with a moved threshold for each label, as a mean over labels on each fold."""
    parts = [
        free_threshold(settings.measure(metric.name, d.target), found[name].out_of_fold[model, BASELINE], splits, d)
        for name, d in zip(labels.names, labels.datasets, strict=True)
    ]
    return np.mean(parts, axis=0)


def _mean(metrics: Sequence[Mapping[str, float | None]]) -> dict[str, float]:
    common = [key for key in metrics[0] if all(key in m for m in metrics)]
    # an undefined value is None in results.json, and NaN here
    table = np.array([[m[key] for key in common] for m in metrics], np.float64)
    return dict(zip(common, table.mean(0).tolist(), strict=True))


def _over_labels(metric: Metric, labels: LabelSet, settings: Settings) -> Metric:
    text = f"Mean over {len(labels.names)} labels. {metric.explanation}"
    chances = [settings.measure(metric.name, dataset.target).chance for dataset in labels.datasets]
    known = [chance for chance in chances if chance is not None]
    return replace(metric, explanation=text, chance=float(np.mean(known)) if known else None)


def _best(
    labels: LabelSet, settings: Settings, found: Mapping[str, Result], summary: Any, metric: Metric
) -> dict[str, Any]:
    parts = [
        (settings.measure(settings.metric, d.target), d.target.y, found[name].out_of_fold)
        for name, d in zip(labels.names, labels.datasets, strict=True)
    ]

    def candidate(row: Mapping[str, Any]) -> list[Callable[[Any], float]]:
        prepared = []
        for measure, y, scores in parts:
            stored = scores[row["model"], row["strategy"]]
            given = stored.labels(row["decision"])
            prepared.append([measure.prepare(y, stored.proba[r], given[r]) for r in range(len(given))])
        return [
            lambda weight, ones=ones: float(np.mean([one(weight) for one in ones]))  # type: ignore[misc]
            for ones in zip(*prepared, strict=True)
        ]

    best = best_among(summary, candidate, metric, labels.strata(), settings)
    if metric.floor is not None and settings.tuned and best["strategy"] is not None:
        best["decision"] = "tuned"
    return best


def _warnings(contents: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return what was said of all labels once, and of each with its name."""
    first = next(iter(contents.values()))["warnings"]
    common = [w for w in first if all(w in c["warnings"] for c in contents.values())]
    own = [f"{w} (label {name})" for name, c in contents.items() for w in c["warnings"] if w not in common]
    return [*common, *own]


def _model(labels: LabelSet, settings: Settings, best: Mapping[str, Any]) -> MultiLabelClassifier:
    from steelyard.comparison.multilabel_classifier import MultiLabelClassifier  # loads scikit-learn

    return MultiLabelClassifier(
        {name: winner(d, settings, best) for name, d in zip(labels.names, labels.datasets, strict=True)}
    )
