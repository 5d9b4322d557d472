"""The kernels on one GPU: checked, and timed beside torch, torch.compile, Liger and Cut Cross-Entropy where installed.

    python benchmarks/gpu/run.py --out runs/gpu                   at most eight minutes
    python benchmarks/gpu/run.py --rehearse                       the same code on tiny sizes without a GPU; no figures

Ceilings of the machine, a large copy and a large matrix product, are measured in the same call, and what is to be
quoted are fractions of them. Variants of a block are interleaved; times are medians of CUDA events, the cache flushed
before each. `result.json` holds every row, `result.md` the tables; a variant that fails is a row that says so.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import platform
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any

if "--rehearse" in sys.argv:
    os.environ["TRITON_INTERPRET"] = "1"  # before Triton is imported

import numpy as np
import torch
import torch.nn.functional as F

import steelyard as sy
from steelyard._ops import torch as xp
from steelyard.kernels import torch_rows

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import machine

LOGITS = ((8192, 32768), (16384, 128256), (65536, 1000))
LINEAR = ((8192, 4096, 128256), (16384, 2048, 32000), (65536, 1024, 8142), (4096, 768, 1_000_000))
Step = Callable[[], object]


class Machine:
    """Where everything runs, and how long it may."""

    def __init__(self, rehearsed: bool, seconds: float) -> None:
        self.rehearsed, self.end = rehearsed, perf_counter() + seconds
        self.device = torch.device("cpu" if rehearsed else "cuda")
        self.rows: list[dict[str, Any]] = []
        self.flush = None if rehearsed else torch.empty(256 * 2**20, dtype=torch.int8, device=self.device)

    def late(self) -> bool:
        return perf_counter() > self.end

    def once(self, step: Step) -> float:
        """Return milliseconds of one step from a cold cache."""
        if self.flush is None:
            step()
            return float("nan")
        self.flush.zero_()
        start, stop = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        step()
        stop.record()
        torch.cuda.synchronize()
        return start.elapsed_time(stop)

    def time(self, block: str, variants: dict[str, Step], repeats: int, **facts: Any) -> dict[str, dict[str, Any]]:
        found: dict[str, dict[str, Any]] = {}
        for name, step in variants.items():
            row: dict[str, Any] = {"block": block, "variant": name, **facts}
            found[name] = row
            if self.late():
                row["failed"] = "no time left"
                continue
            try:
                for _ in range(1 if self.rehearsed else 3):  # compiles, and lets the clock settle
                    self.once(step)
                row["peak_mib"] = self.peak(step)
            except Exception as error:
                row["failed"] = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"[:200]
                if not self.rehearsed:
                    torch.cuda.empty_cache()
        alive = {name: step for name, step in variants.items() if "failed" not in found[name]}
        times: dict[str, list[float]] = {name: [] for name in alive}
        for _ in range(1 if self.rehearsed else repeats):
            if self.late():
                break
            for name, step in alive.items():
                times[name].append(self.once(step))
        for name, t in times.items():
            if t:
                found[name].update(zip(("p20", "ms", "p80"), np.quantile(t, (0.2, 0.5, 0.8)).tolist(), strict=True))
                found[name]["repeats"] = len(t)
        self.rows += found.values()
        return found

    def peak(self, step: Step) -> float | None:
        """Return MiB that one step takes beyond what there was before."""
        if self.rehearsed:
            step()
            return None
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        step()
        torch.cuda.synchronize()
        return (torch.cuda.max_memory_allocated() - before) / 2**20


# --- the machine ----------------------------------------------------------------------------------------------------


def ceilings(m: Machine) -> dict[str, float]:
    size, n = (2**10, 32) if m.rehearsed else (2**31, 8192)
    a, b = (torch.empty(size, dtype=torch.int8, device=m.device) for _ in range(2))
    x, y = (torch.randn(n, n, device=m.device).bfloat16() for _ in range(2))
    found = m.time("ceilings", {"copy": lambda: b.copy_(a), "product": lambda: x @ y}, 20)
    copy, product = found["copy"].get("ms", np.nan), found["product"].get("ms", np.nan)
    return {"copy_tb_per_s": 2 * size / copy / 1e9, "product_tflop_per_s": 2 * n**3 / product / 1e9}


def everything(classes: int, smoothing: bool = False) -> Any:
    """Class weights, scales, offsets, margins, focusing: what the identity carries at no cost."""
    rng = np.random.default_rng(0)
    counts = np.maximum(1, 1e6 * np.arange(1, classes + 1) ** -1.1)
    return sy.losses.SoftmaxCrossEntropy(
        class_weight=sy.class_weight("inverse_sqrt", counts, normalize="priors"),
        logit_scale=rng.uniform(0.8, 1.0, classes),
        logit_offset=np.log(counts / counts.sum()),
        margin=0.3 * (counts.min() / counts) ** 0.25,
        gamma=0.0 if smoothing else 1.5,
        label_smoothing=0.1 if smoothing else 0.0,
        ignore_index=-100,
    )


# --- checks ---------------------------------------------------------------------------------------------------------


def checks(m: Machine) -> list[dict[str, Any]]:
    """Errors against float64, ours and those of a plain cross-entropy of the same operands."""
    n, d, c = (16, 16, 40) if m.rehearsed else (512, 256, 8142)
    torch.manual_seed(0)
    out = []
    for dtype in (torch.float32, torch.bfloat16):
        x, w = (torch.randn(s, device=m.device).mul_(0.2).to(dtype).requires_grad_() for s in ((n, d), (c, d)))
        y = torch.randint(0, c, (n,), device=m.device)
        for name, loss in {
            "cross-entropy": sy.losses.cross_entropy(),
            "everything": everything(c),
            "smoothing": everything(c, smoothing=True),
        }.items():
            out += errors(loss, x, w, y, {"dtype": str(dtype)[6:], "loss": name})
    return out


def errors(loss: Any, x: torch.Tensor, w: torch.Tensor, y: torch.Tensor, about: dict[str, Any]) -> list[dict[str, Any]]:
    exact_x, exact_w = (t.detach().double().requires_grad_() for t in (x, w))
    exact = formula(loss, exact_x @ exact_w.T, y)
    want = torch.autograd.grad(exact, (exact_x, exact_w))
    ways = {
        "plain": lambda: formula(loss, x @ w.T, y),
        "logits": lambda: logits_call(loss, x @ w.T, y),
        "logits, in place": lambda: logits_call(loss, x @ w.T, y, in_place=True),
        "linear": lambda: sy.torch.linear_loss(loss, x, w, y, workspace=2**20),
    }
    out = []
    for way, call in ways.items():
        row: dict[str, Any] = {**about, "way": way}
        try:
            value = call()
            got = torch.autograd.grad(value, (x, w))
            row["loss_error"] = abs(value.item() - exact.item()) / abs(exact.item())
            row["gradient_errors"] = [
                ((a.double() - b).norm() / b.norm()).item() for a, b in zip(got, want, strict=True)
            ]
        except Exception as error:
            row["failed"] = f"{type(error).__name__}: {error}"[:300]
        out.append(row)
    return out


def formula(loss: Any, z: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return sy.torch.Loss(loss, kernel="formula").to(z.device)(z, y)


def logits_call(loss: Any, z: torch.Tensor, y: torch.Tensor, in_place: bool = False) -> torch.Tensor:
    return torch_rows.evaluate(loss, loss._constants(xp, z), z, y, None, None, None, 1, in_place)


# --- the two forms --------------------------------------------------------------------------------------------------


def optional(module: str, name: str) -> Any:
    try:
        return getattr(importlib.import_module(module), name)
    except Exception:  # absent, or of another torch: a row that is not there
        return None


def logits(m: Machine) -> None:
    for n, c in ((8, 40),) if m.rehearsed else LOGITS:
        for dtype in (torch.bfloat16, torch.float32):
            if not m.late():
                logits_of(m, n, c, dtype)


def logits_of(m: Machine, n: int, c: int, dtype: torch.dtype) -> None:
    liger = optional("liger_kernel.transformers", "LigerCrossEntropyLoss")
    z, y = torch.randn(n, c, device=m.device).to(dtype), torch.randint(0, c, (n,), device=m.device)
    weight = torch.rand(c, device=m.device)

    def step(call: Callable[[torch.Tensor], torch.Tensor]) -> Step:
        def run() -> None:
            leaf = z.detach().requires_grad_()
            call(leaf.view_as(leaf)).backward()

        return run

    plain, full = sy.losses.cross_entropy(), everything(c)
    compiled = torch.compile(lambda z, w, y: F.cross_entropy(z.float(), y, weight=w), backend=backend(m))
    variants = {
        "ours": step(lambda z: logits_call(plain, z, y)),
        "ours, everything on": step(lambda z: logits_call(full, z, y)),
        "torch": step(lambda z: F.cross_entropy(z, y)),
        "torch, weighted": step(lambda z: F.cross_entropy(z.float(), y, weight=weight)),
        "torch.compile, weighted": step(lambda z: compiled(z, weight, y)),
        # these write over their input, whose values do not matter to anybody's speed
        "ours, in place": step(lambda z: logits_call(plain, z, y, in_place=True)),
        "ours, everything on, in place": step(lambda z: logits_call(full, z, y, in_place=True)),
    }
    if liger is not None:
        variants["Liger"] = step(liger_call(liger(), y))
    found = m.time("logits", variants, 15, rows=n, classes=c, dtype=str(dtype)[6:])
    for row in found.values():
        if "ms" in row:
            row["tb_per_s"] = 2 * n * c * dtype.itemsize / row["ms"] / 1e9  # read once, written once


def liger_call(layer: Any, y: torch.Tensor) -> Callable[[torch.Tensor], torch.Tensor]:
    return lambda z: layer(z, y)


def backend(m: Machine) -> str:
    return "aot_eager" if m.rehearsed else "inductor"


def linear(m: Machine) -> None:
    for n, d, c in ((16, 16, 40),) if m.rehearsed else LINEAR:
        if not m.late():
            linear_of(m, n, d, c)


def linear_of(m: Machine, n: int, d: int, c: int) -> None:
    x = torch.randn(n, d, device=m.device).bfloat16().requires_grad_()
    w = torch.randn(c, d, device=m.device).mul_(d**-0.5).bfloat16().requires_grad_()
    y = torch.randint(0, c, (n,), device=m.device)

    def step(call: Callable[[], torch.Tensor]) -> Step:
        def run() -> None:
            x.grad = w.grad = None
            call().backward()

        return run

    compiled = torch.compile(lambda x, w, y: F.cross_entropy((x @ w.T).float(), y), backend=backend(m))
    plain, full, smooth = sy.losses.cross_entropy(), everything(c), everything(c, smoothing=True)
    variants = {
        "ours": step(lambda: sy.torch.linear_loss(plain, x, w, y)),
        "ours, everything on": step(lambda: sy.torch.linear_loss(full, x, w, y)),
        "ours, with smoothing": step(lambda: sy.torch.linear_loss(smooth, x, w, y)),
        "torch": step(lambda: F.cross_entropy((x @ w.T).float(), y)),
        "torch.compile": step(lambda: compiled(x, w, y)),
    }
    peers = {
        "torch linear_cross_entropy": (getattr(F, "linear_cross_entropy", None), lambda call: call(x, w, y)),
        "Liger": (
            optional("liger_kernel.transformers", "LigerFusedLinearCrossEntropyLoss"),
            lambda made: made()(w, x, y),
        ),
        "Cut Cross-Entropy": (optional("cut_cross_entropy", "linear_cross_entropy"), lambda call: call(x, w, y)),
    }
    for name, (peer, call) in peers.items():
        if peer is not None:
            variants[name] = step(partial(call, peer))
    found = m.time("linear", variants, 9, rows=n, width=d, classes=c, dtype="bfloat16")
    for row in found.values():
        if "ms" in row:
            row["tflop_per_s"] = 6 * n * d * c / row["ms"] / 1e9


# --- what is written ------------------------------------------------------------------------------------------------


def facts(m: Machine) -> dict[str, Any]:
    packages = machine.versions(("torch", "triton", "numpy", "liger_kernel", "cut-cross-entropy"), absent=None)
    name = platform.processor() if m.rehearsed else torch.cuda.get_device_name()
    return {"device": name, "packages": packages, "steelyard": sy.__version__, "python": platform.python_version()}


def markdown(result: dict[str, Any]) -> str:
    top, lines = result["ceilings"], [f"# {result['facts']['device']}", ""]
    lines += [", ".join(f"{k} {v or 'not installed'}" for k, v in result["facts"]["packages"].items()) + ".", ""]
    lines += [
        f"Ceilings: copy {top['copy_tb_per_s']:.2f} TB/s (read plus written), product {top['product_tflop_per_s']:.0f} "
        "TFLOP/s (bfloat16, 8192³).",
        "",
        "## Relative errors against float64",
        "",
        "| dtype | loss | way | loss | dX | dW |",
        "|---|---|---|---:|---:|---:|",
    ]
    for r in result["checks"]:
        start = f"| {r['dtype']} | {r['loss']} | {r['way']} | "
        numbers = [r.get("loss_error"), *r.get("gradient_errors", ())]
        lines.append(
            start + (f"{r['failed']} | | |" if "failed" in r else " | ".join(f"{v:.1e}" for v in numbers) + " |")
        )
    for block, unit, peak in (
        ("logits", "tb_per_s", "copy_tb_per_s"),
        ("linear", "tflop_per_s", "product_tflop_per_s"),
    ):
        lines += ["", f"## {block.capitalize()} form, forward and backward", ""]
        lines += [f"| size | dtype | variant | ms | p20 | p80 | {unit} | of the ceiling | peak MiB |"]
        lines += ["|---|---|---|---:|---:|---:|---:|---:|---:|"]
        for r in result["rows"]:
            if r["block"] != block:
                continue
            size = "×".join(str(r[k]) for k in ("rows", "width", "classes") if k in r)
            start = f"| {size} | {r['dtype']} | {r['variant']} | "
            if "ms" not in r:
                lines.append(start + f"{r.get('failed', 'not timed')} | | | | | |")
                continue
            speed = r[unit]
            lines.append(
                start + f"{r['ms']:.3f} | {r['p20']:.3f} | {r['p80']:.3f} | {speed:.2f} | {speed / top[peak]:.0%} | "
                f"{r['peak_mib'] if r['peak_mib'] is None else round(r['peak_mib'])} |"
            )
    return "\n".join(lines) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("runs/gpu"))
    parser.add_argument("--seconds", type=float, default=460.0, help="begin nothing new after so long")
    parser.add_argument(
        "--rehearse", action="store_true", help="tiny sizes on the CPU, no figures: does the script run?"
    )
    given = parser.parse_args()
    if not given.rehearse and not torch.cuda.is_available():
        print(
            f"No CUDA device: torch {torch.__version__} sees none. Nothing was measured and nothing is written.\n"
            "Run this on a machine with a GPU, or see that the script itself works: --rehearse",
            file=sys.stderr,
        )
        return 2
    m = Machine(given.rehearse, given.seconds)
    result: dict[str, Any] = {"facts": facts(m), "ceilings": ceilings(m), "checks": checks(m)}
    logits(m)
    linear(m)
    result["rows"] = m.rows
    text = markdown(result)
    if m.rehearsed:
        failed = [r for r in (*m.rows, *result["checks"]) if "failed" in r]
        for r in failed:
            print(f"{r.get('block', 'checks')}: {r.get('variant', r.get('way'))}: {r['failed']}", file=sys.stderr)
        print(
            f"rehearsed: {len(m.rows)} timings and {len(result['checks'])} checks ran, {len(failed)} failed; no figures"
        )
        return 1 if failed else 0
    given.out.mkdir(parents=True, exist_ok=True)
    (given.out / "result.json").write_text(json.dumps(result, indent=1))
    (given.out / "result.md").write_text(text)
    print(text)
    print(f"written: {given.out}/result.json and result.md")
    return 0


if __name__ == "__main__":
    sys.exit(main())
