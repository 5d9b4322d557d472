import numpy as np
import pytest
from imblearn.metrics import geometric_mean_score
from sklearn import metrics as sk

from steelyard.metrics import confusion as c


def labels(seed, n_classes, n=400):
    rng = np.random.default_rng(seed)
    priors = rng.dirichlet(np.ones(n_classes))
    y = np.concatenate([np.arange(n_classes), rng.choice(n_classes, n, p=priors)])
    predicted = np.where(rng.random(len(y)) < 0.6, y, rng.integers(n_classes, size=len(y)))
    return y, predicted, rng.random(len(y))


@pytest.mark.parametrize("n_classes", [2, 3, 7])
@pytest.mark.parametrize("weighted", [False, True])
def test_equal_to_scikit_learn_and_imbalanced_learn(n_classes, weighted):
    y, predicted, weight = labels(n_classes, n_classes)
    w = weight if weighted else None
    cm = c.confusion_matrix(y, predicted, n_classes, w)
    np.testing.assert_allclose(cm, sk.confusion_matrix(y, predicted, sample_weight=w))
    pairs = [
        (c.balanced_accuracy(cm), sk.balanced_accuracy_score(y, predicted, sample_weight=w)),
        (c.f1_macro(cm), sk.f1_score(y, predicted, average="macro", sample_weight=w)),
        (c.matthews_corrcoef(cm), sk.matthews_corrcoef(y, predicted, sample_weight=w)),
        (c.g_mean(cm), geometric_mean_score(y, predicted, sample_weight=w)),
        (c.worst_recall(cm), sk.recall_score(y, predicted, average=None, sample_weight=w).min()),
    ]
    for ours, theirs in pairs:
        assert float(ours) == pytest.approx(theirs, abs=1e-12)


def test_many_matrices_at_once_equal_one_by_one():
    matrices = np.stack([c.confusion_matrix(*labels(seed, 3)[:2], 3) for seed in range(5)])
    for function in (c.balanced_accuracy, c.f1_macro, c.matthews_corrcoef, c.g_mean, c.worst_recall):
        np.testing.assert_array_equal(function(matrices), [function(m) for m in matrices])


def test_a_class_without_rows_has_no_recall_and_makes_its_means_undefined():
    cm = np.array([[5.0, 1.0], [0.0, 0.0]])
    assert np.isnan(c.recalls(cm)[1])
    assert np.isnan(c.balanced_accuracy(cm))
    assert np.isnan(c.worst_recall(cm))


def test_a_class_that_is_never_labelled_has_f1_zero_as_in_scikit_learn():
    cm = np.array([[8.0, 0.0], [2.0, 0.0]])
    assert float(c.f1_macro(cm)) == pytest.approx(0.5 * 16 / 18)
    assert float(c.matthews_corrcoef(cm)) == 0.0


def test_expected_cost_by_hand():
    cm = np.array([[90.0, 10.0], [2.0, 8.0]])
    assert float(c.expected_cost(cm, np.array([[0.0, 1.0], [50.0, 0.0]]))) == pytest.approx((10 + 100) / 110)
