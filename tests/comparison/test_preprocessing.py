import numpy as np
import pandas as pd
import pytest

from steelyard.comparison import preprocessing
from steelyard.comparison.columns import arrow_table, features
from steelyard.comparison.preprocessing import learn, matrix
from tests.comparison.plain_preprocessing import plain, preprocessor


def prepared(frame, train, test):
    """The matrices of training and test rows, which are scikit-learn's to the last bit."""
    found = features(arrow_table(frame))
    train, test = np.asarray(train), np.asarray(test)
    columns = learn(found, train)
    ours = matrix(columns, found, train), matrix(columns, found, test)
    theirs = preprocessor(found, len(train)).fit(plain(found).iloc[train])
    for got, rows in zip(ours, (train, test), strict=True):
        np.testing.assert_array_equal(got, theirs.transform(plain(found).iloc[rows]))
    return ours


def test_numbers_get_the_median_an_indicator_and_unit_variance():
    X, _ = prepared(pd.DataFrame({"a": [1.0, 2.0, 6.0, np.nan, 3.0]}), range(5), range(5))
    filled = np.array([1.0, 2.0, 6.0, 2.5, 3.0])
    np.testing.assert_allclose(X[:, 0], (filled - filled.mean()) / filled.std())
    assert X.shape == (5, 2)
    assert X[3, 1] == X[:, 1].max()
    assert len(set(np.round(X[:, 1], 9))) == 2


def test_what_is_learned_comes_from_the_training_rows_alone(mixed):
    frame, _ = mixed
    train, test = np.arange(120), np.arange(120, 240)
    changed = frame.copy()
    changed.loc[120:, "age"] = 1e6
    changed.loc[120:, "site"] = "elsewhere"
    for before, after in zip(prepared(frame, train, test)[:1], prepared(changed, train, test)[:1], strict=True):
        np.testing.assert_array_equal(before, after)


def test_levels_that_the_training_fold_did_not_have_do_no_harm():
    frame = pd.DataFrame({"c": ["a"] * 30 + ["b"] * 30 + ["new", "a"]})
    _, Z = prepared(frame, range(60), [60, 61])
    assert Z.shape[1] == 2
    assert Z[0].tolist() == [0.0, 0.0]
    assert Z[1].tolist() == [1.0, 0.0]


def test_rare_levels_share_a_column_with_unseen_ones():
    frame = pd.DataFrame({"c": ["a"] * 60 + ["b"] * 60 + ["r1", "r2", "r3", "r3"] + ["new"]})
    X, Z = prepared(frame, range(124), [124])
    assert X.shape[1] == 3
    assert X[120:, 2].tolist() == [1.0] * 4
    assert Z[0].tolist() == [0.0, 0.0, 1.0]


def test_a_column_without_values_in_this_fold_stays_finite():
    frame = pd.DataFrame({"a": [np.nan] * 10 + [1.0, 2.0], "b": np.arange(12.0) % 5})
    X, Z = prepared(frame, range(10), range(10, 12))
    assert np.isfinite(X).all()
    assert np.isfinite(Z).all()


def test_many_levels_are_cut_to_forty():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"c": [f"level{k}" for k in rng.integers(0, 300, 6000)]})
    X, _ = prepared(frame, range(6000), range(10))
    assert X.shape[1] == 40
    np.testing.assert_array_equal(X.sum(1), 1.0)


def test_equally_frequent_levels_are_cut_as_scikit_learn_cuts_them():
    levels = np.random.default_rng(0).permutation(np.repeat(range(60), 9))
    frame = pd.DataFrame({"c": [f"level{k:02d}" for k in levels]})
    X, _ = prepared(frame, range(540), range(10))
    assert X.shape[1] == 40


@pytest.mark.parametrize("seed", range(5))
def test_any_table_gives_scikit_learns_numbers(seed):
    """`prepared` compares; small integers and single precision are stored narrow and change nothing."""
    rng = np.random.default_rng(seed)
    n = 2000
    numbers = rng.gamma(1.0, 10.0 ** rng.integers(-3, 4, 4), (n, 4)) * rng.choice([-1, 1], (n, 4))
    frame = pd.DataFrame(numbers, columns=list("abcd"))
    frame["narrow"] = rng.normal(size=n).astype(np.float32)
    frame["small"] = rng.integers(-100, 100, n).astype(np.int8)
    frame["whole"] = rng.integers(-(10**9), 10**9, n)
    frame["flag"] = rng.random(n) < 0.3
    for name in ("b", "narrow"):
        frame.loc[rng.random(n) < 0.2, name] = np.nan
    frame["text"] = rng.choice([*"stuvwxyz"], n, p=np.r_[np.full(7, 0.142), 0.006])
    frame.loc[rng.random(n) < 0.1, "text"] = None
    order = rng.permutation(n)
    prepared(frame, order[:1500], order[1500:])


def test_a_large_table_is_learned_in_chunks_and_held_in_single_precision(monkeypatch, mixed):
    frame, _ = mixed
    found = features(arrow_table(frame))
    rows = np.arange(len(frame))
    columns, whole = learn(found, rows), matrix(learn(found, rows), found, rows)
    for name in ("_CELLS", "_DOUBLE", "_CHUNK"):
        monkeypatch.setattr(preprocessing, name, 50)
    chunked = learn(found, rows)
    assert chunked.categories == columns.categories
    for a, b in zip(chunked.numbers, columns.numbers, strict=True):
        np.testing.assert_allclose([a.median, a.mean, a.scale], [b.median, b.mean, b.scale], rtol=1e-12)
    narrow = matrix(chunked, found, rows)
    assert narrow.dtype == np.float32
    np.testing.assert_allclose(narrow, whole, rtol=1e-6, atol=1e-6)
