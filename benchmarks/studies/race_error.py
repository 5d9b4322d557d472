"""How often does a race stop the best strategy, and how much work does it save?

    python benchmarks/studies/race_error.py

Tables of 600 rows whose log odds are linear, the strategies of the comparison by default, linear model, ranked by
balanced accuracy at either decision, with and without `race=True`. The best strategy is the one with the best mean over
all tables (by the better of its decisions), which stands for its true worth; being stopped in one table is an error.
Writes race_error.csv (a row per table and strategy).
"""

from __future__ import annotations

from simulated import arguments, over, share, table, write

# isort: split
import pandas as pd

import steelyard as sy

ROWS = 600


def one(seed: int) -> list[dict[str, object]]:
    X, y = table(ROWS, seed, 1.0)
    more = {"model": "linear", "metric": "balanced_accuracy", "random_state": seed, "positive": 1}
    whole = sy.compare(X, y, **more).table().query("metric == 'balanced_accuracy'")
    content = sy.compare(X, y, race=True, **more).to_dict()
    stopped = {s["strategy"] for s in content["skipped"]}
    folds = pd.Series([r["strategy"] for r in content["runs"]]).value_counts()
    worth = whole.groupby("strategy")["mean"].max()
    return [
        {"table": seed, "strategy": s, "mean": float(v), "stopped": int(s in stopped), "folds": int(folds[s])}
        for s, v in worth.items()
    ]


def main() -> None:
    chosen = arguments(__doc__)
    rows = [r for part in over(one, range(chosen.tables), chosen.processes) for r in part]
    write(chosen.out / "race_error.csv", rows)
    frame = pd.DataFrame(rows)
    true = frame.groupby("strategy")["mean"].mean().sort_values(ascending=False)
    winners = frame.loc[frame.groupby("table")["mean"].idxmax()]
    best = frame[frame.strategy == true.index[0]]
    print(f"best on average: {true.index[0]} ({true.iloc[0]:.3f}); stopped in {share(best.stopped.sum(), len(best))}")
    print(f"the winner of the whole comparison is stopped in {share(winners.stopped.sum(), len(winners))} of tables")
    print(f"fits done: {frame.folds.sum() / (15 * len(frame)):.2f} of all")


if __name__ == "__main__":
    main()
