"""The labels: what must be true of them before anything is trained."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steelyard.errors import InputError
from steelyard.weights import ClassCounts
from steelyard.weights.positive import positive_class

__all__ = ["Target", "check_folds", "read_target"]

_REGRESSION_VALUES = 50  # whole numbers with more values than this, most of them rare, are measurements


@dataclass(frozen=True)
class Target:
    """Labels as indices, with their counts and the positive class.

    Attributes
    ----------
    y : int64 ndarray of shape (n,)
        Positions in ``counts.classes``.
    counts : ClassCounts
    positive : int or None
        Position of the positive class when there are two.
    floats : bool
        Whether the labels came as whole floats, 1.0 instead of 1: `counts` does not tell.
    """

    y: NDArray[np.int64]
    counts: ClassCounts
    positive: int | None
    floats: bool = False


def read_target(labels: Any, name: str = "y", positive: Any = None) -> Target:
    """Read the labels and choose the positive class.

    Parameters
    ----------
    labels : list, ndarray, pandas, polars or Arrow column
        One label per row.
    name : str
        What to call them in messages.
    positive : label or its text, optional
        The positive class of two; default the rarer one, or the last of `classes` if both are equally large.

    Returns
    -------
    Target

    Raises
    ------
    InputError
        For missing labels, a single class, labels that are measurements, or a positive class that does not
        exist.
    """
    missing = _missing_rows(labels)
    if missing.size:
        raise InputError(
            f"a label in every row of `{name}`",
            f"{missing.size} rows without one, the first is row {missing[0] + 1}",
            "leave these rows out: they can neither be trained on nor scored.",
        )
    counts = ClassCounts.from_labels(labels)
    if counts.n_classes < 2:
        raise InputError(
            f"at least two classes in `{name}`",
            f"only {counts.classes[0]!r}",
            "is this the right column, and the whole file?",
        )
    rows = int(counts.counts.sum())
    whole = all(isinstance(c, int) and not isinstance(c, bool) for c in counts.classes)
    if whole and counts.n_classes > max(_REGRESSION_VALUES, rows // 10):
        raise InputError(
            f"classes in `{name}`",
            f"{counts.n_classes} different numbers in {rows} rows",
            "this looks like a regression target: cut it into classes first.",
        )
    floats = whole and np.asarray(labels).dtype.kind == "f"
    return Target(np.asarray(counts.encode(labels)), counts, positive_class(counts, positive, name), floats)


def _missing_rows(labels: Any) -> NDArray[np.intp]:
    if hasattr(labels, "is_null"):  # Arrow, polars
        return np.flatnonzero(np.asarray(labels.is_null()))
    if hasattr(labels, "isna"):
        return np.flatnonzero(np.asarray(labels.isna()))
    array = np.asarray(labels)
    if array.dtype == object:
        return np.flatnonzero([v is None or (isinstance(v, float) and v != v) for v in array.ravel()])
    return np.flatnonzero(np.isnan(array)) if array.dtype.kind == "f" else np.empty(0, np.intp)


def check_folds(counts: ClassCounts, cv: int) -> None:
    """Refuse a class that cannot be in every fold.

    Raises
    ------
    InputError
        Naming the classes, and what to do: merge, drop, or fewer folds.
    """
    small = [(c, int(n)) for c, n in zip(counts.classes, counts.counts, strict=True) if n < cv]
    if not small:
        return
    smallest = min(n for _, n in small)
    listed = ", ".join(f"{c} ({n})" for c, n in small[:5]) + (", ..." if len(small) > 5 else "")
    fewer = f", or use --cv {smallest} (cv={smallest})" if smallest >= 2 else ""
    raise InputError(
        f"at least {cv} rows in every class for {cv} folds",
        f"fewer in {listed}",
        f"merge such a class with another, or drop its rows{fewer}.",
    )
