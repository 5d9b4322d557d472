"""What moving the decision of plain training gives, which costs no training: the yardstick of "helps" by label metrics.

At its own decision a strategy that weights or resamples beats plain training by label metrics, since it moves the
threshold. Plain training with a moved threshold is what it has to beat.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from steelyard.comparison.dataset import Dataset
from steelyard.comparison.folds import Split
from steelyard.comparison.scoring import OutOfFold
from steelyard.decisions import best_prior_exponent, best_rule
from steelyard.errors import InputError
from steelyard.metrics import Metric

__all__ = ["free_threshold"]

Floats = NDArray[np.float64]


def free_threshold(metric: Metric, plain: OutOfFold, splits: Sequence[Split], dataset: Dataset) -> Floats:
    """Return a label metric of plain training on each fold, decided by the rule that is best on the other folds.

    The rule is fitted on the stored out-of-fold scores of the same repeat: the best threshold for two classes, the best
    power of the class shares for more. Nothing is trained. The models that scored the other folds have seen rows of
    this one; a single number learned from their scores carries nearly nothing of that, and what it carries makes the
    yardstick longer, never a strategy better. The recall of one class needs no data: a decision for that class whatever
    the scores has 1.

    Parameters
    ----------
    metric : Metric
        Of kind "label".
    plain : OutOfFold
        Of "none".
    splits : sequence of Split
    dataset : Dataset

    Returns
    -------
    float64 ndarray of shape (len(splits),)
        NaN where the metric is undefined.
    """
    if metric.name.startswith("recall_"):
        return np.ones(len(splits))
    target = dataset.target
    n_classes = target.counts.n_classes
    values = []
    for split in splits:
        proba = plain.proba[split.repeat]
        others = np.isfinite(proba).all(1)
        others[split.test] = False
        y = target.y[others]
        try:
            if metric.of_confusion is None:
                raise InputError("a label metric", f"'{metric.name}'")
            rule = (
                best_rule(proba[others], y, metric, target.positive)
                if n_classes == 2
                else best_prior_exponent(
                    proba[others], y, target.counts.priors, metric.of_confusion, metric.greater_is_better
                )
            )
        except InputError:  # undefined for every rule
            values.append(float("nan"))
            continue
        test = proba[split.test]
        of_fold = metric.at_rows(split.test)
        values.append(of_fold.value(target.y[split.test], test, np.asarray(rule(test), np.int64)))
    return np.array(values)
