"""NumPy: the reference. Sums are pairwise; totals are taken in float64."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from steelyard.errors import InputError

Array = Any

exp = np.exp
expand_dims = np.expand_dims
expm1 = np.expm1
log = np.log
log1p = np.log1p
moveaxis = np.moveaxis
ones_like = np.ones_like
where = np.where
checks_indices = False


def compute_dtype(x: Array) -> np.dtype[Any]:
    if x.dtype == np.float64 or x.dtype.kind in "iub":
        return np.dtype(np.float64)
    if x.dtype.kind == "f" or x.dtype.name == "bfloat16":
        return np.dtype(np.float32 if x.dtype.itemsize <= 4 else np.float64)
    raise InputError("real `logits`", f"dtype {x.dtype}")


def asarray(x: Any, like: Array | None = None, dtype: Any = None) -> Array:  # noqa: ARG001  one host, one device
    if hasattr(x, "detach"):
        x = x.detach().cpu()
    return np.asarray(x, dtype=dtype)


def cast(x: Array, dtype: Any) -> Array:
    return x if x.dtype == dtype else x.astype(dtype)


def is_integer(x: Array) -> bool:
    return bool(x.dtype.kind in "iub")


def indices(x: Any, like: Array | None = None) -> Array:
    return asarray(x, like).astype(np.intp, copy=False)


def concrete(x: Array) -> bool:  # noqa: ARG001  NumPy arrays always have values
    return True


def constants_outlive_call(like: Array) -> bool:  # noqa: ARG001
    return True


def device(x: Array) -> str:  # noqa: ARG001
    return "cpu"


def item(x: Array) -> float:
    return float(x)


def to_numpy(x: Any) -> Array:
    return np.asarray(x)


def shape(x: Array) -> tuple[Any, ...]:
    return tuple(x.shape)


def reshape(x: Array, shape: Sequence[int]) -> Array:
    return np.reshape(x, shape)


def stack(x: Sequence[Array]) -> Array:
    return np.stack(x, axis=1)


def sum(x: Array) -> Array:
    return np.sum(x, axis=1)


def total(x: Array) -> Array:
    return np.sum(x, dtype=np.float64)


def argmax(x: Array) -> Array:
    return np.argmax(x, axis=1)


def logsumexp(x: Array) -> Array:
    largest = np.max(x, axis=1, keepdims=True)
    shifted = x - np.where(np.isfinite(largest), largest, x.dtype.type(0))
    with np.errstate(divide="ignore"):  # log 0 = −inf is the right answer when every entry is −inf
        return np.squeeze(largest, 1) + np.log(np.sum(np.exp(shifted), axis=1))


def softmax(x: Array) -> Array:
    e = np.exp(x - np.max(x, axis=1, keepdims=True))
    return e / np.sum(e, axis=1, keepdims=True)


def softplus(x: Array) -> Array:
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


def log_sigmoid(x: Array) -> Array:
    return -softplus(-x)


def sigmoid(x: Array) -> Array:
    e = np.exp(-np.abs(x))
    return np.where(x >= 0, 1, e) / (1 + e)


def pick(x: Array, index: Array) -> Array:
    return np.squeeze(np.take_along_axis(x, np.expand_dims(index, 1), axis=1), 1)


def place(x: Array, index: Array, value: Any) -> Array:
    out = np.array(x)
    value = np.expand_dims(value, 1) if np.ndim(value) else np.asarray(value, dtype=x.dtype)
    np.put_along_axis(out, np.expand_dims(index, 1), value, axis=1)
    return out


def gap(x: Array, index: Array) -> Array:
    if x.shape[1] == 2:
        return pick(x, 1 - index) - pick(x, index)
    return logsumexp(place(x, index, float("-inf"))) - pick(x, index)


def lookup(table: Array, index: Array) -> Array:
    return table[index]


def onehot(index: Array, n: int, dtype: Any) -> Array:
    classes = np.arange(n).reshape((1, n) + (1,) * (index.ndim - 1))
    return (np.expand_dims(index, 1) == classes).astype(dtype)


def contract(t: Array, matrix: Array) -> Array:
    return t @ matrix if t.ndim == 2 else np.einsum("nyk,yc->nck", t, matrix)


def solve(a: Array, b: Array) -> Array:
    return np.linalg.solve(a, b[..., None])[..., 0]


def stop_gradient(x: Array) -> Array:
    return x
