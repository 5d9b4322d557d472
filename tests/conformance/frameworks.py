"""One face for four frameworks: make a tensor, run a function of logits, differentiate it, bring it back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any

import numpy as np
import pytest

Function = Callable[[Any], Any]

DTYPES = ("float16", "bfloat16", "float32", "float64")
NAMES = ("numpy", "torch", "tensorflow", "jax")


def numpy_dtype(name: str) -> Any:
    if name == "bfloat16":
        import ml_dtypes

        return ml_dtypes.bfloat16
    return np.dtype(name)


def rounded(x: np.ndarray, dtype: str) -> np.ndarray:
    """The numbers that a tensor of `dtype` holds, as float64."""
    return np.asarray(x, dtype=np.float64).astype(numpy_dtype(dtype)).astype(np.float64)


class NumPy:
    name = "numpy"

    def context(self, dtype: str) -> Any:
        return nullcontext()

    def tensor(self, x: Any, dtype: str | None = None) -> Any:
        return np.asarray(x) if dtype is None else np.asarray(x).astype(numpy_dtype(dtype))

    def dtype(self, x: Any) -> str:
        return x.dtype.name

    def numbers(self, x: Any) -> np.ndarray:
        return np.asarray(x).astype(np.float64)

    def compiled(self, f: Callable[..., Any]) -> Callable[..., Any]:
        return f


class Torch:
    name = "torch"

    def context(self, dtype: str) -> Any:
        return nullcontext()

    def tensor(self, x: Any, dtype: str | None = None) -> Any:
        import torch

        return torch.tensor(np.asarray(x)) if dtype is None else torch.tensor(np.asarray(x)).to(getattr(torch, dtype))

    def dtype(self, x: Any) -> str:
        return str(x.dtype).removeprefix("torch.")

    def numbers(self, x: Any) -> np.ndarray:
        return x.detach().double().numpy()

    def gradient(self, f: Function, z: Any, eager: bool = False) -> tuple[Any, Any]:
        z = z.clone().requires_grad_(True)
        value = f(z)
        value.sum().backward()
        return value, z.grad

    def compiled(self, f: Callable[..., Any]) -> Callable[..., Any]:
        import torch

        return torch.compile(f)


class TensorFlow:
    name = "tensorflow"

    def context(self, dtype: str) -> Any:
        return nullcontext()

    def tensor(self, x: Any, dtype: str | None = None) -> Any:
        import tensorflow as tf

        return tf.constant(np.asarray(x) if dtype is None else np.asarray(x).astype(numpy_dtype(dtype)))

    def dtype(self, x: Any) -> str:
        return x.dtype.name

    def numbers(self, x: Any) -> np.ndarray:
        return np.asarray(x.numpy()).astype(np.float64)

    def gradient(self, f: Function, z: Any, eager: bool = False) -> tuple[Any, Any]:
        import tensorflow as tf

        with tf.GradientTape() as tape:
            tape.watch(z)
            value = f(z)
        return value, tape.gradient(value, z)

    def compiled(self, f: Callable[..., Any]) -> Callable[..., Any]:
        import tensorflow as tf

        return tf.function(f)


class Jax:
    name = "jax"

    def context(self, dtype: str) -> Any:
        import jax

        # 16 and 32 bits are tested as users have JAX: without 64-bit types
        return jax.enable_x64(dtype == "float64")

    def tensor(self, x: Any, dtype: str | None = None) -> Any:
        import jax.numpy as jnp

        return jnp.asarray(np.asarray(x) if dtype is None else np.asarray(x).astype(numpy_dtype(dtype)))

    def dtype(self, x: Any) -> str:
        return x.dtype.name

    def numbers(self, x: Any) -> np.ndarray:
        return np.asarray(x).astype(np.float64)

    def gradient(self, f: Function, z: Any, eager: bool = False) -> tuple[Any, Any]:
        import jax

        def total(v: Any) -> Any:
            value = f(v)
            return value.sum(), value

        derivative = jax.grad(total, has_aux=True)
        # eager JAX compiles every operation by itself, which is ten times slower than compiling them together
        gradient, value = derivative(z) if eager else jax.jit(derivative)(z)
        return value, gradient

    def compiled(self, f: Callable[..., Any]) -> Callable[..., Any]:
        import jax

        return jax.jit(f)


# JAX compiles a program for every case, seconds each: where several cases differ in shape alone, one of them is run by
# `make test` and the others by `make test-all`
def with_frameworks(values: Sequence[Any], quick: Callable[[Any], bool]) -> list[Any]:
    """(framework, value) for all of them; JAX's are marked slow unless `quick(value)`."""
    return [
        pytest.param(name, v, marks=pytest.mark.slow if name == "jax" and not quick(v) else ())
        for v in values
        for name in NAMES
    ]


FRAMEWORKS: dict[str, Any] = {f.name: f for f in (NumPy(), Torch(), TensorFlow(), Jax())}
