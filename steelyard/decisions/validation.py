"""Checks that every decision makes of what it is handed."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from steelyard.errors import InputError

__all__ = ["checked_logits", "checked_priors", "checked_probabilities"]


def _matrix(values: ArrayLike, what: str) -> NDArray[np.float64]:
    array = np.asarray(values, np.float64)
    if array.ndim != 2 or array.shape[1] < 2:
        hint = "for two classes give both columns: np.column_stack([1 - p, p])." if array.ndim == 1 else None
        raise InputError(f"`{what}` of shape (n, n_classes)", f"shape {array.shape}", hint)
    bad = ~np.isfinite(array).all(1)
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        raise InputError(f"finite `{what}`", f"{array[row]} in row {row}", "look for a training that diverged.")
    return array


def checked_logits(logits: ArrayLike) -> NDArray[np.float64]:
    """Return finite logits as float64 of shape (n, C)."""
    return _matrix(logits, "logits")


def checked_probabilities(proba: ArrayLike, what: str = "proba") -> NDArray[np.float64]:
    """Return probabilities as float64 of shape (n, C): finite, not negative, rows that sum to one.

    The sum may be off by 1e-3: scores stored in half precision or with four decimals are still
    probabilities; raw logits are not.
    """
    array = _matrix(proba, what)
    bad = (array < 0).any(1) | (np.abs(array.sum(1) - 1.0) > 1e-3)
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        raise InputError(
            f"`{what}` with rows that are not negative and sum to 1",
            f"{array[row]} in row {row}",
            "apply a softmax to logits first.",
        )
    return array


def checked_priors(priors: ArrayLike, n_classes: int, what: str) -> NDArray[np.float64]:
    """Return class shares as float64 of shape (C,): not negative, with a sum of one."""
    array = np.asarray(priors, np.float64)
    if array.shape != (n_classes,):
        raise InputError(f"`{what}` of shape ({n_classes},)", f"shape {array.shape}")
    if not np.isfinite(array).all() or (array < 0).any() or abs(array.sum() - 1.0) > 1e-3:
        raise InputError(f"`{what}` that are not negative and sum to 1", str(array), "divide counts by their sum.")
    return array
