"""Linear models: Newton's method and L-BFGS of ours against scikit-learn's, one thread, CPU seconds of a fit.

    python benchmarks/speed/bench_linear.py [--rows 2000 20000] [--columns 10 30] [--classes 2 5 10] [--repeats 3]

Columns are mixed (condition number about the number of columns), a tenth of the rows belongs to the rare classes.
"error" is the largest difference of a probability, on the training rows, from a fit by Newton's method to rounding.
scikit-learn trains "none" alone with its defaults but for max_iter, and for tol: 1e-6 with lbfgs, which at its
default of 1e-4 stops earlier than the others.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import platform
import time
import warnings
from unittest import mock

import numpy as np
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

import steelyard as sy
from steelyard.training import linear, newton

STRATEGIES = ("none", "balanced", "logit_adjusted", "focal")


def table(rows, columns, n_classes, seed=0):
    rng = np.random.default_rng(seed)
    y = rng.choice(n_classes, rows, p=np.r_[0.9, np.full(n_classes - 1, 0.1 / (n_classes - 1))])
    means = rng.normal(size=(n_classes, columns)) * 2.0 / np.sqrt(columns)
    X = (rng.normal(size=(rows, columns)) + means[y]) @ (rng.normal(size=(columns, columns)) / np.sqrt(columns))
    return (X - X.mean(0)) / X.std(0), y


def ours(X, y, loss, n_classes, parameters):
    with mock.patch.object(linear, "_NEWTON", parameters), mock.patch.object(linear, "_MOST_NEWTON", 0):
        model = linear.fit(X, y, loss, n_classes)
    return model.logits(X)


def theirs(X, y, solver, tol):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # newton-cholesky says when it falls back to lbfgs
        model = LogisticRegression(solver=solver, tol=tol, max_iter=10_000).fit(X, y)
    z = model.decision_function(X)
    return z if z.ndim == 2 else np.stack([-z / 2.0, z / 2.0], axis=1)


def softmax(z):
    e = np.exp(z - z.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, nargs="+", default=[2_000, 20_000, 200_000])
    parser.add_argument("--columns", type=int, nargs="+", default=[10, 30, 200])
    parser.add_argument("--classes", type=int, nargs="+", default=[2, 5, 10])
    parser.add_argument("--strategies", nargs="+", default=STRATEGIES)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--most", type=float, default=60.0, help="leave a variant out where 10 × its last size exceeds")
    asked = parser.parse_args()
    versions = {p: importlib.metadata.version(p) for p in ("numpy", "scipy", "scikit-learn")}
    print(f"{os.cpu_count()} cores, {platform.machine()}, {versions}; CPU seconds on one thread, fastest of repeats")
    names = ("chosen", "newton", "l-bfgs", "sklearn lbfgs", "sklearn newton-cholesky")
    print(f"{'rows':>7} {'cols':>4} {'C':>3} {'strategy':<15}" + "".join(f"{n:>24}" for n in names))
    for n_classes in asked.classes:
        for columns in asked.columns:
            for name in asked.strategies:
                slow: set[str] = set()
                for rows in sorted(asked.rows):
                    X, y = table(rows, columns, n_classes)
                    counts = sy.ClassCounts.from_labels(y, classes=range(n_classes))
                    loss = sy.strategies.get(name).resolve(counts).loss
                    variants = {k: v for k, v in fits(X, y, loss, n_classes, name).items() if k not in slow}
                    cells = measured(variants, X, y, loss, n_classes, asked)
                    slow |= {k for k, (seconds, _) in cells.items() if 10 * seconds > asked.most}
                    line = "".join(f"{_cell(cells.get(n)):>24}" for n in names)
                    print(f"{rows:>7} {columns:>4} {n_classes:>3} {name:<15}{line}", flush=True)


def fits(X, y, loss, n_classes, name):
    found = {
        "chosen": lambda: linear.fit(X, y, loss, n_classes).logits(X),
        "newton": lambda: ours(X, y, loss, n_classes, np.inf),
        "l-bfgs": lambda: ours(X, y, loss, n_classes, 0),
    }
    if name == "none":
        found["sklearn lbfgs"] = lambda: theirs(X, y, "lbfgs", 1e-6)
        found["sklearn newton-cholesky"] = lambda: theirs(X, y, "newton-cholesky", 1e-4)
    return found


def measured(variants, X, y, loss, n_classes, asked):
    with threadpool_limits(1):
        times: dict[str, list[float]] = {name: [] for name in variants}
        logits = {}
        for _ in range(asked.repeats):
            for name, fit in variants.items():
                begun = time.process_time()
                logits[name] = fit()
                times[name].append(time.process_time() - begun)
        if "newton" in variants:
            with mock.patch.object(newton, "_TOLERANCE", 1e-12):
                best = softmax(ours(X, y, loss, n_classes, np.inf))
        else:
            best = softmax(logits["chosen"])
    return {n: (min(times[n]), float(np.abs(softmax(logits[n]) - best).max())) for n in variants}


def _cell(found):
    return "" if found is None else f"{found[0]:.3f} ({found[1]:.0e})"


if __name__ == "__main__":
    main()
