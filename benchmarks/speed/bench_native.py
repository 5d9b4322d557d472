"""The compiled training step against the JAX program: the same runs, rows, batches and initial weights.

    python benchmarks/speed/bench_native.py [--threads 1] [--repeats 5] [--widths 32,64,128,512] [--out rows.json]

Four runs a case (plain, weighted, focal, vector scaling), 30 features. The variants are interleaved, medians are taken,
and ratios are what is worth quoting. With one thread the process is pinned to one core, and the share of the peak is
of the fastest large matrix product that NumPy or JAX reaches on that core in the same minutes. "first" is JAX's first
call for a shape, compilation included, over the compiled step's first call.
"""

import argparse
import importlib.metadata
import itertools
import json
import os
import platform
import statistics
import subprocess
import time
from pathlib import Path

import numpy as np

import steelyard as sy
from steelyard import kernels
from steelyard.training import mlp
from steelyard.training.batches import shuffled, steps_per_epoch

FEATURES, LEAST_STEPS = 30, 300
BACKENDS = ("native", "jax")


def case(width, rows, classes, batch):
    """Return arguments of `mlp.fit_all` but for the schedule, and how many run-epochs they are."""
    rng = np.random.default_rng(0)
    counts = np.geomspace(1000, 20, classes).astype(int)
    y = rng.choice(classes, rows, p=counts / counts.sum())
    X = (rng.normal(size=(rows, FEATURES)) + rng.normal(size=(classes, FEATURES))[y]).astype(np.float32)
    every = steps_per_epoch(rows, batch)
    epochs = max(1, LEAST_STEPS // every) if width < 512 or rows < 10_000 else 1
    losses = [
        sy.losses.cross_entropy(),
        sy.losses.weighted_cross_entropy(sy.class_weight("balanced", counts)),
        sy.losses.focal(gamma=2.0),
        sy.losses.vector_scaling(counts),
    ]
    stream = shuffled(np.arange(rows), every * epochs, batch, rng)[None]
    initial = mlp.initial_weights((FEATURES, width, width, classes), rng)
    return (X, y, [mlp.Run(loss) for loss in losses], stream, initial), epochs * len(losses)


def operations(width, rows, classes, batch):
    """Return the multiplications and additions of an epoch: forward, gradient by weights, gradient by inputs."""
    weights = FEATURES * width + width * width + width * classes
    return 2 * steps_per_epoch(rows, batch) * batch * (3 * weights - FEATURES * width)


def peak():
    """Return the most operations per second that a product of 1024 × 1024 matrices reaches here."""
    import jax

    a = np.random.default_rng(0).random((1024, 1024), np.float32)
    product, b = jax.jit(lambda m: m @ m), jax.device_put(a)
    product(b).block_until_ready()
    best = 0.0
    for run in (lambda: a @ a, lambda: product(b).block_until_ready()):
        for _ in range(8):
            best = max(best, 2 * 1024**3 / timed(run))
    return best


def timed(run, *args, **settings):
    begun = time.perf_counter()
    run(*args, **settings)
    return time.perf_counter() - begun


def measure(shape, threads, repeats):
    width, rows, classes, batch = shape
    arguments, run_epochs = case(*shape)
    schedules = {b: mlp.Schedule(hidden=(width, width), batch_size=batch, backend=b) for b in BACKENDS}

    def fit(name):
        return timed(mlp.fit_all, *arguments, schedules[name], classes, threads=threads)

    first = {name: fit(name) for name in BACKENDS}
    times = {name: [] for name in BACKENDS}
    for _ in range(repeats):
        for name in BACKENDS:
            times[name].append(1000 * fit(name) / run_epochs)
    spread = {name: [round(float(q), 3) for q in np.quantile(values, (0.2, 0.8))] for name, values in times.items()}
    middle = {name: statistics.median(values) for name, values in times.items()}
    return {
        "width": width, "rows": rows, "classes": classes, "batch": batch, "threads": threads,
        **{f"{name}_ms": round(value, 3) for name, value in middle.items()},
        **{f"{name}_p20_p80": value for name, value in spread.items()},
        "ratio": middle["jax"] / middle["native"], "first": first["jax"] / first["native"],
        "rate": operations(*shape) / middle["native"] * 1e3,
    }  # fmt: skip


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--widths", default="32,64,128,512")
    parser.add_argument("--rows", default="2000,20000")
    parser.add_argument("--classes", default="2,10")
    parser.add_argument("--batches", default="64,256")
    parser.add_argument("--out", type=Path, help="rows as JSON")
    asked = parser.parse_args()
    if asked.threads == 1 and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    numbers = [
        [int(n) for n in values.split(",")] for values in (asked.widths, asked.rows, asked.classes, asked.batches)
    ]
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False).stdout
    machine = {
        "versions": {p: importlib.metadata.version(p) for p in ("numpy", "jax", "jaxlib")},
        "kernels": str(kernels.available()), "device": f"{platform.machine()}, {os.cpu_count()} cores",
        "commit": commit.strip(), "peak": peak(),
    }  # fmt: skip
    print({**machine, "peak": f"{machine['peak'] / 1e9:.0f} GFLOP/s"})
    print(f"ms per run and epoch, {asked.threads} thread(s); ratio: JAX over native")
    titles = ("width", "rows", "classes", "batch", "native", "JAX", "ratio", "first", "GFLOP/s", "of peak")
    print("".join(f"{title:>9}" for title in titles))
    found = []
    for shape in itertools.product(*numbers):
        row = measure(shape, asked.threads, asked.repeats)
        found.append(row | machine)
        share = f"{row['rate'] / machine['peak']:.0%}" if asked.threads == 1 else "-"
        print(
            "".join(f"{n:>9}" for n in shape)
            + f"{row['native_ms']:>9.2f}{row['jax_ms']:>9.2f}{row['ratio']:>9.2f}{row['first']:>9.1f}"
            + f"{row['rate'] / 1e9:>9.0f}{share:>9}",
            flush=True,
        )
    print(f"geometric mean of the ratios: {np.exp(np.mean([np.log(row['ratio']) for row in found])):.2f}")
    if asked.out:
        asked.out.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
