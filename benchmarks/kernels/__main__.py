"""How fast the losses are on a CPU: forward and gradient, ours and others', in turns; one report.

    python -m benchmarks.kernels                   everything, within a quarter of an hour (make bench)
    python -m benchmarks.kernels --quick           three shapes, two losses, in two minutes
    python -m benchmarks.kernels --only steps      parts: shapes, threads, pages, steps
    python -m benchmarks.kernels --all             every variant of every loss, hours
    python -m benchmarks.kernels --print           the report of the last results, without measuring
    python -m benchmarks.kernels --readme          write the section of README.md from the last results

- **In turns.** Frameworks have a process each, pinned to as many cores as threads, and take turns; within a process
  variants take turns, too. Ratios are medians of ratios within a round.
- **The same work.** Everybody gets the same logits and targets, computes the mean and the gradient of the logits; torch
  has the classes on axis 1, JAX and TensorFlow on the last, as their users have. Values and gradient norms are
  compared, and what differs is marked.
- **Floors.** A copy of the logits into a buffer that is there, and the same with an exponential; for small shapes
  what torch's autograd costs alone (`z.sum().backward()`).
- **Fresh buffers** cost more than the arithmetic at large shapes; "ours, warm" writes into the buffer of the last
  call. A second set has huge pages for everybody, through glibc.
- **What is left out by default**, because it compiles for seconds or does not depend on the loss: see selection.py.

Optional peers are measured where they are installed: imbalanced-losses, balanced-loss, torchvision, Keras.
Writes benchmarks/kernels/results/bench.json and bench.md; with --quick or --only runs/bench_kernels.json.
"""

import argparse
import json
import os
import sys
import time
from pathlib import Path

from benchmarks import machine
from benchmarks.kernels import running, tables
from benchmarks.kernels.cases import DTYPES
from benchmarks.kernels.processes import ROOT

RESULTS = ROOT / "benchmarks" / "kernels" / "results" / "bench.json"
PARTS = ("shapes", "threads", "pages", "steps")
FRAMEWORKS = {"torch": "torch", "jax": "jax", "tensorflow": "tensorflow-cpu"}
PACKAGES = (
    "steelyard", "numpy", "torch", "jax", "optax", "tensorflow-cpu", "keras", "imbalanced-losses", "balanced-loss",
    "torchvision",
)  # fmt: skip


def written(found):
    """Return the results as JSON with one row a line, and figures of five digits."""

    def short(value):
        if isinstance(value, float):
            return float(f"{value:.5g}")
        if isinstance(value, dict):
            return {k: short(v) for k, v in value.items()}
        return [short(v) for v in value] if isinstance(value, list) else value

    lines = []
    for key, value in found.items():
        if key in ("rows", "steps"):
            rows = ",\n".join("  " + json.dumps(short(row), ensure_ascii=False) for row in value)
            lines.append(f" {json.dumps(key)}: [\n{rows}\n ]")
        else:
            lines.append(f" {json.dumps(key)}: {json.dumps(short(value), ensure_ascii=False)}")
    return "{\n" + ",\n".join(lines) + "\n}\n"


def measured(asked):
    """Measure the parts that are asked for."""
    from steelyard import kernels

    begun = time.perf_counter()
    found = {
        "device": machine.processor(),
        "cores": len(os.sched_getaffinity(0)),
        "commit": machine.commit(),
        "quick": asked.quick,
    }
    found |= {
        "kernels": str(kernels.available()),
        "versions": machine.versions(PACKAGES),
        "load": {"before": os.getloadavg()[0]},
    }
    asked.frameworks = [name for name, package in FRAMEWORKS.items() if found["versions"][package] != "not installed"]
    found |= {"rows": [], "processes": {}}
    if "steps" in asked.only:
        found["steps"] = running.training_steps(asked)
    for part, threads, huge in (("shapes", 1, False), ("pages", 1, True), ("threads", 2, False)):
        if part in asked.only and threads <= found["cores"]:
            rows, facts = running.by_shape(asked, threads, huge)
            found["rows"] += rows
            found["processes"][part] = facts
    found["load"]["after"] = os.getloadavg()[0]
    found["minutes"] = (time.perf_counter() - begun) / 60
    return found


def main():
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.kernels", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="show that it runs, in two minutes")
    parser.add_argument("--all", action="store_true", help="every variant of every loss, for hours")
    parser.add_argument("--only", choices=PARTS, nargs="+", help="default: all of them; with --quick shapes and steps")
    parser.add_argument("--dtypes", choices=DTYPES, nargs="+", help="default: both; with --quick float32")
    parser.add_argument("--budget", type=float, help="seconds of timing per case, default 12; with --quick 3")
    parser.add_argument("--out", type=Path, help="where to write the JSON file")
    parser.add_argument("--print", action="store_true", help="print the report of the results that are there")
    parser.add_argument("--readme", action="store_true", help="write the section of README.md from the results there")
    asked = parser.parse_args()
    partly = asked.quick or asked.only is not None
    path = asked.out or (ROOT / "runs" / "bench_kernels.json" if partly else RESULTS)
    if asked.print or asked.readme:
        found = json.loads(path.read_text())
        if asked.readme:
            readme = ROOT / "README.md"
            readme.write_text(tables.into_readme(readme.read_text(), found))
            path.with_suffix(".md").write_text(tables.whole(found))
        else:
            print(tables.whole(found))
        return
    asked.only = asked.only or (("shapes", "steps") if asked.quick else PARTS)
    asked.dtypes = asked.dtypes or (("float32",) if asked.quick else DTYPES)
    asked.budget = asked.budget or (3.0 if asked.quick else 12.0)
    found = measured(asked)
    path.parent.mkdir(parents=True, exist_ok=True)
    text = written(found)
    path.write_text(text)
    report = tables.whole(json.loads(text))
    path.with_suffix(".md").write_text(report)
    print(report)
    print(f"written: {path} and {path.with_suffix('.md').name}", file=sys.stderr)


if __name__ == "__main__":
    main()
