"""A table with its target, checked and in one form, and a fingerprint to know it again."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from steelyard.comparison.columns import Features, arrow_table, features
from steelyard.comparison.files import read_table
from steelyard.comparison.target import Target, read_target
from steelyard.comparison.ties import FREE, Ties, check_ties, joined_copies, read_ties
from steelyard.errors import InputError, did_you_mean

__all__ = ["Dataset", "from_file", "from_memory"]

_REPEATED_SHARE = 0.05  # fewer repeats than this move no score by more than its interval


@dataclass(frozen=True)
class Dataset:
    """What a comparison runs on.

    Attributes
    ----------
    features : Features
    target : Target
    ties : Ties
        Which rows belong together, or follow each other.
    """

    features: Features
    target: Target
    ties: Ties = FREE

    @property
    def rows(self) -> int:
        """Number of rows."""
        return len(self.target.y)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the user should know of this table before reading any score."""
        said = (*self.features.warnings, *self.ties.warnings)
        repeated = float(self.features.frame.duplicated().mean())
        if repeated < _REPEATED_SHARE:
            return said
        copies = f"{repeated:.0%} of the rows repeat the features of an earlier row: "
        if self.ties.dedupe:
            return (*said, copies + "copies are kept on one side of every split")
        if self.ties.time is not None:
            return (*said, copies + "later copies are tested by models that saw the earlier ones, as in use")
        return (
            *said,
            copies + "copies on both sides of a split flatter every strategy; --dedupe (dedupe=True) keeps them on one "
            "side",
        )

    def fingerprint(self) -> str:
        """Return a SHA-256 of names, values and labels as they are used: the same from CSV and from Parquet."""
        return self._fingerprint

    @cached_property
    def _fingerprint(self) -> str:
        digest = hashlib.sha256()
        for name in self.features.frame.columns:
            column = self.features.frame[name].to_numpy()
            digest.update(f"\0{name}\0".encode())
            digest.update(column.tobytes() if column.dtype == np.float64 else "\0".join(column.tolist()).encode())
        digest.update(repr(self.target.counts.classes).encode())
        digest.update(self.target.y.astype("<i8").tobytes())
        for tie in (self.ties.groups, self.ties.time):
            if tie is not None:
                digest.update(tie.tobytes())
        return digest.hexdigest()

    def describe(self) -> dict[str, Any]:
        """Return the part `dataset` of results.json."""
        return {
            "rows": self.rows,
            "features": len(self.features.given),
            "classes": list(self.target.counts.classes),
            "counts": [int(n) for n in self.target.counts.counts],
            "fingerprint": self.fingerprint(),
        }


def from_file(
    path: str | Path,
    target: str,
    positive: Any = None,
    groups: str | None = None,
    time: str | None = None,
    dedupe: bool = False,
) -> Dataset:
    """Read a file and take one of its columns as the target.

    Parameters
    ----------
    path : str or Path
        See `steelyard.comparison.files.read_table`.
    target : str
        Name of the column of labels.
    positive : label or its text, optional
        The positive class of two; default the rarer one.
    groups, time : str, optional
        Columns of what rows belong to, and of when they were. Neither is a feature.
    dedupe : bool
        Whether rows with the same features are one group. Default False.

    Returns
    -------
    Dataset

    Raises
    ------
    InputError
        If the file, the column or the labels cannot be used.
    """
    table = read_table(path)
    names: Sequence[str] = table.column_names
    if target not in names:
        hint = did_you_mean(target, names)
        listed = ", ".join(names[:20]) + (", ..." if len(names) > 20 else "")
        raise InputError(f"a target among the columns of '{path}'", repr(target), hint or f"it has {listed}.")
    _refuse_repeated(names, target)
    for what, name in (("groups", groups), ("time", time)):
        if name == target:
            raise InputError(f"another column for the {what} than the target", repr(name))
    labels = table.column(target)
    return _dataset(table.drop_columns([target]), labels, target, positive, groups, time, dedupe)


def _dataset(table: Any, labels: Any, name: str, positive: Any, groups: Any, time: Any, dedupe: bool) -> Dataset:
    check_ties(groups, time, dedupe)
    ties, rest = read_ties(table, groups, time)
    columns = features(rest)
    target = read_target(labels, name, positive)
    return Dataset(columns, target, joined_copies(ties, columns) if dedupe else ties)


def _refuse_repeated(names: Sequence[str], target: str) -> None:
    if list(names).count(target) > 1:
        raise InputError("different column names", f"'{target}' more than once", "rename one of them.")


def from_memory(
    X: Any, y: Any, positive: Any = None, groups: Any = None, time: Any = None, dedupe: bool = False
) -> Dataset:
    """Take a table in memory and its labels.

    Parameters
    ----------
    X : pandas, polars or Arrow table, mapping of columns, or array-like of shape (n, d)
    y : list, ndarray, pandas, polars or Arrow column of n labels
    positive : label, optional
        The positive class of two; default the rarer one.
    groups, time : str or array-like of shape (n,), optional
        What rows belong to, and when they were: names of columns of `X`, or values. Neither is a feature.
    dedupe : bool
        Whether rows with the same features are one group. Default False.

    Returns
    -------
    Dataset

    Raises
    ------
    InputError
        If they cannot be used, or have different lengths.
    """
    table = arrow_table(X)
    if len(y) != table.num_rows:
        raise InputError(f"one label for each of the {table.num_rows} rows", f"{len(y)} labels")
    return _dataset(table, y, "y", positive, groups, time, dedupe)
