import inspect

import numpy as np
import pytest

import steelyard as sy
from steelyard.errors import InputError

COUNTS = sy.ClassCounts.from_counts({"a": 880, "b": 100, "c": 20})
PRIORS = np.array([0.88, 0.1, 0.02])


def point(name, counts=COUNTS, **parameters):
    return sy.strategies.get(name, **parameters).resolve(counts)


def test_the_promised_names_exist_with_none_first():
    names = sy.strategies.names()
    assert names[0] == "none"
    promised = (
        "none prior_threshold post_hoc_logit_adjustment balanced inverse_sqrt log_inverse effective_number "
        "scaled_logits focal class_balanced_focal logit_adjusted balanced_softmax ldam vector_scaling oversample "
        "undersample"
    )
    assert set(promised.split()) <= set(names)


@pytest.mark.parametrize("name", sy.strategies.names())
def test_every_strategy_is_described_and_resolves(name):
    strategy = sy.strategies.get(name)
    assert strategy.name == name
    assert strategy.summary.endswith(".")
    assert strategy.helps.endswith(".")
    assert strategy.source
    resolved = strategy.resolve(COUNTS)
    assert resolved.strategy == name
    z = np.random.default_rng(0).normal(size=(40, 3))
    proba = resolved.posterior(z)
    np.testing.assert_allclose(proba.sum(1), 1.0)
    assert ((proba >= 0) & (proba <= 1)).all()
    assert set(resolved.decide(z)) <= {0, 1, 2}


def test_a_strategy_cannot_see_a_table():
    """Counts of the training fold are all that comes in: no row, no feature, no test fold."""
    assert list(inspect.signature(sy.strategies.Strategy.resolve).parameters) == ["self", "counts"]
    for name in sy.strategies.names():
        parameters = list(inspect.signature(sy.strategies.get(name).build).parameters.values())
        assert parameters[0].annotation == "ClassCounts"
        assert all(isinstance(p.default, float) for p in parameters[1:])


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("balanced", 1000 / (3 * np.array([880, 100, 20]))),
        ("inverse_sqrt", np.array([880.0, 100, 20]) ** -0.5),
        ("log_inverse", np.log(1 / PRIORS) + 1),
        ("effective_number", (1 - 0.9999) / (1 - 0.9999 ** np.array([880.0, 100, 20]))),
    ],
)
def test_class_weights_by_hand(name, expected):
    np.testing.assert_allclose(point(name).loss.class_weight, expected, rtol=1e-9)


def test_offsets_and_scales_by_hand():
    np.testing.assert_allclose(point("logit_adjusted", tau=0.5).loss.logit_offset, 0.5 * np.log(PRIORS))
    offsets = point("balanced_softmax").loss.logit_offset - np.log([880, 100, 20])
    np.testing.assert_allclose(offsets, offsets[0])  # log n but for a constant, which a softmax does not see
    np.testing.assert_allclose(point("scaled_logits").loss.logit_scale, 1000 / (3 * np.array([880, 100, 20])))
    np.testing.assert_allclose(point("vector_scaling").loss.logit_scale, (np.array([880, 100, 20]) / 880) ** 0.15)
    assert float(point("focal", gamma=1.5).loss.gamma) == 1.5
    assert point("focal").loss.class_weight is None
    ratio = point("class_balanced_focal").loss.class_weight / point("effective_number").loss.class_weight
    np.testing.assert_allclose(ratio, ratio[0])  # the paper's normalisation is a constant


def test_post_hoc_strategies_share_the_fit_of_none_and_others_do_not():
    shared = {name for name in sy.strategies.names() if point(name).training_key == point("none").training_key}
    assert shared == {"none", "prior_threshold", "post_hoc_logit_adjustment"}


def test_prior_threshold_is_a_threshold_at_the_prior():
    counts = sy.ClassCounts.from_counts({"common": 900, "rare": 100})
    p = np.array([0.05, 0.0999, 0.1001, 0.4])
    z = np.column_stack([np.log(1 - p), np.log(p)])
    assert point("prior_threshold", counts).decide(z).tolist() == [0, 0, 1, 1]
    assert point("none", counts).decide(z).tolist() == [0, 0, 0, 0]


def test_what_is_said_to_coincide_does():
    z = np.random.default_rng(1).normal(size=(500, 3)) * 2
    same = point("prior_threshold").decide(z), point("post_hoc_logit_adjustment").decide(z)
    np.testing.assert_array_equal(*same)
    y = np.random.default_rng(2).integers(3, size=500)
    np.testing.assert_allclose(point("balanced_softmax").loss.value(z, y), point("logit_adjusted").loss.value(z, y))
    np.testing.assert_allclose(point("balanced_softmax").posterior(z), point("logit_adjusted").posterior(z))


def test_the_posterior_takes_the_correction_off_again():
    """A model that fits the weighted, shifted or resampled population perfectly states the true posterior."""
    rng = np.random.default_rng(3)
    eta = rng.dirichlet(np.ones(3), size=50)
    weighted = eta * point("balanced").loss.class_weight
    np.testing.assert_allclose(point("balanced").posterior(np.log(weighted)), eta, atol=1e-12)
    np.testing.assert_allclose(point("logit_adjusted").posterior(np.log(eta / PRIORS)), eta, atol=1e-12)
    for name in ("oversample", "undersample"):
        np.testing.assert_allclose(point(name).posterior(np.log(eta / PRIORS)), eta, atol=1e-12)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: sy.strategies.get("ballanced"), "did you mean 'balanced'"),
        (lambda: sy.strategies.get("logit_adjusted", tua=1.0), r"\(tau\); got 'tua'.*did you mean 'tau'"),
        (lambda: sy.strategies.get("balanced", tau=1.0), r"\(none\); got 'tau'"),
        (lambda: sy.strategies.get("focal", gamma="2"), "a number for `gamma`"),
        (lambda: point("focal", gamma=-1.0), "gamma"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(InputError, match=message):
        call()


def test_the_scale_of_cosines_is_divided_out_for_other_models():
    counts = sy.ClassCounts.from_counts({"a": 160, "b": 10})
    point = sy.strategies.get("ldam_drw").resolve(counts)
    plain = point.without_cosine()
    assert point.cosine
    assert not plain.cosine
    # m_c = 0.5 (n_min / n_c)^(1/4): 0.25 and 0.5
    np.testing.assert_allclose(plain.loss.margin, [0.25, 0.5])
    np.testing.assert_allclose(plain.later.margin, [0.25, 0.5])
    np.testing.assert_array_equal(plain.later.class_weight, point.later.class_weight)
    # the same loss on scaled logits: s (z − m) = s z − s m
    z, y = np.array([[0.3, -0.2]]), np.array([1])
    scaled = sy.losses.SoftmaxCrossEntropy(margin=30 * plain.loss.margin).value(30 * z, y)
    np.testing.assert_allclose(point.loss.value(z, y), scaled)
