"""A file → an Arrow table, whole or batch by batch: CSV, TSV, Parquet, Arrow and Feather; CSV and TSV also as .gz."""

from __future__ import annotations

import csv
import gzip
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from steelyard.errors import InputError, did_you_mean

__all__ = ["ParquetTable", "needed_columns", "read_batches", "read_table"]

Table = Any

_TEXT = (".csv", ".tsv", ".txt")
_COLUMNAR = (".parquet", ".pq", ".feather", ".arrow", ".ipc")
# what pyarrow takes for a missing value, and the question mark of the UCI repository
_EXTRA_NULLS = ["?"]
_KINDS = {"double": "a number", "bool": "true or false", "string": "text in UTF-8"}
_BATCH = 1 << 16  # rows that are in memory at a time
_HEAD = 1 << 16  # bytes that show the separator and the decimal point


def read_table(path: str | Path) -> Table:
    """Read a table from a file, chosen by its ending.

    Parameters
    ----------
    path : str or Path
        Ending in .csv, .tsv, .txt (each also with .gz), .parquet, .pq, .feather, .arrow or .ipc. Text is
        UTF-8; the separator of .csv and .txt is the comma, or, if the header has none, semicolon, tab or
        bar; between semicolons 1,5 is a number. Empty fields, "NA", "NaN", "null" and "?" are missing.

    Returns
    -------
    pyarrow.Table or ParquetTable
        Parquet stays on disk, and is read column by column as columns are asked for.

    Raises
    ------
    InputError
        For a file that does not exist, is empty, has another ending, is not UTF-8, or has a line with too
        few or too many fields (with its number).
    """
    path = Path(path)
    ending, zipped = _ending(path)
    table = _read_text(path, zipped, ending) if ending in _TEXT else _read_columnar(path, ending)
    if table.num_rows == 0:
        raise InputError("a data file with rows", f"'{path}', which has only a header")
    return table


class ParquetTable:
    """A Parquet file as a table whose columns are read when they are asked for, and not kept.

    Parameters
    ----------
    path : Path
    names : sequence of str, optional
        The columns that there are; default all.

    Attributes
    ----------
    column_names : list of str
    num_rows : int
    """

    def __init__(self, path: Path, names: Sequence[str] | None = None) -> None:
        import pyarrow as pa
        from pyarrow import parquet

        self._path = path
        try:
            with parquet.ParquetFile(path) as file:
                self.num_rows: int = file.metadata.num_rows
                schema = file.schema_arrow
        except (pa.ArrowInvalid, OSError) as error:
            raise _not_of_its_ending(path, ".parquet", error) from error
        # texts come as codes and levels: a tenth of the memory
        self._texts = [f.name for f in schema if pa.types.is_string(f.type) or pa.types.is_large_string(f.type)]
        self.column_names: list[str] = list(schema.names if names is None else names)

    def column(self, name: str) -> Any:
        """Read one column, as a pyarrow.ChunkedArray."""
        import pyarrow as pa
        from pyarrow import parquet

        try:
            # one file, not a data set: folder names are no columns
            with parquet.ParquetFile(self._path, read_dictionary=[t for t in self._texts if t == name]) as file:
                return file.read(columns=[name]).column(name)
        except (pa.ArrowInvalid, OSError) as error:
            raise _not_of_its_ending(self._path, ".parquet", error) from error

    def drop_columns(self, names: Sequence[str]) -> ParquetTable:
        """Return the same file without some columns."""
        return ParquetTable(self._path, [name for name in self.column_names if name not in names])


def read_batches(path: str | Path, types: Mapping[str, Any]) -> Iterator[Table]:
    """Read some columns of a file, a part of the rows at a time.

    Parameters
    ----------
    path : str or Path
        As for `read_table`.
    types : mapping of str to pyarrow.DataType
        The columns to read, with the type that a text file's fields have; other files bring their own types.

    Yields
    ------
    pyarrow.Table
        At most 65,536 rows, or about a megabyte of text.

    Raises
    ------
    InputError
        As `read_table`; also for a column that is not there, and for a field that is not of its type.
    """
    path = Path(path)
    ending, zipped = _ending(path)
    if ending in _TEXT:
        yield from _text_batches(path, zipped, ending, types)
    else:
        yield from _columnar_batches(path, ending, list(types))


def needed_columns(names: Sequence[str], needed: Sequence[str], where: str) -> list[int]:
    """Return where the needed columns stand among `names`.

    Raises
    ------
    InputError
        Naming those that are missing, or one that is there twice.
    """
    missing = [name for name in needed if name not in names]
    if missing:
        listed = ", ".join(repr(name) for name in missing[:10]) + (", ..." if len(missing) > 10 else "")
        hint = did_you_mean(missing[0], [n for n in names if n not in needed])
        raise InputError(f"every column that the model was trained on in {where}", f"none called {listed}", hint)
    for name in needed:
        if list(names).count(name) > 1:
            raise InputError("different column names", f"'{name}' more than once in {where}", "rename one of them.")
    return [list(names).index(name) for name in needed]


def _ending(path: Path) -> tuple[str, bool]:
    """Return the ending that says how to read a file, and whether it is zipped."""
    endings = [s.lower() for s in path.suffixes]
    if not path.is_file():
        raise InputError("a data file", f"'{path}', which does not exist", _similar_file(path))
    if path.stat().st_size == 0:
        raise InputError("a data file with a header and rows", f"'{path}', which is empty")
    zipped = endings[-1:] == [".gz"]
    ending = endings[-2] if zipped and len(endings) > 1 else (endings[-1] if endings else "")
    if ending not in _TEXT and (zipped or ending not in _COLUMNAR):
        raise InputError(
            "a file ending in .csv, .tsv, .txt (or these with .gz), .parquet, .feather or .arrow",
            f"'{path.name}'",
            "rename or convert the file.",
        )
    return ending, zipped


def _similar_file(path: Path) -> str | None:
    if not path.parent.is_dir():
        return f"the folder '{path.parent}' does not exist."
    return did_you_mean(path.name, [p.name for p in path.parent.iterdir()])


def _read_text(path: Path, zipped: bool, ending: str) -> Table:
    from pyarrow import ArrowInvalid, BufferReader
    from pyarrow import csv as arrow_csv

    try:
        data = gzip.decompress(path.read_bytes()) if zipped else path.read_bytes()
    except (OSError, EOFError) as error:
        raise InputError("a readable gzip file", f"'{path}' ({error})", "was the copy complete?") from error
    _check_utf8(data, path)
    separator = _separator(data, ending)
    try:
        return arrow_csv.read_csv(
            BufferReader(data),
            # one thread: only then does the parser know in which row it is
            read_options=arrow_csv.ReadOptions(use_threads=False),
            parse_options=arrow_csv.ParseOptions(delimiter=separator, newlines_in_values=True),
            convert_options=_conversion(data, separator),
        )
    except ArrowInvalid as error:
        raise _broken_line(data, path, separator) or InputError(
            "a well-formed text table", f"'{path}': {error}"
        ) from error


def _conversion(data: bytes, separator: str, **more: Any) -> Any:
    from pyarrow import csv as arrow_csv

    return arrow_csv.ConvertOptions(
        decimal_point=_decimal_point(data, separator),
        null_values=[*arrow_csv.ConvertOptions().null_values, *_EXTRA_NULLS],
        strings_can_be_null=True,
        **more,
    )


def _text_batches(path: Path, zipped: bool, ending: str, types: Mapping[str, Any]) -> Iterator[Table]:
    import pyarrow as pa
    from pyarrow import csv as arrow_csv

    compression = "gzip" if zipped else None
    names: list[str] = []
    try:
        with gzip.open(path) if zipped else path.open("rb") as file:
            head = file.read(_HEAD)
        _check_utf8(head.rpartition(b"\n")[0], path)  # up to a whole line: the cut may be within a character
        separator = _separator(head, ending)
        # one thread: only then does the parser know in which row it is
        read = arrow_csv.ReadOptions(use_threads=False)
        parse = arrow_csv.ParseOptions(delimiter=separator, newlines_in_values=True)
        with pa.input_stream(str(path), compression=compression) as stream:
            names = arrow_csv.open_csv(stream, read_options=read, parse_options=parse).schema.names
        needed_columns(names, list(types), f"'{path}'")
        convert = _conversion(head, separator, column_types=dict(types), include_columns=list(types))
        with pa.input_stream(str(path), compression=compression) as stream:
            for batch in arrow_csv.open_csv(stream, read, parse, convert):
                yield pa.Table.from_batches([batch])
    except (OSError, EOFError) as error:
        if not zipped:
            raise
        raise InputError("a readable gzip file", f"'{path}' ({error})", "was the copy complete?") from error
    except pa.ArrowInvalid as error:
        raise _broken_field(str(error).strip(), names, path) from error


def _broken_field(message: str, names: Sequence[str], path: Path) -> InputError:
    """Say in our words what Arrow says of one line or one field."""
    field = re.search(r"In CSV column #(\d+): Row #(\d+): CSV conversion error to (\w+)[^:]*: (.*)", message)
    if field and int(field[1]) < len(names):
        kind = _KINDS.get(field[3], f"a {field[3]}")
        return InputError(
            f"{kind} in every row of column '{names[int(field[1])]}' of '{path}', as when the model was trained",
            f"{field[4].removeprefix('invalid value ')} in row {field[2]}",
        )
    line = re.search(r"Row #(\d+): Expected (\d+) columns, got (\d+)", message)
    if line:
        return InputError(
            f"{line[2]} fields in every row of '{path}', as in its header",
            f"{line[3]} in row {line[1]}",
            "a text that holds the separator needs quotes.",
        )
    return InputError("a well-formed text table in UTF-8", f"'{path}': {message.splitlines()[0]}")


def _columnar_batches(path: Path, ending: str, names: list[str]) -> Iterator[Table]:
    import pyarrow as pa
    from pyarrow import parquet

    try:
        if ending in (".parquet", ".pq"):
            with parquet.ParquetFile(path) as file:
                needed_columns(file.schema_arrow.names, names, f"'{path}'")
                for batch in file.iter_batches(_BATCH, columns=names):
                    yield pa.Table.from_batches([batch]).select(names)
            return
        with pa.OSFile(str(path)) as source:
            for batch in _ipc_batches(source):
                at = needed_columns(batch.schema.names, names, f"'{path}'")
                part = pa.Table.from_batches([batch]).select(at)
                for start in range(0, part.num_rows, _BATCH):
                    yield part.slice(start, _BATCH)
    except (pa.ArrowInvalid, OSError) as error:
        raise _not_of_its_ending(path, ending, error) from error


def _ipc_batches(source: Any) -> Iterator[Any]:
    import pyarrow as pa

    try:
        file = pa.ipc.open_file(source)
    except pa.ArrowInvalid:
        source.seek(0)
        yield from pa.ipc.open_stream(source)
        return
    for i in range(file.num_record_batches):
        yield file.get_batch(i)


def _check_utf8(data: bytes, path: Path) -> None:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise InputError(
            "text in UTF-8",
            f"the byte 0x{data[error.start]:02x} in line {line} of '{path}'",
            "convert it: iconv -f latin1 -t utf-8.",
        ) from None


def _separator(data: bytes, ending: str) -> str:
    if ending == ".tsv":
        return "\t"
    header = data.split(b"\n", 1)[0].decode("utf-8")
    return next((mark for mark in ",;\t|" if mark in header), ",")


def _decimal_point(data: bytes, separator: str) -> str:
    """Return the comma where a semicolon separates numbers such as 1,5 and none such as 1.5."""
    start = data[:65536]
    commas = separator == ";" and re.search(rb"(^|;)-?\d+,\d+\s*(;|$)", start, re.MULTILINE)
    return "," if commas and not re.search(rb"(^|;)-?\d+\.\d+\s*(;|$)", start, re.MULTILINE) else "."


def _broken_line(data: bytes, path: Path, separator: str) -> InputError | None:
    """Find the first line with another number of fields than the header, by its number in the file."""
    reader = csv.reader(io.StringIO(data.decode("utf-8"), newline=""), delimiter=separator)
    try:
        width = len(next(reader))
        for fields in reader:
            if fields and len(fields) != width:
                return InputError(
                    f"{width} fields in every line of '{path}', as in its header",
                    f"{len(fields)} in line {reader.line_num}",
                    "a text that holds the separator needs quotes.",
                )
    except csv.Error as error:
        return InputError(f"a well-formed line {reader.line_num} in '{path}'", str(error))
    return None


def _read_columnar(path: Path, ending: str) -> Table:
    import pyarrow as pa
    from pyarrow import feather

    try:
        if ending in (".parquet", ".pq"):
            return ParquetTable(path)
        try:
            return feather.read_table(path)
        except pa.ArrowInvalid:
            with pa.OSFile(str(path)) as file:
                return pa.ipc.open_stream(file).read_all()
    except (pa.ArrowInvalid, OSError) as error:
        raise _not_of_its_ending(path, ending, error) from error


def _not_of_its_ending(path: Path, ending: str, error: Exception) -> InputError:
    return InputError(
        f"a file in the format of its ending, {ending}",
        f"'{path}' ({str(error).splitlines()[0]})",
        "is it another format under this name, or cut off?",
    )
