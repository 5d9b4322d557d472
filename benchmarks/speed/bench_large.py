"""A comparison on a table of millions of rows: seconds and peak memory of the command, under a limit.

    python benchmarks/speed/bench_large.py [--rows 10000000] [--limit 16] [--predict]

Writes a Parquet file of 25 numbers (single precision, four of them with 5 % missing) and 5 categories (3 to 60 levels),
1 % positives, in row groups of a million; runs `steelyard compare` on it with linear and lightgbm, 2 folds, without
tuned decisions; with --predict also `steelyard predict` of the same file. Memory is the resident set of the command and
all that it starts, added up ten times a second; beyond the limit it is killed.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

NUMBERS, MISSING, LEVELS = 25, 4, (3, 5, 8, 20, 60)
GROUP = 1_000_000


def write(path, rows, positives=0.01, seed=0):
    import pyarrow as pa
    from pyarrow import parquet

    rng = np.random.default_rng(seed)
    shift = rng.normal(size=NUMBERS) * 0.4
    lean = [rng.normal(size=k) * 0.7 for k in LEVELS]
    writer = None
    for start in range(0, rows, GROUP):
        n = min(GROUP, rows - start)
        y = rng.random(n) < positives
        X = rng.normal(size=(n, NUMBERS)).astype(np.float32) + shift.astype(np.float32) * y[:, None]
        unknown = [rng.random(n) < 0.05 if j < MISSING else None for j in range(NUMBERS)]
        columns = {f"x{j}": pa.array(X[:, j], mask=unknown[j]) for j in range(NUMBERS)}
        for j, k in enumerate(LEVELS):
            # of the positives some levels are more frequent
            tilted = np.exp(lean[j]) / np.exp(lean[j]).sum()
            code = np.where(y, rng.choice(k, n, p=tilted), rng.integers(0, k, n))
            columns[f"c{j}"] = pa.array(np.array([f"level {i}" for i in range(k)])[code])
        columns["y"] = pa.array(np.where(y, "yes", "no"))
        table = pa.table(columns)
        writer = writer or parquet.ParquetWriter(path, table.schema)
        writer.write_table(table)
    writer.close()


def resident(pid):
    """Bytes of a process and of all that it started."""
    total, waiting = 0, [pid]
    while waiting:
        one = waiting.pop()
        try:
            total += int(Path(f"/proc/{one}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
            for task in Path(f"/proc/{one}/task").iterdir():
                waiting += map(int, (task / "children").read_text().split())
        except (FileNotFoundError, ProcessLookupError):
            continue  # it has ended
    return total


def measured(command, limit):
    begun, peak = time.perf_counter(), 0
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    while process.poll() is None:
        now = resident(process.pid)
        peak = max(peak, now)
        if now > limit:
            process.kill()
            after = time.perf_counter() - begun
            sys.exit(f"{' '.join(command[2:4])}: beyond {limit / 2**30:.0f} GiB after {after:.0f} s")
        time.sleep(0.1)
    if process.returncode:
        sys.exit(f"{' '.join(command)}: exit code {process.returncode}")
    return time.perf_counter() - begun, peak


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000_000])
    parser.add_argument("--model", default="linear,lightgbm")
    parser.add_argument("--strategies", default="none,balanced,prior_threshold")
    parser.add_argument("--decisions", default="default", choices=["default", "both"])
    parser.add_argument("--cv", default="2")
    parser.add_argument("--limit", type=float, default=16.0, help="GiB")
    parser.add_argument("--predict", action="store_true")
    parser.add_argument("--folder", type=Path, help="where the file and the results go; default a temporary one")
    asked = parser.parse_args()
    print(f"{os.cpu_count()} cores, {platform.machine()}; {asked.model}; {asked.strategies}; {asked.cv} folds")
    print(f"{'rows':>12} {'file':>9} {'what':<9}{'seconds':>9}{'peak GiB':>10}")
    with tempfile.TemporaryDirectory(dir=asked.folder) as folder:
        for rows in asked.rows:
            data, out = Path(folder) / f"rows{rows}.parquet", Path(folder) / f"run{rows}"
            write(data, rows)
            size = f"{data.stat().st_size / 2**20:.0f} MiB"
            command = [sys.executable, "-m", "steelyard", "compare", str(data), "--target", "y", "--out", str(out)]
            command += ["--model", asked.model, "--strategies", asked.strategies, "--decisions", asked.decisions]
            seconds, peak = measured([*command, "--cv", asked.cv, "--repeats", "1"], asked.limit * 2**30)
            print(f"{rows:>12,} {size:>9} {'compare':<9}{seconds:>9.0f}{peak / 2**30:>10.2f}", flush=True)
            best = json.loads((out / "results.json").read_text())["best"]
            print(" " * 23 + f"best: {best['strategy']} with {best['model']}, {best['metric']} {best['estimate']:.4f}")
            if asked.predict:
                command = [sys.executable, "-m", "steelyard", "predict", str(out), str(data)]
                seconds, peak = measured([*command, "--out", str(out / "p.parquet")], asked.limit * 2**30)
                print(f"{rows:>12,} {size:>9} {'predict':<9}{seconds:>9.0f}{peak / 2**30:>10.2f}", flush=True)


if __name__ == "__main__":
    main()
