"""What the simulations share: tables whose truth is known, work on two processes, shares with binomial intervals."""

from __future__ import annotations

import argparse
import csv
import multiprocessing
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

# before NumPy: the products are small, and two processes share the machine
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import numpy as np  # noqa: E402
from scipy.stats import binomtest  # noqa: E402

STRATEGIES = ("balanced", "focal", "logit_adjusted", "oversample", "undersample", "smote")
RESULTS = Path(__file__).parent / "results"


def table(n: int, seed: int, slope: float, share: float = 0.15, bend: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Four normal features; the log odds are `slope` times each of the first two, bent by a product of the others.

    Without the product the linear model can express the truth: nothing can rank better. With slope 0 there is none.
    """
    generator = np.random.default_rng([seed, n])
    X = generator.normal(size=(n, 4))
    z = slope * (X[:, 0] + X[:, 1]) + bend * X[:, 2] * X[:, 3] + np.log(share / (1.0 - share))
    y = (generator.random(n) < 1.0 / (1.0 + np.exp(-z))).astype(int)
    y[:8] = [0, 1] * 4  # every class in every fold
    return X, y


def arguments(doc: str, tables: int = 200) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=doc.splitlines()[0])
    parser.add_argument("--tables", type=int, default=tables, help="how many; fewer for a quick look")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--out", type=Path, default=RESULTS)
    return parser.parse_args()


def over(task: Callable[[Any], Any], places: Iterable[Any], processes: int) -> list[Any]:
    """Do a task at every place, in their order."""
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        return pool.map(task, list(places), chunksize=1)


def share(hits: int, n: int) -> str:
    """Print a share with its 95 % interval (Wilson)."""
    ci = binomtest(int(hits), n).proportion_ci(method="wilson")
    return f"{hits / n:.3f} [{ci.low:.3f}, {ci.high:.3f}]"


def write(path: Path, rows: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows({k: f"{v:.6g}" if isinstance(v, float) else v for k, v in row.items()} for row in rows)
    print(path)
