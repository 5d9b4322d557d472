"""Class weights as text to paste into the user's own code.

Labels are written as Python literals: quotes, line breaks and control characters in them stay text.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steelyard.weights.counts import ClassCounts

__all__ = ["as_json", "as_keras", "as_sklearn", "as_torch", "implied_thresholds"]

Weights = NDArray[np.float64]


def as_keras(counts: ClassCounts, weights: Weights) -> str:
    """Return a dict index → weight for ``model.fit(class_weight=...)``, with the labels as comments.

    Examples
    --------
    >>> print(as_keras(ClassCounts.from_counts({"A": 3, "B": 1}), np.array([0.5, 1.5])))
    class_weight = {
        0: 0.5,  # 'A', 3 rows
        1: 1.5,  # 'B', 1 row
    }
    """
    lines = [
        f"    {i}: {weight!r},  # {label!r}, {_rows(count)}"
        for i, (label, count, weight) in enumerate(
            zip(counts.classes, counts.counts.tolist(), weights.tolist(), strict=True)
        )
    ]
    return "\n".join(["class_weight = {", *lines, "}"])


def as_torch(counts: ClassCounts, weights: Weights) -> str:
    """Return a line that makes a tensor for ``weight=``, with the order of the classes as a comment.

    Examples
    --------
    >>> print(as_torch(ClassCounts.from_counts({"A": 3, "B": 1}), np.array([0.5, 1.5])))
    # in this order: 'A', 'B'
    weight = torch.tensor([0.5, 1.5])
    """
    order = ", ".join(repr(label) for label in counts.classes)
    return f"# in this order: {order}\nweight = torch.tensor({weights.tolist()!r})"


def as_sklearn(counts: ClassCounts, weights: Weights) -> str:
    """Return a dict label → weight for ``class_weight=`` of scikit-learn's estimators.

    Examples
    --------
    >>> print(as_sklearn(ClassCounts.from_counts({"A": 3, "B": 1}), np.array([0.5, 1.5])))
    class_weight = {'A': 0.5, 'B': 1.5}
    """
    return f"class_weight = {dict(zip(counts.classes, weights.tolist(), strict=True))!r}"


def as_json(counts: ClassCounts, weights: Weights, scheme: str, normalize: str | None) -> str:
    """Return one JSON object; labels that JSON has no type for (dates) become text.

    Examples
    --------
    >>> print(as_json(ClassCounts.from_counts({"A": 3, "B": 1}), np.array([0.5, 1.5]), "balanced", None))
    {"classes": ["A", "B"], "counts": [3, 1], "scheme": "balanced", "normalize": null, "weights": [0.5, 1.5]}
    """
    return json.dumps(
        {
            "classes": list(counts.classes),
            "counts": counts.counts.tolist(),
            "scheme": scheme,
            "normalize": normalize,
            "weights": weights.tolist(),
        },
        ensure_ascii=False,
        default=str,
    )


def implied_thresholds(weights: Weights) -> tuple[float, float] | None:
    r"""Return the probability from which each of two classes is predicted, or None for another number of them.

    A model trained with weights w predicts class c at 1/2 where its unweighted probability exceeds

    .. math:: t_c = \frac{w_{other}}{w_c + w_{other}}

    References
    ----------
    Elkan, IJCAI 2001, theorem 1.

    Examples
    --------
    >>> implied_thresholds(np.array([1.0, 9.0]))
    (0.9, 0.1)
    """
    if weights.size != 2 or not weights.sum() > 0:
        return None
    first, second = (weights / weights.sum()).tolist()
    return second, first


def _rows(count: Any) -> str:
    return f"{count:,} row" + ("" if count == 1 else "s")
