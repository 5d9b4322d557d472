"""One mean, however rows are dealt: one process = two ranks = eight micro-batches = uneven ones with an empty one.

Values and gradients against the float64 reference. Each framework runs in processes of its own, because devices and
ranks are settled when a framework starts.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.conformance.workers.parts import LOSSES, ONE_RANK, TWO_RANKS, WEIGHTS, W, X, targets_of
from tests.fronts.points import PAIRED
from tests.losses import reference

ROOT = Path(__file__).parents[2]
QUICK = ["by pair", "sigmoid, focal"]
ALL = list(LOSSES)

Results = dict[tuple[str, str], tuple[float, np.ndarray]]


def run(*commands: list[str], **environment: str) -> Results:
    """Run processes side by side, and read what they tell."""
    settings = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    started = [
        subprocess.Popen(
            [sys.executable, "-m", *command],
            cwd=ROOT,
            env={**settings, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for command in commands
    ]
    told: Results = {}
    for process in started:
        out, err = process.communicate(timeout=540)
        assert process.returncode == 0, err[-5000:]
        for line in out.splitlines():
            if line.startswith("result "):
                name, case, value, gradient = json.loads(line.removeprefix("result "))
                told[name, case] = value, np.array(gradient)
    return told


def check(told: Results, names: list[str], cases: set[str], loose: tuple[str, ...] = ()) -> None:
    assert set(told) == {(name, case) for name in names for case in cases}
    for (name, case), (value, gradient) in told.items():
        family = "SoftmaxCrossEntropy" if name in PAIRED else "SigmoidCrossEntropy"
        point = LOSSES[name][1]
        rows = reference.expected({"loss": family, **point}, X @ W, targets_of(name))
        s = np.repeat(WEIGHTS, len(rows.loss) // len(X))  # of several labels, one value each
        total = (s * rows.weight).sum()
        want = (s * rows.loss).sum() / total
        slope = X.T @ (s[:, None] * rows.gradient / total).reshape(len(X), 3)
        tolerance = 1e-6 if case in loose else 1e-10  # Keras computes in float32
        assert value == pytest.approx(want, rel=tolerance), (name, case)
        np.testing.assert_allclose(gradient, slope, rtol=tolerance, atol=tolerance, err_msg=f"{name}, {case}")


def names_and_marks() -> list[object]:
    return [pytest.param(QUICK, id="two losses"), pytest.param(ALL, id="all", marks=pytest.mark.slow)]


@pytest.mark.parametrize("names", names_and_marks())
def test_torch(names: list[str], tmp_path: Path) -> None:
    worker = "tests.conformance.workers.on_torch"
    told = run(*([worker, str(rank), str(tmp_path / "store"), *names] for rank in (0, 1)))
    check(told, names, {"one call", *ONE_RANK, *(f"{case} (rank {r})" for case in TWO_RANKS for r in (0, 1))})


@pytest.mark.parametrize("names", names_and_marks())
def test_tensorflow(names: list[str]) -> None:
    told = run(["tests.conformance.workers.on_tensorflow", *names], KERAS_BACKEND="tensorflow")
    keras = "Keras on two replicas"
    check(told, names, {"one call", *ONE_RANK, *TWO_RANKS, keras}, loose=(keras,))


@pytest.mark.parametrize("names", names_and_marks())
def test_jax(names: list[str]) -> None:
    told = run(
        ["tests.conformance.workers.on_jax", *names],
        XLA_FLAGS="--xla_force_host_platform_device_count=2",
        JAX_PLATFORMS="cpu",
    )
    devices = {f"{case}, {how}" for case in TWO_RANKS for how in ("pmap", "shard_map")}
    check(told, names, {"one call", *ONE_RANK, *devices, "arrays over two devices"})


def test_a_mean_of_means_is_another_number() -> None:
    # what the contract is for: were the parts balanced, nothing here could fail
    for dealt in (ONE_RANK["eight micro-batches"][0], [rank[0] for rank in TWO_RANKS["two ranks"]]):
        loss = PAIRED["focal"][0]
        means = [float(loss(X[p] @ W, targets_of("focal")[p], sample_weight=WEIGHTS[p])) for p in dealt]
        whole = float(loss(X @ W, targets_of("focal"), sample_weight=WEIGHTS))
        assert abs(np.mean(means) - whole) > 0.02 * whole
