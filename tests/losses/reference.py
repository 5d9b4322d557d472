"""The formulas of both families as plain loops over Python numbers, one example at a time.

Nothing here comes from `steelyard`: parameters are read from a loss's JSON form (`to_dict`), and the formulas
stand as they are printed. Derivatives are exact: a number is carried as ``value + derivative · 1e-30 i``, so the
imaginary part of a result is its derivative, and the real part is never disturbed by it. What the formulas do not
differentiate (the probabilities inside weights) is computed from the real parts alone.
"""

from __future__ import annotations

import cmath
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

STEP = 1e-30


class Row(NamedTuple):
    """One example: ω·ℓ + cost, ω, and the gradient with respect to the logits."""

    loss: float
    weight: float
    gradient: list[float]
    scale: list[float]  # Σ |terms of the gradient|: soft targets pull in opposite directions and cancel
    condition: float = 1.0  # how much larger than the loss the terms are that rounding errors are relative to


class Expected(NamedTuple):
    """All examples, before sample weights and reduction."""

    loss: np.ndarray  # (n,)
    weight: np.ndarray  # (n,)
    gradient: np.ndarray  # (n, c)
    scale: np.ndarray  # (n, c)
    largest_logit: float  # the largest |a|: what a rounding error of one part in 2^24 is relative to
    condition: Any = 1.0  # (n,)


def exp(x: complex) -> complex:
    return cmath.exp(x)


def log1p(x: complex) -> complex:
    """log(1 + x) with the accuracy of math.log1p; the derivative is 1 / (1 + x)."""
    return complex(math.log1p(x.real), x.imag / (1.0 + x.real))


def log_sum_exp(values: Sequence[complex]) -> complex:
    largest = max(v.real for v in values)
    return largest + cmath.log(sum(exp(v - largest) for v in values))


def log_one_plus_exp(x: complex) -> complex:
    return x + log1p(exp(-x)) if x.real > 0 else log1p(exp(x))


def softmax(z: Sequence[float]) -> list[float]:
    total = log_sum_exp([complex(v) for v in z]).real
    return [math.exp(v - total) for v in z]


def per_class(value: Any, n: int, neutral: float) -> list[float]:
    return [float(v) for v in np.broadcast_to(neutral if value is None else value, (n,))]


def matrix(value: Any, n: int, neutral: float) -> list[list[float]]:
    return [[float(v) for v in row] for row in np.broadcast_to(neutral if value is None else value, (n, n))]


# --- softmax family ---------------------------------------------------------------------------------------------


def adjusted(point: dict[str, Any], z: Sequence[complex], t: Sequence[float]) -> list[complex]:
    """a_c = Δ_c z_c + ι_c − m_y [c = y] + Λ[y, c] + κ max(0, z_c − z_y), with m, Λ and z_y averaged over t."""
    n = len(z)
    scale = per_class(point.get("logit_scale"), n, 1.0)
    offset = per_class(point.get("logit_offset"), n, 0.0)
    margin = per_class(point.get("margin"), n, 0.0)
    pairs = matrix(point.get("pairwise_offset"), n, 0.0)
    compensation = float(point.get("compensation", 0.0))
    own = sum(t[c] * z[c].real for c in range(n))  # the parts that carry no derivative
    return [
        scale[c] * z[c]
        + offset[c]
        - margin[c] * t[c]
        + sum(t[y] * pairs[y][c] for y in range(n))
        + compensation * max(0.0, z[c].real - own)
        for c in range(n)
    ]


def class_weights(point: dict[str, Any], z: Sequence[float], call_weight: Sequence[float] | None) -> list[float]:
    """ω_y for every true class y."""
    n = len(z)
    by = point.get("weight_by", "target")
    p = softmax(z)
    if by.endswith("_hard"):
        best = max(range(n), key=lambda c: (z[c], -c))
        p = [1.0 if c == best else 0.0 for c in range(n)]
    if by.startswith("pair"):
        table = matrix(point.get("class_weight"), n, 1.0)
        return [sum(table[y][c] * p[c] for c in range(n)) for y in range(n)]
    w = per_class(point.get("class_weight") if call_weight is None else call_weight, n, 1.0)
    if by.startswith("prediction"):
        return [sum(w[c] * p[c] for c in range(n))] * n
    return w


def _softmax_terms(
    point: dict[str, Any], z: Sequence[complex], t: Sequence[float], omega: Sequence[float]
) -> list[complex]:
    """The loss as a list of terms, three for every class that the targets name."""
    n = len(z)
    a = adjusted(point, z, t)
    gamma = float(point.get("gamma", 0.0))
    by_class = per_class(point.get("label_smoothing"), n, 0.0)
    smoothing = sum(t[c] * by_class[c] for c in range(n)) if np.ndim(point.get("label_smoothing", 0.0)) else by_class[0]
    poly = float(point.get("poly_coefficient", 0.0))
    costs = matrix(point.get("cost_matrix"), n, 0.0)
    coefficient = float(point.get("cost_coefficient", 0.0))
    row_weight = sum(t[c] * omega[c] for c in range(n))
    terms: list[complex] = []
    for c in range(n):
        # q_c = 1 / (1 + e^gap), where gap = log Σ_{j≠c} e^{a_j} − a_c
        gap = log_sum_exp([a[j] for j in range(n) if j != c]) - a[c]
        minus_log_q = log_one_plus_exp(gap)
        log_not_q = -log_one_plus_exp(-gap)
        focus = exp(gamma * log_not_q)
        smoothed = (1.0 - smoothing) * t[c] * omega[c] + smoothing / n * row_weight
        terms.append(smoothed * focus * minus_log_q)
        terms.append(smoothed * focus * poly * exp(log_not_q))
        terms.append(coefficient * sum(t[y] * costs[y][c] for y in range(n)) * exp(-minus_log_q))
    return terms


def softmax_row(
    point: dict[str, Any], z: Sequence[float], t: Sequence[float], call_weight: Sequence[float] | None = None
) -> Row:
    n = len(z)
    omega = class_weights(point, z, call_weight)
    derivatives, scale = [], []
    for j in range(n):
        moved = [complex(v, STEP if c == j else 0.0) for c, v in enumerate(z)]
        slopes = [term.imag / STEP for term in _softmax_terms(point, moved, t, omega)]
        derivatives.append(math.fsum(slopes))
        scale.append(sum(abs(v) for v in slopes))
    loss = math.fsum(term.real for term in _softmax_terms(point, [complex(v) for v in z], t, omega))
    return Row(loss, sum(t[c] * omega[c] for c in range(n)), derivatives, scale)


# --- sigmoid family ---------------------------------------------------------------------------------------------


def rebalancing(point: dict[str, Any], t: Sequence[float], label: int) -> float:
    """α + σ(β (ρ_c / Σ_j t_j ρ_j − μ)); a row without labels has an infinite quotient."""
    rarity = per_class(point.get("label_rarity"), len(t), 1.0)
    slope, center = float(point.get("rebalance_slope", 0.0)), float(point.get("rebalance_center", 0.0))
    total = sum(a * b for a, b in zip(t, rarity, strict=True))
    quotient = rarity[label] / total if total > 0 else (math.inf if slope > 0 else 0.0)
    x = slope * (quotient - center)
    return float(point.get("rebalance_floor", 0.5)) + (1.0 if x > 700 else 1.0 / (1.0 + math.exp(-x)))


def negative_terms(a: complex, m: float) -> tuple[complex, complex]:
    """−log(1 − u) and log u with u = σ(a) − m > 0."""
    if m == 0.0:
        return log_one_plus_exp(a), -log_one_plus_exp(-a)
    u = exp(-log_one_plus_exp(-a)) - m
    n = -log1p(-u) if u.real < 0.5 else -cmath.log(exp(-log_one_plus_exp(a)) + m)
    return n, cmath.log(u)


def sigmoid_entry(
    point: dict[str, Any], z: float, row: Sequence[float], label: int, call_weight: float | None = None
) -> Row:
    """One label of one example, whose targets are `row`."""
    t, n_labels = row[label], len(row)
    w = per_class(point.get("class_weight"), n_labels, 1.0)[label] if call_weight is None else call_weight
    v = per_class(point.get("pos_weight"), n_labels, 1.0)[label]
    outcome = np.broadcast_to(point.get("outcome_weight", 1.0), (2, 2))
    p = math.exp(-log_one_plus_exp(complex(-z)).real)
    not_p = math.exp(-log_one_plus_exp(complex(z)).real)
    r = rebalancing(point, row, label)
    positive = r * w * v * (p * outcome[1, 1] + not_p * outcome[1, 0])
    negative = r * w * (p * outcome[0, 1] + not_p * outcome[0, 0])
    gamma_pos, gamma_neg = float(point.get("gamma_pos", 0.0)), float(point.get("gamma_neg", 0.0))
    m, scale = float(point.get("probability_shift", 0.0)), float(point.get("neg_scale", 1.0))
    a = complex(z, STEP) + per_class(point.get("logit_offset"), n_labels, 0.0)[label]
    here = t * positive * exp(-gamma_pos * log_one_plus_exp(a)) * log_one_plus_exp(-a)
    away, condition = complex(0.0), 1.0
    if m == 0.0 or scale * a.real > math.log(m / (1.0 - m)):
        n, log_u = negative_terms(scale * a, m)
        away = (1.0 - t) * negative * exp(gamma_neg * log_u) * n / scale
        # u is a difference: what rounding takes from it is relative to σ(a), which may be much larger
        condition = math.exp(-log_one_plus_exp(-scale * a).real - log_u.real) if m else 1.0
    slopes = here.imag / STEP, away.imag / STEP
    weight = t * positive + (1.0 - t) * negative
    size = abs(slopes[0]) + condition * abs(slopes[1])
    loss = (here + away).real
    terms = abs(here.real) + condition * abs(away.real)
    return Row(loss, weight, [sum(slopes)], [size], terms / loss if loss > 0 else 1.0)


# --- labels against each other ----------------------------------------------------------------------------------


def log_weighted_sum(terms: Sequence[tuple[float, complex]]) -> complex | None:
    """log Σ w e^x over the terms with w > 0; None where there are none."""
    kept = [math.log(w) + x for w, x in terms if w > 0]
    return log_sum_exp(kept) if kept else None


def zlpr_row(z: Sequence[complex], t: Sequence[float]) -> complex:
    sides = (
        log_weighted_sum([(1.0 - u, v) for v, u in zip(z, t, strict=True)]),
        log_weighted_sum([(u, -v) for v, u in zip(z, t, strict=True)]),
    )
    return sum((log_one_plus_exp(s) for s in sides if s is not None), complex(0.0))


def contrast(
    z: Sequence[complex], t: Sequence[float], up: float, down: float, weight: Sequence[float] | None = None
) -> complex | None:
    """softplus(T₋ log Σ (1 − t) e^(z / T₋) + T₊ log Σ t e^(−z / T₊)); None without a positive."""
    s = [1.0] * len(z) if weight is None else weight
    absent = log_weighted_sum([(w * (1.0 - u), v / down) for v, u, w in zip(z, t, s, strict=True)])
    present = log_weighted_sum([(w * u, -v / up) for v, u, w in zip(z, t, s, strict=True)])
    if present is None:
        return None
    return complex(0.0) if absent is None else log_one_plus_exp(down * absent + up * present)


def two_way_values(
    point: dict[str, Any], z: Sequence[Sequence[complex]], t: np.ndarray, weight: Sequence[float] | None = None
) -> list[complex | None]:
    """The value of each row: its own contrast, and the mean of those of the labels; None without a positive."""
    up, down = float(point.get("positive_temperature", 1.0)), float(point.get("negative_temperature", 1.0))
    columns = range(t.shape[1])
    by_label = [contrast([row[c] for row in z], t[:, c].tolist(), up, down, weight) for c in columns]
    counted = [v for v in by_label if v is not None]
    mean = sum(counted) / len(counted) if counted else complex(0.0)
    own = [contrast(row, t[i].tolist(), up, down) for i, row in enumerate(z)]
    return [None if v is None else v + mean for v in own]


def two_way_sum(point: dict[str, Any], z: np.ndarray, t: np.ndarray, weight: Sequence[float]) -> tuple[float, float]:
    """Σ s·ℓ and Σ s over the rows with a positive."""
    values = two_way_values(point, [[complex(v) for v in row] for row in z], t, weight)
    kept = [(s, v.real) for s, v in zip(weight, values, strict=True) if v is not None]
    return sum(s * v for s, v in kept), sum(s for s, _ in kept)


def _expected_ranking(point: dict[str, Any], z: np.ndarray, t: np.ndarray) -> Expected:
    n, c = z.shape
    plain = [[complex(v) for v in row] for row in z]
    ranks = point["loss"] == "ZLPR"

    def values(logits: list[list[complex]]) -> list[complex | None]:
        if ranks:
            return [zlpr_row(row, t[i].tolist()) for i, row in enumerate(logits)]
        return two_way_values(point, logits, t)

    base = values(plain)
    gradient = np.zeros((n, c))
    for i in range(n):
        for j in range(c):
            moved = [list(row) for row in plain]
            moved[i][j] += complex(0.0, STEP)
            if ranks:
                gradient[i, j] = zlpr_row(moved[i], t[i].tolist()).imag / STEP
            else:
                gradient[i, j] = math.fsum(v.imag / STEP for v in values(moved) if v is not None)
    loss = np.array([0.0 if v is None else v.real for v in base])
    weight = np.array([0.0 if v is None else 1.0 for v in base])
    largest = float(np.abs(z).max())
    # the contributions to one logit of a two-way loss grow with the rows; as a scale their whole is taken
    return Expected(loss, weight, gradient, np.maximum(np.abs(gradient), 1.0), largest)


# --- all examples -----------------------------------------------------------------------------------------------


def expected(
    point: dict[str, Any], logits: np.ndarray, targets: np.ndarray, call_weight: np.ndarray | None = None
) -> Expected:
    """Evaluate a loss given by its JSON form at float64 logits.

    The softmax family takes logits (n, c) and integer (n,) or dense (n, c) targets and returns one value per row.
    The sigmoid family takes (n,) or (n, labels) and returns one value per entry, flattened, with gradient (n, 1).
    Losses that rank labels take (n, labels) and return one value per row and the gradient of their sum.
    """
    z = np.asarray(logits, dtype=np.float64)
    t = np.asarray(targets)
    if point["loss"] == "SigmoidCrossEntropy":
        return _expected_sigmoid(point, z, t.astype(np.float64), call_weight)
    if point["loss"] in ("ZLPR", "TwoWay"):
        return _expected_ranking(point, z, t.astype(np.float64))
    if point["loss"] != "SoftmaxCrossEntropy":
        raise LookupError(f"write the reference of the family {point['loss']} here")
    n, c = z.shape
    dense = np.eye(c)[t.astype(int)] if t.ndim == 1 else t.astype(np.float64)
    rows, largest = [], 0.0
    for i in range(n):
        w = None if call_weight is None else np.broadcast_to(call_weight, (n, c))[i]
        rows.append(softmax_row(point, z[i].tolist(), dense[i].tolist(), w))
        a = adjusted(point, z[i].tolist(), dense[i].tolist())
        largest = max(largest, *(abs(v) for v in a))
    return _stacked(rows, largest)


def _stacked(rows: list[Row], largest: float) -> Expected:
    loss, weight, gradient, scale, condition = (np.array(x) for x in zip(*rows, strict=True))
    return Expected(loss, weight, gradient, scale, largest, condition)


def _expected_sigmoid(point: dict[str, Any], z: np.ndarray, t: np.ndarray, call_weight: np.ndarray | None) -> Expected:
    z2, t2 = z.reshape(len(z), -1), t.reshape(len(t), -1)
    n, labels = z2.shape
    w = None if call_weight is None else np.broadcast_to(call_weight, (n, labels))
    rows = [
        sigmoid_entry(point, float(z2[i, k]), t2[i].tolist(), k, None if w is None else float(w[i, k]))
        for i in range(n)
        for k in range(labels)
    ]
    offset = np.abs(np.atleast_1d(point.get("logit_offset", 0.0))).max()
    largest = max(1.0, float(point.get("neg_scale", 1.0))) * (float(np.abs(z).max()) + float(offset))
    return _stacked(rows, largest)
