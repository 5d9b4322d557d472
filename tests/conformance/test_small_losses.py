"""A loss of 1e-10 in float32 is right to 1e-6, and so is its gradient.

A log-sum-exp that already holds the target rounds such a loss to 0 or to a multiple of 1e-7 (torch float32 is wrong
by 1.1, 7 and 100 % at gaps of 15, 20 and 30 with 1000 classes).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import steelyard as sy
from tests.conformance.frameworks import FRAMEWORKS, NAMES

C = 1000
GAPS = (15.0, 20.0, 30.0)


def case(gap: float, form: str) -> tuple[np.ndarray, np.ndarray]:
    z = np.zeros((1, C))
    z[0, 3] = gap
    return z, np.array([3]) if form == "integer" else np.eye(C)[[3]]


def value_and_gradient(framework: str, loss: Any, z: np.ndarray, y: np.ndarray) -> tuple[float, np.ndarray]:
    xp = FRAMEWORKS[framework]
    with xp.context("float32"):
        logits, target = xp.tensor(z, "float32"), xp.tensor(y.astype(np.float32) if y.ndim > 1 else y)
        if framework == "numpy":
            value, gradient = loss(logits, target), loss.gradient(logits, target)
        else:
            value, gradient = xp.gradient(lambda v: loss(v, target), logits)
        return float(xp.numbers(value).sum()), xp.numbers(gradient)


@pytest.mark.parametrize("framework", NAMES)
@pytest.mark.parametrize("form", ["integer", "one-hot"])
@pytest.mark.parametrize("gap", GAPS)
def test_small_losses_and_gradients(framework: str, form: str, gap: float) -> None:
    z, y = case(gap, form)
    others = (C - 1) * math.exp(-gap)
    value, gradient = value_and_gradient(framework, sy.losses.cross_entropy(), z, y)
    assert value == pytest.approx(math.log1p(others), rel=1e-6)
    # the gap of −8.1 has an ulp of 1e-6, log 999 one of 5e-7: half of both, and a rounding or two of exp and division
    assert gradient[0, 3] == pytest.approx(-others / (1 + others), rel=1.2e-6)
    assert gradient[0, 0] == pytest.approx(math.exp(-gap) / (1 + others), rel=1.2e-6)


@pytest.mark.parametrize("framework", NAMES)
@pytest.mark.parametrize("form", ["integer", "one-hot"])
@pytest.mark.parametrize("gap", GAPS)
def test_small_focal_losses(framework: str, form: str, gap: float) -> None:
    # FL = (1 − q)^γ (−log q): (x / (1 + x))^γ log(1 + x) with x = 999 e^{−gap}; the exponent multiplies the error
    z, y = case(gap, form)
    x = (C - 1) * math.exp(-gap)
    value, gradient = value_and_gradient(framework, sy.losses.focal(0.5), z, y)
    assert value == pytest.approx((x / (1 + x)) ** 0.5 * math.log1p(x), rel=2e-6)
    slope = (x / (1 + x)) ** 0.5 * (1 + 0.5 * math.log1p(x) / x)
    assert gradient[0, 3] == pytest.approx(-slope * x / (1 + x), rel=4e-6)


@pytest.mark.parametrize("framework", NAMES)
@pytest.mark.parametrize("form", ["integer", "one-hot"])
def test_small_losses_of_uneven_logits(framework: str, form: str) -> None:
    # gaps of −8 to −30 between random logits: half an ulp of the gap, 1e-6, is all that is lost. Multiples of
    # 2^−10 are exact in float32
    rng = np.random.default_rng(0)
    z = np.round(rng.normal(0.0, 1.0, (40, C)) * 1024) / 1024
    z[:, 3] = np.linspace(15.0, 37.0, 40).round(2)
    z = z.astype(np.float32).astype(np.float64)
    y = np.full(40, 3) if form == "integer" else np.eye(C)[np.full(40, 3)]
    value, _ = value_and_gradient(framework, sy.losses.cross_entropy(reduction="none"), z, y)
    total = 0.0
    for row in z:
        total += math.log1p(math.fsum(math.exp(v - row[3]) for c, v in enumerate(row) if c != 3))
    assert value == pytest.approx(total, rel=1e-6)


@pytest.mark.parametrize("framework", NAMES)
@pytest.mark.parametrize("gap", GAPS)
def test_small_binary_losses(framework: str, gap: float) -> None:
    value, gradient = value_and_gradient(
        framework, sy.losses.binary_cross_entropy(reduction="sum"), np.array([gap, -gap]), np.array([1, 0])
    )
    assert value == pytest.approx(2 * math.log1p(math.exp(-gap)), rel=1e-6)
    slope = math.exp(-gap) / (1 + math.exp(-gap))
    assert gradient.tolist() == pytest.approx([-slope, slope], rel=1e-6)
