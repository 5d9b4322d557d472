"""Columns → numbers for a model, learned on the training fold alone, a part of the rows at a time."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from steelyard.comparison.columns import Features
from steelyard.comparison.new_rows import Category, Columns, Number

__all__ = ["learn", "matrix", "precision"]

Floats = NDArray[np.float64]
Rows = NDArray[np.intp]

_LEVELS = 40  # more one-hot columns than this per category cost more than they say
_RARE = 5  # a level of fewer training rows cannot carry a coefficient of its own
_CELLS = 1 << 24  # numbers that are worked on at a time: 128 MB; fewer are handed to scikit-learn as a whole
_CHUNK = 1 << 14  # rows that are written at a time
_DOUBLE = 1 << 26  # values of a table; a matrix of more is held in single precision


def learn(features: Features, rows: Rows) -> Columns:
    """Learn how columns become numbers from the rows of a training fold.

    Numbers: the median of the training fold for missing values, a 0/1 column that says where they were
    missing, then mean 0 and variance 1. Categories: one column per level, missing being a level; levels of
    fewer than 5 training rows (below 50 rows, of fewer than a tenth), and beyond the 40 most frequent, share one
    column, and so do levels that the training fold did not have.

    Parameters
    ----------
    features : Features
    rows : int ndarray of shape (n,)

    Returns
    -------
    Columns
        What scikit-learn's SimpleImputer, StandardScaler and OneHotEncoder learn from these rows, to the last bit up
        to 16 million numbers; beyond, means and variances are updated chunk by chunk.
    """
    known = {name: _median(features.frame[name].to_numpy(), rows) for name in features.numeric}
    indicated = [name for name, (_, missing) in known.items() if missing]
    mean, scale = _scales(features, rows, {name: median for name, (median, _) in known.items()}, indicated)
    d = len(features.numeric)
    numbers = []
    for j, name in enumerate(features.numeric):
        own = [known[name][0], mean[j], scale[j]]
        if name in indicated:
            k = d + indicated.index(name)
            own += [mean[k], scale[k]]
        numbers.append(Number(name, features.types[name], *map(float, own)))
    least = max(1, min(_RARE, len(rows) // 10))
    categories = [_category(name, features.frame[name].array, rows, least) for name in features.categorical]
    return Columns(tuple(numbers), tuple(categories), features.given)


def _median(values: NDArray[Any], rows: Rows) -> tuple[float, bool]:
    """Return the median of what is known, 0 if nothing is, and whether something is missing."""
    chosen = values[rows]
    known = chosen[~np.isnan(chosen)]
    # in double: the mean of the two middle ones
    return (float(np.median(known.astype(np.float64))) if known.size else 0.0), known.size < len(rows)


def _scales(
    features: Features, rows: Rows, median: dict[str, float], indicated: list[str]
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return mean and scale of each column of numbers, then of each indicator."""
    from sklearn.preprocessing import StandardScaler

    if not median:
        return np.empty(0), np.empty(0)
    columns = {name: features.frame[name].to_numpy() for name in median}
    scaler = StandardScaler()
    size = max(1, _CELLS // (len(median) + len(indicated)))
    for start in range(0, len(rows), size):
        part = rows[start : start + size]
        # Fortran order, as scikit-learn's imputer hands it on: the order of a sum is in its last bit
        block = np.empty((len(part), len(median) + len(indicated)), order="F")
        for j, (name, middle) in enumerate(median.items()):
            values = columns[name][part].astype(np.float64)
            unknown = np.isnan(values)
            values[unknown] = middle
            block[:, j] = values
            if name in indicated:
                block[:, len(median) + indicated.index(name)] = unknown
        scaler.partial_fit(block)
    return scaler.mean_, scaler.scale_


def _category(name: str, values: Any, rows: Rows, least: int) -> Category:
    levels = values.categories
    counts = np.bincount(values.codes[rows], minlength=len(levels))
    present = np.flatnonzero(counts)
    seldom = counts[present] < least
    if (~seldom).sum() + 1 > _LEVELS:
        # of equally frequent ones the last in the order of names stay: scikit-learn's choice
        seldom[np.argsort(counts[present], kind="stable")[: -(_LEVELS - 1)]] = True
    return Category(name, tuple(str(levels[i]) for i in present[~seldom]), bool(seldom.any()))


def precision(features: Features) -> type[np.floating[Any]]:
    """Return the type of a table's matrices: float64, and float32 where the table has more than 2²⁶ values."""
    return np.float32 if features.frame.size > _DOUBLE else np.float64


def matrix(columns: Columns, features: Features, rows: Rows) -> NDArray[Any]:
    """Return the matrix of some rows.

    Parameters
    ----------
    columns : Columns
        Learned, on these or other rows.
    features : Features
    rows : int ndarray of shape (n,)

    Returns
    -------
    ndarray of shape (n, columns.width)
        Of the type that `precision` says; computed in float64.
    """
    frame = features.frame
    numbers = [frame[n.name].to_numpy() for n in columns.numbers]
    codes, places = [], []
    for category in columns.categories:
        values = frame[category.name].array
        place = {level: i for i, level in enumerate(category.levels)}
        rest = len(place) if category.others else -1
        codes.append(values.codes)
        places.append(np.array([place.get(level, rest) for level in values.categories], np.int64))
    out = np.zeros((len(rows), columns.width), precision(features))
    for start in range(0, len(rows), _CHUNK):
        part = rows[start : start + _CHUNK]
        columns.encode(
            [values[part].astype(np.float64) for values in numbers],
            [place[code[part]] for place, code in zip(places, codes, strict=True)],
            out[start : start + _CHUNK],
        )
    return out
