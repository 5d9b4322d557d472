"""What a limit promises about rows that nobody has seen."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from steelyard.decisions.binomial import misses_among_new
from steelyard.decisions.constraints import Limits

__all__ = ["Promise", "promised"]

_WHO = {"recall": "rows of '{label}'", "false_alarms": "rows of other classes", "alarm_rate": "rows"}
_BROKEN = {"recall": "missed", "false_alarms": "labelled '{label}'", "alarm_rate": "labelled '{label}'"}


@dataclass(frozen=True)
class Promise:
    """A limit, and how sure it is to be kept.

    Attributes
    ----------
    constraint : str
        As it is written: "recall_sick>=0.95".
    quantity : {"recall", "precision", "false_alarms", "alarm_rate", "alarms"}
    label : str
        The class.
    confidence : float or None
        In this share of all tables drawn as this one was, the limit holds for the population; None: on average only.
    rows : int
        Rows that it can be broken on: for recall those of the class.
    most : int
        Of these, how many may be wrong on the rows that the rule was fitted on. −1 for a precision.
    broken : int
        How many are.
    n_classes : int
    """

    constraint: str
    quantity: str
    label: str
    confidence: float | None
    rows: int
    most: int
    broken: int
    n_classes: int

    def next_sample(self, rows: int | None = None, confidence: float = 0.9) -> tuple[float, float]:
        """Return between which values the quantity will lie in a new sample.

        Parameters
        ----------
        rows : int, optional
            Rows of the new sample that it can be broken on; default as many as here.
        confidence : float
            Of this interval. Default 0.9.

        Returns
        -------
        (float, float)
            Beta-binomial, exact for a threshold on scores without ties (`binomial.misses_among_new`); nan for a
            precision and where every row is wrong.

        Examples
        --------
        >>> promise = Promise("recall_sick>=0.95", "recall", "sick", 0.9, 100, 1, 1, 2)
        >>> promise.next_sample(), promise.next_sample(rows=20)
        ((0.94, 1.0), (0.9, 1.0))
        """
        if self.quantity not in _WHO or self.broken >= self.rows:
            return float("nan"), float("nan")
        new = self.rows if rows is None else rows
        low, high = misses_among_new(self.rows, self.broken, new, confidence)
        return (1.0 - high / new, 1.0 - low / new) if self.quantity == "recall" else (low / new, high / new)

    def __str__(self) -> str:
        if self.quantity == "alarms":
            return f"{self.constraint}: kept in every batch; of rows with equal scores at the border none is taken."
        if self.confidence is None:
            sure = "kept on these rows, so on new rows only about half of the time (on average)"
        else:
            sure = f"holds for new rows with confidence {self.confidence:.3g}"
            if self.n_classes > 2:
                sure += ", or a little less (several weights were fitted to the same rows)"
        if self.quantity == "precision":
            return f"{self.constraint}: {sure}."
        who, wrong = (text[self.quantity].format(label=self.label) for text in (_WHO, _BROKEN))
        here = f"Of {self.rows:,} {who} {self.most:,} may be {wrong}, {self.broken:,} are"
        low, high = self.next_sample()
        if low != low:
            return f"{self.constraint}: {sure}. {here}."
        new = f"another {self.rows:,} such rows would show {low:.3g} to {high:.3g} (9 times of 10)"
        return f"{self.constraint}: {sure}. {here}; {new}."


def promised(kept: Limits, confusion: NDArray[np.float64], classes: Sequence[Hashable]) -> tuple[Promise, ...]:
    """Return what the limits promise of a rule with this confusion matrix on the rows that it was fitted on."""
    out = []
    for one, most, confidence in zip(kept.constraints, kept.most, kept.confidence, strict=True):
        k = one.label
        own, flagged, hits, total = confusion[k].sum(), confusion[:, k].sum(), confusion[k, k], confusion.sum()
        rows, broken = {
            "recall": (own, own - hits),
            "false_alarms": (total - own, flagged - hits),
            "alarm_rate": (total, flagged),
            "precision": (flagged, flagged - hits),
            "alarms": (total, flagged),
        }[one.quantity]
        out.append(
            Promise(
                one.named(classes),
                one.quantity,
                str(classes[k]),
                confidence,
                round(float(rows)),
                most,
                round(float(broken)),
                len(classes),
            )
        )
    return tuple(out)
