"""A stored model and a file of new rows → a file of labels and probabilities, a part of the rows at a time."""

from __future__ import annotations

import csv
import gzip
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from steelyard.comparison.classifier import Classifier
from steelyard.comparison.files import read_batches
from steelyard.comparison.multilabel_classifier import MultiLabelClassifier
from steelyard.errors import InputError

__all__ = ["check_out", "column_names", "predict_file"]

Model = Classifier | MultiLabelClassifier
Write = Callable[[Any, Any], None]  # labels of shape (n,), probabilities of shape (n, C) or None

_SEPARATORS = {".csv": ",", ".tsv": "\t"}
_PARQUET = (".parquet", ".pq")


def column_names(model: Model, proba: bool = True) -> list[str]:
    """Return the columns that are written: "prediction", then "probability_<class>" for each class.

    Of several labels: "prediction_<label>" for each, then "probability_<label>" for each.

    Examples
    --------
    >>> import numpy as np
    >>> column_names(Classifier().fit(np.array([[0.0], [1.0], [2.0], [3.0]]), ["no", "no", "yes", "yes"]))
    ['prediction', 'probability_no', 'probability_yes']
    """
    if isinstance(model, MultiLabelClassifier):
        given = [f"prediction_{label}" for label in model.labels_]
        return given + [f"probability_{label}" for label in model.labels_ if proba]
    texts = [str(label) for label in model.classes_.tolist()]
    if len(set(texts)) < len(texts):  # 1 and "1" are two classes
        texts = [repr(label) for label in model.classes_.tolist()]
    return ["prediction", *(f"probability_{text}" for text in texts if proba)]


def check_out(out: Path, data: Path) -> None:
    """Refuse what cannot be written, before anything is computed.

    Raises
    ------
    InputError
        If `out` has another ending than .csv, .tsv (or these with .gz) or .parquet, or is `data` itself.
    """
    _ending(out)
    if out.is_dir():
        raise InputError("a file for the predictions", f"'{out}', which is a folder")
    if out.exists() and data.exists() and out.samefile(data):
        raise InputError("another file for the predictions than the data", f"'{out}' for both")


def predict_file(
    model: Model,
    data: str | Path,
    out: Path | TextIO,
    proba: bool = True,
    progress: Callable[[int], None] | None = None,
) -> int:
    """Predict every row of a file, in its order.

    Parameters
    ----------
    model : Classifier or MultiLabelClassifier
    data : str or Path
        CSV, TSV, Parquet, Arrow or Feather; CSV and TSV also as .gz. Columns in any order; others are ignored.
    out : Path or text stream
        A file, written whole or not at all: CSV or TSV (also as .gz) or Parquet, by its ending. Or a stream, which
        gets CSV as the rows come.
    proba : bool
        Whether to write probabilities beside the labels. Default True.
    progress : callable, optional
        Called with the number of rows done.

    Returns
    -------
    int
        Number of rows.

    Raises
    ------
    InputError
        If the file cannot be read, lacks a column, or holds what a column cannot.
    """
    done = 0
    with _writer(out, model, column_names(model, proba)) as write:
        for table in read_batches(data, model.column_types()):
            labels, probabilities = model.labels_and_proba(table)
            write(labels, probabilities if proba else None)
            done += table.num_rows
            if progress is not None:
                progress(done)
    return done


def _ending(path: Path) -> tuple[str, bool]:
    endings = [s.lower() for s in path.suffixes]
    zipped = endings[-1:] == [".gz"]
    ending = (endings[:-1] if zipped else endings)[-1:]
    kind = ending[0] if ending else ""
    if kind in _SEPARATORS or (kind in _PARQUET and not zipped):
        return kind, zipped
    raise InputError(
        "a file ending in .csv, .tsv (or these with .gz) or .parquet for the predictions", f"'{path.name}'"
    )


@contextmanager
def _writer(out: Path | TextIO, model: Model, names: Sequence[str]) -> Iterator[Write]:
    if not isinstance(out, Path):
        with _text_writer(out, ",", names) as write:
            yield write
        return
    kind, zipped = _ending(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=out.parent, prefix=f".{out.name}.")
    os.close(handle)
    temporary = Path(name)
    try:
        if kind in _PARQUET:
            with _parquet_writer(temporary, model, names) as write:
                yield write
        else:
            with _opened(temporary, zipped) as file, _text_writer(file, _SEPARATORS[kind], names) as write:
                yield write
        mask = os.umask(0)
        os.umask(mask)
        temporary.chmod(0o666 & ~mask)  # mkstemp makes files that only their owner can read
        temporary.replace(out)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _opened(path: Path, zipped: bool) -> TextIO:
    if zipped:
        return gzip.open(path, "wt", encoding="utf-8", newline="")
    return path.open("w", encoding="utf-8", newline="")


@contextmanager
def _text_writer(file: TextIO, separator: str, names: Sequence[str]) -> Iterator[Write]:
    rows = csv.writer(file, delimiter=separator, lineterminator="\n")
    # the header waits for the first rows: a file that cannot be used leaves nothing in a pipe
    header = [names]

    def write(labels: Any, proba: Any) -> None:
        while header:
            rows.writerow(header.pop())
        if proba is None:
            rows.writerows(_as_columns(labels).tolist())
        else:
            # Python writes the shortest text that reads as the same number
            pairs = zip(_as_columns(labels).tolist(), proba.tolist(), strict=True)
            rows.writerows([*label, *p] for label, p in pairs)

    yield write
    rows.writerows(header)


def _as_columns(labels: Any) -> Any:
    return labels if labels.ndim == 2 else labels[:, None]


@contextmanager
def _parquet_writer(path: Path, model: Model, names: Sequence[str]) -> Iterator[Write]:
    import pyarrow as pa
    from pyarrow import parquet

    kinds = {"b": pa.bool_(), "i": pa.int64(), "f": pa.float64()}
    kind = kinds.get(model.classes_.dtype.kind, pa.string())
    n = sum(name.startswith("prediction") for name in names)
    schema = pa.schema([*((name, kind) for name in names[:n]), *((name, pa.float64()) for name in names[n:])])
    with parquet.ParquetWriter(path, schema) as file:

        def write(labels: Any, proba: Any) -> None:
            lists = [column.tolist() for column in _as_columns(labels).T]
            texts = [[str(v) for v in column] if kind == pa.string() else column for column in lists]
            columns = [pa.array(values, kind) for values in texts]
            columns += [] if proba is None else [pa.array(p) for p in proba.T.copy()]
            file.write_table(pa.Table.from_arrays(columns, schema=schema))

        yield write
