"""The fused cross-entropies in JAX: XLA calls the compiled kernel, and JAX differentiates, batches and compiles it.

The value comes from the kernel, and so does the gradient of the logits, in the same call. Every other derivative
(second ones, forward mode of second ones, those of weights and other parameters) is that of the formula, which the
kernel is tested against. `jax.vmap` hands the whole batch to one call; parameters may differ from call to call in it.
"""

from __future__ import annotations

import os
from functools import lru_cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from steelyard import kernels
from steelyard._ops import jax as _xp
from steelyard.errors import InputError
from steelyard.kernels.coverage import PER_CLASS, unknown_kind, unknown_parameter
from steelyard.losses import checks
from steelyard.losses.base import Loss
from steelyard.losses.layout import Layout, arrange, broadcast_weight, plain_shape
from steelyard.losses.reduction import mean
from steelyard.losses.sigmoid import SigmoidCrossEntropy
from steelyard.losses.softmax import SoftmaxCrossEntropy

__all__ = ["Call", "Operands", "evaluated", "threads", "why_not_here", "why_not_this"]

Array = Any

TARGET = "steelyard_cross_entropy"
# what may be absent, in the order of `Bit` in xla.cpp; the fields of the parameters that are called otherwise here
_BITS = (
    "sample_weight", "class_weight", "logit_scale", "logit_offset", "margin", "label_smoothing", "gamma",
    "poly_coefficient", "denominator", "pos_weight", "gamma_pos", "gamma_neg", "outcome_weight",
)  # fmt: skip
_PER_CLASS = (*PER_CLASS, "pos_weight")
_ROWS, _GRADIENT = 1, 2
_DIVIDE = {"nothing": 0, "weight": 1, "rows": 2, "sample_weight": 3, "number": 4}


class Call(NamedTuple):
    """What of a call is no number: it shapes the program."""

    kind: type[Loss]
    static: tuple[tuple[str, Any], ...]
    result: str  # a reduction, or "both": numerator and denominator
    class_axis: int
    denominator: str | None
    instructions: str
    threads: int

    def loss(self) -> Loss:
        """Return the loss without its numbers."""
        return self.kind._made({}, dict(self.static))


class Operands(NamedTuple):
    """The numbers of a call."""

    logits: Array
    values: Any  # parameters in the dtype of the arithmetic
    targets: Array
    sample_weight: Array | None
    class_weight: Array | None
    denominator: Array | None
    logit_offset: Array | None


@lru_cache(maxsize=1)
def why_not_here() -> str | None:
    """Return why XLA cannot call the kernel here, or None where it can; registers it the first time."""
    found = kernels.available()
    if not found.compiled:
        return found.reason
    if not hasattr(jax, "ffi"):
        return f"jax {jax.__version__} has no jax.ffi: 0.5 or later has"
    jax.ffi.register_ffi_target(TARGET, kernels.native().xla_handler(), platform="cpu")
    return None


def why_not_this(loss: Loss, class_weight: Any, logit_offset: Any) -> str | None:
    """Return what of a loss or a call the kernel does not know, or None."""
    unknown = unknown_kind(loss, SoftmaxCrossEntropy, SigmoidCrossEntropy) or unknown_parameter(loss, loss.parameters)
    if unknown is not None:
        return f"there is no kernel for {unknown}"
    for name, given in (("class_weight", class_weight), ("logit_offset", logit_offset)):
        if given is not None and np.ndim(given) > 1:
            return f"there is no kernel for a `{name}` of each row"
    return None


def evaluated(call: Call, operands: Operands) -> Any:
    """Return the loss of a call: one compiled program per shape, also in eager code."""
    return _jitted(call, operands)


# --- derivatives ------------------------------------------------------------------------------------------------


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def _value(call: Call, operands: Operands) -> Any:
    return _fused(call, operands, gradient=False)[0]


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def _value_and_gradient(call: Call, operands: Operands) -> Any:
    return _fused(call, operands, gradient=True)


@partial(_value.defjvp, symbolic_zeros=True)
def _value_jvp(call: Call, primals: tuple[Operands], tangents: tuple[Operands]) -> Any:
    (at,), (toward,) = primals, tangents
    if not _of_logits_alone(toward):
        return jax.jvp(partial(_by_formula, call), (at,), (_filled(at, toward),))
    value, gradient = _value_and_gradient(call, at)
    # summed in the dtype of the loss; backwards this multiplies the gradient by the cotangent, which is 1 as a rule,
    # so that XLA leaves the multiplication out
    first = value[0] if call.result == "both" else value
    product = gradient.astype(first.dtype) * toward.logits.astype(first.dtype)
    if call.result == "none" and not call.kind.dense_targets:
        axis = call.class_axis if product.ndim > 1 else 0
        return value, product.sum(axis)
    if call.result == "none":
        return value, product
    along = product.sum()
    return value, (along, jnp.zeros_like(value[1])) if call.result == "both" else along


@_value_and_gradient.defjvp
def _value_and_gradient_jvp(call: Call, primals: tuple[Operands], tangents: tuple[Operands]) -> Any:
    return jax.jvp(partial(_value_and_gradient_by_formula, call), primals, tangents)


def _of_logits_alone(tangents: Operands) -> bool:
    others = jax.tree.leaves(tangents._replace(logits=None), is_leaf=_is_zero)
    return not _is_zero(tangents.logits) and all(map(_is_zero, others))


def _is_zero(tangent: Any) -> bool:
    return isinstance(tangent, jax.custom_derivatives.SymbolicZero)


def _filled(primals: Operands, tangents: Operands) -> Any:
    """Return the tangents with zeros written out."""

    def fill(primal: Any, tangent: Any) -> Any:
        if not _is_zero(tangent):
            return tangent
        dtype = jnp.result_type(primal)
        return np.zeros(np.shape(primal), dtype if jnp.issubdtype(dtype, jnp.inexact) else jax.dtypes.float0)

    return jax.tree.map(fill, primals, tangents)


def _by_formula(call: Call, operands: Operands) -> Any:
    loss, o = call.loss(), operands
    result = loss.sums if call.result == "both" else loss.evaluate
    denominator = call.denominator if o.denominator is None else o.denominator
    return result(
        _xp, o.values, o.logits, o.targets, o.sample_weight, o.class_weight, denominator, call.class_axis,
        o.logit_offset,
    )  # fmt: skip


def _value_and_gradient_by_formula(call: Call, operands: Operands) -> Any:
    def total(logits: Array) -> tuple[Array, Any]:
        value = _by_formula(call, operands._replace(logits=logits))
        return (value[0] if call.result == "both" else value.sum()), value

    gradient, value = jax.grad(total, has_aux=True)(operands.logits)
    return value, gradient


# --- the call of the kernel -------------------------------------------------------------------------------------


def _fused(call: Call, operands: Operands, gradient: bool) -> tuple[Any, Array | None]:
    """Return the value and, where asked for, the gradient of the logits, shaped as they are."""
    loss, o = call.loss(), operands
    at = arrange(_xp, o.logits, o.targets, call.class_axis, None, loss.dense_targets)
    number = at.logits.dtype
    checks.number_of_classes(loss, at.n_classes, o.values)
    # `arrange` casts; the kernel does that itself, and a compiled program leaves out what nobody uses
    logits = jnp.reshape(o.logits, at.logits.shape)
    target = at.target
    if at.dense:
        given = jnp.asarray(o.targets).dtype
        if logits.dtype != number and given not in (logits.dtype, jnp.bool_):
            logits = logits.astype(number)  # 16 bits might not hold these targets
        target = jnp.reshape(jnp.asarray(o.targets), at.target.shape).astype(logits.dtype)
    rows = logits.shape if loss.dense_targets else logits.shape[:1] + logits.shape[2:]
    numbers = {name: getattr(o.values, name, None) for name in _BITS} | _given_at_call(loss, at, o)
    for name in _PER_CLASS:
        if numbers[name] is not None:
            numbers[name] = jnp.broadcast_to(numbers[name], (logits.shape[1],))
    if o.sample_weight is not None:
        s = broadcast_weight(_xp, jnp.asarray(o.sample_weight, number), at.shape, at.shape)
        numbers["sample_weight"] = jnp.reshape(jnp.broadcast_to(s, at.shape), rows)
    present = [name for name in _BITS if numbers[name] is not None]
    ignore = None if at.dense and not loss.dense_targets else loss.ignore_index

    wanted = (_ROWS if call.result == "none" else 0) | (_GRADIENT if gradient else 0)
    shapes = [jax.ShapeDtypeStruct((4,), number)]
    if wanted & _ROWS:
        shapes.append(jax.ShapeDtypeStruct(rows, number))
    if wanted & _GRADIENT:
        shapes.append(jax.ShapeDtypeStruct(logits.shape, logits.dtype))
    run = jax.ffi.ffi_call(TARGET, tuple(shapes), vmap_method="expand_dims")
    out = run(
        logits,
        target,
        *(jnp.asarray(numbers[name], number) for name in present),
        present=np.int64(sum(1 << _BITS.index(name) for name in present)),
        wanted=np.int64(wanted),
        core=np.int64(logits.ndim),
        sigmoid=np.int64(loss.dense_targets),
        divide=np.int64(_DIVIDE[_divided_by(call, o)]),
        has_ignore=np.int64(ignore is not None),
        ignore_index=np.int64(0 if ignore is None else ignore),
        threads=np.int64(call.threads),
        instructions=call.instructions,
    )
    slope = jnp.reshape(out[-1], o.logits.shape).astype(o.logits.dtype) if gradient else None
    return _reduced(call, o, at.shape, out), slope


def _given_at_call(loss: Loss, at: Layout, o: Operands) -> dict[str, Any]:
    """Return what stands in the call, over what the loss has itself."""
    number, out = at.logits.dtype, dict[str, Any]()
    if o.denominator is not None:
        out["denominator"] = jnp.asarray(o.denominator, number)
        if out["denominator"].ndim:
            raise InputError("`denominator` as a number", f"shape {out['denominator'].shape}")
    if o.class_weight is not None:
        out["class_weight"] = jnp.asarray(o.class_weight, number)
        checks.call_weight(_xp, loss, out["class_weight"], plain_shape(at.logits))
    if o.logit_offset is not None:
        out["logit_offset"] = loss._offset_of_call(_xp, o.values, at, o.logit_offset)
    return out


def _divided_by(call: Call, o: Operands) -> str:
    if call.result != "mean":
        return "nothing"
    if o.denominator is not None:
        return "number"
    return call.denominator or "weight"


def _reduced(call: Call, o: Operands, shape: tuple[Any, ...], out: Any) -> Any:
    sums = out[0]
    if call.result == "none":
        return jnp.reshape(out[1], shape)
    if call.result == "sum":
        return sums[0]
    if call.result == "both":
        return sums[0], sums[1]
    by = _divided_by(call, o)
    if by == "number":
        return mean(_xp, sums[0], jnp.asarray(o.denominator, sums.dtype))
    return mean(_xp, sums[0], sums[{"weight": 1, "sample_weight": 2, "rows": 3}[by]])


_jitted = jax.jit(_value, static_argnums=0)


def threads() -> int:
    """Return how many threads the kernel may take: as many as the process has cores, as XLA does."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
