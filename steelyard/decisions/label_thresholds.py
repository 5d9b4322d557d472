"""Several labels per row: a threshold for each, and the search for them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from steelyard.decisions.thresholds import Cuts, middle_best
from steelyard.errors import InputError
from steelyard.metrics.catalogue import Metric, get

__all__ = ["LabelThresholds", "best_label_thresholds", "label_counts", "label_metric"]

Floats = NDArray[np.float64]


_NEVER = 2.0  # above every probability: a label that no row has is not given to new rows


@dataclass(frozen=True)
class LabelThresholds:
    """Several labels per row: each is given where its probability is at least its threshold.

    Examples
    --------
    >>> LabelThresholds((0.3, 0.6))([[0.4, 0.4], [0.1, 0.7]])
    array([[1, 0], [0, 1]])
    """

    thresholds: tuple[float, ...]

    def __call__(self, proba: ArrayLike) -> NDArray[np.int64]:
        """Return 0 or 1, of shape (n, L)."""
        return np.asarray(checked_label_probabilities(proba) >= np.array(self.thresholds), np.int64)

    def to_dict(self) -> dict[str, Any]:
        """Return the rule as JSON data."""
        return {"rule": "label_thresholds", "thresholds": list(self.thresholds)}


def checked_label_probabilities(proba: ArrayLike) -> Floats:
    """Return probabilities of several labels, (n, L): finite, in [0, 1]; rows need not sum to one."""
    p = np.asarray(proba, np.float64)
    if p.ndim != 2:
        raise InputError("`proba` of shape (n, n_labels)", f"shape {p.shape}")
    # a NaN is neither
    bad = ~((p >= 0.0) & (p <= 1.0)).all(1)
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        raise InputError("`proba` in [0, 1]", f"{p[row]} in row {row}", "apply a sigmoid to logits first.")
    return p


def label_metric(name: str) -> Metric | None:
    """Return what is averaged over labels; None for f1_micro, which is of all labels together.

    "f1_macro" is the mean F1 of the labels, as in scikit-learn; every other metric of two classes is that of each
    label, averaged.
    """
    if name == "f1_micro":
        return None
    metric = get("f1" if name == "f1_macro" else name, [0, 1], positive=1)
    if metric.of_confusion is None or metric.floor is not None:
        raise InputError(
            "for several labels a metric that depends on the decision alone",
            f"'{name}'",
            "f1_macro, f1_micro, balanced_accuracy, matthews_corrcoef, g_mean.",
        )
    return metric


def label_counts(y: NDArray[np.int64], labelled: NDArray[np.int64], weight: Floats | None = None) -> Floats:
    """Return true positives, false positives and misses of each label, and what is left: shape (L, 2, 2)."""
    w = np.ones(len(y)) if weight is None else weight
    hits, given, own = w @ (y * labelled), w @ labelled, w @ y
    out = np.empty((y.shape[1], 2, 2))
    out[:, 1, 1], out[:, 0, 1], out[:, 1, 0] = hits, given - hits, own - hits
    out[:, 0, 0] = w.sum() - given - own + hits
    return out


def best_label_thresholds(
    p: Floats, y: NDArray[np.int64], name: str, sample_weight: Floats | None = None
) -> LabelThresholds:
    r"""Return the thresholds that are best for a metric of several labels, exact over all cuts.

    A mean over labels is best where each label is. Micro-F1 is a ratio of sums over labels,
    :math:`2\,TP / (2\,TP + FP + FN)`: for the right λ its best labelling also maximises
    :math:`\sum_l 2\,TP_l - \lambda (2\,TP_l + FP_l + FN_l)`, label by label, and λ ← the ratio reached climbs to it in
    a few steps.

    References
    ----------
    Dinkelbach, "On nonlinear fractional programming", Management Science 13, 1967, doi:10.1287/mnsc.13.7.492.

    Examples
    --------
    >>> p = np.array([[0.1, 0.6], [0.2, 0.7], [0.3, 0.8]])
    >>> [round(t, 2) for t in best_label_thresholds(p, np.array([[0, 0], [1, 0], [1, 1]]), "f1_macro").thresholds]
    [0.15, 0.75]
    """
    every = [Cuts.of(p[:, k], y[:, k] == 1, 1, sample_weight) for k in range(p.shape[1])]
    metric = label_metric(name)
    if metric is None:
        chosen = _micro(every)
    else:
        aim: Any = metric.of_confusion
        chosen = [_best(np.asarray(aim(cuts.confusion())), metric.greater_is_better) for cuts in every]
    found = [c.threshold(i).threshold if c.found[-1] > 0 else _NEVER for c, i in zip(every, chosen, strict=True)]
    return LabelThresholds(tuple(found))


def _best(values: Floats, greater_is_better: bool) -> int:
    # a label that no row has: undefined wherever it is not given, so that it is never given
    return middle_best(values, greater_is_better) if np.nanmax(np.append(values, 0.0)) > 0 else 0


def _micro(every: list[Cuts]) -> list[int]:
    ratio = 0.0
    while True:
        chosen = [middle_best(2.0 * c.found - ratio * (c.found + c.false), True) for c in every]
        hits = sum(float(c.found[i]) for c, i in zip(every, chosen, strict=True))
        whole = sum(float(c.found[i] + c.false[i] + c.found[-1]) for c, i in zip(every, chosen, strict=True))
        reached = 2.0 * hits / whole if whole > 0 else 0.0
        if reached <= ratio + 1e-15:
            return chosen
        ratio = reached
