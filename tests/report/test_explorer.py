import numpy as np
import pytest

from steelyard.report.explorer import explorer, places


def test_it_begins_with_the_winner_and_costs_that_balanced_accuracy_implies(large):
    found = explorer(large)
    first, best = found["series"][found["start"]], large["best"]
    assert first["model"] == best["model"]
    assert best["strategy"] in (first["strategy"], *first["same"])
    sick, well = large["dataset"]["counts"]
    assert found["costs"] == {"sick": [1.0, float(f"{well / sick:.2g}")]}
    assert not found["stated"]
    assert found["other"] == "well"


def test_stated_costs_are_the_regret_of_either_mistake(large):
    content = large | {"settings": large["settings"] | {"costs": [[-1.0, 9.0], [2.0, 0.5]]}}
    assert explorer(content)["costs"] == {"sick": [1.5, 10.0]}
    assert explorer(content)["stated"]


def test_with_more_classes_costs_are_means_over_the_others(many):
    labels, counts = many["dataset"]["classes"], np.array(many["dataset"]["counts"], float)
    matrix = np.random.default_rng(0).uniform(1.0, 5.0, (7, 7)).round(1)
    np.fill_diagonal(matrix, 0.0)
    found = explorer(many | {"settings": many["settings"] | {"costs": matrix.tolist()}})
    assert sorted(found["labels"]) == sorted(labels)
    for k, label in enumerate(labels):
        rest = np.arange(7) != k
        expected = [
            np.average(matrix[rest, k], weights=counts[rest]),
            np.average(matrix[k, rest], weights=counts[rest]),
        ]
        assert found["costs"][label] == pytest.approx(expected, rel=1e-3)


def test_named_thresholds_are_what_they_say(large):
    found = explorer(large)
    series = found["series"][found["start"]]
    t = [1.1 if v is None else v for v in series["t"]]
    tp, fp = np.array(series["tp"]), np.array(series["fp"])
    alarm, miss = found["costs"][series["class"]]
    cost = alarm * fp + miss * (tp[-1] - tp)
    lines = {line["name"]: line for line in places(found)}
    assert lines["0.5"]["threshold"] == "0.5"
    share = large["dataset"]["counts"][0] / large["dataset"]["rows"]
    assert float(lines["share of the class"]["threshold"]) == pytest.approx(share, rel=1e-5)
    assert float(lines["cheapest"]["threshold"]) == pytest.approx(t[int(np.argmin(cost))], rel=1e-5)
    assert float(lines["cheapest"]["cost"]) == pytest.approx(1000 * cost.min() / (tp[-1] + fp[-1]), abs=0.5)
    assert float(lines["best F1"]["f1"]) == pytest.approx((2 * tp / (tp[-1] + tp + fp)).max(), abs=5e-4)


def test_older_results_have_no_explorer(large):
    assert explorer({k: v for k, v in large.items() if k != "views"}) is None
