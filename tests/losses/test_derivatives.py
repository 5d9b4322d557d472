"""`gradient` against finite differences, `curvature` against the true second derivative."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import steelyard as sy
from tests.conformance.points import random_sigmoid_point, random_softmax_point, softmax_point
from tests.conformance.recipes import logits, targets
from tests.losses.reference import class_weights, rebalancing

STEP = 1e-5  # central differences: error ~ step² + ε / step ~ 1e-10, times third derivatives of order 100


def frozen(loss: Any, z: np.ndarray) -> np.ndarray:
    """ω of every row and true class, (n, c): what a stop-gradient holds fixed while the logits move."""
    return np.array([class_weights(loss.to_dict(), row.tolist(), None) for row in z])


def differences(loss: Any, z: np.ndarray, y: np.ndarray) -> np.ndarray:
    if loss.dense_targets:
        outcome = np.asarray(loss.outcome_weight) if loss.outcome_weight is not None else np.ones((2, 2))
        p = 1.0 / (1.0 + np.exp(-z))
        there, away = p * outcome[1, 1] + (1 - p) * outcome[1, 0], p * outcome[0, 1] + (1 - p) * outcome[0, 0]
        still = loss.replace(
            outcome_weight=None, class_weight=None, rebalance_slope=0.0, rebalance_floor=0.5, reduction="none"
        )
        w = 1.0 if loss.class_weight is None else np.asarray(loss.class_weight)
        point, row = loss.to_dict(), np.asarray(y, dtype=float)
        w = w * np.array([[rebalancing(point, r.tolist(), c) for c in range(len(r))] for r in row])

        def f(v: np.ndarray) -> np.ndarray:
            # linear in t: the positive and the negative side, each with the weight that it had at z
            return w * (there * t * still(v, ones) + away * (1 - t) * still(v, 0 * ones))

        t, ones = np.asarray(y, dtype=float), np.ones_like(z)
        return (f(z + STEP) - f(z - STEP)) / (2 * STEP)
    still = loss.replace(weight_by="target", class_weight=None, compensation=0.0, reduction="none")
    t = np.eye(z.shape[1])[y] if np.ndim(y) == 1 else y
    ahead = loss.compensation * np.maximum(0.0, z - (t * z).sum(1, keepdims=True))  # held fixed too
    fixed = {"class_weight": frozen(loss, z), "logit_offset": ahead}
    out = np.empty_like(z)
    for j in range(z.shape[1]):
        e = np.zeros_like(z)
        e[:, j] = STEP
        out[:, j] = (still(z + e, y, **fixed) - still(z - e, y, **fixed)) / (2 * STEP)
    return out


@pytest.mark.parametrize("form", ["integer", "soft"])
@pytest.mark.parametrize("seed", range(30))
def test_gradient_against_finite_differences(form: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    for loss in (random_softmax_point(rng), random_sigmoid_point(rng)):
        z, y = logits(seed), targets(loss, form, seed)
        got = loss.gradient(z, y)
        np.testing.assert_allclose(got, differences(loss, z, y), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("weight_by", ["prediction", "pair", "prediction_hard", "pair_hard"])
def test_weights_taken_at_the_prediction_are_not_differentiated(weight_by: str) -> None:
    # if they were, the gradient would not be that of the loss with the same weights handed over
    loss, still = softmax_point(weight_by), softmax_point("target")
    z, y = logits(), targets(softmax_point(), "integer")
    w = frozen(loss, z)
    for i in range(len(z)):
        row = still.replace(class_weight=w[i])
        np.testing.assert_allclose(loss.gradient(z[i], y[i]), row.gradient(z[i], y[i]), rtol=1e-12)


def true_curvature(loss: Any, z: np.ndarray, y: np.ndarray) -> np.ndarray:
    import jax
    import jax.numpy as jnp

    with jax.enable_x64(True):
        target = jnp.asarray(y)
        total = loss.replace(reduction="sum")

        def second(v: Any, t: Any) -> Any:
            return jnp.diagonal(jax.hessian(lambda u: total(u[None], t[None]))(v)).real

        return np.asarray(jax.jit(jax.vmap(second))(jnp.asarray(z), target))


EXACT = {
    "cross_entropy": sy.losses.cross_entropy(),
    "weights": sy.losses.weighted_cross_entropy([0.4, 1.0, 2.5, 3.1]),
    "prediction": sy.losses.weighted_cross_entropy([0.4, 1.0, 2.5, 3.1], weight_by="prediction"),
    "smoothing": sy.losses.cross_entropy(label_smoothing=0.2, class_weight=[0.4, 1.0, 2.5, 3.1]),
    "vector_scaling": sy.losses.vector_scaling([60, 24, 9, 3], gamma=0.5, class_weight=[0.4, 1.0, 2.5, 3.1]),
    "ldam": sy.losses.ldam([60, 24, 9, 3], scale=2.0),
    "pairwise": sy.losses.pairwise_margin(np.arange(16.0).reshape(4, 4) / 8 - 1),
    "binary": sy.losses.binary_cross_entropy([3.0, 0.5, 8.0, 1.0], class_weight=[0.4, 1.0, 2.5, 3.1]),
    "outcome": sy.losses.outcome_weighted([[1.0, 2.0], [5.0, 1.5]]),
}


@pytest.mark.parametrize("name", EXACT)
@pytest.mark.parametrize("form", ["integer", "soft"])
def test_curvature_is_the_second_derivative_without_focusing_and_costs(name: str, form: str) -> None:
    loss = EXACT[name]
    z, y = logits(), targets(loss, form)
    np.testing.assert_allclose(loss.curvature(z, y), true_curvature(loss, z, y), rtol=1e-9, atol=1e-15)


@pytest.mark.parametrize("form", ["integer", "soft"])
@pytest.mark.parametrize("seed", [pytest.param(k, marks=pytest.mark.slow if k > 2 else ()) for k in range(8)])
def test_curvature_is_a_positive_upper_bound_everywhere(form: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    for loss in (random_softmax_point(rng), random_sigmoid_point(rng)):
        z, y = logits(seed, (30, 4), spread=4.0), targets(loss, form, seed, rows=30)
        h, true = loss.curvature(z, y), true_curvature(loss, z, y)
        assert (h > 0).all()
        assert (h >= true - 1e-12 - 1e-9 * np.abs(true)).all()


def test_focal_curvature_where_the_true_one_is_negative() -> None:
    # γ = 2, true-class logit −4: FL'' = −0.047, on which a booster's Newton step would walk uphill
    z, t, e = np.array([-4.0]), np.array([1]), 1e-4
    for loss in (sy.losses.sigmoid_focal(2.0, None), sy.losses.sigmoid_focal(2.0, 0.5)):
        by_differences = (loss.gradient(z + e, t) - loss.gradient(z - e, t)) / (2 * e)
        scale = 1.0 if loss.class_weight is None else 0.5
        assert float(by_differences[0]) == pytest.approx(-0.047 * scale, abs=5e-4)
        assert float(loss.curvature(z, t)[0]) > 1e-3

    # the same number from the formula alone: FL(z) = (1 − p)² (−log p)
    def focal(v: float) -> float:
        p = 1.0 / (1.0 + np.exp(-v))
        return float((1.0 - p) ** 2 * -np.log(p))

    assert (focal(-4 + 1e-3) - 2 * focal(-4.0) + focal(-4 - 1e-3)) / 1e-6 == pytest.approx(-0.047, abs=5e-4)


def test_curvature_never_falls_to_zero() -> None:
    z = np.array([[1e4, -1e4, 0.0], [50.0, 0.0, 0.0]])
    for loss in (sy.losses.cross_entropy(), sy.losses.focal(0.1), sy.losses.focal(5.0), sy.losses.ldam([9, 3, 1])):
        for y in range(3):
            h = loss.curvature(z, np.array([y, y]))
            assert np.isfinite(h).all()
            assert (h >= 1e-16).all()


def true_hessian(loss: Any, z: np.ndarray, y: np.ndarray) -> np.ndarray:
    import jax
    import jax.numpy as jnp

    with jax.enable_x64(True):
        total = loss.replace(reduction="sum")
        second = jax.vmap(jax.hessian(lambda u, t: total(u[None], t[None])))
        return np.asarray(jax.jit(second)(jnp.asarray(z), jnp.asarray(y)))


@pytest.mark.parametrize("form", ["integer", "soft"])
@pytest.mark.parametrize("seed", range(8))
def test_hessian_against_automatic_differentiation(form: str, seed: int) -> None:
    loss = random_softmax_point(np.random.default_rng(seed))
    z, y = logits(seed), targets(loss, form, seed)
    expected = true_hessian(loss, z, y)
    h, u, v = loss.hessian(z, y)
    outer = u[:, :, None] * v[:, None, :]
    eye = np.eye(z.shape[1])
    got = h[:, None, :] * eye + outer + outer.transpose(0, 2, 1)
    np.testing.assert_allclose(got, expected, rtol=1e-7, atol=1e-7 * np.abs(expected).max())
    h, u, v = loss.hessian(z, y, positive=True)
    outer = u[:, :, None] * v[:, None, :]
    bound = h[:, None, :] * eye + outer + outer.transpose(0, 2, 1)
    slack = 1e-9 * np.abs(bound).max()
    assert np.linalg.eigvalsh(bound).min() >= -slack
    assert np.linalg.eigvalsh(bound - expected).min() >= -slack
