"""How simple should fitted class weights be? Each candidate of `best_plug_in`, and what cross-validation chooses.

    python benchmarks/studies/plug_in_shrinkage.py --out benchmarks/studies/results

Four Gaussian classes, shares 1 : 0.27 : 0.074 : 0.02; probabilities from the truth, calibrated or with class offsets
N(0, 0.7) added to the logits (as a model that was trained with wrong weights). Rules are fitted on n rows and valued
on 40,000 fresh ones; 40 repeats. Writes plug_in_shrinkage.csv; about four minutes on one core.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

import numpy as np

from steelyard.decisions import plug_in
from steelyard.decisions.line_search import Scored
from steelyard.metrics import catalogue
from steelyard.metrics.confusion import confusion_matrix

SIZES = (200, 1_000, 5_000)
METRICS = ("f1_macro", "g_mean", "worst_recall")
NAMES = ("arg max", "tau = 1", "best tau", "kappa = 100", "kappa = 30", "kappa = 10", "kappa = 3", "kappa = 0")
REPEATS = 40
PRIORS = np.geomspace(1.0, 0.02, 4) / np.geomspace(1.0, 0.02, 4).sum()


def rows(n: int, generator: np.random.Generator, offset: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    y = np.concatenate([np.repeat(np.arange(4), 2), generator.choice(4, n - 8, p=PRIORS)])
    z = 1.5 * (generator.normal(size=(n, 4)) + 1.5 * np.eye(4)[y]) + np.log(PRIORS) + offset
    p = np.exp(z - z.max(1, keepdims=True))
    return p / p.sum(1, keepdims=True), y


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("runs/studies"))
    out = parser.parse_args(arguments).out
    table = []
    for shifted in (False, True):
        for n in SIZES:
            for name in METRICS:
                metric = catalogue.get(name, range(4))
                values: dict[str, list[float]] = {rule: [] for rule in (*NAMES, "chosen")}
                for repeat in range(REPEATS):
                    generator = np.random.default_rng([repeat, n])
                    offset = generator.normal(size=4) * 0.7 * shifted
                    p, y = rows(n, generator, offset)
                    new, truth = rows(40_000, generator, offset)
                    shares = np.bincount(y) / n
                    search = plug_in._Search(metric, metric.of_confusion, 1.0, shares)
                    rules = dict(zip(NAMES, search.candidates(Scored.of(p, y)), strict=True))
                    rules["chosen"] = plug_in.best_plug_in(p, y, metric, shares)
                    for key, rule in rules.items():
                        values[key].append(float(metric.of_confusion(confusion_matrix(truth, rule(new), 4))))
                for key, found in values.items():
                    error = np.std(np.array(found) - np.array(values["chosen"]), ddof=1) / np.sqrt(REPEATS)
                    table.append(
                        {
                            "probabilities": "shifted" if shifted else "calibrated",
                            "rows": n,
                            "metric": name,
                            "rule": key,
                            "mean": f"{np.mean(found):.4f}",
                            "minus_chosen": f"{np.mean(found) - np.mean(values['chosen']):+.4f}",
                            "standard_error": f"{error:.4f}",
                        }
                    )
                line = "  ".join(f"{k} {np.mean(v):.3f}" for k, v in values.items())
                print(f"{'shifted' if shifted else 'calibrated':10} {n:5} {name:12} {line}", flush=True)
    out.mkdir(parents=True, exist_ok=True)
    with (out / "plug_in_shrinkage.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(table[0]))
        writer.writeheader()
        writer.writerows(table)


if __name__ == "__main__":
    main()
