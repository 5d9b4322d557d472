"""A file of scores, as some model wrote it: probabilities by class, and perhaps the truth."""

from __future__ import annotations

import csv
import sys
from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steelyard.comparison.files import read_table
from steelyard.comparison.target import read_target
from steelyard.decisions.score_columns import columns_of
from steelyard.errors import InputError, did_you_mean

__all__ = ["ScoreTable", "write_labels"]

_SEPARATORS = {".csv": ",", ".txt": ",", ".tsv": "\t"}


class ScoreTable:
    """Rows with a column of probabilities per class.

    Parameters
    ----------
    path : str or Path
        Any file that `read_table` reads.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._table: Any = read_table(path)

    def _column(self, name: str, what: str) -> Any:
        names = self._table.column_names
        if names.count(name) != 1:
            got = "more than one" if name in names else f"the columns {', '.join(map(repr, names[:10]))}"
            raise InputError(f"one column '{name}' {what} in '{self.path}'", got, did_you_mean(name, names))
        return self._table.column(name)

    def labels(self, target: str) -> list[Any]:
        """Return the truth of each row, checked as `steelyard compare` checks it."""
        column = self._column(target, "of labels")
        values: list[Any] = column.to_pylist()
        read_target(column, target)
        return values

    def scores(self, classes: Sequence[Hashable], score: str | None = None, positive: int | None = None) -> Any:
        """Return the probabilities, float64 of shape (n, C), in the order of `classes`.

        Parameters
        ----------
        classes : sequence of labels
            Whose columns are named as they are, or "probability_" and the class.
        score : str, optional
            The one column that there is for two classes: the probability of the positive one.
        positive : int, optional
            Its index; with `score` only.
        """
        if score is None:
            at = columns_of(self._table.column_names, classes, f"'{self.path}'")
            return np.column_stack([self._numbers(self._table.column_names[i]) for i in at])
        if len(classes) != 2 or positive is None:
            raise InputError("two classes for one column of scores", f"{len(classes)} classes", "give a column each.")
        p = self._numbers(score)
        bad = np.flatnonzero(~((p >= 0.0) & (p <= 1.0)))
        if bad.size:
            raise InputError(
                f"probabilities in column '{score}'", f"{p[bad[0]]} in row {bad[0] + 1}", "apply a sigmoid to logits."
            )
        both = [1.0 - p, p]
        return np.column_stack(both if positive == 1 else both[::-1])

    def _numbers(self, name: str) -> NDArray[np.float64]:
        import pyarrow as pa

        column = self._column(name, "of probabilities")
        if not (pa.types.is_floating(column.type) or pa.types.is_integer(column.type)):
            raise InputError(f"numbers in column '{name}'", f"a column of type {column.type}")
        values = column.to_numpy().astype(np.float64)
        missing = np.flatnonzero(np.isnan(values))
        if missing.size:
            raise InputError(f"a probability in every row of column '{name}'", f"none in row {missing[0] + 1}")
        return np.asarray(values)


def write_labels(columns: dict[str, list[Any]], out: Path | None) -> None:
    """Write columns of labels to a file by its ending (.csv, .tsv, also .gz; .parquet), or to standard output."""
    if out is None:
        rows = csv.writer(sys.stdout, lineterminator="\n")
        rows.writerow(columns)
        rows.writerows(zip(*columns.values(), strict=True))
        return
    import pyarrow as pa
    from pyarrow import csv as arrow_csv
    from pyarrow import parquet

    table = pa.table(columns)
    endings = [s.lower() for s in out.suffixes]
    out.parent.mkdir(parents=True, exist_ok=True)
    # a reader never sees half a file
    temporary = out.with_name(f".{out.name}.part")
    try:
        if endings[-1:] in ([".parquet"], [".pq"]):
            parquet.write_table(table, temporary)
        else:
            zipped = endings[-1:] == [".gz"]
            ending = (endings[:-1] if zipped else endings)[-1:]
            options = arrow_csv.WriteOptions(
                delimiter=_SEPARATORS.get(ending[0] if ending else "", ","), quoting_style="needed"
            )
            with pa.output_stream(str(temporary), compression="gzip" if zipped else None) as stream:
                arrow_csv.write_csv(table, stream, options)
        temporary.replace(out)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
