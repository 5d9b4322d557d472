"""Index samplers: labels of a training fold in, row indices out.

A sampler is handed the labels of the training fold and a random generator, nothing else: it cannot see a test
fold, and what it returns are positions in that training fold. imbalanced-learn draws the rows.
"""

from __future__ import annotations

from steelyard.sampling.random import names, rows, sampled_priors

__all__ = ["names", "rows", "sampled_priors"]
