"""Samplers: labels of a training fold in, rows to train on out.

A sampler is handed the training fold and a random generator, nothing else: it cannot see a test fold. Index samplers
(`rows`) return positions in the fold, `smote` makes rows, `balanced_batches` and `stratified_batches` fill batches.
All of them end with equal classes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from steelyard.errors import one_of
from steelyard.sampling.balanced import balanced_batches
from steelyard.sampling.random import names, rows
from steelyard.sampling.stratified import stratified_batches
from steelyard.sampling.synthetic import smote

__all__ = [
    "ALL",
    "BATCHES",
    "SYNTHETIC",
    "balanced_batches",
    "names",
    "rows",
    "sampled_priors",
    "smote",
    "stratified_batches",
]

SYNTHETIC = "smote"
BATCHES = "balanced_batches"
ALL = (*names(), SYNTHETIC, BATCHES)


def sampled_priors(name: str, priors: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the class shares that training sees after sampling: equal ones, for every sampler.

    Examples
    --------
    >>> sampled_priors("random_under", np.array([0.9, 0.1, 0.0]))
    array([0.5, 0.5, 0. ])
    """
    one_of("sampler", name, ALL)
    present = priors > 0  # a class without rows has none to repeat
    return np.asarray(present / present.sum(), np.float64)
