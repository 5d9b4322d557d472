import numpy as np
import pytest
from sklearn.metrics import average_precision_score, f1_score, precision_score, recall_score

from steelyard.decisions import best_rule
from steelyard.metrics import get
from steelyard.tuning.objectives import Objective
from steelyard.tuning.tasks import Scored

CLASSES = ["no", "yes"]


@pytest.fixture
def scored():
    rng = np.random.default_rng(1)
    y = (np.arange(300) < 60).astype(np.int64)
    p = 1 / (1 + np.exp(-rng.normal(size=300) - 2.0 * y + 2.0))
    proba = np.column_stack([1 - p, p])
    return y, Scored(proba, proba.argmax(1).astype(np.int64)), [np.arange(i, 300, 3) for i in range(3)]


def test_selection_labels_each_fold_by_a_rule_of_the_others(scored):
    y, s, places = scored
    metric = get("f1", CLASSES)
    labels = np.empty(len(y), int)
    for place in places:
        rest = np.setdiff1d(np.arange(len(y)), place)
        labels[place] = best_rule(s.proba[rest], y[rest], metric, 1)(s.proba[place])
    assert np.isclose(Objective(metric, 2, 1).selection(y, s, places), f1_score(y, labels))


def test_a_default_decision_is_the_arg_max_of_training(scored):
    y, s, places = scored
    trained = Scored(s.proba, 1 - s.trained)  # not the arg max of the probabilities
    value = Objective(get("f1_macro", CLASSES), 2, 1, "default").selection(y, trained, places)
    assert np.isclose(value, f1_score(y, 1 - s.trained, average="macro"))


def test_scores_need_no_decision(scored):
    y, s, places = scored
    objective = Objective(get("average_precision", CLASSES, 1), 2, 1)
    assert objective.rule(s.proba, y) is None
    assert np.isclose(objective.selection(y, s, places), average_precision_score(y, s.proba[:, 1]))


def test_costs_count_downwards(scored):
    y, s, places = scored
    costs = np.array([[0.0, 1.0], [4.0, 0.0]])
    objective = Objective(get("expected_cost", CLASSES, 1, cost_matrix=costs), 2, 1, "default")
    assert np.isclose(objective.selection(y, s, places), -costs[y, s.trained].mean())


def test_a_broken_floor_is_worth_less_than_any_precision(scored):
    y, s, places = scored
    objective = Objective(get("precision@recall>=0.9", CLASSES, 1), 2, 1, "default")
    attained = recall_score(y, s.trained)
    assert attained < 0.9
    broken = objective.selection(y, s, places)
    everything = Scored(s.proba, np.ones(len(y), np.int64))
    kept = objective.selection(y, everything, places)
    assert broken < 0 < kept
    assert np.isclose(kept, precision_score(y, np.ones(len(y))))
    fewer = Scored(s.proba, np.where(np.arange(len(y)) == np.flatnonzero(s.trained & y)[0], 0, s.trained))
    assert objective.selection(y, fewer, places) < broken


def test_the_value_with_a_floor_is_the_precision_at_these_labels(scored):
    y, s, _ = scored
    objective = Objective(get("precision@recall>=0.9", CLASSES, 1), 2, 1)
    assert np.isclose(objective.value(y, s, s.trained), precision_score(y, s.trained))
    assert np.isclose(objective.kept(y, s.trained), recall_score(y, s.trained))
