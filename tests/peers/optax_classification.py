"""optax: `_classification_test.py`, with ours in the place of its cross-entropies."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
from optax.losses import _classification_test

import steelyard as sy
from tests.peers.suite import Suite, replaced, unittest_cases

SOFTMAX = sy.losses.SoftmaxCrossEntropy(reduction="none")


def softmax(logits: Any, labels: Any, axis: int = -1, where: Any = None) -> Any:
    z, t = (jnp.moveaxis(jnp.asarray(x), axis, -1) for x in (logits, labels))
    return _loss(z, t, where if where is None else _mask(where, z, axis))


def integers(logits: Any, labels: Any, axis: Any = -1, where: Any = None) -> Any:
    z, axes = jnp.asarray(logits), (axis,) if isinstance(axis, int) else tuple(axis)
    kept = None if where is None else _mask(where, z, axis)
    z = jnp.moveaxis(z, axes, tuple(range(-len(axes), 0)))
    return _loss(z.reshape(*z.shape[: z.ndim - len(axes)], -1), jnp.asarray(labels), kept)


def _mask(where: Any, z: Any, axis: int) -> Any:
    """Return which classes of which rows take part; a mask of rows holds for all classes."""
    kept = jnp.asarray(where)
    kept = jnp.expand_dims(kept, axis) if kept.ndim != z.ndim else kept
    return jnp.moveaxis(jnp.broadcast_to(kept, z.shape), axis, -1)


def _loss(z: Any, t: Any, kept: Any) -> Any:
    if z.ndim == 1:
        return _loss(z[None], t[None], None if kept is None else kept[None])[0]
    if kept is None:
        return SOFTMAX(z, t, class_axis=-1)
    # a class that takes no part has a logit of −∞, a row that takes none a weight of 0
    rows = kept.any(-1) if t.shape == z.shape else jnp.take_along_axis(kept, t[..., None], -1)[..., 0]
    z = jnp.where(kept | ~rows[..., None], z, -jnp.inf)
    t = jnp.where(kept, t, 0) if t.shape == z.shape else t
    return SOFTMAX(z, t, rows.astype(z.dtype), class_axis=-1)


def sigmoid(logits: Any, labels: Any) -> Any:
    return sy.losses.SigmoidCrossEntropy(reduction="none")(jnp.asarray(logits), jnp.asarray(labels))


def sigmoid_focal(logits: Any, labels: Any, *, alpha: Any = None, gamma: Any = 2.0) -> Any:
    z, t = jnp.broadcast_arrays(jnp.asarray(logits, jnp.result_type(float)), jnp.asarray(labels))
    a = None if alpha is None else jnp.asarray(alpha)  # traced, and 0 and 1 too: the weights of positives and negatives
    outcomes = None if a is None else jnp.stack([jnp.stack([1 - a, 1 - a]), jnp.stack([a, a])])
    loss = sy.losses.SigmoidCrossEntropy(outcome_weight=outcomes, gamma_pos=gamma, gamma_neg=gamma, reduction="none")
    return loss(z.ravel(), t.astype(z.dtype).ravel()).reshape(z.shape)


FUNCTIONS = {
    "softmax_cross_entropy": softmax,
    "safe_softmax_cross_entropy": softmax,
    "softmax_cross_entropy_with_integer_labels": integers,
    "sigmoid_binary_cross_entropy": sigmoid,
    "sigmoid_focal_loss": sigmoid_focal,
}
CLASSES = [
    "SoftmaxCrossEntropyTest",
    "SafeSoftmaxCrossEntropyTest",
    "SoftmaxCrossEntropyWithIntegerLabelsTest",
    "SigmoidCrossEntropyTest",
    "SigmoidFocalLossTest",
]
STEPS = "its finite differences step to targets below 0, which are an error here"
LEFT_OUT = {f"{name}.test_gradient": STEPS for name in CLASSES[:2]}
SUITE = Suite(
    "optax",
    "optax/losses/_classification_test.py",
    unittest_cases(_classification_test, CLASSES, replaced(_classification_test, "_classification", FUNCTIONS)),
    LEFT_OUT,
)
