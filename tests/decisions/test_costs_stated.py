"""Costs as people write them: by name, in files, in columns; and what is said of them."""

import builtins
import warnings
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

import steelyard as sy
from steelyard.decisions.cost_files import as_costs, read_costs
from steelyard.decisions.cost_words import class_weights, dominated, pairwise_thresholds
from steelyard.decisions.costs import min_cost
from steelyard.decisions.stated_costs import Costs
from steelyard.errors import InputError, MissingDependencyError

ABC = ["A", "B", "C"]
EXPECTED = np.array([[0.0, 1.0, 2.0], [3.0, 0.0, 4.0], [5.0, 6.0, 0.0]])


def written(folder: Path, name: str, text: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("costs.csv", "truth,A,B,C\nA,0,1,2\nB,3,0,4\nC,5,6,0\n"),
        ("costs.csv", "\ufefftruth, C ,A,B\r\nC,,5,6\r\nA,2,,1\r\nB,4,3,\r\n\r\n"),  # any order, as Excel saves it
        ("costs.csv", "truth;A;B;C\nA;0;1;2\nB;3;0;4\nC;5;6;0\n"),
        ("costs.tsv", "\tA\tB\tC\nA\t0\t1\t2\nB\t3\t0\t4\nC\t5\t6\t0\n"),
        ("costs.csv", '"",A,"B",C\n"A",0,1e0,2.0\nB,+3,0,4\nC,5,6,0\n'),
        ("costs.yaml", "A: {B: 1, C: 2}\nB: {A: 3, C: 4, B: 0}\nC: {A: 5, B: 6}\n"),
        ("costs.yml", "C:\n  B: 6\ndefault: 5\nA:\n  B: 1\n  C: 2\nB: {A: 3, C: 4}\n"),
    ],
)
def test_forms_of_a_file(tmp_path, name, text):
    np.testing.assert_array_equal(read_costs(written(tmp_path, name, text), ABC).matrix, EXPECTED)


def test_classes_are_matched_as_text(tmp_path):
    csv = written(tmp_path, "costs.csv", "truth,1.0,0\n0,7,0\n1.0,0,9\n")
    np.testing.assert_array_equal(read_costs(csv, [0, 1]).matrix, [[0, 7], [9, 0]])
    np.testing.assert_array_equal(read_costs(csv, np.array([1.0, 0.0])).matrix, [[0, 9], [7, 0]])
    lower = written(tmp_path, "lower.csv", "truth,true,false\nfalse,7,0\ntrue,0,9\n")
    np.testing.assert_array_equal(read_costs(lower, [False, True]).matrix, [[0, 7], [9, 0]])
    # YAML 1.1 reads these words as booleans, and 012 as ten
    words = written(tmp_path, "words.yaml", "no: {yes: 1, 012: 2}\nyes: {no: 9, 012: 3}\n012: {no: 4, yes: 5}\n")
    np.testing.assert_array_equal(read_costs(words, ["no", "yes", "012"]).matrix, [[0, 1, 2], [9, 0, 3], [4, 5, 0]])
    # the class is a mapping, the default for all a number
    named = written(tmp_path, "default.yaml", "default: {paid: 9}\npaid: {default: 1}\n")
    np.testing.assert_array_equal(read_costs(named, ["default", "paid"]).matrix, [[0, 9], [1, 0]])
    counts = sy.ClassCounts.from_counts({"paid": 9, "default": 1})
    assert read_costs(named, counts).classes == counts.classes


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("c.csv", "truth,A,B,D\nA,0,1,2\n", "label in the header, one of A, B, C; got 'D', in"),
        ("c.csv", "truth,fraudd,ok\n", "did you mean 'fraud'"),
        ("c.csv", "truth,A,B,B\nA,0,1,2\n", "each label in the header once; got 'B' again"),
        ("c.csv", "truth,A,B\nA,0,1\nB,1,0\n", "every class as a label in the header; got none for C"),
        ("c.csv", "truth,A,B,C\nA,0,1,2\nB,3,0,4\n", "every class as a true class in the first column; got none for C"),
        ("c.csv", "truth,A,B,C\nA,0,1,2\nA,3,0,4\nC,1,1,0\n", "'A' again in line 3"),
        ("c.csv", "truth,A,B,C\nA,0,1,2\nB,3,0\nC,1,1,0\n", "4 fields in every line; got 3 in line 3"),
        ("c.csv", "truth,A,B,C\nA,0,,2\nB,3,0,4\nC,5,6,0\n", "labelling 'A' as 'B'; got ''"),
        ("c.csv", 'truth,A,B,C\nA,0,"1,5",2\nB,3,0,4\nC,5,6,0\n', "'1,5'.*no separator but the decimal point"),
        ("c.csv", "truth,A,B,C\nA,0,5€,2\nB,3,0,4\nC,5,6,0\n", "'5€'.*no unit"),
        ("c.csv", "truth,A,B,C\nA,0,nan,2\nB,3,0,4\nC,5,6,0\n", "got 'nan'"),
        ("c.csv", "truth,A,B,C\nA,0,-1,2\nB,3,0,4\nC,5,6,0\n", "costs ≥ 0; got -1 for labelling 'A' as 'B'.*gain"),
        ("c.csv", "truth,A,B,C\nA,3,1,2\nB,3,0,4\nC,5,6,0\n", "least of its row.*class 0.*transposed"),
        ("c.csv", "truth,A,B,C\nA,0,0,0\nB,0,0,0\nC,0,0,0\n", "labels differ in cost"),
        ("c.csv", 'truth,"A,B,C\nA,0,1', "readable CSV"),
        ("c.csv", "  \n", "which is empty"),
        ("c.csv", "truth,A,É,C\n".encode("latin1"), "UTF-8.*iconv"),
        ("c.xlsx", "PK", "ends in .csv, .tsv, .yaml, .yml"),
        ("c.yaml", "A: {B: 1, C: 2}\nB: {A: 3, C: 4}\nC: {A: 5}\n", "labelling 'C' as 'B'; got none.*default"),
        ("c.yaml", "A: {B: 1, B: 2}\ndefault: 1\n", "each name once; got 'B' again in line 1"),
        ("c.yaml", "A: {B: 1}\ndefault: 1\nA: {B: 2}\n", "'A' again in line 3"),
        ("c.yaml", "default: 1\ndefault: 2\n", "'default' again in line 2"),
        ("c.yaml", "- A\n- B\n", "a sequence in line 1"),
        ("c.yaml", "A: {B: ~}\n", "labelling 'A' as 'B'; got '~'"),
        ("c.yaml", "A: {B: }\n", "labelling 'A' as 'B'; got ''"),
        ("c.yaml", "A: 3\n", "labels and their costs for each true class; got '3' for 'A'"),
        ("c.yaml", "A: {B: [1, 2]}\n", "a number or the name of a column; got a sequence in line 1"),
        ("c.yaml", "A: {B: !!python/object/apply:os.system ['true']}\n", "a sequence in line 1"),
        ("c.yaml", "A: {B: !!python/name:os.system x}\n", "a plain number or name; got the tag"),
        ("c.yaml", "? [A, B]\n: 1\n", "names as keys; got a sequence"),
        ("c.yaml", "A: {B: 1\nB: 2", "readable YAML; got .*line 2"),
        ("c.yaml", "A: &a {B: *a}\n", "readable YAML|a mapping"),
        ("c.yaml", "# nothing\n", "got nothing"),
        ("c.yaml", "[" * 5000, "nesting|readable YAML"),
        (
            "c.yaml",
            "a: &a [x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a]\nA: {B: *b}\n",
            "got 'sequence|a sequence|for each",
        ),
    ],
)
def test_a_file_that_cannot_be_used(tmp_path, name, text, message):
    classes = ["fraud", "ok"] if "fraudd" in str(text) else ABC
    with pytest.raises(InputError, match=message):
        read_costs(written(tmp_path, name, text), classes)


def test_a_file_that_is_not_there_or_too_large(tmp_path):
    written(tmp_path, "costs.csv", "x")
    with pytest.raises(InputError, match="did you mean 'costs.csv'"):
        read_costs(tmp_path / "cost.csv", ABC)
    with pytest.raises(InputError, match="at most 1 MB"):
        read_costs(written(tmp_path, "big.yaml", "A: {B: 1}\n" + "# \n" * 400_000), ABC)


def test_nothing_in_a_file_is_executed(tmp_path):
    trap = tmp_path / "executed"
    text = f"A: {{B: !!python/object/new:os.mkdir ['{trap}']}}\n"
    with pytest.raises(InputError):
        read_costs(written(tmp_path, "c.yaml", text), ABC)
    assert not trap.exists()


def test_without_a_reader_of_yaml(tmp_path, monkeypatch):
    plain = builtins.__import__

    def without(name, *args, **kwargs):
        if name == "yaml":
            raise ModuleNotFoundError(name)
        return plain(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingDependencyError, match=r"pyyaml.*steelyard\[compare\]"):
        read_costs(written(tmp_path, "c.yaml", "A: {B: 1}\n"), ABC)


# --- columns --------------------------------------------------------------------------------------------------------

FRAUD = Costs.from_mapping({"ok": {"fraud": "review"}, "fraud": {"ok": "amount", "fraud": 2}}, ["fraud", "ok"])
COLUMNS = {"amount": [100, 20, 3], "review": [1.0, 2.0, 0.5]}


@pytest.mark.parametrize(
    "table",
    [COLUMNS, pd.DataFrame(COLUMNS), pl.DataFrame(COLUMNS), pa.table(COLUMNS), pd.DataFrame(COLUMNS).astype(object)],
    ids=["mapping", "pandas", "polars", "arrow", "objects"],
)
def test_costs_in_columns(table):
    assert FRAUD.columns == ("amount", "review")
    expected = [[[2.0, a], [r, 0.0]] for a, r in zip(COLUMNS["amount"], COLUMNS["review"], strict=True)]
    np.testing.assert_array_equal(FRAUD.for_rows(table), expected)
    p = np.array([[0.02, 0.98]] * 3)
    by_hand = [0 if 0.02 * 2 + 0.98 * r < 0.02 * a else 1 for a, r in zip(*COLUMNS.values(), strict=True)]
    assert by_hand == [0, 1, 1]
    np.testing.assert_array_equal(min_cost(p, FRAUD.for_rows(table)), by_hand)


def test_numbers_for_all_rows_are_one_matrix():
    costs = Costs.from_matrix(EXPECTED, ABC)
    rows = costs.for_rows(pd.DataFrame({"x": [1, 2]}))
    np.testing.assert_array_equal(rows, [EXPECTED, EXPECTED])
    assert rows.strides[0] == 0  # a view
    np.testing.assert_array_equal(np.asarray(costs), EXPECTED)
    np.testing.assert_array_equal(min_cost(np.eye(3), costs), [0, 1, 2])


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"amonut": [1.0], "review": [1.0]}, "got 'amount', which is none. Hint: did you mean 'amonut'"),
        ({"amount": ["a lot"], "review": [1.0]}, "numbers in the cost column 'amount'; got values of type <U5"),
        (pd.DataFrame({"amount": [1, "2"], "review": [1, 1]}, dtype=object), "column 'amount'; got '2' in row 1"),
        ({"amount": [True], "review": [1.0]}, "values of type bool"),
        ({"amount": [3.0, None], "review": [1.0, 1.0]}, "'amount'; got a missing value in row 1"),
        ({"amount": [3.0, float("inf")], "review": [1.0, 1.0]}, "got inf in row 1"),
        ({"amount": [3.0, 5.0, -7.0], "review": [1.0, 1.0, 1.0]}, "got -7 in row 2. Hint: write a gain"),
        ({"amount": [3.0, 1.0], "review": [1.0, 1.0]}, r"\[2.0, 1.0\] for class 0 in row 1"),
        ([[1.0, 2.0]], "a table with named columns; got list"),
    ],
)
def test_columns_that_hold_no_costs(columns, message):
    with pytest.raises(InputError, match=message):
        FRAUD.for_rows(columns)


def test_a_matrix_is_asked_of_costs_in_columns():
    with pytest.raises(InputError, match=r"all numbers; got the column 'amount'.*for_rows"):
        _ = FRAUD.matrix
    with pytest.raises(InputError, match="for_rows"):
        min_cost([[0.5, 0.5]], FRAUD)


def test_numbers_of_many_kinds():
    given_ = {"a": {"b": Decimal("1.5")}, "b": {"a": np.float32(2)}}
    np.testing.assert_array_equal(Costs.from_mapping(given_, ["a", "b"]).matrix, [[0, 1.5], [2, 0]])
    table = pd.DataFrame({"amount": pd.array([3, 4], dtype="Int64"), "review": [Decimal(1), Decimal(2)]})
    np.testing.assert_array_equal(FRAUD.for_rows(table)[:, 0, 1], [3, 4])
    with pytest.raises(InputError, match="got True"):
        Costs.from_mapping({"a": {"b": True}, "b": {"a": 1}}, ["a", "b"])


# --- in whatever form they come -------------------------------------------------------------------------------------


def test_forms_in_memory(tmp_path):
    path = written(tmp_path, "costs.csv", "truth,A,B,C\nA,0,1,2\nB,3,0,4\nC,5,6,0\n")
    nested = {"C": {"A": 5, "B": 6}, "A": {"B": 1, "C": 2}, "B": {"A": 3, "C": 4}}
    other_order = Costs.from_mapping(nested, ["C", "A", "B"])
    for form in (EXPECTED, EXPECTED.tolist(), nested, other_order, path, str(path)):
        np.testing.assert_array_equal(as_costs(form, ABC).matrix, EXPECTED)
    with pytest.raises(InputError, match="one of C, A, B; got 'D'"):
        other_order.ordered(["A", "B", "D"])
    with pytest.raises(InputError, match="none called 'C'"):
        other_order.ordered(["A", "B"])
    with pytest.raises(InputError, match="costs per row go with the decision"):
        as_costs(np.ones((4, 3, 3)), ABC)
    with pytest.raises(InputError, match="names differ as text"):
        as_costs(nested, [1, "1"])


def test_frozen():
    with pytest.raises(AttributeError):
        FRAUD.cells = ()
    assert hash(FRAUD) == hash(Costs(FRAUD.classes, FRAUD.cells))


# --- words ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("matrix", "classes", "sentences"),
    [
        (
            [[0, 1], [50, 0]],
            ["ok", "fraud"],
            ["One missed fraud costs as much as 50 false alarms", "probability of fraud is above 2 %"],
        ),
        ([[1, 0][::-1], [8, 0]], [0, 1], ["One missed row of class 1 costs as much as 8 false alarms", "above 11 %"]),
        ([[0, 9], [1, 0]], ["ill", "well"], ["One missed ill costs as much as 9 false alarms", "of ill is above 10 %"]),
        ([[0, 1], [1, 0]], ["a", "b"], ["as much as one false alarm; ", "above 50 %"]),
        ([[0, 0], [3, 0]], ["a", "b"], ["label every row b that may be one"]),
        ([[0, 1], [1999, 0]], ["a", "b"], ["1,999 false alarms", "above 0.05 %"]),
    ],
)
def test_two_classes_in_words(matrix, classes, sentences):
    said = str(Costs.from_matrix(matrix, classes))
    for sentence in sentences:
        assert sentence in said


def test_the_positive_class_may_be_the_cheap_one():
    costs = Costs.from_matrix([[0, 1], [50, 0]], ["ok", "fraud"])
    said = costs.describe(positive="ok")
    assert "One false alarm costs as much as 50 missed rows of ok; act on a row when its probability of ok is" in said
    assert "above 98 %" in said
    with pytest.raises(InputError, match="`positive` as one of ok, fraud"):
        costs.describe(positive="yes")


def test_more_classes_in_words():
    costs = Costs.from_matrix([[0, 1, 1], [1, 0, 1], [1, 10, 0]], ABC)
    said = costs.describe({"A": 5, "B": 90, "C": 5})
    assert "The dearest mistake: labelling C as B costs 10. The cheapest costs 1." in said
    assert "B, the commonest, label the class when its share of the two is: A above 50 %, C above 9.1 %" in said
    assert "what C costs depends on the label (1 to 10)" in said
    exact = Costs.from_matrix([[0, 1, 1], [2, 0, 2], [6, 6, 0]], ABC).describe()
    assert "Class weights say the same: A 0.333, B 0.667, C 2." in exact
    assert "Every mistake costs the same" in str(Costs.from_matrix(1 - np.eye(3), ABC))
    free = Costs.from_matrix([[0, 1, 2], [1, 0, 2], [0, 3, 0]], ABC)
    assert "C is never worth labelling: A costs no more whatever the truth is" in str(free)
    rows = str(Costs.from_mapping({"C": {"B": "amount"}, "default": 1}, ABC))
    assert "labelling C as B costs `amount`" in rows


def test_per_row_in_words():
    assert "above `review` / (`review` + (`amount` − 2))" in FRAUD.describe(positive="fraud")


@given(st.integers(0, 10_000), st.integers(2, 5))
def test_what_is_said_of_thresholds_and_columns_is_what_min_cost_does(seed, n):
    rng = np.random.default_rng(seed)
    matrix = rng.integers(0, 4, (n, n)).astype(float)
    np.fill_diagonal(matrix, 0.0)
    if not matrix.any():
        return
    reference = int(rng.integers(n))
    thresholds = pairwise_thresholds(matrix, reference)
    p = rng.dirichlet(np.ones(n), size=400)
    labels = min_cost(p, matrix)
    for j, _ in dominated(matrix):
        assert j not in labels
    for k in np.flatnonzero(~np.isnan(thresholds)):
        for share in (thresholds[k] - 0.01, thresholds[k] + 0.01):
            if 0 <= share <= 1:
                two = np.zeros(n)
                two[[reference, k]] = 1 - share, share
                cost = two @ matrix
                assert (cost[k] < cost[reference]) == (share > thresholds[k])


@given(st.integers(0, 10_000), st.integers(2, 5))
def test_class_weights_say_the_same_where_that_is_said(seed, n):
    rng = np.random.default_rng(seed)
    constant = np.repeat(rng.integers(1, 9, (n, 1)), n, 1).astype(float)
    np.fill_diagonal(constant, 0.0)
    weights, exact = class_weights(constant)
    assert exact
    p = rng.dirichlet(np.ones(n), size=50)
    np.testing.assert_array_equal(min_cost(p, constant), (p * weights).argmax(1))
    other = constant.copy()
    other[0, 1] *= 3.0
    assert class_weights(other)[1] == (n == 2)


def test_as_a_cost_matrix_elsewhere():
    """Where a cost matrix is asked for, stated costs are one."""
    costs = Costs.from_matrix(EXPECTED, ABC)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        weights = sy.class_weight("cost_row_sums", {"A": 3, "B": 2, "C": 1}, cost_matrix=np.asarray(costs))
    np.testing.assert_allclose(weights / weights[0], [1, 7 / 3, 11 / 3])
