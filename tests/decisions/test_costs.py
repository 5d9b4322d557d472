import numpy as np
import pytest

from steelyard.decisions import min_cost
from steelyard.errors import InputError


def test_two_classes_follow_elkans_threshold():
    """t = (c_FP − c_TN) / (c_FP − c_TN + c_FN − c_TP), Elkan 2001, equation 2."""
    costs = np.array([[0.0, 1.0], [4.0, 0.5]])
    threshold = 1.0 / (1.0 + 3.5)
    p = np.linspace(0.01, 0.99, 99)
    np.testing.assert_array_equal(min_cost(np.column_stack([1 - p, p]), costs), p > threshold)


def test_more_classes_equal_a_search_over_all_labels():
    rng = np.random.default_rng(0)
    p = rng.dirichlet(np.ones(4), size=50)
    costs = rng.random((4, 4)) + 1.0
    np.fill_diagonal(costs, 0.0)
    by_hand = [min(range(4), key=lambda j: sum(row[k] * costs[k, j] for k in range(4))) for row in p]
    np.testing.assert_array_equal(min_cost(p, costs), by_hand)


def test_equal_mistakes_cost_the_arg_max():
    p = np.random.default_rng(1).dirichlet(np.ones(3), size=30)
    np.testing.assert_array_equal(min_cost(p, 1.0 - np.eye(3)), p.argmax(1))


@pytest.mark.parametrize(
    ("costs", "message"),
    [
        ([[0.0, 1.0]], r"shape \(2, 2\)"),
        ([[0.0, np.nan], [1.0, 0.0]], "finite"),
        ([[0.0, 1.0], [1.0, 2.0]], "diagonal is the least of its row.*transposed"),
    ],
)
def test_a_cost_matrix_that_makes_no_sense_is_refused(costs, message):
    with pytest.raises(InputError, match=message):
        min_cost([[0.5, 0.5]], costs)
