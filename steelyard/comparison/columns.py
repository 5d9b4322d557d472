"""Any table → one form: a pandas frame of numbers and categories, and what was left out of it.

Only row-wise translations happen here (types, missing values, names). What is learned from data, such as a
median or the list of frequent levels, is learned inside each training fold (`preprocessing`). Columns are
left out for what they are (constant, a row number, free text), never for what they say about the target.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steelyard.errors import InputError

__all__ = ["MISSING", "Features", "arrow_table", "column_from", "features", "moments"]

Table = Any
Frame = Any

MISSING = "(missing)"  # a level of its own: that a value is missing often says something
_IDENTIFIER_SHARE = 0.9  # text that differs in more than this share of the rows describes single rows
_IDENTIFIER_ROWS = 30  # with fewer rows all levels of an honest category can differ by chance


@dataclass(frozen=True)
class Features:
    """Columns ready for preprocessing.

    Attributes
    ----------
    frame : pandas.DataFrame of shape (n, d)
        Numbers with NaN where they are missing, in single precision where the table's type has no more; texts as
        categories, "(missing)" among them, sorted.
    numeric, categorical : tuple of str
        The columns of each kind.
    types : mapping of str to str
        The Arrow type of each of these columns, as text: what new rows have to be read as.
    given : tuple of str
        The names of all columns that came in, left out or not.
    warnings : tuple of str
    """

    frame: Frame
    numeric: tuple[str, ...]
    categorical: tuple[str, ...]
    types: Mapping[str, str]
    given: tuple[str, ...]
    warnings: tuple[str, ...]


def arrow_table(X: Any) -> Table:
    """Turn a table in memory into an Arrow table.

    Parameters
    ----------
    X : pandas, polars or Arrow table, mapping of columns, or array-like of shape (n, d)
        A plain array gets the column names x0, x1, ...

    Returns
    -------
    pyarrow.Table

    Raises
    ------
    InputError
        If it is none of these, is empty, or has two columns of one name.
    """
    import narwhals as nw
    import pyarrow as pa

    if nw.dependencies.is_pandas_dataframe(X):
        return _from_pandas(X)  # column by column: objects of several types, and columns of one name, come in here
    frame = nw.from_native(X, eager_only=True, pass_through=True)
    if isinstance(frame, nw.DataFrame):
        return frame.to_arrow()
    if isinstance(X, dict):
        names, columns = [str(k) for k in X], list(X.values())
    else:
        array = np.asarray(X)
        if array.ndim != 2:
            raise InputError(
                "a table of shape (rows, columns)",
                f"{type(X).__name__} of shape {array.shape}",
                "one feature is a table with one column: x.reshape(-1, 1)." if array.ndim == 1 else None,
            )
        names, columns = [f"x{i}" for i in range(array.shape[1])], list(array.T)
    return pa.Table.from_arrays([column_from(c) for c in columns], names=names)


def column_from(column: Any) -> Any:
    """Turn one column in memory into an Arrow array; values of several types become text."""
    import pyarrow as pa

    try:
        return pa.array(column, from_pandas=True)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError):
        # values of several types in one column: each as its own text
        return pa.array([None if _is_missing(v) else str(v) for v in column], pa.string())


def _is_missing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and value != value) or str(value) in ("<NA>", "NaT")


def _from_pandas(frame: Frame) -> Table:
    import pyarrow as pa

    names = [str(c) for c in frame.columns]
    return pa.Table.from_arrays([column_from(frame.iloc[:, i]) for i in range(len(names))], names=names)


def features(table: Table) -> Features:
    """Translate the columns of a table, one after the other.

    Parameters
    ----------
    table : pyarrow.Table or steelyard.comparison.files.ParquetTable
        Without the target.

    Returns
    -------
    Features

    Raises
    ------
    InputError
        If two columns have one name, or none is left that a model could use.
    """
    import pandas as pd

    repeated = [name for name, times in Counter(table.column_names).items() if times > 1]
    if repeated:
        raise InputError("different column names", f"'{repeated[0]}' more than once", "rename one of them.")
    if table.num_rows == 0 or not table.column_names:
        raise InputError("a table with rows and columns", f"{table.num_rows} × {len(table.column_names)}")
    columns: dict[str, Any] = {}
    types: dict[str, str] = {}
    notes: list[str] = []
    for name in table.column_names:
        column = table.column(name)  # of a Parquet file: read here, and forgotten
        values, note = _translate(column)
        if note is not None:
            notes.append(f"column '{name}' {note}")
        if values is None:
            continue
        columns[name], types[name] = values, str(_value_type(column))
    numeric = [name for name, values in columns.items() if not isinstance(values, pd.Categorical)]
    if not columns:
        raise InputError("a column that a model can use", "none", "; ".join(notes[:3]) + "." if notes else None)
    return Features(
        frame=pd.DataFrame(columns, copy=False),
        numeric=tuple(numeric),
        categorical=tuple(c for c in columns if c not in set(numeric)),
        types=types,
        given=tuple(table.column_names),
        warnings=tuple(notes),
    )


def _value_type(column: Any) -> Any:
    import pyarrow as pa

    return column.type.value_type if pa.types.is_dictionary(column.type) else column.type


def _translate(column: Any) -> tuple[Any, str | None]:
    """Return the column as numbers or as a pandas Categorical, or None, and what there is to say about it."""
    import pyarrow as pa

    kind = _value_type(column)
    if pa.types.is_null(kind) or column.null_count == len(column):
        return None, "is left out: it has no values"
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return _text(column)
    if kind != column.type:
        column = column.cast(kind)
    if pa.types.is_boolean(kind):
        return _number(column.cast(pa.int8()))
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return _number(column)
    if pa.types.is_temporal(kind):
        return _moment(column)
    return None, f"is left out: its type, {kind}, is neither a number nor a category"


def _number(column: Any) -> tuple[NDArray[Any] | None, str | None]:
    import pyarrow as pa

    values = np.asarray(column.cast(pa.float64(), safe=False).to_numpy(), np.float64).copy()
    infinite = np.isinf(values)
    note = None
    if infinite.any():
        values[infinite] = np.nan
        note = f"has {int(infinite.sum())} infinite values: they are treated as missing"
    known = values[~np.isnan(values)]
    if known.size == 0:
        return None, "is left out: it has no finite values"
    if known.size == len(values) and (known == known[0]).all():
        return None, "is left out: it is constant"
    if known.size == len(values) >= _IDENTIFIER_ROWS and (np.diff(values) == 1.0).all():
        return None, "is left out: it numbers the rows, and says only how the file was sorted"
    # these types fit into float32 without rounding: half the memory, the same numbers
    narrow = (pa.float16(), pa.float32(), pa.int8(), pa.int16(), pa.uint8(), pa.uint16())
    return (values.astype(np.float32) if column.type in narrow else values), note


def _moment(column: Any) -> tuple[NDArray[Any] | None, str | None]:
    import pyarrow as pa

    unit = "duration" if pa.types.is_duration(column.type) else "moment"
    try:
        raw = moments(column)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return None, f"is left out: its type, {column.type}, is neither a number nor a category"
    values, note = _number(raw)
    said = f"is a {unit}: it is used as a number" if values is not None else note
    return values, said


def moments(column: Any) -> Any:
    """Return dates, times, moments or durations as whole numbers, in the unit of their type; dates in seconds."""
    import pyarrow as pa

    if pa.types.is_date(column.type):
        column = column.cast(pa.timestamp("s"))
    if pa.types.is_time(column.type):
        column = column.cast(pa.time64("us"))
    return column.cast(pa.int64())


def _text(column: Any) -> tuple[Any, str | None]:
    import pandas as pd
    import pyarrow as pa

    if not pa.types.is_dictionary(column.type):
        column = column.dictionary_encode()
    whole = pa.chunked_array(column.chunks, column.type).unify_dictionaries() if column.num_chunks != 1 else column
    texts = [MISSING, *(MISSING if t is None else t for t in whole.chunk(0).dictionary.to_pylist())]
    # 0 is a missing value; texts that no row has are no levels
    indices = [c.indices.cast(pa.int64()).fill_null(-1).to_numpy() for c in whole.chunks]
    codes = np.concatenate(indices) + 1
    used = np.flatnonzero(np.bincount(codes, minlength=len(texts)))
    levels = sorted({texts[i] for i in used})
    if len(levels) == 1:
        return None, "is left out: it is constant"
    if len(codes) >= _IDENTIFIER_ROWS and len(levels) > _IDENTIFIER_SHARE * len(codes):
        return None, (
            f"is left out: {len(levels)} different texts in {len(codes)} rows look like an identifier or free text"
        )
    place = {text: i for i, text in enumerate(levels)}
    at = np.array([place.get(text, -1) for text in texts], np.int64)
    return pd.Categorical.from_codes(at[codes], categories=pd.Index(levels, dtype=object)), None
