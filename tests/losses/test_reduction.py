"""One contract for means: Σ s·ω·ℓ / Σ s·ω, over rows that count, however they are split."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

import steelyard as sy
from tests.conformance.comparison import assert_close
from tests.conformance.frameworks import FRAMEWORKS, NAMES
from tests.conformance.points import WEIGHT_BY, binary_point, sigmoid_point, softmax_point
from tests.conformance.recipes import logits, targets

LN2 = math.log(2.0)


def test_four_libraries_give_three_means_of_one_batch() -> None:
    """3 rows of weight 1, one of weight 10, one without weight; ℓ = ln 2 for the first four."""
    import keras
    import tensorflow as tf
    import torch

    z, y = np.zeros((5, 2)), np.array([0, 0, 0, 1, 1])
    s = np.array([1.0, 1.0, 1.0, 10.0, 0.0])
    loss = sy.losses.cross_entropy()

    ours = float(loss(z, y, sample_weight=s))
    assert ours == pytest.approx(LN2, rel=1e-15)
    by_rows = float(loss(z, y, sample_weight=s, denominator="rows"))
    assert by_rows == pytest.approx(13 / 5 * LN2, rel=1e-15)
    by_weights_not_zero = float(loss(z, y, sample_weight=s, denominator=4.0))
    assert by_weights_not_zero == pytest.approx(13 / 4 * LN2, rel=1e-15)

    per_row = torch.nn.functional.cross_entropy(
        torch.zeros(4, 2), torch.tensor(y[:4]), weight=torch.tensor([1.0, 10.0]), reduction="mean"
    )
    assert ours == pytest.approx(float(per_row), rel=1e-6)
    rows = torch.nn.functional.cross_entropy(
        torch.zeros(4, 2), torch.eye(2)[y[:4]], weight=torch.tensor([1.0, 10.0]), reduction="mean"
    )
    assert by_rows == pytest.approx(float(rows) * 4 / 5, rel=1e-6)
    in_keras = keras.losses.SparseCategoricalCrossentropy(from_logits=True)(y, z.astype("float32"), sample_weight=s)
    assert by_rows == pytest.approx(float(in_keras), rel=1e-6)
    in_tensorflow = tf.compat.v1.losses.sparse_softmax_cross_entropy(y, tf.zeros([5, 2]), weights=s)
    assert by_weights_not_zero == pytest.approx(float(in_tensorflow), rel=1e-6)


@pytest.mark.parametrize(("batch", "share"), [(1, 0.02), (8, 0.13), (32, 0.32), (256, 0.475)])
def test_a_weighted_mean_per_batch_gives_rare_classes_less_than_their_share(batch: int, share: float) -> None:
    # Two classes 98 / 2 with balanced weights: over the whole data half of the gradient belongs to the rare class.
    # Divided per batch it is E[k w / (k w + (B − k) w')], k ~ Binomial(B, 0.02): exact, no simulation.
    w = np.array([0.5 / 0.98, 0.5 / 0.02])
    loss = sy.losses.weighted_cross_entropy(w)
    constant = loss.replace(reduction="sum")
    expectation = with_constant = 0.0
    for k in range(batch + 1):
        chance = math.comb(batch, k) * 0.02**k * 0.98 ** (batch - k)
        y = (np.arange(batch) < k).astype(int)
        z = np.zeros((batch, 2))  # every row loses ln 2, so a class's share of the loss is its share of the weight
        rare = float(constant(z, y, sample_weight=y.astype(float)))
        expectation += chance * rare / LN2 / float(loss.numerator_and_denominator(z, y)[1])
        with_constant += chance * rare / LN2 / (batch * float(w @ [0.98, 0.02]))
    assert expectation == pytest.approx(share, abs=0.006)
    assert with_constant == pytest.approx(0.5, rel=1e-9)


# --- one process, several ranks, several micro-batches ----------------------------------------------------------

LOSSES = {
    "pair": softmax_point("pair", ignore_index=-1),
    "prediction": softmax_point("prediction", ignore_index=-1, gamma=0.5),
    "multi-label": sigmoid_point(ignore_index=-1),
    "binary": binary_point(),
}


def batch_of(loss: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    z, t = np.tile(logits(), (3, 1)), np.tile(targets(loss, "integer").T, 3).T
    if loss.pos_weight is not None and np.ndim(loss.pos_weight) == 0 if loss.dense_targets else False:
        z, t = z[:, 0], t[:, 0]
    else:
        t[4:9] = -1
    return z, t, np.random.default_rng(1).random(18)


CUTS = [(0, 5, 5, 6, 18), (0, 0, 4, 9, 9, 18), tuple(range(19))]


@pytest.mark.parametrize(
    ("framework", "cuts"),
    # JAX compiles anew for every size of a part: one way of cutting will do
    [(framework, cuts) for framework in NAMES for cuts in (CUTS[1:2] if framework == "jax" else CUTS)],
)
@pytest.mark.parametrize("name", LOSSES)
def test_one_process_is_many(framework: str, name: str, cuts: tuple[int, ...]) -> None:
    # the cuts make empty parts, and one part whose rows are all ignored
    loss = LOSSES[name]
    z, t, s = batch_of(loss)
    xp = FRAMEWORKS[framework]
    with xp.context("float64"):
        together = xp.compiled if framework == "jax" else (lambda f: f)
        split = together(loss.numerator_and_denominator)
        parts = [(xp.tensor(z[a:b]), xp.tensor(t[a:b]), xp.tensor(s[a:b])) for a, b in pairwise(cuts)]
        sums = [[float(xp.numbers(v)) for v in split(*part)] for part in parts]
        whole = float(xp.numbers(together(loss)(xp.tensor(z), xp.tensor(t), xp.tensor(s))))
        numerator, denominator = np.sum(sums, axis=0)
        assert numerator / denominator == pytest.approx(whole, rel=1e-13)
        # the denominator of all parts handed to each of them: values add up, and so do gradients
        shared = together(lambda *part: loss(*part, denominator=denominator))
        values = [float(xp.numbers(shared(*part))) for part in parts]
        assert sum(values) == pytest.approx(whole, rel=1e-13)
        if framework == "numpy":
            return
        _, gradient = xp.gradient(lambda v: loss(v, xp.tensor(t), xp.tensor(s)), xp.tensor(z))
        pieces = [
            xp.numbers(xp.gradient(lambda v, p=part: loss(v, p[1], p[2], denominator=denominator), part[0])[1])
            for part in (parts if len(parts) < 10 else parts[::6])
        ]
        if len(parts) < 10:
            assert_close(np.concatenate(pieces), xp.numbers(gradient), 1e-12, 1.0)


@pytest.mark.parametrize("framework", NAMES)
@pytest.mark.parametrize("name", LOSSES)
def test_an_empty_batch_is_nothing(framework: str, name: str) -> None:
    loss = LOSSES[name]
    z, t, s = batch_of(loss)
    xp = FRAMEWORKS[framework]
    with xp.context("float64"):
        empty = xp.tensor(z[:0]), xp.tensor(t[:0]), xp.tensor(s[:0])
        n, d = loss.numerator_and_denominator(*empty)
        assert float(xp.numbers(n)) == float(xp.numbers(d)) == 0.0
        assert float(xp.numbers(loss(*empty))) == 0.0
        assert xp.numbers(loss.replace(reduction="none")(*empty)).shape == t[:0].shape


@pytest.mark.parametrize("framework", NAMES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("why", ["ignored", "masked", "weightless"])
def test_nothing_that_counts_is_zero_with_zero_gradient(framework: str, dtype: str, why: str) -> None:
    # pytorch#70348: NaN there
    xp = FRAMEWORKS[framework]
    for loss in (softmax_point("pair", ignore_index=-1), sy.losses.focal(0.5, ignore_index=-1)):
        y = np.full(6, -1) if why == "ignored" else targets(loss, "integer")
        given = {"sample_weight": np.zeros(6)} if why == "masked" else {}
        if why == "weightless":
            loss = loss.replace(weight_by="target", class_weight=np.zeros(4), cost_matrix=None, cost_coefficient=0.0)
        with xp.context(dtype):
            given = {k: xp.tensor(v) for k, v in given.items()}
            if framework == "numpy":
                assert float(loss(xp.tensor(logits(), dtype), y, **given)) == 0.0
                continue
            value, gradient = xp.gradient(
                lambda v, f=loss, y=y, g=given: f(v, xp.tensor(y), **g), xp.tensor(logits(), dtype)
            )
            assert float(xp.numbers(value)) == 0.0
            assert (xp.numbers(gradient) == 0.0).all()


@pytest.mark.parametrize("weight_by", WEIGHT_BY)
def test_none_sum_and_mean_say_the_same(weight_by: str) -> None:
    loss = softmax_point(weight_by)
    z, y, s = logits(), targets(loss, "soft"), np.random.default_rng(1).random(6)
    rows = loss.replace(reduction="none")(z, y, sample_weight=s)
    total = float(loss.replace(reduction="sum")(z, y, sample_weight=s))
    n, d = loss.numerator_and_denominator(z, y, sample_weight=s)
    assert rows.sum() == pytest.approx(total, rel=1e-14)
    assert float(n) == pytest.approx(total, rel=1e-14)
    assert float(loss(z, y, sample_weight=s)) == pytest.approx(total / float(d), rel=1e-14)
    assert (loss.value(z, y) * s == pytest.approx(rows, rel=1e-14)) is True


def test_a_float32_total_over_many_rows_is_taken_in_float64() -> None:
    # 2^24 + 1 equal float32 summands cannot be counted in float32 one by one; 3 million of ln 2 lose digits
    import torch

    n = 3_000_000
    loss = sy.losses.binary_cross_entropy(reduction="sum")
    value = float(loss(torch.zeros(n), torch.ones(n)))
    assert value == pytest.approx(n * float(np.float32(LN2)), rel=1e-7)


# --- shapes that other libraries broadcast ----------------------------------------------------------------------


@pytest.mark.parametrize("framework", NAMES)
def test_a_column_of_targets_is_not_broadcast(framework: str) -> None:
    # (N,) against (N, 1) would pair every row with every other and still give a number
    xp = FRAMEWORKS[framework]
    with xp.context("float64"):
        with pytest.raises(sy.errors.InputError, match=r"got \(5, 1\)\. Hint: squeeze the last axis"):
            sy.losses.binary_cross_entropy()(xp.tensor(np.zeros(5)), xp.tensor(np.zeros((5, 1))))
        with pytest.raises(sy.errors.InputError, match=r"got \(5,\)"):
            sy.losses.binary_cross_entropy()(xp.tensor(np.zeros((5, 1))), xp.tensor(np.zeros(5)))
        with pytest.raises(sy.errors.InputError, match=r"got \(5, 1\)\. Hint: squeeze"):
            sy.losses.cross_entropy()(xp.tensor(np.zeros((5, 3))), xp.tensor(np.zeros((5, 1), dtype=int)))
        with pytest.raises(sy.errors.InputError, match=r"`sample_weight` of shape \(5,\)"):
            sy.losses.cross_entropy()(
                xp.tensor(np.zeros((5, 3))), xp.tensor(np.zeros(5, dtype=int)), xp.tensor(np.ones((5, 3)))
            )


def test_sample_weights_of_a_square_batch_are_not_matched_from_the_right() -> None:
    # 3 images of 3 positions: an array of 3 would broadcast over positions silently
    z, y = np.random.default_rng(0).normal(size=(3, 2, 3)), np.zeros((3, 3), dtype=int)
    s = np.array([1.0, 0.0, 0.0])
    loss = sy.losses.cross_entropy()
    assert float(loss(z, y, sample_weight=s)) == pytest.approx(float(loss(z[:1], y[:1])), rel=1e-14)
