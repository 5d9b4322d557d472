import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from steelyard.decisions.costs import min_cost, min_cost_threshold
from steelyard.errors import InputError


def by_loops(p, costs):
    """The cheapest label of each row, by the definition; the first of equally cheap ones."""
    labels = []
    for i, row in enumerate(p):
        matrix = costs if costs.ndim == 2 else costs[i]
        expected = [sum(row[k] * (matrix[k][j] - matrix[k][k]) for k in range(len(row))) for j in range(len(row))]
        labels.append(expected.index(min(expected)))
    return labels


def drawn(seed, n, n_classes, per_row=False):
    rng = np.random.default_rng(seed)
    p = rng.dirichlet(np.ones(n_classes), size=n)
    costs = rng.integers(1, 50, (n, n_classes, n_classes) if per_row else (n_classes, n_classes)).astype(float)
    costs[..., range(n_classes), range(n_classes)] = 0.0
    return p, costs


def test_two_classes_follow_elkans_threshold():
    """t = (c_FP − c_TN) / (c_FP − c_TN + c_FN − c_TP), Elkan 2001, equation 2."""
    costs = np.array([[0.0, 1.0], [4.0, 0.5]])
    threshold = 1.0 / (1.0 + 3.5)
    p = np.linspace(0.01, 0.99, 99)
    np.testing.assert_array_equal(min_cost(np.column_stack([1 - p, p]), costs), p > threshold)
    assert min_cost_threshold(costs) == pytest.approx(threshold, rel=1e-15)
    assert min_cost_threshold(costs, positive=0) == pytest.approx(1 - threshold, rel=1e-15)


@given(st.integers(0, 10_000), st.integers(2, 6), st.booleans())
def test_any_number_of_classes_equals_the_definition(seed, n_classes, per_row):
    p, costs = drawn(seed, 20, n_classes, per_row)
    np.testing.assert_array_equal(min_cost(p, costs), by_loops(p, costs))


@given(st.integers(0, 10_000), st.integers(2, 5), st.booleans(), st.integers(-20, 20))
def test_scale_row_constants_and_the_order_of_classes_change_nothing(seed, n_classes, per_row, power):
    p, costs = drawn(seed, 15, n_classes, per_row)
    labels = min_cost(p, costs)
    rng = np.random.default_rng(seed)
    np.testing.assert_array_equal(min_cost(p, costs * 2.0**power), labels)
    constants = rng.integers(0, 100, n_classes).astype(float)
    np.testing.assert_array_equal(min_cost(p, costs + constants[:, None]), labels)
    order = rng.permutation(n_classes)
    np.testing.assert_array_equal(order[min_cost(p[:, order], costs[..., order, :][..., order])], labels)


def test_equal_mistakes_cost_the_arg_max():
    p = np.random.default_rng(1).dirichlet(np.ones(3), size=30)
    np.testing.assert_array_equal(min_cost(p, 1.0 - np.eye(3)), p.argmax(1))


def test_no_labels_are_cheaper_on_rows_drawn_from_the_probabilities():
    """What is promised is the least cost on average: against every other rule on the same rows, at random."""
    rng = np.random.default_rng(2)
    p, costs = drawn(3, 4000, 3)
    truth = (p.cumsum(1) > rng.random((4000, 1))).argmax(1)
    ours = costs[truth, min_cost(p, costs)].mean()
    others = [costs[truth, (p * w).argmax(1)].mean() for w in rng.dirichlet(np.ones(3), size=300)]
    assert ours < min(others) + 0.1
    assert ours < costs[truth, p.argmax(1)].mean()


def test_costs_per_row_equal_a_call_per_row_and_a_matrix_that_is_repeated():
    p, costs = drawn(4, 300, 4, per_row=True)
    np.testing.assert_array_equal(min_cost(p, costs), [min_cost(p[[i]], costs[i])[0] for i in range(300)])
    np.testing.assert_array_equal(min_cost(p, np.tile(costs[0], (300, 1, 1))), min_cost(p, costs[0]))


def test_thresholds_per_row_are_arithmetic_by_hand():
    amounts = np.array([10.0, 90.0, 990.0])
    costs = np.zeros((3, 2, 2))
    costs[:, 0, 1] = 10.0
    costs[:, 1, 0] = amounts
    np.testing.assert_allclose(min_cost_threshold(costs), [0.5, 0.1, 0.01], rtol=1e-15)
    p = np.column_stack([[0.8] * 3, [0.2] * 3])
    np.testing.assert_array_equal(min_cost(p, costs), [0, 1, 1])


@pytest.mark.parametrize("kind", [np.float64, np.float32, np.int32])
def test_memory_beyond_costs_per_row_does_not_grow_with_them(kind):
    n, n_classes = 20_000, 12  # 23 MB of costs as float64
    costs = np.broadcast_to((1 - np.eye(n_classes)).astype(kind), (n, n_classes, n_classes)).copy()
    p = np.random.default_rng(0).dirichlet(np.ones(n_classes), size=n)
    tracemalloc.start()
    labels = min_cost(p, costs)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    np.testing.assert_array_equal(labels, p.argmax(1))
    assert peak < 14e6, peak  # parts of 2 MB, and a few per row; a copy of the costs alone would be 23 MB


BAD_ROW = np.tile([[0.0, 1.0], [1.0, 0.0]], (3, 1, 1))
BAD_ROW[2, 1] = [1.0, np.nan]
DEAR_ROW = np.tile([[0.0, 1.0], [1.0, 0.0]], (3, 1, 1))
DEAR_ROW[1, 0] = [2.0, 1.0]


@pytest.mark.parametrize(
    ("costs", "message"),
    [
        ([[0.0, 1.0]], r"shape \(2, 2\), or \(3, 2, 2\) with one for each row; got shape \(1, 2\)"),
        (np.zeros((2, 2, 2)), r"\(3, 2, 2\).*got shape \(2, 2, 2\)"),
        ([[0.0, np.nan], [1.0, 0.0]], "finite"),
        ([[0.0, 1.0], [1.0, 2.0]], "diagonal is the least of its row.*class 1.*transposed"),
        ([[0.0, 0.0], [0.0, 0.0]], "labels differ in cost"),
        ([[3.0, 3.0], [1.0, 1.0]], "labels differ in cost"),
        (np.ones((3, 2, 2)), "labels differ in cost"),
        ([["0", "amount"], ["1", "0"]], "as numbers.*read_costs"),
        ([[0.0, 1.0], [1.0]], "array of numbers"),
        (BAD_ROW, "finite.*nan in row 2"),
        (DEAR_ROW, r"\[2.0, 1.0\] for class 0 in row 1"),
    ],
)
def test_costs_that_make_no_sense_are_refused(costs, message):
    with pytest.raises(InputError, match=message):
        min_cost(np.full((3, 2), 0.5), costs)


def test_a_row_without_a_threshold_is_named():
    costs = np.tile([[0.0, 1.0], [1.0, 0.0]], (3, 1, 1))
    costs[1] = 0.0
    np.testing.assert_array_equal(min_cost(np.full((3, 2), 0.5), costs), [0, 0, 0])  # any label will do
    with pytest.raises(InputError, match="row 1, where they do not"):
        min_cost_threshold(costs)
    with pytest.raises(InputError, match="`positive` as 0 or 1"):
        min_cost_threshold([[0, 1], [1, 0]], positive=2)
