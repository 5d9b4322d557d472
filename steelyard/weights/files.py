"""The target column of a file → counts, batch by batch: only that column, in bounded memory.

pyarrow reads, and is imported when a file is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from steelyard.errors import InputError, MissingDependencyError, did_you_mean
from steelyard.weights.counts import ClassCounts

__all__ = ["count_file"]

_MOST_CLASSES = 1_000_000  # more distinct values than this are an identifier or a measurement, not a class
_INTEGER = re.compile(r"-?(0|[1-9][0-9]*)(\.0+)?")
_NUMBER = re.compile(r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?")
_BOOLEANS = {"true": True, "false": False}
_TEXT_FILES = {".csv": ",", ".tsv": "\t", ".tab": "\t"}
_COMPRESSED = {".gz": "gzip", ".bz2": "bz2", ".zst": "zstd"}


def count_file(path: str | Path, target: str, ignore_missing: bool = False) -> ClassCounts:
    r"""Count the labels of one column of a file.

    Parameters
    ----------
    path : str or Path
        CSV or TSV (.csv, .tsv, .tab, also .gz, .bz2, .zst), Parquet (.parquet, .pq), Arrow or Feather
        (.arrow, .feather, .ipc).
    target : str
        The column's name.
    ignore_missing : bool, default False
        Leave rows without a label out. Otherwise they are an error that says how many there are.

    Returns
    -------
    ClassCounts
        CSV labels that are all whole numbers are integers, all true/false booleans, else text. Empty CSV
        fields and the usual spellings of "not available" (NA, NaN, null, ...) are missing.

    Raises
    ------
    InputError
        No such file, an unknown or broken format, an empty file, no such column (did you mean?), a broken CSV
        line (with its number), missing labels, a regression target.
    MissingDependencyError
        Without pyarrow.

    Notes
    -----
    One batch is in memory at a time, and beside it one count per distinct label.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "animals.csv"
    ...     _ = path.write_text("animal,legs\ncat,4\nhen,2\ncat,4\n")
    ...     count_file(path, "animal")
    ClassCounts({'cat': 2, 'hen': 1}, total=3)
    """
    path = Path(path)
    try:
        import pyarrow as pa
    except ModuleNotFoundError:
        raise MissingDependencyError("pyarrow", "counting the labels of a file", extra="compare") from None
    if not path.is_file():
        got = f"the folder {str(path)!r}" if path.is_dir() else f"{str(path)!r}, which does not exist"
        raise InputError("a file to read", got, _similar_file(path))
    if path.stat().st_size == 0:
        raise InputError("a file with rows", f"{str(path)!r}, which is empty")
    batches, is_text = _opened(path, target)
    try:
        counts, missing = _total(batches, target)
    except (pa.ArrowInvalid, OSError) as error:
        raise _broken(path, error) from error
    rows = missing + (0 if counts is None else int(counts.total))
    if missing and not ignore_missing:
        raise InputError(
            f"a label in every row of {target!r}",
            f"{missing:,} of {rows:,} rows without one",
            "ignore_missing=True (--ignore-missing) leaves them out.",
        )
    if counts is None or not counts.classes:
        got = f"{missing:,} rows without a label" if missing else "no rows"
        raise InputError(f"rows with a label in {target!r}", f"{got} in {str(path)!r}")
    return _typed(counts) if is_text else counts


def _total(batches: Iterable[Any], target: str) -> tuple[ClassCounts | None, int]:
    counts: ClassCounts | None = None
    missing = 0
    for batch in batches:
        missing += batch.null_count
        part = ClassCounts.from_batches([batch], ignore=[None]) if batch.null_count < len(batch) else None
        if part is None:
            continue
        missing += len(batch) - batch.null_count - int(part.total)  # NaN
        counts = part if counts is None else counts + part
        if counts.n_classes > _MOST_CLASSES:
            raise InputError(
                f"at most {_MOST_CLASSES:,} classes",
                f"more distinct values in {target!r}",
                "this looks like an identifier or a regression target.",
            )
        _refuse_fractions(part, target)
    return counts, missing


def _refuse_fractions(counts: ClassCounts, target: str) -> None:
    """Text columns: stop at the first batch that is numbers with a fraction, before they fill the memory."""
    if all(isinstance(label, str) and _NUMBER.fullmatch(label) for label in counts.classes):
        for label in counts.classes:
            if not _INTEGER.fullmatch(label) and not float(label).is_integer():
                raise InputError(
                    f"class labels in {target!r}",
                    f"the number {label}",
                    "this looks like a regression target; bin it into classes first.",
                )


def _typed(counts: ClassCounts) -> ClassCounts:
    """Labels of a text file, which has no types: whole numbers → int, true/false → bool, else text."""
    convert: Callable[[str], Any] | None = None
    if all(_INTEGER.fullmatch(label) for label in counts.classes):
        convert = lambda label: int(label.partition(".")[0])  # noqa: E731
    elif all(label.lower() in _BOOLEANS for label in counts.classes):
        convert = lambda label: _BOOLEANS[label.lower()]  # noqa: E731
    if convert is None:
        return counts
    merged: dict[Any, int] = {}
    for label, count in zip(counts.classes, counts.counts.tolist(), strict=True):
        merged[convert(label)] = merged.get(convert(label), 0) + count
    return ClassCounts.from_counts(merged)


def _opened(path: Path, target: str) -> tuple[Iterator[Any], bool]:
    """Return the batches of the target column as Arrow arrays, and whether they come from text."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    compression = _COMPRESSED.get(suffixes[-1]) if suffixes else None
    kind = (suffixes[-2:-1] or [""])[0] if compression else (suffixes or [""])[-1]
    if kind in _TEXT_FILES:
        return _from_text(path, target, _TEXT_FILES[kind], compression), True
    if kind in (".parquet", ".pq") and not compression:
        return _from_parquet(path, target), False
    if kind in (".arrow", ".feather", ".ipc") and not compression:
        return _from_arrow(path, target), False
    known = [*_TEXT_FILES, ".csv.gz", ".parquet", ".arrow", ".feather"]
    raise InputError(f"a file that ends in one of {', '.join(known)}", repr(path.name))


def _from_text(path: Path, target: str, delimiter: str, compression: str | None) -> Iterator[Any]:
    import pyarrow as pa
    from pyarrow import csv

    parse = csv.ParseOptions(delimiter=delimiter, newlines_in_values=True)
    # the reader knows the number of a broken row with one thread only
    read = csv.ReadOptions(use_threads=False)
    try:
        with pa.input_stream(str(path), compression=compression) as stream:
            names = csv.open_csv(stream, read_options=read, parse_options=parse).schema.names
        hint = None
        if len(names) == 1 and (other := next((c for c in ";\t,|" if c in names[0]), None)):
            hint = f"the header has no {delimiter!r} but {other!r}: is that the delimiter?"
        _check_column(target, names, hint)
        convert = csv.ConvertOptions(
            include_columns=[target],
            # text, because a type guessed from the first block fails at the first block that differs
            column_types={target: pa.dictionary(pa.int32(), pa.string())},
            strings_can_be_null=True,
        )
        with pa.input_stream(str(path), compression=compression) as stream:
            for batch in csv.open_csv(stream, read, parse, convert):
                yield batch.column(0)
    except (pa.ArrowInvalid, OSError) as error:
        raise _broken(path, error) from error


def _from_parquet(path: Path, target: str) -> Iterator[Any]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        _check_column(target, pq.read_schema(path).names)
        # a buffered stream, not pre-buffered: pages are read as they are needed, and not a row group at a time
        file = pq.ParquetFile(path, buffer_size=1 << 20, pre_buffer=False, read_dictionary=_leaves(path, target))
    except (pa.ArrowInvalid, OSError) as error:
        raise _broken(path, error) from error
    with file:
        for batch in file.iter_batches(batch_size=1 << 16, columns=[target], use_threads=False):
            yield batch.column(batch.schema.names.index(target))


def _leaves(path: Path, target: str) -> list[str]:
    """Return the column if it is text, which is cheaper to read as numbers and a dictionary."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    kind = pq.read_schema(path).field(target).type
    return [target] if pa.types.is_string(kind) or pa.types.is_large_string(kind) else []


def _from_arrow(path: Path, target: str) -> Iterator[Any]:
    import pyarrow as pa

    with pa.OSFile(str(path)) as source:  # not memory-mapped: pages that were read would count as ours
        try:
            file = pa.ipc.open_file(source)
        except pa.ArrowInvalid as error:
            raise _broken(path, error) from error
        names = file.schema.names
        _check_column(target, names)
        options = pa.ipc.IpcReadOptions(included_fields=[names.index(target)], use_threads=False)
        file = pa.ipc.open_file(source, options=options)
        for i in range(file.num_record_batches):
            yield file.get_batch(i).column(0)


def _check_column(target: str, names: list[str], hint: str | None = None) -> None:
    if names.count(target) > 1:
        raise InputError(f"one column named {target!r}", f"{names.count(target)}", "rename the others.")
    if target not in names:
        listed = ", ".join(repr(name) for name in names[:10]) + (", ..." if len(names) > 10 else "")
        raise InputError(f"a target column among {{{listed}}}", repr(target), hint or did_you_mean(target, names))


def _similar_file(path: Path) -> str | None:
    folder = path.parent
    return did_you_mean(path.name, (p.name for p in folder.iterdir())) if folder.is_dir() else None


def _broken(path: Path, error: Exception) -> InputError:
    message = str(error).strip().splitlines()[0]
    if "UTF8" in message:
        return InputError("a file in UTF-8", f"{str(path)!r}: {message}", "convert it: iconv -f latin1 -t utf-8.")
    row = re.search(r"Row #(\d+): (.*)", message)
    if row:
        return InputError(
            f"the same number of fields in every line of {str(path)!r}",
            f"line {row[1]}: {row[2]}",
            "mend or remove that line.",
        )
    if "Empty CSV file" in message:
        return InputError("a file with rows", f"{str(path)!r}, which is empty")
    return InputError("a readable file", f"{str(path)!r}: {message}", "does its ending say what it is?")
