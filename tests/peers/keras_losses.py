"""Keras: `losses_test.py`, with ours in the place of its cross-entropy classes.

Keras takes probabilities and clips them at 1e-7; ours get the logits of the clipped ones. Keras divides by
the number of rows, whatever the sample weights say: so does the adapter.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops
from keras.src.losses import losses_test

import steelyard as sy
from tests.peers.suite import Suite, replaced, unittest_cases


class Adapter:
    """One of ours behind the interface of Keras."""

    def __init__(self, loss: Any, reduction: Any, from_logits: bool, axis: int = -1) -> None:
        self.loss = sy.keras.Loss(loss.replace(reduction="none"), class_axis=axis)
        self.binary = loss.dense_targets
        self.reduction, self.from_logits = reduction, from_logits

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        z = ops.convert_to_tensor(y_pred, dtype="float32")
        if not self.from_logits:
            p = ops.clip(z, keras.config.epsilon(), 1 - keras.config.epsilon())
            z = ops.log(p) - ops.log1p(-p) if self.binary else ops.log(p)
        if sample_weight is not None and np.ndim(sample_weight) == 0:
            sample_weight = np.full(len(y_true), sample_weight)
        values = self.loss(self.targets(y_true), z, sample_weight)
        if self.binary:
            values = ops.mean(values, -1)
        return values if self.reduction is None else ops.mean(values)

    def targets(self, y_true: Any) -> Any:
        return y_true


class Smoothed(Adapter):
    smoothing: float = 0.0

    def targets(self, y_true: Any) -> Any:
        return np.asarray(y_true, "float32") * (1 - self.smoothing) + 0.5 * self.smoothing


MEAN = "sum_over_batch_size"


def categorical(from_logits=False, label_smoothing=0.0, axis=-1, reduction=MEAN, name=None, dtype=None):
    return Adapter(sy.losses.SoftmaxCrossEntropy(label_smoothing=label_smoothing), reduction, from_logits, axis)


def sparse(from_logits=False, ignore_class=None, axis=-1, reduction=MEAN, name=None, dtype=None):
    return Adapter(sy.losses.SoftmaxCrossEntropy(ignore_index=ignore_class), reduction, from_logits, axis)


def focal(
    alpha=0.25, gamma=2.0, from_logits=False, label_smoothing=0.0, axis=-1, reduction=MEAN, name=None, dtype=None
):
    loss = sy.losses.focal(gamma=gamma, label_smoothing=label_smoothing, class_weight=np.full(3, alpha))
    return Adapter(loss, reduction, from_logits, axis)


def binary(from_logits=False, label_smoothing=0.0, axis=-1, reduction=MEAN, name=None, dtype=None):
    made = Smoothed(sy.losses.SigmoidCrossEntropy(), reduction, from_logits, axis)
    made.smoothing = label_smoothing
    return made


def binary_focal(
    apply_class_balancing=False, alpha=0.25, gamma=2.0, from_logits=False, reduction=MEAN, name=None, dtype=None
):
    loss = sy.losses.sigmoid_focal(gamma=gamma, alpha=alpha if apply_class_balancing else None)
    return Adapter(loss, reduction, from_logits)


CLASSES = {
    "BinaryCrossentropy": binary,
    "CategoricalCrossentropy": categorical,
    "SparseCategoricalCrossentropy": sparse,
    "BinaryFocalCrossentropy": binary_focal,
    "CategoricalFocalCrossentropy": focal,
}

CONFIG = "the configuration of Keras' own class; that of sy.keras.Loss is tested in tests/fronts/test_keras.py"
DTYPE = "dtype='bfloat16' gives a bfloat16 loss in Keras; ours is float32 for 16-bit logits by contract"
WORDS = "asks for Keras' wording of the error; ours is tested in tests/losses/test_bad_input.py"
AXIS = "asks for an error where Keras' backend cannot put classes on another axis; ours can"
TORCH = "only for Keras' torch backend, by its own mark"
LEFT_OUT = {f"{name}Test.test_config": CONFIG for name in CLASSES}
LEFT_OUT |= {f"{name}Test.test_dtype_arg": DTYPE for name in CLASSES}
LEFT_OUT |= {f"{name}Test.test_shape_mismatch": WORDS for name in ("BinaryCrossentropy", "CategoricalCrossentropy")}
LEFT_OUT |= {
    f"SparseCategoricalCrossentropyTest.test_{name}": AXIS
    for name in ("binary_segmentation_different_axis", "multi_class_segmentation_different_axis")
}
LEFT_OUT["SparseCategoricalCrossentropyTest.test_squeezes_singleton_class_dim_on_user_axis"] = TORCH

SUITE = Suite(
    "Keras",
    "keras/src/losses/losses_test.py",
    unittest_cases(losses_test, [f"{name}Test" for name in CLASSES], replaced(losses_test, "losses", CLASSES)),
    LEFT_OUT,
)
