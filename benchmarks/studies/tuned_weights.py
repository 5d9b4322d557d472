"""Are tuned weights worth more than class weights searched the usual way, in the same time?

    python benchmarks/studies/tuned_weights.py --out benchmarks/studies/results

Four ways to spend the training rows of a fold, each judged by macro-F1 on the same untouched test rows (5 folds):

grid        Optuna (its default sampler) over the logarithms of the class weights, scikit-learn's LogisticRegression one
            trial at a time, 3 inner folds, labels by predict(); the best trial is trained on all training rows
search      Steelyard's stages inside the training rows alone: plug-in, training again, search; the last stage is taken
tune        `sy.tune` on the training rows: it spends the same time on nested folds of its own, for evidence, and keeps
            the dearest stage that they accept
plain       LogisticRegression() and predict(), for scale

The models are the same: `linear` is scikit-learn's LogisticRegression (penalty 1) on the same preprocessed rows. The
first three have --seconds each; what they took is in the results. Differences are paired over folds, with the corrected
resampled t interval (95 %): a win or a loss is an interval without 0. Writes tuned_weights.json; about 12 minutes.

What came out, in results/tuned_weights.json: nothing beats the grid. `search` ties with it on all sets; `tune` is below
it on average and loses once, because 5 folds of few rare rows seldom prove a gain, and what is not proven is not taken.

With --samplers it instead compares Optuna's samplers on the search of stage 4, at equal numbers of trials, and writes
search_samplers.json.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import warnings
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score
from threadpoolctl import threadpool_limits

import steelyard as sy
from steelyard import training
from steelyard.comparison.dataset import Dataset, from_memory
from steelyard.comparison.fold_scores import PreparedFold
from steelyard.comparison.folds import Split, outer_splits
from steelyard.comparison.settings import Settings, settings
from steelyard.metrics import corrected_resampled_t
from steelyard.metrics import get as get_metric
from steelyard.tuning.fits import Trainer
from steelyard.tuning.objectives import Objective
from steelyard.tuning.race import Budget, race
from steelyard.tuning.searching import Space, Trial, generation, proposals
from steelyard.tuning.stages import Procedure

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
import public_data

SETS = ("ecoli3", "abalone9-18", "yeast4", "vehicle0", "newthyroid", "balance", "contraceptive", "car-multi")
FOLDS = 5
ARMS = ("grid", "search", "tune")


class Nothing:
    """No journal: this study is not resumed."""

    def get(self, *_: Any) -> None:
        return None

    def add(self, *_: Any) -> None:
        return

    def keep_trials(self, *_: Any) -> None:
        return


def grid(fold: PreparedFold, seconds: float, seed: int) -> np.ndarray:
    """Class weights by Optuna and scikit-learn, one trial at a time, until the time is up."""
    begun = time.perf_counter()
    n_classes = fold.n_classes

    def model(log: np.ndarray) -> LogisticRegression:
        return LogisticRegression(class_weight=dict(enumerate(np.exp(log))), max_iter=2000)

    def objective(trial: optuna.Trial) -> float:
        log = np.array([0.0, *(trial.suggest_float(f"log_w{k}", -4.0, 4.0) for k in range(1, n_classes))])
        scores = []
        for held_out, rows in fold.inner:
            predicted = model(log).fit(rows.train, rows.y).predict(rows.score)
            scores.append(f1_score(fold.outer.y[held_out], predicted, average="macro"))
        return float(np.mean(scores))

    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=seed))
    study.enqueue_trial({f"log_w{k}": 0.0 for k in range(1, n_classes)})
    counts = np.bincount(fold.outer.y, minlength=n_classes)
    study.enqueue_trial(
        {f"log_w{k}": float(np.clip(np.log(counts[0] / counts[k]), -4, 4)) for k in range(1, n_classes)}
    )
    trials = 0
    while time.perf_counter() - begun + (time.perf_counter() - begun) / max(1, trials) <= seconds:
        study.optimize(objective, n_trials=1)
        trials += 1
    log = np.array([0.0, *(study.best_params[f"log_w{k}"] for k in range(1, n_classes))])
    return model(log).fit(fold.outer.train, fold.outer.y).predict(fold.outer.score)


def search(fold: PreparedFold, seconds: float, seed: int) -> np.ndarray:
    """All stages inside the training rows, without folds of their own for evidence."""
    counts = fold.dataset.target.counts
    metric = get_metric("f1_macro", counts.classes, fold.dataset.target.positive)
    objective = Objective(metric, fold.n_classes, fold.dataset.target.positive)
    procedure = Procedure(fold.task("fold"), training.get("linear"), objective, seed)
    outcome = race([procedure], Budget(seconds, 4), Nothing())
    stage = list(outcome.results)[-1]
    best = outcome.results[stage][0]
    return objective.labels(best.rule, best.test)


def fold_of(dataset: Dataset, asked: Settings, split: Split) -> PreparedFold:
    return PreparedFold(dataset, asked, split)


def measured(name: str, seconds: float) -> list[dict[str, Any]]:
    frame, labels = public_data.frame(name)
    y = labels.to_numpy(str)
    dataset = from_memory(frame, y)
    asked = settings(dataset.target, ["none"], "linear", "f1_macro", FOLDS, 1, 0)
    truth = dataset.target.y
    out = []
    for split in outer_splits(truth, FOLDS, 1, 0):
        fold = fold_of(dataset, asked, split)
        row: dict[str, Any] = {"set": name, "fold": split.fold}
        plain = LogisticRegression(max_iter=2000).fit(fold.outer.train, fold.outer.y).predict(fold.outer.score)
        row["plain"] = f1_score(truth[split.test], plain, average="macro")
        for arm in ARMS:
            begun = time.perf_counter()
            if arm == "tune":
                result = sy.tune(frame.iloc[split.train], y[split.train], "f1_macro", "linear", seconds)
                row["stage"] = result.stage
                predicted = dataset.target.counts.encode(result.model.predict(frame.iloc[split.test]))
            else:
                # the preparation of a fold is part of what a search takes: it is in `tune` too
                fold = fold_of(dataset, asked, split)
                predicted = {"grid": grid, "search": search}[arm](fold, seconds, split.fold)
            row[f"{arm}_seconds"] = round(time.perf_counter() - begun, 2)
            row[arm] = f1_score(truth[split.test], predicted, average="macro")
        out.append(row)
    return out


def compared(rows: list[dict[str, Any]], arm: str, against: str) -> dict[str, Any]:
    d = corrected_resampled_t([r[arm] - r[against] for r in rows], 1 / (FOLDS - 1))
    verdict = "win" if d.low > 0 else "loss" if d.high < 0 else "tie"
    return {"set": rows[0]["set"], "arm": arm, "against": against, "difference": round(d.mean, 4),
            "low": round(d.low, 4), "high": round(d.high, 4), "verdict": verdict}  # fmt: skip


def weights(seconds: float, out: Path) -> None:
    begun = time.perf_counter()
    rows, summary = [], []
    for name in SETS:
        own = measured(name, seconds)
        rows += own
        means = {arm: float(np.mean([r[arm] for r in own])) for arm in ("plain", *ARMS)}
        summary += [compared(own, arm, against) for arm, against in (
            ("search", "grid"), ("tune", "grid"), ("grid", "plain"), ("tune", "plain"))]  # fmt: skip
        print(name, " ".join(f"{arm} {value:.3f}" for arm, value in means.items()), [r["stage"] for r in own])
        for s in summary[-4:]:
            print(f"    {s['arm']:6} − {s['against']:5} {s['difference']:+.3f} "
                  f"({s['low']:+.3f} to {s['high']:+.3f})  {s['verdict']}")  # fmt: skip
    tally = {}
    for s in summary:
        key = f"{s['arm']} against {s['against']}"
        tally.setdefault(key, {"win": 0, "tie": 0, "loss": 0})[s["verdict"]] += 1
    for key, counts in tally.items():
        print(f"{key:20} {counts}")
    versions = {name: metadata.version(name) for name in ("numpy", "scikit-learn", "optuna")}
    content = {"metric": "f1_macro", "model": "linear", "seconds": seconds, "versions": versions, "tally": tally,
               "wall_seconds": round(time.perf_counter() - begun), "summary": summary, "rows": rows}  # fmt: skip
    out.mkdir(parents=True, exist_ok=True)
    (out / "tuned_weights.json").write_text(json.dumps(content, indent=1) + "\n")


# --- which sampler -------------------------------------------------------------------------------------------------


def samplers(out: Path, generations: int = 5) -> None:
    """Best value inside the training rows after equal numbers of trials, arg max decisions, no stopping by halves."""
    kinds = {
        "tpe": lambda s: optuna.samplers.TPESampler(seed=s, multivariate=True, constant_liar=True),
        "cmaes": lambda s: optuna.samplers.CmaEsSampler(seed=s),
        "random": lambda s: optuna.samplers.RandomSampler(seed=s),
    }
    rows = []
    for name in ("newthyroid", "balance", "ecoli3", "abalone9-18"):
        frame, labels = public_data.frame(name)
        y = labels.to_numpy(str)
        dataset = from_memory(frame, y)
        asked = settings(dataset.target, ["none"], "linear", "f1_macro", FOLDS, 1, 0)
        metric = get_metric("f1_macro", dataset.target.counts.classes, dataset.target.positive)
        objective = Objective(metric, dataset.target.counts.n_classes, dataset.target.positive, "default")
        for split in outer_splits(dataset.target.y, FOLDS, 1, 0)[:3]:
            task = fold_of(dataset, asked, split).task("fold")
            space = Space(tuple(task.counts.tolist()), "linear")
            trainer = Trainer(training.get("linear"), task)
            row: dict[str, Any] = {"set": name, "fold": split.fold}
            for kind, make in kinds.items():
                study = optuna.create_study(direction="maximize", sampler=make(split.fold))
                best = -np.inf
                for _ in range(generations * 4):
                    trials = [study.ask() for _ in range(4)]
                    points = [{k: t.suggest_float(k, *box) for k, box in space.bounds.items()} for t in trials]
                    scored = trainer.held_out([space.candidate(p) for p in points])
                    for trial, s in zip(trials, scored, strict=True):
                        value = objective.selection(task.outer.y, s, [p for p, _ in task.inner])
                        study.tell(trial, value)
                        best = max(best, value)
                row[kind] = best
            trials_: list[Trial] = []
            for number in range(1, generations * 2 + 1):
                points = proposals(space, trials_, [], split.fold * 100 + number)
                trials_ += generation(trainer, space, points, objective, number)[0]
            row["as used: tpe, halving, twice the trials"] = max(t.value for t in trials_ if t.value is not None)
            rows.append(row)
            print(row)
    means = {k: float(np.mean([r[k] for r in rows])) for k in rows[0] if k not in ("set", "fold")}
    print("mean", means)
    out.mkdir(parents=True, exist_ok=True)
    (out / "search_samplers.json").write_text(json.dumps({"mean": means, "rows": rows}, indent=1) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    parser.add_argument("--seconds", type=float, default=6.0)
    parser.add_argument("--samplers", action="store_true")
    chosen = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
    with threadpool_limits(1):
        samplers(chosen.out) if chosen.samplers else weights(chosen.seconds, chosen.out)


if __name__ == "__main__":
    main()
