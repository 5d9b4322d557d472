"""A process of one framework: it answers requests, one JSON line each, until there are no more.

What a library prints goes to the standard error, so that it is no answer.
"""

import contextlib
import ctypes
import gc
import importlib
import json
import os
import sys
import time
from pathlib import Path

from benchmarks.kernels import measure
from benchmarks.kernels.cases import Case
from benchmarks.kernels.selection import EAGER, Selection, Variant

FRAMEWORKS = {"torch": "in_torch", "jax": "in_jax", "tensorflow": "in_tensorflow"}


def resident(field="VmRSS"):
    """Return a field of /proc/self/status in bytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) * 1024
    raise OSError(f"no {field} in /proc/self/status")


def peak_of(call):
    """Return by how many bytes the resident memory of the process grew, at its peak, during one call."""
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before = resident()
    call()
    return max(0, resident("VmHWM") - before)


class Worker:
    """What the requests do."""

    def __init__(self, framework, threads):
        self.module = importlib.import_module(f"benchmarks.kernels.{FRAMEWORKS[framework]}")
        self.module.set_threads(threads)
        self.variants: dict[str, Variant] = {}
        self.repeats: dict[str, int] = {}

    def load(self, case, selection):
        """Make the variants of a case and call each: the first call may compile, another says how long it takes."""
        self.variants, self.repeats = {}, {}
        gc.collect()
        selection = Selection(tuple(selection[0]), selection[1], None if selection[2] is None else tuple(selection[2]))
        return self._warm(self.module.variants(Case(tuple(case[0]), case[1]), selection))

    def steps(self, n_classes, names):
        return self._warm(self.module.training_steps(n_classes, names), rounds=20)

    def _warm(self, variants, rounds=1):
        out = []
        for v in variants:
            key, row = f"{v.loss}|{v.name}", {"loss": v.loss, "variant": v.name, "same": v.same}
            if v.call is not None:
                try:
                    row["first_seconds"] = measure.once(v.call)
                    if hasattr(v.call, "outcome"):
                        row["value"], row["gradient_norm"] = v.call.outcome()
                    seconds = row["first_seconds"]
                    if v.name not in EAGER or seconds < 0.3:
                        seconds = min(measure.once(v.call, rounds) for _ in range(2 if seconds < 0.2 else 1))
                except Exception as error:
                    v = v._replace(call=None, why_not=f"{type(error).__name__}: {str(error).splitlines()[0]}"[:300])
                else:
                    self.variants[key], self.repeats[key] = v, measure.repeats_for(seconds)
                    row["seconds"] = seconds
                    self._forget(v)
            if v.call is None:
                row["why_not"] = v.why_not
            out.append(row)
        return out

    @staticmethod
    def _forget(v):
        if hasattr(v.call, "forget"):
            v.call.forget()

    def time(self, loss=None, backwards=False):
        """Return the seconds of each variant of a loss, one after the other, each with its memory given back."""
        calls = {key: v.call for key, v in self.variants.items() if loss is None or v.loss == loss}
        return measure.turn(calls, self.repeats, lambda key: self._forget(self.variants[key]), backwards)

    def memory(self):
        out = {}
        for key, v in self.variants.items():
            self._forget(v)
            out[key] = peak_of(v.call)
            self._forget(v)
        return out

    def facts(self):
        """Return what says whether the environment asked for is the one in use: cores, huge pages behind malloc."""
        huge = huge_megabytes()
        libc = ctypes.CDLL("libc.so.6")
        libc.malloc.restype = ctypes.c_void_p
        size = 64 << 20
        at = libc.malloc(ctypes.c_size_t(size))
        ctypes.memset(at, 1, size)
        found = huge_megabytes() - huge
        libc.free(ctypes.c_void_p(at))
        return {"cores": len(os.sched_getaffinity(0)), "huge_pages": found > 32}


def huge_megabytes():
    """Return how much of the memory of this process lies on huge pages."""
    text = Path("/proc/self/smaps_rollup").read_text()
    return next(int(line.split()[1]) for line in text.splitlines() if line.startswith("AnonHugePages")) / 1024


def serve(framework, threads):
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    worker = Worker(framework, threads)
    for line in sys.stdin:
        request = json.loads(line)
        begun = time.perf_counter()
        answer = getattr(worker, request.pop("do"))(**request)
        print(json.dumps({"answer": answer, "seconds": time.perf_counter() - begun}), file=answers, flush=True)


if __name__ == "__main__":
    serve(sys.argv[1], int(sys.argv[2]))
