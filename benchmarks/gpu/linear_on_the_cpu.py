"""`sy.torch.LinearLoss` against the plain path, `loss(hidden @ weight.T)`, on the CPU: seconds and peak memory.

    python benchmarks/gpu/linear_on_the_cpu.py                        three sizes, float32 and bfloat16
    python benchmarks/gpu/linear_on_the_cpu.py --shapes 2048,256,8142 --repeats 9

Times are of forward and backward, interleaved in one process. Peak memory is of a process that runs one variant alone:
the largest resident size beyond what was there before the first call. Sizes are rows, width, classes.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))
sys.path.insert(0, str(Path(__file__).parent.parent / "speed"))
import torch
import torch.nn.functional as F
from bench_counts import interleaved  # the timing of all benchmarks
from machine import commit

import steelyard as sy

SHAPES = "2048,256,8142;1024,512,32000;512,768,128256"
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def variants(rows: int, width: int, classes: int, dtype: torch.dtype, threads: int) -> dict[str, Any]:
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    hidden = torch.randn(rows, width).to(dtype).requires_grad_()
    weight = (0.1 * torch.randn(classes, width)).to(dtype).requires_grad_()
    y = torch.randint(0, classes, (rows,))
    counts = torch.bincount(y, minlength=classes).clamp(min=1).numpy()
    loss = sy.losses.logit_adjusted(counts, class_weight=1.0 / counts**0.5, gamma=1.0)
    w32 = torch.tensor(1.0 / counts**0.5, dtype=torch.float32)

    def step(call: Any) -> Any:
        def run() -> None:
            hidden.grad = weight.grad = None
            call().backward()

        return run

    return {
        "F.cross_entropy(weight=)": step(lambda: F.cross_entropy((hidden @ weight.T).float(), y, weight=w32)),
        "loss(hidden @ weight.T)": step(lambda: loss(hidden @ weight.T, y)),
        "linear_loss": step(lambda: sy.torch.linear_loss(loss, hidden, weight, y)),
        "linear_loss, 64 MiB": step(lambda: sy.torch.linear_loss(loss, hidden, weight, y, workspace=64 * 2**20)),
        "linear_loss, 8 MiB": step(lambda: sy.torch.linear_loss(loss, hidden, weight, y, workspace=8 * 2**20)),
    }


def peak(name: str, shape: str, dtype: str, threads: int) -> float:
    """Return MiB beyond the inputs, of a process of its own."""
    line = [sys.executable, __file__, "--one", name, "--shapes", shape, "--dtypes", dtype, "--threads", str(threads)]
    found = subprocess.run(
        line, capture_output=True, text=True, check=True, env={**os.environ, "MALLOC_ARENA_MAX": "1"}
    )
    return float(found.stdout)


def resident() -> float:
    """Return the largest resident size of this process so far, MiB (Linux; getrusage would count the parent's, too)."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--shapes", default=SHAPES)
    parser.add_argument("--dtypes", default="float32,bfloat16")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", type=Path, help="write the rows here")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    given = parser.parse_args()
    shapes = [tuple(map(int, s.split(","))) for s in given.shapes.split(";")]
    if given.one:
        small = variants(8, shapes[0][1], 100, DTYPES[given.dtypes], given.threads)
        small[given.one]()  # what the first call loads is no memory of the loss
        run = variants(*shapes[0], DTYPES[given.dtypes], given.threads)[given.one]
        before = resident()
        run()
        print(resident() - before)
        return
    print(f"torch {torch.__version__}, commit {commit()}, {given.threads} thread(s), forward and backward")
    rows = []
    for n, d, c in shapes:
        for dtype in given.dtypes.split(","):
            timed = interleaved(variants(n, d, c, DTYPES[dtype], given.threads), given.repeats)
            base = next(iter(timed.values()))["median"]
            print(f"\n{n} × {d} → {c}, {dtype}{'s median':>24}{'p20':>8}{'p80':>8}{'ratio':>8}{'peak MiB':>10}")
            for name, t in timed.items():
                mib = peak(name, f"{n},{d},{c}", dtype, given.threads)
                rows.append(
                    {"rows": n, "width": d, "classes": c, "dtype": dtype, "variant": name, "peak_mib": mib, **t}
                )
                print(
                    f"  {name:<38}{t['median']:>12.3f}{t['p20']:>8.3f}{t['p80']:>8.3f}"
                    f"{t['median'] / base:>8.2f}{mib:>10.0f}"
                )
    if given.json:
        given.json.parent.mkdir(parents=True, exist_ok=True)
        given.json.write_text(json.dumps({"torch": torch.__version__, "commit": commit(), "rows": rows}, indent=1))


if __name__ == "__main__":
    main()
