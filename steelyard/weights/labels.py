"""Any container of labels → one array of codes, without importing anyone's framework.

The container's own package is already imported when one of its objects arrives, so its type's module says
what it is and its own methods do the work: pandas, polars and Arrow number their distinct values natively,
tensors hand over their NumPy view.
"""

from __future__ import annotations

import sys
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from steelyard.errors import InputError, did_you_mean

__all__ = [
    "MISSING",
    "Labels",
    "as_numpy",
    "canonical",
    "ignored_labels",
    "package_roots",
    "read_labels",
    "unknown_label",
]

# Objects are numbered in pieces, so that at most this many Python objects exist beside the array at a time.
_PIECE = 1 << 16


class _Missing:
    """The type of `MISSING`."""

    def __repr__(self) -> str:
        return "missing"


MISSING: Final = _Missing()
"""Stands for None, NaN, NaT, NA and null alike."""


class Labels(NamedTuple):
    """Labels as numbers.

    Attributes
    ----------
    codes : ndarray, any shape
        With `values` None the integer (or whole floating) labels themselves, NaN for a missing one;
        else indices into `values`, −1 for a missing label.
    values : sequence of hashable or None
        What each code stands for, as the container had it (see `canonical`).
    """

    codes: NDArray[Any]
    values: Sequence[Any] | None


def canonical(label: Any) -> Any:
    """Return `label` as the plain Python object that names its class, or `MISSING`.

    NumPy scalars become Python ones and whole floats become ints, so that 3, 3.0 and ``np.int8(3)`` are one
    class in every container.

    Raises
    ------
    InputError
        For a float that is not whole (a regression target) and for a label that cannot be hashed.

    Examples
    --------
    >>> canonical(np.float32(3.0)), canonical(float("nan")), canonical("A")
    (3, missing, 'A')
    """
    if isinstance(label, (np.datetime64, np.timedelta64)):
        # .item() of nanoseconds is an int, of microseconds a datetime
        label = label.astype(label.dtype.kind + "8[us]")
    if isinstance(label, np.generic):
        label = label.item()
    # pandas' NA refuses comparison and its NaT is not a float: known by the names of their types
    if label is None or label is MISSING or type(label).__name__ in ("NAType", "NaTType"):
        return MISSING
    if isinstance(label, float):
        if label != label:
            return MISSING
        if not label.is_integer():
            raise regression_target(label)
        return int(label)
    try:
        hash(label)
    except TypeError:
        raise InputError(
            "hashable class labels",
            f"a {type(label).__name__}",
            "one label per entry: a str, an int, a bool or a tuple; several per row go to from_indicators.",
        ) from None
    return label


def regression_target(value: float, position: object = None) -> InputError:
    """Return the complaint about a label that is not a whole number."""
    where = "" if position is None else f" at position {position}"
    return InputError(
        "class labels",
        f"the number {float(value)!r}{where}",
        "this looks like a regression target; bin it into classes first.",
    )


def ignored_labels(ignore: Any) -> tuple[set[Hashable], bool]:
    """Return the set of ignored labels and whether missing ones are ignored.

    Examples
    --------
    >>> ignored_labels(255), ignored_labels([None, "void"])
    (({255}, False), ({'void'}, True))
    """
    if ignore is None:
        return set(), False
    several = isinstance(ignore, (list, tuple, set, frozenset, np.ndarray))
    labels = {canonical(label) for label in (ignore if several else [ignore])}
    return labels - {MISSING}, MISSING in labels


def unknown_label(label: Any, classes: Iterable[Any], where: str, hint: str | None = None) -> InputError:
    """Return the complaint about a label outside the classes."""
    classes = tuple(classes)
    listed = ", ".join(repr(c) for c in classes[:10]) + (", ..." if len(classes) > 10 else "")
    close = did_you_mean(str(label), (c for c in classes if isinstance(c, str)))
    return InputError(
        f"labels among the classes {{{listed}}}",
        f"{label!r} {where}",
        close or hint or "add it to `classes`, or leave it out with `ignore`.",
    )


def package_roots(value: object) -> set[str]:
    """Return the top packages of the classes that `value` is an instance of.

    Examples
    --------
    >>> sorted(package_roots(np.zeros(1)))
    ['builtins', 'numpy']
    """
    return {cls.__module__.partition(".")[0] for cls in type(value).__mro__}


def as_numpy(values: Any) -> NDArray[Any]:
    """Return an array-like of any framework as a NumPy array, by the framework's own conversion.

    Raises
    ------
    InputError
        For a tensor without values (inside ``tf.function``, ``jax.jit`` and the like).
    """
    roots = package_roots(values)
    if "torch" in roots:
        values = values.detach().cpu()
        if str(values.dtype) == "torch.bfloat16":  # NumPy has no such type; float32 holds each of its values
            values = values.float()
        return np.asarray(values.numpy())
    if "tensorflow" in roots:
        if not hasattr(values, "numpy"):
            raise _not_concrete(values)
        return np.asarray(values.numpy())
    if roots & {"pandas", "polars", "pyarrow"} and hasattr(values, "to_numpy"):
        return np.asarray(values.to_numpy())
    try:
        return np.asarray(values)
    except (TypeError, ValueError) as error:
        if roots & {"jax", "jaxlib"}:
            raise _not_concrete(values) from error
        raise InputError("a rectangular array", f"a {type(values).__name__} ({error})") from error


def _not_concrete(values: object) -> InputError:
    return InputError(
        "a tensor that holds values",
        f"a traced {type(values).__name__}",
        "count outside the compiled function, before training.",
    )


def read_labels(y: Any) -> Labels:
    """Return the labels of any container as codes.

    Parameters
    ----------
    y : list, tuple, ndarray, pandas, polars, Arrow, torch, TensorFlow or JAX labels, or any iterable
        Labels of any shape. A table is accepted if it has one column.

    Returns
    -------
    Labels
        Codes in the shape of `y`, and what they stand for.

    Raises
    ------
    InputError
        When `y` is not a container of labels.

    Examples
    --------
    >>> read_labels(["b", "a", "b"])
    Labels(codes=array([0, 1, 0]), values=['b', 'a'])
    """
    if isinstance(y, (list, tuple)):
        return _from_sequence(y)
    roots = package_roots(y)
    if "pandas" in roots and (hasattr(y, "columns") or hasattr(y, "dtype")):
        return _from_pandas(y)
    if "polars" in roots:
        return _from_polars(y)
    if "pyarrow" in roots:
        return _from_arrow(y)
    if isinstance(y, Mapping):
        raise InputError("a container of labels", f"a {type(y).__name__}", "use ClassCounts.from_counts for a mapping.")
    if hasattr(y, "__array__") or "tensorflow" in roots or roots & {"jax", "jaxlib"}:
        return _from_array(y if isinstance(y, np.ndarray) else as_numpy(y), decode="tensorflow" in roots)
    if isinstance(y, Iterable) and not isinstance(y, (str, bytes)):
        return _from_sequence(list(y))
    raise InputError("a container of labels", f"a {type(y).__name__}: {y!r}", "wrap a single label in a list: [label].")


def _from_array(array: NDArray[Any], decode: bool = False) -> Labels:
    if array.ndim == 0:
        raise InputError(
            "a container of labels",
            f"an array without dimensions: {array!r}",
            "wrap a single label in a list: [label].",
        )
    if isinstance(array, np.ma.MaskedArray):
        masked = np.ma.getmaskarray(array)
        array = np.array(array.data, dtype=object)
        array[masked] = None
    kind = array.dtype.kind
    if kind == "b":
        return Labels(array.view(np.uint8), (False, True))
    if kind in "if" or (kind == "u" and (array.itemsize < 8 or not array.size or array.max() < 1 << 63)):
        return Labels(array, None)
    if kind in "OUSTMmu":
        if kind in "Mm":  # NumPy gives nanoseconds back as ints, microseconds as datetimes
            array = array.astype(kind + "8[us]")
        codes, values = _numbered(array.reshape(-1))
        if decode:  # TensorFlow's strings are bytes; the user's labels are text
            values = [v.decode() if isinstance(v, bytes) else v for v in values]
        return Labels(codes.reshape(array.shape), values)
    if kind == "V" and array.dtype.names is None:  # bfloat16 and relatives of ml_dtypes
        return Labels(array.astype(np.float32), None)
    raise InputError(
        "class labels", f"an array of dtype {array.dtype}", "labels are integers, text, booleans or objects."
    )


def _from_sequence(y: Sequence[Any]) -> Labels:
    first = next((label for label in y if label is not None), None)
    if isinstance(first, list) or (hasattr(first, "__array__") and not isinstance(first, np.generic)):
        return _from_nested(y)
    kinds = set(map(type, y))
    if kinds == {int}:
        try:
            return Labels(np.array(y, dtype=np.int64), None)
        except OverflowError:
            pass  # beyond 64 bits: numbered like any other object
    if kinds == {float}:
        return Labels(np.array(y, dtype=np.float64), None)
    return Labels(*_numbered(y))


def _from_nested(y: Sequence[Any]) -> Labels:
    """Labels of several dimensions as nested lists or as a list of arrays."""
    try:
        if isinstance(next(row for row in y if row is not None), list):
            # dtype=object, because NumPy would turn [["a"], [1]] into text
            array = np.array(y, dtype=object)
            codes, values = _numbered(array.reshape(-1))
            return Labels(codes.reshape(array.shape), values)
        return _from_array(np.stack([as_numpy(part) for part in y]))
    except (ValueError, TypeError) as error:
        raise InputError(
            "labels of one rectangular shape",
            f"{len(y)} parts of unequal shapes",
            "count pieces of different shapes with ClassCounts.from_batches.",
        ) from error


def _numbered(flat: Any) -> tuple[NDArray[np.int64], list[Any]]:
    """Return a number for each object of a flat sequence, and the distinct ones in order of appearance."""
    codes = np.empty(len(flat), dtype=np.int64)
    number: dict[Any, int] = {}
    for start in range(0, len(flat), _PIECE):
        piece = flat[start : start + _PIECE]
        if isinstance(piece, np.ndarray):
            piece = piece.tolist()
        try:
            for label in dict.fromkeys(piece):
                number.setdefault(label, len(number))
        except TypeError:
            position, label = next((i, v) for i, v in enumerate(piece, start) if not isinstance(v, Hashable))
            raise InputError(
                "hashable class labels",
                f"a {type(label).__name__} at position {position}",
                "one label per entry: a str, an int, a bool or a tuple.",
            ) from None
        codes[start : start + len(piece)] = np.fromiter(map(number.__getitem__, piece), np.int64, len(piece))
    return codes, list(number)


def _only_column(names: Sequence[Any]) -> None:
    if len(names) != 1:
        raise InputError(
            "one column of labels",
            f"a table with {len(names)} columns",
            "pass one of them, or use ClassCounts.from_indicators for 0/1 columns.",
        )


def _from_pandas(y: Any) -> Labels:
    if hasattr(y, "columns"):
        _only_column(list(y.columns))
        y = y.iloc[:, 0]
    values = getattr(y, "array", y)
    if hasattr(values, "categories") and hasattr(values, "codes"):
        return Labels(np.asarray(values.codes), list(values.categories))
    if isinstance(y.dtype, np.dtype) and y.dtype.kind in "biuf":
        return _from_array(y.to_numpy())
    codes, uniques = y.factorize()
    return Labels(np.asarray(codes), list(uniques))


def _from_polars(y: Any) -> Labels:
    if hasattr(y, "columns"):
        _only_column(y.columns)
        y = y.get_columns()[0]
    kind = y.dtype.base_type().__name__
    if y.dtype.is_float() or ((y.dtype.is_integer() or kind == "Boolean") and not y.null_count()):
        return _from_array(y.to_numpy())
    if kind in ("Categorical", "Enum"):
        physical = y.to_physical()
        first = physical.arg_unique()
        known = dict(zip(physical.gather(first).to_list(), y.gather(first).to_list(), strict=True))
        codes = physical.cast(sys.modules["polars"].Int64).fill_null(-1).to_numpy()
        return Labels(codes, [known.get(code) for code in range(int(codes.max(initial=-1)) + 1)])
    if kind in ("Object", "List", "Array", "Struct"):
        return _from_sequence(y.to_list())
    # hash join in polars' own code: 4 × faster than numbering 5 million Python strings
    pl = sys.modules["polars"]
    distinct = y.unique(maintain_order=True)
    codes = y.replace_strict(distinct, pl.int_range(len(distinct), eager=True), return_dtype=pl.Int64)
    return Labels(codes.to_numpy(), distinct.to_list())


def _from_arrow(y: Any) -> Labels:
    if hasattr(y, "column_names") or hasattr(y, "schema"):
        _only_column(y.schema.names)
        y = y.column(0)
    if not hasattr(y, "type") or not hasattr(y, "null_count"):
        raise InputError("a container of labels", f"a {type(y).__name__}", "pass one of its columns.")
    pa = sys.modules["pyarrow"]
    types, chunked = pa.types, hasattr(y, "chunks")
    if types.is_null(y.type):
        return Labels(np.full(len(y), -1), [])
    numeric = types.is_integer(y.type) or types.is_floating(y.type) or types.is_boolean(y.type)
    if numeric and not y.null_count:
        return _from_array(y.to_numpy() if chunked else y.to_numpy(zero_copy_only=False))
    try:
        encoded = y.dictionary_encode()
    except pa.ArrowNotImplementedError as error:
        raise InputError("class labels", f"an Arrow column of type {y.type}", "pass text or integers.") from error
    if not chunked:
        return Labels(_arrow_codes(encoded), encoded.dictionary.to_pylist())
    parts = encoded.unify_dictionaries().chunks
    if not parts:
        return Labels(np.empty(0, dtype=np.int64), [])
    return Labels(np.concatenate([_arrow_codes(part) for part in parts]), parts[0].dictionary.to_pylist())


def _arrow_codes(encoded: Any) -> NDArray[Any]:
    indices = encoded.indices
    if indices.null_count:
        indices = indices.cast("int64").fill_null(-1)  # an unsigned index cannot hold −1
    return np.asarray(indices.to_numpy(zero_copy_only=False))
