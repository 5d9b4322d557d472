"""`Costs`: what mistakes cost, as a person states it: by class name, in numbers or in columns of the data."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from steelyard.decisions.costs import checked_costs
from steelyard.errors import InputError, did_you_mean
from steelyard.weights.ordering import declared

__all__ = ["Costs"]

Floats = NDArray[np.float64]
Cell = float | str

_NUMBER = re.compile(r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?")
# digits with separators, currency or per cent: a number that was meant, and no name of a column
_ALMOST = re.compile(r"[-+€$£¥ ]*[0-9][0-9.,'_ ]*[€$£¥% ]*|[-+]?(nan|inf|infinity)|~|null|n/?a", re.IGNORECASE)
_WHOLE = re.compile(r"(-?[0-9]+)\.0+")
_GAIN = "write a gain as what its loss costs: add the same number to the whole row, decisions stay the same."


@dataclass(frozen=True)
class Costs:
    """What it costs to label a row of one class as another; a cost may stand in a column of the data.

    Made by `steelyard.decisions.read_costs`, `Costs.from_matrix` or `Costs.from_mapping`.

    Attributes
    ----------
    classes : tuple
        Labels, in the order of the columns of the probabilities.
    cells : tuple of tuples of float or str
        ``cells[k][j]`` is the cost of labelling true class k as j: a number ≥ 0, or the name of a column.

    Raises
    ------
    InputError
        For costs that are negative or not finite, a diagonal dearer than a mistake, or labels that cost the same.

    Examples
    --------
    >>> costs = Costs.from_mapping({"ok": {"fraud": 1}, "fraud": {"ok": "amount"}}, ["fraud", "ok"])
    >>> print(costs)
    Missing fraud costs `amount`, a false alarm 1.
    Act on a row when its probability of fraud is above 1 / (1 + `amount`).
    >>> costs.for_rows({"amount": [20.0, 3.0]})[:, 0, 1]
    array([20.,  3.])
    """

    classes: tuple[Any, ...]
    cells: tuple[tuple[Cell, ...], ...]

    def __post_init__(self) -> None:
        """Check everything that does not need the data."""
        n = len(self.classes)
        if n < 2 or [len(row) for row in self.cells] != [n] * n:
            raise InputError(f"costs of at least two classes, {n} × {n}", f"{len(self.cells)} rows for {n} classes")
        for k, row in enumerate(self.cells):
            for j, cell in enumerate(row):
                if not isinstance(cell, str) and not (math.isfinite(cell) and cell >= 0):
                    where = f"for labelling {self.classes[k]!r} as {self.classes[j]!r}"
                    raise InputError("finite costs ≥ 0", f"{cell:g} {where}", _GAIN if cell < 0 else None)
        if not self.columns:
            checked_costs(self.matrix, n)

    @classmethod
    def from_matrix(cls, matrix: ArrayLike, classes: Any) -> Costs:
        """Take a matrix of numbers.

        Parameters
        ----------
        matrix : array-like of shape (C, C)
            ``matrix[k, j]`` ≥ 0 is the cost of labelling true class k as j.
        classes : sequence of labels, or ClassCounts

        Returns
        -------
        Costs

        Examples
        --------
        >>> Costs.from_matrix([[0, 1], [10, 0]], ["ok", "fraud"]).matrix
        array([[ 0.,  1.], [10.,  0.]])
        """
        labels = labels_of(classes)
        try:
            array = np.asarray(matrix)
        except ValueError as error:  # rows of different lengths
            raise InputError("costs as an array of numbers", str(error).split(".")[0]) from None
        if array.ndim == 3:
            raise InputError(
                f"one cost matrix of shape ({len(labels)}, {len(labels)})",
                f"shape {array.shape}",
                "costs per row go with the decision: sy.decisions.min_cost(proba, costs).",
            )
        array = checked_costs(array, len(labels))
        return cls(labels, tuple(tuple(row) for row in array.tolist()))

    @classmethod
    def from_mapping(cls, mapping: Mapping[Any, Any], classes: Any) -> Costs:
        """Take costs by name: truth → label → cost.

        Parameters
        ----------
        mapping : mapping of label to mapping of label to number or str
            A text is the name of a column. Correct labels may be left out: they cost 0. Mistakes may be left out
            when ``mapping["default"]`` is their cost.
        classes : sequence of labels, or ClassCounts
            In the order of the columns of the probabilities; names are matched as text.

        Returns
        -------
        Costs

        Raises
        ------
        InputError
            For a class that there is not (did you mean?), one that is named twice or left out, or a cost that is none.

        Examples
        --------
        >>> Costs.from_mapping({"C": {"B": 10}, "default": 1}, ["A", "B", "C"]).matrix
        array([[ 0.,  1.,  1.], [ 1.,  0.,  1.], [ 1., 10.,  0.]])
        """
        labels = labels_of(classes)
        names = Names(labels)
        rows: dict[int, Mapping[Any, Any]] = {}
        default: Cell | None = None
        for key, row in mapping.items():
            if isinstance(row, Mapping):
                k = names.index(key, "class")
                if k in rows:
                    raise InputError("each class once", f"{str(key)!r} twice")
                rows[k] = row
            elif str(key) == "default":
                default = cell(row, "the default")
            else:
                raise InputError("labels and their costs for each true class", f"{row!r} for {str(key)!r}")
        return cls(labels, tuple(_row(k, rows.get(k, {}), names, default) for k in range(len(labels))))

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns of the data that costs stand in, each once."""
        return tuple(dict.fromkeys(c for row in self.cells for c in row if isinstance(c, str)))

    @property
    def matrix(self) -> Floats:
        """The costs as float64 of shape (C, C), where all are numbers."""
        if self.columns:
            raise InputError(
                "costs that are all numbers",
                f"the column {self.columns[0]!r}",
                "each row has its own: costs.for_rows(table).",
            )
        return np.array(self.cells, np.float64)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        """Let NumPy take the matrix, so that costs go wherever a cost matrix goes."""
        return self.matrix if dtype is None else self.matrix.astype(dtype)

    def columns_of(self, table: Any) -> dict[str, Floats]:
        """Return the columns of a table that costs stand in, checked as `for_rows` does; float64 of shape (n,)."""
        return {name: _numbers(table, name) for name in self.columns}

    def for_rows(self, table: Any) -> Floats:
        """Return the cost matrix of each row.

        Parameters
        ----------
        table : pandas, polars or Arrow table, or mapping of columns
            With the columns that costs stand in.

        Returns
        -------
        float64 ndarray of shape (n, C, C)
            n · C² numbers: hand over a large table in parts. Without any column it is a view of one matrix.

        Raises
        ------
        InputError
            For a column that there is not (did you mean?), that is not numeric, or a value in it that is missing,
            infinite or negative, with its row, counted from 0.

        Examples
        --------
        >>> costs = Costs((0, 1), ((0.0, 5.0), ("amount", 0.0)))
        >>> costs.for_rows({"amount": [100.0]})
        array([[[ 0., 5.], [100., 0.]]])
        """
        values = self.columns_of(table)
        n = len(values[self.columns[0]]) if values else _length(table)
        if not values:
            return np.broadcast_to(self.matrix, (n, len(self.classes), len(self.classes)))
        out = np.empty((n, len(self.classes), len(self.classes)))
        for k, row in enumerate(self.cells):
            for j, c in enumerate(row):
                out[:, k, j] = values[c] if isinstance(c, str) else c
        checked_costs(out, len(self.classes))
        return out

    def ordered(self, classes: Any) -> Costs:
        """Return the same costs with the classes in another order.

        Examples
        --------
        >>> Costs((0, 1), ((0.0, 1.0), (9.0, 0.0))).ordered([1, 0]).matrix
        array([[0., 9.], [1., 0.]])
        """
        labels, names = labels_of(classes), Names(self.classes)
        at = [names.index(label, "class with costs") for label in labels]
        if len(at) != len(self.classes):
            missing = next(c for k, c in enumerate(self.classes) if k not in at)
            raise InputError(f"the classes of the costs, {listed(self.classes)}", f"none called {str(missing)!r}")
        return Costs(labels, tuple(tuple(self.cells[k][j] for j in at) for k in at))

    def describe(self, counts: Any = None, positive: Any = None) -> str:
        """Say in words what the costs mean for decisions.

        Parameters
        ----------
        counts : ClassCounts, optional
            Says which class is the commonest; otherwise others are compared with the first.
        positive : label, optional
            The positive class of two; default the one that is dearer to miss.

        Returns
        -------
        str
            A sentence or two to a line.

        Examples
        --------
        >>> print(Costs.from_matrix([[0, 1], [50, 0]], ["ok", "fraud"]).describe())
        One missed fraud costs as much as 50 false alarms; act on a row when its probability of fraud is above 2 %.
        Class weights say the same: ok 1, fraud 50.
        """
        from steelyard.decisions.cost_words import in_words

        return in_words(self, counts, positive)

    def __str__(self) -> str:
        return self.describe()


class Names:
    """Classes by their text, as files write them."""

    def __init__(self, classes: Sequence[Any]) -> None:
        self.classes = classes
        self._places = {str(label): k for k, label in enumerate(classes)}
        if len(self._places) < len(classes):
            raise InputError("classes whose names differ as text", repr(list(classes))[:80], "give a matrix instead.")
        self._places |= {str(label).lower(): k for k, label in enumerate(classes) if isinstance(label, bool)}

    def index(self, name: Any, what: str) -> int:
        """Return the position of the class with this name."""
        text = str(name).strip()
        whole = _WHOLE.fullmatch(text)  # a spreadsheet's 1.0 for class 1
        for candidate in (text, whole[1] if whole else text):
            if candidate in self._places:
                return self._places[candidate]
        texts = [str(label) for label in self.classes]
        raise InputError(f"a {what}, one of {listed(self.classes)}", repr(text), did_you_mean(text, texts))


class Quoted(str):
    """Text that stood in quotes: the name of a column, also where it looks like a number."""


def listed(labels: Sequence[Any]) -> str:
    """Return the first few labels with commas."""
    return ", ".join(str(label) for label in labels[:12]) + (", ..." if len(labels) > 12 else "")


def labels_of(classes: Any) -> tuple[Any, ...]:
    """Return the labels of a sequence or of ClassCounts, checked."""
    labels = declared(getattr(classes, "classes", classes))
    if labels is None or len(labels) < 2:
        raise InputError("`classes` with at least two labels", repr(classes))
    return labels


def cell(value: Any, where: str) -> Cell:
    """Return a cost: a number, also from its text, or the name of a column."""
    if isinstance(value, Quoted):
        return str(value)
    if isinstance(value, str):
        text = value.strip()
        if _NUMBER.fullmatch(text):
            return float(text)
        if not text or _ALMOST.fullmatch(text):
            hint = "write it as 1234.5: no unit, no separator but the decimal point."
            raise InputError(f"a number or the name of a column for {where}", repr(value), hint if text else None)
        return text
    if isinstance(value, bool) or not isinstance(value, (Real, np.integer, np.floating, Decimal, Fraction)):
        raise InputError(f"a number or the name of a column for {where}", repr(value))
    return float(value)


def _row(k: int, row: Mapping[Any, Any], names: Names, default: Cell | None) -> tuple[Cell, ...]:
    truth = names.classes[k]
    found: dict[int, Cell] = {}
    for key, value in row.items():
        j = names.index(key, f"label for true class {str(truth)!r}")
        if j in found:
            raise InputError(f"each label once for true class {str(truth)!r}", f"{str(key)!r} twice")
        found[j] = cell(value, f"labelling {str(truth)!r} as {str(names.classes[j])!r}")
    found.setdefault(k, 0.0)
    out = []
    for j, label in enumerate(names.classes):
        cost = found.get(j, default)
        if cost is None:
            raise InputError(
                f"a cost for labelling {str(truth)!r} as {str(label)!r}", "none", "`default` covers what is left out."
            )
        out.append(cost)
    return tuple(out)


def _columns_of(table: Any) -> list[str]:
    for attribute in ("column_names", "columns"):
        names = getattr(table, attribute, None)
        if names is not None and not callable(names):
            return [name if isinstance(name, str) else str(name) for name in names]
    if isinstance(table, Mapping):
        return [str(name) for name in table]
    raise InputError("a table with named columns", type(table).__name__, "a pandas, polars or Arrow table, or a dict.")


def _length(table: Any) -> int:
    if isinstance(table, Mapping):
        return len(next(iter(table.values()), ()))
    return len(table)


def _numbers(table: Any, name: str) -> Floats:
    """Return a column as costs, or say which row holds none."""
    names = _columns_of(table)
    if names.count(name) != 1:
        got = repr(name) if name in names else f"{name!r}, which is none"
        if name in names:
            got += f" {names.count(name)} times"
        hint = did_you_mean(name, names) or f"the data have {listed(names)}."
        raise InputError("a number, or a column of the data, as a cost", got, hint)
    column = np.asarray(table[name])
    if column.dtype.kind == "O":
        column = np.array([_number(value, name, i) for i, value in enumerate(column.tolist())], np.float64)
    if column.dtype.kind not in "iuf" or column.ndim != 1:
        raise InputError(f"numbers in the cost column {name!r}", f"values of type {column.dtype}")
    column = column.astype(np.float64)
    bad = ~(np.isfinite(column) & (column >= 0))
    if bad.any():
        i = int(np.flatnonzero(bad)[0])
        missing = np.isnan(column[i])
        raise InputError(
            f"finite costs ≥ 0 in the column {name!r}",
            f"{'a missing value' if missing else f'{column[i]:g}'} in row {i}",
            _GAIN if column[i] < 0 else "fill it in, or leave the row out." if missing else None,
        )
    return column


def _number(value: Any, name: str, row: int) -> float:
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return math.nan
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (Real, np.number, Decimal)):
        raise InputError(f"numbers in the cost column {name!r}", f"{value!r} in row {row}")
    return float(value)
