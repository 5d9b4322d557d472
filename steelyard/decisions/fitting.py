"""Which rule for which metric."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from steelyard.decisions.plug_in import best_prior_exponent
from steelyard.decisions.rules import IndexRule
from steelyard.decisions.thresholds import best_threshold
from steelyard.metrics.catalogue import Metric

__all__ = ["best_rule"]


def best_rule(proba: ArrayLike, y: ArrayLike, metric: Metric, positive: int | None = None) -> IndexRule:
    """Return the rule that is best for a metric on scored rows: a threshold, or weights on the probabilities.

    Parameters
    ----------
    proba : array-like of shape (n, C)
        Probabilities of rows that the model was not trained on.
    y : int array-like of shape (n,)
        Class indices; every class has a row.
    metric : Metric
        One that depends on a decision.
    positive : int, optional
        Column of the positive class when there are two.

    Returns
    -------
    Threshold or PlugIn
        Class indices from probabilities.
    """
    of_confusion: Any = metric.of_confusion
    p = np.asarray(proba, np.float64)
    if p.shape[1] == 2:
        return best_threshold(p, y, of_confusion, 1 if positive is None else positive, metric.greater_is_better)
    counts = np.bincount(np.asarray(y), minlength=p.shape[1])
    return best_prior_exponent(p, y, counts / counts.sum(), of_confusion, metric.greater_is_better)
