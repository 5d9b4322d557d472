"""Several labels per row: each a target of 0 and 1 on the same table, and folds that have all of them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steelyard.comparison.columns import arrow_table
from steelyard.comparison.dataset import Dataset, dataset_of, from_table, target_column
from steelyard.comparison.files import read_table
from steelyard.comparison.folds import Split
from steelyard.comparison.target import Target
from steelyard.comparison.ties import FREE, Ties
from steelyard.errors import InputError
from steelyard.tuning.seeds import seed
from steelyard.weights import ClassCounts

__all__ = ["LabelSet", "from_file", "from_memory", "is_label_set", "refuse_ties"]

Ints = NDArray[np.int64]

_NAMED = 6  # labels in a line
_ATTEMPTS = 10  # at folds that have every label: the greedy algorithm fails now and then where rows are few


@dataclass(frozen=True)
class LabelSet:
    """A table with several labels per row.

    Attributes
    ----------
    names : tuple of str
    datasets : tuple of Dataset
        One per label, with the classes 0 and 1, of which 1 is the positive one; all share their features.
    """

    names: tuple[str, ...]
    datasets: tuple[Dataset, ...]

    @property
    def name(self) -> str:
        """What to call the target in a report."""
        more = len(self.names) - _NAMED
        return ", ".join(self.names[:_NAMED]) + (f" and {more} more labels" if more > 0 else "")

    @property
    def rows(self) -> int:
        """Number of rows."""
        return self.datasets[0].rows

    @property
    def y(self) -> Ints:
        """The labels as 0 and 1, of shape (n, L)."""
        return np.column_stack([d.target.y for d in self.datasets])

    @property
    def target(self) -> Target:
        """All cells of the label matrix as one target: the classes, how often they are, and which is positive."""
        y = self.y.ravel()
        return Target(y, ClassCounts.from_labels(y, classes=[0, 1]), 1)

    @property
    def ties(self) -> Ties:
        """Rows are tied by nothing."""
        return FREE

    @property
    def costs(self) -> Any:
        """What mistakes cost, the same for each label."""
        return self.datasets[0].costs

    def fingerprint(self) -> str:
        """Return a SHA-256 of names, values and labels."""
        digest = hashlib.sha256(self.datasets[0].fingerprint().encode())
        digest.update("\0".join(self.names).encode())
        digest.update(self.y.astype("<i8").tobytes())
        return digest.hexdigest()

    def describe(self) -> dict[str, Any]:
        """Return the part `dataset` of results.json: `classes` and `counts` are of all cells of the label matrix."""
        counts = self.y.sum(0)
        cells = self.y.size
        return {
            "rows": self.rows,
            "features": len(self.datasets[0].features.given),
            "classes": [0, 1],
            "counts": [int(cells - counts.sum()), int(counts.sum())],
            "labels": list(self.names),
            "label_counts": [int(n) for n in counts],
            "fingerprint": self.fingerprint(),
        }

    def splits(self, cv: int, repeats: int, random_state: int) -> list[Split]:
        """Return `repeats` × `cv` splits in which every label has its share of rows in every fold.

        Iterative stratification: the rarest label's rows are dealt out first.

        Raises
        ------
        InputError
            If a label has fewer rows than there are folds, or no folds with every label are found.

        References
        ----------
        Sechidis, Tsoumakas and Vlahavas, "On the stratification of multi-label data", ECML PKDD 2011,
        doi:10.1007/978-3-642-23808-6_10.
        """
        self._check_folds(cv)
        out = []
        for repeat in range(repeats):
            for fold, test in enumerate(self._folds(cv, repeat, random_state)):
                train = np.setdiff1d(np.arange(self.rows), test)
                out.append(Split(repeat, fold, train, test))
        return out

    def _folds(self, cv: int, repeat: int, random_state: int) -> list[NDArray[np.intp]]:
        from iterstrat.ml_stratifiers import MultilabelStratifiedKFold

        y = self.y
        for attempt in range(_ATTEMPTS):
            state = seed(random_state, "folds", repeat, attempt) if attempt else seed(random_state, "folds", repeat)
            dealer = MultilabelStratifiedKFold(cv, shuffle=True, random_state=state)
            tests = [test for _, test in dealer.split(np.zeros((len(y), 1)), y)]
            if all(y[test].sum(0).min() > 0 and y[test].sum(0).max() < len(test) for test in tests):
                return tests
        raise InputError(
            f"{cv} folds in each of which every label has rows with it and rows without",
            f"none in {_ATTEMPTS} attempts",
            "use fewer folds (--cv, cv=), or leave the rarest label out.",
        )

    def _check_folds(self, cv: int) -> None:
        y = self.y
        fewest = np.minimum(y.sum(0), len(y) - y.sum(0))
        small = [f"'{name}' ({n})" for name, n in zip(self.names, fewest.tolist(), strict=True) if n < cv]
        if small:
            listed = ", ".join(small[:5]) + (", ..." if len(small) > 5 else "")
            raise InputError(
                f"at least {cv} rows with and {cv} without each label for {cv} folds",
                f"fewer for {listed}",
                "leave such a label out, or use fewer folds (--cv, cv=).",
            )

    def strata(self) -> Ints:
        """Return for each row its rarest label, 0 .. L − 1, or L where it has none: what the bootstrap draws within."""
        y = self.y
        rarest = np.argsort(np.argsort(y.sum(0), kind="stable"))
        rank = np.where(y == 1, rarest, y.shape[1]).min(1)
        return np.asarray(rank, np.int64)


def is_label_set(y: Any) -> bool:
    """Say whether these are several labels per row: two columns or more.

    Examples
    --------
    >>> is_label_set(np.eye(3)), is_label_set([0, 1]), is_label_set(np.zeros((3, 1)))
    (True, False, False)
    """
    shape = getattr(y, "shape", None)  # a list of tuples is one label per row, each a tuple
    if shape is None and isinstance(y, (list, tuple)) and y and isinstance(y[0], (list, np.ndarray)):
        shape = np.shape(y)
    return shape is not None and len(shape) == 2 and shape[1] >= 2


def from_memory(X: Any, Y: Any, costs: Any = None, cost_features: bool = False) -> LabelSet:
    """Take a table in memory and its labels.

    Parameters
    ----------
    X : pandas, polars or Arrow table, mapping of columns, or array-like of shape (n, d)
    Y : pandas, polars or Arrow table, or array-like of shape (n, L)
        0 and 1, or truth values; columns of an array are named "0", "1", ...
    costs, cost_features
        See `steelyard.comparison.dataset.from_memory`; the same for each label.

    Returns
    -------
    LabelSet

    Raises
    ------
    InputError
        If they cannot be used.
    """
    table, labels = arrow_table(X), arrow_table(Y)
    if labels.num_rows != table.num_rows:
        raise InputError(f"labels of each of the {table.num_rows} rows", f"{labels.num_rows} rows of labels")
    names = labels.column_names
    if not hasattr(Y, "columns") and not hasattr(Y, "column_names"):
        names = [str(k) for k in range(labels.num_columns)]
    return _label_set(table, names, [labels.column(k) for k in range(labels.num_columns)], costs, cost_features)


def refuse_ties(groups: Any, time: Any, dedupe: bool) -> None:
    """Say that folds of several labels are stratified by all of them, and by nothing else.

    Raises
    ------
    InputError
        If rows are to be tied too.
    """
    for name, given in (("groups", groups is not None), ("time", time is not None), ("dedupe", dedupe)):
        if given:
            raise InputError(
                f"`{name}` with one label per row", "several labels", "compare the labels one at a time for that."
            )


def from_file(
    path: str | Path,
    target: str,
    positive: Any = None,
    costs: Any = None,
    cost_features: bool = False,
    groups: str | None = None,
    time: str | None = None,
    dedupe: bool = False,
) -> Dataset | LabelSet:
    """Read a file; its target is one column, or several with commas between: labels of 0 and 1.

    Parameters
    ----------
    path, positive, costs, cost_features, groups, time, dedupe
        See `steelyard.comparison.dataset.from_file`; `positive` and what ties rows go with one column.
    target : str
        A column's name may hold commas: then it is that column.

    Returns
    -------
    Dataset or LabelSet

    Raises
    ------
    InputError
        If the file, a column or the labels cannot be used.
    """
    table = read_table(path)
    names = [name.strip() for name in target.split(",")]
    if target in table.column_names or len(names) == 1:
        return from_table(table, path, target, positive, costs, cost_features, groups, time, dedupe)
    if positive is not None:
        raise InputError("`--positive` with one target", f"{len(names)}", "of several labels, 1 is the positive class.")
    refuse_ties(groups, time, dedupe)
    columns = [target_column(table, path, name) for name in names]
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise InputError("each label once in `--target`", f"'{twice[0]}' twice")
    return _label_set(table.drop_columns(names), names, columns, costs, cost_features)


def _label_set(table: Any, names: Sequence[str], columns: Sequence[Any], costs: Any, cost_features: bool) -> LabelSet:
    values = [_indicator(column, name) for name, column in zip(names, columns, strict=True)]
    first = dataset_of(table, values[0], names[0], 1, costs, cost_features)
    targets = [Target(y, ClassCounts.from_labels(y, classes=[0, 1]), 1) for y in values]
    return LabelSet(tuple(names), tuple(replace(first, target=t) for t in targets))


def _indicator(column: Any, name: str) -> Ints:
    """Return a column of 0 and 1, or of truth values, as integers."""
    raw = column.to_pylist()
    missing = [row for row, value in enumerate(raw, start=1) if value is None or value != value]
    if missing:
        raise InputError(
            f"a label in every row of '{name}'", f"{len(missing)} rows without one, the first is row {missing[0]}"
        )
    other = next((value for value in raw if not (isinstance(value, (bool, int, float)) and value in (0, 1))), None)
    if other is not None:
        raise InputError(
            f"only 0 and 1 in label '{name}', one of several",
            repr(other),
            "one target with more classes is compared by itself; of texts, make 0 and 1 first.",
        )
    y = np.array(raw, np.int64)
    if y.min() == y.max():
        raise InputError(f"rows with and without label '{name}'", f"only {y[0]}", "leave it out.")
    return y
