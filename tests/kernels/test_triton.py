"""What needs Triton runs in processes of its own, without a GPU: in its interpreter, or compiled ahead of time.

Triton and TensorFlow each bring an LLVM, and a process that loads both aborts ("Option 'bitcode-mdindex-threshold'
registered more than once"). So `make test` installs Triton into a folder apart, which these processes alone see.
"""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

APART = Path(sys.prefix) / "apart"
if not (APART / "triton").is_dir() and find_spec("triton") is None:
    pytest.skip(f"Triton, which exists for Linux only, is neither installed nor in {APART}", allow_module_level=True)
ROOT = Path(__file__).parent.parent.parent


def ran(*line: str, **environment: str) -> subprocess.CompletedProcess[str]:
    seen = os.pathsep.join(filter(None, (os.environ.get("PYTHONPATH"), str(APART))))
    settings = {**os.environ, "CUDA_VISIBLE_DEVICES": "", "PYTHONPATH": seen, **environment}
    return subprocess.run([sys.executable, *line], cwd=ROOT, env=settings, capture_output=True, text=True, check=False)


def test_the_kernels_in_the_interpreter() -> None:
    path = "tests/kernels/triton_conformance.py"
    found = ran("-m", "pytest", "-n", "0", "-q", "-p", "no:cacheprovider", path, TRITON_INTERPRET="1")
    assert found.returncode == 0, found.stdout[-4000:] + found.stderr[-2000:]
    assert " passed" in found.stdout
    assert "failed" not in found.stdout


@pytest.mark.parametrize("which", ["not slow", pytest.param("slow", marks=pytest.mark.slow)])
def test_the_kernels_compiled_for_a_gpu(which: str) -> None:
    found = ran("-m", "pytest", "-n", "0", "-q", "-p", "no:cacheprovider", "-m", which, "tests/kernels/triton_ahead.py")
    assert found.returncode == 0, found.stdout[-4000:] + found.stderr[-2000:]
    assert " passed" in found.stdout
    assert "failed" not in found.stdout


def test_the_benchmark_says_that_there_is_no_gpu_and_can_be_rehearsed(tmp_path: Path) -> None:
    found = ran("benchmarks/gpu/run.py", "--out", str(tmp_path / "gpu"))
    assert found.returncode == 2
    assert "No CUDA device" in found.stderr
    assert not list(tmp_path.iterdir())
    found = ran("benchmarks/gpu/run.py", "--rehearse")
    assert found.returncode == 0, found.stderr
    assert "0 failed; no figures" in found.stdout
