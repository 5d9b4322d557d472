"""How much curves differ from test fold to test fold: bands of the middle 80 % of the folds, point by point."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steelyard.metrics.ranking import Ranking

__all__ = ["band", "curve_bands", "share_bands", "test_folds"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

LEVELS = (0.1, 0.9)
RECALL = np.linspace(0.02, 1.0, 50)
# the left end of a ROC curve, where few rows are alarms, is what a rare class needs
FALSE_RATE = np.linspace(0.0, 1.0, 41) ** 2
_DIGITS = 4


def test_folds(fold: Ints) -> Iterator[tuple[int, NDArray[np.bool_]]]:
    """Yield (repeat, which rows were tested together) of every fold; −1 marks rows that were never tested."""
    for repeat, places in enumerate(fold):
        for number in np.unique(places[places >= 0]):
            yield repeat, places == number


def band(values: list[Floats]) -> tuple[list[Any], list[Any]]:
    """Return the 10 % and 90 % quantiles of several folds at each point; None where no fold has a value."""
    table = np.array(values)
    low, high = [], []
    for column in table.T:
        known = column[np.isfinite(column)]
        ends = np.quantile(known, LEVELS).round(_DIGITS).tolist() if len(known) else [None, None]
        low.append(ends[0])
        high.append(ends[1])
    return low, high


def curve_bands(proba: Floats, is_class: NDArray[np.bool_], fold: Ints) -> dict[str, Any]:
    """Return bands of precision at given recalls, and of recall at given rates of false alarms.

    Parameters
    ----------
    proba : float64 ndarray of shape (repeats, n)
        Probability of the class.
    is_class : bool ndarray of shape (n,)
    fold : int64 ndarray of shape (repeats, n)
        In which fold a row was tested; −1: in none.

    Returns
    -------
    dict
        ``recall``, ``precision_low``, ``precision_high``: of the precision of a fold at the highest threshold that
        reaches the recall. ``false_alarm_rate``, ``recall_low``, ``recall_high``: of the highest recall of a fold
        without more false alarms. Quantiles at 10 % and 90 % over folds × repeats, each point by itself. Folds
        without a row of the class, or with nothing else, are left out.
    """
    precisions, recalls = [], []
    for repeat, rows in test_folds(fold):
        curve = Ranking.of(proba[repeat, rows]).curve(is_class[rows])
        if not curve.defined:
            continue
        precisions.append(curve.precision[np.searchsorted(curve.recall, RECALL - 1e-9)])
        rate = np.concatenate([[0.0], curve.false_positives / curve.false_positives[-1]])
        found = np.concatenate([[0.0], curve.recall])
        recalls.append(found[np.searchsorted(rate, FALSE_RATE + 1e-12, side="right") - 1])
    if not precisions:
        return {}
    by_recall, by_rate = band(precisions), band(recalls)
    return {
        "recall": RECALL.round(_DIGITS).tolist(),
        "precision_low": by_recall[0],
        "precision_high": by_recall[1],
        "false_alarm_rate": FALSE_RATE.round(6).tolist(),
        "recall_low": by_rate[0],
        "recall_high": by_rate[1],
    }


def share_bands(place: Ints, hit: NDArray[np.bool_], fold: Ints, bins: int) -> dict[str, Any]:
    """Return bands of the share of rows that are of the class, per bin; folds without rows in a bin are left out.

    Parameters
    ----------
    place : int64 ndarray of shape (repeats, n)
        The bin of each row.
    hit : bool ndarray of shape (n,)
    fold : int64 ndarray of shape (repeats, n)
    bins : int
    """
    shares = []
    for repeat, rows in test_folds(fold):
        n = np.bincount(place[repeat, rows], minlength=bins)
        hits = np.bincount(place[repeat, rows], weights=hit[rows], minlength=bins)
        shares.append(np.divide(hits, n, out=np.full(bins, np.nan), where=n > 0))
    low, high = band(shares)
    return {"fold_low": low, "fold_high": high}
