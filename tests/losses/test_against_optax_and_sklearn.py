"""optax and scikit-learn as oracles, in float64."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from sklearn.metrics import log_loss

import steelyard as sy

RNG = np.random.default_rng(0)
LOGITS = RNG.normal(0.0, 2.0, (7, 4))
Y = np.arange(7) % 4
SOFT = RNG.dirichlet(np.ones(4), 7)
BINARY = (RNG.random((7, 4)) > 0.5).astype(np.float64)
W = np.array([0.4, 1.0, 2.5, 3.1])
S = RNG.random(7)


@pytest.fixture(autouse=True)
def _sixty_four_bits():
    with jax.enable_x64(True):
        yield


def same(ours: jax.Array, theirs: jax.Array, rtol: float = 1e-12) -> None:
    np.testing.assert_allclose(np.asarray(ours), np.asarray(theirs), rtol=rtol, atol=1e-14)


def test_optax_integer_labels() -> None:
    z, y = jnp.asarray(LOGITS), jnp.asarray(Y)
    loss = sy.losses.cross_entropy(reduction="none")
    same(loss(z, y), optax.softmax_cross_entropy_with_integer_labels(z, y))
    total = loss.replace(reduction="sum")
    same(jax.grad(total)(z, y), jax.grad(lambda v: optax.softmax_cross_entropy_with_integer_labels(v, y).sum())(z))


def test_optax_soft_labels() -> None:
    loss = sy.losses.cross_entropy(reduction="none")
    same(loss(jnp.asarray(LOGITS), jnp.asarray(SOFT)), optax.softmax_cross_entropy(LOGITS, SOFT))


def test_optax_smoothing() -> None:
    loss = sy.losses.cross_entropy(reduction="none", label_smoothing=0.1)
    smoothed = optax.smooth_labels(jnp.eye(4)[Y], 0.1)
    same(loss(jnp.asarray(LOGITS), jnp.asarray(Y)), optax.softmax_cross_entropy(LOGITS, smoothed))


def test_optax_sigmoid() -> None:
    loss = sy.losses.binary_cross_entropy(reduction="none")
    same(loss(jnp.asarray(LOGITS), jnp.asarray(BINARY)), optax.sigmoid_binary_cross_entropy(LOGITS, BINARY))


@pytest.mark.parametrize(("gamma", "alpha"), [(2.0, 0.25), (2.0, None), (0.5, 0.9), (5.0, 0.25)])
def test_optax_sigmoid_focal(gamma: float, alpha: float | None) -> None:
    loss = sy.losses.sigmoid_focal(gamma, alpha, reduction="none")
    theirs = optax.sigmoid_focal_loss(jnp.asarray(LOGITS), jnp.asarray(BINARY), alpha=alpha, gamma=gamma)
    same(loss(jnp.asarray(LOGITS), jnp.asarray(BINARY)), theirs)


def probabilities(z: np.ndarray) -> np.ndarray:
    e = np.exp(z - z.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


def test_sklearn_log_loss_with_class_and_sample_weights() -> None:
    theirs = log_loss(Y, probabilities(LOGITS), sample_weight=S * W[Y], labels=range(4))
    ours = sy.losses.weighted_cross_entropy(W)(LOGITS, Y, sample_weight=S)
    assert float(ours) == pytest.approx(theirs, rel=1e-12)


def test_sklearn_log_loss_of_adjusted_logits() -> None:
    counts = np.array([60, 24, 9, 3])
    theirs = log_loss(Y, probabilities(LOGITS + 0.7 * np.log(counts / counts.sum())), labels=range(4))
    assert float(sy.losses.logit_adjusted(counts, tau=0.7)(LOGITS, Y)) == pytest.approx(theirs, rel=1e-12)


def test_sklearn_log_loss_of_two_classes() -> None:
    z, t = LOGITS[:, 0], BINARY[:, 0]
    theirs = log_loss(t, 1.0 / (1.0 + np.exp(-z)), sample_weight=np.where(t == 1, 6.0, 1.0) * S)
    assert float(sy.losses.binary_cross_entropy(6.0)(z, t, sample_weight=S)) == pytest.approx(theirs, rel=1e-12)
