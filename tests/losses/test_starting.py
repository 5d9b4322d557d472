"""The constant logits that mean the class shares."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import steelyard as sy
from steelyard.errors import InputError

COUNTS = sy.ClassCounts.from_counts({"a": 900, "b": 75, "c": 25})
SHARES = np.array([0.9, 0.075, 0.025])
LOSSES = {
    "plain": sy.losses.cross_entropy(),
    "focal": sy.losses.focal(2.0, class_weight=[1.0, 4.0, 9.0]),
    "strongly focal": sy.losses.focal(5.0),
    "logit adjusted": sy.losses.logit_adjusted(COUNTS, tau=1.5),
    "ldam": sy.losses.ldam(COUNTS),
    "vs": sy.losses.vector_scaling(COUNTS),
    "smoothed": sy.losses.cross_entropy(label_smoothing=0.1),
    "poly": sy.losses.poly1(),
}


@pytest.mark.parametrize("name", LOSSES)
def test_no_gradient_is_left(name: str) -> None:
    bias = sy.losses.output_bias(COUNTS, LOSSES[name])
    slopes = LOSSES[name].gradient(np.tile(bias, (3, 1)), np.arange(3))
    np.testing.assert_allclose(SHARES @ slopes, 0.0, atol=1e-7 * np.abs(slopes).max())
    assert abs(bias.mean()) < 1e-9


@pytest.mark.parametrize("name", LOSSES)
def test_it_is_where_boosters_start(name: str) -> None:
    # found there by minimising the loss, here through the posterior
    theirs = sy.boosting.lightgbm(LOSSES[name], n_classes=3).initial_score(COUNTS)
    np.testing.assert_allclose(sy.losses.output_bias(COUNTS, LOSSES[name]), theirs - theirs.mean(), atol=1e-6)


@pytest.mark.parametrize(
    "loss", [sy.losses.sigmoid_focal(gamma=2.0, alpha=0.25), sy.losses.binary_cross_entropy(pos_weight=19.0)]
)
def test_one_logit(loss: Any) -> None:
    (bias,) = sy.losses.output_bias([950, 50], loss)
    slope = 0.95 * loss.gradient(np.array([bias]), np.array([0.0])) + 0.05 * loss.gradient(
        np.array([bias]), np.array([1.0])
    )
    assert abs(float(slope[0])) < 1e-8
    if loss.gamma_pos == 0:
        assert bias == 0.0  # 19 × 50 = 950


def test_several_labels_by_hand() -> None:
    counts = sy.ClassCounts.from_indicators([[1, 0], [1, 1], [0, 0], [1, 0], [1, 0]])
    np.testing.assert_allclose(sy.losses.output_bias(counts), [np.log(4), -np.log(4)])
    weighted = sy.losses.binary_cross_entropy(pos_weight=[1.0, 4.0])
    np.testing.assert_allclose(sy.losses.output_bias(counts, weighted), [np.log(4), 0.0], atol=1e-9)


def test_a_class_without_rows_starts_as_the_rarest() -> None:
    counts = sy.ClassCounts.from_labels(["a"] * 9 + ["b"], classes=["a", "b", "c"])
    bias = sy.losses.output_bias(counts)
    assert bias[1] == bias[2]
    assert bias[0] - bias[1] == pytest.approx(np.log(9))


def test_what_does_not_fit() -> None:
    with pytest.raises(InputError, match=r"softmax family for counts of classes.*got SigmoidCrossEntropy"):
        sy.losses.output_bias(COUNTS, sy.losses.binary_cross_entropy())
    with pytest.raises(InputError, match="labels that some row does not have"):
        sy.losses.output_bias(sy.ClassCounts.from_indicators([[1, 0], [1, 1]]))
    with pytest.raises(InputError, match="class weights above 0"):
        sy.losses.output_bias([9, 1], sy.losses.weighted_cross_entropy([1.0, 0.0]))
