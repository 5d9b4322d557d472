"""Losses are pytrees: jit, vmap and grad with the parameters as traced arrays, and no needless tracing."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import steelyard as sy
from tests.conformance.points import sigmoid_point, softmax_point
from tests.conformance.recipes import all_recipes, logits, of_family, targets
from tests.losses.reference import expected

Z, Y = logits(), np.arange(6) % 4
COUNTS = [60, 24, 9, 3]
W = np.array([0.4, 1.0, 2.5, 3.1])


@pytest.fixture
def wide():
    with jax.enable_x64(True):
        yield


@pytest.mark.parametrize("recipe", sorted(all_recipes()))
def test_flatten_and_unflatten(recipe: str) -> None:
    loss = all_recipes()[recipe]
    leaves, structure = jax.tree_util.tree_flatten(loss)
    assert len(leaves) == sum(v is not None for v in loss.parameters.values())
    assert jax.tree_util.tree_unflatten(structure, leaves) == loss
    doubled = jax.tree_util.tree_map(lambda v: 2 * v, loss)
    assert type(doubled) is type(loss)
    assert doubled.reduction == loss.reduction


def test_settings_are_part_of_the_structure() -> None:
    a = jax.tree_util.tree_structure(sy.losses.focal(2.0))
    assert a == jax.tree_util.tree_structure(sy.losses.focal(3.0))
    assert a != jax.tree_util.tree_structure(sy.losses.focal(2.0, reduction="sum"))
    assert a != jax.tree_util.tree_structure(sy.losses.focal(2.0, ignore_index=0))


@pytest.mark.parametrize("family", ["SoftmaxCrossEntropy", "SigmoidCrossEntropy"])
def test_expanded_recipes_are_traced_once(family: str) -> None:
    traces = 0

    @jax.jit
    def step(loss: Any, z: Any, y: Any) -> Any:
        nonlocal traces
        traces += 1
        return jax.value_and_grad(lambda v: loss(v, y))(z)

    values = set()
    recipes = [all_recipes()[n] for n in of_family(family)]
    # matrices are part of the structure where a loss has them; the others are all alike
    if family.startswith("Softmax"):
        recipes = [r for r in recipes if r.pairwise_offset is r.cost_matrix is None and r.weight_by == "target"]
    assert len(recipes) >= 4
    for loss in recipes:
        y = targets(loss, "integer")
        value, gradient = step(loss.expand(4), jnp.asarray(Z), jnp.asarray(y))
        want = expected(loss.to_dict(), Z, y)
        assert float(value) == pytest.approx(want.loss.sum() / want.weight.sum(), rel=2e-5)
        assert np.isfinite(gradient).all()
        values.add(round(float(value), 6))
    assert traces == 1
    assert len(values) > 2


def test_numbers_of_one_recipe_do_not_trace_again() -> None:
    traces = 0

    @jax.jit
    def value(loss: Any, z: Any, y: Any) -> Any:
        nonlocal traces
        traces += 1
        return loss(z, y)

    got = [float(value(sy.losses.focal(g), jnp.asarray(Z), jnp.asarray(Y))) for g in (0.5, 1.0, 2.0, 5.0)]
    assert traces == 1
    assert got == sorted(got, reverse=True)
    assert len(set(got)) == 4


@pytest.mark.usefixtures("wide")
def test_gradient_with_respect_to_class_weights() -> None:
    # mean = Σ w_y ℓ / Σ w_y: its derivative by w_c is Σ_{y = c} (ℓ − mean) / Σ w
    z, y = jnp.asarray(Z), jnp.asarray(Y)

    def f(w: Any) -> Any:
        return sy.losses.SoftmaxCrossEntropy(class_weight=w)(z, y)

    rows = expected({"loss": "SoftmaxCrossEntropy"}, Z, Y).loss
    mean = (W[Y] * rows).sum() / W[Y].sum()
    want = [((rows - mean)[c == Y]).sum() / W[Y].sum() for c in range(4)]
    np.testing.assert_allclose(jax.grad(f)(jnp.asarray(W)), want, rtol=1e-12)
    np.testing.assert_allclose(jax.jit(jax.grad(f))(jnp.asarray(W)), want, rtol=1e-12)
    # the same through a loss as a pytree, and through weights handed over at the call
    loss = sy.losses.SoftmaxCrossEntropy(class_weight=W)
    np.testing.assert_allclose(jax.grad(lambda v: v(z, y))(loss).class_weight, want, rtol=1e-12)
    plain = sy.losses.cross_entropy()
    np.testing.assert_allclose(jax.grad(lambda w: plain(z, y, class_weight=w))(jnp.asarray(W)), want, rtol=1e-12)


@pytest.mark.usefixtures("wide")
@pytest.mark.parametrize("name", ["gamma", "label_smoothing", "logit_offset", "margin", "cost_coefficient"])
def test_gradient_with_respect_to_other_parameters(name: str) -> None:
    loss = softmax_point()
    z, y = jnp.asarray(Z), jnp.asarray(Y)
    got = np.atleast_1d(getattr(jax.grad(lambda v: v(z, y))(loss), name))
    value, step = np.asarray(loss.parameters[name]), 1e-6
    for c in range(len(got)):
        e = step * (np.arange(len(got)) == c if value.ndim else 1.0)
        up, down = (float(loss.replace(**{name: value + d})(Z, Y)) for d in (e, -e))
        assert got[c] == pytest.approx((up - down) / (2 * step), rel=1e-6, abs=1e-9)


@pytest.mark.usefixtures("wide")
def test_vmap_over_rows_and_over_losses() -> None:
    loss = softmax_point("pair", reduction="none")
    z, y = jnp.asarray(Z), jnp.asarray(Y)
    rows = jax.vmap(lambda v, t: loss(v, t))(z, y)
    np.testing.assert_allclose(rows, loss(Z, Y), rtol=1e-12)
    # one program, many strategies: a stack of parameters
    gammas = jnp.asarray([0.0, 0.5, 2.0, 5.0])
    values = jax.vmap(lambda g: sy.losses.SoftmaxCrossEntropy(gamma=g)(z, y))(gammas)
    np.testing.assert_allclose(values, [float(sy.losses.focal(float(g))(Z, Y)) for g in gammas], rtol=1e-12)
    stacked = jax.tree_util.tree_map(
        lambda *v: jnp.stack([jnp.asarray(x) for x in v]),
        *(sy.losses.logit_adjusted(COUNTS, tau=t).expand(4) for t in (0.5, 1.0, 2.0)),
    )
    values = jax.vmap(lambda v: v(z, y))(stacked)
    want = [float(sy.losses.logit_adjusted(COUNTS, tau=t)(Z, Y)) for t in (0.5, 1.0, 2.0)]
    np.testing.assert_allclose(values, want, rtol=1e-12)


@pytest.mark.usefixtures("wide")
@pytest.mark.parametrize("loss", [softmax_point("pair"), sigmoid_point()], ids=["softmax", "sigmoid"])
def test_value_gradient_and_curvature_in_jax(loss: Any) -> None:
    t = targets(loss, "soft")
    for method in ("value", "gradient", "curvature"):
        got = jax.jit(getattr(loss, method))(jnp.asarray(Z), jnp.asarray(t))
        np.testing.assert_allclose(got, getattr(loss, method)(Z, t), rtol=1e-11, atol=1e-14)


def test_without_sixty_four_bits_float64_parameters_are_float32_arithmetic() -> None:
    loss = softmax_point()
    value = loss(jnp.asarray(Z, jnp.float32), jnp.asarray(Y))
    assert value.dtype == jnp.float32
    want = expected(loss.to_dict(), Z.astype(np.float32), Y)
    assert float(value) == pytest.approx(want.loss.sum() / want.weight.sum(), rel=2e-6)


def test_donated_and_scanned() -> None:
    # a training loop under lax.scan: the loss is carried like any other array
    def step(carry: Any, batch: Any) -> Any:
        w, loss = carry
        gradient = jax.grad(lambda v: loss(batch[0] @ v, batch[1]))(w)
        return (w - 0.1 * gradient, loss), loss(batch[0] @ w, batch[1])

    x = np.random.default_rng(0).normal(size=(20, 6, 3)).astype(np.float32)
    y = np.broadcast_to(Y, (20, 6))
    loss = sy.losses.logit_adjusted(COUNTS).expand(4)
    loss = jax.tree_util.tree_map(jnp.asarray, loss)
    (w, _), values = jax.lax.scan(step, (jnp.zeros((3, 4)), loss), (jnp.asarray(x), jnp.asarray(y)))
    assert np.isfinite(w).all()
    assert values.shape == (20,)
