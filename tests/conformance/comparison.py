"""Comparing a framework's loss and gradient with the reference: one call, one statement of tolerances.

Arithmetic is in float64 for float64 logits and in float32 for all others, so an adjusted logit a carries an error
of ε·|a|, which is a relative error of every probability made from it, and γ + 1 times that of a focal loss. The
bound is `EPSILONS` of those: the chain of a few roundings in exp, sum and log. Gradients are compared relative to
the largest one of their row (what an optimiser feels), where soft targets cancel to the sum of what cancelled, and
a gradient in 16 bits adds its own rounding.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.conformance.frameworks import FRAMEWORKS, rounded
from tests.losses.reference import Expected, expected

EPSILON = {"float64": 2.0**-52, "float32": 2.0**-23, "float16": 2.0**-23, "bfloat16": 2.0**-23}
HALF_ULP = {"float64": 0.0, "float32": 0.0, "float16": 2.0**-11, "bfloat16": 2.0**-8}
SMALLEST = {"float64": 0.0, "float32": 0.0, "float16": 2.0**-24, "bfloat16": 0.0}
EPSILONS = 4.0


def tolerance(want: Expected, gamma: float, dtype: str) -> float:
    return EPSILONS * EPSILON[dtype] * (2.0 + want.largest_logit) * (1.0 + gamma)


def focusing(point: dict[str, Any]) -> float:
    return max(float(point.get(k, 0.0)) for k in ("gamma", "gamma_pos", "gamma_neg"))


def reduced(
    want: Expected,
    reduction: str,
    sample_weight: np.ndarray | None = None,
    denominator: float | None = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Loss, gradient of its sum and scale of that gradient, under a reduction."""
    s = np.ones_like(want.loss) if sample_weight is None else np.asarray(sample_weight, dtype=np.float64).ravel()
    terms, gradient, scale = s * want.loss, s[:, None] * want.gradient, s[:, None] * want.scale
    if reduction == "none":
        return terms, gradient, scale
    if reduction == "sum":
        return terms.sum(), gradient, scale
    by = (s * want.weight).sum() if denominator is None else denominator
    return terms.sum() / by, gradient / by, scale / by


def assert_close(got: np.ndarray, want: np.ndarray, rtol: float, scale: Any = None, floor: float = 0.0) -> None:
    """|got − want| ≤ rtol · scale + floor, scale = |want| unless given."""
    assert np.shape(got) == np.shape(want)
    bound = rtol * (np.abs(want) if scale is None else scale) + floor
    error = np.abs(got - want)
    worst = np.unravel_index(np.argmax(error - bound), error.shape) if error.size else ()
    assert (error <= bound).all(), (
        f"at {worst}: got {got[worst]!r}, want {want[worst]!r}, allowed {np.broadcast_to(bound, error.shape)[worst]:g}"
    )


def check(
    framework: str,
    loss: Any,
    z: np.ndarray,
    y: np.ndarray,
    dtype: str,
    *,
    want: Expected | None = None,
    sample_weight: np.ndarray | None = None,
    compiled: bool | None = None,
) -> None:
    """Compare value and gradient of a loss at logits (n, c) with the reference at the logits as rounded.

    `compiled` None is eager where that is the cheaper way (torch, TensorFlow), else compiled (JAX).
    """
    xp = FRAMEWORKS[framework]
    point = loss.to_dict()
    want = expected(point, rounded(z, dtype), y) if want is None else want
    value, gradient, scale = reduced(want, loss.reduction, sample_weight)
    rtol = tolerance(want, focusing(point), dtype)
    with xp.context(dtype):
        logits, target = xp.tensor(z, dtype), xp.tensor(y)
        extra = {} if sample_weight is None else {"sample_weight": xp.tensor(sample_weight)}

        def f(v: Any) -> Any:
            return loss(v, target, **extra)

        if framework == "numpy":
            got_value, got_gradient = f(logits), loss.gradient(logits, target)
            gradient, scale = want.gradient, want.scale  # per example, before sample weights and reduction
        else:
            got_value, got_gradient = xp.gradient(xp.compiled(f) if compiled else f, logits, eager=compiled is False)
        assert xp.dtype(got_value) == ("float64" if dtype == "float64" else "float32")
        assert xp.dtype(got_gradient) == dtype
        value_numbers, gradient_numbers = xp.numbers(got_value), xp.numbers(got_gradient)
    by_entry = np.abs(value) * want.condition if loss.reduction == "none" else None
    assert_close(value_numbers.reshape(np.shape(value)), np.asarray(value), rtol, by_entry)
    assert_close(
        gradient_numbers.reshape(gradient.shape),
        gradient,
        1.0,
        rtol * scale.max(axis=1, keepdims=True) + HALF_ULP[dtype] * np.abs(gradient),
        SMALLEST[dtype],
    )
