import numpy as np

from steelyard.comparison.folds import inner_splits, outer_splits, seed

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
