"""What a case is: a call of another library, the same of Steelyard's, the exact value, and where it comes from."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

# what, theirs (or the name of an error), ours (None where there is no such loss yet), exact
Rows = list[tuple[str, float | str, float | None, float]]


class Case(NamedTuple):
    item: str  # of the list of eight
    key: str
    package: str
    call: str  # what of theirs is called
    measure: Callable[[], Rows]
    note: str
    source: str


CASES: list[Case] = []


def case(item: str, package: str, call: str, note: str, source: str) -> Callable[[Any], Any]:
    def register(measure: Callable[[], Rows]) -> Callable[[], Rows]:
        CASES.append(Case(item, measure.__name__, package, call, measure, note, source))
        return measure

    return register


ITEMS = {
    "1": "A weighted mean has four meanings, and one of them is biased in small batches",
    "2": "A weighted mean over micro-batches or ranks is not the mean",
    "3": "A batch in which every row is ignored",
    "4": "Focal loss: gradients that are NaN, and worst mistakes that teach nothing",
    "5": "A small loss in single precision",
    "6": "Keras: class weights on dense and multi-label targets, and Tversky's α and β",
    "7": "Boosting: a second derivative that is negative, and a start that is left out",
    "8": "Broadcasting, overflow and a power of the wrong thing",
}


def nll(z: Any, y: Any) -> Any:
    """Return −log softmax(z)_y in float64, by the book."""
    z = np.asarray(z, np.float64)
    return (
        np.log(np.exp(z - z.max(-1, keepdims=True)).sum(-1))
        + z.max(-1)
        - np.take_along_axis(z, y[..., None], -1)[..., 0]
    )
