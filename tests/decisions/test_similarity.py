import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from steelyard.decisions.similarity import ordinal_costs, similarity_costs, tree_costs
from steelyard.errors import InputError

GRADES = ["none", "mild", "moderate", "severe"]


@pytest.mark.parametrize("power", [0.5, 1, 2])
def test_ordinal_costs_are_distances(power):
    by_hand = [[abs(i - j) ** power for j in range(4)] for i in range(4)]
    np.testing.assert_allclose(ordinal_costs(GRADES, power), by_hand, rtol=1e-15)


def test_ordinal_costs_in_the_order_of_the_columns():
    columns = sorted(GRADES)
    costs = ordinal_costs(GRADES, classes=columns)
    for (k, a), (j, b) in itertools.product(enumerate(columns), repeat=2):
        assert costs[k, j] == abs(GRADES.index(a) - GRADES.index(b))


def test_quadratic_ordinal_costs_are_those_of_quadratic_kappa():
    """scikit-learn's weighted kappa is 1 − cost of the labels ÷ cost of labels drawn at random."""
    from sklearn.metrics import cohen_kappa_score

    rng = np.random.default_rng(0)
    y, labels = rng.integers(0, 4, 500), rng.integers(0, 4, 500)
    costs = ordinal_costs(range(4), 2)
    ours = 1 - costs[y, labels].mean() / costs[np.repeat(y, 500), np.tile(labels, 500)].mean()
    assert ours == pytest.approx(cohen_kappa_score(y, labels, weights="quadratic"), abs=1e-12)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ordinal_costs(GRADES, 0), "`power` > 0"),
        (lambda: ordinal_costs(["a"]), "at least two labels"),
        (lambda: ordinal_costs(["a", "a"]), "'a' twice"),
        (lambda: ordinal_costs(GRADES, classes=["none", "mild", "moderat", "severe"]), "did you mean 'moderate'"),
        (lambda: ordinal_costs(GRADES, classes=GRADES[:3]), "none called 'severe'"),
        (lambda: tree_costs({"a": ["x", "y"], "b": ["x"]}), "'x' twice"),
        (lambda: tree_costs({"a": ["x", "y"], "b": []}), "an empty group"),
        (lambda: tree_costs("x"), "at least two labels"),
    ],
)
def test_orders_and_trees_that_are_none(call, message):
    with pytest.raises(InputError, match=message):
        call()


TREE = {"animals": {"cats": ["lion", "tiger", "lynx"], "birds": ["gull"]}, "plants": ["fern", "moss"]}


def test_tree_costs_are_heights_of_the_lowest_common_ancestor():
    """The root is 3 edges above a cat; animals 2, cats 1, plants 1."""
    leaves = ["lion", "tiger", "lynx", "gull", "fern", "moss"]
    height = {("lion", "tiger"): 1, ("lion", "lynx"): 1, ("tiger", "lynx"): 1, ("fern", "moss"): 1}
    height |= {(cat, "gull"): 2 for cat in leaves[:3]}
    by_hand = [[0 if a == b else height.get((a, b), height.get((b, a), 3)) / 3 for b in leaves] for a in leaves]
    np.testing.assert_allclose(tree_costs(TREE), by_hand, rtol=1e-15)
    order = sorted(leaves)
    at = [leaves.index(leaf) for leaf in order]
    np.testing.assert_allclose(tree_costs(TREE, order), np.array(by_hand)[np.ix_(at, at)], rtol=1e-15)


def random_tree(draw, leaves):
    if len(leaves) == 1:
        return leaves[0]
    cut = draw(st.integers(1, len(leaves) - 1))
    return [random_tree(draw, leaves[:cut]), random_tree(draw, leaves[cut:])]


@given(st.data())
def test_tree_costs_are_an_ultrametric(data):
    leaves = list(range(data.draw(st.integers(2, 7))))
    costs = tree_costs(random_tree(data.draw, leaves))
    assert costs.max() == 1.0
    np.testing.assert_array_equal(costs, costs.T)
    for a, b, c in itertools.permutations(leaves, 3) if len(leaves) > 2 else ():
        assert costs[a, c] <= max(costs[a, b], costs[b, c])


# --- statements -----------------------------------------------------------------------------------------------------


def least_by_search(n, statements):
    """The least whole costs of pairs that satisfy all statements: raised one at a time until none is broken."""
    cost = {frozenset(pair): 1 for pair in itertools.combinations(range(n), 2)}
    for _ in range(len(cost) * (len(cost) + 1)):
        broken = [(a, b, c) for a, b, c in statements if cost[frozenset((a, b))] >= cost[frozenset((a, c))]]
        if not broken:
            return cost
        a, b, c = broken[0]
        cost[frozenset((a, c))] = cost[frozenset((a, b))] + 1
    return None


@given(st.integers(3, 5), st.data())
def test_the_least_costs_that_satisfy_every_statement(n, data):
    triple = st.permutations(range(n)).map(lambda order: tuple(order[:3]))
    statements = data.draw(st.lists(triple, max_size=8))
    expected = least_by_search(n, statements)
    if expected is None:
        with pytest.raises(InputError, match="round in a circle"):
            similarity_costs(range(n), statements)
        return
    costs = similarity_costs(range(n), statements)
    np.testing.assert_array_equal(costs, costs.T)
    for pair, cost in expected.items():
        a, b = sorted(pair)
        assert costs[a, b] == cost
    order = data.draw(st.permutations(range(n)))
    np.testing.assert_array_equal(similarity_costs(order, statements), costs[np.ix_(order, order)])


def test_sentences():
    classes = ["sports car", "than to", "O'Brien's"]
    costs = similarity_costs(
        classes,
        [
            "  'sports car' is closer to \"than to\" than to \"O'Brien's\".",
            "'than to' is closer to sports car than O'Brien's",
        ],
    )
    np.testing.assert_array_equal(costs, [[0, 1, 2], [1, 0, 2], [2, 2, 0]])
    np.testing.assert_array_equal(similarity_costs([1, 2, 3], ["1 is closer to 2 than to 3"])[0], [0, 1, 2])


def test_a_contradiction_names_its_circle_and_nothing_else():
    statements = [
        "a is closer to b than to c",
        "c is closer to a than to d",
        "d is closer to c than to b",
        "b is closer to d than to a",
        "e is closer to a than to b",
    ]
    with pytest.raises(InputError, match="round in a circle") as caught:
        similarity_costs(["a", "b", "c", "d", "e"], statements)
    for statement in statements[:4]:
        assert statement in str(caught.value)
    assert statements[4] not in str(caught.value)


@pytest.mark.parametrize(
    ("statements", "message"),
    [
        (["a is like b"], "a statement 'A is closer to B than to C'; got 'a is like b'"),
        (["a is closer to b than to x"], "class in a statement, one of a, b, c; got 'x'"),
        (["a is closer to b than to a"], "three different classes"),
        ([("a", "b")], "three classes"),
        ("a is closer to b than to c", "as a list"),
    ],
)
def test_statements_that_are_none(statements, message):
    with pytest.raises(InputError, match=message):
        similarity_costs(["a", "b", "c"], statements)
