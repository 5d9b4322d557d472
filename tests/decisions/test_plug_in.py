"""Weights on probabilities for any number of classes, against brute force and known optima."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from steelyard.decisions import PlugIn, best_prior_exponent, from_dict, min_cost
from steelyard.decisions.concave import concave
from steelyard.decisions.line_search import Scored, ascend, best_step
from steelyard.decisions.plug_in import best_plug_in
from steelyard.decisions.ratio import best_f1_of_class
from steelyard.errors import InputError
from steelyard.metrics import catalogue, confusion
from steelyard.metrics.confusion import confusion_matrix


def bell_curves(n, seed=0, n_classes=3, rarest=0.04, separation=1.5):
    """Rows of unit normals at known distances, with their true posterior."""
    rng = np.random.default_rng(seed)
    priors = np.geomspace(1.0, rarest, n_classes)
    priors /= priors.sum()
    y = np.concatenate([np.arange(n_classes), rng.choice(n_classes, n - n_classes, p=priors)])
    z = separation * (rng.normal(size=(n, n_classes)) + separation * np.eye(n_classes)[y]) + np.log(priors)
    p = np.exp(z - z.max(1, keepdims=True))
    return p / p.sum(1, keepdims=True), y, priors


def value(metric, rule, p, y):
    return float(metric.of_confusion(confusion_matrix(y, rule(p), p.shape[1])))


METRICS = [
    confusion.f1_macro,
    confusion.g_mean,
    confusion.worst_recall,
    confusion.matthews_corrcoef,
    confusion.balanced_accuracy,
]


@pytest.mark.parametrize("metric", METRICS)
@given(seed=st.integers(0, 10_000), k=st.integers(0, 2), ties=st.booleans(), weighted=st.booleans())
@settings(max_examples=20, deadline=None)
def test_no_other_weight_of_a_class_does_better(metric, seed, k, ties, weighted):
    p, y, _ = bell_curves(50, seed)
    if ties:
        p = np.round(p, 1) + 1e-3
        p /= p.sum(1, keepdims=True)
    weight = np.random.default_rng(seed).integers(1, 4, 50).astype(float) if weighted else None
    scored, log_w = Scored.of(p, y, weight), np.log([1.0, 2.0, 3.0])
    step, reached = best_step(scored, log_w, k, metric, 1.0)
    every = []
    for r in np.log(p)[:, :, None] - np.log(p)[:, None, :]:  # all differences: every cut is just beyond one of them
        every += [*(r + log_w[:, None]).ravel()]
    tried = np.unique(every)
    tried = np.concatenate([tried - 1e-9, tried + 1e-9, [-50.0, 50.0]])
    best = max(float(metric(scored.confusion(np.where(np.arange(3) == k, w, log_w)))) for w in tried)
    assert reached == pytest.approx(best)
    assert float(metric(scored.confusion(np.where(np.arange(3) == k, step, log_w)))) == pytest.approx(reached)


@pytest.mark.parametrize("n_classes", [3, 12])
def test_balanced_accuracy_row_by_row_is_no_worse_than_from_matrices(n_classes):
    p, y, priors = bell_curves(3_000, n_classes=n_classes)
    scored, start = Scored.of(p, y), -0.5 * np.log(priors)
    for k in range(n_classes):
        step, reached = best_step(scored, start, k, confusion.balanced_accuracy, 1.0)
        _, some_cuts = best_step(scored, start, k, lambda cm: confusion.balanced_accuracy(cm), 1.0)
        assert reached >= some_cuts - 1e-12
        labels = scored.labels(np.where(np.arange(n_classes) == k, step, start))
        assert reached == pytest.approx(sk.balanced_accuracy_score(y, labels))


def test_a_step_over_many_rows_finds_what_looking_at_every_cut_finds():
    p, y, _ = bell_curves(20_000)
    scored = Scored.of(p, y)
    step, reached = best_step(scored, np.zeros(3), 2, confusion.f1_macro, 1.0)
    grid = np.linspace(-3.0, 6.0, 3_001)
    best = max(float(confusion.f1_macro(scored.confusion(np.array([0.0, 0.0, w])))) for w in grid)
    assert reached >= best - 2e-4
    assert float(confusion.f1_macro(scored.confusion(np.array([0.0, 0.0, step])))) == pytest.approx(reached)


def test_ascent_finds_the_best_of_a_grid_over_all_weights():
    p, y, _ = bell_curves(1_000, seed=3)
    scored = Scored.of(p, y)
    axis = np.linspace(-1.0, 4.0, 41)
    best = max(
        float(confusion.f1_macro(scored.confusion(np.array([0.0, a, b])))) for a, b in itertools.product(axis, axis)
    )
    log_w, reached = ascend(scored, np.zeros(3), confusion.f1_macro, 1.0)
    assert reached >= best - 0.003
    assert float(confusion.f1_macro(scored.confusion(log_w))) == pytest.approx(reached)


@given(seed=st.integers(0, 1000))
@settings(max_examples=10, deadline=None)
def test_rows_twice_are_rows_of_weight_two_and_classes_have_no_order(seed):
    p, y, _ = bell_curves(80, seed)
    twice = ascend(Scored.of(np.repeat(p, 2, 0), np.repeat(y, 2)), np.zeros(3), confusion.g_mean, 1.0)
    weighted = ascend(Scored.of(p, y, np.full(80, 2.0)), np.zeros(3), confusion.g_mean, 1.0)
    np.testing.assert_allclose(twice[0], weighted[0])
    order = np.array([2, 0, 1])
    step = best_step(Scored.of(p, y), np.zeros(3), 1, confusion.f1_macro, 1.0)
    permuted = best_step(Scored.of(p[:, order], order.argsort()[y]), np.zeros(3), 2, confusion.f1_macro, 1.0)
    assert step == pytest.approx(permuted)


@pytest.mark.parametrize("name", ["g_mean", "worst_recall", "balanced_accuracy"])
def test_frank_wolfe_and_hedge_reach_the_optimum_that_a_general_optimiser_finds(name):
    from scipy.optimize import minimize

    p, y, priors = bell_curves(20_000, seed=1)
    scored = Scored.of(p, y)
    metric = catalogue.get(name, "abc")

    def negative(free):
        return -float(metric.of_confusion(scored.confusion(np.array([0.0, *free]))))

    best = -min(minimize(negative, start, method="Nelder-Mead").fun for start in ([0.0, 0.0], [1.0, 3.0], [2.0, 2.0]))
    found = concave(scored, priors, name)
    of_mixture = {
        "g_mean": np.prod(found.recalls) ** (1 / 3),
        "worst_recall": found.recalls.min(),
        "balanced_accuracy": found.recalls.mean(),
    }[name]
    assert of_mixture == pytest.approx(best, abs=0.02)
    assert found.shares.sum() == pytest.approx(1.0)
    reached = ascend(scored, found.last, metric.of_confusion, 1.0)[1]
    assert reached >= best - 0.005


def test_a_mixture_can_beat_every_deterministic_rule_on_tied_scores():
    # one score for all rows: a rule labels all alike, a mixture gives each class its share of the recall
    p, y = np.full((90, 3), 1 / 3), np.repeat(np.arange(3), 30)
    found = concave(Scored.of(p, y), np.full(3, 1 / 3), "worst_recall")
    assert found.recalls.min() > 0.25
    rule = best_plug_in(p, y, catalogue.get("worst_recall", "abc"), np.full(3, 1 / 3))
    assert len(set(rule(p))) == 1  # two equal rows get equal labels


@pytest.mark.parametrize("k", [0, 2])
def test_the_f1_of_a_class_is_the_best_over_all_cuts(k):
    p, y, priors = bell_curves(300, seed=5)
    rule = best_f1_of_class(p, y, k, priors)
    found = confusion.f1(confusion_matrix(y, rule(p), 3))[k]
    cuts = np.unique(p[:, k])
    best = max(2 * (y[p[:, k] >= t] == k).sum() / ((p[:, k] >= t).sum() + (y == k).sum()) for t in cuts)
    assert found == pytest.approx(best)
    others = p.copy()
    others[:, k] = -1.0
    below = rule(p) != k
    assert (rule(p)[below] == others.argmax(1)[below]).all()


def test_balanced_accuracy_asks_for_the_priors_and_nothing_else():
    p, y, priors = bell_curves(3_000)
    rule = best_plug_in(p, y, catalogue.get("balanced_accuracy", "abc"), priors)
    fresh, truth, _ = bell_curves(50_000, seed=99)
    metric = catalogue.get("balanced_accuracy", "abc")
    assert value(metric, rule, fresh, truth) >= value(metric, PlugIn(1.0, tuple(priors)), fresh, truth) - 0.005


def test_costs_ask_for_the_least_expected_cost():
    p, y, priors = bell_curves(3_000)
    costs = np.array([[0.0, 1.0, 4.0], [2.0, 0.0, 1.0], [30.0, 10.0, 0.0]])
    metric = catalogue.get("expected_cost", "abc", cost_matrix=costs)
    rule = best_plug_in(p, y, metric, priors)
    fresh, truth, _ = bell_curves(50_000, seed=99)
    bayes = float(metric.of_confusion(confusion_matrix(truth, min_cost(fresh, costs), 3)))
    assert value(metric, rule, fresh, truth) <= 1.03 * bayes
    assert (PlugIn(0.0, tuple(priors), None, tuple(map(tuple, costs)))(fresh) == min_cost(fresh, costs)).all()


def test_wrong_offsets_are_found_where_a_power_of_the_priors_cannot():
    p, y, priors = bell_curves(4_000, seed=2)
    p = p * [1.0, 0.2, 1.0]
    p /= p.sum(1, keepdims=True)
    metric = catalogue.get("g_mean", "abc")
    rule = best_plug_in(p, y, metric, priors)
    fresh, truth, _ = bell_curves(50_000, seed=99)
    shifted = fresh * [1.0, 0.2, 1.0]
    shifted /= shifted.sum(1, keepdims=True)
    best = value(metric, PlugIn(1.0, tuple(priors)), fresh, truth)  # the rule for the scores as they were
    scalar = best_prior_exponent(p, y, priors, confusion.g_mean)
    assert value(metric, rule, shifted, truth) >= best - 0.02 > value(metric, scalar, shifted, truth)


def test_a_large_table_is_searched_by_weighted_rows_and_gives_the_same_value():
    p, y, priors = bell_curves(150_000, seed=4)
    metric = catalogue.get("f1_macro", "abc")
    rule = best_plug_in(p, y, metric, priors)
    scored = Scored.of(p, y)
    assert value(metric, rule, p, y) >= ascend(scored, np.log(rule.weights), confusion.f1_macro, 1.0)[1] - 0.002


def test_a_class_with_one_row_gets_no_weight_of_its_own():
    p, y, _ = bell_curves(400, seed=1)
    keep = np.flatnonzero(y != 2)
    rows = np.append(keep, np.flatnonzero(y == 2)[0])
    shares = np.bincount(y[rows]) / len(rows)
    rule = best_plug_in(p[rows], y[rows], catalogue.get("f1_macro", "abc"), shares)
    commonest = int(np.argmax(shares))
    prior = shares**-rule.tau
    if rule.factors is not None:
        ratio = rule.weights / prior
        assert ratio[2] / ratio[commonest] == pytest.approx(1.0)


def test_many_classes_have_one_power_of_their_priors():
    p, y, priors = bell_curves(2_000, n_classes=150)
    rule = best_plug_in(p, y, catalogue.get("balanced_accuracy", range(150)), priors)
    assert rule.factors is None


def test_a_rule_survives_json():
    import json

    for rule in (
        PlugIn(0.5, (0.8, 0.2)),
        PlugIn(0.5, (0.8, 0.2), (1.0, 3.0)),
        PlugIn(0.0, (0.8, 0.2), None, ((0.0, 1.0), (5.0, 0.0))),
    ):
        assert from_dict(json.loads(json.dumps(rule.to_dict()))) == rule


def test_bad_input_is_named():
    p, y, _ = bell_curves(50)
    with pytest.raises(InputError, match="0 for class 2"):
        best_plug_in(p, y, catalogue.get("f1_macro", "abc"), [0.5, 0.5, 0.0])
    with pytest.raises(InputError, match="defined for some decision"):
        best_plug_in(p, np.where(y == 2, 1, y), catalogue.get("recall_c", "abc"), [0.5, 0.4, 0.1])
    with pytest.raises(InputError, match="3 classes"):
        PlugIn(1.0, (0.5, 0.3, 0.2))([[0.5, 0.5]])


@pytest.mark.parametrize("scores", ["constant", "certain"])
def test_scores_that_say_nothing_or_everything(scores):
    y = np.repeat(np.arange(3), [40, 8, 4])
    p = np.full((52, 3), 1 / 3) if scores == "constant" else np.eye(3)[y]
    rule = best_plug_in(p, y, catalogue.get("f1_macro", "abc"), np.array([40, 8, 4]) / 52)
    assert len(set(rule(p))) == (1 if scores == "constant" else 3)
    if scores == "certain":
        assert (rule(p) == y).all()
