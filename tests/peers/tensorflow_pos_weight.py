"""TensorFlow: the values of `nn_xent_test.py` (not in the package), for weighted_cross_entropy_with_logits.

From tensorflow/python/ops/nn_xent_test.py: logits, targets and weights of its cases; expected values from its own plain
formula, −pos_weight · t · log σ(x) − (1 − t) · log(1 − σ(x)), written here in float64.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import tensorflow as tf

import steelyard as sy
from tests.peers.suite import Suite

X = np.array([-100.0, -2.0, -2.0, 0.0, 2.0, 2.0, 2.0, 100.0])
Y = np.array([0.0, 0.0, 1.0, 0.0, 0.0, 1.0, 0.5, 1.0])
X3 = np.array([[-100.0, -2.0, -2.0], [0.0, 2.0, 2.0]])
Y3 = np.array([[0.0, 0.0, 1.0], [0.0, 0.0, 1.0]])


def expected(x: np.ndarray, y: np.ndarray, weight: np.ndarray | float) -> np.ndarray:
    p = 1 / (1 + np.exp(-x))
    with np.errstate(divide="ignore", invalid="ignore"):
        one, zero = -np.log(p), -np.log(1 - p)
    return np.where(y > 0, y * weight * one, 0) + np.where(y < 1, (1 - y) * zero, 0)


def case(x: np.ndarray, y: np.ndarray, weight: np.ndarray | float, dtype: str) -> Callable[[], None]:
    def run() -> None:
        loss = sy.losses.binary_cross_entropy(pos_weight=weight, reduction="none")
        ours = loss(tf.constant(x, dtype), tf.constant(y, dtype))
        np.testing.assert_allclose(ours.numpy(), expected(x, y, weight), rtol=1e-5, atol=1e-6)
        theirs = tf.nn.weighted_cross_entropy_with_logits(tf.constant(y, dtype), tf.constant(x, dtype), weight)
        np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=1e-5, atol=1e-6)

    return run


WEIGHTS = {"2.0": 2.0, "1.0": 1.0, "[1.0, 2.0, 0.5]": np.array([1.0, 2.0, 0.5])}
CASES = {
    f"pos_weight {name}, {dtype}": case(*((X3, Y3) if np.ndim(w) else (X, Y)), w, dtype)
    for name, w in WEIGHTS.items()
    for dtype in ("float32", "float64")
}
SUITE = Suite("TensorFlow", "tensorflow/python/ops/nn_xent_test.py (values)", CASES)
