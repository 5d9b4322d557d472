"""Any number of axes, classes anywhere: the same numbers as flattened to (examples, classes)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.conformance.comparison import assert_close, focusing, reduced, tolerance
from tests.conformance.frameworks import FRAMEWORKS, NAMES, with_frameworks
from tests.conformance.points import WEIGHT_BY, binary_point, sigmoid_point, softmax_point
from tests.losses.reference import expected

N, C, H, W = 3, 4, 2, 5

# class axis, shape
LAYOUTS: dict[str, tuple[int, tuple[int, ...]]] = {
    "(N, C, H, W)": (1, (N, C, H, W)),
    "(N, H, W, C)": (-1, (N, H, W, C)),
    "(N, T, C)": (-1, (N, H, C)),
    "(N, C, T)": (1, (N, C, H)),
    "(C,)": (1, (C,)),
    "(N, H, C, W)": (2, (N, H, C, W)),
    "(C, N)": (0, (C, N)),
}


def flat(x: np.ndarray, axis: int) -> np.ndarray:
    return np.moveaxis(x, axis, -1).reshape(-1, C)


def check_layout(framework: str, loss: Any, layout: str, form: str, dtype: str = "float64") -> None:
    axis, shape = LAYOUTS[layout]
    axis_in = axis if len(shape) > 1 else 0
    rng = np.random.default_rng(3)
    z = rng.normal(0.0, 2.0, shape)
    examples = tuple(np.delete(shape, axis_in))
    if loss.dense_targets:
        t = (rng.random(shape) > 0.5).astype(np.int64) if form == "integer" else rng.random(shape)
        flat_targets = flat(t, axis_in)
    elif form == "integer":
        t = rng.integers(0, C, examples)
        flat_targets = np.reshape(t, -1)
    else:
        t = np.moveaxis(rng.dirichlet(np.ones(C), examples), -1, axis_in)
        flat_targets = flat(t, axis_in)
    want = expected(loss.to_dict(), flat(z, axis_in), flat_targets)
    xp = FRAMEWORKS[framework]
    rtol = tolerance(want, focusing(loss.to_dict()), dtype)
    with xp.context(dtype):
        target = xp.tensor(np.asarray(t))
        for reduction in ("none", "mean"):
            point = loss.replace(reduction=reduction)
            value, gradient, scale = reduced(want, reduction)
            if framework == "numpy":
                got, got_gradient = point(z, t, class_axis=axis), point.gradient(z, t, class_axis=axis)
                gradient, scale = want.gradient, want.scale
            else:
                got, got_gradient = xp.gradient(lambda v, f=point: f(v, target, class_axis=axis), xp.tensor(z, dtype))
            if reduction == "none":
                assert tuple(got.shape) == (shape if loss.dense_targets else examples)
            numbers = xp.numbers(got)
            if loss.dense_targets and reduction == "none":
                numbers = flat(numbers, axis_in)
            by_entry = np.abs(value) * want.condition if reduction == "none" else None
            assert_close(numbers.reshape(np.shape(value)), np.asarray(value), rtol, by_entry)
            got_flat = flat(xp.numbers(got_gradient), axis_in).reshape(gradient.shape)
            assert_close(got_flat, gradient, rtol, scale.max(axis=1, keepdims=True))


@pytest.mark.parametrize(
    ("framework", "layout"), with_frameworks(list(LAYOUTS), lambda v: v in ("(N, H, W, C)", "(C,)"))
)
@pytest.mark.parametrize("form", ["integer", "soft"])
def test_softmax_layouts(framework: str, layout: str, form: str) -> None:
    check_layout(framework, softmax_point("target"), layout, form)
    if form == "integer":
        check_layout(
            framework, softmax_point(label_smoothing=0.0, cost_coefficient=0.0, cost_matrix=None), layout, form
        )


@pytest.mark.parametrize(("framework", "weight_by"), with_frameworks(WEIGHT_BY, lambda v: v == "pair"))
def test_weights_by_prediction_and_pair_over_pixels(framework: str, weight_by: str) -> None:
    check_layout(
        framework,
        softmax_point(weight_by, label_smoothing=0.0, cost_coefficient=0.0, cost_matrix=None),
        "(N, C, H, W)",
        "integer",
    )
    check_layout(framework, softmax_point(weight_by), "(N, H, W, C)", "soft")


@pytest.mark.parametrize(
    ("framework", "layout"), with_frameworks([k for k in LAYOUTS if k != "(C,)"], lambda v: v == "(N, H, W, C)")
)
@pytest.mark.parametrize("form", ["integer", "soft"])
def test_sigmoid_layouts(framework: str, layout: str, form: str) -> None:
    check_layout(framework, sigmoid_point(), layout, form)


def test_a_row_alone_is_that_row_of_a_batch() -> None:
    loss = softmax_point("pair", reduction="none")
    z = np.random.default_rng(0).normal(size=(3, C))
    batch = loss(z, np.array([0, 1, 2]))
    for i in range(3):
        assert float(loss(z[i], i)) == pytest.approx(batch[i], rel=1e-14)


@pytest.mark.parametrize("framework", NAMES)
def test_binary_logits_have_one_value_per_row(framework: str) -> None:
    xp = FRAMEWORKS[framework]
    loss = binary_point(reduction="none")
    z, t = np.array([0.3, -2.0, 5.0]), np.array([1, 0, 1])
    with xp.context("float64"):
        got = xp.numbers(loss(xp.tensor(z), xp.tensor(t)))
    assert_close(got, expected(loss.to_dict(), z, t).loss, 1e-14)
