import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from steelyard.metrics.ranking import (
    Ranking,
    average_precision,
    average_precision_by_chance,
    precision_at_recall,
    recall_at_precision,
    roc_auc,
)


def data(seed, ties):
    rng = np.random.default_rng(seed)
    y = np.concatenate([[True, False], rng.random(300) < 0.1])
    scores = rng.normal(size=302) + y
    return y, np.round(scores, 1) if ties else scores, rng.random(302)


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_equal_to_scikit_learn(seed, ties, weighted):
    y, scores, weight = data(seed, ties)
    w = weight if weighted else None
    curve = Ranking.of(scores).curve(y, w)
    assert average_precision(curve) == pytest.approx(sk.average_precision_score(y, scores, sample_weight=w))
    assert roc_auc(curve) == pytest.approx(sk.roc_auc_score(y, scores, sample_weight=w))


@given(st.integers(0, 10_000), st.booleans(), st.integers(1, 40))
@settings(max_examples=60, deadline=None)
def test_the_cuts_beside_positive_rows_say_all_that_every_cut_says(seed, ties, rows):
    """scikit-learn's values, with the weights of a bootstrap: many rows have none."""
    y, scores, _ = data(seed, ties)
    y, scores = y[:rows], scores[:rows]
    weight = np.random.default_rng(seed + 1).poisson(0.7, rows).astype(float)
    short = Ranking.of(scores).where_found(y)
    for w in (weight, None):
        whole, few = Ranking.of(scores).curve(y, w), short(w)
        if not whole.defined:
            assert not few.defined
            continue
        assert average_precision(few) == pytest.approx(sk.average_precision_score(y, scores, sample_weight=w))
        assert roc_auc(few) == pytest.approx(sk.roc_auc_score(y, scores, sample_weight=w))
        for level in (0.2, 0.5, 1.0):
            assert precision_at_recall(few, level) == pytest.approx(precision_at_recall(whole, level))
            assert recall_at_precision(few, level) == pytest.approx(recall_at_precision(whole, level))


@pytest.mark.parametrize("level", [0.1, 0.5, 0.9, 1.0])
def test_levels_equal_the_curve_of_scikit_learn(level):
    y, scores, _ = data(3, ties=True)
    precision, recall, _ = sk.precision_recall_curve(y, scores)
    curve = Ranking.of(scores).curve(y)
    # its last point, precision 1 at recall 0, is a convention and no threshold
    precision, recall = precision[:-1], recall[:-1]
    assert precision_at_recall(curve, level) == pytest.approx(precision[recall >= level].max())
    assert recall_at_precision(curve, level) == pytest.approx(recall[precision >= level].max(initial=0.0))


def test_a_level_that_is_met_exactly_counts():
    curve = Ranking.of(np.array([5.0, 4, 3, 2, 1])).curve(np.array([True, False, True, True, False]))
    assert precision_at_recall(curve, 2 / 3) == pytest.approx(0.75)


def test_nothing_to_find_is_undefined_not_zero():
    for y in (np.zeros(4, bool), np.ones(4, bool)):
        curve = Ranking.of(np.arange(4.0)).curve(y)
        assert np.isnan([average_precision(curve), roc_auc(curve), precision_at_recall(curve, 0.5)]).all()


@given(st.integers(0, 10_000))
@settings(max_examples=30, deadline=None)
def test_order_is_all_that_counts(seed):
    y, scores, _ = data(seed, ties=True)
    shuffled = np.random.default_rng(seed).permutation(len(y))
    before, after = Ranking.of(scores).curve(y), Ranking.of(np.exp(scores[shuffled] * 3.0)).curve(y[shuffled])
    np.testing.assert_allclose(before.true_positives, after.true_positives)
    assert average_precision(before) == pytest.approx(average_precision(after))


@pytest.mark.parametrize(("positives", "rows"), [(1, 1), (1, 4), (2, 5), (3, 6), (6, 6)])
def test_the_chance_of_average_precision_is_its_mean_over_every_order(positives, rows):
    """scikit-learn's value of each of the orders that the rows can have."""
    y = np.arange(rows) < positives
    orders = list(itertools.combinations(range(rows), positives))
    values = [sk.average_precision_score(np.isin(np.arange(rows), order), -np.arange(rows)) for order in orders]
    assert average_precision_by_chance(y.sum(), rows) == pytest.approx(np.mean(values), rel=1e-12)
