import json
import time

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import confusion_matrix, f1_score

import steelyard as sy
from steelyard.errors import InputError
from tests.decisions.scored import three, two


@pytest.fixture(scope="module")
def sick():
    return two(3000, 0.05)


def test_the_threshold_is_the_best_of_all_and_the_numbers_are_scikit_learns():
    proba, y = two(3000, 0.1)
    rule = sy.decisions.fit(proba, y)
    best = max(f1_score(y, np.where(proba[:, 0] >= t, "sick", "well"), average="macro") for t in np.unique(proba[:, 0]))
    assert f1_score(y, rule(proba), average="macro") == pytest.approx(best)
    before = np.where(proba[:, 0] >= 0.5, "sick", "well")
    assert rule.baseline.mean == pytest.approx(f1_score(y, before, average="macro"))
    np.testing.assert_array_equal(rule.confusion_before, confusion_matrix(y, before))
    assert np.sum(rule.confusion) == len(y)
    assert rule.estimate.mean == pytest.approx(rule.baseline.mean + rule.gain.mean)
    assert rule.estimate.low < rule.estimate.mean < rule.estimate.high
    assert rule.gain.low > 0
    assert rule.trusted
    low, high = rule.uncertainty["threshold"].low, rule.uncertainty["threshold"].high
    assert low <= rule.decision.threshold <= high


def test_the_bootstrap_agrees_with_one_over_rows(sick):
    """Rows drawn with scikit-learn's F1 instead of cells drawn with ours."""
    proba, y = sick
    rule = sy.decisions.fit(proba, y)
    before = np.where(proba[:, 0] >= 0.5, "sick", "well")
    rng = np.random.default_rng(0)
    groups = [np.flatnonzero(y == label) for label in ("sick", "well")]
    draws = []
    for _ in range(300):
        rows = np.concatenate([rng.choice(g, len(g)) for g in groups])
        draws.append(f1_score(y[rows], before[rows], average="macro"))
    assert (rule.baseline.low, rule.baseline.high) == pytest.approx(tuple(np.quantile(draws, [0.05, 0.95])), abs=0.012)


def test_the_estimate_is_near_what_new_rows_show():
    """Mean over 30 small tables: the value on the rows of the fit is too good, the cross-fitted one is not."""
    new, truth = two(50_000, 0.1, distance=1.0, seed=999)
    inside, estimated, shown = [], [], []
    for seed in range(30):
        proba, y = two(300, 0.1, distance=1.0, seed=seed)
        rule = sy.decisions.fit(proba, y)
        inside.append(f1_score(y, rule(proba), average="macro"))
        estimated.append(rule.estimate.mean)
        shown.append(f1_score(truth, rule(new), average="macro"))
    assert np.mean(inside) > np.mean(shown) + 0.02
    assert np.mean(estimated) == pytest.approx(np.mean(shown), abs=0.02)


@pytest.mark.parametrize(
    "labels",
    [["sick", "well"], [3, 7], [False, True], [0.0, 1.0], ["<b>", "[red]x[/]"]],
)
def test_labels_keep_their_type_and_survive_json(sick, labels):
    proba, y = sick
    names = np.array(labels)
    truth = names[(y == "well").astype(int)]
    rule = sy.decisions.fit(proba, truth)
    assert rule(proba).dtype.kind == names.dtype.kind
    assert set(rule(proba).tolist()) == set(labels)
    again = sy.decisions.from_dict(json.loads(json.dumps(rule.to_dict(), allow_nan=False)))
    assert again == rule
    np.testing.assert_array_equal(again(proba), rule(proba))
    assert str(again) == str(rule)
    assert rule(proba[:1]).shape == (1,)


def test_columns_of_tables_are_found_by_name(sick):
    proba, y = sick
    plain = sy.decisions.fit(proba, y)
    swapped = {"id": np.arange(len(y)), "well": proba[:, 1], "sick": proba[:, 0]}
    predicted = {"prediction": y, "probability_well": proba[:, 1], "probability_sick": proba[:, 0]}
    for table in (pd.DataFrame(swapped), pl.DataFrame(swapped), pa.table(swapped), pd.DataFrame(predicted)):
        assert sy.decisions.fit(table, y) == plain
        np.testing.assert_array_equal(plain(table), plain(proba))
    np.testing.assert_array_equal(plain(pd.DataFrame(proba)), plain(proba))
    with pytest.raises(InputError, match="a column 'sick'"):
        plain(pd.DataFrame({"ill": proba[:, 0], "well": proba[:, 1]}))


@given(seed=st.integers(0, 1000))
@settings(max_examples=10, deadline=None)
def test_classes_in_another_order_give_the_same_labels(seed):
    proba, y = two(200, 0.2, seed=seed)
    rule = sy.decisions.fit(proba, y, positive="sick")
    other = sy.decisions.fit(proba[:, ::-1], y, classes=["well", "sick"], positive="sick")
    np.testing.assert_array_equal(rule(proba), other(proba[:, ::-1]))


@pytest.mark.parametrize("metric", ["f1_macro", "balanced_accuracy"])
def test_whole_weights_are_copies_of_rows(metric):
    proba, y = two(300, 0.2)
    w = np.random.default_rng(0).integers(1, 4, 300)
    weighted = sy.decisions.fit(proba, y, metric, sample_weight=w)
    copied = sy.decisions.fit(np.repeat(proba, w, axis=0), np.repeat(y, w), metric)
    assert weighted.decision == copied.decision
    assert weighted.baseline.mean == pytest.approx(copied.baseline.mean)


def test_costs_of_two_classes_are_the_least_over_all_thresholds():
    proba, y = two(700, 0.1)
    costs = np.array([[0.0, 20.0], [1.0, 0.0]])

    def cost(labels):
        return (confusion_matrix(y, labels) * costs).sum() / len(y)

    rule = sy.decisions.fit(proba, y, "expected_cost", cost_matrix=costs)
    every = [cost(np.where(proba[:, 0] >= t, "sick", "well")) for t in [*np.unique(proba[:, 0]), 1.1]]
    assert cost(rule(proba)) == pytest.approx(min(every))
    assert rule.gain.high < 0
    assert rule.trusted


def test_scores_of_another_population_are_called_uncalibrated(sick):
    proba, y = sick
    moved = sy.decisions.prior_shift(proba, [0.05, 0.95], [0.5, 0.5])
    rule = sy.decisions.fit(moved, y, "expected_cost", cost_matrix=[[0, 20], [1, 0]])
    assert any("uncalibrated" in w and "0.05" in w for w in rule.warnings)


def test_a_metric_may_be_a_function(sick):
    proba, y = sick

    def sick_recall_less_alarms(cm):
        return cm[:, 0, 0] / cm[:, 0].sum(-1) - cm[:, 1, 0] / cm[:, 1].sum(-1)

    rule = sy.decisions.fit(proba, y, sick_recall_less_alarms)
    assert rule.metric == "sick_recall_less_alarms"
    np.testing.assert_array_equal(rule(proba), sy.decisions.fit(proba, y, "balanced_accuracy")(proba))


def test_three_classes():
    proba, index = three(3000)
    y = np.array(["a", "b", "c"])[index]
    rule = sy.decisions.fit(proba, y)
    assert rule.gain.mean > 0
    assert list(rule.uncertainty) == ["a", "b", "c"]
    assert rule.uncertainty["c"].low <= rule.uncertainty["c"].high
    assert sy.decisions.fit(proba, y) == rule  # deterministic
    assert "weight × probability" in str(rule)
    again = sy.decisions.from_dict(json.loads(json.dumps(rule.to_dict())))
    np.testing.assert_array_equal(again(proba), rule(proba))


@pytest.mark.slow
def test_a_million_rows_take_seconds():
    proba, y = two(1_000_000, 0.03)
    start = time.perf_counter()
    sy.decisions.fit(proba, y)
    assert time.perf_counter() - start < 30


@pytest.mark.parametrize(
    ("change", "warning"),
    [
        (lambda p, y: (np.full_like(p, 0.5), y), "same probability.*nothing can be told"),
        (lambda p, y: (np.round(p, 1), y), "takes only .* different values"),
        (lambda p, y: (p[:150], y[:150]), r"'sick' has \d+ rows"),
        (lambda p, y: (p, np.random.default_rng(0).permutation(y)), "no gain over the plain arg max beyond noise"),
        (lambda p, y: two(400, 0.02, 1.0, seed=1), "poorly determined"),
    ],
)
def test_reasons_for_care(sick, change, warning):
    rule = sy.decisions.fit(*change(*sick))
    assert not rule.trusted
    assert pd.Series(rule.warnings).str.contains(warning).any(), rule.warnings
    assert "Reasons for care" in str(rule)


def test_a_class_with_one_row_is_fitted_and_not_trusted():
    proba, _ = two(100, 0.1)
    y = np.where(np.arange(100) == 0, "sick", "well")
    rule = sy.decisions.fit(proba, y)
    assert not rule.cross_fitted
    assert any("single row" in w for w in rule.warnings)
    assert sy.decisions.from_dict(json.loads(json.dumps(rule.to_dict(), allow_nan=False))) == rule


P, Y = two(60, 0.3)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: sy.decisions.fit(P[:, 0], Y), "np.column_stack"),
        (lambda: sy.decisions.fit(P[:, :1], Y), "np.column_stack"),
        (lambda: sy.decisions.fit(np.where(P > 0.9, np.nan, P), Y), "finite `proba`"),
        (lambda: sy.decisions.fit(np.log(P), Y), "softmax"),
        (lambda: sy.decisions.fit(P[:0], Y[:0]), "scored rows"),
        (lambda: sy.decisions.fit(P, Y[:-1]), "as many labels as rows"),
        (lambda: sy.decisions.fit(P, np.linspace(0, 1.5, 60)), "regression target"),
        (lambda: sy.decisions.fit(P, Y, classes=["ill", "well"]), "'sick'"),
        (lambda: sy.decisions.fit(np.full((60, 3), 1 / 3), Y), "classes="),
        (lambda: sy.decisions.fit(np.full((60, 3), 1 / 3), Y, classes=["dead", "sick", "well"]), "none of 'dead'"),
        (lambda: sy.decisions.fit(P, Y, "f1_makro"), "did you mean 'f1_macro'"),
        (lambda: sy.decisions.fit(P, Y, "roc_auc"), "depends on a decision"),
        (lambda: sy.decisions.fit(P, Y, "expected_cost"), "a cost matrix"),
        (lambda: sy.decisions.fit(P, Y, "expected_cost", cost_matrix=np.zeros((2, 2))), "cost"),
        (lambda: sy.decisions.fit(P, Y, cost_matrix=[[0, 1], [1, 0]]), "expected_cost"),
        (lambda: sy.decisions.fit(P, Y, positive="ill"), "`positive`"),
        (lambda: sy.decisions.fit(P, Y, sample_weight=-np.ones(60)), "`sample_weight`"),
        (lambda: sy.decisions.fit(P, Y, confidence=0.0), "`confidence`"),
        (lambda: sy.decisions.fit(P, Y)(np.full((2, 3), 1 / 3)), "2 columns"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(InputError, match=message):
        call()
