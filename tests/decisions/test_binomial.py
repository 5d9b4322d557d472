import numpy as np
import pytest
from scipy import stats

from steelyard.decisions.binomial import (
    largest_confidence,
    lower_bound,
    misses_among_new,
    most_misses,
    rows_needed,
    wilson,
)


@pytest.mark.parametrize("n", [1, 5, 44, 45, 100, 1000, 100_000])
@pytest.mark.parametrize("share", [0.01, 0.05, 0.2, 0.5, 0.97])
@pytest.mark.parametrize("confidence", [0.5, 0.9, 0.99])
def test_most_misses_is_the_largest_that_scipys_binomial_allows(n, share, confidence):
    m = most_misses(n, share, confidence)
    assert m < 0 or stats.binom.cdf(m, n, share) <= 1 - confidence + 1e-9
    assert stats.binom.cdf(m + 1, n, share) > 1 - confidence - 1e-9


def test_without_confidence_it_is_the_average():
    assert [most_misses(n, 0.05, None) for n in (19, 20, 100)] == [0, 1, 5]


@pytest.mark.parametrize(("share", "confidence"), [(0.05, 0.9), (0.2, 0.95), (0.01, 0.5)])
def test_rows_needed(share, confidence):
    n = rows_needed(share, confidence)
    assert most_misses(n, share, confidence) == 0
    assert most_misses(n - 1, share, confidence) == -1
    assert largest_confidence(n, share) >= confidence > largest_confidence(n - 1, share)


@pytest.mark.parametrize(("hits", "n"), [(45, 45), (90, 100), (3, 7), (4990, 5000)])
def test_lower_bound_is_clopper_and_pearsons(hits, n):
    expected = stats.binomtest(hits, n, alternative="greater").proportion_ci(0.9, method="exact").low
    assert lower_bound(hits, n, 0.9) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(("n", "misses", "new"), [(100, 1, 100), (50, 0, 20), (500, 30, 1000), (60, 59, 60)])
def test_misses_among_new_rows_are_beta_binomial(n, misses, new):
    law = stats.betabinom(new, misses + 1, n - misses)
    assert misses_among_new(n, misses, new, 0.9) == (law.ppf(0.05), law.ppf(0.95))


def test_wilson():
    for hits, n in ((0, 9), (20, 20), (7, 31)):
        expected = stats.binomtest(hits, n).proportion_ci(0.9, method="wilson")
        assert wilson(hits, n, 0.9) == pytest.approx((expected.low, expected.high), abs=1e-12)
    assert np.isnan(wilson(0, 0, 0.9)).all()
