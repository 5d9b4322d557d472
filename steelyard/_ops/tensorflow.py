"""TensorFlow, eager, inside ``tf.function`` and under XLA. Totals are taken in float64."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from steelyard.errors import InputError

Tensor = Any

exp = tf.exp
expm1 = tf.math.expm1
log = tf.math.log
log1p = tf.math.log1p
log_sigmoid = tf.math.log_sigmoid
ones_like = tf.ones_like
sigmoid = tf.sigmoid
stop_gradient = tf.stop_gradient
checks_indices = False


def compute_dtype(x: Tensor) -> Any:
    if not x.dtype.is_floating:
        raise InputError("floating-point `logits`", f"dtype {x.dtype.name}")
    return x.dtype if x.dtype in (tf.float32, tf.float64) else tf.float32


def asarray(x: Any, like: Tensor | None = None, dtype: Any = None) -> Tensor:  # noqa: ARG001  placed by TensorFlow
    x = tf.convert_to_tensor(x)
    return x if dtype is None else tf.cast(x, dtype)


def cast(x: Tensor, dtype: Any) -> Tensor:
    return tf.cast(x, dtype)


def is_integer(x: Tensor) -> bool:
    return bool(x.dtype.is_integer or x.dtype.is_bool)


def indices(x: Any, like: Tensor | None = None) -> Tensor:  # noqa: ARG001
    return tf.cast(tf.convert_to_tensor(x), tf.int32)


def concrete(x: Tensor) -> bool:  # noqa: ARG001
    return bool(tf.executing_eagerly())


def constants_outlive_call(like: Tensor) -> bool:
    return concrete(like)


def device(x: Tensor) -> Any:  # noqa: ARG001
    return None


def item(x: Tensor) -> float:
    return float(x.numpy())


def to_numpy(x: Any) -> Any:
    return x.numpy()


def where(condition: Tensor, x: Any, y: Any) -> Tensor:
    dtype = x.dtype if tf.is_tensor(x) else y.dtype
    return tf.where(condition, tf.cast(x, dtype), tf.cast(y, dtype))


def expand_dims(x: Tensor, axis: int) -> Tensor:
    return tf.expand_dims(x, axis)


def moveaxis(x: Tensor, source: int, destination: int) -> Tensor:
    axes = [i for i in range(x.shape.rank) if i != source % x.shape.rank]
    axes.insert(destination % x.shape.rank, source % x.shape.rank)
    return tf.transpose(x, axes)


def shape(x: Tensor) -> tuple[Any, ...]:
    """Return the static size of each axis, and a scalar tensor where only the run knows it."""
    if x.shape.is_fully_defined():
        return tuple(x.shape)
    known, dynamic = x.shape.as_list(), tf.shape(x)
    return tuple(dynamic[i] if n is None else n for i, n in enumerate(known))


def reshape(x: Tensor, shape: Sequence[Any]) -> Tensor:
    return tf.reshape(x, shape)


def stack(x: Sequence[Tensor]) -> Tensor:
    return tf.stack(x, axis=1)


def sum(x: Tensor) -> Tensor:
    return tf.reduce_sum(x, axis=1)


def total(x: Tensor) -> Tensor:
    return tf.reduce_sum(tf.cast(x, tf.float64))


def argmax(x: Tensor) -> Tensor:
    return tf.argmax(tf.stop_gradient(x), axis=1, output_type=tf.int32)


def logsumexp(x: Tensor) -> Tensor:
    return tf.reduce_logsumexp(x, axis=1)


def softmax(x: Tensor) -> Tensor:
    return tf.nn.softmax(x, axis=1)


def softplus(x: Tensor) -> Tensor:
    return tf.nn.softplus(x)


def _at(x: Tensor, index: Tensor) -> Tensor:
    classes = tf.reshape(tf.range(tf.shape(x)[1]), [1, -1] + [1] * (index.shape.rank - 1))
    return tf.equal(tf.expand_dims(index, 1), classes)


def pick(x: Tensor, index: Tensor) -> Tensor:
    # a masked sum: XLA fuses it, and its gradient is dense, where a gather's is a slow IndexedSlices
    return tf.reduce_sum(tf.where(_at(x, index), x, tf.zeros([], x.dtype)), axis=1)


def place(x: Tensor, index: Tensor, value: Any) -> Tensor:
    value = tf.expand_dims(value, 1) if tf.is_tensor(value) else tf.constant(value, x.dtype)
    return tf.where(_at(x, index), value, x)


def gap(x: Tensor, index: Tensor) -> Tensor:
    return logsumexp(place(x, index, float("-inf"))) - pick(x, index)


def lookup(table: Tensor, index: Tensor) -> Tensor:
    return tf.gather(table, index, axis=0)


def onehot(index: Tensor, n: Any, dtype: Any) -> Tensor:
    return tf.one_hot(index, n, axis=1, dtype=dtype)


def contract(t: Tensor, matrix: Tensor) -> Tensor:
    return t @ matrix if t.shape.rank == 2 else tf.einsum("nyk,yc->nck", t, matrix)


def solve(a: Tensor, b: Tensor) -> Tensor:
    return tf.squeeze(tf.linalg.solve(a, b[..., tf.newaxis]), -1)
