"""The floors: a copy, and a copy with an exponential; compiled for the machine that measures."""

import ctypes
import hashlib
import shutil
import subprocess
from functools import lru_cache
from pathlib import Path

from benchmarks.kernels.processes import ROOT
from benchmarks.kernels.selection import NotMeasuredError

SOURCE = Path(__file__).with_name("floors.cpp")


@lru_cache(maxsize=1)
def library():
    """Return the compiled floors; they are built once per version of their source."""
    compiler = shutil.which("c++") or shutil.which("g++")
    if compiler is None:
        raise NotMeasuredError("no C++ compiler")
    built = ROOT / "runs" / f"floors-{hashlib.sha256(SOURCE.read_bytes()).hexdigest()[:12]}.so"
    if not built.exists():
        built.parent.mkdir(exist_ok=True)
        options = ["-O3", "-march=native", "-mprefer-vector-width=512", "-fno-math-errno", "-fno-trapping-math"]
        command = [compiler, *options, "-fopenmp", "-shared", "-fPIC", str(SOURCE), "-o", str(built)]
        subprocess.run(command, check=True, capture_output=True)
    return ctypes.CDLL(str(built))


def calls(source, target, dtype, threads):
    """Return the floors as calls from one torch tensor to another."""
    found = library()
    copy, exponential = found.copy_bytes, getattr(found, f"exp_{dtype}")
    a, b, count, size, many = (
        ctypes.c_void_p(source.data_ptr()), ctypes.c_void_p(target.data_ptr()), ctypes.c_int64(source.numel()),
        ctypes.c_int64(source.nbytes),
        ctypes.c_int64(threads),
    )  # fmt: skip
    held = (source, target)  # alive as long as their addresses are used
    return {
        "copy": lambda _=held: copy(a, b, size, many),
        "exp-copy": lambda _=held: exponential(a, b, count),
    }
