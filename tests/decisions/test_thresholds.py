import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from steelyard.decisions import PlugIn, Threshold, best_prior_exponent, best_threshold
from steelyard.errors import InputError
from steelyard.metrics import confusion


def scored(seed, ties, n=60):
    rng = np.random.default_rng(seed)
    y = np.concatenate([[0, 1], (rng.random(n) < 0.2).astype(int)])
    p = 1 / (1 + np.exp(-rng.normal(2.0 * y - 2.0)))
    return y, np.round(p, 1) if ties else p


@pytest.mark.parametrize(
    "metric", [confusion.balanced_accuracy, confusion.f1_macro, confusion.matthews_corrcoef, confusion.g_mean]
)
@given(seed=st.integers(0, 10_000), ties=st.booleans(), positive=st.integers(0, 1))
@settings(max_examples=25, deadline=None)
def test_no_threshold_does_better(metric, seed, ties, positive):
    y, p = scored(seed, ties)
    proba = np.column_stack([1 - p, p])
    rule = best_threshold(proba, y, metric, positive)

    def value(labels):
        return float(metric(confusion.confusion_matrix(y, labels, 2)))

    every = [Threshold(t, positive) for t in [0.0, *np.unique(proba), *(np.unique(proba) + 1e-9), 1.1]]
    assert value(rule(proba)) == pytest.approx(max(value(r(proba)) for r in every))


def test_the_middle_of_equally_good_cuts_is_taken():
    p = np.array([0.1, 0.2, 0.8, 0.9])
    rule = best_threshold(np.column_stack([1 - p, p]), [0, 0, 1, 1], confusion.balanced_accuracy)
    assert rule.threshold == pytest.approx(0.5)


def test_labelling_everything_or_nothing_is_among_the_cuts():
    p = np.array([0.2, 0.4, 0.6])
    proba, y = np.column_stack([1 - p, p]), [0, 1, 0]
    assert best_threshold(proba, y, lambda cm: cm[:, :, 1].sum(-1))(proba).tolist() == [1, 1, 1]
    assert best_threshold(proba, y, lambda cm: cm[:, :, 0].sum(-1))(proba).tolist() == [0, 0, 0]


def test_neighbouring_floats_are_told_apart():
    low = 0.3
    p = np.array([low, np.nextafter(low, 1.0)])
    proba = np.column_stack([1 - p, p])
    assert best_threshold(proba, [0, 1], confusion.balanced_accuracy)(proba).tolist() == [0, 1]


def test_a_lower_is_better_metric_is_minimised():
    y, p = scored(0, ties=False)
    proba = np.column_stack([1 - p, p])
    costs = np.array([[0.0, 1.0], [10.0, 0.0]])
    rule = best_threshold(proba, y, lambda cm: confusion.expected_cost(cm, costs), greater_is_better=False)
    least = min(
        float(confusion.expected_cost(confusion.confusion_matrix(y, Threshold(t)(proba), 2), costs))
        for t in [0.0, *p, 1.1]
    )
    found = confusion.expected_cost(confusion.confusion_matrix(y, rule(proba), 2), costs)
    assert float(found) == pytest.approx(least)


def test_the_prior_exponent_recovers_what_balanced_accuracy_needs():
    rng = np.random.default_rng(0)
    priors = np.array([0.85, 0.1, 0.05])
    y = rng.choice(3, size=5000, p=priors)
    x = rng.normal(size=(5000, 3)) + 1.5 * np.eye(3)[y]
    joint = priors * np.exp(1.5 * x)  # the true posterior of unit normals at distance 1.5
    proba = joint / joint.sum(1, keepdims=True)
    rule = best_prior_exponent(proba, y, priors, confusion.balanced_accuracy)
    assert rule.tau == pytest.approx(1.0, abs=0.2)
    assert PlugIn(0.0, tuple(priors))(proba).tolist() == proba.argmax(1).tolist()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: best_threshold(np.full((3, 3), 1 / 3), [0, 1, 2], confusion.f1_macro), "two columns"),
        (lambda: best_threshold([[0.5, 0.5]], [0], confusion.balanced_accuracy), "defined for some decision"),
        (lambda: best_prior_exponent([[0.5, 0.5]], [0], [1.0, 0.0], confusion.f1_macro), "0 for class 1"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(InputError, match=message):
        call()
