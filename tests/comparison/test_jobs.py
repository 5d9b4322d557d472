"""Pieces in other processes: the same results, and a clear word when they keep dying."""

import os

import numpy as np
import pytest
from sklearn.naive_bayes import GaussianNB

import steelyard as sy
from steelyard.comparison import jobs
from steelyard.errors import InputError, MissingDependencyError
from tests.training import own_models

FAST = {"cv": 3, "repeats": 2}


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(0)
    y = (rng.random(300) < 0.2).astype(int)
    return rng.normal(size=(300, 3)) + 0.8 * y[:, None], y


def without_times(result):
    content = result.to_dict()
    return content | {"runs": [r | {"fit_seconds": 0} for r in content["runs"]]}


def test_processes_give_the_results_of_one(rows):
    """Every kind of model: the networks too, whose blocks are cut by the number of threads."""
    models = [
        "linear",
        ("lightgbm", {"n_estimators": 5}),
        ("mlp", {"epochs": 2}),
        (own_models.make_net, {"epochs": 2}),
        own_models.forest,
    ]
    strategies = ["balanced", "ldam_drw", "smote"]
    here = sy.compare(*rows, strategies, models, cv=2, repeats=1)
    there = sy.compare(*rows, strategies, models, cv=2, repeats=1, jobs=2)
    assert without_times(there) == without_times(here)
    for who, scores in here.out_of_fold.items():
        np.testing.assert_array_equal(there.out_of_fold[who].proba, scores.proba)


def test_what_only_this_process_knows_can_be_sent(rows):
    """As in a notebook: functions and classes that no other process can import."""

    class Mine(GaussianNB):
        pass

    here, there = (sy.compare(*rows, ["balanced"], lambda: Mine(), jobs=n, **FAST) for n in (None, 2))
    assert without_times(there) == without_times(here)


class _Deadly(GaussianNB):
    def fit(self, X, y, sample_weight=None):
        os._exit(7)


def test_processes_that_keep_dying_are_said(rows):
    with pytest.raises(InputError, match=r"2 processes that live .*; got 3 deaths in a row .*fewer --jobs; --resume"):
        sy.compare(*rows, ["balanced"], ("deadly", _Deadly()), jobs=2, **FAST)


class _Failing(GaussianNB):
    def fit(self, X, y, sample_weight=None):
        raise ZeroDivisionError("no")


def test_an_error_in_a_process_is_the_error_of_one(rows):
    said = []
    for n in (None, 2):
        with pytest.raises(InputError, match="baseline of model 'failing' .*; got ZeroDivisionError: no") as error:
            sy.compare(*rows, ["balanced"], ("failing", _Failing()), jobs=n, **FAST)
        said.append(str(error.value))
    assert said[0] == said[1]


def test_errors_travel():
    import pickle

    error = InputError("a", "b", "c")
    assert str(pickle.loads(pickle.dumps(error))) == str(error)
    missing = MissingDependencyError("loky", "x", "compare")
    assert str(pickle.loads(pickle.dumps(missing))) == str(missing)


@pytest.mark.parametrize("n", [0, -2])
def test_a_number_of_processes_that_is_none_is_refused(rows, n):
    with pytest.raises(InputError, match="`jobs` as a number of processes, or -1"):
        sy.compare(*rows, ["balanced"], "linear", jobs=n, **FAST)


def test_jobs_and_ray_are_not_both_taken(rows):
    with pytest.raises(InputError, match="`jobs` or `ray`; got both"):
        sy.compare(*rows, ["balanced"], "linear", jobs=2, ray="auto", **FAST)


def test_a_piece_without_a_table_is_a_fault_of_ours():
    with pytest.raises(RuntimeError, match="before the table"):
        jobs._do(None)
