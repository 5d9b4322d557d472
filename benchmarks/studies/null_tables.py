"""Does "helps" appear where nothing can help, does chance score chance, what is the winner really worth?

    python benchmarks/studies/null_tables.py

Two kinds of tables of 400 rows, 15 % of them positive: "noise", whose labels have nothing to do with the features, and
"linear", whose log odds are linear, so that no treatment of imbalance can rank better than plain training of the linear
model. Each goes through `sy.compare` with its defaults, linear model, six strategies. A false alarm is a table with a
"helps" among its strategies, for a metric at a decision. By probability metrics a strategy may truly help on noise (it
shrinks what is learned), so that these are listed but are no false alarms. The winner is scored on 20,000 fresh rows.
Writes null_tables.csv (a row per table, metric and decision) and null_tables_best.csv (a row per table).
"""

from __future__ import annotations

from simulated import STRATEGIES, arguments, over, share, table, write

# isort: split
import numpy as np

import steelyard as sy
from steelyard.metrics import get

ROWS, FRESH = 400, 20_000
SLOPES = {"noise": 0.0, "linear": 1.0}
SHOWN = (
    ("average_precision", "default"),
    ("roc_auc", "default"),
    ("balanced_accuracy", "default"),
    ("balanced_accuracy", "tuned"),
    ("f1_macro", "default"),
    ("f1_macro", "tuned"),
    ("matthews_corrcoef", "default"),
    ("neg_log_loss", "default"),
    ("neg_brier_score", "default"),
)


def one(place: tuple[str, int]) -> tuple[list[dict[str, object]], dict[str, object]]:
    kind, seed = place
    X, y = table(ROWS, seed, SLOPES[kind])
    result = sy.compare(X, y, STRATEGIES, "linear", random_state=seed, positive=1)
    summary = result.table()
    rows = []
    for metric, decision in SHOWN:
        at = summary[(summary.metric == metric) & (summary.decision == decision)]
        none = at[at.verdict == "baseline"].iloc[0]
        rows.append(
            {"kind": kind, "table": seed, "metric": metric, "decision": decision, "none": float(none["mean"]),
             "none_low": float(none.ci_low), "none_high": float(none.ci_high),
             "best": float(at["mean"].max()), "helps": int((at.verdict == "helps").sum()),
             "harms": int((at.verdict == "harms").sum()), "only_threshold": int(at.only_threshold.sum())}
        )  # fmt: skip
    best = result.best
    fresh, truth = table(FRESH, 10_000 + seed, SLOPES[kind])
    proba = result.model.predict_proba(fresh)
    scored = get("average_precision", [0, 1], 1).value(truth, proba, truth)
    naive = summary[
        (summary.metric == best["metric"]) & (summary.strategy == best["strategy"]) & (summary.decision == "default")
    ].iloc[0]
    return rows, {
        "kind": kind, "table": seed, "strategy": best["strategy"], "mean": float(naive["mean"]),
        "estimate": best["estimate"], "low": best["ci_low"], "high": best["ci_high"], "fresh": scored,
        "t_low": float(naive.ci_low), "t_high": float(naive.ci_high),
    }  # fmt: skip


def main() -> None:
    chosen = arguments(__doc__)
    found = over(one, [(kind, s) for s in range(chosen.tables) for kind in SLOPES], chosen.processes)
    rows, best = [r for part, _ in found for r in part], [b for _, b in found]
    write(chosen.out / "null_tables.csv", rows)
    write(chosen.out / "null_tables_best.csv", best)
    for kind in SLOPES:
        print(f"\n{kind}: tables with a 'helps', with a 'harms'; mean of none")
        for metric, decision in SHOWN:
            at = [r for r in rows if (r["kind"], r["metric"], r["decision"]) == (kind, metric, decision)]
            helps, harms = (sum(bool(r[v]) for r in at) for v in ("helps", "harms"))
            mean = np.mean([r["none"] for r in at])
            print(f"  {metric:20} {decision:8} {share(helps, len(at)):24} {share(harms, len(at)):24} {mean:.3f}")
        at = [b for b in best if b["kind"] == kind]
        for name, low, high in (("estimate", "low", "high"), ("mean", "t_low", "t_high")):
            error = np.array([b[name] - b["fresh"] for b in at])
            held = sum(b[low] <= b["fresh"] <= b[high] for b in at)
            width = np.mean([b[high] - b[low] for b in at])
            print(
                f"  winner's {name}: {error.mean():+.4f} ± {error.std() / len(at) ** 0.5:.4f} from fresh rows; "
                f"interval holds it {share(held, len(at))}, width {width:.3f}"
            )


if __name__ == "__main__":
    main()
