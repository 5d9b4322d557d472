import numpy as np
import pytest

from steelyard.comparison.selection import corrected_for_selection
from steelyard.metrics.catalogue import get

CLASSES = (0, 1)


def accuracy_like(y, labels):
    """Balanced accuracy of stored labels: a metric that is a mean over the rows of each class."""
    return get("balanced_accuracy", CLASSES).prepare(y, np.zeros((len(y), 2)), labels)


def test_the_best_of_many_guesses_is_worth_a_guess():
    """Twenty strategies that toss coins: the best one's mean is luck, and its true value is 0.5."""
    rng = np.random.default_rng(0)
    naive, corrected = [], []
    for trial in range(40):
        y = np.repeat([0, 1], [150, 50])
        labels = rng.integers(2, size=(20, len(y)))
        candidates = [[accuracy_like(y, row)] for row in labels]
        means = [c[0](None) for c in candidates]
        winner = int(np.argmax(means))
        naive.append(means[winner])
        found = corrected_for_selection(candidates, winner, means[winner], y, seed=trial, draws=100)
        corrected.append(found.estimate)
        assert found.low < found.estimate < found.high
    error = np.std(corrected) / np.sqrt(len(corrected))
    assert np.mean(naive) > 0.55
    assert np.mean(corrected) == pytest.approx(0.5, abs=max(3 * error, 0.01))


def test_a_clear_winner_keeps_its_mean():
    rng = np.random.default_rng(1)
    y = np.repeat([0, 1], [300, 100])
    good = np.where(rng.random(400) < 0.95, y, 1 - y)
    candidates = [[accuracy_like(y, good)]] + [[accuracy_like(y, rng.integers(2, size=400))] for _ in range(10)]
    mean = candidates[0][0](None)
    found = corrected_for_selection(candidates, 0, mean, y, seed=0)
    assert found.optimism == 0.0
    assert found.estimate == mean


def test_one_candidate_needs_no_correction_and_the_interval_holds_the_truth():
    """The share of intervals that hold the true value 0.8: at least 95 %, as they are somewhat too wide."""
    rng = np.random.default_rng(2)
    held = 0
    for trial in range(60):
        y = np.repeat([0, 1], [200, 60])
        labels = np.where(rng.random(260) < 0.8, y, 1 - y)
        of_weights = accuracy_like(y, labels)
        found = corrected_for_selection([[of_weights]], 0, of_weights(None), y, seed=trial, draws=100)
        assert found.optimism == 0.0
        held += found.low <= 0.8 <= found.high
    assert held >= 55  # 57 expected at 95 %


def test_ranking_metrics_are_not_moved_by_small_samples():
    """Average precision of a third of the rows is biased; a single candidate must still keep its mean."""
    rng = np.random.default_rng(3)
    y = np.repeat([0, 1], [400, 12])
    p = 1 / (1 + np.exp(-rng.normal(size=412) - 2.0 * y))
    proba = np.column_stack([1 - p, p])
    metric = get("average_precision", CLASSES)
    of_weights = metric.prepare(y, proba, y)
    assert corrected_for_selection([[of_weights]], 0, 0.4, y, seed=0, draws=50).estimate == 0.4


def test_lower_can_be_better():
    rng = np.random.default_rng(4)
    y = np.repeat([0, 1], [150, 50])
    costs = np.array([[0.0, 1.0], [1.0, 0.0]])
    metric = get("expected_cost", CLASSES, cost_matrix=costs)
    candidates = [[metric.prepare(y, np.zeros((200, 2)), rng.integers(2, size=200))] for _ in range(10)]
    values = [c[0](None) for c in candidates]
    winner = int(np.argmin(values))
    found = corrected_for_selection(candidates, winner, values[winner], y, seed=0, greater_is_better=False)
    assert found.estimate > values[winner]


def test_a_metric_that_is_undefined_has_no_estimate():
    y = np.repeat([0, 1], [50, 1])  # the one row of class 1 is never left out: it is drawn each time
    of_weights = accuracy_like(y, y)
    found = corrected_for_selection([[of_weights]], 0, 1.0, y, seed=0, draws=20)
    assert np.isnan(found.estimate)


def test_the_seed_decides():
    rng = np.random.default_rng(5)
    y = np.repeat([0, 1], [100, 30])
    candidates = [[accuracy_like(y, rng.integers(2, size=130))] for _ in range(5)]
    first, second = (corrected_for_selection(candidates, 0, 0.5, y, seed=7, draws=30) for _ in range(2))
    assert first == second
