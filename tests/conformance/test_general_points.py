"""Points with all parameters on, in every framework, against the reference."""

from __future__ import annotations

import numpy as np
import pytest

from tests.conformance.comparison import check
from tests.conformance.frameworks import NAMES
from tests.conformance.points import (
    WEIGHT_BY,
    binary_point,
    random_sigmoid_point,
    random_softmax_point,
    sigmoid_point,
    softmax_point,
)
from tests.conformance.recipes import logits, targets

# JAX compiles each case, and its covering (test_every_recipe) has every dtype
DTYPES = {name: ("float64",) if name == "jax" else ("float64", "float32") for name in NAMES}
WEIGHTS = np.array([0.5, 2.0, 0.0, 1.0, 3.0, 0.25])


@pytest.mark.parametrize("framework", NAMES)
@pytest.mark.parametrize("form", ["integer", "one-hot", "soft"])
@pytest.mark.parametrize("weight_by", WEIGHT_BY)
def test_everything_on(framework: str, form: str, weight_by: str) -> None:
    loss = softmax_point(weight_by)
    for dtype in DTYPES[framework]:
        check(framework, loss, logits(), targets(loss, form), dtype, sample_weight=WEIGHTS)


@pytest.mark.parametrize("framework", NAMES)
@pytest.mark.parametrize("weight_by", WEIGHT_BY)
def test_everything_that_integer_targets_need_no_classes_for(framework: str, weight_by: str) -> None:
    # without smoothing and costs integer targets take the short path: one gap per row
    loss = softmax_point(weight_by, label_smoothing=0.0, cost_matrix=None, cost_coefficient=0.0)
    for dtype in DTYPES[framework]:
        check(framework, loss, logits(), targets(loss, "integer"), dtype, sample_weight=WEIGHTS)


@pytest.mark.parametrize("framework", NAMES)
@pytest.mark.parametrize("form", ["integer", "soft"])
def test_multi_label_with_everything_on(framework: str, form: str) -> None:
    loss = sigmoid_point()
    for dtype in ("float64", "float32"):
        s = np.random.default_rng(2).random((6, 4))
        check(framework, loss, logits(), targets(loss, form), dtype, sample_weight=s)


@pytest.mark.parametrize("framework", NAMES)
@pytest.mark.parametrize("form", ["integer", "soft"])
def test_binary_with_everything_on(framework: str, form: str) -> None:
    loss = binary_point()
    for dtype in ("float64", "float32"):
        check(framework, loss, logits()[:, 0], targets(loss, form)[:, 1], dtype, sample_weight=WEIGHTS)


@pytest.mark.parametrize("framework", ["numpy", "torch"])
@pytest.mark.parametrize("seed", range(25))
def test_random_points(framework: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    for loss in (random_softmax_point(rng), random_sigmoid_point(rng)):
        for form in ("integer", "soft"):
            check(framework, loss, logits(seed), targets(loss, form, seed), "float64")
