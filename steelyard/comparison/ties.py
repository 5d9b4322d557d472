"""What ties rows to each other: groups, moments, and copies of the same features."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steelyard.comparison.columns import Features, column_from, moments
from steelyard.errors import InputError, did_you_mean

__all__ = ["FREE", "Ties", "check_ties", "joined_copies", "read_ties"]

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Ties:
    """Which rows belong together, or come after each other, so that folds can respect it.

    Attributes
    ----------
    groups : int64 ndarray of shape (n,) or None
        Rows with one number are never on both sides of a split.
    time : ndarray of shape (n,) or None
        Rows are trained on before they are tested. Never together with `groups`.
    group_name, time_name : str or None
        What the user called them.
    dedupe : bool
        Whether copies were joined to groups.
    """

    groups: Ints | None = None
    time: NDArray[Any] | None = None
    group_name: str | None = None
    time_name: str | None = None
    dedupe: bool = False

    def of(self, rows: NDArray[np.intp]) -> Ties:
        """Return the ties of some rows."""
        groups = None if self.groups is None else self.groups[rows]
        return replace(self, groups=groups, time=None if self.time is None else self.time[rows])

    def describe(self) -> dict[str, Any]:
        """Return what results.json says of them under `settings`."""
        return {"groups": self.group_name, "time": self.time_name, "dedupe": self.dedupe}

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the user should know of the folds that come of them."""
        if self.time is None:
            return ()
        return (
            f"folds follow {self.time_name}: each trains on all earlier rows and tests the next ones; there is one "
            "such arrangement, so repeats is 1, and the earliest rows are only trained on",
        )


FREE = Ties()  # rows that have nothing to do with each other


def check_ties(groups: Any, time: Any, dedupe: bool) -> None:
    """Refuse ties that contradict each other.

    Raises
    ------
    InputError
        For time together with groups or with dedupe.
    """
    if time is None:
        return
    if groups is not None:
        raise InputError(
            "groups or a time",
            "both",
            "give the time if the model is to work on later rows, the groups if it is to work on new groups.",
        )
    if dedupe:
        raise InputError(
            "a time or dedupe",
            "both",
            "rows that repeat earlier ones will come in use too: leave --dedupe (dedupe=) out.",
        )


def read_ties(table: Any, groups: Any = None, time: Any = None) -> tuple[Ties, Any]:
    """Take groups and moments of rows, from columns of their table or beside it.

    Parameters
    ----------
    table : pyarrow.Table
    groups, time : str or array-like of shape (n,), optional
        The name of a column, or one value per row.

    Returns
    -------
    Ties
    pyarrow.Table
        Without the columns that were named.

    Raises
    ------
    InputError
        If a column is missing, a value is missing, or the time is neither a number nor a moment.
    """
    named = []
    ties = Ties()
    for what, given in (("groups", groups), ("time", time)):
        if given is None:
            continue
        name = given if isinstance(given, str) else what
        if isinstance(given, str):
            column = _column(table, given, what)
            named.append(given)
        else:
            column = column_from(given)
            if len(column) != table.num_rows:
                raise InputError(
                    f"one value of `{what}` for each of the {table.num_rows} rows", f"{len(column)} values"
                )
        missing = np.flatnonzero(np.asarray(column.is_null(nan_is_null=True)))
        if missing.size:
            raise InputError(
                f"a value of `{name}` in every row",
                f"none in {missing.size} rows, the first is row {missing[0] + 1}",
                "leave these rows out, or give each a value of its own."
                if what == "groups"
                else "leave these rows out.",
            )
        if what == "groups":
            ties = replace(ties, groups=_codes(column), group_name=name)
        else:
            ties = replace(ties, time=_moments(column, name), time_name=name)
    return ties, table.drop_columns(named) if named else table


def joined_copies(ties: Ties, features: Features) -> Ties:
    """Return ties in which rows with the same features are one group, and so are groups that share such rows."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    frame = features.frame
    copies = frame.groupby(list(frame.columns), sort=False, dropna=False).ngroup().to_numpy()
    if ties.groups is None:
        return replace(ties, groups=np.asarray(copies, np.int64), dedupe=True)
    n = int(copies.max()) + 1
    size = n + int(ties.groups.max()) + 1
    edges = coo_array((np.ones(len(copies), bool), (copies, n + ties.groups)), shape=(size, size))
    _, component = connected_components(edges, directed=False)
    return replace(ties, groups=np.asarray(component[copies], np.int64), dedupe=True)


def _column(table: Any, name: str, what: str) -> Any:
    names: Sequence[str] = table.column_names
    if name not in names:
        listed = ", ".join(names[:20]) + (", ..." if len(names) > 20 else "")
        hint = did_you_mean(name, names)
        raise InputError(f"a column of {what} in the table", repr(name), hint or f"it has {listed}.")
    return table.column(name)


def _codes(column: Any) -> Ints:
    import pyarrow as pa
    import pyarrow.compute as pc

    whole = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if isinstance(whole, pa.ChunkedArray):  # of no chunk, or too large for one
        whole = pa.concat_arrays(whole.chunks)
    if not pa.types.is_dictionary(whole.type):
        whole = pc.dictionary_encode(whole)
    return np.asarray(whole.indices, np.int64)


def _moments(column: Any, name: str) -> NDArray[Any]:
    import pyarrow as pa

    if pa.types.is_temporal(column.type):
        return np.asarray(moments(column).to_numpy())
    if not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type)):
        raise InputError(
            f"numbers, dates or moments in `{name}`",
            f"values of type {column.type}",
            "write moments as 2024-05-31 or 2024-05-31 12:00:00.",
        )
    return np.asarray(column.to_numpy())
