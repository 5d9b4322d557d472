"""`sy.explain` against arithmetic by hand and against the literature's rules."""

from __future__ import annotations

import json

import numpy as np
import pytest

import steelyard as sy
from steelyard.errors import InputError
from steelyard.losses import aligned
from tests.conformance.recipes import all_recipes

COUNTS = sy.ClassCounts.from_counts({"no": 980, "yes": 20})
BALANCED = np.array([1000 / (2 * 980), 1000 / (2 * 20)])


@pytest.mark.parametrize(
    ("loss", "threshold"),
    [
        (sy.losses.cross_entropy(), 0.5),
        (sy.losses.focal(gamma=2.0), 0.5),  # focusing keeps the order of probabilities
        (sy.losses.weighted_cross_entropy(BALANCED), 0.02),  # Elkan 2001: w0 / (w0 + w1)
        (sy.losses.weighted_cross_entropy([1.0, 4.0]), 0.2),
        (sy.losses.logit_adjusted(COUNTS), 0.02),  # Menon 2021: arg max η / π
        (sy.losses.logit_adjusted(COUNTS, tau=0.5), 0.125),  # √π₁ / (√π₀ + √π₁), √(0.02 / 0.98) = 1 / 7
        (sy.losses.binary_cross_entropy(pos_weight=9.0), 0.1),
        (sy.losses.weighted_cross_entropy([1.0, 4.0], weight_by="prediction"), 0.5),
    ],
)
def test_the_implied_threshold(loss, threshold):
    assert sy.explain(loss, COUNTS).threshold == pytest.approx(threshold, rel=1e-9)


def test_the_threshold_is_where_trained_logits_change_sides():
    """Minimise the expected loss at a true probability just below and just above it: the logits cross zero."""
    loss = sy.losses.focal(gamma=1.5, class_weight=[1.0, 6.0])
    threshold = sy.explain(loss, COUNTS).threshold
    gap = np.linspace(-8, 8, 160_001)
    z = np.stack([np.zeros_like(gap), gap], 1)
    ones = np.ones(len(gap), int)
    for eta, side in ((threshold - 0.01, -1), (threshold + 0.01, 1)):
        risk = (1 - eta) * loss.value(z, 0 * ones) + eta * loss.value(z, ones)
        assert np.sign(gap[risk.argmin()]) == side


def test_pull_favours_classes_by_their_weights():
    counts = sy.ClassCounts.from_counts({"a": 700, "b": 200, "c": 100})
    pull = sy.explain(sy.losses.weighted_cross_entropy([1.0, 2.0, 4.0]), counts).pull
    np.testing.assert_allclose(pull, [0.25, 0.5, 1.0])
    adjusted = sy.explain(sy.losses.logit_adjusted(counts), counts).pull
    np.testing.assert_allclose(adjusted, [100 / 700, 100 / 200, 1.0])
    assert sy.explain(sy.losses.vector_scaling(counts), counts).pull is None  # depends on the example


def test_share_of_the_rare_class_in_small_batches():
    shares = sy.explain(sy.losses.weighted_cross_entropy(BALANCED), COUNTS).rare_share
    # published for 98/2, rounded: .02, .13, .32, .475 at batch 1, 8, 32, 256, and not .5
    np.testing.assert_allclose([shares[b] for b in (1, 8, 32, 256)], [0.02, 0.13, 0.32, 0.475], atol=0.007)
    # E[k w₁ / (k w₁ + (B − k) w₀)], k ~ Binomial(B, 0.02), by a simulation that is not our formula
    k = np.random.default_rng(0).binomial([[1], [8], [32], [256]], 0.02, size=(4, 400_000))
    batch = np.array([[1], [8], [32], [256]])
    simulated = (k * BALANCED[1] / (k * BALANCED[1] + (batch - k) * BALANCED[0])).mean(1)
    np.testing.assert_allclose([shares[b] for b in (1, 8, 32, 256)], simulated, atol=2e-3)


def test_a_sampler_moves_the_threshold():
    # rows sampled to π' make the model state η π'/π: 0.5 stands for 0.02 when classes are made equal
    assert sy.explain(sy.losses.cross_entropy(), COUNTS, sampler="random_over").threshold == pytest.approx(0.02)
    # to 3 : 1: odds of 1 stand for true odds of (0.02 / 0.98) / (1 / 3)
    odds = 3 * 0.02 / 0.98
    for shares in ([0.75, 0.25], {"no": 300, "yes": 100}, sy.ClassCounts.from_counts({"no": 3, "yes": 1})):
        said = sy.explain(sy.losses.cross_entropy(), COUNTS, sampler=shares)
        assert said.threshold == pytest.approx(odds / (1 + odds))
        np.testing.assert_allclose(said.pull, [odds, 1.0])
    assert "sampled rows" in said.minimiser


@pytest.mark.parametrize(
    ("loss", "decision", "threshold"),
    [
        (sy.losses.cross_entropy(), "prior_threshold", 0.02),
        (sy.losses.weighted_cross_entropy(BALANCED), "prior_threshold", 0.02),  # of corrected probabilities
        (sy.losses.cross_entropy(), "post_hoc_logit_adjustment", 0.02),
        (sy.losses.cross_entropy(), 0.3, 0.3),
        (sy.losses.binary_cross_entropy(), 0.3, 0.3),
        (sy.losses.binary_cross_entropy(pos_weight=9.0), 0.9, 0.5),  # odds 9 stated are odds 1
        (sy.losses.weighted_cross_entropy(BALANCED), 0.02, 0.02**2 / (0.02**2 + 0.98**2)),  # odds (2/98)²: twice
    ],
)
def test_decisions_other_than_the_arg_max(loss, decision, threshold):
    assert sy.explain(loss, COUNTS, decision=decision).threshold == pytest.approx(threshold, rel=1e-9)


def test_a_tuned_decision_has_no_threshold_before_it_is_tuned():
    said = sy.explain(sy.losses.cross_entropy(), COUNTS, decision="tuned")
    assert said.threshold is said.pull is None
    assert said.warnings == ()


def test_thresholds_are_where_a_trained_model_turns():
    """A threshold on the probabilities of a weighted logistic regression is another one on the true ones."""
    from sklearn.linear_model import LogisticRegression

    # rows that follow a logistic model exactly, by weight: two fits have no noise between them
    x = np.linspace(-4, 5, 400)
    eta = 1 / (1 + np.exp(6.0 - 2.0 * x))
    X, y, s = np.r_[x, x][:, None], np.repeat([0, 1], 400), np.r_[1 - eta, eta]
    counts = sy.ClassCounts.from_counts([(1 - eta).sum(), eta.sum()])
    w = sy.class_weight("balanced", counts)
    weighted = LogisticRegression(C=1e9, tol=1e-10, max_iter=1000).fit(X, y, s * w[y])
    said = sy.explain(sy.losses.weighted_cross_entropy(w), counts, decision=0.7)
    turns = weighted.predict_proba(x[:, None])[:, 1] > 0.7
    np.testing.assert_array_equal(turns, eta > said.threshold)
    assert 0.1 < said.threshold < 0.9
    assert turns.any()


@pytest.mark.parametrize("name", sy.strategies.names())
def test_strategies_are_explained_by_name_and_as_they_are(name):
    by_name, itself = sy.explain(name, COUNTS), sy.explain(sy.strategies.get(name), COUNTS)
    assert by_name == itself
    assert str(by_name).startswith(f"{name}: SoftmaxCrossEntropy(")
    point = sy.strategies.get(name).resolve(COUNTS)
    if by_name.threshold is not None and point.sampler != "smote":
        # just below and just above the threshold the strategy's own decision is another one
        for eta, label in ((by_name.threshold * 0.99, 0), (by_name.threshold * 1.01, 1)):
            assert point.decide(logits_of(point, np.array([1 - eta, eta])))[0] == label


def logits_of(point, eta):
    """Return logits whose corrected probabilities are η, by bisection."""
    low, high = -60.0, 60.0
    for _ in range(200):
        middle = (low + high) / 2
        z = np.array([[0.0, middle]])
        low, high = (middle, high) if point.posterior(z)[0, 1] < eta[1] else (low, middle)
    return np.array([[0.0, (low + high) / 2]])


def test_several_labels_have_a_threshold_each():
    indicators = np.array([[1, 0, 0], [1, 1, 0], [0, 0, 1], [1, 0, 0]])
    counts = sy.ClassCounts.from_indicators(indicators)
    said = sy.explain(sy.losses.binary_cross_entropy([1.0, 3.0, 9.0]), counts, batch_size=1)
    np.testing.assert_allclose(said.label_thresholds, [0.5, 0.25, 0.1])
    assert said.threshold is said.pull is None
    assert said.warnings == ()  # a batch without a label is no batch without a class
    assert "     from\n" in str(said)
    assert sy.explain(sy.losses.binary_cross_entropy(3.0), counts).label_thresholds == (0.25, 0.25, 0.25)
    assert sy.explain(sy.losses.binary_cross_entropy(3.0), COUNTS).label_thresholds is None


def test_fronts_are_explained_as_their_loss():
    torch = pytest.importorskip("torch")
    loss = sy.losses.weighted_cross_entropy([1.0, 4.0])
    module = sy.torch.Loss(loss)
    assert isinstance(module, torch.nn.Module)
    for front in (module, sy.boosting.lightgbm(loss)):
        assert sy.explain(front, COUNTS) == sy.explain(loss, COUNTS)


def test_the_page_fits_a_terminal_and_shows_the_ends_of_a_long_tail():
    counts = sy.ClassCounts.from_counts({f"species {i}": 10_000 // (i + 1) for i in range(500)})
    w = sy.class_weight("balanced", counts)
    page = str(sy.explain(sy.losses.weighted_cross_entropy(w), counts, sampler="random_over", batch_size=64))
    assert max(map(len, page.splitlines())) <= 96
    assert len(page.splitlines()) < 60
    assert "species 0 " in page
    assert "species 499 " in page
    assert "… 480 more" in page


def test_costs_have_no_minimiser_that_is_a_probability():
    loss = sy.losses.SoftmaxCrossEntropy(cost_matrix=[[0.0, 1.0], [5.0, 0.0]], cost_coefficient=1.0)
    said = sy.explain(loss, COUNTS)
    assert said.threshold is None
    assert "improper" in said.minimiser


def test_every_recipe_can_be_explained_and_printed():
    for loss in all_recipes().values():
        size = next((v.shape[-1] for n, v in loss.parameters.items() if v is not None and v.ndim), 3)
        said = sy.explain(loss, np.arange(1, size + 1) * 10)
        json.dumps(said.to_dict(), allow_nan=False)
        assert said.minimiser in " ".join(str(said).split())  # the page is wrapped


def test_bad_input():
    with pytest.raises(InputError, match="counts of 3 classes"):
        sy.explain(sy.losses.weighted_cross_entropy([1.0, 2.0, 3.0]), COUNTS)
    with pytest.raises(InputError, match="its `.loss`"):
        sy.explain(2.0, COUNTS)
    with pytest.raises(InputError, match="did you mean 'focal'"):
        sy.explain("focall", COUNTS)
    with pytest.raises(InputError, match="did you mean 'random_over'"):
        sy.explain("none", COUNTS, sampler="randomover")
    with pytest.raises(InputError, match="2 class shares or counts"):
        sy.explain("none", COUNTS, sampler=[0.2, 0.3, 0.5])
    with pytest.raises(InputError, match="classes of the counts in `sampler`; got 'maybe'"):
        sy.explain("none", COUNTS, sampler={"maybe": 1.0})
    with pytest.raises(InputError, match="`batch_size` ≥ 1"):
        sy.explain("none", COUNTS, batch_size=0)
    with pytest.raises(InputError, match="`denominator`"):
        sy.explain("none", COUNTS, denominator="row")
    with pytest.raises(InputError, match="`reduction`"):
        sy.explain("none", COUNTS, reduction="avg")
    with pytest.raises(InputError, match="`decision`"):
        sy.explain("none", COUNTS, decision="argmin")
    with pytest.raises(InputError, match="threshold in"):
        sy.explain("none", [5, 3, 2], decision=0.3)


def test_aligned_losses_are_the_same_losses():
    losses = [
        sy.losses.focal(gamma=1.0),
        sy.losses.weighted_cross_entropy(BALANCED),
        sy.losses.ldam(COUNTS),
        sy.losses.logit_adjusted(COUNTS),
    ]
    z, y = np.random.default_rng(0).normal(size=(20, 2)), np.arange(20) % 2
    for loss, same in zip(losses, aligned(losses, 2), strict=True):
        np.testing.assert_allclose(same.value(z, y), loss.value(z, y), rtol=1e-12)
        assert same.parameters["label_smoothing"] is None  # what none of them has
        assert same.parameters["margin"].shape == (2,)
    with pytest.raises(InputError, match="family and settings must be the same"):
        aligned([losses[0], losses[1].replace(reduction="sum")], 2)
