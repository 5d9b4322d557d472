"""scikit-learn: `test_class_weight.py`, with ours in the place of compute_class_weight and compute_sample_weight."""

from __future__ import annotations

from typing import Any
from unittest import mock

import numpy as np
from sklearn.utils.tests import test_class_weight

import steelyard as sy
from tests.peers.suite import Suite, pytest_cases


def class_weight(class_weight: Any, *, classes: Any, y: Any, sample_weight: Any = None) -> Any:
    if sample_weight is not None:  # a row that counts k times
        y = np.repeat(np.asarray(y), sample_weight)
    counts = sy.ClassCounts.from_labels(np.asarray(y), classes=np.asarray(classes).tolist())
    if class_weight is None:
        return np.ones(counts.n_classes)
    if isinstance(class_weight, dict):
        # theirs: unknown classes are ignored, missing ones weigh 1
        full = {c: class_weight.get(c, 1.0) for c in counts.classes}
        return sy.class_weight(full, counts)
    return sy.class_weight(class_weight, counts, normalize=None)


def sample_weight(class_weight: Any, y: Any, *, indices: Any = None) -> Any:
    y = y.toarray() if hasattr(y, "toarray") else np.asarray(y)
    columns = y.T if y.ndim == 2 else y[None]
    total = np.ones(columns.shape[1])
    for k, column in enumerate(columns):
        given = class_weight[k] if isinstance(class_weight, list) else class_weight
        fitted = column if indices is None else column[list(indices)]
        counts = sy.ClassCounts.from_labels(fitted)
        known = np.isin(column, fitted)
        w = class_weight_of(given, counts)
        total[known] *= w[counts.encode(column[known])]
        total[~known] = 0.0
    return total


def class_weight_of(given: Any, counts: Any) -> Any:
    return class_weight(given, classes=counts.classes, y=np.repeat(counts.classes, counts.counts))


def patch() -> Any:
    return mock.patch.multiple(
        test_class_weight, compute_class_weight=class_weight, compute_sample_weight=sample_weight
    )


WORDS = "asks for scikit-learn's wording of the error; ours is tested in tests/weights"
SUBSAMPLES = "refuses arguments that only compute_sample_weight has"
OWN = "tests an estimator of scikit-learn, not weights"
LEFT_OUT = {f"test_compute_class_weight_not_present[{i}]": WORDS for i in range(5)}
LEFT_OUT |= {f"test_compute_sample_weight_errors[{i}]": SUBSAMPLES for i in range(3)}
ESTIMATORS = ("test_compute_class_weight_invariance", "test_class_weight_does_not_contains_more_classes")
LEFT_OUT |= dict.fromkeys(ESTIMATORS, OWN)
SUITE = Suite(
    "scikit-learn", "sklearn/utils/tests/test_class_weight.py", pytest_cases(test_class_weight, patch), LEFT_OUT
)
