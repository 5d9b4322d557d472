"""How many steps does a network need on a small table, and does early stopping do as well?

    python benchmarks/studies/network_recipe.py --out benchmarks/studies/results

Six strategies of `mlp` (2×64) on small public sets, 5 folds × 2 repeats, the strategies' own decisions. Recipes: cosine
from 4e-3 for 250, 500, 1,000 and 2,000 steps (batches of 32 to 256 as the default has them), and early stopping at a
constant 1e-3 with a patience of 5. The default is 500 steps or 15 epochs, whichever is more. It was chosen on the first
twelve sets; the others were looked at afterwards. Quoted are means over sets and strategies, differences from 500 steps
over sets with their standard errors, and the rank correlation of the strategies' means with those of 500 steps. Writes
network_recipe.json; about 10 minutes on two cores.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import spearmanr

import steelyard as sy
from steelyard.training import mlp
from steelyard.training.batches import steps_per_epoch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
import public_data

CHOSEN_ON = (
    "ecoli3", "glass2", "abalone9-18", "yeast4", "vehicle0", "winequality-red-4", "car-good", "flare-F",
    "hypothyroid", "newthyroid", "contraceptive", "balance",
)  # fmt: skip
FRESH = (
    "ecoli4", "yeast6", "abalone19", "abalone-17_vs_7-8-9-10", "winequality-red-8_vs_6", "poker-8-9_vs_5",
    "page-blocks0", "dermatology", "cleveland-grade", "car-multi",
)  # fmt: skip
DEFAULT = "500"
STRATEGIES = ("none", "balanced", "focal", "logit_adjusted", "ldam_drw", "oversample")
STEPS = (250, 500, 1_000, 2_000)
METRICS = ("average_precision", "balanced_accuracy", "neg_log_loss")


def options(recipe: str, rows: int) -> dict[str, Any]:
    if recipe == "early stopping":
        return {"early_stopping": True}
    per_epoch = steps_per_epoch(rows, mlp.Schedule().batch(rows))
    return {"epochs": -(-int(recipe) // per_epoch)}


def measured(name: str, recipe: str) -> dict[str, Any]:
    X, labels = public_data.frame(name)
    y = labels.to_numpy(str)
    chosen = options(recipe, int(0.8 * len(y)))
    begun = time.perf_counter()
    result = sy.compare(X, y, STRATEGIES, ("mlp", chosen), repeats=2, decisions="default")
    seconds = time.perf_counter() - begun
    out = result.table().query("decision == 'default'")
    means = {
        metric: dict(zip(out.strategy[out.metric == metric], out["mean"][out.metric == metric], strict=True))
        for metric in METRICS
    }
    return {"set": name, "rows": len(y), "recipe": recipe, "options": chosen, "seconds": seconds, "means": means}


def summarised(rows: list[dict[str, Any]], recipes: tuple[str, ...]) -> list[dict[str, Any]]:
    values = {(r["recipe"], r["set"]): r["means"] for r in rows}
    sets = list(dict.fromkeys(r["set"] for r in rows))
    out = []
    for metric in METRICS:
        for recipe in recipes:
            own = np.array([[values[recipe, s][metric][k] for k in STRATEGIES] for s in sets])
            default = np.array([[values[DEFAULT, s][metric][k] for k in STRATEGIES] for s in sets])
            gap = (own - default).mean(1)
            ranks = [spearmanr(a, b).statistic for a, b in zip(own, default, strict=True)]
            out.append(
                {
                    "metric": metric,
                    "recipe": recipe,
                    "mean": float(own.mean()),
                    "difference": float(gap.mean()),
                    "standard_error": float(gap.std(ddof=1) / np.sqrt(len(sets))),
                    "rank_correlation": float(np.mean(ranks)),
                }
            )
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    asked = parser.parse_args()
    recipes = (*map(str, STEPS), "early stopping")
    rows = []
    for name in CHOSEN_ON + FRESH:
        rows += [measured(name, recipe) for recipe in recipes]
        print(name, {r["recipe"]: round(r["seconds"], 1) for r in rows[-len(recipes) :]}, flush=True)
    summary = {
        title: summarised([r for r in rows if r["set"] in sets], recipes)
        for title, sets in (("chosen on", CHOSEN_ON), ("fresh", FRESH))
    }
    for title, part in summary.items():
        print(f"{title:<20}{'recipe':<16}{'mean':>8}{'difference':>12}{'± s.e.':>9}{'ranks':>8}")
        for r in part:
            print(f"{r['metric']:<20}{r['recipe']:<16}{r['mean']:>8.4f}{r['difference']:>12.4f}"
                  f"{r['standard_error']:>9.4f}{r['rank_correlation']:>8.2f}")  # fmt: skip
    asked.out.mkdir(parents=True, exist_ok=True)
    versions = {p: metadata.version(p) for p in ("jax", "numpy", "scikit-learn")}
    path = asked.out / "network_recipe.json"
    path.write_text(json.dumps({"versions": versions, "summary": summary, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
