import numpy as np
import pytest

from steelyard import sampling
from steelyard.errors import InputError

Y = np.repeat([0, 1, 2], [60, 15, 5])


def test_smote_makes_all_classes_as_large_as_the_largest():
    X = np.random.default_rng(0).normal(size=(80, 3)) + 10 * Y[:, None]
    made, labels = sampling.smote(X, Y, np.random.default_rng(1))
    assert np.bincount(np.concatenate([Y, labels])).tolist() == [60, 60, 60]
    for k in (1, 2):
        rows = made[labels == k]
        # between rows of its class, so inside their box
        assert (rows >= X[Y == k].min(0) - 1e-9).all()
        assert (rows <= X[Y == k].max(0) + 1e-9).all()


def test_smote_uses_as_many_neighbours_as_there_are():
    X = np.arange(12.0)[:, None]
    made, labels = sampling.smote(X, np.repeat([0, 1], [10, 2]), np.random.default_rng(0))
    assert (labels == 1).all()
    assert ((made >= 10) & (made <= 11)).all()


def test_smote_of_a_single_row_is_refused():
    with pytest.raises(InputError, match="at least two rows of each class for SMOTE; got one of class 1"):
        sampling.smote(np.arange(4.0)[:, None], np.array([0, 0, 0, 1]), np.random.default_rng(0))


def test_balanced_batches_are_balanced_and_uniform_within_a_class():
    drawn = sampling.balanced_batches(Y, 400, 50, np.random.default_rng(2)).ravel()
    np.testing.assert_allclose(np.bincount(Y[drawn]) / len(drawn), [1 / 3] * 3, atol=0.015)
    rows = np.bincount(drawn, minlength=len(Y)) / len(drawn)
    for k, n in enumerate((60, 15, 5)):
        np.testing.assert_allclose(rows[Y == k], 1 / (3 * n), rtol=0.35)
    assert drawn.max() < len(Y)


def test_an_absent_class_is_not_drawn():
    drawn = sampling.balanced_batches(np.array([0, 0, 2, 2]), 10, 8, np.random.default_rng(0))
    assert set(drawn.ravel()) == {0, 1, 2, 3}


@pytest.mark.parametrize("name", sampling.ALL)
def test_every_sampler_ends_with_equal_classes(name):
    np.testing.assert_allclose(sampling.sampled_priors(name, np.array([0.7, 0.3, 0.0])), [0.5, 0.5, 0.0])
