"""Pair weights: what the formula says of the diagonal, of a cell and of a row, and what training makes of it."""

from __future__ import annotations

import re
import runpy

import numpy as np
import pytest
from scipy.optimize import brentq

import steelyard as sy
from steelyard.decisions.pair_weighting import pair_weights
from steelyard.errors import InputError
from tests.docs.pages import ROOT

CONFUSION = np.array([[90.0, 10.0, 0.0], [8.0, 30.0, 2.0], [1.0, 4.0, 5.0]])
COSTS = np.array([[0.0, 1.0, 1.0], [1.0, 0.0, 1.0], [1.0, 10.0, 0.0]])


def test_arithmetic_by_hand():
    unscaled = np.array([[1, 1, 1], [1, 1, 1], [1, 10, (1 * 1 + 4 * 10) / 5]])
    scale = sum(CONFUSION[k, j] * unscaled[k, j] for k in range(3) for j in range(3)) / 150
    np.testing.assert_allclose(pair_weights(CONFUSION, COSTS), unscaled / scale, rtol=1e-14)


def test_equal_mistakes_of_a_class_are_its_class_weight():
    costs = np.array([[0.0, 1.0, 1.0], [3.0, 0.0, 3.0], [8.0, 8.0, 0.0]])
    weights = pair_weights(CONFUSION, costs)
    np.testing.assert_allclose(weights / weights[0, 0], [[1] * 3, [3] * 3, [8] * 3], rtol=1e-14)
    z, y = np.random.default_rng(0).normal(size=(20, 3)), np.arange(20) % 3
    pairs = sy.losses.SoftmaxCrossEntropy(class_weight=weights, weight_by="pair")
    plain = sy.losses.SoftmaxCrossEntropy(class_weight=weights[:, 0])
    np.testing.assert_allclose(pairs.gradient(z, y), plain.gradient(z, y), rtol=1e-12)


def test_a_class_without_mistakes_takes_the_plain_mean_and_units_do_not_matter():
    never = CONFUSION.copy()
    never[2] = [0, 0, 10]
    weights = pair_weights(never, COSTS)
    assert weights[2, 2] / weights[2, 0] == pytest.approx(5.5)
    np.testing.assert_allclose(pair_weights(never, 7 * COSTS + [[1], [2], [3]]), weights, rtol=1e-12)


@pytest.mark.parametrize(
    ("confusion", "message"),
    [
        (CONFUSION / CONFUSION.sum(1, keepdims=True), "these are shares"),
        (CONFUSION[:2], "shape"),
        (-CONFUSION, "counts ≥ 0"),
        (CONFUSION[:2, :2], r"`cost_matrix` of shape \(2, 2\)"),
    ],
)
def test_what_is_no_confusion_matrix(confusion, message):
    with pytest.raises(InputError, match=message):
        pair_weights(confusion, COSTS)


@pytest.mark.parametrize("diagonal", [0.0, 0.1, 1.0, 4.0])
def test_the_diagonal_draws_to_the_middle_or_to_the_ends(diagonal):
    """Where p_1/p_0 = η_1 ω_1 / (η_0 ω_0): at a diagonal of 0 the odds are the root of the true ones."""
    loss = sy.losses.SoftmaxCrossEntropy(class_weight=[[diagonal, 1.0], [1.0, diagonal]], weight_by="pair")
    eta = 0.8

    def pull(z):
        two = np.array([[0.0, z], [0.0, z]])
        return float((np.array([1 - eta, eta]) @ loss.gradient(two, np.array([0, 1])))[1])

    odds = np.exp(brentq(pull, -1e-9 if diagonal else 0.1, 20.0))
    if diagonal == 0.0:
        assert odds == pytest.approx(np.sqrt(eta / (1 - eta)), rel=1e-6)
    elif diagonal == 1.0:
        assert odds == pytest.approx(eta / (1 - eta), rel=1e-6)
    else:
        assert (odds < eta / (1 - eta)) == (diagonal < 1.0)


def test_a_cell_works_in_proportion_to_the_probability_of_its_mistake():
    weights = np.ones((3, 3))
    weights[2, 1] = 10.0
    loss = sy.losses.SoftmaxCrossEntropy(class_weight=weights, weight_by="pair")
    plain = sy.losses.SoftmaxCrossEntropy()
    z = np.array([[0.0, gap, 3.0] for gap in (3.0, 0.0, -3.0, -30.0)])
    y = np.full(4, 2)
    p = np.exp(z) / np.exp(z).sum(1, keepdims=True)
    ratio = loss.gradient(z, y) / plain.gradient(z, y)
    # the same factor for every class: more pull, and never towards one of the wrong labels
    np.testing.assert_allclose(ratio, np.repeat(1 + 9 * p[:, [1]], 3, 1), rtol=1e-12)
    assert ratio[0, 0] > 5
    assert ratio[-1, 0] == pytest.approx(1.0, abs=1e-12)


def test_the_study_finds_what_the_guide_says():
    study = runpy.run_path(str(ROOT / "benchmarks" / "studies" / "weights_for_pairs.py"))
    page = (ROOT / "docs" / "guides" / "costs_instead_of_weights.md").read_text(encoding="utf-8")
    found = study["table"]("linear")
    for row in found:
        quoted = re.search(rf"^\| {re.escape(row.weights)} \|(.+)\|$", page, re.MULTILINE)
        assert quoted is not None, row.weights
        costs = [float(cell) for cell in quoted[1].split("|")[:3]]
        assert costs == pytest.approx([row.arg_max, row.decided, row.off], abs=0.002), row.weights
    rows = {r.weights: r for r in found}
    plain, truth, ours = rows["none"], rows["the true posterior"], rows["pair_weights"]
    # deciding afterwards is as good as can be; weights alone save most of the way and stop
    assert plain.decided < truth.decided + 0.002
    assert truth.decided < ours.arg_max < (plain.arg_max + truth.decided) / 2
    # nothing trained with weights beats it, once weights are taken back it is the same
    assert min(r.arg_max for r in found) > plain.decided
    assert ours.decided == pytest.approx(plain.decided, abs=0.003)


@pytest.mark.slow
def test_the_second_setting_too():
    study = runpy.run_path(str(ROOT / "benchmarks" / "studies" / "weights_for_pairs.py"))
    rows = {r.weights: r for r in study["table"]("bent")}
    truth, plain = rows.pop("the true posterior"), rows.pop("none")
    quoted = [
        plain.decided,
        min(r.arg_max for r in rows.values()),
        max(r.arg_max for r in rows.values()),
        truth.decided,
    ]
    assert quoted == pytest.approx([0.188, 0.204, 0.420, 0.182], abs=0.002)
    page = (ROOT / "docs" / "guides" / "costs_instead_of_weights.md").read_text(encoding="utf-8")
    assert (
        "0.188 without weights and\n`min_cost`, 0.204 to 0.420 with weights and arg max; the optimum is 0.182" in page
    )
