import datetime

import numpy as np
import pandas as pd
import pytest

import steelyard as sy
from steelyard.comparison.dataset import from_file, from_memory
from steelyard.comparison.folds import outer_splits
from steelyard.errors import InputError


def frame(n=60):
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "a": rng.normal(size=n),
            "who": [f"p{i // 4}" for i in range(n)],
            "day": [datetime.date(2024, 1, 1) + datetime.timedelta(days=i) for i in range(n)],
            "y": np.arange(n) % 2,
        }
    )


def test_a_named_column_is_taken_out_of_the_features_and_values_beside_the_table_are_the_same():
    table = frame()
    X, y = table[["a", "who"]], table["y"]
    named, beside = from_memory(X, y, groups="who"), from_memory(X[["a"]], y, groups=list(X["who"]))
    assert named.features.given == ("a",)
    np.testing.assert_array_equal(named.ties.groups, beside.ties.groups)
    np.testing.assert_array_equal(named.ties.groups, np.arange(60) // 4)
    assert named.ties.describe() == {"groups": "who", "time": None, "dedupe": False}


def test_dates_in_a_file_are_moments(tmp_path):
    path = tmp_path / "d.csv"
    frame().to_csv(path, index=False)
    dataset = from_file(path, "y", time="day")
    assert dataset.features.given == ("a", "who")
    assert (np.diff(dataset.ties.time) > 0).all()
    assert any(w.startswith("folds follow day") for w in dataset.warnings)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"groups": "hwo"}, "did you mean 'who'"),
        ({"time": "who"}, "numbers, dates or moments in `who`"),
        ({"groups": "who", "time": "day"}, "groups or a time; got both"),
        ({"time": "day", "dedupe": True}, "a time or dedupe; got both"),
        ({"groups": [1, 2]}, "one value of `groups` for each of the 60 rows; got 2"),
        ({"groups": [None] + [1] * 59}, "none in 1 rows, the first is row 1"),
    ],
)
def test_what_cannot_be_meant_is_said(more, message):
    table = frame()
    with pytest.raises(InputError, match=message):
        from_memory(table[["a", "who", "day"]], table["y"], **more)


def test_the_target_is_no_group(tmp_path):
    path = tmp_path / "d.csv"
    frame().to_csv(path, index=False)
    with pytest.raises(InputError, match="another column for the groups than the target"):
        from_file(path, "y", groups="y")


def test_copies_are_one_group_also_where_values_are_missing():
    X = pd.DataFrame({"a": [1.0, np.nan, 1.0, np.nan, 2.0, 3.0], "b": ["u", "v", "u", "v", "u", None]})
    groups = from_memory(X, [0, 1, 1, 0, 0, 1], dedupe=True).ties.groups
    assert groups[0] == groups[2]
    assert groups[1] == groups[3]
    assert len(set(groups)) == 4


def test_copies_join_the_groups_that_share_them():
    """Rows 0 and 3 are copies in groups p and q, so that p and q are one group; r stays apart."""
    X = {"a": [1.0, 2.0, 3.0, 1.0, 4.0, 5.0]}
    groups = from_memory(X, [0, 1, 0, 1, 0, 1], groups=["p", "p", "q", "q", "r", "r"], dedupe=True).ties.groups
    assert len(set(groups[:4])) == 1
    assert groups[4] == groups[5] != groups[0]


def test_many_copies_are_said_with_what_to_do_and_dedupe_parts_no_copies():
    rng = np.random.default_rng(1)
    X = np.repeat(rng.normal(size=(50, 2)), 3, axis=0)
    y = np.repeat(np.arange(50) % 2, 3)
    assert any("67% of the rows" in w and "--dedupe" in w for w in from_memory(X, y).warnings)
    dataset = from_memory(X, y, dedupe=True)
    assert any("copies are kept on one side" in w for w in dataset.warnings)
    for s in outer_splits(dataset.target.y, 5, 1, 0, dataset.ties):
        assert not set(X[s.train, 0]) & set(X[s.test, 0])


def test_copies_flatter_a_model_that_remembers_and_dedupe_ends_it():
    """Labels drawn by row pair: nothing to learn but the copy. By row the trees find it, by distinct row chance."""
    rng = np.random.default_rng(2)
    X = np.repeat(rng.normal(size=(150, 3)), 2, axis=0)
    y = np.repeat(rng.permutation(np.arange(150) % 2), 2)
    trees = ("lightgbm", {"n_estimators": 40})
    more = {"cv": 3, "repeats": 1, "decisions": "default", "metric": "roc_auc"}
    auc = [
        sy.compare(X, y, ["none"], trees, dedupe=dedupe, **more).table().query("metric == 'roc_auc'")["mean"].item()
        for dedupe in (False, True)
    ]
    # the AUC of 150 distinct rows that say nothing has a standard error of 0.047
    assert auc[0] > 0.5 + 3 * 0.047
    assert abs(auc[1] - 0.5) < 3 * 0.047


def test_a_journal_knows_the_groups(tmp_path):
    table = frame(120)
    X, y = table[["a"]], table["y"]
    asked = {"cv": 2, "repeats": 1, "decisions": "default", "out": tmp_path}
    sy.compare(X, y, ["none"], "linear", groups=np.arange(120) // 4, **asked)
    with pytest.raises(InputError, match="the same data as when"):
        sy.compare(X, y, ["none"], "linear", groups=np.arange(120) // 3, resume=True, **asked)


@pytest.mark.parametrize("more", [{"groups": np.arange(300) // 5}, {"time": np.arange(300)}])
def test_the_whole_way_with_ties(more):
    rng = np.random.default_rng(3)
    y = (rng.random(300) < 0.3).astype(int)
    X = rng.normal(size=(300, 2)) + y[:, None]
    result = sy.compare(X, y, ["balanced", "tuned_weights"], "linear", cv=3, repeats=2, **more)
    content = result.to_dict()
    assert content["skipped"] == []
    tested = np.isfinite(result.out_of_fold["linear", "none"].proba).all(-1)
    along = "time" in more
    assert content["settings"]["repeats"] == len(tested) == (1 if along else 2)
    assert tested.sum(1).tolist() == ([225] if along else [300, 300])
    matrix = content["views"]["confusion"][0]["matrix"]
    assert np.sum(matrix) == tested.sum()
    assert result.best["estimate"] > 0.3
    assert {"tuned", "default"} == {r["decision"] for r in content["summary"]}
    assert len(result.model.predict(X)) == 300
