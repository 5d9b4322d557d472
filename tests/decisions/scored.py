"""Simulated scores whose truth is known."""

import numpy as np


def two(n, share, distance=2.0, seed=0):
    """Posterior of N(0, 1) against N(distance, 1), columns sick and well, with labels."""
    rng = np.random.default_rng(seed)
    sick = rng.random(n) < share
    sick[:2] = True
    x = rng.normal(distance * sick)
    p = 1 / (1 + np.exp(-(np.log(share / (1 - share)) - distance**2 / 2 + distance * x)))
    return np.column_stack([p, 1 - p]), np.where(sick, "sick", "well")


def three(n, shares=(0.8, 0.15, 0.05), distance=1.5, seed=0):
    """Posterior of three unit normals, with class indices."""
    rng = np.random.default_rng(seed)
    priors = np.array(shares)
    y = rng.choice(3, n, p=priors)
    y[:6] = [0, 0, 1, 1, 2, 2]
    joint = priors * np.exp(distance * (rng.normal(size=(n, 3)) + distance * np.eye(3)[y]))
    return joint / joint.sum(1, keepdims=True), y
