"""A confusion matrix that is followed while a model trains."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steelyard.errors import InputError, integer
from steelyard.metrics.confusion import confusion_matrix, recalls

__all__ = ["RunningConfusion"]

Floats = NDArray[np.float64]


class RunningConfusion:
    """The confusion matrix of what was seen so far, older rows counting less where `decay` is below 1.

        matrix ← decay · matrix + new

    Parameters
    ----------
    n_classes : int ≥ 2
        Number of classes.
    decay : float in [0, 1], default 0
        What an update leaves of the older rows: 0 forgets them (one matrix per epoch), 1 sums everything, 0.99 is
        for updates by batch.

    Examples
    --------
    >>> seen = RunningConfusion(2, decay=1.0)
    >>> seen.update([[8, 2], [1, 3]])
    >>> seen.update_labels([0, 1], [0, 0])
    >>> seen.matrix
    array([[9., 2.], [2., 3.]])
    """

    def __init__(self, n_classes: int, decay: float = 0.0) -> None:
        if not 0.0 <= decay <= 1.0:
            raise InputError("`decay` in [0, 1]", repr(decay))
        self.n_classes, self.decay = integer("n_classes", n_classes, 2), float(decay)
        self.matrix: Floats = np.zeros((self.n_classes, self.n_classes))

    def update(self, confusion: Any) -> None:
        """Take in a confusion matrix: counts or sums of weights, the true class in rows.

        Matrices of several ranks or batches are added up before, or merged after with ``+``.

        Raises
        ------
        InputError
            Another shape, or entries that are no counts.
        """
        self.matrix = self.decay * self.matrix + _checked(confusion, self.n_classes)

    def update_labels(self, targets: Any, predicted: Any, sample_weight: Any = None) -> None:
        """Take in the labels of a batch: true and predicted class indices, any shape; others do not count."""
        y, labels = np.asarray(targets).reshape(-1), np.asarray(predicted).reshape(-1)
        if y.shape != labels.shape or y.dtype.kind not in "iu" or labels.dtype.kind not in "iu":
            raise InputError(
                "integer `targets` and `predicted` of one shape",
                f"{y.dtype} {np.shape(targets)} and {labels.dtype} {np.shape(predicted)}",
            )
        keep = (y >= 0) & (y < self.n_classes)  # rows that are ignored bear an index that is no class
        s = None if sample_weight is None else np.broadcast_to(np.asarray(sample_weight, float).reshape(-1), y.shape)
        self.update(confusion_matrix(y[keep], labels[keep], self.n_classes, None if s is None else s[keep]))

    @property
    def recalls(self) -> Floats:
        """Recall of each class; NaN for a class of which no row was seen."""
        return recalls(self.matrix)

    def __add__(self, other: object) -> RunningConfusion:
        """Return what both saw together: of several ranks, updated equally often."""
        if not isinstance(other, RunningConfusion):
            return NotImplemented
        if (self.n_classes, self.decay) != (other.n_classes, other.decay):
            raise InputError(
                f"n_classes={self.n_classes} and decay={self.decay:g} on both sides",
                f"{other.n_classes} and {other.decay:g}",
            )
        merged = RunningConfusion(self.n_classes, self.decay)
        merged.matrix = self.matrix + other.matrix
        return merged

    def to_dict(self) -> dict[str, Any]:
        """Return the state as JSON data."""
        return {"n_classes": self.n_classes, "decay": self.decay, "matrix": self.matrix.tolist()}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> RunningConfusion:
        """Return what `to_dict` described."""
        made = cls(data["n_classes"], data["decay"])
        made.matrix = _checked(data["matrix"], made.n_classes)
        return made

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RunningConfusion) and self.to_dict() == other.to_dict()

    __hash__ = None  # type: ignore[assignment]  # it changes

    def __repr__(self) -> str:
        return f"RunningConfusion(n_classes={self.n_classes}, decay={self.decay:g}, rows={self.matrix.sum():g})"


def _checked(confusion: Any, n_classes: int) -> Floats:
    matrix = np.array(confusion)
    if matrix.shape != (n_classes, n_classes) or matrix.dtype.kind not in "biuf":
        raise InputError(
            f"a confusion matrix of shape ({n_classes}, {n_classes}), the true class in rows",
            f"{matrix.dtype} of shape {matrix.shape}",
        )
    matrix = matrix.astype(np.float64)
    if not (np.isfinite(matrix).all() and (matrix >= 0).all()):
        raise InputError("a confusion matrix of counts ≥ 0", f"entries from {matrix.min():g} to {matrix.max():g}")
    return matrix
