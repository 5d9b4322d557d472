"""What resampling before splitting shows, what is left of it inside the folds, and that `sy.compare` shows the latter.

    python benchmarks/studies/leaky_twin.py

A random forest of scikit-learn, SMOTE and random oversampling of imbalanced-learn, F1 of the rare class over 5
stratified folds: "leaky" resamples the table and then splits it, "honest" splits it and resamples each training fold,
"steelyard" is the mean of `sy.compare` with its linear and boosted models (default decision, 1 repeat). Writes
leaky_twin.csv.
"""

from __future__ import annotations

import sys
from pathlib import Path

from simulated import arguments, over, write

# isort: split
import numpy as np
import pandas as pd
from imblearn.over_sampling import SMOTE, RandomOverSampler
from imblearn.pipeline import make_pipeline
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import StratifiedKFold, cross_val_score

import steelyard as sy

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
import public_data

SETS = ("winequality-red-4", "abalone19", "poker-8-9_vs_5")
SAMPLERS = {"smote": SMOTE, "oversample": RandomOverSampler}
TREES = 100


def features(name: str) -> tuple[pd.DataFrame, np.ndarray]:
    frame, y = public_data.frame(name)
    X = pd.get_dummies(frame)
    return X.astype(float), (y == y.value_counts().idxmin()).to_numpy().astype(int)


def one(place: tuple[str, str]) -> dict[str, object]:
    name, sampler = place
    X, y = features(name)
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    forest = RandomForestClassifier(TREES, random_state=0)
    more = SAMPLERS[sampler](random_state=0)
    leaky = cross_val_score(forest, *more.fit_resample(X.to_numpy(), y), scoring="f1", cv=folds)
    honest = cross_val_score(make_pipeline(more, forest), X.to_numpy(), y, scoring="f1", cv=folds)
    table = sy.compare(
        X, y, [sampler], ["linear", "lightgbm"], "f1", repeats=1, decisions="default", positive=1
    ).table()
    ours = table[(table.metric == "f1") & (table.strategy == sampler)].set_index("model")["mean"]
    return {
        "set": name, "sampler": sampler, "leaky": float(leaky.mean()), "honest": float(honest.mean()),
        "steelyard_linear": float(ours["linear"]), "steelyard_lightgbm": float(ours["lightgbm"]),
    }  # fmt: skip


def main() -> None:
    chosen = arguments(__doc__, tables=len(SETS))
    rows = over(one, [(name, s) for name in SETS[: chosen.tables] for s in SAMPLERS], chosen.processes)
    write(chosen.out / "leaky_twin.csv", rows)
    print(pd.DataFrame(rows).round(3).to_string(index=False))


if __name__ == "__main__":
    main()
