"""Costs that differ from row to row: what labels cost, and which is the cheapest."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from steelyard.decisions.costs import cheapest
from steelyard.decisions.stated_costs import Costs
from steelyard.decisions.validation import checked_probabilities
from steelyard.errors import InputError
from steelyard.metrics.calibration import Recalibration, recalibrate
from steelyard.metrics.catalogue import Metric

__all__ = ["RowCosts", "RowMinCost"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_PART = 1 << 18  # numbers of a part: cost matrices of all rows at once would be n · C²


@dataclass(frozen=True)
class RowCosts:
    """Costs with the columns that they stand in.

    Attributes
    ----------
    costs : Costs
        Some of whose cells name columns.
    values : mapping of str to float64 ndarray of shape (n,)
        These columns.

    Examples
    --------
    >>> costs = Costs.from_mapping({"ok": {"fraud": 5}, "fraud": {"ok": "amount"}}, ["ok", "fraud"])
    >>> rows = RowCosts.of(costs, {"amount": [100.0, 2.0]})
    >>> rows.of_labels(np.array([1, 1]), np.array([0, 0]))
    array([100.,   2.])
    >>> rows.cheapest(np.array([[0.9, 0.1], [0.9, 0.1]]))
    array([1, 0])
    """

    costs: Costs
    values: Mapping[str, Floats]

    @classmethod
    def of(cls, costs: Costs, table: Any) -> RowCosts:
        """Take the columns out of a table.

        Raises
        ------
        InputError
            See `Costs.for_rows`.
        """
        found = cls(costs, costs.columns_of(table))
        for part in found._parts():
            found.matrices(part)  # refuses rows whose truth is dearer than a mistake
        return found

    def __len__(self) -> int:
        return len(next(iter(self.values.values())))

    def _parts(self) -> Iterator[slice]:
        step = max(1, _PART // len(self.costs.classes) ** 2)
        return (slice(start, start + step) for start in range(0, len(self), step))

    def take(self, rows: Any) -> RowCosts:
        """Return the costs of some rows, by position."""
        return RowCosts(self.costs, {name: column[rows] for name, column in self.values.items()})

    def matrices(self, rows: slice) -> Floats:
        """Return the cost matrices of a part of the rows, (m, C, C)."""
        n = len(self.costs.classes)
        out = np.empty((len(range(*rows.indices(len(self)))), n, n))
        for k, line in enumerate(self.costs.cells):
            for j, cell in enumerate(line):
                out[:, k, j] = self.values[cell][rows] if isinstance(cell, str) else cell
        dear = np.argwhere(np.diagonal(out, axis1=1, axis2=2) > out.min(-1))
        if dear.size:
            row, k = dear[0]
            raise InputError(
                "costs whose diagonal is the least of its row",
                f"{out[row, k].tolist()} for class {self.costs.classes[k]!r} in row {row + (rows.start or 0)}",
                "rows are the truth, columns the label.",
            )
        return out

    def of_labels(self, truth: Ints, labels: Ints) -> Floats:
        """Return what each row's label costs, given its true class; both as indices of shape (n,)."""
        numbers = np.array([[0.0 if isinstance(c, str) else c for c in line] for line in self.costs.cells])
        out: Floats = numbers[truth, labels]
        for k, line in enumerate(self.costs.cells):
            for j, cell in enumerate(line):
                if isinstance(cell, str):
                    here = (truth == k) & (labels == j)
                    out[here] = self.values[cell][here]
        return out

    def cheapest(self, proba: Floats) -> Ints:
        """Return the label of least expected cost of each row, as `min_cost` does."""
        out = np.empty(len(self), np.int64)
        for part in self._parts():
            out[part] = cheapest(proba[part], self.matrices(part))
        return out

    def typical(self, truth: Ints) -> Floats:
        """Return one matrix, (C, C): the mean costs of the rows of each true class."""
        labels = range(len(self.costs.classes))
        out = np.empty((len(labels), len(labels)))
        for k in labels:
            own = self.take(truth == k)
            for j in labels:
                cell = self.costs.cells[k][j]
                out[k, j] = float(np.mean(own.values[cell])) if isinstance(cell, str) else cell
        return out

    def metric(self) -> Metric:
        """Return expected_cost of these rows, in this order: no confusion matrix tells it."""
        low = min(min(float(column.min()) for column in self.values.values()), *self._stated())
        high = max(max(float(column.max()) for column in self.values.values()), *self._stated())

        def prepare(y: Ints, _: Floats, predicted: Ints) -> Callable[[Floats | None], float]:
            spent = self.of_labels(y, predicted)
            return lambda w: float(np.average(spent, weights=w)) if w is None or w.sum() > 0 else float("nan")

        return Metric(
            "expected_cost",
            "label",
            "Mean cost of a row, each row with its own costs.",
            (low, high),
            prepare,
            greater_is_better=False,
            at_rows_=lambda rows: self.take(rows).metric(),
        )

    def _stated(self) -> list[float]:
        return [cell for line in self.costs.cells for cell in line if not isinstance(cell, str)]


@dataclass(frozen=True)
class RowMinCost:
    r"""The label of least expected cost under each row's own costs, on recalibrated probabilities.

    .. math:: \hat y_i = \arg\min_j \sum_k q_{ik} M_i[k, j], \qquad q_{ik} \propto e^{a_k} p_{ik}^b

    Costs decide by the value of a probability, not by its order: slope and offsets are what held-out rows say it
    should have been (`steelyard.metrics.calibration.recalibrate`).

    Attributes
    ----------
    slope : float
    offsets : tuple of float

    References
    ----------
    Zadrozny and Elkan, "Learning and making decisions when costs and probabilities are both unknown", KDD 2001,
    doi:10.1145/502512.502540.

    Examples
    --------
    >>> costs = Costs.from_mapping({"ok": {"fraud": 5}, "fraud": {"ok": "amount"}}, ["ok", "fraud"])
    >>> RowMinCost(1.0, (0.0, 0.0)).on(RowCosts.of(costs, {"amount": [100.0, 2.0]}))([[0.9, 0.1], [0.9, 0.1]])
    array([1, 0])
    """

    slope: float
    offsets: tuple[float, ...]

    @classmethod
    def fit(cls, proba: Floats, y: Ints) -> RowMinCost:
        """Recalibrate on held-out rows; as they are, where these have no finite line (separated classes)."""
        found = recalibrate(proba, y)
        return cls(found.slope, found.offsets) if found.defined else cls(1.0, (0.0,) * proba.shape[1])

    def on(self, costs: RowCosts) -> Callable[[ArrayLike], Ints]:
        """Return the rule for rows with these costs: class indices from probabilities."""
        recalibration = Recalibration(self.slope, self.offsets)

        def decide(proba: ArrayLike) -> Ints:
            return costs.cheapest(recalibration(checked_probabilities(proba)))

        return decide

    def to_dict(self) -> dict[str, Any]:
        """Return the rule as JSON data; the costs are not in it."""
        return {"rule": "row_min_cost", "slope": self.slope, "offsets": list(self.offsets)}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> RowMinCost:
        """Return the rule that `to_dict` described."""
        return cls(float(content["slope"]), tuple(float(a) for a in content["offsets"]))
