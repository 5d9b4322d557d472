import numpy as np
import pandas as pd
import polars as pl
import pytest

from steelyard.comparison.target import check_folds, read_target
from steelyard.errors import InputError
from steelyard.weights import ClassCounts


def test_the_rarer_class_is_positive_and_the_last_one_on_a_tie():
    assert read_target(["b"] * 9 + ["a"]).positive == 0
    assert read_target(["a"] * 9 + ["b"]).positive == 1
    assert read_target(["b", "a"] * 5).positive == 1
    assert read_target(["a"] * 9 + ["b"], positive="a").positive == 0
    assert read_target([0] * 9 + [1], positive="0").positive == 0
    assert read_target(["a", "b", "c"]).positive is None


def test_labels_keep_what_they_are():
    assert read_target([3, 1, 1]).counts.classes == (1, 3)
    assert read_target([True, False, False]).counts.classes == (False, True)
    assert read_target(["10", "9", "9"]).counts.classes == ("10", "9")
    assert read_target(np.array([0.0, 1.0, 1.0])).y.tolist() == [0, 1, 1]


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (["a", None, "b", None], "2 rows without one, the first is row 2"),
        (np.array([0.0, np.nan, 1.0]), "1 rows without one, the first is row 2"),
        (pd.Series(["a", None, "b"]), "1 rows without one"),
        (pl.Series(["a", "b", None]), "the first is row 3"),
        (["a"] * 10, "at least two classes in `y`; got only 'a'"),
        (list(np.random.default_rng(0).normal(size=100)), "regression"),
        (list(range(200)), "200 different numbers in 200 rows.*regression target"),
    ],
)
def test_labels_that_cannot_be_used_are_explained(labels, message):
    with pytest.raises(InputError, match=message):
        read_target(labels)


@pytest.mark.parametrize(
    ("labels", "positive", "message"),
    [
        (["sick", "well", "well"], "sik", "did you mean 'sick'"),
        (["a", "b", "c"], "a", "two classes only.*precision_<class>"),
    ],
)
def test_a_positive_class_that_does_not_exist_is_refused(labels, positive, message):
    with pytest.raises(InputError, match=message):
        read_target(labels, positive=positive)


def test_a_class_smaller_than_the_folds_names_the_three_ways_out():
    counts = ClassCounts.from_counts({"a": 50, "b": 4, "c": 3})
    with pytest.raises(InputError, match=r"fewer in b \(4\), c \(3\). Hint: merge .* drop its rows, or use --cv 3"):
        check_folds(counts, 5)
    check_folds(counts, 3)
    with pytest.raises(InputError, match=r"drop its rows\.$"):
        check_folds(ClassCounts.from_counts({"a": 50, "b": 1}), 2)
