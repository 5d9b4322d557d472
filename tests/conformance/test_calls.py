"""What a call can be given beside logits and targets: sample weights, masks, class weights, denominators."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import steelyard as sy
from tests.conformance.comparison import assert_close, reduced
from tests.conformance.frameworks import FRAMEWORKS, NAMES, with_frameworks
from tests.conformance.points import WEIGHT_BY, binary_point, sigmoid_point, softmax_point
from tests.conformance.recipes import ARGUMENTS, logits, targets
from tests.losses.reference import Expected, expected

RTOL = 1e-12  # float64 throughout; the largest |a| here is about 10, γ at most 3
WEIGHTS = np.array([0.5, 2.0, 0.0, 1.0, 3.0, 0.25])
Y = np.arange(6) % 4


def compare(framework: str, loss: Any, z: np.ndarray, y: np.ndarray, want: tuple[Any, Any, Any], **given: Any) -> None:
    """Value and gradient of ``loss(z, y, **given)`` against (value, gradient, scale)."""
    xp = FRAMEWORKS[framework]
    value, gradient, scale = want
    with xp.context("float64"):
        target = xp.tensor(y)
        given = {k: xp.tensor(v) if isinstance(v, np.ndarray) else v for k, v in given.items()}
        if framework == "numpy":
            got, got_gradient = loss(z, target, **given), None
        else:
            got, got_gradient = xp.gradient(lambda v: loss(v, target, **given), xp.tensor(z))
            got_gradient = xp.numbers(got_gradient)
        got = xp.numbers(got)
    assert_close(got.reshape(np.shape(value)), np.asarray(value), RTOL)
    if got_gradient is not None:
        assert_close(got_gradient.reshape(gradient.shape), gradient, RTOL, scale.max(axis=1, keepdims=True))


def without(want: Expected, keep: np.ndarray) -> Expected:
    """The reference of a batch whose other rows do not count."""
    keep = keep.astype(np.float64)
    return Expected(
        want.loss * keep, want.weight * keep, want.gradient * keep[:, None], want.scale * keep[:, None], 0.0
    )


@pytest.mark.parametrize("framework", NAMES)
@pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
def test_sample_weights(framework: str, reduction: str) -> None:
    loss = softmax_point("pair", reduction=reduction)
    want = reduced(expected(loss.to_dict(), logits(), Y), reduction, WEIGHTS)
    compare(framework, loss, logits(), Y, want, sample_weight=WEIGHTS)


@pytest.mark.parametrize("framework", NAMES)
def test_a_mask_is_a_sample_weight_of_zeros_and_ones(framework: str) -> None:
    mask = np.array([1, 0, 1, 1, 0, 1])
    loss = softmax_point()
    want = reduced(without(expected(loss.to_dict(), logits(), Y), mask), "mean")
    compare(framework, loss, logits(), Y, want, sample_weight=mask)
    compare(framework, loss, logits(), Y, want, sample_weight=mask.astype(bool))


@pytest.mark.parametrize("framework", NAMES)
@pytest.mark.parametrize("shape", [(3,), (3, 1, 1), (3, 2, 5), (3, 2)])
def test_sample_weights_hold_for_every_position_of_their_row(framework: str, shape: tuple[int, ...]) -> None:
    # 3 images of 2 × 5 pixels: weights per image, per row of pixels or per pixel, never matched from the right
    loss = softmax_point()
    rng = np.random.default_rng(0)
    z, y, s = rng.normal(size=(3, 2, 5, 4)), rng.integers(0, 4, (3, 2, 5)), rng.random(shape)
    full = np.broadcast_to(s.reshape(shape + (1,) * (3 - len(shape))), (3, 2, 5))
    want = reduced(expected(loss.to_dict(), z.reshape(-1, 4), y.reshape(-1)), "mean", full)
    compare(framework, loss, z, y, want, sample_weight=s, class_axis=-1)


@pytest.mark.parametrize("framework", NAMES)
@pytest.mark.parametrize("shape", [(6,), (6, 1), (6, 4)])
def test_sample_weights_of_several_labels(framework: str, shape: tuple[int, ...]) -> None:
    loss = sigmoid_point()
    s = np.random.default_rng(0).random(shape)
    full = np.broadcast_to(s.reshape(6, -1), (6, 4))
    t = targets(loss, "soft")
    want = reduced(expected(loss.to_dict(), logits(), t), "mean", full)
    compare(framework, loss, logits(), t, want, sample_weight=s)


@pytest.mark.parametrize(("framework", "weight_by"), with_frameworks(WEIGHT_BY, lambda v: v == "pair"))
@pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
def test_ignored_rows_may_hold_nan_and_change_nothing(framework: str, reduction: str, weight_by: str) -> None:
    loss = softmax_point(weight_by, ignore_index=-100, reduction=reduction)
    y, z = Y.copy(), logits()
    want = reduced(without(expected(loss.to_dict(), z, y), np.array([1, 0, 1, 1, 0, 1])), reduction)
    y[[1, 4]] = -100
    z[1], z[4, 2] = np.nan, np.inf
    compare(framework, loss, z, y, want)
    simple = loss.replace(label_smoothing=0.0, cost_matrix=None, cost_coefficient=0.0, gamma=0.5)
    want = reduced(without(expected(simple.to_dict(), logits(), Y), np.array([1, 0, 1, 1, 0, 1])), reduction)
    compare(framework, simple, z, y, want)


def test_gradient_and_curvature_of_ignored_rows_are_zero() -> None:
    loss = softmax_point(ignore_index=-1)
    z = logits()
    z[2] = np.nan
    y = Y.copy()
    y[2] = -1
    assert (loss.gradient(z, y)[2] == 0).all()
    assert (loss.curvature(z, y)[2] == 0).all()
    assert np.isfinite(loss.gradient(z, y)).all()


@pytest.mark.parametrize(("framework", "index"), with_frameworks([-100, 255, 1], lambda v: v == 1))
def test_ignored_pixels(framework: str, index: int) -> None:
    loss = softmax_point(ignore_index=index)
    rng = np.random.default_rng(0)
    z, y = rng.normal(size=(2, 4, 3, 3)), rng.integers(0, 4, (2, 3, 3))
    keep = rng.random((2, 3, 3)) > 0.4
    keep &= y != index  # a class may be the one that is ignored
    want = without(expected(loss.to_dict(), np.moveaxis(z, 1, -1).reshape(-1, 4), y.reshape(-1)), keep.reshape(-1))
    value, _, _ = reduced(want, "mean")
    xp = FRAMEWORKS[framework]
    y[~keep] = index
    with xp.context("float64"):
        got = float(xp.numbers(loss(xp.tensor(z), xp.tensor(y))))
    assert got == pytest.approx(float(value), rel=RTOL)


@pytest.mark.parametrize("framework", NAMES)
def test_ignored_entries_of_the_sigmoid_family(framework: str) -> None:
    for loss, z, t in (
        (binary_point(ignore_index=-1), logits()[:, 0], np.array([1, 0, -1, 1, -1, 0])),
        (sigmoid_point(ignore_index=-1), logits(), np.where(np.eye(6, 4) > 0, -1, targets(sigmoid_point(), "integer"))),
    ):
        keep = (t != -1).reshape(-1)
        want = without(expected(loss.to_dict(), z, np.where(t == -1, 0, t)), keep)
        spoiled = np.where(t == -1, np.nan, z)
        compare(framework, loss, spoiled, t, reduced(want, "mean"))
        compare(framework, loss, spoiled, t.astype(np.float64), reduced(want, "mean"))


# --- class weights at the call ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("framework", "form"), with_frameworks(["integer", "one-hot", "soft"], lambda v: v == "integer")
)
@pytest.mark.parametrize("shape", [(4,), (6, 4)])
@pytest.mark.parametrize("weight_by", ["target", "prediction", "prediction_hard"])
def test_class_weights_of_the_call(framework: str, form: str, shape: tuple[int, ...], weight_by: str) -> None:
    loss = softmax_point(weight_by)
    w = np.random.default_rng(0).uniform(0.1, 3.0, shape)
    y = targets(loss, form)
    want = reduced(expected(loss.to_dict(), logits(), y, call_weight=w), "mean", WEIGHTS)
    compare(framework, loss, logits(), y, want, class_weight=w, sample_weight=WEIGHTS)


@pytest.mark.parametrize(("framework", "shape"), with_frameworks([(4,), (3, 4)], lambda v: v == (3, 4)))
@pytest.mark.parametrize("weight_by", ["target", "prediction", "prediction_hard"])
@pytest.mark.parametrize("dense", [False, True])
def test_class_weights_of_the_call_over_positions(
    framework: str, shape: tuple[int, ...], weight_by: str, dense: bool
) -> None:
    loss = softmax_point(weight_by)
    if not dense:
        loss = loss.replace(label_smoothing=0.0, cost_matrix=None, cost_coefficient=0.0)
    rng = np.random.default_rng(0)
    z, y, w = rng.normal(size=(3, 4, 5)), rng.integers(0, 4, (3, 5)), rng.uniform(0.1, 3.0, shape)
    per_row = np.repeat(np.broadcast_to(w, (3, 4)), 5, axis=0)
    value, _, _ = reduced(
        expected(loss.to_dict(), np.moveaxis(z, 1, -1).reshape(-1, 4), y.reshape(-1), call_weight=per_row), "mean"
    )
    xp = FRAMEWORKS[framework]
    with xp.context("float64"):
        got = float(xp.numbers(loss(xp.tensor(z), xp.tensor(y), class_weight=xp.tensor(w))))
    assert got == pytest.approx(float(value), rel=RTOL)


@pytest.mark.parametrize("framework", NAMES)
def test_class_weights_of_the_call_with_the_classes_last(framework: str) -> None:
    # (batch, T, C) logits and one set of weights per sequence: (batch, C)
    loss = sy.losses.SoftmaxCrossEntropy()
    rng = np.random.default_rng(0)
    z, y, w = rng.normal(size=(3, 5, 4)), rng.integers(0, 4, (3, 5)), rng.uniform(0.1, 3.0, (3, 4))
    want = reduced(expected(loss.to_dict(), z.reshape(-1, 4), y.reshape(-1), np.repeat(w, 5, axis=0)), "mean")
    compare(framework, loss, z, y, want, class_weight=w, class_axis=-1)


@pytest.mark.parametrize("framework", NAMES)
@pytest.mark.parametrize("shape", [(4,), (6, 4)])
def test_label_weights_of_the_call(framework: str, shape: tuple[int, ...]) -> None:
    loss = sigmoid_point()
    w = np.random.default_rng(0).uniform(0.1, 3.0, shape)
    t = targets(loss, "soft")
    want = reduced(expected(loss.to_dict(), logits(), t, call_weight=w), "mean")
    compare(framework, loss, logits(), t, want, class_weight=w)


def test_weights_of_the_call_stand_in_for_those_of_the_loss() -> None:
    w = np.array(ARGUMENTS["class_weight"][0])
    mine, plain = sy.losses.weighted_cross_entropy(w), sy.losses.cross_entropy()
    assert float(mine(logits(), Y)) == float(plain(logits(), Y, class_weight=w))


# --- denominators -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("framework", "ignore"), with_frameworks([None, 3], lambda v: v == 3))
@pytest.mark.parametrize("weighted", [False, True])
def test_denominators(framework: str, ignore: int | None, weighted: bool) -> None:
    loss = softmax_point(ignore_index=ignore)
    want = expected(loss.to_dict(), logits(), Y)
    keep = np.ones(6) if ignore is None else (ignore != Y).astype(float)
    want = without(want, keep)
    s = WEIGHTS if weighted else np.ones(6)
    given: dict[str, Any] = {"sample_weight": WEIGHTS} if weighted else {}
    for denominator, by in (
        (None, (s * want.weight).sum()),
        ("rows", keep.sum()),
        ("sample_weight", (s * keep).sum()),
        (12.5, 12.5),
        (np.array(7.0), 7.0),
    ):
        compare(framework, loss, logits(), Y, reduced(want, "mean", s, float(by)), denominator=denominator, **given)


@pytest.mark.parametrize("framework", NAMES)
def test_denominators_of_the_sigmoid_family_count_entries(framework: str) -> None:
    loss = sigmoid_point()
    t = targets(loss, "soft")
    want = expected(loss.to_dict(), logits(), t)
    s = np.repeat(WEIGHTS, 4)
    for denominator, by in (("rows", 24.0), ("sample_weight", s.sum())):
        compare(
            framework,
            loss,
            logits(),
            t,
            reduced(want, "mean", s, float(by)),
            denominator=denominator,
            sample_weight=WEIGHTS,
        )


@pytest.mark.parametrize("framework", NAMES)
@pytest.mark.parametrize("loss", [softmax_point("prediction"), sigmoid_point()], ids=["softmax", "sigmoid"])
def test_numerator_and_denominator(framework: str, loss: Any) -> None:
    t = targets(loss, "soft")
    want = expected(loss.to_dict(), logits(), t)
    s = np.repeat(WEIGHTS, 4) if loss.dense_targets else WEIGHTS
    xp = FRAMEWORKS[framework]
    with xp.context("float64"):
        n, d = loss.numerator_and_denominator(xp.tensor(logits()), xp.tensor(t), xp.tensor(WEIGHTS))
        assert float(xp.numbers(n)) == pytest.approx((s * want.loss).sum(), rel=RTOL)
        assert float(xp.numbers(d)) == pytest.approx((s * want.weight).sum(), rel=RTOL)
