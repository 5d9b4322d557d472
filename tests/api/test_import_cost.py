"""`import steelyard` costs at most 1.5 × `import numpy`, and loads nothing heavier."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time

import pytest

REPEATS = 9


def seconds(code: str) -> float:
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ, "PYTHONDONTWRITEBYTECODE": ""})
    return time.perf_counter() - start


def test_import_cost() -> None:
    ours, numpy = [], []
    seconds("import steelyard")  # byte code is written once, not at every import
    for _ in range(REPEATS):  # interleaved, so that a busy machine slows both
        ours.append(seconds("import steelyard"))
        numpy.append(seconds("import numpy"))
    ratio = statistics.median(ours) / statistics.median(numpy)
    assert ratio <= 1.5, f"import steelyard takes {ratio:.2f} × import numpy"


def test_losses_cost_little_more() -> None:
    # what a training script really imports: counts, weights, losses
    seconds("import steelyard.losses")
    ours = [(seconds("import steelyard.losses"), seconds("import numpy")) for _ in range(REPEATS)]
    ratio = statistics.median(a for a, _ in ours) / statistics.median(b for _, b in ours)
    assert ratio <= 2.0, f"import steelyard.losses takes {ratio:.2f} × import numpy"


def test_the_scikit_learn_front_loads_no_model_of_others() -> None:
    # scikit-learn itself loads pandas and pyarrow where they are
    heavy = ("torch", "tensorflow", "jax", "keras", "polars", "lightgbm", "xgboost", "catboost", "optuna")
    code = f"import steelyard.sklearn, sys; print([m for m in {heavy!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    "code", ["import steelyard", "import steelyard.losses, steelyard.decisions, steelyard.strategies"]
)
def test_nothing_heavy_is_loaded(code: str) -> None:
    heavy = ("torch", "tensorflow", "jax", "keras", "sklearn", "scipy", "pandas", "pyarrow", "polars", "typer", "rich")
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys; print([m for m in {heavy!r} if m in sys.modules])"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "[]"
