import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import f1_score, roc_auc_score, roc_curve

from steelyard.comparison.operating_points import hull, operating_points, shortest_between


def scored(n=20_000, share=0.05, seed=0, digits=None):
    rng = np.random.default_rng(seed)
    hit = rng.random(n) < share
    p = 1.0 / (1.0 + np.exp(4.0 - 2.0 * rng.normal(size=n) - 2.5 * hit))
    return (p if digits is None else p.round(digits)), hit


def test_counts_are_exact_at_every_threshold():
    p, hit = scored()
    found = operating_points(p, hit, 300)
    assert len(found["threshold"]) <= 300
    assert found["threshold"][0] is None
    for t, tp, fp in zip(found["threshold"][1:], found["found"][1:], found["false_alarms"][1:], strict=True):
        assert tp == (hit & (p >= t)).sum()
        assert fp == (~hit & (p >= t)).sum()
    assert found["found"][0] == found["false_alarms"][0] == 0
    assert (found["found"][-1], found["false_alarms"][-1]) == (hit.sum(), (~hit).sum())
    assert (np.diff([2.0 if t is None else t for t in found["threshold"]]) < 0).all()
    assert found["roc_auc"] == pytest.approx(roc_auc_score(hit, p))


@pytest.mark.parametrize("digits", [None, 2])
def test_the_best_stored_threshold_is_the_best_of_all_for_any_costs_share_and_for_f1(digits):
    p, hit = scored(digits=digits)
    found = operating_points(p, hit, 300)
    rate, recall, _ = roc_curve(hit, p, drop_intermediate=False)  # scikit-learn's, with every threshold
    ours = np.array(found["found"]) / hit.sum(), np.array(found["false_alarms"]) / (~hit).sum()
    rng = np.random.default_rng(1)
    for _ in range(200):
        share, miss = rng.uniform(0.001, 0.5), 10 ** rng.uniform(-1, 4)
        cost = [share * miss * (1 - r) + (1 - share) * f for r, f in ((recall, rate), ours)]
        assert cost[1].min() == pytest.approx(cost[0].min(), rel=1e-12)
    best = max(f1_score(hit, p >= t) for t in np.unique(p)[:: 1 if digits else 40])
    tp, fp = np.array(found["found"]), np.array(found["false_alarms"])
    assert (2 * tp / (hit.sum() + tp + fp)).max() >= best - 1e-12


def test_named_thresholds_are_there_as_they_are():
    p, hit = scored()
    found = operating_points(p, hit, 60)
    assert found["threshold"][found["half"]] == 0.5
    assert found["threshold"][found["share"]] == pytest.approx(hit.mean(), rel=1e-15)


def test_a_score_that_is_never_reached_labels_no_row():
    p, hit = scored(200)
    found = operating_points(p * 0.4, hit, 300)
    assert found["half"] == 0
    assert found["threshold"][0] is None


def test_few_different_scores_are_all_kept():
    found = operating_points(np.array([0.5, 0.5, 0.25, 0.25]), np.array([True, False, True, False]), 300)
    assert (found["found"], found["false_alarms"]) == ([0, 1, 2], [0, 1, 2])
    one = operating_points(np.zeros(3), np.array([True, False, False]), 300)
    assert (one["threshold"], one["found"]) == ([None, 0.0], [0, 1])


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)).filter(any), min_size=1, max_size=40))
def test_no_point_is_above_the_hull(steps):
    points = np.vstack([[0, 0], np.cumsum(steps, axis=0)]).astype(float)
    kept = points[hull(points[:, 0], points[:, 1])]
    assert (kept[-1] == points[-1]).all()
    above = points[:, 1] - np.interp(points[:, 0], kept[:, 0], kept[:, 1])
    left = points[:, 0] == kept[0, 0]  # where the hull rises straight up, its end counts
    assert (above[~left] <= 1e-9).all()
    assert points[left, 1].max() <= kept[kept[:, 0] == kept[0, 0], 1].max()


@settings(deadline=None)
@given(st.floats(0.0, 1.0), st.floats(0.0, 1.0))
def test_a_short_number_is_between(a, b):
    low, high = sorted((a, b))
    if low < high:
        assert low < shortest_between(low, high) <= high
