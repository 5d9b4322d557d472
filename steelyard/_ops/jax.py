"""JAX. Totals are taken in float64 where ``jax_enable_x64`` is on, else in float32."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from steelyard.errors import InputError

Array = Any

exp = jnp.exp
expand_dims = jnp.expand_dims
expm1 = jnp.expm1
log = jnp.log
log1p = jnp.log1p
log_sigmoid = jax.nn.log_sigmoid
moveaxis = jnp.moveaxis
ones_like = jnp.ones_like
sigmoid = jax.nn.sigmoid
stop_gradient = jax.lax.stop_gradient
where = jnp.where
checks_indices = False


def compute_dtype(x: Array) -> Any:
    if not jnp.issubdtype(x.dtype, jnp.floating):
        raise InputError("floating-point `logits`", f"dtype {x.dtype}")
    return x.dtype if x.dtype in (jnp.float32, jnp.float64) else jnp.dtype(jnp.float32)


def asarray(x: Any, like: Array | None = None, dtype: Any = None) -> Array:  # noqa: ARG001  placed by JAX
    return jnp.asarray(x, dtype=dtype)


def cast(x: Array, dtype: Any) -> Array:
    return x.astype(dtype)


def is_integer(x: Array) -> bool:
    return bool(jnp.issubdtype(x.dtype, jnp.integer) or x.dtype == jnp.bool_)


def indices(x: Any, like: Array | None = None) -> Array:  # noqa: ARG001
    return jnp.asarray(x).astype(jnp.int32)


def concrete(x: Array) -> bool:
    return not isinstance(x, jax.core.Tracer)


def constants_outlive_call(like: Array) -> bool:  # noqa: ARG001  a constant made under a trace belongs to it
    return False


def device(x: Array) -> Any:  # noqa: ARG001
    return None


def item(x: Array) -> float:
    return float(x)


def to_numpy(x: Any) -> Any:
    return np.asarray(x)


def shape(x: Array) -> tuple[Any, ...]:
    return tuple(x.shape)


def reshape(x: Array, shape: Sequence[int]) -> Array:
    return jnp.reshape(x, shape)


def stack(x: Sequence[Array]) -> Array:
    return jnp.stack(x, axis=1)


def sum(x: Array) -> Array:
    return jnp.sum(x, axis=1)


def total(x: Array) -> Array:
    wide = jnp.float64 if jax.config.jax_enable_x64 else x.dtype
    return jnp.sum(x, dtype=wide)


def argmax(x: Array) -> Array:
    return jnp.argmax(stop_gradient(x), axis=1)


def logsumexp(x: Array) -> Array:
    return jax.nn.logsumexp(x, axis=1)


def softmax(x: Array) -> Array:
    return jax.nn.softmax(x, axis=1)


def softplus(x: Array) -> Array:
    return jax.nn.softplus(x)


def _at(x: Array, index: Array) -> Array:
    """Mask of the picked entries; XLA fuses it, while a gather or a scatter would be a pass of its own."""
    classes = jnp.arange(x.shape[1]).reshape((1, -1) + (1,) * (index.ndim - 1))
    return expand_dims(index, 1) == classes


def pick(x: Array, index: Array) -> Array:
    return jnp.sum(jnp.where(_at(x, index), x, jnp.zeros((), x.dtype)), axis=1)


def place(x: Array, index: Array, value: Any) -> Array:
    value = expand_dims(value, 1) if jnp.ndim(value) else jnp.asarray(value, x.dtype)
    return jnp.where(_at(x, index), value, x)


def gap(x: Array, index: Array) -> Array:
    return logsumexp(place(x, index, float("-inf"))) - pick(x, index)


def lookup(table: Array, index: Array) -> Array:
    return jnp.take(table, index, axis=0)


def onehot(index: Array, n: int, dtype: Any) -> Array:
    return jax.nn.one_hot(index, n, axis=1, dtype=dtype)


def contract(t: Array, matrix: Array) -> Array:
    # the default of XLA on some devices is a reduced precision
    return jnp.einsum("ny,yc->nc" if t.ndim == 2 else "nyk,yc->nck", t, matrix, precision=jax.lax.Precision.HIGHEST)


def solve(a: Array, b: Array) -> Array:
    return jnp.linalg.solve(a, b[..., None])[..., 0]


def register_pytree(kind: type, flatten: Any, unflatten: Any) -> None:
    """Let JAX look inside objects of class `kind`."""
    jax.tree_util.register_pytree_node(kind, flatten, unflatten)
