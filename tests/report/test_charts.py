import pytest
from hypothesis import given
from hypothesis import strategies as st

from steelyard.report.charts import axis_for, mark

finite = st.floats(-1e6, 1e6)


@given(st.lists(finite, min_size=1, max_size=20))
def test_an_axis_holds_its_values_and_has_a_few_ticks(values):
    axis = axis_for(values)
    slack = 1e-9 * max(1.0, abs(axis.low), abs(axis.high))
    assert axis.low <= min(values) + slack
    assert axis.high >= max(values) - slack
    assert 2 <= len(axis.ticks) <= 9
    assert len({label for _, label in axis.ticks}) == len(axis.ticks)
    assert axis.ticks[0][0] == 0.0
    assert axis.ticks[-1][0] == 100.0


def test_marks_stand_where_their_numbers_are():
    axis = axis_for([0.0, 1.0])
    assert mark({"mean": 0.5, "ci_low": 0.25, "ci_high": 0.75}, axis) == {"start": 25.0, "width": 50.0, "middle": 50.0}
    assert mark({"mean": None, "ci_low": None, "ci_high": None}, axis) is None
    assert mark({"mean": 0.5, "ci_low": None, "ci_high": None}, axis)["width"] == pytest.approx(0.0)


def test_nothing_known_still_has_an_axis():
    assert axis_for([None, None]).ticks
