"""JAX: losses are pytrees whose leaves are their parameters, and are called directly.

    import steelyard.jax                                  # losses are known to JAX from here on
    loss = sy.losses.logit_adjusted(counts)
    jax.value_and_grad(loss)(logits, labels)

A loss may be an argument of a jitted function: its numbers are traced, so that another loss of the same structure
runs the same program. `Loss.expand` gives losses of one family the same structure. Gradients with respect to a
loss (its weights, offsets, γ) are taken like those of any pytree.

`steelyard.jax.Loss` holds a loss and computes it with the compiled kernel, where there is one.

Without this import JAX learns about losses as soon as one is made after ``import jax``.
"""

from __future__ import annotations

from typing import Any

import jax

from steelyard import kernels
from steelyard._ops import jax as _xp
from steelyard.errors import InputError, one_of
from steelyard.kernels import in_jax
from steelyard.losses import base as _base
from steelyard.losses import checks
from steelyard.losses.reduction import check_denominator
from steelyard.losses.sigmoid import SigmoidCrossEntropy as _Sigmoid  # noqa: F401  the classes to register
from steelyard.losses.softmax import SoftmaxCrossEntropy as _Softmax  # noqa: F401

__all__ = ["Loss"]


@jax.tree_util.register_pytree_node_class
class Loss:
    """A loss that XLA computes with the compiled kernel: value and gradient in one sweep over the logits.

    Works under ``jit``, ``grad``, ``vmap``, ``jvp`` and ``hessian``, and is a pytree as the loss itself is. The value
    and the gradient of the logits come from the kernel; every other derivative is that of the formula.

    Parameters
    ----------
    loss : SoftmaxCrossEntropy or SigmoidCrossEntropy
        What to compute.
    kernel : {"auto", "fused", "formula"}, default "auto"
        "fused" is the kernel, and an error where there is none for this loss or machine; "formula" is what calling the
        loss itself does; "auto" is the kernel where there is one. `uses` says which.
    class_axis : int, default 1
        Axis of the classes in the logits.

    Notes
    -----
    The kernel looks at targets and sample weights under ``jit``, too: a target that is no class is an error of the
    program, where the formula computes a number. On a GPU there is no kernel for JAX.

    Examples
    --------
    >>> import jax, jax.numpy as jnp, steelyard as sy
    >>> criterion = sy.jax.Loss(sy.losses.focal(gamma=2.0))
    >>> value, gradient = jax.jit(jax.value_and_grad(criterion))(jnp.zeros((2, 3)), jnp.array([0, 2]))
    >>> round(float(value), 4), gradient.shape
    (0.4883, (2, 3))
    """

    def __init__(self, loss: _base.Loss, kernel: str = "auto", class_axis: int = 1) -> None:
        one_of("kernel", kernel, kernels.KERNELS)
        self.loss, self.kernel, self.class_axis = loss, kernel, class_axis
        if kernel == "fused":
            self._require(self._why_not())

    def __call__(
        self,
        logits: Any,
        targets: Any,
        sample_weight: Any = None,
        class_weight: Any = None,
        denominator: Any = None,
        logit_offset: Any = None,
    ) -> Any:
        """Return the loss; see `steelyard.losses.Loss.__call__`."""
        check_denominator(denominator)
        if not self._takes(class_weight, logit_offset):
            return self.loss(
                logits, targets, sample_weight, class_weight, denominator, self.class_axis, logit_offset=logit_offset
            )
        named = isinstance(denominator, str)
        call = self._call(self.loss.reduction, denominator if named else None)
        operands = self._operands(logits, targets, sample_weight, class_weight, logit_offset)
        return self._run(call, operands._replace(denominator=None if named else denominator))

    def numerator_and_denominator(
        self,
        logits: Any,
        targets: Any,
        sample_weight: Any = None,
        class_weight: Any = None,
        logit_offset: Any = None,
    ) -> tuple[Any, Any]:
        """Return Σ s·ω·ℓ and Σ s·ω; see `steelyard.losses.Loss.numerator_and_denominator`."""
        if not self._takes(class_weight, logit_offset):
            numerator, denominator = self.loss.numerator_and_denominator(
                logits, targets, sample_weight, class_weight, self.class_axis, logit_offset
            )
            return numerator, denominator
        operands = self._operands(logits, targets, sample_weight, class_weight, logit_offset)
        both: tuple[Any, Any] = self._run(self._call("both", None), operands)
        return both

    def uses(self) -> str:
        """Return what computes this loss here, and why.

        Examples
        --------
        >>> import steelyard as sy
        >>> sy.jax.Loss(sy.losses.cross_entropy(), kernel="formula").uses()
        'formula (asked for)'
        """
        if self.kernel == "formula":
            return "formula (asked for)"
        why_not = self._why_not()
        return f"formula ({why_not})" if why_not else f"fused ({kernels.available()})"

    def posterior(self, logits: Any) -> Any:
        """Return class probabilities, corrected for what the loss did to the logits."""
        return self.loss.posterior(logits, class_axis=self.class_axis)

    def _why_not(self, class_weight: Any = None, logit_offset: Any = None) -> str | None:
        if jax.default_backend() != "cpu":
            return f"there is no kernel for JAX on {jax.default_backend()}"
        return in_jax.why_not_here() or in_jax.why_not_this(self.loss, class_weight, logit_offset)

    def _takes(self, class_weight: Any, logit_offset: Any) -> bool:
        """Return whether the kernel computes this call."""
        if self.kernel == "formula":
            return False
        why_not = self._why_not(class_weight, logit_offset)
        if self.kernel == "fused":
            self._require(why_not)
        return why_not is None

    @staticmethod
    def _require(why_not: str | None) -> None:
        if why_not is not None:
            raise InputError("what a compiled kernel computes", why_not, "kernel='auto' or 'formula' does without one.")

    def _call(self, result: str, denominator: str | None) -> in_jax.Call:
        instructions = str(kernels.available().instructions)
        static = tuple(self.loss.static().items())
        return in_jax.Call(
            type(self.loss), static, result, self.class_axis, denominator, instructions, in_jax.threads()
        )

    def _operands(
        self, logits: Any, targets: Any, sample_weight: Any, class_weight: Any, logit_offset: Any
    ) -> in_jax.Operands:
        values = self.loss._constants(_xp, _xp.asarray(logits))
        return in_jax.Operands(logits, values, targets, sample_weight, class_weight, None, logit_offset)

    def _run(self, call: in_jax.Call, o: in_jax.Operands) -> Any:
        """Return the result; in eager code, say in our words what is wrong with the input."""
        try:
            result = in_jax.evaluated(call, o)
            number = result[0] if call.result == "both" else result
            if _xp.concrete(number):
                checks.after(_xp, self.loss, number, o.logits, o.targets, o.sample_weight, self.class_axis)
        except InputError:
            raise
        except (ValueError, RuntimeError):  # what the kernel says of targets and weights
            if _xp.concrete(o.logits):
                checks.explain(_xp, self.loss, o.logits, o.targets, o.sample_weight, self.class_axis)
            raise
        return result

    def __repr__(self) -> str:
        return f"Loss({self.loss!r}, kernel={self.kernel!r}, class_axis={self.class_axis})"

    def tree_flatten(self) -> tuple[tuple[_base.Loss], tuple[str, int]]:
        """Return the loss as the only child, and the settings."""
        return (self.loss,), (self.kernel, self.class_axis)

    @classmethod
    def tree_unflatten(cls, settings: tuple[str, int], children: tuple[_base.Loss]) -> Loss:
        """Return the loss that `tree_flatten` took apart."""
        made = object.__new__(cls)
        made.loss, (made.kernel, made.class_axis) = children[0], settings
        return made


_base.register_pytrees()
