"""What preprocessing learned, against scikit-learn's own transformer on the same rows."""

import datetime

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from steelyard.comparison.columns import arrow_table, features
from steelyard.comparison.new_rows import Columns, selected
from steelyard.comparison.preprocessing import learn
from steelyard.errors import InputError
from tests.comparison.plain_preprocessing import plain, preprocessor


def fitted(X):
    found = features(arrow_table(X))
    rows = np.arange(len(found.frame))
    return learn(found, rows), preprocessor(found, len(rows)).fit(plain(found))


def on(columns, X):
    return columns.transform(selected(X, columns))


@pytest.fixture
def wide(mixed):
    """The mixed table, with 40 % of a column missing and a category with rare levels."""
    frame, _ = mixed
    rng = np.random.default_rng(1)
    frame["weight"] = np.where(rng.random(len(frame)) < 0.4, np.nan, rng.gamma(2.0, 30.0, len(frame)))
    frame["town"] = rng.choice(["a", "b", "c", "rare", "rarer"], len(frame), p=[0.5, 0.3, 0.18, 0.01, 0.01])
    return frame


def test_numbers_are_those_of_scikit_learn_to_the_last_bit(wide):
    columns, transformer = fitted(wide)
    new = wide.sample(100, replace=True, random_state=0).reset_index(drop=True)
    new.loc[:9, "town"] = "never seen"
    new.loc[5:20, "weight"] = np.nan
    new.loc[:4, "dose"] = -3
    new.loc[30:40, "site"] = "west"
    new.loc[50:60, "age"] = np.nan
    # what scikit-learn is handed in training: float64, and texts with a level for what is missing
    as_trained = new.astype({"dose": float, "smoker": float}).assign(site=new["site"].fillna("(missing)"))
    np.testing.assert_array_equal(on(columns, new), transformer.transform(as_trained))
    assert columns.width == on(columns, new).shape[1]


def test_levels_that_were_not_seen_count_as_rare_ones_where_there_are_any(wide):
    columns, _ = fitted(wide)
    town, sex = (next(c for c in columns.categories if c.name == name) for name in ("town", "sex"))
    assert town.others
    assert set(town.levels) == {"a", "b", "c"}
    assert not sex.others
    one = wide.iloc[[0]]
    unseen, rare = on(columns, one.assign(town="x")), on(columns, one.assign(town="rare"))
    np.testing.assert_array_equal(unseen, rare)
    assert on(columns, one.assign(sex="x"))[0].sum() == pytest.approx(on(columns, one)[0].sum() - 1.0)


def test_every_container_and_any_order_of_columns(wide):
    columns, _ = fitted(wide)
    expected = on(columns, wide)
    shuffled = wide[list(wide)[::-1]].assign(extra=[object()] * len(wide))
    forms = [
        shuffled,
        shuffled.astype({"sex": "category", "town": "category"}),
        pl.from_pandas(wide).select(reversed(list(wide))).with_columns(extra=pl.lit([1, 2])),
        pa.Table.from_pandas(wide),
        {name: wide[name].tolist() for name in reversed(list(wide))},
        wide.astype({"dose": "Int64", "smoker": object}),
        wide.to_numpy(dtype=object),
    ]
    for X in forms:
        np.testing.assert_array_equal(on(columns, X), expected)


def test_what_is_stored_as_json_gives_the_same_numbers(wide):
    columns, _ = fitted(wide)
    again = Columns.from_dict(columns.to_dict())
    assert again == columns
    np.testing.assert_array_equal(on(again, wide), on(columns, wide))


def test_no_rows_and_one_row(wide):
    columns, _ = fitted(wide)
    assert on(columns, wide.iloc[:0]).shape == (0, columns.width)
    np.testing.assert_array_equal(on(columns, wide.iloc[[7]])[0], on(columns, wide)[7])


def test_a_column_that_is_missing_throughout(wide):
    columns, _ = fitted(wide)
    for name in wide:
        nothing = on(columns, wide.assign(**{name: None}))
        assert np.isfinite(nothing).all()


def test_moments_are_counted_in_the_unit_of_training():
    days = pd.Series(pd.date_range("2020-01-01", periods=50).to_numpy()[np.random.default_rng(0).permutation(50)])
    columns, _ = fitted({"when": days.astype("datetime64[us]")})
    expected = on(columns, {"when": days.astype("datetime64[us]")})
    for unit in ("s", "ms", "ns"):
        np.testing.assert_array_equal(on(columns, {"when": days.astype(f"datetime64[{unit}]")}), expected)
    np.testing.assert_array_equal(on(columns, {"when": days.dt.strftime("%Y-%m-%d %H:%M:%S").tolist()}), expected)
    dates, _ = fitted({"when": [datetime.date(2020, 1, d) for d in (1, 5, 2, 8)]})
    assert on(dates, {"when": ["2020-01-05"]}) == on(dates, {"when": [datetime.date(2020, 1, 5)]})
    clock, _ = fitted({"when": pd.to_datetime(["2020-01-01", "2020-05-01", "2020-02-01"], utc=True)})
    assert clock.types()["when"] == pa.timestamp("us", "UTC")


def test_texts_that_are_numbers_and_numbers_that_are_texts(wide):
    columns, _ = fitted(wide.assign(code=np.where(np.arange(len(wide)) % 3 == 0, "01", "2")))
    texts = {name: wide[name].astype(object).map(lambda v: None if pd.isna(v) else str(v)).tolist() for name in wide}
    texts["code"] = wide["smoker"].map({True: 2, False: 3}).tolist()
    table = selected(texts, columns)
    assert columns.transform(table).shape == (len(wide), columns.width)
    # the level "2" was a text in training and is a number now
    np.testing.assert_array_equal(columns.transform(table)[:, -1] == 1.0, wide["smoker"])
    np.testing.assert_array_equal(
        columns.transform(table)[:, : len(columns.numbers)],
        on(columns, wide.assign(code="2"))[:, : len(columns.numbers)],
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: f.drop(columns=["age", "site"]), r"none called 'age', 'site'"),
        (lambda f: f.rename(columns={"age": "agee"}), "did you mean 'agee'"),
        (lambda f: f.assign(age="old"), "a number in every row of column 'age', as .* got 'old' in row 0"),
        (
            lambda f: f.assign(smoker=["true"] * 3 + ["perhaps"] * (len(f) - 3)),
            "true or false .* got 'perhaps' in row 3",
        ),
        (
            lambda f: f.assign(age=[[1, 2]] * len(f)),
            "a number in every row of column 'age', as .* got values of type list",
        ),
        (lambda f: pd.concat([f, f[["age"]]], axis=1), "'age' more than once"),
        (lambda f: f.to_numpy(dtype=object)[:, :3], "7 columns, as in training; got an array with 3"),
    ],
)
def test_what_cannot_be_read_is_explained(wide, change, message):
    columns, _ = fitted(wide)
    with pytest.raises(InputError, match=message):
        on(columns, change(wide))
