import datetime

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from steelyard.comparison.columns import MISSING, arrow_table, features
from steelyard.comparison.dataset import from_memory
from steelyard.errors import InputError


def kinds(X):
    found = features(arrow_table(X))
    return found.numeric, found.categorical


def test_every_container_gives_the_same_columns(mixed):
    frame, y = mixed
    forms = [
        frame,
        frame.astype({"sex": "category", "site": "category"}),
        pl.from_pandas(frame),
        pl.from_pandas(frame).with_columns(pl.col("sex").cast(pl.Categorical)),
        pa.Table.from_pandas(frame, preserve_index=False),
        {name: frame[name].tolist() for name in frame},
    ]
    labels = [y, y.tolist(), pl.Series(y), pa.array(y.tolist()), pd.Series(y), pd.Categorical(y)]
    prints = {from_memory(X, label).fingerprint() for X, label in zip(forms, labels, strict=True)}
    assert len(prints) == 1


def test_plain_arrays_get_names():
    found = features(arrow_table(np.array([[1.0, 5.0], [2.0, np.nan]])))
    assert found.numeric == ("x0", "x1")
    assert np.isnan(found.frame["x1"][1])


def test_kinds_of_columns():
    numeric, categorical = kinds(
        {
            "number": [1, 2, 4],
            "flag": [True, False, None],
            "text": ["a", "b", None],
            "day": [datetime.date(2020, 1, d) for d in (1, 2, 5)],
            "mixed": ["1", 2, None],
        }
    )
    assert numeric == ("number", "flag", "day")
    assert categorical == ("text", "mixed")


def test_a_missing_category_is_a_level():
    found = features(arrow_table({"text": ["a", None, "b"]}))
    assert found.frame["text"].tolist() == ["a", MISSING, "b"]


@pytest.mark.parametrize(
    ("column", "message"),
    [
        ([7.0] * 40, "is left out: it is constant"),
        (["same"] * 40, "is left out: it is constant"),
        ([None] * 40, "is left out: it has no values"),
        (list(range(40)), "is left out: it numbers the rows"),
        ([f"id-{i}" for i in range(40)], "40 different texts in 40 rows look like an identifier"),
        ([[1, 2]] * 40, "is neither a number nor a category"),
    ],
)
def test_columns_without_use_are_left_out_and_said(column, message):
    found = features(arrow_table({"good": [1.0, 2.5] * 20, "bad": column}))
    assert list(found.frame) == ["good"]
    assert found.given == ("good", "bad")
    assert len(found.warnings) == 1
    assert found.warnings[0].startswith("column 'bad' ")
    assert message in found.warnings[0]


def test_infinite_values_are_missing_and_said():
    found = features(arrow_table({"a": [1.0, np.inf, 3.0]}))
    assert np.isnan(found.frame["a"][1])
    assert "1 infinite values" in found.warnings[0]


@pytest.mark.parametrize(
    ("X", "y", "message"),
    [
        (np.zeros(3), [0, 1, 0], r"shape \(rows, columns\).*reshape"),
        (np.zeros((3, 2)), [0, 1, 0], "a column that a model can use.*constant"),
        (np.empty((0, 2)), [], "a table with rows and columns"),
        (np.eye(3), [0, 1], "one label for each of the 3 rows; got 2"),
        (pd.DataFrame(np.eye(3), columns=["a", "a", "b"]), [0, 1, 0], "'a' more than once"),
    ],
)
def test_a_table_that_cannot_be_used_is_explained(X, y, message):
    with pytest.raises(InputError, match=message):
        from_memory(X, y)


def test_many_repeated_rows_are_said():
    X = np.repeat(np.arange(20.0), 5)[:, None] * [1.0, 2.0]
    noted = from_memory(X, np.arange(100) % 2).warnings
    assert "80% of the rows repeat the features of an earlier row" in noted[-1]
