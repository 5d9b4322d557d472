"""Multi-label tables of 0 and 1 → positives per label."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from steelyard.errors import InputError
from steelyard.weights.labels import as_numpy, package_roots
from steelyard.weights.per_entry import entry_mask, entry_weights

__all__ = ["indicator_counts"]

_PIECE = 1 << 18  # entries that are checked and added at a time


def indicator_counts(Y: Any, sample_weight: Any, mask: Any) -> tuple[NDArray[Any], int | float, list[Any] | None]:
    """Return positives per label, the number (or weight) of rows, and the columns' names.

    Examples
    --------
    >>> indicator_counts([[1, 0], [1, 1]], None, None)
    (array([2, 1]), 2, None)
    """
    roots = package_roots(Y)
    names: list[Any] | None = None
    if roots & {"pandas", "polars"} and hasattr(Y, "columns"):
        names, array = list(Y.columns), as_numpy(Y)
    elif "pyarrow" in roots and hasattr(Y, "schema"):
        names = list(Y.schema.names)
        array = np.stack([as_numpy(Y.column(i)) for i in range(len(names))], axis=1)
    elif "scipy" in roots and hasattr(Y, "tocsr"):
        return _sparse(Y.tocsr(), sample_weight, mask)
    else:
        array = as_numpy(Y)
    _check_shape(array.shape)
    if array.dtype.kind not in "biuf" and array.dtype.kind != "O":
        raise InputError("indicators of 0 and 1", f"an array of dtype {array.dtype}", "binarise the labels first.")
    n_rows, n_labels = array.shape
    weights, keep = entry_weights(sample_weight, (n_rows,)), entry_mask(mask, (n_rows,))
    positives = np.zeros(n_labels, dtype=np.int64 if weights is None else np.float64)
    step = max(_PIECE // n_labels, 1)
    for start in range(0, n_rows, step):
        piece = array[start : start + step]
        rows = slice(None) if keep is None else np.flatnonzero(keep[start : start + step])
        piece = piece[rows]
        if piece.dtype.kind != "b":
            ones = piece == 1
            bad = ~(ones | (piece == 0))
            if bad.any():
                row, column = np.argwhere(bad)[0].tolist()
                original = start + (row if keep is None else int(np.asarray(rows)[row]))
                name = repr(names[column]) if names else column
                raise InputError(
                    "indicators of 0 and 1",
                    f"{piece[row, column]} in row {original}, column {name}",
                    "leave rows of unknown labels out with `mask`.",
                )
            piece = ones.astype(np.bool_, copy=False)
        positives += piece.sum(axis=0) if weights is None else weights[start : start + step][rows] @ piece
    return positives, _rows(n_rows, weights, keep), names


def _check_shape(shape: tuple[int, ...]) -> None:
    if len(shape) != 2:
        raise InputError(
            "indicators of shape (rows, labels)",
            f"shape {shape}",
            "labels, one per row, go to ClassCounts.from_labels.",
        )
    if 0 in shape:
        raise InputError("at least one row and one label", f"indicators of shape {shape}")


def _rows(n_rows: int, weights: NDArray[np.float64] | None, keep: NDArray[np.bool_] | None) -> int | float:
    if weights is not None:
        return float(weights.sum() if keep is None else weights[keep].sum())
    return n_rows if keep is None else int(np.count_nonzero(keep))


def _sparse(csr: Any, sample_weight: Any, mask: Any) -> tuple[NDArray[Any], int | float, None]:
    _check_shape(csr.shape)
    n_rows, n_labels = csr.shape
    weights, keep = entry_weights(sample_weight, (n_rows,)), entry_mask(mask, (n_rows,))
    row = np.repeat(np.arange(n_rows), np.diff(csr.indptr))
    counted = csr.data != 0
    if keep is not None:
        counted = counted & keep[row]
    bad = counted & (csr.data != 1)
    if bad.any():
        i = int(np.argmax(bad))
        raise InputError("indicators of 0 and 1", f"{csr.data[i]} in row {row[i]}, column {csr.indices[i]}")
    columns = csr.indices[counted]
    positives = np.bincount(columns, None if weights is None else weights[row[counted]], minlength=n_labels)
    return positives, _rows(n_rows, weights, keep), None
