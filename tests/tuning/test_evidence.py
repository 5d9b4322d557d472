import numpy as np
import pytest
from scipy.stats import t as student

from steelyard.tuning.evidence import Measured, accepted_stage, judged

RATIO = 0.25


def stages(*differences, base=0.5):
    first = Measured("plain", np.full(5, base))
    return [first, *(Measured(f"stage {i}", base + np.array(d)) for i, d in enumerate(differences))]


@pytest.mark.parametrize("shift", [-0.001, 0.001])
def test_accepted_where_a_one_sided_corrected_t_is_below_five_percent(shift):
    d = np.array([0.02, 0.05, 0.01, 0.04, 0.03])
    # the mean at which p is exactly .05: t(4) quantile times the corrected error
    border = student.ppf(0.95, 4) * np.sqrt((1 / 5 + RATIO) * d.var(ddof=1))
    _, verdict = judged(stages(d - d.mean() + border + shift), RATIO)
    assert verdict.accepted == (shift > 0)


def test_less_is_better_for_costs():
    cheaper, dearer = judged(stages([-0.1] * 4 + [-0.11], [0.1] * 5), RATIO, greater_is_better=False)[1:]
    assert cheaper.accepted
    assert not dearer.accepted


def test_each_stage_is_compared_with_the_last_that_was_accepted():
    verdicts = judged(stages([0.0] * 5, [0.1, 0.11, 0.1, 0.1, 0.1], [0.05] * 5), RATIO)
    assert [v.against for v in verdicts] == [None, "plain", "plain", "stage 1"]
    assert [v.accepted for v in verdicts] == [True, False, True, False]
    assert accepted_stage(verdicts) == "stage 1"
    assert "same" in verdicts[1].reason


def test_an_undefined_fold_is_left_out_and_one_fold_is_no_evidence():
    nan = np.nan
    verdicts = judged(stages([0.1, 0.1, 0.11, nan, 0.1], [0.3, nan, nan, nan, nan]), RATIO)
    assert verdicts[1].accepted
    assert not verdicts[2].accepted


def floors(*pooled, gain=0.2):
    values = np.array([0.3, 0.31, 0.3, 0.29, 0.3])
    return [Measured(str(i), values + gain * i, np.full(5, p), p) for i, p in enumerate(pooled)]


@pytest.mark.parametrize(
    ("pooled", "gain", "accepted"),
    [
        ((0.96, 0.94), 0.2, False),  # more precision does not pay for a broken floor
        ((0.90, 0.96), -0.1, True),  # keeping it does, whatever the precision
        ((0.96, 0.97), 0.2, True),
        ((0.96, 0.97), -0.1, False),
        ((0.80, 0.90), -0.1, True),  # neither keeps it: the nearer
        ((0.90, 0.80), 0.2, False),
    ],
)
def test_a_floor_comes_before_what_is_raised(pooled, gain, accepted):
    verdict = judged(floors(*pooled, gain=gain), RATIO, floor=0.95)[1]
    assert verdict.accepted == accepted
