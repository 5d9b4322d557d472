"""New rows → the numbers that a model was trained on: what preprocessing learned, as plain numbers and texts.

Medians, levels and scales are learned in `preprocessing` and kept here, so that a stored model is JSON that can be
read, checked and loaded by any version of any library, and runs no code. The numbers that come out are the ones that
scikit-learn gives, to the last bit.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steelyard.comparison.columns import MISSING, arrow_table, moments
from steelyard.comparison.files import needed_columns
from steelyard.errors import InputError

__all__ = ["Category", "Columns", "Number", "selected"]

Floats = NDArray[np.float64]
Table = Any

_TIMESTAMP = re.compile(r"timestamp\[(s|ms|us|ns)(?:, tz=([\w/+:-]+))?\]")
_MOMENT = re.compile(r"(date32|date64|time32|time64|duration)\[\w+\]")


@dataclass(frozen=True)
class Number:
    """A column of numbers.

    Attributes
    ----------
    name : str
    type : str
        The Arrow type that it had in training; moments are counted in its unit.
    median : float
        What missing values are replaced by.
    mean, scale : float
        Subtracted, then divided by.
    missing_mean, missing_scale : float or None
        The same for the column that says where values are missing; None if none were missing in training.
    """

    name: str
    type: str
    median: float
    mean: float
    scale: float
    missing_mean: float | None = None
    missing_scale: float | None = None


@dataclass(frozen=True)
class Category:
    """A column of texts.

    Attributes
    ----------
    name : str
    levels : tuple of str
        Those that have a column of their own.
    others : bool
        Whether all other levels, unseen ones included, share a column; if not they have a 1 nowhere.
    """

    name: str
    levels: tuple[str, ...]
    others: bool

    @property
    def width(self) -> int:
        """Number of columns that it becomes."""
        return len(self.levels) + self.others


@dataclass(frozen=True)
class Columns:
    """How a table becomes a matrix.

    Attributes
    ----------
    numbers : tuple of Number
    categories : tuple of Category
    given : tuple of str
        All columns of the training table, those that were left out included.

    Examples
    --------
    >>> columns = Columns((Number("age", "int64", 40.0, 41.0, 2.0),), (Category("sex", ("f", "m"), False),), ("age",))
    >>> columns.transform(arrow_table({"sex": ["m", "?"], "age": [45, None]}))
    array([[ 2. ,  0. ,  1. ],
           [-0.5,  0. ,  0. ]])
    """

    numbers: tuple[Number, ...]
    categories: tuple[Category, ...]
    given: tuple[str, ...]

    @cached_property
    def needed(self) -> tuple[str, ...]:
        """The columns without which there is no prediction."""
        return (*(n.name for n in self.numbers), *(c.name for c in self.categories))

    @property
    def width(self) -> int:
        """Number of columns of the matrix."""
        indicators = sum(n.missing_mean is not None for n in self.numbers)
        return len(self.numbers) + indicators + sum(c.width for c in self.categories)

    def types(self) -> dict[str, Any]:
        """Return the needed columns with the Arrow type that a text file's fields have."""
        import pyarrow as pa

        return {n.name: _wanted(n) for n in self.numbers} | {c.name: pa.string() for c in self.categories}

    def transform(self, table: Table) -> Floats:
        """Return the matrix of a table.

        Parameters
        ----------
        table : pyarrow.Table
            Columns in any order; those that are not needed are not looked at.

        Returns
        -------
        float64 ndarray of shape (n, width)

        Raises
        ------
        InputError
            For a missing column, or a value that is not of its column's kind.
        """
        at = dict(zip(self.needed, needed_columns(table.column_names, self.needed, "the table"), strict=True))
        numbers = [_numbers(table.column(at[number.name]), number) for number in self.numbers]
        codes = [_codes(table.column(at[category.name]), category) for category in self.categories]
        out = np.zeros((table.num_rows, self.width))
        self.encode(numbers, codes, out)
        return out

    def encode(self, numbers: Sequence[Floats], codes: Sequence[NDArray[Any]], out: NDArray[Any]) -> None:
        """Write the matrix of some rows.

        Parameters
        ----------
        numbers : sequence of float64 ndarray of shape (n,)
            Values of each column of numbers, NaN where they are missing.
        codes : sequence of int ndarray of shape (n,)
            Of each category the place of the level among its columns; −1 where it has none.
        out : ndarray of shape (n, width)
            Zeros, written to.
        """
        place = len(self.numbers)
        for j, (number, values) in enumerate(zip(self.numbers, numbers, strict=True)):
            unknown = np.isnan(values)
            out[:, j] = (np.where(unknown, number.median, values) - number.mean) / number.scale
            if number.missing_mean is not None and number.missing_scale is not None:
                out[:, place] = (unknown - number.missing_mean) / number.missing_scale
                place += 1
        for category, code in zip(self.categories, codes, strict=True):
            rows = np.flatnonzero(code >= 0)
            out[rows, place + code[rows]] = 1.0
            place += category.width

    def to_dict(self) -> dict[str, Any]:
        """Return the columns as JSON data."""
        return {
            "numbers": [asdict(n) for n in self.numbers],
            "categories": [asdict(c) | {"levels": list(c.levels)} for c in self.categories],
            "given": list(self.given),
        }

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Columns:
        """Return the columns that `to_dict` described."""
        columns = cls(
            tuple(Number(**n) for n in content["numbers"]),
            tuple(
                Category(str(c["name"]), tuple(map(str, c["levels"])), bool(c["others"])) for c in content["categories"]
            ),
            tuple(map(str, content["given"])),
        )
        columns.types()  # refuses what is no type
        return columns


def selected(X: Any, columns: Columns, also: Sequence[str] = ()) -> Table:
    """Take the needed columns out of a table in memory.

    Parameters
    ----------
    X : pandas, polars or Arrow table, mapping of columns, or array-like of shape (n, d)
        A plain array has no names: its columns are those of the training table, in their order.
    columns : Columns
    also : sequence of str
        Other columns that are needed.

    Returns
    -------
    pyarrow.Table

    Raises
    ------
    InputError
        If a column is missing.
    """
    import narwhals as nw

    needed = list(dict.fromkeys((*columns.needed, *also)))
    if nw.dependencies.is_pandas_dataframe(X):
        names = [str(c) for c in X.columns]
        return arrow_table(X.iloc[:, needed_columns(names, needed, "the table")])
    frame = nw.from_native(X, eager_only=True, pass_through=True)
    if isinstance(frame, nw.DataFrame):
        needed_columns(frame.columns, needed, "the table")
        return frame.select(needed).to_arrow()
    if isinstance(X, Mapping):
        by_name = {str(k): v for k, v in X.items()}
        needed_columns(list(by_name), needed, "the table")
        return arrow_table({name: by_name[name] for name in needed})
    table = arrow_table(X)
    if table.num_columns != len(columns.given):
        raise InputError(
            f"{len(columns.given)} columns, as in training",
            f"an array with {table.num_columns}",
            "a table with column names may have more columns, in any order.",
        )
    return table.rename_columns(list(columns.given))


def _wanted(number: Number) -> Any:
    """Return the Arrow type that texts are read as: the one of training where a number alone would not do."""
    import pyarrow as pa

    moment = _TIMESTAMP.fullmatch(number.type)
    if moment:
        return pa.timestamp(moment[1], moment[2])
    if number.type == "bool":
        return pa.bool_()
    return pa.type_for_alias(number.type) if _MOMENT.fullmatch(number.type) else pa.float64()


def _plain(column: Any) -> Any:
    import pyarrow as pa

    return column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column


def _is_text(kind: Any) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _numbers(column: Any, number: Number) -> Floats:
    import pyarrow as pa

    column, wanted = _plain(column), _wanted(number)
    try:
        if _is_text(column.type):
            column = column.cast(pa.string()).cast(wanted)
        if pa.types.is_temporal(wanted):
            # a coarser unit in training: what is finer is cut off
            column = moments(column.cast(wanted, safe=False))
        if pa.types.is_boolean(column.type):
            column = column.cast(pa.int8())
        values = np.array(column.cast(pa.float64(), safe=False).to_numpy(), np.float64)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        raise _not_a_number(column, number, wanted) from None
    values[np.isinf(values)] = np.nan
    return values


def _not_a_number(column: Any, number: Number, wanted: Any) -> InputError:
    import pyarrow as pa

    got = f"values of type {column.type}"
    for row, value in enumerate(column.to_pylist() if _is_text(column.type) else ()):
        try:
            pa.array([value], pa.string()).cast(wanted)
        except pa.ArrowInvalid:
            got = f"{value!r} in row {row}"
            break
    kind = {"double": "a number", "bool": "true or false"}.get(str(wanted), f"a {wanted}")
    return InputError(f"{kind} in every row of column '{number.name}', as when the model was trained", got)


def _codes(column: Any, category: Category) -> NDArray[np.int64]:
    """Return the place of each row's level among those of the category; −1 where it has none."""
    import pyarrow as pa
    import pyarrow.compute as pc

    column = _plain(column)
    if _is_text(column.type):
        texts = column.cast(pa.string())
    else:
        # as training reads a column of several types: each value as its own text
        texts = pa.chunked_array([pa.array([None if v is None else str(v) for v in column.to_pylist()], pa.string())])
    found = pc.index_in(pc.fill_null(texts, MISSING), value_set=pa.array(category.levels, pa.string()))
    rest = len(category.levels) if category.others else -1
    return np.asarray(pc.fill_null(found, rest).to_numpy(), np.int64)
