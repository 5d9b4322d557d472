"""Losses, logits and targets for hypothesis, drawn through one seed so that failures shrink to small batches."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from hypothesis import strategies as st

from tests.conformance.points import random_sigmoid_point, random_softmax_point

N_CLASSES = 4


class Case(NamedTuple):
    loss: Any
    logits: np.ndarray  # (n, 4)
    targets: np.ndarray
    sample_weight: np.ndarray  # (n,)


@st.composite
def softmax_cases(draw: st.DrawFn, minimum: int = 1, forms: tuple[str, ...] = ("integer", "soft")) -> Case:
    n = draw(st.integers(minimum, 9))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    loss = random_softmax_point(rng)
    spread = draw(st.sampled_from([0.1, 2.0, 10.0]))
    y = rng.integers(0, N_CLASSES, n)
    targets = y if draw(st.sampled_from(forms)) == "integer" else rng.dirichlet(np.ones(N_CLASSES), n)
    return Case(loss, rng.normal(0.0, spread, (n, N_CLASSES)), targets, rng.uniform(0.0, 3.0, n))


@st.composite
def sigmoid_cases(draw: st.DrawFn, minimum: int = 1) -> Case:
    n = draw(st.integers(minimum, 9))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    loss = random_sigmoid_point(rng)
    spread = draw(st.sampled_from([0.1, 2.0, 10.0]))
    t = rng.random((n, N_CLASSES))
    targets = t if draw(st.booleans()) else (t > 0.5).astype(int)
    return Case(loss, rng.normal(0.0, spread, (n, N_CLASSES)), targets, rng.uniform(0.0, 3.0, n))
