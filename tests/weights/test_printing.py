"""What is printed is run, as a user would who pastes it."""

from __future__ import annotations

import datetime
import json

import numpy as np
import pytest

import steelyard as sy
from steelyard.weights.printing import as_json, as_keras, as_sklearn, as_torch, implied_thresholds

NASTY = sy.ClassCounts.from_counts({"it's": 3, 'say "no"\n}': 1, "}\u2028import os": 2, "\x1b[31mred": 7})
MIXED = sy.ClassCounts.from_counts({"a": 1, 2: 3, ("t", 1): 4})


@pytest.mark.parametrize("counts", [NASTY, MIXED], ids=["nasty", "mixed"])
def test_pasted_text_is_the_weights(counts):
    weights = sy.class_weight("balanced", counts)
    namespace: dict = {}
    exec(as_keras(counts, weights), namespace)
    assert namespace["class_weight"] == dict(enumerate(weights.tolist()))
    exec(as_sklearn(counts, weights), namespace)
    assert namespace["class_weight"] == dict(zip(counts.classes, weights.tolist(), strict=True))


def test_pasted_torch_line():
    torch = pytest.importorskip("torch")
    weights = sy.class_weight("balanced", NASTY)
    namespace = {"torch": torch}
    exec(as_torch(NASTY, weights), namespace)
    np.testing.assert_array_equal(namespace["weight"].numpy(), weights.astype(np.float32))


def test_json():
    day = sy.ClassCounts.from_counts({datetime.date(2024, 1, 2): 1, datetime.date(2024, 1, 1): 3})
    d = json.loads(as_json(day, np.array([0.5, 1.5]), "balanced", "n_classes"))
    assert d == {
        "classes": ["2024-01-01", "2024-01-02"],
        "counts": [3, 1],
        "scheme": "balanced",
        "normalize": "n_classes",
        "weights": [0.5, 1.5],
    }


def test_implied_threshold_of_a_fitted_model():
    """The minimiser of the weighted cross-entropy crosses 1/2 where the probability is the threshold."""
    w = np.array([2.0, 7.0])
    first, second = implied_thresholds(w)
    for p in (second - 1e-6, second + 1e-6):
        weighted = w[1] * p / (w[1] * p + w[0] * (1 - p))
        assert (weighted > 0.5) == (p > second)
    assert first == pytest.approx(7 / 9)
    assert first + second == pytest.approx(1)
    assert implied_thresholds(np.ones(3)) is None
    assert implied_thresholds(np.zeros(2)) is None
