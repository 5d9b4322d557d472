"""Losses to switch between, each with its numbers worked out here from the printed formula, and its float64 value.

The values come from `tests.losses.reference`, which holds none of our code.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

import steelyard as sy
from tests.losses import reference

COUNTS = np.array([90.0, 9.0, 1.0])
N_CLASSES = 3
_PRIORS = COUNTS / COUNTS.sum()
_W = [0.5, 1.5, 4.0]
_PAIR = [[1.0, 0.2, 3.0], [2.0, 0.7, 1.0], [4.0, 6.0, 0.5]]
_COSTS = [[0.0, 1.0, 2.0], [3.0, 0.0, 0.5], [8.0, 5.0, 0.0]]
_MARGIN = 0.5 * (COUNTS.min() / COUNTS) ** 0.25

# what `assign` reaches with n_classes=3
SWITCHABLE: dict[str, tuple[Any, dict[str, Any]]] = {
    "cross-entropy": (sy.losses.cross_entropy(), {}),
    "weighted": (sy.losses.weighted_cross_entropy(_W), {"class_weight": _W}),
    "focal": (sy.losses.focal(gamma=2.0, class_weight=_W), {"gamma": 2.0, "class_weight": _W}),
    "logit adjusted": (sy.losses.logit_adjusted(COUNTS, tau=1.5), {"logit_offset": 1.5 * np.log(_PRIORS)}),
    "LDAM": (sy.losses.ldam(COUNTS, scale=3.0), {"logit_scale": 3.0, "margin": 3.0 * _MARGIN}),
    "VS": (
        sy.losses.vector_scaling(COUNTS, tau=1.25, gamma=0.15, class_weight=_W),
        {"logit_scale": (COUNTS / 90.0) ** 0.15, "logit_offset": 1.25 * np.log(_PRIORS), "class_weight": _W},
    ),
    "smoothing": (sy.losses.cross_entropy(label_smoothing=0.1), {"label_smoothing": 0.1}),
}
# and with pairs=True besides
PAIRED: dict[str, tuple[Any, dict[str, Any]]] = {
    **SWITCHABLE,
    "by prediction": (
        sy.losses.weighted_cross_entropy(_W, weight_by="prediction"),
        {"class_weight": _W, "weight_by": "prediction"},
    ),
    "by pair": (
        sy.losses.weighted_cross_entropy(_PAIR, weight_by="pair"),
        {"class_weight": _PAIR, "weight_by": "pair"},
    ),
    "pairwise offsets": (sy.losses.pairwise_margin(_COSTS), {"pairwise_offset": _COSTS}),
    "cost term": (
        sy.losses.SoftmaxCrossEntropy(cost_matrix=_COSTS, cost_coefficient=0.3),
        {"cost_matrix": _COSTS, "cost_coefficient": 0.3},
    ),
}
SIGMOID: dict[str, tuple[Any, dict[str, Any]]] = {
    "binary": (sy.losses.binary_cross_entropy(), {}),
    "positive weight": (sy.losses.binary_cross_entropy(pos_weight=7.0), {"pos_weight": 7.0}),
    "focal": (
        sy.losses.sigmoid_focal(gamma=2.0, alpha=0.25),
        {"class_weight": 0.75, "pos_weight": 1.0 / 3.0, "gamma_pos": 2.0, "gamma_neg": 2.0},
    ),
    "outcomes": (
        sy.losses.outcome_weighted([[1.0, 2.0], [5.0, 1.0]]),
        {"outcome_weight": [[1.0, 2.0], [5.0, 1.0]]},
    ),
    "asymmetric": (
        sy.losses.asymmetric(gamma_pos=1.0),
        {"gamma_pos": 1.0, "gamma_neg": 4.0, "probability_shift": 0.05},
    ),
    "distribution-balanced": (
        sy.losses.distribution_balanced([20], rows=100),
        {
            "gamma_pos": 2.0,
            "gamma_neg": 2.0,
            "neg_scale": 2.0,
            "logit_offset": 0.05 * np.log(0.2 / 0.8),
            "label_rarity": [0.05],
            "rebalance_floor": 0.1,
            "rebalance_slope": 10.0,
            "rebalance_center": 0.2,
        },
    ),
}


@cache
def batch(rows: int = 8, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Logits (rows, 3), float64 numbers that float32 holds, and labels with every class among them."""
    rng = np.random.default_rng(seed)
    z = rng.normal(0.0, 2.0, (rows, N_CLASSES)).astype(np.float32).astype(np.float64)
    return z, np.arange(rows) % N_CLASSES


@cache
def binary_batch(rows: int = 8, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    z, _ = batch(rows, seed)
    return z[:, 0], np.arange(rows) % 2


def expected(parameters: dict[str, Any], z: Any, y: Any, sample_weight: Any = 1.0) -> tuple[float, np.ndarray]:
    """Σ s·ω·ℓ / Σ s·ω of the softmax family, and its gradient with respect to the logits."""
    rows = reference.expected({"loss": "SoftmaxCrossEntropy", **parameters}, z, y)
    s = np.broadcast_to(sample_weight, rows.loss.shape)
    total = (s * rows.weight).sum()
    return float((s * rows.loss).sum() / total), s[:, None] * rows.gradient / total


def expected_sigmoid(parameters: dict[str, Any], z: Any, t: Any) -> float:
    rows = reference.expected({"loss": "SigmoidCrossEntropy", **parameters}, z, t)
    return float(rows.loss.sum() / rows.weight.sum())
