"""Speed of `ClassCounts.from_labels` against `np.bincount` on the same array, and of a large Parquet file.

    python benchmarks/speed/bench_counts.py                    50 million integers, every dtype
    python benchmarks/speed/bench_counts.py --parquet          100 million labels, seconds and peak memory
    python benchmarks/speed/bench_counts.py --rows 5000000     smaller

Variants are interleaved in one process; ratios are what is to be quoted.
"""

from __future__ import annotations

import argparse
import json
import platform
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import perf_counter

import numpy as np

import steelyard as sy

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from machine import commit


def interleaved(variants: dict[str, Callable[[], object]], repeats: int) -> dict[str, dict[str, float]]:
    times: dict[str, list[float]] = {name: [] for name in variants}
    for run in variants.values():
        run()  # warm up
    for _ in range(repeats):
        for name, run in variants.items():
            start = perf_counter()
            run()
            times[name].append(perf_counter() - start)
    return {
        name: {
            "median": float(np.median(t)),
            "p20": float(np.quantile(t, 0.2)),
            "p80": float(np.quantile(t, 0.8)),
        }
        for name, t in times.items()
    }


def integers(rows: int, repeats: int) -> None:
    rng = np.random.default_rng(0)
    print(f"{'labels':<28}{'np.bincount':>24}{'from_labels':>24}{'ratio':>8}")
    for dtype, n_classes, low in [
        ("int64", 10, 0),
        ("int64", 1000, 0),
        ("int64", 10, -1),  # np.bincount takes no negative labels: it is given y + 1 here
        ("int32", 10, 0),
        ("int16", 10, 0),
        ("uint8", 10, 0),
        ("uint64", 10, 0),  # np.bincount refuses uint64: it is given int64
        ("float64", 10, 0),  # np.bincount refuses floats: it is given int64
        ("bool", 2, 0),
    ]:
        base = rng.integers(0, n_classes, rows)
        y = (base + low).astype(dtype)
        theirs = base if low or dtype in ("uint64", "float64") else y
        result = interleaved(
            {
                "np.bincount": lambda theirs=theirs: np.bincount(theirs),
                "from_labels": lambda y=y: sy.ClassCounts.from_labels(y),
            },
            repeats,
        )
        cells = [f"{r['median']:.3f} s ({r['p20']:.3f}, {r['p80']:.3f})" for r in result.values()]
        ratio = result["from_labels"]["median"] / result["np.bincount"]["median"]
        name = f"{dtype}, {n_classes} classes from {low}"
        print(f"{name:<28}{cells[0]:>24}{cells[1]:>24}{ratio:>8.2f}")


COUNT_FILE = """
import json, re, sys
from pathlib import Path
from time import perf_counter
import pyarrow.parquet, pyarrow.compute
from steelyard.weights.files import count_file
count_file(sys.argv[2], "y")  # imports and first-use buffers are not what is measured
# VmHWM and not ru_maxrss, which a child inherits from its parent
peak = lambda: int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
before = peak()
start = perf_counter()
counts = count_file(sys.argv[1], "y")
seconds = perf_counter() - start
after = peak()
print(json.dumps({"seconds": seconds, "before": before, "after": after, "total": counts.total}))
"""


def parquet(rows: int) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    rng = np.random.default_rng(0)
    names = np.array([f"class_{i}" for i in range(10)])
    for kind in ("int64", "text"):
        with tempfile.TemporaryDirectory() as folder:
            path, small = Path(folder) / "labels.parquet", Path(folder) / "small.parquet"
            group = 1_000_000
            schema = pa.schema([("x", pa.float32()), ("y", pa.int64() if kind == "int64" else pa.string())])
            with pq.ParquetWriter(path, schema) as writer:
                for start in range(0, rows, group):
                    n = min(group, rows - start)
                    y = rng.choice(10, n, p=np.array([0.5, *[0.5 / 9] * 9]))
                    column = pa.array(y) if kind == "int64" else pa.array(names[y])
                    table = pa.table([pa.array(rng.random(n, np.float32)), column], schema=schema)
                    writer.write_table(table)
                    if start == 0:
                        pq.write_table(table.slice(0, 1000), small)
            size = path.stat().st_size
            done = subprocess.run(
                [sys.executable, "-c", COUNT_FILE, str(path), str(small)],
                capture_output=True,
                text=True,
                check=True,
            )
            r = json.loads(done.stdout)
            assert r["total"] == rows
            print(
                f"Parquet, {rows:,} {kind} labels, {size / 2**20:.0f} MiB: {r['seconds']:.2f} s, peak RSS "
                f"{r['after'] / 1024:.0f} MiB, of which while counting "
                f"{(r['after'] - r['before']) / 1024:.0f} MiB"
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--parquet", action="store_true")
    options = parser.parse_args()
    print(
        f"steelyard {sy.__version__} ({commit()}), NumPy {np.__version__}, "
        f"Python {platform.python_version()}, {platform.machine()} {platform.system()}, "
        f"repeats {options.repeats}: median (p20, p80)"
    )
    if options.parquet:
        parquet(options.rows or 100_000_000)
    else:
        integers(options.rows or 50_000_000, options.repeats)
    print(f"peak RSS of this process: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB")


if __name__ == "__main__":
    main()
