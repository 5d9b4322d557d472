"""`posterior` recovers the probabilities whose expected loss the logits minimise."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.optimize import root

import steelyard as sy
from tests.conformance.frameworks import FRAMEWORKS
from tests.conformance.points import PAIR_WEIGHTS
from tests.conformance.recipes import all_recipes
from tests.losses.reference import softmax_row

COUNTS = [60, 24, 9, 3]
W = [0.4, 1.0, 2.5, 3.1]
PAIRWISE = np.array([[0.0, 0.5, 1.2, 0.3], [0.2, 0.0, 0.9, 0.1], [1.5, 0.7, 0.0, 0.4], [0.6, 0.2, 0.8, 0.0]])

SOFTMAX = {
    "cross_entropy": sy.losses.cross_entropy(),
    "weighted": sy.losses.weighted_cross_entropy(W),
    "focal 0.5": sy.losses.focal(0.5),
    "focal 2": sy.losses.focal(2.0),
    "focal 5 weighted": sy.losses.focal(5.0, class_weight=W),
    "class_balanced focal": sy.losses.class_balanced(COUNTS, beta=0.9, gamma=1.0),
    "logit_adjusted": sy.losses.logit_adjusted(COUNTS),
    "logit_adjusted focal": sy.losses.logit_adjusted(COUNTS, tau=1.5, gamma=2.0),
    "ldam": sy.losses.ldam(COUNTS, scale=3.0),
    "ldam weighted": sy.losses.ldam(COUNTS, scale=30.0, class_weight=W),
    "vector_scaling": sy.losses.vector_scaling(COUNTS, gamma=0.3, class_weight=W),
    "cdt": sy.losses.cdt(COUNTS, gamma=0.5),
    "pairwise": sy.losses.pairwise_margin(PAIRWISE),
    "pairwise of log priors": sy.losses.pairwise_margin(
        np.log(np.divide.outer(1.0 / np.array(COUNTS), 1.0 / np.array(COUNTS)))
    ),
    "softmax_margin weighted": sy.losses.softmax_margin(3.0 * PAIRWISE, class_weight=W),
    "cosen focal": sy.losses.cosen(PAIRWISE + 0.5, gamma=1.0),
    "smoothed": sy.losses.cross_entropy(label_smoothing=0.1),
    "smoothed weighted": sy.losses.weighted_cross_entropy(W, label_smoothing=0.1),
    "smoothed focal adjusted": sy.losses.logit_adjusted(COUNTS, class_weight=W, label_smoothing=0.05, gamma=0.5),
    "by prediction": sy.losses.weighted_cross_entropy(W, weight_by="prediction"),
    "by prediction focal": sy.losses.weighted_cross_entropy(W, weight_by="prediction", gamma=2.0),
    "by pair": sy.losses.weighted_cross_entropy(PAIR_WEIGHTS, weight_by="pair"),
    "by pair hard": sy.losses.weighted_cross_entropy(PAIR_WEIGHTS, weight_by="pair_hard"),
    "by pair adjusted": sy.losses.logit_adjusted(COUNTS, class_weight=PAIR_WEIGHTS, weight_by="pair"),
    "by pair smoothed": sy.losses.cross_entropy(class_weight=PAIR_WEIGHTS, weight_by="pair", label_smoothing=0.05),
}


def expected_gradient(loss: Any, eta: np.ndarray, z: np.ndarray) -> np.ndarray:
    """Σ_y η_y ∇ℓ(z, y) from the reference, which knows nothing of `posterior`."""
    point = loss.to_dict()
    onehot = np.eye(len(eta))
    return sum(eta[y] * np.array(softmax_row(point, z.tolist(), onehot[y].tolist()).gradient) for y in range(len(eta)))


def optimum(loss: Any, eta: np.ndarray) -> np.ndarray | None:
    """Logits, the last of them 0, at which the expected loss is stationary."""

    def equations(free: np.ndarray) -> np.ndarray:
        return expected_gradient(loss, eta, np.append(free, 0.0))[:-1]

    # near the optimum of weighted, adjusted cross-entropy; focal losses are not convex, so several starts
    weight = loss.class_weight if np.ndim(loss.class_weight) == 1 else 1.0
    a = np.log(weight * eta) - (0.0 if loss.logit_offset is None else loss.logit_offset)
    start = ((a - a[-1]) / (1.0 if loss.logit_scale is None else loss.logit_scale))[:-1]
    rng = np.random.default_rng(0)
    for attempt in range(10):
        method = "hybr" if attempt % 2 else "lm"
        found = root(equations, start + attempt * rng.normal(0.0, 0.1, len(start)), tol=1e-14, method=method)
        if np.abs(found.fun).max() < 1e-12:
            return np.append(found.x, 0.0)
    return None


@pytest.mark.parametrize("name", SOFTMAX)
def test_recovers_the_probabilities_that_made_the_logits(name: str) -> None:
    loss = SOFTMAX[name]
    rng = np.random.default_rng(0)
    found = 0
    for _ in range(6):
        eta = rng.dirichlet(3.0 * np.ones(4))
        z = optimum(loss, eta)
        if z is None:
            continue  # arg-max weights jump, so that for some η no logits are stationary
        found += 1
        np.testing.assert_allclose(loss.posterior(z[None])[0], eta, atol=1e-8)
    assert found >= (2 if name.endswith("hard") else 6)


def test_newton_on_weighted_cross_entropy_gives_the_closed_form() -> None:
    # the optimum of weighted cross-entropy is z = log(w η): no solver needed, and none of our code
    eta = np.array([0.7, 0.2, 0.08, 0.02])
    z = np.log(np.array(W) * eta)
    np.testing.assert_allclose(sy.losses.weighted_cross_entropy(W).posterior(z[None])[0], eta, rtol=1e-14)


RECIPES = {name: loss for name, loss in all_recipes().items() if isinstance(loss, sy.losses.SoftmaxCrossEntropy)}
LABELS = {name: loss for name, loss in all_recipes().items() if isinstance(loss, sy.losses.SigmoidCrossEntropy)}


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_is_stationary_at_its_posterior(name: str) -> None:
    """Σ_y η_y ∇ℓ(z, y) = 0 at η = posterior(z), with the gradient of the reference: for all recipes there will be."""
    loss = RECIPES[name]
    if loss.parameters["cost_matrix"] is not None:
        with pytest.raises(sy.errors.InputError, match="without a cost term"):
            loss.posterior(np.zeros((1, 4)))
        return
    z = np.random.default_rng(0).normal(0.0, 0.3, (5, 4))  # near the middle: smoothing has no η far from it
    for row, eta in zip(z, loss.posterior(z), strict=True):
        assert (eta > 0).all()
        size = max(np.abs(softmax_row(loss.to_dict(), row.tolist(), e.tolist()).gradient).max() for e in np.eye(4))
        np.testing.assert_allclose(expected_gradient(loss, eta, row) / size, 0.0, atol=1e-8)


@pytest.mark.parametrize("name", LABELS)
def test_every_recipe_of_labels_too(name: str) -> None:
    """With our own gradient, which `tests/conformance` holds against the reference."""
    loss = LABELS[name]
    if not getattr(loss, "has_posterior", True):
        pytest.skip("its labels weigh each other: it has no posterior")
    z = np.random.default_rng(0).normal(size=(5, 4))
    eta = loss.posterior(z)
    for j in range(4):
        away, here = (loss.gradient(z, t * np.eye(4)[np.full(5, j)])[:, j] for t in (0.0, 1.0))
        np.testing.assert_allclose(eta[:, j] * here + (1 - eta[:, j]) * away, 0.0, atol=1e-10)


@pytest.mark.parametrize("gamma", [0.5, 1.0, 2.0, 5.0])
def test_focal_against_the_published_formula(gamma: float) -> None:
    # η ∝ v / [(1 − v)^γ − γ (1 − v)^(γ−1) v log v], Charoenphakdee et al., CVPR 2021, eq. 10
    v = np.array([0.5, 0.3, 0.15, 0.05])
    h = v / ((1 - v) ** gamma - gamma * (1 - v) ** (gamma - 1) * v * np.log(v))
    np.testing.assert_allclose(sy.losses.focal(gamma).posterior(np.log(v)[None])[0], h / h.sum(), rtol=1e-13)


def test_smoothing_outside_the_simplex_is_brought_back() -> None:
    # ε = 0.4, C = 4: the optimum has every q ≥ 0.1, so logits beyond that stand for no η
    eta = sy.losses.cross_entropy(label_smoothing=0.4).posterior(np.array([[9.0, 0.0, 0.0, 0.0]]))[0]
    assert (eta >= 0).all()
    assert eta.sum() == pytest.approx(1.0)
    assert eta[0] == pytest.approx(1.0)


@pytest.mark.parametrize("name", SOFTMAX)
def test_sums_to_one_and_is_never_nan_at_extreme_logits(name: str) -> None:
    z = np.array([[1e4, -1e4, 0.0, 0.0], [0.0, 0.0, 0.0, 1e4], [-1e4] * 4, [300.0, 0.0, -300.0, 0.0], [50.0, 0, 0, 0]])
    eta = SOFTMAX[name].posterior(z)
    assert np.isfinite(eta).all()
    assert (eta >= 0).all()
    np.testing.assert_allclose(eta.sum(axis=1), 1.0, rtol=1e-12)


@pytest.mark.parametrize("name", SOFTMAX)
@pytest.mark.parametrize("framework", ["torch", "tensorflow", "jax"])
def test_frameworks_agree_with_numpy(framework: str, name: str) -> None:
    xp, loss = FRAMEWORKS[framework], SOFTMAX[name]
    z = np.random.default_rng(0).normal(0.0, 2.0, (5, 4))
    with xp.context("float64"):
        got = xp.compiled(loss.posterior)(xp.tensor(z)) if framework == "jax" else loss.posterior(xp.tensor(z))
        np.testing.assert_allclose(xp.numbers(got), loss.posterior(z), rtol=1e-10, atol=1e-13)


def test_layouts_of_the_posterior() -> None:
    loss = SOFTMAX["vector_scaling"]
    z = np.random.default_rng(0).normal(size=(2, 4, 3, 5))
    flat = loss.posterior(np.moveaxis(z, 1, -1).reshape(-1, 4))
    np.testing.assert_allclose(np.moveaxis(loss.posterior(z), 1, -1).reshape(-1, 4), flat, rtol=1e-13)
    last = loss.posterior(np.moveaxis(z, 1, -1), class_axis=-1)
    np.testing.assert_allclose(last.reshape(-1, 4), flat, rtol=1e-13)
    np.testing.assert_allclose(loss.posterior(z[0, :, 0, 0]), loss.posterior(z)[0, :, 0, 0], rtol=1e-13)


def test_a_constant_added_to_all_logits_changes_nothing() -> None:
    z = np.random.default_rng(0).normal(size=(5, 4))
    for name, loss in SOFTMAX.items():
        if loss.logit_scale is None or np.ptp(loss.logit_scale) == 0:
            np.testing.assert_allclose(loss.posterior(z + 37.0), loss.posterior(z), rtol=1e-9, err_msg=name)


def test_the_scale_of_weights_changes_nothing() -> None:
    z = np.random.default_rng(0).normal(size=(5, 4))
    for by, w in (("target", np.array(W)), ("pair", PAIR_WEIGHTS)):
        a = sy.losses.cross_entropy(class_weight=w, weight_by=by, label_smoothing=0.1).posterior(z)
        b = sy.losses.cross_entropy(class_weight=1e3 * w, weight_by=by, label_smoothing=0.1).posterior(z)
        np.testing.assert_allclose(a, b, rtol=1e-9)


def test_costs_and_weights_of_zero_have_no_posterior() -> None:
    with pytest.raises(sy.errors.InputError, match="without a cost term.*min_cost"):
        sy.losses.SoftmaxCrossEntropy(cost_matrix=np.ones((4, 4)), cost_coefficient=1.0).posterior(np.zeros((1, 4)))
    with pytest.raises(sy.errors.InputError, match=r"class weights above 0.*never learnt"):
        sy.losses.weighted_cross_entropy([1.0, 0.0]).posterior(np.zeros((1, 2)))


# --- sigmoid family ---------------------------------------------------------------------------------------------

SIGMOID = {
    "plain": sy.losses.binary_cross_entropy(),
    "pos_weight": sy.losses.binary_cross_entropy(9.0),
    "focal": sy.losses.sigmoid_focal(2.0, 0.25),
    "asymmetric": sy.losses.SigmoidCrossEntropy(gamma_pos=0.5, gamma_neg=4.0, pos_weight=3.0),
    "shifted": sy.losses.asymmetric(gamma_neg=1.0, gamma_pos=0.5, probability_shift=0.02),
    "tolerant": sy.losses.SigmoidCrossEntropy(neg_scale=3.0, logit_offset=-0.7, gamma_neg=2.0),
    "outcomes": sy.losses.outcome_weighted([[1.0, 2.0], [5.0, 1.5]]),
    "everything": sy.losses.SigmoidCrossEntropy(
        pos_weight=2.0, outcome_weight=[[1.0, 2.0], [5.0, 1.5]], gamma_pos=1.0, gamma_neg=2.0, class_weight=7.0
    ),
}


@pytest.mark.parametrize("name", SIGMOID)
@pytest.mark.parametrize("eta", [0.003, 0.1, 0.5, 0.97])
def test_recovers_the_probability_of_a_label(name: str, eta: float) -> None:
    from scipy.optimize import brentq

    from tests.losses.reference import sigmoid_entry

    loss = SIGMOID[name]
    point = loss.to_dict()

    def slope(z: float) -> float:
        positive, negative = (sigmoid_entry(point, z, [t], 0).gradient[0] for t in (1.0, 0.0))
        return eta * positive + (1.0 - eta) * negative

    z = brentq(slope, -30.0, 30.0, xtol=1e-14, rtol=1e-14)
    assert float(loss.posterior(np.array([z]))[0]) == pytest.approx(eta, abs=1e-8)


def test_positive_weight_by_hand() -> None:
    # η = σ(z − log v)
    got = SIGMOID["pos_weight"].posterior(np.array([0.0, 2.0]))
    np.testing.assert_allclose(got, 1.0 / (1.0 + 9.0 * np.exp([0.0, -2.0])), rtol=1e-14)


@pytest.mark.parametrize("name", SIGMOID)
@pytest.mark.parametrize("framework", ["torch", "tensorflow", "jax"])
def test_frameworks_agree_on_labels(framework: str, name: str) -> None:
    xp, loss = FRAMEWORKS[framework], SIGMOID[name]
    z = np.array([-1e4, -30.0, -1.0, 0.0, 2.5, 40.0, 1e4])
    with xp.context("float64"):
        got = xp.numbers(loss.posterior(xp.tensor(z)))
    assert np.isfinite(got).all()
    np.testing.assert_allclose(got, loss.posterior(z), rtol=1e-11, atol=1e-15)


def test_several_labels_at_once() -> None:
    loss = sy.losses.binary_cross_entropy([2.0, 5.0])
    z = np.random.default_rng(0).normal(size=(3, 2))
    got = loss.posterior(z)
    assert got.shape == (3, 2)
    np.testing.assert_allclose(got[:, 1], sy.losses.binary_cross_entropy(5.0).posterior(z[:, 1]), rtol=1e-14)
