"""A table with its target, checked and in one form, and a fingerprint to know it again."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steelyard.comparison.columns import Features, arrow_table, features
from steelyard.comparison.files import read_table
from steelyard.comparison.preprocessing import precision
from steelyard.comparison.target import Target, read_target
from steelyard.comparison.ties import FREE, Ties, check_ties, joined_copies, read_ties
from steelyard.decisions.cost_files import as_costs
from steelyard.decisions.row_costs import RowCosts
from steelyard.decisions.stated_costs import Costs
from steelyard.errors import InputError, did_you_mean

__all__ = ["Dataset", "dataset_of", "from_file", "from_memory", "from_table", "row_hashes", "target_column"]

_CHUNK = 1 << 20  # rows that are hashed at a time
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
    costs : Costs, RowCosts or None
        What mistakes cost; the costs of each row, where they stand in columns of the table.
    """

    features: Features
    target: Target
    ties: Ties = FREE
    costs: Costs | RowCosts | None = None

    @property
    def rows(self) -> int:
        """Number of rows."""
        return len(self.target.y)

    @cached_property
    def warnings(self) -> tuple[str, ...]:
        """What the user should know of this table before reading any score."""
        said = (*self.features.warnings, *self.ties.warnings)
        if precision(self.features) == np.float32:
            said = (
                *said,
                f"the table has {self.features.frame.size:,} values: models are trained on standardised features in "
                "single precision, seven digits",
            )
        repeated = 1.0 - len(np.unique(row_hashes(self.features))) / self.rows
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
            digest.update(f"\0{name}\0".encode())
            column = self.features.frame[name]
            for start in range(0, self.rows, _CHUNK):
                part = column.iloc[start : start + _CHUNK]
                if name in self.features.numeric:
                    digest.update(part.to_numpy(np.float64).tobytes())
                else:
                    digest.update((("\0" if start else "") + "\0".join(part.tolist())).encode())
        digest.update(repr(self.target.counts.classes).encode())
        digest.update(self.target.y.astype("<i8").tobytes())
        for tie in (self.ties.groups, self.ties.time):
            if tie is not None:
                digest.update(tie.tobytes())
        if isinstance(self.costs, RowCosts):
            for name, values in self.costs.values.items():
                digest.update(f"\0cost {name}\0".encode() + values.tobytes())
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


def row_hashes(features: Features) -> NDArray[np.uint64]:
    """Return a hash of the features of each row, shape (n,): equal rows have equal ones.

    64 bits: among ten million different rows two share one with a probability of 3e-6.
    """
    from pandas.util import hash_array

    frame = features.frame
    out = np.zeros(len(frame), np.uint64)
    for name in frame.columns:
        values = frame[name].array.codes if name in features.categorical else frame[name].to_numpy()
        for start in range(0, len(frame), _CHUNK):
            at = slice(start, start + _CHUNK)
            part = values[at].astype(np.float64) + 0.0  # −0 is 0
            part[np.isnan(part)] = np.nan  # one of the many
            out[at] = out[at] * np.uint64(0x9E3779B97F4A7C15) + hash_array(part)
            out[at] ^= out[at] >> np.uint64(29)
    return out


def from_file(
    path: str | Path,
    target: str,
    positive: Any = None,
    costs: Any = None,
    cost_features: bool = False,
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
    costs, cost_features
        See `from_memory`.
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
    return from_table(read_table(path), path, target, positive, costs, cost_features, groups, time, dedupe)


def from_table(
    table: Any,
    path: str | Path,
    target: str,
    positive: Any = None,
    costs: Any = None,
    cost_features: bool = False,
    groups: str | None = None,
    time: str | None = None,
    dedupe: bool = False,
) -> Dataset:
    """Take one of the columns of an Arrow table, read from `path`, as the target; see `from_file`."""
    labels = target_column(table, path, target)
    for what, name in (("groups", groups), ("time", time)):
        if name == target:
            raise InputError(f"another column for the {what} than the target", repr(name))
    rest = table.drop_columns([target])
    return dataset_of(rest, labels, target, positive, costs, cost_features, groups, time, dedupe)


def target_column(table: Any, path: str | Path, target: str) -> Any:
    """Return the column called `target`.

    Raises
    ------
    InputError
        If there is none (did you mean?), or more than one.
    """
    names: Sequence[str] = table.column_names
    if target not in names:
        hint = did_you_mean(target, names)
        listed = ", ".join(names[:20]) + (", ..." if len(names) > 20 else "")
        raise InputError(f"a target among the columns of '{path}'", repr(target), hint or f"it has {listed}.")
    if list(names).count(target) > 1:
        raise InputError("different column names", f"'{target}' more than once", "rename one of them.")
    return table.column(target)


def dataset_of(
    table: Any,
    labels: Any,
    name: str,
    positive: Any,
    costs: Any,
    cost_features: bool,
    groups: Any = None,
    time: Any = None,
    dedupe: bool = False,
) -> Dataset:
    """Return the dataset of an Arrow table of columns and its labels; see `from_memory`."""
    check_ties(groups, time, dedupe)
    ties, table = read_ties(table, groups, time)
    stated: Costs | RowCosts | None = None
    notes: tuple[str, ...] = ()
    given = tuple(table.column_names)
    if costs is not None:
        stated = as_costs(costs, read_target(labels, name, positive).counts.classes)
        if stated.columns:
            stated = RowCosts.of(stated, table)
            if not cost_features:
                table = table.drop_columns(list(stated.values))
                notes = tuple(
                    f"column '{name}' says what mistakes cost, and is no feature: it is only right as one if it is "
                    "known before the outcome (--cost-features, cost_features=True)"
                    for name in stated.values
                )
    found = features(table)
    if notes:
        found = replace(found, given=given, warnings=(*found.warnings, *notes))
    target = read_target(labels, name, positive)
    return Dataset(found, target, joined_copies(ties, found) if dedupe else ties, stated)


def from_memory(
    X: Any,
    y: Any,
    positive: Any = None,
    costs: Any = None,
    cost_features: bool = False,
    groups: Any = None,
    time: Any = None,
    dedupe: bool = False,
) -> Dataset:
    """Take a table in memory and its labels.

    Parameters
    ----------
    X : pandas, polars or Arrow table, mapping of columns, or array-like of shape (n, d)
    y : list, ndarray, pandas, polars or Arrow column of n labels
    positive : label, optional
        The positive class of two; default the rarer one.
    costs : array-like of shape (C, C), mapping, `Costs` or path, optional
        What mistakes cost. Cells that are texts name columns of the table: each row has its own costs.
    cost_features : bool
        Whether these columns are features too. Default False: what is known only after the outcome would tell it.
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
    return dataset_of(table, y, "y", positive, costs, cost_features, groups, time, dedupe)
