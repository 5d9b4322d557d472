import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests

from steelyard.metrics import corrected_resampled_t, holm, smallest_detectable, verdict


def test_the_interval_by_hand():
    x = [0.80, 0.84, 0.78, 0.86, 0.82]
    # mean 0.82; squared deviations 4 + 4 + 16 + 16 + 0 (e-4) over 4 give s² = 0.001; (1/5 + 1/4) s² = 0.00045
    error = 0.00045**0.5
    found = corrected_resampled_t(x, test_to_train=0.25)
    assert found.mean == pytest.approx(0.82)
    assert found.high - found.mean == pytest.approx(2.7764451 * error, rel=1e-6)  # t of 4 degrees, table value
    assert found.p_value == pytest.approx(2 * stats.t.sf(0.82 / error, 4))


def test_without_the_correction_term_it_is_the_usual_t_test():
    x = np.random.default_rng(0).normal(0.1, 1.0, size=15)
    usual = stats.ttest_1samp(x, 0.0)
    found = corrected_resampled_t(x, test_to_train=0.0)
    assert found.p_value == pytest.approx(usual.pvalue)
    assert (found.low, found.high) == pytest.approx(tuple(usual.confidence_interval()))


def test_undefined_folds_are_left_out_and_one_fold_has_no_interval():
    assert corrected_resampled_t([0.1, np.nan, 0.3, 0.2], 0.25) == corrected_resampled_t([0.1, 0.3, 0.2], 0.25)
    alone = corrected_resampled_t([0.4], 0.25)
    assert alone.mean == 0.4
    assert np.isnan([alone.low, alone.high, alone.p_value]).all()
    assert np.isnan(corrected_resampled_t([], 0.25).mean)


def test_identical_scores_are_no_difference():
    assert corrected_resampled_t(np.zeros(15), 0.25).p_value == 1.0
    assert corrected_resampled_t(np.full(15, 1e-17), 0.25).p_value == 1.0
    assert corrected_resampled_t(np.full(15, 0.02), 0.25).p_value == 0.0


@pytest.mark.parametrize("seed", range(5))
def test_holm_equals_statsmodels(seed):
    p = np.random.default_rng(seed).beta(0.5, 3.0, size=9)
    np.testing.assert_allclose(holm(p), multipletests(p, method="holm")[1])


def test_holm_leaves_untested_entries_out():
    np.testing.assert_allclose(holm([0.01, np.nan, 0.04]), [0.02, np.nan, 0.04])
    assert holm([]).size == 0


def test_verdicts_follow_the_direction_of_the_metric():
    assert verdict(0.1, 0.001, greater_is_better=False) == "harms"
    assert verdict(-0.1, 0.001, greater_is_better=False) == "helps"
    assert verdict(0.1, float("nan")) == "no detectable difference"
    assert verdict(0.1, 0.05) == "no detectable difference"


@pytest.mark.parametrize(("test_to_train", "honest"), [(0.25, True), (0.0, False)])
def test_strategies_that_do_nothing_rarely_help(test_to_train, honest):
    """Eight strategies without effect, their fold errors correlated as cross-validation correlates them.

    The usual t-test fails the same test: it is the correction that makes verdicts honest.
    """
    rng = np.random.default_rng(0)
    trials, found = 400, 0
    rho = 0.2  # n_test / (n_test + n_train), the correlation that Nadeau and Bengio assume
    for _ in range(trials):
        shared = rng.normal(size=(8, 1)) * rho**0.5
        differences = 0.01 * (shared + rng.normal(size=(8, 15)) * (1 - rho) ** 0.5)
        estimates = [corrected_resampled_t(d, test_to_train) for d in differences]
        adjusted = holm([e.p_value for e in estimates])
        found += any(verdict(e.mean, p) == "helps" for e, p in zip(estimates, adjusted, strict=True))
    # two tails of 5 % leave 2.5 % for "helps"; 5 % is three standard errors of 400 trials above
    assert (found / trials <= 0.05) == honest


@pytest.mark.parametrize(("n", "alpha"), [(5, 0.05), (15, 0.05), (15, 0.05 / 16), (10, 0.01)])
def test_the_smallest_detectable_difference_is_that_of_statsmodels(n, alpha):
    """An ordinary one-sample t test (no overlap): statsmodels solves for the same effect size."""
    from statsmodels.stats.power import TTestPower

    x = np.random.default_rng(n).normal(size=n)
    theirs = TTestPower().solve_power(nobs=n, alpha=alpha, power=0.8, alternative="larger", effect_size=None)
    two_sided = smallest_detectable(x, 0.0, 2 * alpha)  # its other side adds nothing that is seen
    assert two_sided == pytest.approx(theirs * x.std(ddof=1), rel=1e-5)  # their solver stops at about 2e-6


def test_the_overlap_and_power_make_it_larger_and_nothing_gives_nan():
    x = np.array([0.1, 0.3, 0.2, 0.0, 0.4])
    assert smallest_detectable(x, 0.25) == pytest.approx(smallest_detectable(x, 0.0) * np.sqrt(0.45 / 0.2))
    assert smallest_detectable(x, 0.25, power=0.9) > smallest_detectable(x, 0.25)
    for nothing in ([], [0.1], np.zeros(15)):
        assert np.isnan(smallest_detectable(nothing, 0.25))


def test_a_difference_of_the_promised_size_is_found_four_times_of_five():
    """Normal differences with a known spread, the promise made from it: 2,000 tests at that effect."""
    rng = np.random.default_rng(0)
    n, trials = 15, 2000
    unit = np.sqrt(n) * np.array([-1.0, 1.0] * 7 + [0.0]) / np.sqrt(15)
    unit /= unit.std(ddof=1)
    effect = smallest_detectable(unit, 0.0, 0.05)
    found = sum(corrected_resampled_t(effect + rng.normal(size=n), 0.0).p_value < 0.05 for _ in range(trials))
    assert found / trials == pytest.approx(0.8, abs=3 * np.sqrt(0.16 / trials))
