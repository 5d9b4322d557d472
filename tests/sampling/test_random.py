import inspect

import numpy as np
import pytest

from steelyard import sampling
from steelyard.errors import InputError

Y = np.repeat([0, 1, 2], [60, 10, 5])


def test_oversampling_keeps_every_row_and_repeats_the_smaller_classes():
    rows = sampling.rows("random_over", Y, np.random.default_rng(0))
    assert np.bincount(Y[rows]).tolist() == [60, 60, 60]
    assert set(range(len(Y))) == set(rows)
    assert np.bincount(rows)[:60].max() == 1


def test_undersampling_takes_rows_once():
    rows = sampling.rows("random_under", Y, np.random.default_rng(0))
    assert np.bincount(Y[rows]).tolist() == [5, 5, 5]
    assert len(set(rows)) == len(rows)


@pytest.mark.parametrize("name", sampling.names())
def test_the_generator_decides(name):
    def draw(seed):
        return sampling.rows(name, Y, np.random.default_rng(seed)).tolist()

    assert draw(1) == draw(1)
    assert draw(1) != draw(2)


@pytest.mark.parametrize("name", sampling.names())
def test_the_priors_after_sampling_are_what_was_drawn(name):
    rows = sampling.rows(name, Y, np.random.default_rng(0))
    drawn = np.bincount(Y[rows]) / len(rows)
    np.testing.assert_allclose(sampling.sampled_priors(name, np.bincount(Y) / len(Y)), drawn)


def test_a_sampler_is_handed_labels_and_chance_only():
    assert list(inspect.signature(sampling.rows).parameters) == ["name", "y", "generator"]


def test_an_unknown_sampler_is_refused():
    with pytest.raises(InputError, match="did you mean 'random_over'"):
        sampling.rows("random_ober", Y, np.random.default_rng(0))
