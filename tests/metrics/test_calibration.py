"""Brier's parts and the recalibrating line, against statsmodels, scikit-learn and sums by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss

from steelyard.metrics import get
from steelyard.metrics.calibration import brier_parts, calibration_intercept, recalibrate


def scored(n=2000, slope=1.0, shift=0.0, seed=0):
    """Outcomes, and probabilities whose recalibration has this slope and intercept."""
    rng = np.random.default_rng(seed)
    true = rng.normal(-2.0, 1.5, n)
    hit = rng.random(n) < 1.0 / (1.0 + np.exp(-true))
    return 1.0 / (1.0 + np.exp(-(true - shift) / slope)), hit


def logit(p):
    return np.log(p) - np.log1p(-p)


# --- parts ------------------------------------------------------------------------------------------------------------


def test_the_parts_by_hand():
    """Two probabilities: .1 came true in 1 of 10 rows, .6 in 8 of 10."""
    p = np.repeat([0.1, 0.6], 10)
    hit = np.array([1] + [0] * 9 + [1] * 8 + [0] * 2, bool)
    # Σ p (1 − p) is 3.3: one group of 20 rows; the mean of p is .35, the share .45
    gap = p - hit
    parts = brier_parts(p, hit)
    assert parts.reliability == pytest.approx(0.01 - gap.var(ddof=1) / 20)
    assert parts.uncertainty == pytest.approx(0.45 * 0.55 * 20 / 19)
    # ten times the rows: Σ p (1 − p) is 33, and .1 and .6 stand apart; equal probabilities in a group are the case of
    # Ferro and Fricker, whose terms these are
    parts = brier_parts(np.repeat(p, 10), np.repeat(hit, 10))
    bias = (100 * 0.1 * 0.9 / 99 + 100 * 0.8 * 0.2 / 99) / 200
    assert parts.reliability == pytest.approx((0.0 + 0.2**2) / 2 - bias)
    spread = ((0.1 - 0.45) ** 2 + (0.8 - 0.45) ** 2) / 2
    assert parts.resolution == pytest.approx(spread - bias + 0.45 * 0.55 / 199)


def test_certainty_that_comes_true_has_nothing_left():
    hit = np.arange(30) % 3 == 0
    parts = brier_parts(hit.astype(float), hit)
    assert parts.reliability == 0.0
    assert parts.resolution == pytest.approx(parts.uncertainty)


@given(st.integers(0, 10_000), st.integers(2, 300), st.sampled_from([0, 1, 3, 15]))
def test_the_parts_add_up_to_the_brier_score(seed, n, digits):
    rng = np.random.default_rng(seed)
    p, hit = rng.beta(0.3, 3.0, n).round(digits), rng.random(n) < 0.2
    parts = brier_parts(p, hit)
    total = parts.reliability - parts.resolution + parts.uncertainty
    assert total == pytest.approx(brier_score_loss(hit, p, labels=[False, True]), abs=1e-12)


@pytest.mark.parametrize("n_classes", [2, 4])
def test_the_metrics_of_parts_add_up_for_any_number_of_classes(n_classes):
    rng = np.random.default_rng(3)
    y, proba = rng.integers(0, n_classes, 400), rng.dirichlet(np.ones(n_classes), 400)
    value = {
        name: get(name, range(n_classes)).value(y, proba, y)
        for name in ("brier_reliability", "brier_resolution", "brier_uncertainty", "neg_brier_score")
    }
    total = value["brier_reliability"] - value["brier_resolution"] + value["brier_uncertainty"]
    assert -total == pytest.approx(value["neg_brier_score"], abs=1e-12)
    assert value["brier_reliability"] > 0.01


def test_reliability_is_free_of_the_bias_that_few_rows_give():
    """Right probabilities have a reliability of 0 on average; Murphy's, on ten groups of equal size, does not."""
    rng = np.random.default_rng(0)
    found, plain = [], []
    for _ in range(400):
        p = np.sort(rng.beta(0.5, 5.0, 200))
        hit = rng.random(200) < p
        found.append(brier_parts(p, hit).reliability)
        groups = zip(np.split(p, 10), np.split(hit, 10), strict=True)
        plain.append(np.mean([(a.mean() - b.mean()) ** 2 for a, b in groups]))
    error = np.std(found) / np.sqrt(len(found))
    assert abs(np.mean(found)) < 3 * error
    assert np.mean(plain) > 20 * error
    assert brier_parts(np.minimum(3 * p, 1.0), hit).reliability > 20 * error


def test_nothing_is_said_of_one_row():
    assert np.isnan(brier_parts(np.array([0.3]), np.array([True])).reliability)
    assert np.isnan(brier_parts(np.array([]), np.array([], bool)).uncertainty)


# --- the line ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("slope", "shift", "n"), [(1.0, 0.0, 2000), (0.5, 0.7, 500), (2.0, -1.0, 120)])
def test_slope_and_intercept_are_those_of_a_glm(slope, shift, n):
    import statsmodels.api as sm

    p, hit = scored(n, slope, shift)
    proba = np.column_stack([1 - p, p])
    binomial = sm.families.Binomial()
    line = sm.GLM(hit.astype(float), sm.add_constant(logit(p)), family=binomial).fit()
    found = recalibrate(proba, hit.astype(int))
    assert found.slope == pytest.approx(line.params[1], rel=1e-6)
    assert found.offsets[1] - found.offsets[0] == pytest.approx(line.params[0], abs=1e-6)
    large = sm.GLM(hit.astype(float), np.ones(n), offset=logit(p), family=binomial).fit()
    assert calibration_intercept(p, hit) == pytest.approx(large.params[0], abs=1e-6)
    weight = np.random.default_rng(1).integers(0, 4, n).astype(float)
    line = sm.GLM(hit.astype(float), sm.add_constant(logit(p)), family=binomial, freq_weights=weight).fit()
    assert recalibrate(proba, hit.astype(int), weight).slope == pytest.approx(line.params[1], rel=1e-6)


def test_a_known_distortion_is_found_and_taken_back():
    p, hit = scored(60_000, 0.5, 0.7)
    found = recalibrate(np.column_stack([1 - p, p]), hit.astype(int))
    assert found.slope == pytest.approx(0.5, abs=0.02)
    again = recalibrate(found(np.column_stack([1 - p, p])), hit.astype(int))
    assert again.slope == pytest.approx(1.0, abs=1e-6)
    assert np.allclose(again.offsets, 0.0, atol=1e-6)


def test_one_slope_for_several_classes_is_the_largest_likelihood():
    """scikit-learn cannot tie the slopes, but its free optimum bounds ours, and no neighbour is better."""
    rng = np.random.default_rng(0)
    proba = rng.dirichlet([3.0, 1.0, 0.4], 3000)
    z = np.array([0.5, 0.0, -0.5]) + 0.6 * np.log(proba)
    q = np.exp(z) / np.exp(z).sum(1, keepdims=True)
    y = np.array([rng.choice(3, p=row) for row in q])
    found = recalibrate(proba, y)
    assert found.slope == pytest.approx(0.6, abs=0.05)
    assert np.allclose(np.array(found.offsets), [0.5, 0.0, -0.5], atol=0.15)

    def loss(slope, offsets):
        z = slope * np.log(proba) + offsets
        return float(np.mean(np.log(np.exp(z).sum(1)) - z[np.arange(len(y)), y]))

    best = loss(found.slope, found.offsets)
    for k in range(4):
        for step in (-1e-3, 1e-3):
            moved = np.array([found.slope, *found.offsets])
            moved[k] += step
            assert loss(moved[0], moved[1:]) > best
    free = LogisticRegression(C=1e9, max_iter=2000).fit(np.log(proba), y)
    assert best >= -free.predict_log_proba(np.log(proba))[np.arange(len(y)), y].mean() - 1e-6


def test_separated_or_absent_classes_have_no_line():
    p = np.linspace(0.1, 0.9, 20)
    proba = np.column_stack([1 - p, p])
    assert not recalibrate(proba, (p > 0.5).astype(int)).defined
    assert not recalibrate(proba, np.zeros(20, int)).defined
    assert np.isnan(calibration_intercept(p, np.ones(20, bool)))
    constant = np.full(20, 0.3)
    assert not recalibrate(np.column_stack([1 - constant, constant]), np.arange(20) % 2).defined


def test_zeros_and_ones_are_read_as_the_log_loss_reads_them():
    p = np.array([0.0, 0.0, 1.0, 1.0, 0.4, 0.6, 0.5, 0.2])
    found = recalibrate(np.column_stack([1 - p, p]), np.array([0, 1, 1, 0, 1, 0, 1, 0]))
    assert found.defined
    assert abs(found.slope) < 0.1


def test_what_is_for_the_better_is_nearer_to_the_ideal():
    slope = get("calibration_slope", [0, 1])
    assert slope.improves(0.3, 0.6)
    assert not slope.improves(0.3, 1.1)
    assert slope.improves(-0.3, 1.4)
    assert get("brier_reliability", [0, 1]).improves(-0.1, 0.5)
    assert get("roc_auc", [0, 1]).improves(0.1, 0.5)
