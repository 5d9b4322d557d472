"""What a library of boosted trees has to do: bin rows once, lend the bins to many fits, grow, score, store."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from steelyard.boosting import Objective

__all__ = ["Growth", "Library"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Growth:
    """One fit on binned rows.

    Attributes
    ----------
    y : int64 ndarray of shape (n,)
    weight : float64 ndarray of shape (n,) or None
    start : float64 ndarray of shape (n,) or (n, C), or None
        Raw scores that rows start from; None: where the library starts by itself.
    objective : Objective or None
        None: the library's own.
    n_classes, seed : int
    """

    y: NDArray[np.int64]
    weight: Floats | None
    start: Floats | None
    objective: Objective | None
    n_classes: int
    seed: int


class Library(Protocol):
    """A library of boosted trees."""

    name: str
    starts_itself: bool  # from the class shares, under its own objective

    def objective(self, *arguments: Any) -> Objective:
        """Return our objective for this library; see `steelyard.boosting`."""
        ...

    def own_objective(self, n_classes: int) -> str:
        """Return the name of the library's own objective."""
        ...

    def bins(self, X: NDArray[Any], y: NDArray[Any], options: Any) -> Any:
        """Return rows in bins. They depend on the rows alone, not on weights."""
        ...

    def lent(self, bins: Any, kept: NDArray[np.intp] | None) -> AbstractContextManager[Any]:
        """Lend bins to one fit: all rows, or some of them; several fits may borrow at the same time."""
        ...

    def grow(self, data: Any, growth: Growth, options: Any) -> str:
        """Return trained trees, grown by one thread, in the library's own text form."""
        ...

    def raw(self, booster: Any, X: NDArray[Any]) -> Floats:
        """Return raw scores, (n,) or (n, C), without what the rows started from."""
        ...

    def from_text(self, text: str, n_classes: int, /) -> Any:
        """Return the booster of a text."""
        ...
