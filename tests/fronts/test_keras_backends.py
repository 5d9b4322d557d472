"""`test_keras.py` and `test_keras_training.py` once more on the backends that this process does not have."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = os.environ.get("KERAS_BACKEND", "tensorflow")
OTHERS = [name for name in ("tensorflow", "jax", "torch") if name != HERE]


@pytest.mark.parametrize("backend", OTHERS)
def test_the_same_on(backend: str, request: pytest.FixtureRequest) -> None:
    chosen = request.config.getoption("markexpr") or "not slow"
    files = [str(Path(__file__).with_name(f"test_keras{part}.py")) for part in ("", "_training")]
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", chosen, *files],
        cwd=request.config.rootpath,
        env={**os.environ, "KERAS_BACKEND": backend},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout[-20_000:]
