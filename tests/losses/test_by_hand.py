"""Published values and arithmetic by hand: the numbers stand in the tests."""

from __future__ import annotations

import math

import numpy as np
import pytest

import steelyard as sy

LN2 = math.log(2.0)
E = math.e


def one(loss: sy.losses.Loss, z: list[float], y: int) -> float:
    return float(loss(np.array([z]), np.array([y])))


def test_cross_entropy_of_equal_logits() -> None:
    assert one(sy.losses.cross_entropy(), [0.0] * 10, 3) == pytest.approx(2.302585092994046, rel=1e-15)


def test_weighted_mean_of_two_rows() -> None:
    # −log p: ln(1 + e⁻²) = 0.126928 (w = 1) and ln(1 + e^½) = 0.974077 (w = 9); (0.126928 + 8.766693) / 10
    loss = sy.losses.weighted_cross_entropy([1.0, 9.0])
    value = float(loss(np.array([[2.0, 0.0], [0.5, 0.0]]), np.array([0, 1])))
    assert value == pytest.approx((math.log1p(math.exp(-2)) + 9 * math.log1p(math.exp(0.5))) / 10, rel=1e-14)
    assert value == pytest.approx(0.889362, abs=1e-6)


@pytest.mark.parametrize(
    ("gamma", "power"), [(0.0, 1.0), (0.5, 0.7071067811865476), (1.0, 0.5), (2.0, 0.25), (5.0, 0.03125)]
)
def test_focal_at_one_half(gamma: float, power: float) -> None:
    assert one(sy.losses.focal(gamma), [0.0, 0.0], 0) == pytest.approx(power * LN2, rel=1e-14)


def test_focal_in_the_paper_is_a_hundred_times_smaller_at_p_point_nine() -> None:
    # Lin et al., section 3.2: with γ = 2 an example classified with p = 0.9 has a 100 × lower loss than CE
    z = math.log(9.0)
    ratio = one(sy.losses.cross_entropy(), [z, 0.0], 0) / one(sy.losses.focal(2.0), [z, 0.0], 0)
    assert ratio == pytest.approx(100.0, rel=1e-12)


def test_sigmoid_focal_alpha() -> None:
    loss = sy.losses.sigmoid_focal(2.0, 0.25, reduction="none")
    got = loss(np.zeros(2), np.array([1, 0]))
    assert got.tolist() == pytest.approx([0.25 * LN2 / 4, 0.75 * LN2 / 4], rel=1e-14)


def test_logit_adjustment_of_two_classes() -> None:
    # π = ¾, ¼ and equal logits: q = π
    loss = sy.losses.logit_adjusted([75, 25])
    assert one(loss, [0.0, 0.0], 0) == pytest.approx(math.log(4 / 3), rel=1e-14)
    assert one(loss, [0.0, 0.0], 1) == pytest.approx(math.log(4.0), rel=1e-14)
    # τ = ½: odds √3 to 1
    assert one(sy.losses.logit_adjusted([75, 25], tau=0.5), [0.0, 0.0], 1) == pytest.approx(
        math.log(1 + math.sqrt(3.0)), rel=1e-14
    )


def test_balanced_softmax_with_its_counts() -> None:
    # −log (n_y e^{z_y} / Σ n_c e^{z_c}) = −log(10 e / (10 e + 90))
    assert one(sy.losses.balanced_softmax([90, 10]), [0.0, 1.0], 1) == pytest.approx(
        -math.log(10 * E / (10 * E + 90)), rel=1e-14
    )


def test_ldam_margins() -> None:
    # n = 160, 10: n^(−1/4) ratio is (1/16)^(1/4) = ½, so margins are 0.25 and 0.5
    loss = sy.losses.ldam([160, 10], scale=1.0)
    assert loss.margin.tolist() == pytest.approx([0.25, 0.5], rel=1e-14)
    assert one(loss, [1.0, 0.0], 0) == pytest.approx(math.log1p(math.exp(-0.75)), rel=1e-14)
    assert one(loss, [1.0, 0.0], 1) == pytest.approx(math.log1p(math.exp(1.5)), rel=1e-14)


def test_ldam_scale_multiplies_logits_and_margins() -> None:
    # −log softmax(30 (z − m_y [c = y]))_y at cosines 0.6, 0.5 and y = 1 (m = 0.5): gap 30 (0.6 − 0.5 + 0.5) = 18
    loss = sy.losses.ldam([160, 10])
    assert one(loss, [0.6, 0.5], 1) == pytest.approx(18.0 + math.exp(-18.0), rel=1e-12)


def test_cdt_temperatures() -> None:
    # (25 / 100)^½ = ½ : logits 1 and 2 · ½ are equal
    assert one(sy.losses.cdt([100, 25], gamma=0.5), [1.0, 2.0], 0) == pytest.approx(LN2, rel=1e-14)


def test_vector_scaling_puts_all_three_together() -> None:
    # Δ = 1, ½; ι = log ¾, log ¼; w = 1, 3; z = (0, 2): a = log ¾, 1 + log ¼
    loss = sy.losses.vector_scaling([75, 25], tau=1.0, gamma=0.5, class_weight=[1.0, 3.0], reduction="none")
    scale = math.sqrt(1 / 3)
    want = 3.0 * math.log1p(3.0 * math.exp(-2.0 * scale))
    assert float(loss(np.array([[0.0, 2.0]]), np.array([1]))[0]) == pytest.approx(want, rel=1e-14)


def test_class_balanced_weights() -> None:
    # (1 − β)/(1 − βⁿ) with β = ½, n = 1, 2: 1 and 2/3, normalised to 2: 1.2, 0.8
    loss = sy.losses.class_balanced([1, 2], beta=0.5)
    assert loss.class_weight.tolist() == pytest.approx([1.2, 0.8], rel=1e-12)


def test_scaled_logits_rescale() -> None:
    # softmax(1·1, 2·1): loss of class 0 is ln(1 + e)
    assert one(sy.losses.scaled_logits([1.0, 2.0]), [1.0, 1.0], 0) == pytest.approx(1.3132616875182228, rel=1e-14)


def test_two_meanings_of_weights_into_the_logits() -> None:
    # z = (1, 2, 3), w = (1, 2, 0.5), y = 0. All logits by the true class's weight: softmax(1, 2, 3); each by its own:
    # softmax(1, 4, 1.5)
    z, w = [1.0, 2.0, 3.0], [1.0, 2.0, 0.5]
    by_own = one(sy.losses.scaled_logits(w), z, 0)
    assert by_own == pytest.approx(math.log(E + E**4 + E**1.5) - 1.0, rel=1e-14)
    by_true = one(sy.losses.cross_entropy(), z, 0)
    assert by_true == pytest.approx(2.40760596, rel=1e-8)
    assert abs(by_own - by_true) > 0.5


def test_softmax_margin_of_equal_logits() -> None:
    # −z_y + log Σ_c e^{z_c + M[y, c]} = ln(1 + e)
    loss = sy.losses.softmax_margin([[0.0, 1.0], [1.0, 0.0]])
    assert one(loss, [0.0, 0.0], 0) == pytest.approx(math.log(1 + E), rel=1e-14)
    three = sy.losses.softmax_margin([[0.0, 1.0, 2.0], [1.0, 0.0, 1.0], [5.0, 1.0, 0.0]])
    assert one(three, [0.5, 0.0, -1.0], 0) == pytest.approx(math.log(1 + E**0.5 + E**0.5), rel=1e-14)


def test_cosen_of_equal_logits() -> None:
    # −log (ξ[y, y] / Σ_c ξ[y, c])
    loss = sy.losses.cosen([[1.0, 3.0], [2.0, 6.0]])
    assert one(loss, [0.0, 0.0], 0) == pytest.approx(math.log(4.0), rel=1e-14)
    assert one(loss, [0.0, 0.0], 1) == pytest.approx(math.log(8 / 6), rel=1e-14)


def test_pairwise_margin() -> None:
    # log(1 + e^{Λ − (z_y − z_c)}) with Λ = 2 and a lead of 2
    loss = sy.losses.pairwise_margin([[0.0, 2.0], [0.0, 0.0]])
    assert one(loss, [2.0, 0.0], 0) == pytest.approx(LN2, rel=1e-14)
    assert one(loss, [2.0, 0.0], 1) == pytest.approx(math.log1p(E**2), rel=1e-14)


def test_weights_by_true_class_by_prediction_and_by_pair() -> None:
    z, y = np.array([[math.log(3.0), 0.0]]), np.array([1])  # p = ¾, ¼ and −log p_1 = ln 4
    make = sy.losses.weighted_cross_entropy
    pairs = [[1.0, 2.0], [8.0, 4.0]]

    def value(w: object, by: str) -> float:
        return float(make(w, weight_by=by, reduction="sum")(z, y))

    assert value([2.0, 10.0], "target") == pytest.approx(10.0 * math.log(4.0))
    assert value([2.0, 10.0], "prediction") == pytest.approx((0.75 * 2 + 0.25 * 10) * math.log(4.0))
    assert value([2.0, 10.0], "prediction_hard") == pytest.approx(2.0 * math.log(4.0))
    assert value(pairs, "pair") == pytest.approx((0.75 * 8 + 0.25 * 4) * math.log(4.0))
    assert value(pairs, "pair_hard") == pytest.approx(8.0 * math.log(4.0))


def test_expected_cost_is_multiplied_by_the_sample_weight_alone() -> None:
    # equal logits: expected cost (0 + 6)/2 = 3, times λ = ½
    loss = sy.losses.SoftmaxCrossEntropy(
        class_weight=[10.0, 1.0], cost_matrix=[[0.0, 6.0], [1.0, 0.0]], cost_coefficient=0.5, reduction="none"
    )
    got = loss(np.zeros((1, 2)), np.array([0]), sample_weight=np.array([4.0]))
    assert float(got[0]) == pytest.approx(4.0 * (10.0 * LN2 + 1.5), rel=1e-14)


def test_smoothing_by_hand() -> None:
    # C = 4, ε = 0.2: 0.85 on the target, 0.05 elsewhere; −log p_0 = L, −log p_c = L + 1 with L = log(1 + 3/e)
    first = math.log(1 + 3 / E)
    want = 0.85 * first + 0.15 * (first + 1)
    assert one(sy.losses.cross_entropy(label_smoothing=0.2), [1.0, 0.0, 0.0, 0.0], 0) == pytest.approx(want, rel=1e-14)


@pytest.mark.parametrize(("t", "weight"), [(1, (5.0 * 0.25 + 1.5 * 0.75)), (0, (1.0 * 0.25 + 2.0 * 0.75))])
def test_outcome_weights_in_expectation_over_the_decision(t: int, weight: float) -> None:
    # p = ¾; O = [[TN, FP], [FN, TP]] = [[1, 2], [5, 1.5]]
    loss = sy.losses.outcome_weighted([[1.0, 2.0], [5.0, 1.5]], reduction="none")
    minus_log = -math.log(0.75 if t else 0.25)
    assert float(loss(np.array([math.log(3.0)]), np.array([t]))[0]) == pytest.approx(weight * minus_log, rel=1e-14)


def test_positive_weight() -> None:
    loss = sy.losses.binary_cross_entropy(3.0, reduction="none")
    assert loss(np.zeros(2), np.array([1, 0])).tolist() == pytest.approx([3 * LN2, LN2], rel=1e-14)


# --- the same loss under two names ------------------------------------------------------------------------------

Z = np.random.default_rng(0).normal(0.0, 2.0, (20, 4))
Y = np.arange(20) % 4
COUNTS = np.array([60.0, 24.0, 9.0, 3.0])


def equal(a: sy.losses.Loss, b: sy.losses.Loss) -> None:
    np.testing.assert_allclose(a.value(Z, Y), b.value(Z, Y), rtol=1e-13)
    np.testing.assert_allclose(a.gradient(Z, Y), b.gradient(Z, Y), rtol=1e-12, atol=1e-15)


def test_balanced_softmax_is_logit_adjustment_with_tau_1() -> None:
    equal(sy.losses.balanced_softmax(COUNTS), sy.losses.logit_adjusted(COUNTS, tau=1.0))


def test_offsets_by_log_counts_and_by_log_priors_are_the_same() -> None:
    equal(sy.losses.balanced_softmax(COUNTS), sy.losses.SoftmaxCrossEntropy(logit_offset=np.log(COUNTS)))


def test_pairwise_log_prior_ratios_are_logit_adjustment() -> None:
    prior = COUNTS / COUNTS.sum()
    equal(sy.losses.pairwise_margin(np.log(prior[None, :] / prior[:, None])), sy.losses.logit_adjusted(COUNTS))


def test_cosen_of_count_ratios_is_logit_adjustment() -> None:
    equal(sy.losses.cosen(COUNTS[None, :] / COUNTS[:, None]), sy.losses.logit_adjusted(COUNTS))


def test_softmax_margin_is_the_pairwise_margin_of_its_costs() -> None:
    costs = np.abs(np.subtract.outer(np.arange(4.0), np.arange(4.0)))
    equal(sy.losses.softmax_margin(costs), sy.losses.pairwise_margin(costs))


def test_margins_are_pairwise_offsets_without_a_diagonal() -> None:
    m = np.array([0.1, 0.2, 0.3, 0.5])
    off = np.where(np.eye(4) > 0, 0.0, m[:, None])
    equal(sy.losses.SoftmaxCrossEntropy(margin=m), sy.losses.pairwise_margin(off))


@pytest.mark.parametrize(
    "loss",
    [
        sy.losses.focal(0.0),
        sy.losses.cdt(COUNTS, gamma=0.0),
        sy.losses.logit_adjusted(COUNTS, tau=0.0),
        sy.losses.class_balanced(COUNTS, beta=0.0),
        sy.losses.vector_scaling(COUNTS, tau=0.0, gamma=0.0),
        sy.losses.ldam(COUNTS, max_margin=0.0, scale=1.0),
        sy.losses.scaled_logits(np.ones(4)),
        sy.losses.cosen(np.ones((4, 4))),
        sy.losses.softmax_margin(np.zeros((4, 4))),
        sy.losses.weighted_cross_entropy(np.ones((4, 4)), weight_by="pair"),
    ],
    ids=lambda loss: repr(loss)[:60],
)
def test_neutral_parameters_are_cross_entropy(loss: sy.losses.Loss) -> None:
    equal(loss, sy.losses.cross_entropy())


def test_vector_scaling_without_temperatures_is_weighted_logit_adjustment() -> None:
    w = [0.4, 1.0, 2.5, 3.1]
    equal(sy.losses.vector_scaling(COUNTS, gamma=0.0, class_weight=w), sy.losses.logit_adjusted(COUNTS, class_weight=w))


def test_one_logit_is_two_with_a_zero() -> None:
    z, t = Z[:, 0], Y % 2
    two = np.stack([np.zeros(20), z], axis=1)
    for binary, softmax in (
        (sy.losses.binary_cross_entropy(5.0), sy.losses.weighted_cross_entropy([1.0, 5.0])),
        (sy.losses.sigmoid_focal(2.0, 0.25), sy.losses.focal(2.0, class_weight=[0.75, 0.25])),
        (
            sy.losses.outcome_weighted([[1.0, 2.0], [5.0, 1.5]]),
            sy.losses.weighted_cross_entropy([[1.0, 2.0], [5.0, 1.5]], weight_by="pair"),
        ),
    ):
        np.testing.assert_allclose(binary.value(z, t), softmax.value(two, t), rtol=1e-12)
        np.testing.assert_allclose(binary.gradient(z, t), softmax.gradient(two, t)[:, 1], rtol=1e-12)
        assert float(binary(z, t)) == pytest.approx(float(softmax(two, t)), rel=1e-12)


def test_every_recipe_says_what_it_is() -> None:
    for name in sy.losses.names():
        about = sy.losses.describe(name)
        assert about.formula
        assert about.when
        assert about.source
        assert sy.losses.get(name) is about.make is getattr(sy.losses, name)
