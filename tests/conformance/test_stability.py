"""Gradients that are finite, alive and of the right sign: z ∈ {0, ±1, ±30, ±100, ±1e4}, every γ, recipe, framework.

Hypothesis looks for logits of the grid that break it. `test_extreme_logits.py` compares numbers with the reference at
fixed patterns; here only signs and life are asked for, at any combination.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conformance.comparison import EPSILON
from tests.conformance.covering import all_pairs
from tests.conformance.frameworks import DTYPES, NAMES, rounded
from tests.conformance.recipes import N_CLASSES, all_recipes
from tests.conformance.test_extreme_logits import focused, framework_derivative
from tests.losses.reference import Expected, expected

LEVELS = (0.0, 1.0, -1.0, 30.0, -30.0, 100.0, -100.0, 1e4, -1e4)
GAMMAS = (0.0, 0.3, 0.5, 1.0, 2.0, 5.0)
RECIPES = sorted(all_recipes())
ROWS = 8  # of one call: JAX compiles a program for every shape


@st.composite
def batches(draw: Any) -> tuple[np.ndarray, np.ndarray]:
    level = st.sampled_from(LEVELS)
    z = draw(st.lists(st.lists(level, min_size=N_CLASSES, max_size=N_CLASSES), min_size=ROWS, max_size=ROWS))
    y = draw(st.lists(st.integers(0, N_CLASSES - 1), min_size=ROWS, max_size=ROWS))
    return np.array(z), np.array(y)


def judge(framework: str, recipe: str, gamma: float, dtype: str, z: np.ndarray, y: np.ndarray) -> None:
    loss = focused(recipe, gamma)
    targets = np.eye(N_CLASSES)[y] if loss.dense_targets else y
    want = expected(loss.to_dict(), rounded(z, dtype), targets)
    value, gradient = framework_derivative(framework, loss, z, targets, dtype)
    check(want, value, gradient, gamma, dtype)


def check(want: Expected, value: np.ndarray, gradient: np.ndarray, gamma: float, dtype: str) -> None:
    value, gradient = value.reshape(want.loss.shape), gradient.reshape(want.gradient.shape)
    assert np.isfinite(value).all()
    assert np.isfinite(gradient).all()
    # a gap of two logits of 1e4 and an offset of order 1 is right to ε·1e4, and no arithmetic in that dtype does
    # better; what is smaller than that share of the row's largest slope may have any sign
    slack = (1.0 + gamma) * min(0.2, 8.0 * EPSILON[dtype] * max(want.largest_logit, 1.0))
    size = want.scale.max(axis=1, keepdims=True)
    clear = np.abs(want.gradient) > np.maximum(slack * size, 1e-6)
    assert (np.sign(gradient[clear]) == np.sign(want.gradient[clear])).all()
    assert (np.abs(gradient[clear]) > 0.25 * np.abs(want.gradient[clear])).all()  # no dead gradient
    # the worst mistakes of all: the loss is large, so something must pull
    wrong = want.loss > 20.0 * np.maximum(want.weight, 1e-3)
    pulls = np.abs(want.gradient).max(axis=1) > 1e-3
    assert (np.abs(gradient[wrong & pulls]).max(axis=1) > 0.0).all()


CASES = all_pairs({"framework": NAMES, "recipe": RECIPES, "gamma": GAMMAS, "dtype": DTYPES}, seed=0)


@pytest.mark.parametrize("case", CASES, ids=lambda c: "-".join(str(v) for v in c.values()))
def test_no_counter_example_in_a_covering(case: dict[str, Any]) -> None:
    @settings(max_examples=4)
    @given(batches())
    def search(batch: tuple[np.ndarray, np.ndarray]) -> None:
        judge(**case, z=batch[0], y=batch[1])

    search()


@pytest.mark.slow
@pytest.mark.parametrize("framework", NAMES)
@pytest.mark.parametrize("recipe", RECIPES)
@settings(max_examples=60)
@given(batches(), st.sampled_from(GAMMAS), st.sampled_from(DTYPES))
def test_no_counter_example_anywhere(
    framework: str, recipe: str, batch: tuple[np.ndarray, np.ndarray], gamma: float, dtype: str
) -> None:
    judge(framework, recipe, gamma, dtype, *batch)


@pytest.mark.parametrize("spoiled", ["dead", "of the wrong sign", "not a number"])
@pytest.mark.parametrize("gamma", GAMMAS)
def test_a_bad_gradient_is_noticed(gamma: float, spoiled: str) -> None:
    # what probabilities clipped at 1e-7 give elsewhere: no slope at all where the answer is wrong by 30
    want = expected(focused("focal", gamma).to_dict(), np.array([[30.0, -30.0, 0.0, 1.0]]), np.array([1]))
    check(want, want.loss, want.gradient, gamma, "float32")
    bad = want.gradient.copy()
    bad[0, 1] = {"dead": 0.0, "of the wrong sign": -bad[0, 1], "not a number": np.nan}[spoiled]
    with pytest.raises(AssertionError):
        check(want, want.loss, bad, gamma, "float32")
