"""JAX: losses are pytrees whose leaves are their parameters, and are called directly.

    import steelyard.jax                                  # losses are known to JAX from here on
    loss = sy.losses.logit_adjusted(counts)
    jax.value_and_grad(loss)(logits, labels)

A loss may be an argument of a jitted function: its numbers are traced, so that another loss of the same structure
runs the same program. `Loss.expand` gives losses of one family the same structure. Gradients with respect to a
loss (its weights, offsets, γ) are taken like those of any pytree.

Without this import JAX learns about losses as soon as one is made after ``import jax``.
"""

from __future__ import annotations

from steelyard._ops import jax as _jax  # noqa: F401  loads JAX
from steelyard.losses import base as _base
from steelyard.losses.sigmoid import SigmoidCrossEntropy as _Sigmoid  # noqa: F401  the classes to register
from steelyard.losses.softmax import SoftmaxCrossEntropy as _Softmax  # noqa: F401

__all__: list[str] = []

_base.register_pytrees()
