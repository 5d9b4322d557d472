"""Does a fitted decision approach the best possible one? Its regret on data whose truth is known, as rows grow.

    python benchmarks/studies/plug_in_regret.py --out benchmarks/studies/results --plot docs/images/plug_in_regret.svg

Three Gaussian classes, shares .80 : .15 : .05. Half of n rows train a multinomial logistic regression, which can
express the truth, the other half choose the rule (`steelyard.decisions.best_rule`). Rule and the best possible rule,
found from the true probabilities without code of ours (closed form for balanced accuracy and costs, a scan of cuts for
the F1 of the rare class, SciPy's Nelder–Mead from nine starts for the others), are valued on the same 400,000 fresh
rows. Mean and standard error of 20 repeats. Writes plug_in_regret.csv and the plot (needs matplotlib); about five
minutes on one core.
"""

from __future__ import annotations

import argparse
import csv
import itertools
from pathlib import Path

import numpy as np
from scipy.optimize import minimize
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import confusion_matrix as sklearn_confusion

from steelyard.decisions import best_rule
from steelyard.metrics import catalogue

PRIORS = np.array([0.80, 0.15, 0.05])
CLASSES = ("common", "middle", "rare")
COSTS = np.array([[0.0, 1.0, 2.0], [4.0, 0.0, 2.0], [20.0, 10.0, 0.0]])
METRICS = ("balanced_accuracy", "g_mean", "worst_recall", "f1_macro", "f1_rare", "expected_cost")
SIZES = (300, 1_000, 3_000, 10_000, 30_000, 100_000)
REPEATS = 20
FRESH = 400_000
CENTRES = np.array([[0.0, 0.0], [1.6, 0.0], [0.8, 1.6]])


def rows(n: int, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    y = np.concatenate([np.repeat(np.arange(3), 4), generator.choice(3, n - 12, p=PRIORS)])
    return generator.normal(size=(n, 2)) + CENTRES[y], y


def truth(X: np.ndarray) -> np.ndarray:
    z = X @ CENTRES.T - (CENTRES**2).sum(1) / 2 + np.log(PRIORS)
    p = np.exp(z - z.max(1, keepdims=True))
    return p / p.sum(1, keepdims=True)


def value(metric: catalogue.Metric, y: np.ndarray, labels: np.ndarray) -> float:
    sign = 1.0 if metric.greater_is_better else -1.0
    return sign * float(metric.of_confusion(sklearn_confusion(y, labels, labels=[0, 1, 2]).astype(float)))


def optimum(name: str, metric: catalogue.Metric, eta: np.ndarray, y: np.ndarray) -> float:
    if name == "balanced_accuracy":
        return value(metric, y, (eta / PRIORS).argmax(1))
    if name == "expected_cost":
        return value(metric, y, (eta @ COSTS).argmin(1))
    if name == "f1_rare":
        order = np.argsort(-eta[:, 2])
        found = (y[order] == 2).cumsum()
        return float((2.0 * found / (np.arange(1, len(y) + 1) + found[-1])).max())

    def negative(free: np.ndarray) -> float:
        return -value(metric, y, (eta * np.exp([0.0, *free])).argmax(1))

    starts = itertools.product([0.0, 1.0, 2.0], [0.5, 1.5, 3.0])
    return -min(minimize(negative, s, method="Nelder-Mead", options={"xatol": 1e-3, "fatol": 1e-6}).fun for s in starts)


def study() -> list[dict[str, str | int | float]]:
    X, y = rows(FRESH, np.random.default_rng(12345))
    eta = truth(X)
    metrics = {name: catalogue.get(name, CLASSES, cost_matrix=COSTS) for name in METRICS}
    best = {name: optimum(name, metric, eta, y) for name, metric in metrics.items()}
    table: list[dict[str, str | int | float]] = []
    for n in SIZES:
        regret: dict[str, list[float]] = {name: [] for name in METRICS}
        for repeat in range(REPEATS):
            own, labels = rows(n, np.random.default_rng([repeat, n]))
            half = np.arange(n) % 2 == 0
            model = LogisticRegression(C=1e6, max_iter=1000).fit(own[half], labels[half])
            held_out, fresh = model.predict_proba(own[~half]), model.predict_proba(X)
            for name, metric in metrics.items():
                rule = best_rule(held_out, labels[~half], metric)
                regret[name].append(best[name] - value(metric, y, rule(fresh)))
        for name, found in regret.items():
            error = np.std(found, ddof=1) / np.sqrt(REPEATS)
            row = {"metric": name, "rows": n, "optimum": best[name], "regret": float(np.mean(found)), "error": error}
            table.append(row)
            print(f"{n:7} {name:18} {np.mean(found):+.4f} ± {error:.4f}", flush=True)
    return table


def plot(table: list[dict[str, str | int | float]], path: Path) -> None:
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "steelyard"  # the same file for the same numbers
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(2, 3, figsize=(9.0, 5.0), sharex=True, constrained_layout=True)
    for axis, name in zip(axes.ravel(), METRICS, strict=True):
        own = [r for r in table if r["metric"] == name]
        n = [r["rows"] for r in own]
        axis.errorbar(n, [r["regret"] for r in own], [2.0 * r["error"] for r in own], marker="o", capsize=3, lw=1.5)
        axis.axhline(0.0, color="0.6", lw=1)
        axis.set_xscale("log")
        axis.set_title(name, fontsize=10)
        axis.set_ylim(bottom=min(0.0, *(r["regret"] - 2.0 * r["error"] for r in own)))
    for axis in axes[1]:
        axis.set_xlabel("rows (half train the model, half choose the rule)", fontsize=8)
    for axis in axes[:, 0]:
        axis.set_ylabel("regret ± 2 standard errors", fontsize=8)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Date": None})


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("runs/studies"))
    parser.add_argument("--plot", type=Path, help="where to draw the plot, as SVG")
    chosen = parser.parse_args(arguments)
    table = study()
    chosen.out.mkdir(parents=True, exist_ok=True)
    with (chosen.out / "plug_in_regret.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(table[0]))
        writer.writeheader()
        writer.writerows({k: f"{v:.5f}" if isinstance(v, float) else v for k, v in row.items()} for row in table)
    if chosen.plot is not None:
        plot(table, chosen.plot)


if __name__ == "__main__":
    main()
