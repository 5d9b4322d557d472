"""Ranks over data sets, against Demšar's worked example, scipy's Friedman test, and hand values."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import f, friedmanchisquare, t, wilcoxon

from steelyard.metrics.ranks import across_sets, rank_methods

# Demšar, JMLR 7, 2006, table 6: AUC of C4.5, with m, with cf, with both, on 14 sets
DEMSAR = np.array(
    [
        [0.763, 0.768, 0.771, 0.798],
        [0.599, 0.591, 0.590, 0.569],
        [0.954, 0.971, 0.968, 0.967],
        [0.628, 0.661, 0.654, 0.657],
        [0.882, 0.888, 0.886, 0.898],
        [0.936, 0.931, 0.916, 0.931],
        [0.661, 0.668, 0.609, 0.685],
        [0.583, 0.583, 0.563, 0.625],
        [0.775, 0.838, 0.866, 0.875],
        [1.000, 1.000, 1.000, 1.000],
        [0.940, 0.962, 0.965, 0.962],
        [0.619, 0.666, 0.614, 0.669],
        [0.972, 0.981, 0.9751, 0.975],
        [0.957, 0.978, 0.946, 0.970],
    ]
)


def test_the_worked_example_of_demsar():
    found = rank_methods(DEMSAR)
    # section 3.2.2: average ranks, F with 3 and 39 degrees of freedom is 3.69, CD for α = .05 is 1.25
    assert found.mean == pytest.approx([3.143, 2.000, 2.893, 1.964], abs=6e-4)
    assert found.critical_difference == pytest.approx(1.25, abs=5e-3)
    plain = 12 * 14 / (4 * 5) * ((found.mean**2).sum() - 4 * 5**2 / 4)
    assert plain == pytest.approx(9.28, abs=0.01)
    assert 13 * plain / (14 * 3 - plain) == pytest.approx(3.69, abs=0.01)
    # ours is corrected for the ties of two sets, as scipy's is
    chi = friedmanchisquare(*DEMSAR.T).statistic
    assert found.p_value == pytest.approx(f.sf(13 * chi / (14 * 3 - chi), 3, 39), rel=1e-9)
    assert found.n_sets == 14


def test_lower_may_be_better():
    assert rank_methods(-DEMSAR, greater_is_better=False).mean.tolist() == rank_methods(DEMSAR).mean.tolist()


def test_equal_methods_are_not_different():
    found = rank_methods(np.ones((5, 3)))
    assert found.mean.tolist() == [2, 2, 2]
    assert np.isnan(found.p_value)
    one = rank_methods([[0.1, 0.2]])
    assert one.mean.tolist() == [2, 1]
    assert np.isnan([one.p_value, one.critical_difference, *one.low]).all()
    assert rank_methods([[1.0, 0.5, 0.2]] * 6).p_value == 0.0  # all sets agree


@given(seed=st.integers(0, 10_000), k=st.integers(2, 6), n=st.integers(2, 12))
@settings(max_examples=25, deadline=None)
def test_invariants(seed, k, n):
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(n, k)).round(1)
    found = rank_methods(values, draws=200)
    order = rng.permutation(k)
    other = rank_methods(values[:, order], draws=200)
    assert found.mean.sum() == pytest.approx(k * (k + 1) / 2)
    assert other.mean == pytest.approx(found.mean[order])
    assert (found.low <= found.mean + 1e-12).all()
    assert (found.mean <= found.high + 1e-12).all()
    # any growing function of the scores of a set leaves its ranks alone
    assert rank_methods(np.exp(3 * values), draws=2).mean == pytest.approx(found.mean)


def test_false_alarms_of_the_friedman_test():
    rng = np.random.default_rng(0)
    p = [rank_methods(rng.normal(size=(12, 5)), draws=2).p_value for _ in range(400)]
    assert 0.02 <= np.mean(np.array(p) < 0.05) <= 0.08  # 0.05 ± 2.7 standard errors


def test_differences_are_judged_by_the_signed_ranks_of_scipy():
    d = DEMSAR[:, 3] - DEMSAR[:, 0]
    found = across_sets(d)
    # Demšar, section 3.1.3: R+ = 93, R- = 12 of 14 sets, significant at .05
    assert found.p_value == pytest.approx(wilcoxon(d, zero_method="pratt", method="asymptotic").pvalue)
    assert found.p_value < 0.05
    half = t.ppf(0.975, 13) * d.std(ddof=1) / np.sqrt(14)
    assert (found.low, found.high) == pytest.approx((d.mean() - half, d.mean() + half))
    assert across_sets([*d, np.nan]) == found


def test_few_or_no_differences():
    assert across_sets([]).n_sets == 0
    one = across_sets([0.2])
    assert (one.mean, one.n_sets) == (0.2, 1)
    assert np.isnan(one.low)
    same = across_sets([0.0, 0.0, 1e-15])
    assert (same.mean, same.low, same.high) == (0, 0, 0)
    assert np.isnan(same.p_value)
    # five sets cannot reach .05 with signed ranks: 2 / 2^5
    assert across_sets([0.1, 0.2, 0.3, 0.4, 0.5]).p_value == pytest.approx(2 / 2**5)
