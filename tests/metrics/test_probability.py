import numpy as np
import pytest
from sklearn import metrics as sk

from steelyard.metrics.probability import brier_score, log_loss


@pytest.mark.parametrize("n_classes", [2, 4])
def test_means_equal_scikit_learn(n_classes):
    rng = np.random.default_rng(n_classes)
    proba = rng.dirichlet(np.ones(n_classes), size=200)
    y = rng.integers(n_classes, size=200)
    every = list(range(n_classes))
    assert log_loss(proba, y).mean() == pytest.approx(sk.log_loss(y, proba, labels=every))
    theirs = sk.brier_score_loss(y, proba[:, 1] if n_classes == 2 else proba, labels=every)
    assert brier_score(proba, y).mean() == pytest.approx(theirs)


def test_a_certain_mistake_is_large_and_finite():
    assert log_loss(np.array([[1.0, 0.0]]), np.array([1]))[0] == pytest.approx(-np.log(np.finfo(float).eps))
