"""How often a floor of recall holds on new rows, when it was asked for with a stated confidence.

Simulated tables. Two classes: scores N(0, 1) and N(1.5, 1), so that the recall of a threshold on new rows is known
exactly; "precision@recall>=x". Three classes: unit normals in three dimensions and their posterior; f1_macro, and
precision of the rarest class, under "recall_c>=x"; recall on 200,000 new rows of that class.

Each line of results/stated_recall.csv: in how many of the tables the floor held on new rows, with the Clopper-Pearson
interval (95 %) of that share, and the mean recall there. confidence "none" is the plain fit, which keeps the floor on
the rows it was fitted on.

    python benchmarks/studies/stated_recall.py               # about six minutes on one core; writes the CSV
    python benchmarks/studies/stated_recall.py --tables 20   # a quick look; prints only
"""

from __future__ import annotations

import argparse
import csv
import math
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import beta

from steelyard.decisions.best_rules import best_rule, chosen
from steelyard.decisions.constraints import Constraint, limits
from steelyard.metrics.catalogue import get

RESULT = Path(__file__).parent / "results" / "stated_recall.csv"
FIELDS = ["classes", "metric", "rows", "floor", "confidence", "tables", "held", "share", "low", "high", "mean_recall"]
DISTANCE = 1.5
PRIORS = np.array([0.7, 0.2, 0.1])
CONFIDENCES = (0.9, 0.5, None)
FLOORS = (0.8, 0.95)
ROWS = (60, 200, 1000)


def recall_of_threshold(t: float) -> float:
    """Return the share of N(1.5, 1) whose posterior, at even odds, is at least t."""
    if t <= 0.0:
        return 1.0
    if t >= 1.0:
        return 0.0
    score = math.log(t / (1.0 - t)) / DISTANCE + DISTANCE / 2.0
    return 0.5 * math.erfc((score - DISTANCE) / math.sqrt(2.0))


def two_classes(rows: int, floor: float, confidence: float | None, seed: int) -> float:
    rng = np.random.default_rng([seed, rows])
    x = np.concatenate([rng.normal(size=9 * rows), rng.normal(DISTANCE, size=rows)])
    y = np.repeat([0, 1], [9 * rows, rows])
    p = 1.0 / (1.0 + np.exp(-DISTANCE * (x - DISTANCE / 2.0)))
    metric = get(f"precision@recall>={floor}", ["no", "yes"])
    rule: Any = best_rule(np.column_stack([1.0 - p, p]), y, metric, 1, confidence)
    return recall_of_threshold(rule.threshold)


def posterior(y: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    x = rng.normal(size=(len(y), 3)) + DISTANCE * np.eye(3)[y]
    joint = PRIORS * np.exp(DISTANCE * x)
    return joint / joint.sum(1, keepdims=True)


NEW = posterior(np.full(200_000, 2), np.random.default_rng(10**6))


def three_classes(metric: str, rows: int, floor: float, confidence: float | None, seed: int) -> float:
    rng = np.random.default_rng([seed, rows, 3])
    y = np.repeat([0, 1, 2], np.round(PRIORS * rows / PRIORS[2]).astype(int))
    p = posterior(y, rng)
    kept = limits([Constraint("recall", 2, floor)], np.bincount(y), confidence, "abc", strict=False)
    rule = chosen(p, y, get(metric, "abc"), kept, None, random_state=seed, strict=False)
    return float((rule(NEW) == 2).mean())


def line(classes: int, metric: str, rows: int, floor: float, confidence: float | None, tables: int) -> dict[str, Any]:
    if classes == 2:
        recalls = [two_classes(rows, floor, confidence, seed) for seed in range(tables)]
    else:
        recalls = [three_classes(metric, rows, floor, confidence, seed) for seed in range(tables)]
    held = int((np.array(recalls) >= floor).sum())
    low = beta.ppf(0.025, held, tables - held + 1) if held else 0.0
    high = beta.ppf(0.975, held + 1, tables - held) if held < tables else 1.0
    values = [classes, metric, rows, floor, confidence or "none", tables, held, held / tables, low, high]
    return dict(zip(FIELDS, [*values, float(np.mean(recalls))], strict=True))


def lines(tables: int) -> Iterator[dict[str, Any]]:
    for metric, n in (("precision@recall", 2), ("precision_c", 3), ("f1_macro", 3)):
        for rows in ROWS if metric != "f1_macro" else ROWS[:2]:
            for floor in FLOORS:
                for confidence in CONFIDENCES:
                    # an exact statement is worth more tables, and a table costs little there
                    yield line(n, metric, rows, floor, confidence, tables if n == 3 else 5 * tables)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tables", type=int, default=200, help="simulated tables of three classes; five times for two")
    tables = parser.parse_args().tables
    began, found = time.time(), []
    for one in lines(tables):
        found.append(one | {k: f"{one[k]:.4f}" for k in ("share", "low", "high", "mean_recall")})
        print(*found[-1].values(), sep="\t", flush=True)
    print(f"{time.time() - began:.0f} s", file=sys.stderr)
    if tables >= 200:
        RESULT.parent.mkdir(exist_ok=True)
        with RESULT.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, FIELDS, lineterminator="\n")
            writer.writeheader()
            writer.writerows(found)


if __name__ == "__main__":
    main()
