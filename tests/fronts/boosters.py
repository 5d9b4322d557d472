"""Tables and losses on which the objectives of all boosting libraries are tried."""

from __future__ import annotations

from typing import Any

import numpy as np

import steelyard as sy


def table(n_classes: int, n: int = 1500) -> tuple[Any, Any]:
    """Return rows of unequal classes."""
    rng = np.random.default_rng(n_classes)
    priors = np.array([0.9, *[0.1 / (n_classes - 1)] * (n_classes - 1)])
    y = rng.choice(n_classes, n, p=priors)
    return rng.normal(size=(n, 5)) + 0.6 * y[:, None], y


def losses(n_classes: int) -> dict[str, Any]:
    """Return losses by name, each with numbers that are different for every class."""
    counts = np.array([900.0, 60.0, 25.0, 15.0])[:n_classes]
    w = np.linspace(1.0, 5.0, n_classes)
    costs = np.random.default_rng(0).uniform(0.2, 2.0, (n_classes, n_classes)) * (1 - np.eye(n_classes))
    return {
        "cross-entropy": sy.losses.cross_entropy(),
        "weighted": sy.losses.weighted_cross_entropy(w),
        "logit adjusted": sy.losses.logit_adjusted(counts),
        "LDAM": sy.losses.ldam(counts, scale=1.0),
        "VS": sy.losses.vector_scaling(counts, class_weight=w),
        "pairwise": sy.losses.pairwise_margin(costs),
        "focal": sy.losses.focal(gamma=2.0, class_weight=w),
        "focal, γ < 1": sy.losses.focal(gamma=0.5),
        "poly": sy.losses.poly1(1.0, class_weight=w),
        "smoothed": sy.losses.cross_entropy(label_smoothing=0.02),
        "sigmoid": sy.losses.SigmoidCrossEntropy(pos_weight=3.0),
        "sigmoid focal": sy.losses.SigmoidCrossEntropy(pos_weight=2.0, gamma_pos=1.0, gamma_neg=2.0),
        "asymmetric": sy.losses.asymmetric(gamma_neg=1.0, gamma_pos=0.5, probability_shift=0.01),
        "tolerant of negatives": sy.losses.SigmoidCrossEntropy(neg_scale=1.5, logit_offset=-0.7),
    }


def cells(n_classes: int, rows: int = 40_000) -> tuple[Any, Any, Any, Any]:
    """Draw labels from a known posterior in 8 cells; return X, y, how often each occurs, and the posterior.

    One row for each cell and class, weighted by how often it was drawn: trees of depth 3 can tell all cells apart, so
    that trained to the end they must give back the shares in each cell, which differ from the posterior by chance only.
    """
    rng = np.random.default_rng(3)
    eta = 0.9 * rng.dirichlet(np.linspace(6.0, 1.0, n_classes), 8) + 0.1 / n_classes
    cell = rng.integers(0, 8, rows)
    y = (eta[cell].cumsum(1) < rng.random((rows, 1))).sum(1)
    drawn = np.zeros((8, n_classes))
    np.add.at(drawn, (cell, y), 1.0)
    assert drawn.min() > 0
    where = np.repeat(np.arange(8), n_classes)
    X = np.stack([where & 1, (where >> 1) & 1, where >> 2], axis=1).astype(float)
    return X, np.tile(np.arange(n_classes), 8), drawn.ravel(), eta


def check_posterior(proba: Any, drawn: Any, eta: Any) -> None:
    """Raise unless probabilities (8 · C, C) are the shares in each cell, and the posterior but for chance."""
    n_classes = eta.shape[1]
    drawn = drawn.reshape(8, n_classes)
    n = drawn.sum(1, keepdims=True)
    by_cell = proba.reshape(8, n_classes, n_classes)
    np.testing.assert_allclose(by_cell, np.broadcast_to(by_cell[:, :1], by_cell.shape), atol=1e-12)
    np.testing.assert_allclose(by_cell[:, 0], drawn / n, atol=1e-6)
    assert (np.abs(by_cell[:, 0] - eta) < 5 * np.sqrt(eta * (1 - eta) / n)).all()


def softmax(z: Any) -> Any:
    """Return probabilities."""
    e = np.exp(z - z.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)
