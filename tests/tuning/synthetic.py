"""Data whose best decisions are known, and a task made of them."""

from __future__ import annotations

import numpy as np
from sklearn.model_selection import StratifiedKFold

from steelyard.tuning.tasks import Part, Task


def gaussians(n, shift, share, seed, columns=1):
    """Two normal classes, N(0, I) and N(shift, I) in the first column; the log odds are linear."""
    rng = np.random.default_rng(seed)
    y = (np.arange(n) < round(n * share)).astype(np.int64)
    X = rng.normal(size=(n, columns))
    X[:, 0] += shift * y
    return X, y


def task(X, y, Xt, n_classes=2, inner=3, state=0):
    folds = StratifiedKFold(inner, shuffle=True, random_state=state).split(X, y)
    parts = tuple((held, Part(X[kept], y[kept], X[held], state)) for kept, held in folds)
    return Task("fold 1", Part(X, y, Xt, state), parts, n_classes)
