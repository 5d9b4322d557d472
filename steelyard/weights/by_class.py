"""One number per class, given as a mapping label → number or as an array in the order of the classes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steelyard.errors import InputError
from steelyard.weights.counts import ClassCounts
from steelyard.weights.labels import as_numpy, canonical, package_roots, unknown_label

__all__ = ["by_class", "fill_absent", "in_unit_interval"]


def by_class(name: str, values: Any, counts: ClassCounts) -> NDArray[np.float64]:
    """Return one float64 per class, in the order of the classes.

    Raises
    ------
    InputError
        For a label that the counts do not have, a class without a value, a wrong shape, or no numbers.

    Examples
    --------
    >>> by_class("recall", {"b": 0.5, "a": 1.0}, ClassCounts.from_counts({"a": 3, "b": 1}))
    array([1. , 0.5])
    """
    if "pandas" in package_roots(values) and hasattr(values, "to_dict"):
        values = values.to_dict()
    if isinstance(values, Mapping):
        named = {canonical(label): value for label, value in values.items()}
        for label in named:
            if label not in counts.classes:
                raise unknown_label(label, counts.classes, f"as a key of `{name}`", "keys are labels, not indices.")
        for label in counts.classes:
            if label not in named:
                raise InputError(f"`{name}` for every class", f"none for {label!r}", "give each class its number.")
        values = [named[label] for label in counts.classes]
    array = as_numpy(values)
    if array.shape != (len(counts),):
        raise InputError(f"`{name}` with one number per class, shape ({len(counts)},)", f"shape {array.shape}")
    if array.dtype.kind not in "biuf":
        raise InputError(f"`{name}` as numbers", f"dtype {array.dtype}")
    return array.astype(np.float64)


def fill_absent(values: NDArray[np.float64], counts: ClassCounts) -> NDArray[np.float64]:
    """Return `values` in which an absent class without one (NaN) has that of the rarest present class.

    Of several rarest classes it is the one with the smallest value, whatever their order.

    Examples
    --------
    >>> fill_absent(np.array([0.9, 0.4, np.nan]), ClassCounts.from_counts([90, 10, 0]))
    array([0.9, 0.4, 0.4])
    """
    rarest = counts.present & (counts.counts == counts.filled.min())
    empty = ~counts.present & np.isnan(values)
    return np.where(empty, values[rarest].min(), values)


def in_unit_interval(name: str, values: Any, counts: ClassCounts) -> NDArray[np.float64]:
    """Return a statistic per class that lies in [0, 1]; NaN is allowed for absent classes and filled in."""
    array = fill_absent(by_class(name, values, counts), counts)
    bad = ~((array >= 0) & (array <= 1))
    if bad.any():
        i = int(np.argmax(bad))
        raise InputError(f"`{name}` in [0, 1]", f"{array[i].item()!r} for {counts.classes[i]!r}")
    return array
