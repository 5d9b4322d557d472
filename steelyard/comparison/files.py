"""A file → an Arrow table: CSV, TSV, Parquet, Arrow and Feather; CSV and TSV also as .gz."""

from __future__ import annotations

import csv
import gzip
import io
import re
from pathlib import Path
from typing import Any

from steelyard.errors import InputError, did_you_mean

__all__ = ["read_table"]

Table = Any

_TEXT = (".csv", ".tsv", ".txt")
_COLUMNAR = (".parquet", ".pq", ".feather", ".arrow", ".ipc")
# what pyarrow takes for a missing value, and the question mark of the UCI repository
_EXTRA_NULLS = ["?"]


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
    pyarrow.Table

    Raises
    ------
    InputError
        For a file that does not exist, is empty, has another ending, is not UTF-8, or has a line with too
        few or too many fields (with its number).
    """
    path = Path(path)
    endings = [s.lower() for s in path.suffixes]
    if not path.is_file():
        raise InputError("a data file", f"'{path}', which does not exist", _similar_file(path))
    if path.stat().st_size == 0:
        raise InputError("a data file with a header and rows", f"'{path}', which is empty")
    zipped = endings[-1:] == [".gz"]
    ending = endings[-2] if zipped and len(endings) > 1 else (endings[-1] if endings else "")
    if ending in _TEXT:
        table = _read_text(path, zipped, ending)
    elif ending in _COLUMNAR and not zipped:
        table = _read_columnar(path, ending)
    else:
        raise InputError(
            "a file ending in .csv, .tsv, .txt (or these with .gz), .parquet, .feather or .arrow",
            f"'{path.name}'",
            "rename or convert the file.",
        )
    if table.num_rows == 0:
        raise InputError("a data file with rows", f"'{path}', which has only a header")
    return table


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
            convert_options=arrow_csv.ConvertOptions(
                decimal_point=_decimal_point(data, separator),
                null_values=[*arrow_csv.ConvertOptions().null_values, *_EXTRA_NULLS],
                strings_can_be_null=True,
            ),
        )
    except ArrowInvalid as error:
        raise _broken_line(data, path, separator) or InputError(
            "a well-formed text table", f"'{path}': {error}"
        ) from error


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
    from pyarrow import feather, parquet

    try:
        if ending in (".parquet", ".pq"):
            # one file, not a data set: folder names are no columns
            return parquet.ParquetFile(path).read()
        try:
            return feather.read_table(path)
        except pa.ArrowInvalid:
            with pa.OSFile(str(path)) as file:
                return pa.ipc.open_stream(file).read_all()
    except (pa.ArrowInvalid, OSError) as error:
        raise InputError(
            f"a file in the format of its ending, {ending}",
            f"'{path}' ({str(error).splitlines()[0]})",
            "is it another format under this name, or cut off?",
        ) from error
