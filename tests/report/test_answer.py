import copy

import pytest

from steelyard.metrics import corrected_resampled_t
from steelyard.report.answer import answer
from steelyard.report.content import metric_called, models_in
from steelyard.report.differences import Differences, said
from steelyard.report.words import difference


def answered(content):
    return answer(content, metric_called(content["settings"]["metric"], content), models_in(content))


def of_best(content, **changes):
    """The results with something else said of the winner, and nothing of the others."""
    content = copy.deepcopy(content)
    keys = ("model", "strategy", "decision", "metric")
    for row in content["summary"]:
        if row["verdict"] == "helps":
            row["verdict"] = "no detectable difference"
        if all(row[k] == content["best"][k] for k in keys):
            row.update(changes)
    return content


@pytest.mark.parametrize(
    ("changes", "sentence", "tone"),
    [
        ({"verdict": "helps"}, "helps.", "helps"),
        ({"verdict": "no detectable difference"}, "no strategy detectably beats plain training.", "same"),
        ({"verdict": "no detectable difference", "only_threshold": True}, "only moves the threshold.", "same"),
    ],
)
def test_the_sentence_is_the_verdict(large, changes, sentence, tone):
    found = answered(of_best(large, **changes))
    assert found["sentence"].endswith(sentence)
    assert found["tone"] == tone


def test_while_others_help_it_is_not_said_that_nothing_does(large):
    content = of_best(large, verdict="no detectable difference")
    assert "no strategy" in answered(content)["sentence"]
    at = ("linear", "ldam", "average_precision")
    next(r for r in content["summary"] if (r["model"], r["strategy"], r["metric"]) == at)["verdict"] = "helps"
    assert answered(content)["sentence"].startswith("The best is ")


def test_the_explorer_is_pointed_at_where_there_is_one(large):
    content = of_best(large, verdict="no detectable difference")
    assert answered(content)["more"].endswith("Choose the threshold for your own costs below.")
    metric = metric_called(content["settings"]["metric"], content)
    assert "below" not in answer(content, metric, models_in(content), explored=False)["more"]


def test_the_numbers_are_those_of_the_results(large):
    row = next(r for r in large["summary"] if (r["model"], r["strategy"], r["metric"])
               == ("mlp", "ldam", "average_precision"))  # fmt: skip
    best = large["best"] | {"model": "mlp", "strategy": "ldam", "decision": "default"}
    found = {n["name"]: n for n in answered(large | {"best": best})["numbers"]}
    assert found["plain training"]["text"].startswith(f"difference of the best {difference(row['difference'])}, 95 %")
    assert found["best by its mean"]["value"] == best["strategy"]
    assert found["expect on new rows"]["value"] == f"{best['estimate']:.3f}"
    base = next(r for r in large["summary"] if r["strategy"] == "none" and r["metric"] == best["metric"]
                and r["model"] == best["model"])  # fmt: skip
    assert found["plain training"]["value"] == f"{base['mean']:.3f}"


def test_the_smallest_effect_is_the_one_that_results_state_if_they_do(large):
    metric = metric_called("average_precision", large)
    rows = [{k: v for k, v in row.items() if k != "detectable"} for row in large["summary"]]
    older = Differences(large).smallest(metric, "mlp", rows)
    assert "half the width" in older.text
    for row in rows:
        row["detectable"] = 0.123
    stated = Differences(large).smallest(metric, "mlp", rows)
    assert stated.value == 0.123
    assert "four times of five" in stated.text


def test_an_interval_of_a_difference_is_that_of_the_folds(large):
    row = next(r for r in large["summary"] if r["strategy"] == "smote" and r["metric"] == "f1_macro"
               and r["decision"] == "tuned")  # fmt: skip
    own = [r for r in large["runs"] if r["model"] == row["model"]]
    smote, none = ([r["metrics"]["f1_macro:tuned"] for r in own if r["strategy"] == s] for s in ("smote", "none"))
    expected = corrected_resampled_t([a - b for a, b in zip(smote, none, strict=True)], 0.25)
    low, high = Differences(large).interval(row)
    assert (low, high) == pytest.approx((expected.low, expected.high))
    assert (low + high) / 2 == pytest.approx(row["difference"])
    assert Differences(large).interval(row | {"difference_low": 1.0, "difference_high": 2.0}) == (1.0, 2.0)


def test_a_moved_threshold_is_said_to_be_one():
    row = {"difference": 0.1, "verdict": "no detectable difference", "only_threshold": True}
    assert said(row, None)["verdict"] == "moves the threshold only"
