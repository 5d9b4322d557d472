import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import balanced_accuracy_score, f1_score

from steelyard.metrics import get
from steelyard.tuning.needs import dual_step, hedge_step, needs

CONFUSION = np.array([[5000.0, 300.0, 200.0], [400.0, 900.0, 200.0], [100.0, 150.0, 250.0]])
CLASSES = ["a", "b", "c"]


def rows(confusion):
    """The labels that a confusion matrix of whole numbers counts."""
    truth, label = np.nonzero(confusion)
    times = confusion[truth, label].astype(int)
    return np.repeat(truth, times), np.repeat(label, times)


def corrected(confusion, k, share):
    """The matrix after a share of each kind of mistake of class k is put right."""
    moved = confusion.copy()
    right = share * confusion[k]
    right[k] = 0.0
    moved[k] -= right
    moved[k, k] += right.sum()
    return moved


def test_balanced_accuracy_needs_one_minus_recall():
    recall = np.diag(CONFUSION) / CONFUSION.sum(1)
    assert np.allclose(needs(CONFUSION, get("balanced_accuracy", CLASSES)), 1 - recall, atol=2e-3)


def test_worst_recall_is_hedge():
    recall = np.diag(CONFUSION) / CONFUSION.sum(1)
    assert np.array_equal(needs(CONFUSION, get("worst_recall", CLASSES)), 1 - recall)


def test_costs_are_their_own_needs():
    # L = M where right labels are free: each class causes what its mistakes cost, by hand
    M = np.array([[0.0, 1.0, 2.0], [5.0, 0.0, 1.0], [9.0, 3.0, 0.0]])
    caused = (CONFUSION * M).sum(1)
    found = needs(CONFUSION, get("expected_cost", CLASSES, cost_matrix=M))
    assert np.allclose(found / found.sum(), caused / caused.sum(), rtol=2e-2)


def test_costs_of_right_labels_do_not_count():
    M = np.array([[0.0, 1.0], [4.0, 2.0]])  # class b: 2 even where it is right, 4 where it is not
    cm = np.array([[800.0, 200.0], [30.0, 70.0]])
    found = needs(cm, get("expected_cost", ["a", "b"], cost_matrix=M))
    assert np.isclose(found[1] / found[0], 30 * (4 - 2) / (200 * 1), rtol=3e-2)


@pytest.mark.parametrize(
    ("name", "score"),
    [
        ("f1_macro", lambda y, p: f1_score(y, p, average="macro")),
        ("balanced_accuracy", balanced_accuracy_score),
    ],
)
def test_the_slope_is_what_scikit_learn_says_of_corrected_mistakes(name, score):
    before = score(*rows(CONFUSION))
    gained = np.array([score(*rows(corrected(CONFUSION, k, 0.02))) - before for k in range(3)])
    found = needs(CONFUSION, get(name, CLASSES))
    assert np.allclose(found / found.max(), gained / gained.max(), atol=0.01)


def test_a_g_mean_of_zero_still_says_where_to_go():
    cm = np.array([[90.0, 10.0], [10.0, 0.0]])
    found = needs(cm, get("g_mean", ["a", "b"]))
    assert np.isfinite(found).all()
    assert found.argmax() == 1


@given(arrays(np.float64, (3, 3), elements=st.integers(1, 500)), st.permutations(range(3)))
def test_needs_follow_the_classes(confusion, order):
    order = np.array(order)
    metric = get("f1_macro", CLASSES)
    assert np.allclose(needs(confusion, metric)[order], needs(confusion[np.ix_(order, order)], metric), atol=1e-9)


@given(arrays(np.float64, 4, elements=st.floats(-3, 3)), st.floats(0.1, 3))
def test_equal_needs_move_nothing(log, rate):
    assert np.allclose(hedge_step(log, np.full(4, 0.3), rate), log - log.mean())


def test_dual_ascent_rises_below_the_floor_and_falls_above():
    below, above = dual_step(np.zeros(2), 1, 0.95, 0.90, 8.0), dual_step(np.zeros(2), 1, 0.95, 1.0, 8.0)
    assert np.isclose(below[1] - below[0], 8 * 0.05)
    assert np.isclose(above[1] - above[0], -8 * 0.05)
