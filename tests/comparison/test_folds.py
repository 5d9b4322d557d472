import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.model_selection import TimeSeriesSplit

from steelyard.comparison.folds import inner_splits, outer_splits, ratio_of_sizes, tunable
from steelyard.comparison.ties import Ties
from steelyard.errors import InputError
from steelyard.tuning.seeds import seed

Y = np.repeat([0, 1, 2], [60, 20, 7])


def test_each_repeat_tests_every_row_once_and_every_class_in_every_fold():
    splits = outer_splits(Y, cv=5, repeats=3, random_state=0)
    assert [(s.repeat, s.fold) for s in splits] == [(r, f) for r in range(3) for f in range(5)]
    for repeat in range(3):
        tested = np.concatenate([s.test for s in splits if s.repeat == repeat])
        assert sorted(tested) == list(range(len(Y)))
    for s in splits:
        assert not set(s.train) & set(s.test)
        assert np.bincount(Y[s.test], minlength=3).min() >= 1


def test_repeats_differ_and_do_not_depend_on_how_many_there_are():
    three, one = outer_splits(Y, 5, 3, 0), outer_splits(Y, 5, 1, 0)
    np.testing.assert_array_equal(three[0].test, one[0].test)
    assert three[0].test.tolist() != three[5].test.tolist()


def test_inner_folds_stay_inside_the_training_fold():
    split = outer_splits(Y, 5, 1, 0)[0]
    y = Y[split.train]
    inner = inner_splits(y, split, 0)
    assert len(inner) == 3
    held_out = np.concatenate([h for _, h in inner])
    assert sorted(held_out) == list(range(len(y)))


def test_a_class_of_one_row_leaves_nothing_to_hold_out():
    split = outer_splits(Y, 5, 1, 0)[0]
    assert inner_splits(np.array([0, 0, 0, 1]), split, 0) == []
    assert len(inner_splits(np.array([0, 0, 0, 1, 1]), split, 0)) == 2


def test_every_purpose_and_place_has_its_own_seed():
    seeds = [seed(0, p, r, f) for p in ("folds", "inner folds", "sampling") for r in range(3) for f in range(5)]
    assert len(set(seeds)) == len(seeds)


def mates(rows, groups):
    return set(groups[rows].tolist())


def test_no_group_is_on_both_sides_outside_or_inside():
    rng = np.random.default_rng(0)
    groups = rng.integers(0, 40, 300)
    y = (rng.random(300) < 0.2).astype(int)
    ties = Ties(groups=groups)
    splits = outer_splits(y, 4, 2, 0, ties)
    assert tunable(y, splits, 0, ties)
    for s in splits:
        assert not mates(s.train, groups) & mates(s.test, groups)
        assert np.bincount(y[s.test]).min() >= 1
        for kept, held in inner_splits(y[s.train], s, 0, ties.of(s.train)):
            assert not mates(s.train[kept], groups) & mates(s.train[held], groups)
    for repeat in range(2):
        assert sorted(np.concatenate([s.test for s in splits if s.repeat == repeat])) == list(range(300))
    assert splits[0].test.tolist() != splits[4].test.tolist()


@given(st.lists(st.tuples(st.integers(0, 12), st.integers(0, 2)), min_size=12, max_size=60), st.integers(2, 3))
def test_grouped_folds_hold_or_say_why_not(rows, cv):
    """Whatever the groups: folds with every class in each and no group on both sides, or an error that says so."""
    groups, y = np.array(rows).T
    y = np.unique(y, return_inverse=True)[1]
    try:
        splits = outer_splits(y, cv, 1, 0, Ties(groups=groups))
    except InputError:
        return
    for s in splits:
        assert not mates(s.train, groups) & mates(s.test, groups)
        assert set(y[s.test]) == set(y)


def test_many_single_rows_are_dealt_and_stay_stratified():
    """Groups of one row are rows: each fold has the class's share, as StratifiedKFold would give it."""
    y = np.repeat([0, 1], [1800, 200])
    for s in outer_splits(y, 5, 1, 0, Ties(groups=np.arange(2000))):
        assert abs(len(s.test) - 400) <= 4
        assert abs(int(y[s.test].sum()) - 40) <= 2


@given(st.lists(st.integers(0, 30), min_size=20, max_size=80), st.integers(2, 4))
def test_what_is_trained_on_is_earlier(moments, cv):
    time = np.array(moments)
    y = np.arange(len(time)) % 2
    try:
        splits = outer_splits(y, cv, 3, 0, Ties(time=time))
    except InputError:
        return
    assert [s.repeat for s in splits] == [0] * cv
    for s in splits:
        assert time[s.train].max() < time[s.test].min()
        for kept, held in inner_splits(y[s.train], s, 0, Ties(time=time[s.train])):
            assert time[s.train][kept].max() < time[s.train][held].min()
    tested = np.concatenate([s.test for s in splits])
    assert len(set(tested)) == len(tested)
    assert sorted([*splits[0].train, *tested]) == list(range(len(time)))


def test_time_without_ties_is_scikit_learns_expanding_window():
    theirs = TimeSeriesSplit(4).split(np.zeros(100))
    ours = outer_splits(np.arange(100) % 2, 4, 1, 0, Ties(time=np.arange(100)))
    for s, (train, test) in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(s.train, train)
        np.testing.assert_array_equal(s.test, test)


def test_a_class_that_cannot_be_in_every_fold_is_named():
    y = np.array([0] * 60 + [1] * 12)
    groups = np.r_[np.arange(60), np.repeat([100, 101], 6)]
    with pytest.raises(InputError, match=r"fewer for rare \(in 2\). Hint: use --cv 2"):
        outer_splits(y, 4, 1, 0, Ties(groups=groups), ["common", "rare"])
    with pytest.raises(InputError, match="no row of class rare in the first block"):
        outer_splits(y, 4, 1, 0, Ties(time=np.arange(72)), ["common", "rare"])
    with pytest.raises(InputError, match="2 different moments"):
        outer_splits(y, 4, 1, 0, Ties(time=y))


def test_inner_folds_along_time_hold_every_class_or_there_are_none():
    y = np.array([0] * 20 + [1] + [0] * 39)
    split = outer_splits(np.arange(60) % 2, 2, 1, 0)[0]
    assert inner_splits(y, split, 0, Ties(time=np.arange(60))) == []
    y[55] = 1
    found = inner_splits(y, split, 0, Ties(time=np.arange(60)))
    assert len(found) == 1  # three windows would train on a first block without the class
    assert y[found[0][0]].sum() == y[found[0][1]].sum() == 1


def test_the_ratio_of_sizes_is_that_of_the_folds():
    assert ratio_of_sizes(outer_splits(Y[:80], 4, 2, 0)) == pytest.approx(1 / 3)
    along = outer_splits(np.arange(60) % 2, 5, 1, 0, Ties(time=np.arange(60)))
    assert ratio_of_sizes(along) == pytest.approx((1 + 1 / 2 + 1 / 3 + 1 / 4 + 1 / 5) / 5)
