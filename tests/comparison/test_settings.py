import pytest

import steelyard as sy
from steelyard.comparison.settings import DEFAULT_STRATEGIES, settings
from steelyard.comparison.target import read_target
from steelyard.errors import InputError

TWO = read_target(["no"] * 20 + ["yes"] * 10)
THREE = read_target(["a"] * 20 + ["b"] * 10 + ["c"] * 10)


def test_defaults():
    assert [s.name for s in settings(TWO).strategies] == list(DEFAULT_STRATEGIES)
    assert settings(TWO).metric == "average_precision"
    assert settings(TWO).decision_metric == "balanced_accuracy"
    assert settings(THREE).metric == "balanced_accuracy"
    assert settings(TWO, metric="f1_macro").decision_metric == "f1_macro"


def test_the_baseline_is_always_there_and_first():
    assert [s.name for s in settings(TWO, ["focal", "balanced"]).strategies] == ["none", "focal", "balanced"]
    assert [s.name for s in settings(TWO, ["focal", "none"]).strategies] == ["none", "focal"]
    assert [s.name for s in settings(TWO, "all").strategies] == list(sy.strategies.names())


def test_parameters_are_kept_and_reported():
    chosen = settings(TWO, [sy.strategies.get("logit_adjusted", tau=0.5), "focal"])
    assert chosen.to_dict(TWO)["parameters"] == {"logit_adjusted": {"tau": 0.5}, "focal": {"gamma": 2.0}}
    assert chosen.to_dict(TWO)["positive"] == "yes"


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"strategies": ["balancd"]}, "did you mean 'balanced'"),
        ({"strategies": ["focal", "focal"]}, "'focal' 2 times"),
        ({"metric": "f1_marco"}, "did you mean 'f1_macro'"),
        ({"model": "mpl"}, "did you mean 'mlp'"),
        ({"decisions": "tuned"}, "`decisions` in {'both', 'default'}"),
        ({"cv": 1}, "`cv` as a whole number of at least 2"),
        ({"cv": 5.0}, "`cv` as a whole number"),
        ({"repeats": 0}, "`repeats` as a whole number of at least 1"),
        ({"random_state": -1}, "`random_state` as a whole number of at least 0"),
        ({"cv": 11}, r"yes \(10\)"),
    ],
)
def test_a_request_that_cannot_be_met_is_refused(asked, message):
    with pytest.raises(InputError, match=message):
        settings(TWO, **asked)
