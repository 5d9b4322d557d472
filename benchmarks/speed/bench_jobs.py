"""What a comparison costs in one process with threads, and in several processes: python benchmarks/speed/bench_jobs.py.

One line of JSON per variant: the median of some rounds, variants taking turns in a process of their own each, as a user
starts them. Processes pay for imports and compilation once each, threads for Python's lock.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time

SCRIPT = """
import sys, json, numpy as np
import steelyard as sy
n, models, jobs = json.loads(sys.argv[1])
rng = np.random.default_rng(0)
y = rng.random(n) < 0.1
X = rng.normal(size=(n, 20)) + 0.4 * y[:, None]
own = {"forest": __import__("sklearn.ensemble").ensemble.RandomForestClassifier(50)}
sy.compare(X, y, ["balanced", "focal", "logit_adjusted", "oversample"], [own.get(m, m) for m in models],
           cv=5, repeats=1, jobs=jobs)
"""


def seconds(n: int, models: list[str], jobs: int | None) -> float:
    begun = time.perf_counter()
    subprocess.run([sys.executable, "-c", SCRIPT, json.dumps([n, models, jobs])], check=True)
    return time.perf_counter() - begun


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", default="2000,20000")
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    cores = os.cpu_count() or 1
    for n in map(int, asked.rows.split(",")):
        for models in (["linear", "lightgbm", "mlp"], ["mlp"], ["forest"]):
            taken: dict[int | None, list[float]] = {None: [], cores: []}
            for _ in range(asked.rounds):
                for jobs, times in taken.items():
                    times.append(seconds(n, models, jobs))
            threads, processes = (statistics.median(t) for t in taken.values())
            row = {
                "rows": n,
                "models": models,
                "cores": cores,
                "threads_s": round(threads, 1),
                "processes_s": round(processes, 1),
                "ratio": round(threads / processes, 2),
                "rounds": asked.rounds,
                "python": platform.python_version(),
            }
            print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
