"""Is a difference of the size that results.json promises to detect found in at least 80 % of tables?

    python benchmarks/studies/planted_effect.py

Undersampling throws rows away, which costs average precision: the more, the more columns say nothing. First the number
of such columns is found at which the true loss (the mean over tables) is what is promised (the median of `detectable`);
then fresh tables with that many columns are counted in which the loss is detected, after Holm over two strategies.
Writes planted_effect.csv (a row per table).
"""

from __future__ import annotations

from simulated import arguments, over, share, table, write

# isort: split
import numpy as np

import steelyard as sy

ROWS = 3_000
SLOPE = 1.6  # at a slope of 1 no number of columns costs as much as is promised: 0.83 of it at most
COLUMNS = (64, 96, 128, 160)


def one(place: tuple[str, int, int]) -> dict[str, object]:
    part, columns, seed = place
    X, y = table(ROWS, seed, SLOPE, share=0.03)
    noise = np.random.default_rng([seed, columns]).normal(size=(ROWS, columns))
    found = sy.compare(
        np.hstack([X, noise]), y, ["undersample", "focal"], "linear", "average_precision", decisions="default",
        random_state=seed, positive=1,
    ).table()  # fmt: skip
    row = found[(found.metric == "average_precision") & (found.strategy == "undersample")].iloc[0]
    return {"part": part, "columns": columns, "table": seed, "difference": float(row.difference),
            "detectable": float(row.detectable), "verdict": row.verdict}  # fmt: skip


def ratio(rows: list[dict[str, object]]) -> float:
    """Return the true difference in units of the promised one."""
    return -float(np.mean([r["difference"] for r in rows]) / np.median([r["detectable"] for r in rows]))


def main() -> None:
    chosen = arguments(__doc__)
    pilots = max(chosen.tables // 5, 2)
    rows = over(one, [("pilot", c, 50_000 + s) for c in COLUMNS for s in range(pilots)], chosen.processes)
    ratios = {c: ratio([r for r in rows if r["columns"] == c]) for c in COLUMNS}
    print("true loss in units of what is promised, by columns:", {c: round(v, 2) for c, v in ratios.items()})
    columns = next((c for c, v in ratios.items() if v >= 1.0), max(ratios, key=ratios.__getitem__))
    fresh = over(one, [("fresh", columns, s) for s in range(chosen.tables)], chosen.processes)
    write(chosen.out / "planted_effect.csv", rows + fresh)
    found = sum(r["verdict"] == "harms" for r in fresh)
    print(
        f"{columns} columns: the true loss is {ratio(fresh):.2f} of what is promised; "
        f"found in {share(found, len(fresh))}"
    )


if __name__ == "__main__":
    main()
