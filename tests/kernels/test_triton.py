"""What needs Triton's interpreter runs in a process of its own: a GPU is not needed, and not used."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("triton", reason="Triton is not installed: it exists for Linux only")
ROOT = Path(__file__).parent.parent.parent


def ran(*line: str, **environment: str) -> subprocess.CompletedProcess[str]:
    settings = {**os.environ, "CUDA_VISIBLE_DEVICES": "", **environment}
    return subprocess.run([sys.executable, *line], cwd=ROOT, env=settings, capture_output=True, text=True, check=False)


def test_the_kernels_in_the_interpreter() -> None:
    path = "tests/kernels/triton_conformance.py"
    found = ran("-m", "pytest", "-n", "0", "-q", "-p", "no:cacheprovider", path, TRITON_INTERPRET="1")
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
