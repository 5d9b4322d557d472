"""Several labels per row: losses, a batch, and what they give in NumPy, which tests/losses compares with others."""

from __future__ import annotations

from typing import Any

import numpy as np

import steelyard as sy

LABELS = 4
LOSSES: dict[str, Any] = {
    "asymmetric": sy.losses.asymmetric(),
    "asymmetric, γ below 1": sy.losses.asymmetric(gamma_neg=0.3, gamma_pos=0.5, probability_shift=0.2),
    "distribution_balanced": sy.losses.distribution_balanced([60, 24, 9, 3], rows=100),
    "equalization_v2": sy.losses.equalization_v2([9.0, 3.0, 1.0, 0.0], [10.0, 4.0, 5.0, 0.0]),
    "zlpr": sy.losses.zlpr(),
    "two_way": sy.losses.two_way(),
}


def batch(rows: int = 7) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Logits (float64 numbers that float32 holds), labels with −1 where they are unknown, and weights of rows."""
    rng = np.random.default_rng(rows)
    z = rng.normal(0.0, 3.0, (rows, LABELS)).astype(np.float32).astype(np.float64)
    t = (rng.random((rows, LABELS)) < 0.4).astype(np.int64)
    t[0, 1] = t[2] = -1
    return z, t, rng.uniform(0.5, 2.0, rows)
