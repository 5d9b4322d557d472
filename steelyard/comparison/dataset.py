"""A table with its target, checked and in one form, and a fingerprint to know it again."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steelyard.comparison.columns import Features, arrow_table, features
from steelyard.comparison.files import read_table
from steelyard.comparison.preprocessing import precision
from steelyard.comparison.target import Target, read_target
from steelyard.errors import InputError, did_you_mean

__all__ = ["Dataset", "from_file", "from_memory", "row_hashes"]

_CHUNK = 1 << 20  # rows that are hashed at a time
_REPEATED_SHARE = 0.05  # fewer repeats than this move no score by more than its interval


@dataclass(frozen=True)
class Dataset:
    """What a comparison runs on.

    Attributes
    ----------
    features : Features
    target : Target
    """

    features: Features
    target: Target

    @property
    def rows(self) -> int:
        """Number of rows."""
        return len(self.target.y)

    @cached_property
    def warnings(self) -> tuple[str, ...]:
        """What the user should know of this table before reading any score."""
        said = self.features.warnings
        if precision(self.features) == np.float32:
            said = (
                *said,
                f"the table has {self.features.frame.size:,} values: models are trained on standardised features in "
                "single precision, seven digits",
            )
        repeated = 1.0 - len(np.unique(row_hashes(self.features))) / self.rows
        if repeated < _REPEATED_SHARE:
            return said
        return (
            *said,
            f"{repeated:.0%} of the rows repeat the features of an earlier row: copies on both sides of a split "
            "flatter every strategy",
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


def from_file(path: str | Path, target: str, positive: Any = None) -> Dataset:
    """Read a file and take one of its columns as the target.

    Parameters
    ----------
    path : str or Path
        See `steelyard.comparison.files.read_table`.
    target : str
        Name of the column of labels.
    positive : label or its text, optional
        The positive class of two; default the rarer one.

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
    labels = table.column(target)
    rest = table.drop_columns([target])
    return Dataset(features(rest), read_target(labels, target, positive))


def _refuse_repeated(names: Sequence[str], target: str) -> None:
    if list(names).count(target) > 1:
        raise InputError("different column names", f"'{target}' more than once", "rename one of them.")


def from_memory(X: Any, y: Any, positive: Any = None) -> Dataset:
    """Take a table in memory and its labels.

    Parameters
    ----------
    X : pandas, polars or Arrow table, mapping of columns, or array-like of shape (n, d)
    y : list, ndarray, pandas, polars or Arrow column of n labels
    positive : label, optional
        The positive class of two; default the rarer one.

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
    return Dataset(features(table), read_target(y, "y", positive))
