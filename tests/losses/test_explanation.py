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
    # E[k w₁ / (k w₁ + (B − k) w₀)], k ~ Binomial(B, 0.02), by a simulation that is not our formula
    k = np.random.default_rng(0).binomial([[1], [8], [32], [256]], 0.02, size=(4, 400_000))
    batch = np.array([[1], [8], [32], [256]])
    simulated = (k * BALANCED[1] / (k * BALANCED[1] + (batch - k) * BALANCED[0])).mean(1)
    np.testing.assert_allclose([shares[b] for b in (1, 8, 32, 256)], simulated, atol=2e-3)


@pytest.mark.parametrize(
    ("loss", "words"),
    [
        (sy.losses.weighted_cross_entropy(BALANCED[::-1].copy()), "upside down"),
        (sy.losses.logit_adjusted(COUNTS, class_weight=BALANCED), "Double correction"),
        (sy.losses.scaled_logits(BALANCED), "not a weighted loss"),
        (sy.losses.weighted_cross_entropy([1.0, 0.0]), "never learnt"),
        (sy.losses.cross_entropy(label_smoothing=0.1), "Smoothing puts 0.05"),
        (sy.losses.ldam(COUNTS, scale=1.0), "Margins without a logit scale"),
    ],
)
def test_what_is_probably_not_meant_is_said(loss, words):
    assert any(words in w for w in sy.explain(loss, COUNTS).warnings)


@pytest.mark.parametrize(
    "loss",
    [
        sy.losses.cross_entropy(),
        sy.losses.weighted_cross_entropy(BALANCED),
        sy.losses.logit_adjusted(COUNTS),
        sy.losses.ldam(COUNTS),
        sy.losses.focal(),
    ],
)
def test_what_is_meant_is_not_warned_of(loss):
    assert sy.explain(loss, COUNTS).warnings == ()


def test_absent_classes_are_said():
    counts = sy.ClassCounts.from_labels(["a", "b", "b"], classes=["a", "b", "c"])
    assert any("No rows of c" in w for w in sy.explain(sy.losses.logit_adjusted(counts), counts).warnings)


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
        assert said.minimiser in str(said)


def test_bad_input():
    with pytest.raises(InputError, match="counts of 3 classes"):
        sy.explain(sy.losses.weighted_cross_entropy([1.0, 2.0, 3.0]), COUNTS)
    with pytest.raises(InputError, match="its `.loss`"):
        sy.explain("focal", COUNTS)


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
