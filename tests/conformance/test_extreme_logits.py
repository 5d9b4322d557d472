"""Logits of ±1e4, every recipe, γ from 0 to 5, every dtype and framework: finite, right, and never dead.

Other libraries give NaN gradients for 0 < γ < 1, or none for the worst mistakes (FORMULAS: numbers that other
libraries get wrong).
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest

import steelyard as sy
from tests.conformance.comparison import EPSILON
from tests.conformance.frameworks import DTYPES, FRAMEWORKS, NAMES, rounded
from tests.conformance.recipes import N_CLASSES, all_recipes
from tests.losses.reference import Expected, expected

BIG = 1e4
GAMMAS = (0.0, 0.1, 0.5, 1.0, 2.0, 5.0)
PATTERNS = np.array(
    [
        [BIG, -BIG, 0.0, 0.0],
        [-BIG, BIG, 1.0, -1.0],
        [BIG, BIG, BIG, BIG],
        [-BIG, -BIG, -BIG, -BIG],
        [0.0, BIG, BIG, -BIG],
        [60.0, -60.0, 0.0, 20.0],
    ]
)
Z = np.repeat(PATTERNS, N_CLASSES, axis=0)
Y = np.tile(np.arange(N_CLASSES), len(PATTERNS))


def focused(recipe: str, gamma: float) -> Any:
    loss = all_recipes()[recipe].replace(reduction="none")
    if loss.entrywise:
        return loss.replace(gamma_pos=gamma, gamma_neg=gamma)
    return loss if loss.dense_targets else loss.replace(gamma=gamma)


def gammas(recipe: str) -> tuple[float, ...]:
    return (0.0,) if isinstance(all_recipes()[recipe], (sy.losses.ZLPR, sy.losses.TwoWay)) else GAMMAS


def dense(form: str) -> np.ndarray:
    onehot = np.eye(N_CLASSES)[Y]
    return onehot if form == "one-hot" else 0.7 * onehot + 0.1 * np.roll(onehot, 1, axis=1) + 0.05


@cache
def reference(recipe: str, gamma: float, form: str, dtype: str) -> Expected:
    y = Y if form == "integer" and not focused(recipe, gamma).dense_targets else dense(form)
    return expected(focused(recipe, gamma).to_dict(), rounded(Z, dtype), y)


def judge(recipe: str, gamma: float, form: str, dtype: str, value: np.ndarray, gradient: np.ndarray) -> None:
    # Two logits of 1e4 and offsets of order 1 meet in one sum: the offsets keep ε·1e4 of their digits, and no
    # arithmetic in that dtype could keep more. So: an error of the gap of ε·|a| and 1 in 10⁵ of what is large.
    want = reference(recipe, gamma, form, dtype)
    slack = min(0.2, 4.0 * EPSILON[dtype] * want.largest_logit)
    value, gradient = value.reshape(want.loss.shape), gradient.reshape(want.gradient.shape)
    assert np.isfinite(value).all()
    assert np.isfinite(gradient).all()
    small = (1.0 + gamma) * slack
    assert (np.abs(value - want.loss) <= (1e-5 + small) * np.abs(want.loss) + small * want.weight).all()
    size = want.scale.max(axis=1, keepdims=True)
    assert (np.abs(gradient - want.gradient) <= (5e-3 + small) * size + 1e-7).all()
    # the worst mistakes keep a living gradient
    wrong = (want.loss > 50.0 * want.weight)[:, None] & (np.abs(want.gradient) > 1e-3)
    assert (np.abs(gradient)[wrong] > 0.5 * np.abs(want.gradient)[wrong]).all()


def framework_derivative(framework: str, loss: Any, z: np.ndarray, y: np.ndarray, dtype: str) -> tuple[Any, Any]:
    xp = FRAMEWORKS[framework]
    with xp.context(dtype):
        if framework == "numpy":
            return xp.numbers(loss(xp.tensor(z, dtype), y)), xp.numbers(loss.gradient(xp.tensor(z, dtype), y))
        if framework == "jax":
            # one program for all recipes of a kind: the loss is an argument
            value, gradient = jax_program()(loss.expand(N_CLASSES), xp.tensor(z, dtype), xp.tensor(y))
        else:
            target = xp.tensor(y)
            value, gradient = xp.gradient(lambda v: loss(v, target), xp.tensor(z, dtype))
        return xp.numbers(value), xp.numbers(gradient)


@cache
def jax_program() -> Any:
    import jax

    def total(loss: Any, z: Any, y: Any) -> Any:
        value = loss(z, y)
        return value.sum(), value

    def swapped(loss: Any, z: Any, y: Any) -> Any:
        gradient, value = jax.grad(total, argnums=1, has_aux=True)(loss, z, y)
        return value, gradient

    return jax.jit(swapped)


@pytest.mark.parametrize("framework", NAMES)
@pytest.mark.parametrize("recipe", sorted(all_recipes()))
def test_extreme_logits(framework: str, recipe: str) -> None:
    for gamma in gammas(recipe):
        loss = focused(recipe, gamma)
        for form in ("one-hot", "soft") if loss.dense_targets else ("integer", "one-hot", "soft"):
            y = Y if form == "integer" else dense(form)
            for dtype in DTYPES:
                value, gradient = framework_derivative(framework, loss, Z, y, dtype)
                judge(recipe, gamma, form, dtype, value, gradient)


@pytest.mark.parametrize("recipe", sorted(all_recipes()))
def test_extreme_curvature_is_finite_and_positive(recipe: str) -> None:
    for gamma in gammas(recipe):
        loss = focused(recipe, gamma)
        h = loss.curvature(Z, dense("one-hot"))
        assert np.isfinite(h).all()
        assert (h > 0).all()


@pytest.mark.parametrize("framework", NAMES)
def test_the_largest_numbers_of_float16(framework: str) -> None:
    z = np.array([[65504.0, -65504.0, 0.0, 1.0]] * 4)
    for recipe in ("focal", "ldam", "cross_entropy"):
        loss = focused(recipe, 0.5)
        value, gradient = framework_derivative(framework, loss, z, np.arange(4), "float16")
        want = expected(loss.to_dict(), z, np.arange(4))
        np.testing.assert_allclose(value, want.loss, rtol=1e-5, atol=1e-12)
        np.testing.assert_allclose(gradient, want.gradient, rtol=2e-3, atol=1e-7)


RULED_OUT = np.array([[1.0, -np.inf, 0.0, -0.5], [0.3, 0.0, -np.inf, 2.0]])
WITHOUT_THEM = np.array([[1.0, 0.0, -0.5], [0.3, 0.0, 2.0]])


@pytest.mark.parametrize("framework", NAMES)
@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
@pytest.mark.parametrize("expanded", [False, True])
def test_a_class_that_is_ruled_out(framework: str, gamma: float, expanded: bool) -> None:
    # −inf for a class that cannot be (a masked action, padding): it takes no part, and is no 0 · ∞ where every
    # class is looked at
    loss = focused("focal", gamma)
    want = expected(loss.to_dict(), WITHOUT_THEM, np.array([0, 2]))
    if expanded:
        loss = loss.expand(N_CLASSES)
    xp = FRAMEWORKS[framework]
    with xp.context("float64"):
        z, y = xp.tensor(RULED_OUT), xp.tensor(np.array([0, 3]))
        if framework == "numpy":
            value, gradient = loss(z, y), loss.gradient(z, y)
        else:
            value, gradient = (xp.numbers(v) for v in xp.gradient(lambda v: loss(v, y), z))
    np.testing.assert_allclose(value, want.loss, rtol=1e-12)
    assert gradient[0, 1] == gradient[1, 2] == 0.0
    np.testing.assert_allclose(gradient[0, [0, 2, 3]], want.gradient[0], rtol=1e-11)


@pytest.mark.parametrize("loss", [focused("focal", 2.0), focused("pairwise_margin", 0.0)], ids=["focal", "pairs"])
def test_the_posterior_of_a_class_that_is_ruled_out_is_zero(loss: Any) -> None:
    eta = loss.posterior(RULED_OUT)
    assert max(eta[0, 1], eta[1, 2]) < 1e-15
    np.testing.assert_allclose(eta.sum(axis=1), 1.0, rtol=1e-12)
    if loss.pairwise_offset is None:
        np.testing.assert_allclose(eta[0, [0, 2, 3]], loss.posterior(WITHOUT_THEM)[0], rtol=1e-12)


def test_all_other_classes_ruled_out() -> None:
    z, y = np.array([[-np.inf, 2.0, -np.inf]]), np.array([1])
    for loss in (sy.losses.cross_entropy(), sy.losses.focal(0.5), sy.losses.focal(2.0)):
        assert float(loss(z, y)) == 0.0
        assert (loss.gradient(z, y) == 0.0).all()
