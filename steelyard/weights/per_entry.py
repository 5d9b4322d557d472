"""Weights and masks with one value per entry, or one per row of a batch of masks."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from steelyard.errors import InputError
from steelyard.weights.labels import as_numpy

__all__ = ["entry_mask", "entry_weights"]


def entry_weights(sample_weight: Any, shape: tuple[int, ...]) -> NDArray[np.float64] | None:
    """Return sample weights for each entry of labels of a shape, flat.

    Raises
    ------
    InputError
        For a shape that is not that of the labels' leading dimensions, and for negative or non-finite
        weights.

    Examples
    --------
    >>> entry_weights([1, 2], (2, 2))
    array([1., 1., 2., 2.])
    """
    if sample_weight is None:
        return None
    array = as_numpy(sample_weight)
    if array.dtype.kind not in "biuf":
        raise InputError("`sample_weight` as numbers", f"dtype {array.dtype}")
    array = array.astype(np.float64, copy=False)
    bad = ~(np.isfinite(array) & (array >= 0))
    if bad.any():
        at = tuple(int(i) for i in np.unravel_index(int(np.argmax(bad)), array.shape))
        where = at[0] if len(at) == 1 else at
        raise InputError("finite `sample_weight` ≥ 0", f"{float(array[at])!r} at position {where}")
    return _per_entry("sample_weight", array, shape)


def entry_mask(mask: Any, shape: tuple[int, ...]) -> NDArray[np.bool_] | None:
    """Return a mask (True: counted) for each entry of labels of a shape, flat.

    Raises
    ------
    InputError
        For a shape that is not that of the labels' leading dimensions, and for values other than 0 and 1.
    """
    if mask is None:
        return None
    array = as_numpy(mask)
    if array.dtype.kind != "b":
        if array.dtype.kind not in "iuf" or not np.isin(array, (0, 1)).all():
            raise InputError("`mask` of booleans, True where an entry counts", f"dtype {array.dtype}")
        array = array.astype(np.bool_)
    return _per_entry("mask", array, shape)


def _per_entry(name: str, array: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    if array.ndim == 0 or array.shape != shape[: array.ndim]:
        raise InputError(f"`{name}` of the labels' shape {shape} or its leading dimensions", f"shape {array.shape}")
    spread = array.reshape(array.shape + (1,) * (len(shape) - array.ndim))
    return np.broadcast_to(spread, shape).reshape(-1)
