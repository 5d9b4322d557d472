"""Boosted trees: our objective against the library's own, bins shared or not, one fit at a time or two.

    python benchmarks/speed/bench_boosters.py [--rows 20000] [--classes 2 10] [--trees 20] [--repeats 3]

Times are medians of interleaved repeats, in milliseconds for a tree (objectives) or seconds for all fits; ratios are
what can be quoted. CatBoost with more than two classes calls our objective row by row: there it grows one tree.
"""

from __future__ import annotations

import argparse
import platform
import time
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import numpy as np

import steelyard as sy
from steelyard import training
from steelyard.training import boosted
from steelyard.training.growing import Growth
from steelyard.training.growing_catboost import CatBoostOptions
from steelyard.training.growing_lightgbm import LightGBMOptions
from steelyard.training.growing_xgboost import XGBoostOptions

LIBRARIES: dict[str, tuple[Any, Any, str]] = {
    "lightgbm": (boosted.LightGBMTrees, LightGBMOptions, "lightgbm"),
    "xgboost": (boosted.XGBoostTrees, XGBoostOptions, "xgboost-cpu"),
    "catboost": (boosted.CatBoostTrees, CatBoostOptions, "catboost"),
}
STRATEGIES = ("none", "balanced", "inverse_sqrt", "log_inverse", "logit_adjusted", "ldam")


def table(rows: int, n_classes: int) -> tuple[Any, Any]:
    rng = np.random.default_rng(0)
    shares = 0.6 ** np.arange(n_classes)
    y = rng.choice(n_classes, rows, p=shares / shares.sum())
    centres = rng.normal(size=(n_classes, 30)) * 0.4
    return rng.normal(size=(rows, 30)) + centres[y], y


def medians(work: dict[str, Callable[[], Any]], repeats: int) -> dict[str, float]:
    seen: dict[str, list[float]] = {name: [] for name in work}
    for _ in range(repeats):
        for name, one in work.items():
            begun = time.perf_counter()
            one()
            seen[name].append(time.perf_counter() - begun)
    return {name: float(np.median(times)) for name, times in seen.items()}


def objectives(name: str, X: Any, y: Any, n_classes: int, trees: int, repeats: int) -> None:
    kind, options_of, _ = LIBRARIES[name]
    library = kind.library
    slow = name == "catboost" and n_classes > 2
    trees = 1 if slow else trees
    options = options_of(n_estimators=trees)
    bins = library.bins(X, y, options)
    counts = np.bincount(y, minlength=n_classes)

    def grow(loss: Any) -> Callable[[], Any]:
        def one() -> None:
            objective = None if loss is None else library.objective(loss, n_classes)
            start = None if loss is None else objective.start(counts, len(y))
            with library.lent(bins, None) as data:
                library.grow(data, Growth(y, None, start, objective, n_classes, 0), options)

        return one

    t = medians(
        {
            "own objective": grow(None),
            "ours, cross-entropy": grow(sy.losses.cross_entropy()),
            "ours, focal": grow(sy.losses.focal(gamma=2.0)),
        },
        1 if slow else repeats,
    )
    base = t["own objective"]
    for variant, seconds in t.items():
        print(
            f"  {name:9} {n_classes:2} classes  {variant:20} {1e3 * seconds / trees:9.2f} ms/tree {seconds / base:8.2f}"
        )


def sharing(name: str, X: Any, y: Any, n_classes: int, trees: int, repeats: int, library_threads: bool) -> None:
    kind, options_of, _ = LIBRARIES[name]
    options = options_of(n_estimators=trees)
    counts = sy.ClassCounts.from_labels(y, classes=range(n_classes))
    points = [training.resolve(name, sy.strategies.get(s), counts) for s in STRATEGIES]

    def fit(some: Any, threads: int = 1) -> Any:
        return boosted.fit_points(kind, X, y, some, n_classes, 0, options, threads)

    work: dict[str, Callable[[], Any]] = {
        "own bins, 1 at a time": lambda: [fit([point]) for point in points],
        "shared bins, 1 at a time": lambda: fit(points),
        "shared bins, 2 at a time": lambda: fit(points, 2),
    }
    if library_threads:
        work["own bins, 1 at a time, 2 threads each"] = lambda: [
            two_threads(name, X, y, point, n_classes, trees) for point in points
        ]
    t = medians(work, repeats)
    base = t["shared bins, 1 at a time"]
    for variant, seconds in t.items():
        print(f"  {name:9} {n_classes:2} classes  {variant:38} {seconds:7.2f} s {seconds / base:6.2f}")


def two_threads(name: str, X: Any, y: Any, point: Any, n_classes: int, trees: int) -> None:
    """One fit on two threads of the library, weights only: its objective and its bins are its own."""
    w = point.loss.class_weight
    weight = None if w is None else w[y] / w[y].mean()
    if name == "lightgbm":
        import lightgbm

        settings: dict[str, Any] = {"num_threads": 2, "verbose": -1, "deterministic": True, "force_row_wise": True}
        settings |= {"objective": "binary"} if n_classes == 2 else {"objective": "multiclass", "num_class": n_classes}
        lightgbm.train(settings, lightgbm.Dataset(X, y, weight=weight), trees)
    elif name == "xgboost":
        import xgboost

        settings = {"nthread": 2, "objective": "binary:logistic" if n_classes == 2 else "multi:softprob"}
        settings |= {"num_class": n_classes} if n_classes > 2 else {}
        xgboost.train(settings, xgboost.QuantileDMatrix(X, y, weight=weight, nthread=2), trees)
    else:
        import catboost

        settings = {"thread_count": 2, "iterations": trees, "learning_rate": 0.2, "logging_level": "Silent"}
        settings |= {"allow_writing_files": False, "leaf_estimation_iterations": 1}
        settings["loss_function"] = "Logloss" if n_classes == 2 else "MultiClass"
        catboost.CatBoost(settings).fit(catboost.Pool(X, y, weight=weight))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--classes", type=int, nargs="+", default=[2, 10])
    parser.add_argument("--trees", type=int, default=20)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--parts", nargs="+", default=["objectives", "sharing", "threads"], help="what to measure")
    parser.add_argument("--libraries", nargs="+", default=list(LIBRARIES), choices=list(LIBRARIES))
    asked = parser.parse_args()
    listed = ", ".join(f"{LIBRARIES[n][2]} {version(LIBRARIES[n][2])}" for n in asked.libraries)
    print(f"{asked.rows} rows × 30, {asked.trees} trees, medians of {asked.repeats}; {listed}; {platform.machine()}")
    for n_classes in asked.classes:
        X, y = table(asked.rows, n_classes)
        for name in asked.libraries:
            if "objectives" in asked.parts:
                objectives(name, X, y, n_classes, asked.trees, asked.repeats)
            if {"sharing", "threads"} & set(asked.parts):
                sharing(name, X, y, n_classes, asked.trees, asked.repeats, "threads" in asked.parts)


if __name__ == "__main__":
    main()
