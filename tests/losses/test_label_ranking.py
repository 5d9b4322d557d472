"""ZLPR and the two-way loss: published values, arithmetic by hand, what rows and labels do to each other."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import steelyard as sy
from steelyard.errors import InputError
from tests.conformance.frameworks import FRAMEWORKS, NAMES
from tests.losses.reference import two_way_sum
from tests.losses.test_multi_label import T, Z

ZLPR, TWO_WAY = sy.losses.zlpr(), sy.losses.two_way()
BOTH = [ZLPR, TWO_WAY]


def test_values_of_timm() -> None:
    # timm 1.0.31, float32: ZlprLoss(), TwoWayLoss() and TwoWayLoss(1.0, 2.0)
    assert float(ZLPR(Z, T)) == pytest.approx(2.8592305183410645, rel=1e-6)
    assert float(TWO_WAY(Z, T)) == pytest.approx(7.013531684875488, rel=1e-6)
    assert float(sy.losses.two_way(1.0, 2.0)(Z, T)) == pytest.approx(5.819578170776367, rel=1e-6)


def test_zlpr_by_hand() -> None:
    z, t = np.array([[0.5, -1.0, 2.0]]), np.array([[1, 0, 0]])
    want = math.log(1 + math.exp(-1) + math.exp(2)) + math.log(1 + math.exp(-0.5))
    assert float(ZLPR(z, t)) == pytest.approx(want, rel=1e-14)
    # nothing there; nothing absent
    assert float(ZLPR(z, 0 * t)) == pytest.approx(math.log(1 + sum(math.exp(v) for v in z[0])), rel=1e-14)
    assert float(ZLPR(z, 0 * t + 1)) == pytest.approx(math.log(1 + sum(math.exp(-v) for v in z[0])), rel=1e-14)


def test_zlpr_of_one_label_is_binary_cross_entropy() -> None:
    z, t = np.linspace(-30, 30, 7)[:, None], np.array([[0], [1], [0], [1], [0], [1], [0]])
    rows = ZLPR.replace(reduction="none")(z, t)
    np.testing.assert_allclose(rows, sy.losses.binary_cross_entropy().value(z, t)[:, 0], rtol=1e-13)


def test_soft_labels_of_zlpr_are_learnt_as_half_their_log_odds() -> None:
    # σ(2z) = t: where both sums are equal the gradient vanishes
    t = np.array([[0.1, 0.5, 0.8]])
    z = 0.5 * np.log(t / (1 - t))
    np.testing.assert_allclose(ZLPR.gradient(z, t), 0.0, atol=1e-15)


@pytest.mark.parametrize("framework", NAMES)
@pytest.mark.parametrize("loss", BOTH, ids=["zlpr", "two_way"])
def test_ignored_entries_take_no_part(framework: str, loss: Any) -> None:
    # against a batch without the label that is ignored everywhere, and one without the row
    xp = FRAMEWORKS[framework]
    z, t = Z.copy(), T.copy()
    z[:, 2], t[:, 2], z[3], t[3] = np.nan, -1, np.inf, -1
    keep = np.ix_([0, 1, 2, 4], [0, 1, 3])
    masked = loss.replace(ignore_index=-1)
    narrow = loss.replace(reduction="sum")
    with xp.context("float64"):
        target = xp.tensor(t)
        if framework == "numpy":
            value, gradient = masked(z, t), masked.gradient(z, t) / 4.0
        else:
            value, gradient = xp.gradient(lambda v: masked(v, target), xp.tensor(z))
        value, gradient = float(xp.numbers(value)), xp.numbers(gradient)
    assert value == pytest.approx(float(loss(Z[keep], T[keep])), rel=1e-13)
    np.testing.assert_allclose(gradient[keep], narrow.gradient(Z[keep], T[keep]) / 4.0, rtol=1e-12)
    assert (gradient[:, 2] == 0).all()
    assert (gradient[3] == 0).all()


@pytest.mark.parametrize("framework", NAMES)
def test_weights_of_rows_that_are_compared_with_each_other(framework: str) -> None:
    s = np.array([0.5, 2.0, 0.0, 1.0, 3.0])
    numerator, denominator = two_way_sum(TWO_WAY.to_dict(), Z, T.astype(float), s.tolist())
    xp = FRAMEWORKS[framework]
    with xp.context("float64"):
        z, t, weight = xp.tensor(Z), xp.tensor(T), xp.tensor(s)
        assert float(xp.numbers(TWO_WAY(z, t, weight))) == pytest.approx(numerator / denominator, rel=1e-13)
        both = TWO_WAY.numerator_and_denominator(z, t, weight)
    np.testing.assert_allclose([float(xp.numbers(v)) for v in both], [numerator, denominator], rtol=1e-13)


@pytest.mark.parametrize("loss", BOTH, ids=["zlpr", "two_way"])
def test_a_weight_of_two_is_a_row_twice(loss: Any) -> None:
    k = np.array([2, 1, 0, 3, 1])
    again = np.repeat(np.arange(5), k)
    assert float(loss(Z, T, k.astype(float))) == pytest.approx(float(loss(Z[again], T[again])), rel=1e-13)


def test_rows_and_labels_without_a_positive() -> None:
    z, t = np.random.default_rng(0).normal(0, 3, (6, 5)), (np.random.default_rng(1).random((6, 5)) > 0.6).astype(int)
    t[0], t[:, 1], t[1:, 2] = 0, 1, 0
    t[0] = 0
    want, n = two_way_sum(TWO_WAY.to_dict(), z, t.astype(float), [1.0] * 6)
    rows = TWO_WAY.replace(reduction="none")(z, t)
    assert rows[0] == 0.0
    assert float(TWO_WAY(z, t)) == pytest.approx(want / n, rel=1e-13)
    assert float(TWO_WAY(z, 0 * t)) == 0.0
    assert (TWO_WAY.gradient(z, 0 * t) == 0).all()


def test_large_differences_are_no_mistakes() -> None:
    # the author's masks of −100 make this 200
    assert 0.0 < float(TWO_WAY(300.0 * np.array([[1.0, -1.0], [-1.0, 1.0]]), np.eye(2))) < 1e-250
    assert float(TWO_WAY(-1e4 * np.array([[1.0, -1.0], [-1.0, 1.0]]), np.eye(2))) == pytest.approx(4e4)


@pytest.mark.parametrize("loss", BOTH, ids=["zlpr", "two_way"])
def test_curvature_is_the_second_derivative(loss: Any) -> None:
    step = 1e-5
    second = np.zeros_like(Z)
    for i, j in np.ndindex(*Z.shape):
        e = np.zeros_like(Z)
        e[i, j] = step
        second[i, j] = (loss.gradient(Z + e, T)[i, j] - loss.gradient(Z - e, T)[i, j]) / (2 * step)
    np.testing.assert_allclose(loss.curvature(Z, T), second, rtol=1e-7, atol=1e-9)
    g, h = loss.gradient_and_curvature(Z, T)
    np.testing.assert_allclose(g, loss.gradient(Z, T))
    np.testing.assert_allclose(h, loss.curvature(Z, T))


@pytest.mark.parametrize("loss", BOTH, ids=["zlpr", "two_way"])
@pytest.mark.parametrize("axis", [1, -1, 2])
def test_positions_are_rows(loss: Any, axis: int) -> None:
    rng = np.random.default_rng(0)
    z, t = rng.normal(size=(3, 4, 2, 5)), (rng.random((3, 4, 2, 5)) > 0.5).astype(int)
    flat, target = (np.moveaxis(v, axis, -1).reshape(-1, z.shape[axis]) for v in (z, t))
    assert float(loss(z, t, class_axis=axis)) == pytest.approx(float(loss(flat, target)), rel=1e-13)
    rows = loss.replace(reduction="none")(z, t, class_axis=axis)
    assert rows.shape == tuple(np.delete(z.shape, axis))
    np.testing.assert_allclose(rows.ravel(), loss.replace(reduction="none")(flat, target), rtol=1e-12)
    g = np.moveaxis(loss.gradient(z, t, class_axis=axis), axis, -1)
    np.testing.assert_allclose(g.reshape(flat.shape), loss.gradient(flat, target), rtol=1e-11, atol=1e-15)


def test_one_row_alone() -> None:
    assert float(ZLPR(Z[0], T[0])) == pytest.approx(float(ZLPR(Z[:1], T[:1])))
    assert float(TWO_WAY(Z[0], T[0])) == pytest.approx(float(TWO_WAY(Z[:1], T[:1])))


@given(st.integers(0, 2**32 - 1), st.integers(1, 8), st.permutations(range(4)), st.sampled_from(BOTH))
def test_what_does_not_matter(seed: int, rows: int, order: list[int], loss: Any) -> None:
    rng = np.random.default_rng(seed)
    z, t, s = rng.normal(0, 4, (rows, 4)), (rng.random((rows, 4)) > 0.5).astype(int), rng.uniform(0, 3, rows)
    want = float(loss(z, t, s))
    assert want >= 0.0
    close = pytest.approx(want, rel=1e-10, abs=1e-13)
    o, p = np.array(order), rng.permutation(rows)
    assert float(loss(z[:, o], t[:, o], s)) == close
    assert float(loss(z[p], t[p], s[p])) == close
    if loss is ZLPR:  # the two-way loss has weights in its exponentials, where a row twice is not a row
        assert float(loss(z, t, 7.5 * s)) == close
    for other in (
        sy.losses.from_dict(json.loads(json.dumps(loss.to_dict()))),
        loss.expand(4),
        eval(repr(loss), vars(sy.losses)),
    ):
        assert float(other(z, t, s)) == close
    assert np.isfinite(loss.gradient(z, t)).all()
    assert (loss.curvature(z, t) > 0).all()


@given(st.integers(0, 2**32 - 1), st.integers(0, 6))
def test_batches_of_zlpr_add_up(seed: int, at: int) -> None:
    rng = np.random.default_rng(seed)
    z, t, s = rng.normal(0, 4, (6, 3)), (rng.random((6, 3)) > 0.5).astype(int), rng.uniform(0.1, 3, 6)
    a, b = (ZLPR.numerator_and_denominator(z[k], t[k], s[k]) for k in (slice(at), slice(at, None)))
    assert (a[0] + b[0]) / (a[1] + b[1]) == pytest.approx(float(ZLPR(z, t, s)), rel=1e-12)


@pytest.mark.parametrize("loss", BOTH, ids=["zlpr", "two_way"])
def test_refusals(loss: Any) -> None:
    with pytest.raises(InputError, match=r"probability of each label.*sy\.decisions"):
        loss.posterior(Z)
    with pytest.raises(InputError, match="a loss that has a `class_weight`"):
        loss(Z, T, class_weight=np.ones(4))
    with pytest.raises(InputError, match="a loss that has a `logit_offset`"):
        loss(Z, T, logit_offset=np.ones(4))
    with pytest.raises(InputError, match=r"targets in \[0, 1\]"):
        loss(Z, 2 * T)
    with pytest.raises(InputError, match="finite `logits`"):
        loss(np.full((1, 2), np.nan), np.ones((1, 2)))
    with pytest.raises(InputError, match="SoftmaxCrossEntropy or SigmoidCrossEntropy"):
        sy.boosting.lightgbm(loss)
    assert "none that is a probability" in sy.explain(loss, [3, 1]).minimiser
    with pytest.raises(InputError, match=r"positive_temperature` in \(0, ∞\)"):
        sy.losses.two_way(0.0)


@pytest.mark.parametrize("framework", ["numpy", "torch", "tensorflow"])
@pytest.mark.parametrize("loss", BOTH, ids=["zlpr", "two_way"])
def test_an_empty_batch(framework: str, loss: Any) -> None:
    xp = FRAMEWORKS[framework]
    empty = xp.tensor(np.zeros((0, 3)))
    assert float(xp.numbers(loss(empty, empty))) == 0.0
    assert [float(xp.numbers(v)) for v in loss.numerator_and_denominator(empty, empty)] == [0.0, 0.0]
