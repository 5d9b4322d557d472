"""Asymmetric, distribution-balanced and EQL v2 losses: published values, arithmetic by hand, limits.

Every recipe in every framework and dtype is in tests/conformance.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import steelyard as sy
from steelyard.errors import InputError
from tests.conformance.frameworks import FRAMEWORKS, NAMES

Z = np.array(
    [
        [2.0, -1.0, 0.5, -3.5],
        [-0.25, 1.5, -2.0, 0.0],
        [3.0, -2.5, 1.0, -0.75],
        [0.0, -4.0, -1.5, 2.25],
        [1.25, 0.5, -0.5, -6.0],
    ]
)
T = np.array([[1, 0, 1, 0], [0, 1, 0, 0], [1, 1, 0, 1], [0, 0, 0, 1], [1, 0, 0, 1]])
COUNTS = [900, 40, 7, 300]


# --- values that timm 1.0.31 gives, in its float32 ---------------------------------------------------------------

TIMM_ASL = {  # AsymmetricLossMultiLabel(gamma_neg, gamma_pos, clip, reduction="sum")
    (4.0, 1.0, 0.05): 9.844279289245605,
    (4.0, 0.0, 0.05): 11.323803901672363,
    (2.0, 0.5, 0.2): 10.390281677246094,
    (0.0, 0.0, 0.0): 16.334529876708984,
}


@pytest.mark.parametrize("point", TIMM_ASL)
def test_asymmetric_is_that_of_timm(point: tuple[float, float, float]) -> None:
    loss = sy.losses.asymmetric(*point, reduction="sum")
    assert float(loss(Z, T)) == pytest.approx(TIMM_ASL[point], rel=1e-6)


def test_distribution_balanced_is_that_of_timm() -> None:
    # DistributionBalancedLoss(counts, 1000): with κ/λ for κ, which the authors have called an error, and its factor 2
    loss = sy.losses.distribution_balanced(COUNTS, rows=1000, kappa=0.05 / 2.0)
    assert 2.0 * float(loss(Z, T, denominator="rows")) == pytest.approx(1.0646699666976929, rel=1e-6)
    other = sy.losses.distribution_balanced(
        COUNTS, rows=1000, gamma=0.0, neg_scale=1.0, kappa=0.0, rebalance=(0.3, 4.0, 0.5)
    )
    assert float(other(Z, T, denominator="rows")) == pytest.approx(0.7975302934646606, rel=1e-6)


# --- by hand -----------------------------------------------------------------------------------------------------


def sigma(z: float) -> float:
    return 1.0 / (1.0 + math.exp(-z))


def test_asymmetric_by_hand() -> None:
    loss = sy.losses.asymmetric(gamma_neg=3.0, gamma_pos=0.5, probability_shift=0.1, reduction="none")
    p = sigma(0.8)
    positive, negative = loss(np.array([0.8, 0.8]), np.array([1, 0]))
    assert positive == pytest.approx((1 - p) ** 0.5 * -math.log(p), rel=1e-14)
    assert negative == pytest.approx((p - 0.1) ** 3 * -math.log(1 - (p - 0.1)), rel=1e-14)


def test_nothing_below_the_shift_and_something_above() -> None:
    threshold = math.log(0.05 / 0.95)
    z = threshold + np.array([-1e-6, 1e-6, -5.0, -1e4])
    t = np.zeros(4)
    for gamma in (0.0, 0.3, 1.0, 4.0):
        loss = sy.losses.asymmetric(gamma_neg=gamma, reduction="none")
        assert (loss(z, t)[[0, 2, 3]] == 0.0).all()
        assert (loss.gradient(z, t)[[0, 2, 3]] == 0.0).all()
        assert loss.gradient(z, t)[1] > 0.0
        # u ≈ p (1 − p) · 1e-6: the loss is u^(γ + 1)
        assert loss(z, t)[1] == pytest.approx((0.05 * 0.95e-6) ** (gamma + 1), rel=1e-4)


def test_a_hopeless_negative_has_a_bounded_loss_and_a_vanishing_gradient() -> None:
    loss = sy.losses.asymmetric(gamma_neg=0.0, reduction="none")
    z = np.array([30.0, 300.0, 1e4])
    np.testing.assert_allclose(loss(z, np.zeros(3)), -math.log(0.05), rtol=1e-11)
    np.testing.assert_allclose(loss.gradient(z, np.zeros(3)), np.exp(-z) / 0.05, rtol=1e-11)
    assert (
        loss.gradient(-z, np.ones(3)) < -1.0 + 1e-12
    ).all()  # positives: alive, where a clipped log p has no gradient


@pytest.mark.parametrize("framework", ["torch", "tensorflow", "jax"])
@pytest.mark.parametrize("gamma", [0.3, 0.5, 1.0, 4.0])
def test_gradients_below_the_shift_are_no_nan(framework: str, gamma: float) -> None:
    # the derivative of u^γ is infinite at u = 0: the authors' code gives NaN at −5 and −3
    xp, loss = FRAMEWORKS[framework], sy.losses.asymmetric(gamma_neg=gamma, reduction="sum")
    with xp.context("float32"):
        t = xp.tensor(np.zeros(5, np.float32))
        _, gradient = xp.gradient(lambda z: loss(z, t), xp.tensor([-5.0, -3.0, 0.0, 5.0, 1e4], "float32"))
        gradient = xp.numbers(gradient)
    assert np.isfinite(gradient).all()
    assert (gradient[:2] == 0.0).all()
    assert (gradient[2:4] > 0.05).all()


def test_the_probability_that_the_shift_cannot_tell_from_certainty() -> None:
    # z = ∞: the positive side falls like e^(−z), the negative one like e^(−z)/m · ψ₋
    loss = sy.losses.asymmetric(gamma_neg=0.0)
    assert float(loss.posterior(np.array([1e4]))[0]) == pytest.approx(1.0 / (1.0 + 0.05), rel=1e-12)
    assert float(loss.posterior(np.array([-10.0]))[0]) == 0.0


def test_distribution_balanced_by_hand() -> None:
    loss = sy.losses.distribution_balanced(
        [50, 5], rows=100, gamma=1.5, neg_scale=3.0, kappa=0.2, rebalance=(0.1, 10.0, 0.2), reduction="none"
    )
    z, t = np.array([[0.7, -0.4]]), np.array([[1, 0]])
    rarity = (1 / 50, 1 / 5)
    r = [0.1 + sigma(10.0 * (v / rarity[0] - 0.2)) for v in rarity]
    a, b = 0.7 + 0.2 * math.log(50 / 50), 3.0 * (-0.4 + 0.2 * math.log(5 / 95))
    want = (
        r[0] * (1 - sigma(a)) ** 1.5 * -math.log(sigma(a)),
        r[1] * sigma(b) ** 1.5 * -math.log(1 - sigma(b)) / 3.0,
    )
    np.testing.assert_allclose(loss(z, t)[0], want, rtol=1e-13)
    numerator, denominator = loss.numerator_and_denominator(z, t)
    np.testing.assert_allclose((numerator, denominator), (sum(want), sum(r)), rtol=1e-13)


def test_labels_that_occur_together_share_their_weight() -> None:
    # resampling would show the row of the rare label that often, and with it the common one: the common one's weight
    # falls where a rare label is there too
    loss = sy.losses.distribution_balanced([50, 5], rows=100, gamma=0.0, kappa=0.0, reduction="none")
    alone, together = loss(np.zeros((2, 2)), np.array([[1, 0], [1, 1]]))[:, 0]
    assert together < 0.75 * alone
    # of equally rare ones neither
    loss = sy.losses.distribution_balanced([5, 5], rows=100, gamma=0.0, kappa=0.0, reduction="none")
    values = loss(np.zeros((1, 2)), np.array([[1, 1]]))
    assert values[0, 0] == pytest.approx(values[0, 1])


@pytest.mark.parametrize("framework", NAMES)
def test_rows_without_labels_and_labels_without_rows(framework: str) -> None:
    loss = sy.losses.distribution_balanced([0, 5, 10], rows=10, reduction="none")
    t = np.array([[0, 0, 0], [1, 0, 1], [0.3, 0.7, 0.0]])
    z = np.array([[1e4, -1e4, 0.0], [-1e4, 1.0, 2.0], [3.0, -20.0, 1e4]])
    xp = FRAMEWORKS[framework]
    with xp.context("float32"):
        value = xp.numbers(loss(xp.tensor(z, "float32"), xp.tensor(t.astype(np.float32))))
    assert np.isfinite(value).all()
    # no label: σ(β (∞ − μ)) = 1
    a = 2.0 * (0.05 * math.log(9.0))
    plain = 1.1 * sigma(a) ** 2 * math.log1p(math.exp(a)) / 2.0
    assert value[0, 2] == pytest.approx(plain, rel=1e-5)


def test_ignored_entries_are_no_part_of_the_rest_of_their_row() -> None:
    loss = sy.losses.distribution_balanced([50, 20, 5], rows=100, ignore_index=-1, reduction="sum")
    z, t = np.array([[0.3, -0.2, np.nan]]), np.array([[1, 0, -1]])
    narrow = sy.losses.distribution_balanced([50, 20], rows=100, reduction="sum")
    assert float(loss(z, t)) == pytest.approx(float(narrow(z[:, :2], t[:, :2])), rel=1e-14)


def test_the_rows_of_counts() -> None:
    counts = sy.ClassCounts.from_indicators([[1, 0], [1, 1], [0, 0], [1, 0]])
    a, b = sy.losses.distribution_balanced(counts), sy.losses.distribution_balanced([3, 1], rows=4)
    assert a == b
    with pytest.raises(InputError, match=r"number of rows.*from_indicators"):
        sy.losses.distribution_balanced([3, 1])
    with pytest.raises(InputError, match="at least the largest count"):
        sy.losses.distribution_balanced([3, 1], rows=2)


def test_rebalanced_losses_have_no_posterior() -> None:
    with pytest.raises(InputError, match=r"other labels of a row.*rebalance_slope=10.*calibrate"):
        sy.losses.distribution_balanced([3, 1], rows=4).posterior(np.zeros((1, 2)))
    assert not sy.losses.distribution_balanced([3, 1], rows=4).has_posterior
    # without the weights there is one, and it is right: see test_posterior
    assert sy.losses.distribution_balanced([3, 1], rows=4, rebalance=(0.5, 0.0, 0.0)).has_posterior


def test_equalization_v2_by_hand() -> None:
    loss = sy.losses.equalization_v2([8.0, 0.0, 0.0, 5.0], [10.0, 3.0, 0.0, 0.0], alpha=2.0, gamma=5.0, mu=0.6)
    f = [sigma(5.0 * (0.8 - 0.6)), sigma(-3.0), 1.0, 1.0]
    np.testing.assert_allclose(loss.class_weight, f, rtol=1e-14)
    np.testing.assert_allclose(loss.class_weight * loss.pos_weight, [1 + 2 * (1 - v) for v in f], rtol=1e-14)
    value = loss.replace(reduction="none")(np.full((2, 4), 0.3), np.array([[1] * 4, [0] * 4]))
    np.testing.assert_allclose(value[0], [(1 + 2 * (1 - v)) * -math.log(sigma(0.3)) for v in f], rtol=1e-13)
    np.testing.assert_allclose(value[1], [v * -math.log(1 - sigma(0.3)) for v in f], rtol=1e-13)


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        (([1.0], [1.0, 2.0]), r"shape \(n_labels,\)"),
        (([-1.0], [1.0]), "gradient sums ≥ 0"),
        (([np.inf], [1.0]), "finite gradient sums"),
        (([1.0], [1.0], 4.0, 100.0, 0.8), "gamma · mu ≤ 60"),
        (([1.0], [1.0], -1.0), "alpha ≥ 0"),
    ],
)
def test_bad_gradient_sums(arguments: Any, match: str) -> None:
    with pytest.raises(InputError, match=match):
        sy.losses.equalization_v2(*arguments)


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"probability_shift": 1.0}, r"probability_shift` in \[0, 1\)"),
        ({"probability_shift": -0.1}, r"probability_shift` in \[0, 1\)"),
        ({"neg_scale": 0.0}, r"neg_scale` in \(0, ∞\)"),
        ({"label_rarity": 0.5}, r"label_rarity` of shape \(n_classes,\)"),
        ({"label_rarity": [1.0, 0.0]}, r"label_rarity` in \(0, ∞\)"),
        ({"rebalance_slope": -1.0}, r"rebalance_slope` in \[0, ∞\)"),
        ({"logit_offset": [1.0, 2.0], "pos_weight": [1.0, 2.0, 3.0]}, "same number of classes"),
    ],
)
def test_bad_parameters(changes: dict[str, Any], match: str) -> None:
    with pytest.raises(InputError, match=match):
        sy.losses.SigmoidCrossEntropy(**changes)


def test_an_offset_of_the_call_is_added_to_that_of_the_loss() -> None:
    loss = sy.losses.SigmoidCrossEntropy(logit_offset=[0.2, -0.3, 0.0, 1.0])
    extra = np.array([1.0, 2.0, 3.0, 4.0])
    moved = sy.losses.binary_cross_entropy()(Z + loss.logit_offset + extra, T)
    assert float(loss(Z, T, logit_offset=extra)) == pytest.approx(float(moved), rel=1e-14)


def test_the_effect_of_the_offset_is_that_of_logit_adjustment() -> None:
    # with one label against the other: the balanced posterior of class 1 is σ(z) where training added log-odds
    prior = 0.02
    loss = sy.losses.SigmoidCrossEntropy(logit_offset=math.log(prior / (1 - prior)))
    softmax = sy.losses.logit_adjusted([98, 2])
    z = np.array([-2.0, 0.0, 3.0])
    pair = np.stack([np.zeros(3), z], axis=1)
    np.testing.assert_allclose(loss.posterior(z), softmax.posterior(pair)[:, 1], rtol=1e-12)
    t = np.array([0, 1, 1])
    np.testing.assert_allclose(loss.value(z, t), softmax.value(pair, t), rtol=1e-12)
