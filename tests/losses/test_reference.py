"""The reference itself, on numbers that can be worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tests.losses.reference import expected, softmax_row


def test_cross_entropy_of_equal_logits_is_log_n() -> None:
    row = softmax_row({}, [0.0] * 4, [0.0, 0.0, 1.0, 0.0])
    assert row.loss == pytest.approx(math.log(4.0), rel=1e-15)
    assert row.gradient == pytest.approx([0.25, 0.25, -0.75, 0.25], rel=1e-15)


def test_focal_at_one_half_and_its_derivative() -> None:
    # (1 − q)² (−log q) at q = 1/2; derivative by z_y: q(1−q) · d/dq = 1/4 · (2 · ½ · log ½ − ½) = −(ln 2 + ½)/4
    row = softmax_row({"gamma": 2.0}, [0.0, 0.0], [1.0, 0.0])
    assert row.loss == pytest.approx(math.log(2.0) / 4.0, rel=1e-15)
    assert row.gradient[0] == pytest.approx(-(math.log(2.0) + 0.5) / 4.0, rel=1e-14)


def test_smoothing_weights_the_whole_row_by_the_true_class() -> None:
    # uniform q over 2 classes: every −log q is ln 2, so the row is ω ln 2 whatever ε is
    row = softmax_row({"label_smoothing": 0.3, "class_weight": [1.0, 7.0]}, [0.0, 0.0], [0.0, 1.0])
    assert row.loss == pytest.approx(7.0 * math.log(2.0), rel=1e-15)
    assert row.weight == 7.0


def test_tiny_losses_keep_all_their_digits() -> None:
    row = softmax_row({}, [40.0, 0.0, 0.0], [1.0, 0.0, 0.0])
    assert row.loss == pytest.approx(2.0 * math.exp(-40.0), rel=1e-14)


def test_positive_weight_and_outcome_weights() -> None:
    point = {"loss": "SigmoidCrossEntropy", "pos_weight": 3.0, "outcome_weight": [[1.0, 1.0], [5.0, 1.0]]}
    got = expected(point, np.zeros(2), np.array([1.0, 0.0]))
    assert got.weight == pytest.approx([9.0, 1.0])
    assert got.loss == pytest.approx([9.0 * math.log(2.0), math.log(2.0)])
    assert got.gradient[:, 0] == pytest.approx([-4.5, 0.5])
