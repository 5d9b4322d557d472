import numpy as np
import pandas as pd

from steelyard.comparison.columns import arrow_table, features
from steelyard.comparison.preprocessing import preprocessor


def prepared(frame, train, test):
    found = features(arrow_table(frame))
    transform = preprocessor(found, len(train))
    return transform.fit_transform(found.frame.iloc[train]), transform.transform(found.frame.iloc[test])


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
