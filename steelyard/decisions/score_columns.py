"""Scores and labels as a user has them: arrays, or tables whose columns are named after the classes."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steelyard.errors import InputError, did_you_mean
from steelyard.weights import ClassCounts

__all__ = ["PREFIX", "column_names", "columns_of", "encoded", "score_matrix"]

# what `steelyard predict` writes before the class
PREFIX = "probability_"


def column_names(table: Any) -> list[str] | None:
    """Return the names of a table's columns, or None for what has no names of its own."""
    names = getattr(table, "column_names", None)  # Arrow
    if names is None:
        names = getattr(table, "columns", None)  # pandas, polars
    if names is None or callable(names):
        return None
    found = [n.item() if isinstance(n, np.generic) else n for n in names]
    # what pandas makes up for an array without names says nothing
    return None if found == list(range(len(found))) else [str(n) for n in found]


def columns_of(names: Sequence[str], classes: Sequence[Hashable], where: str = "`proba`") -> list[int]:
    """Return where the column of each class stands: named as the class, or "probability_" and the class.

    Raises
    ------
    InputError
        Naming the class without a column, or with two.

    Examples
    --------
    >>> columns_of(["id", "probability_sick", "probability_well"], ["well", "sick"])
    [2, 1]
    """
    # one form for all classes: a class may itself be called probability_x
    for form in ("", PREFIX):
        wanted = [f"{form}{label}" for label in classes]
        if all(name in names for name in wanted):
            twice = [name for name in wanted if list(names).count(name) > 1]
            if twice:
                raise InputError(f"one column per class in {where}", f"'{twice[0]}' more than once", "rename one.")
            return [list(names).index(name) for name in wanted]
    absent = [str(c) for c in classes if str(c) not in names and f"{PREFIX}{c}" not in names]
    missing = absent[0] if absent else str(classes[0])
    listed = ", ".join(f"'{n}'" for n in names[:10]) + (", ..." if len(names) > 10 else "")
    raise InputError(
        f"a column '{missing}' or '{PREFIX}{missing}' in {where}, as for every class",
        f"the columns {listed}",
        did_you_mean(missing, names) or "are these the scores of these labels?",
    )


def score_matrix(proba: Any, classes: Sequence[Hashable]) -> NDArray[Any]:
    """Return scores as an array with one column per class, in the order of `classes`."""
    names = column_names(proba)
    if names is None:
        return np.asarray(proba)
    at = columns_of(names, classes)
    if hasattr(proba, "column_names"):
        return np.column_stack([np.asarray(proba.column(i), np.float64) for i in at])
    return np.asarray(proba.iloc[:, at] if hasattr(proba, "iloc") else proba.to_numpy()[:, at], np.float64)


def encoded(y: Any, classes: Any, n_columns: int) -> tuple[NDArray[np.int64], tuple[Any, ...], NDArray[np.int64], str]:
    """Return labels as indices, the classes, the rows of each, and the kind of the labels.

    Parameters
    ----------
    y : sequence of labels
    classes : sequence of labels or None
        In the order of the columns; None: the sorted labels of `y`.
    n_columns : int

    Raises
    ------
    InputError
        For missing or fractional labels, labels without a column, and columns without a row.
    """
    if not np.size(y):
        raise InputError("scored rows with labels", "none")
    counts = ClassCounts.from_labels(y) if classes is None else ClassCounts.from_labels(y, classes=list(classes))
    labels = tuple(counts.classes)
    for label in labels:
        if not isinstance(label, (str, int)):  # bool is an int
            raise InputError("labels that are text, whole numbers or truth values", repr(label), "name the classes.")
    if len(labels) != n_columns:
        listed = ", ".join(repr(c) for c in labels[:8]) + (", ..." if len(labels) > 8 else "")
        raise InputError(
            f"one column of `proba` for each of the {len(labels)} classes ({listed})",
            f"{n_columns} columns",
            "name all classes in the order of the columns: classes=[...]." if classes is None else None,
        )
    empty = [c for c, n in zip(labels, counts.counts, strict=True) if n == 0]
    if empty:
        raise InputError(
            "at least one row of every class",
            f"none of {empty[0]!r}",
            "leave its column out, and divide the others by their sum.",
        )
    kind = np.asarray(y).dtype.kind if not hasattr(y, "dtype") else getattr(y.dtype, "kind", "O")
    return np.asarray(counts.encode(y)), labels, np.asarray(counts.counts, np.int64), "float" if kind == "f" else "own"
