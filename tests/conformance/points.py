"""Points of both families with every parameter on at once: what no recipe alone reaches."""

from __future__ import annotations

from typing import Any

import numpy as np

import steelyard as sy
from tests.conformance.recipes import ARGUMENTS, N_CLASSES

WEIGHT_BY = ("target", "prediction", "pair", "prediction_hard", "pair_hard")

PAIR_WEIGHTS = np.array([[1.0, 0.5, 2.0, 0.3], [0.2, 1.5, 0.7, 1.0], [3.0, 0.1, 1.0, 2.0], [5.0, 4.0, 0.6, 0.9]])


def softmax_point(weight_by: str = "target", **changes: Any) -> Any:
    parameters: dict[str, Any] = {
        "class_weight": PAIR_WEIGHTS if weight_by.startswith("pair") else ARGUMENTS["class_weight"][0],
        "logit_scale": [1.0, 0.8, 1.5, 0.6],
        "logit_offset": [0.0, -0.7, -1.6, -2.9],
        "margin": [0.1, 0.3, 0.0, 0.5],
        "pairwise_offset": ARGUMENTS["pairwise_offset"][0],
        "gamma": 1.7,
        "label_smoothing": 0.15,
        "cost_matrix": ARGUMENTS["cost_matrix"][0],
        "cost_coefficient": 0.4,
        "poly_coefficient": 0.8,
        "compensation": 0.5,
        "weight_by": weight_by,
    }
    return sy.losses.SoftmaxCrossEntropy(**{**parameters, **changes})


def sigmoid_point(**changes: Any) -> Any:
    parameters: dict[str, Any] = {
        "class_weight": ARGUMENTS["class_weight"][0],
        "pos_weight": ARGUMENTS["pos_weight"][0],
        "outcome_weight": ARGUMENTS["outcome_weight"][0],
        "gamma_pos": 0.5,
        "gamma_neg": 3.0,
        "probability_shift": 0.1,
        "logit_offset": [0.3, -0.4, -1.1, 0.0],
        "neg_scale": 1.5,
        "label_rarity": [0.02, 0.04, 0.1, 0.3],
        "rebalance_slope": 2.0,
        "rebalance_center": 0.4,
        "rebalance_floor": 0.2,
    }
    return sy.losses.SigmoidCrossEntropy(**{**parameters, **changes})


def binary_point(**changes: Any) -> Any:
    of_labels = {"class_weight": 1.4, "pos_weight": 6.0, "logit_offset": -0.4, "label_rarity": None}
    return sigmoid_point(**{**of_labels, **changes})


def random_softmax_point(rng: np.random.Generator, **changes: Any) -> Any:
    """Each parameter is on with probability 0.7 and drawn at random."""
    n = N_CLASSES
    weight_by = str(rng.choice(WEIGHT_BY))
    parameters: dict[str, Any] = {
        "logit_scale": rng.uniform(0.3, 2.0, n),
        "logit_offset": rng.normal(0.0, 1.5, n),
        "margin": rng.uniform(0.0, 1.0, n),
        "pairwise_offset": rng.normal(0.0, 1.0, (n, n)),
        "gamma": float(rng.choice([0.1, 0.5, 1.0, 2.0, 3.5, 5.0])),
        "label_smoothing": rng.uniform(0.01, 0.4, n) if rng.random() < 0.5 else float(rng.uniform(0.01, 0.4)),
        "poly_coefficient": float(rng.choice([-0.7, 0.5, 3.0])),
        "compensation": float(rng.uniform(0.1, 2.5)),
    }
    parameters = {k: v for k, v in parameters.items() if rng.random() < 0.7}
    if rng.random() < 0.5:
        parameters |= {"cost_matrix": rng.uniform(0.0, 4.0, (n, n)), "cost_coefficient": 0.7}
    shape = (n, n) if weight_by.startswith("pair") else (n,)
    parameters |= {"class_weight": rng.uniform(0.1, 4.0, shape), "weight_by": weight_by}
    return sy.losses.SoftmaxCrossEntropy(**{**parameters, **changes})


def random_sigmoid_point(rng: np.random.Generator, **changes: Any) -> Any:
    n = N_CLASSES
    parameters: dict[str, Any] = {
        "class_weight": rng.uniform(0.1, 4.0, n),
        "pos_weight": rng.uniform(0.1, 9.0, n),
        "outcome_weight": rng.uniform(0.1, 5.0, (2, 2)),
        "gamma_pos": float(rng.choice([0.1, 0.5, 1.0, 2.0, 5.0])),
        "gamma_neg": float(rng.choice([0.1, 0.5, 1.0, 2.0, 5.0])),
        "probability_shift": float(rng.choice([0.02, 0.1, 0.4])),
        "logit_offset": rng.normal(0.0, 1.0, n),
        "neg_scale": float(rng.choice([0.5, 2.0, 4.0])),
    }
    parameters = {k: v for k, v in parameters.items() if rng.random() < 0.7}
    if rng.random() < 0.4:
        parameters |= {"label_rarity": rng.uniform(0.01, 1.0, n), "rebalance_slope": float(rng.uniform(0.5, 10.0))}
        parameters |= {"rebalance_center": 0.2, "rebalance_floor": 0.1}
    return sy.losses.SigmoidCrossEntropy(**parameters, **changes)
