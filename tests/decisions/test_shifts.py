import numpy as np
import pytest

from steelyard.decisions import post_hoc_logit_adjustment, prior_shift
from steelyard.errors import InputError


def test_prior_shift_is_bayes_rule():
    """Two known densities, priors exchanged: the shifted posterior is the posterior under the new priors."""
    x = np.linspace(-3, 4, 50)
    density = np.column_stack([np.exp(-(x**2) / 2), np.exp(-((x - 1) ** 2) / 2)])

    def posterior(priors):
        joint = density * priors
        return joint / joint.sum(1, keepdims=True)

    old, new = np.array([0.5, 0.5]), np.array([0.97, 0.03])
    np.testing.assert_allclose(prior_shift(posterior(old), old, new), posterior(new), atol=1e-14)
    np.testing.assert_allclose(prior_shift(prior_shift(posterior(old), old, new), new, old), posterior(old), atol=1e-12)


def test_a_class_that_no_longer_occurs_gets_nothing():
    shifted = prior_shift([[0.2, 0.8], [0.0, 1.0]], [0.5, 0.5], [1.0, 0.0])
    np.testing.assert_array_equal(shifted, [[1.0, 0.0], [1.0, 0.0]])


def test_post_hoc_adjustment_at_tau_one_divides_by_the_priors():
    rng = np.random.default_rng(0)
    z, priors = rng.normal(size=(200, 3)), np.array([0.9, 0.07, 0.03])
    p = np.exp(z) / np.exp(z).sum(1, keepdims=True)
    adjusted = post_hoc_logit_adjustment(z, priors)
    np.testing.assert_array_equal(adjusted.argmax(1), (p / priors).argmax(1))
    np.testing.assert_array_equal(post_hoc_logit_adjustment(z, priors, tau=0.0), z)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: prior_shift([0.2, 0.8], [0.5, 0.5], [0.9, 0.1]), "np.column_stack"),
        (lambda: prior_shift([[0.2, 0.9]], [0.5, 0.5], [0.9, 0.1]), "sum to 1.*in row 0.*softmax"),
        (lambda: prior_shift([[0.2, 0.8], [np.nan, 1]], [0.5, 0.5], [0.9, 0.1]), "in row 1"),
        (lambda: prior_shift([[0.2, 0.8]], [50, 50], [0.9, 0.1]), "divide counts by their sum"),
        (lambda: prior_shift([[0.2, 0.8]], [1.0, 0.0], [0.9, 0.1]), "0 for class 1"),
        (lambda: prior_shift([[0.2, 0.8]], [0.4, 0.4, 0.2], [0.9, 0.1]), r"shape \(2,\)"),
        (lambda: post_hoc_logit_adjustment([[1.0, 2.0]], [1.0, 0.0]), "0 for class 1"),
        (lambda: post_hoc_logit_adjustment([[1.0, 2.0]], [0.5, 0.5], tau=-1.0), "`tau` ≥ 0"),
        (lambda: post_hoc_logit_adjustment([[np.inf, 2.0]], [0.5, 0.5]), "finite `logits`"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(InputError, match=message):
        call()
