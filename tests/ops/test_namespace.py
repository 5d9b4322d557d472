"""The backend follows from the type of the tensor; nothing else chooses it, and nothing is loaded for it."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from steelyard import _ops
from steelyard.errors import InputError

FRAMEWORKS = ("torch", "tensorflow", "jax", "jaxlib", "keras", "sklearn", "scipy", "pandas", "ml_dtypes", "optax")


def name(*values: object) -> str:
    return _ops.namespace(*values).__name__.rpartition(".")[2]


def test_numpy_is_what_everything_else_is() -> None:
    assert name(np.zeros(2)) == name([1.0, 2.0]) == name(3.0) == name() == name(np.float32(1)) == name(None) == "numpy"


def test_torch() -> None:
    import torch

    assert name(torch.zeros(2)) == "torch"
    assert name(torch.nn.Parameter(torch.zeros(2))) == "torch"

    class Mine(torch.Tensor):
        pass

    assert name(torch.zeros(2).as_subclass(Mine)) == "torch"


def test_tensorflow() -> None:
    import tensorflow as tf

    assert name(tf.zeros(2)) == name(tf.Variable([1.0])) == "tensorflow"


def test_jax() -> None:
    import jax
    import jax.numpy as jnp

    assert name(jnp.zeros(2)) == "jax"
    seen = []
    jax.jit(lambda x: (seen.append(name(x)), x)[1])(jnp.zeros(2))
    jax.grad(lambda x: (seen.append(name(x)), x)[1])(1.0)
    jax.vmap(lambda x: (seen.append(name(x)), x)[1])(jnp.zeros(2))
    assert seen == ["jax"] * 3


def test_keras_variables_are_what_they_hold() -> None:
    import keras

    held = _ops.namespace(keras.Variable(np.zeros(2))).__name__
    assert held.endswith(keras.backend.backend())
    with pytest.raises(InputError, match="symbolic KerasTensor"):
        _ops.namespace(keras.Input((3,)))


def test_a_framework_goes_before_numpy_wherever_it_stands() -> None:
    import torch

    assert name(np.zeros(2), torch.zeros(2)) == name(torch.zeros(2), np.zeros(2)) == "torch"


def loaded_after(code: str) -> set[str]:
    """Which of the heavy packages a fresh interpreter has loaded after `code`."""
    report = f"{code}\nimport sys; print(*(m for m in {FRAMEWORKS!r} if m in sys.modules))"
    done = subprocess.run([sys.executable, "-c", report], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_importing_and_using_numpy_losses_loads_no_framework() -> None:
    code = """
import numpy as np, steelyard as sy
counts = sy.ClassCounts.from_labels(["a", "b", "a"])
w = sy.class_weight("balanced", counts)
for name in ("focal", "logit_adjusted", "binary_cross_entropy"):
    loss = sy.losses.get(name)(*([counts] if name == "logit_adjusted" else []))
    z, y = (np.zeros(3), np.array([0, 1, 0])) if loss.dense_targets else (np.zeros((3, 2)), np.array([0, 1, 0]))
    loss(z, y), loss.gradient(z, y), loss.curvature(z, y), loss.posterior(z), loss.to_dict()
    sy.losses.from_dict(loss.to_dict())
sy.losses.names()
"""
    assert loaded_after(code) == set()


def test_a_tensor_loads_its_own_backend_only() -> None:
    code = """
import torch, steelyard as sy
sy.losses.focal(2.0)(torch.zeros(3, 2), torch.tensor([0, 1, 0]))
"""
    assert loaded_after(code) & {"tensorflow", "jax", "keras"} == set()
