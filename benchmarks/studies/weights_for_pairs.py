"""What pair weights in training do, against deciding by costs afterwards: where the optimum is known.

    python benchmarks/studies/weights_for_pairs.py

Three classes in the plane, A common (80 %), B (15 %) and C rare (5 %); labelling a C as B costs 10, every other mistake
1. A softmax regression is trained to the point where the gradient of the weighted loss vanishes (SciPy finds it), on
20,000 rows, and scored by the true posterior on 100,000 others, so that all figures are expectations but for the rows.
In "linear" the model can be right: Gaussians of one width. In "bent" it cannot: C lies on both sides of B.

Prints the table of docs/guides/costs_instead_of_weights.md; a few seconds on one core.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from scipy.optimize import root

from steelyard.decisions import min_cost
from steelyard.decisions.pair_weighting import pair_weights
from steelyard.losses import SoftmaxCrossEntropy
from steelyard.metrics.confusion import confusion_matrix

COSTS = np.array([[0.0, 1.0, 1.0], [1.0, 0.0, 1.0], [1.0, 10.0, 0.0]])
PRIORS = np.array([0.80, 0.15, 0.05])
# per class, the centres of its Gaussians, all of width 1
CENTRES = {
    "linear": [[(0.0, 0.0)], [(1.6, 0.0)], [(2.0, 1.2)]],
    "bent": [[(0.0, 0.0)], [(1.6, 0.0)], [(2.0, 1.6), (2.0, -1.6)]],
}


class Row(NamedTuple):
    """What one choice of weights comes to."""

    weights: str
    arg_max: float  # expected cost of a row, labelled by the largest probability
    decided: float  # the same, labelled by min_cost on the probabilities that the loss gives
    off: float  # mean distance of the probabilities from the truth: Kullback–Leibler, in nats
    c_as_b: float  # share of class C that the arg max labels B
    c_found: float


def table(kind: str, rows: int = 20_000, fresh: int = 100_000) -> list[Row]:
    generator = np.random.default_rng(0)
    X, y = _sample(kind, rows, generator)
    T, _ = _sample(kind, fresh, generator)
    eta = _posterior(kind, T)
    plain = _trained(SoftmaxCrossEntropy(), X, y, None)
    confusion = confusion_matrix(y, (_with_one(X) @ plain).argmax(1), 3)
    found = [_scored("none", SoftmaxCrossEntropy(), plain, T, eta)]
    for name, weights in choices(confusion).items():
        loss = SoftmaxCrossEntropy(class_weight=weights, weight_by="pair")
        found.append(_scored(name, loss, _trained(loss, X, y, plain), T, eta))
    return [
        *found,
        Row("the true posterior", _cost(eta.argmax(1), eta), _cost(min_cost(eta, COSTS), eta), 0.0, *_c(eta)),
    ]


def choices(confusion: np.ndarray) -> dict[str, np.ndarray]:
    ones = np.ones((3, 3))
    cell, row, low, zero, high = (ones.copy() for _ in range(5))
    cell[2, 1] = 10.0
    row[2] = 10.0
    low[2] = [10.0, 10.0, 0.1]
    zero[2] = 10.0
    np.fill_diagonal(zero, 0.0)
    high[2] = [10.0, 10.0, 100.0]
    return {
        "one cell: C as B × 10": cell,
        "the row of C × 10": row,
        "the row of C × 10, its diagonal 1/10": low,
        "the row of C × 10, every diagonal 0": zero,
        "the row of C × 10, its diagonal × 100": high,
        "the cost matrix itself": COSTS,
        "pair_weights": pair_weights(confusion, COSTS),
    }


def _sample(kind: str, n: int, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    y = generator.choice(3, n, p=PRIORS)
    X = generator.normal(size=(n, 2))
    for k, centres in enumerate(CENTRES[kind]):
        mine = np.flatnonzero(y == k)
        X[mine] += np.asarray(centres)[generator.integers(len(centres), size=len(mine))]
    return X, y


def _posterior(kind: str, X: np.ndarray) -> np.ndarray:
    density = [
        np.mean([np.exp(-((X - c) ** 2).sum(1) / 2.0) for c in np.asarray(centres)], axis=0)
        for centres in CENTRES[kind]
    ]
    joint = np.column_stack(density) * PRIORS
    return joint / joint.sum(1, keepdims=True)


def _with_one(X: np.ndarray) -> np.ndarray:
    return np.column_stack([np.ones(len(X)), X])


def _trained(loss: SoftmaxCrossEntropy, X: np.ndarray, y: np.ndarray, start: np.ndarray | None) -> np.ndarray:
    """Return coefficients (3, 3), those of class A being 0, for which the mean gradient vanishes."""
    features = _with_one(X)

    def pull(free: np.ndarray) -> np.ndarray:
        coefficients = np.column_stack([np.zeros(3), free.reshape(3, 2)])
        return (features.T @ loss.gradient(features @ coefficients, y))[:, 1:].ravel() / len(y)

    free, speed = np.zeros(6) if start is None else start[:, 1:].ravel(), np.zeros(6)
    for _ in range(150):  # near enough for the solver, which from afar loses its way
        speed = 0.9 * speed - 0.1 * pull(free)
        free = free + speed
    solved = root(pull, free, tol=1e-9)
    assert np.abs(pull(solved.x)).max() < 1e-7, solved.message
    return np.column_stack([np.zeros(3), solved.x.reshape(3, 2)])


def _scored(name: str, loss: SoftmaxCrossEntropy, coefficients: np.ndarray, T: np.ndarray, eta: np.ndarray) -> Row:
    logits = _with_one(T) @ coefficients
    q = SoftmaxCrossEntropy().posterior(logits)
    known = loss.class_weight is None or (np.asarray(loss.class_weight) > 0).all()
    p: Any = loss.posterior(logits) if known else q  # with a weight of 0 nothing can be taken back
    off = float((eta * (np.log(eta) - np.log(q))).sum(1).mean())
    hit = q.argmax(1)
    share = [float(eta[hit == j, 2].sum() / eta[:, 2].sum()) for j in (1, 2)]
    return Row(name, _cost(hit, eta), _cost(min_cost(p, COSTS), eta), off, *share)


def _c(eta: np.ndarray) -> list[float]:
    hit = eta.argmax(1)
    return [float(eta[hit == j, 2].sum() / eta[:, 2].sum()) for j in (1, 2)]


def _cost(labels: np.ndarray, eta: np.ndarray) -> float:
    return float((eta * COSTS[:, labels].T).sum(1).mean())


def markdown(rows: list[Row]) -> str:
    lines = [
        "| weights in training | cost, arg max | cost, `min_cost` | probabilities off | C labelled B | C found |",
        "|---|---|---|---|---|---|",
    ]
    for r in rows:
        cells = f"{r.arg_max:.3f} | {r.decided:.3f} | {r.off:.3f} | {r.c_as_b:.0%} | {r.c_found:.0%}"
        lines.append(f"| {r.weights} | {cells} |")
    return "\n".join(lines)


if __name__ == "__main__":
    for kind in CENTRES:
        print(f"{kind}\n\n{markdown(table(kind))}\n")
