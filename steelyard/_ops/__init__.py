"""The few array operations that a formula needs, one small module per framework.

A formula is written once, as a function of ``xp``: one of the modules beside this file. Each of them has the
same functions (``PRIMITIVES``), differentiable where the framework differentiates, with the class axis second:
``(batch, n_classes)`` or ``(batch, n_classes, positions)``. A module is imported only when a tensor of its
framework turns up, so nothing here loads a framework by itself.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import Any

from steelyard.errors import InputError

__all__ = ["PRIMITIVES", "if_imported", "namespace", "prepare"]

PRIMITIVES = (
    "argmax",  # index of the largest entry along the class axis
    "asarray",  # anything → tensor of this framework, of the dtype and on the device of `like`
    "cast",  # tensor → dtype
    "compute_dtype",  # dtype of the arithmetic for these logits: 16 bits → float32
    "concrete",  # whether values can be looked at here (False under a trace)
    "constants_outlive_call",  # whether a constant made here may be kept for the next call
    "checks_indices",  # whether an index out of range raises by itself
    "contract",  # Σ_y t[n, y, k] M[y, c] → (n, c, k)
    "device",  # where a tensor lives, for the cache of parameters
    "exp",
    "expand_dims",
    "expm1",
    "gap",  # logsumexp of the other entries along the class axis − x[n, index[n, k], k]
    "indices",  # anything → integer tensor
    "is_integer",
    "item",  # scalar tensor with a value → Python number
    "log",
    "log1p",
    "log_sigmoid",
    "logsumexp",  # over the class axis
    "lookup",  # table[index], along the first axis
    "moveaxis",
    "onehot",  # index → one-hot along the class axis
    "ones_like",
    "pick",  # x[n, index[n, k], k]
    "place",  # x with x[n, index[n, k], k] replaced
    "reshape",
    "shape",  # static sizes where they are known
    "sigmoid",
    "softmax",  # over the class axis
    "softplus",
    "solve",  # batched linear systems
    "stack",  # along the class axis
    "stop_gradient",
    "sum",  # over the class axis
    "to_numpy",
    "total",  # sum of everything, in the widest accumulator of the framework, and left in it
    "where",
)

_FRAMEWORKS = ("torch", "tensorflow", "jax", "jaxlib", "numpy")
_known: dict[type, ModuleType | None] = {}


def _module_for(kind: type) -> ModuleType | None:
    for base in kind.__mro__:
        root = base.__module__.partition(".")[0]
        if root in _FRAMEWORKS:
            # jaxlib defines the array type of JAX
            return import_module(f"{__name__}.{'jax' if root == 'jaxlib' else root}")
    return None


def namespace(*values: Any) -> ModuleType:
    """Return the operations of the first framework tensor among `values`, else NumPy's.

    Parameters
    ----------
    *values : tensor, array, list or number
        What a formula is about to compute with.

    Returns
    -------
    module
        ``steelyard._ops.torch``, ``.tensorflow``, ``.jax`` or ``.numpy``.

    Raises
    ------
    InputError
        The tensor is symbolic and has no values yet (a ``KerasTensor``).

    Examples
    --------
    >>> import numpy as np
    >>> namespace(np.zeros(3)).__name__
    'steelyard._ops.numpy'
    """
    found = None
    for value in values:
        kind = type(value)
        if kind not in _known:
            _known[kind] = _module_for(kind)
        module = _known[kind]
        if module is None and kind.__module__.startswith("keras"):
            module = _keras_tensor(value)
        if module is not None:
            if not module.__name__.endswith("numpy"):
                return module
            found = module
    return found or import_module(f"{__name__}.numpy")


def if_imported(framework: str) -> ModuleType | None:
    """Return the operations of a framework that the user has imported already, else None."""
    return import_module(f"{__name__}.{framework}") if framework in sys.modules else None


def prepare() -> None:
    """Load what a call would load on first use, where that is known by now: under torch.compile an import fails."""
    module = if_imported("torch")
    if module is not None:
        for kind in module.KINDS:
            _known[kind] = module


def _keras_tensor(value: Any) -> ModuleType:
    """Return the operations for what a Keras variable holds."""
    held = getattr(value, "value", None)
    if held is None or "keras" not in sys.modules:
        raise InputError(
            "a tensor with values",
            f"a symbolic {type(value).__name__}",
            "hand the loss to `model.compile`, or call it on the output of the model.",
        )
    return namespace(held)
