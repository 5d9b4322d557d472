"""What a rule must keep: floors of recall and precision, ceilings of false alarms and alarms."""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steelyard.decisions.binomial import largest_confidence, most_misses, rows_needed
from steelyard.errors import InputError, did_you_mean
from steelyard.metrics.catalogue import Metric

__all__ = ["BROKEN", "Constraint", "Limits", "keep", "limits", "parse"]

Floats = NDArray[np.float64]

_QUANTITIES = ("recall", "precision", "false_alarms", "alarm_rate", "alarms")
_TEXT = re.compile(r"\s*(recall|precision|false_alarms|alarm_rate|alarms)(?:_(.+?))?\s*(>=|<=)\s*([0-9.eE+-]+)\s*")
# more than any metric is worth: no gain pays for breaking a limit
BROKEN = 1e12


@dataclass(frozen=True)
class Constraint:
    """A limit on one quantity of one class.

    Attributes
    ----------
    quantity : {"recall", "precision", "false_alarms", "alarm_rate", "alarms"}
        recall, precision: a floor; false_alarms (the share of the rows of other classes that are labelled so),
        alarm_rate (the share of all rows), alarms (rows of one batch): a ceiling.
    label : int
        Index of the class.
    level : float
    """

    quantity: str
    label: int
    level: float

    @property
    def is_floor(self) -> bool:
        """Whether more is safer."""
        return self.quantity in ("recall", "precision")

    def named(self, classes: Sequence[Hashable]) -> str:
        """Return the constraint as it is written.

        Examples
        --------
        >>> Constraint("recall", 1, 0.95).named(["well", "sick"])
        'recall_sick>=0.95'
        """
        return f"{self.quantity}_{classes[self.label]}{'>=' if self.is_floor else '<='}{self.level:g}"

    def exposed(self, confusion: Floats) -> Floats:
        """Return the rows that a recall, a share of false alarms or of alarms is taken of."""
        own, total = confusion[..., self.label, :].sum(-1), confusion.sum((-1, -2))
        return np.asarray({"recall": own, "false_alarms": total - own}.get(self.quantity, total))

    def attained(self, confusion: Floats) -> Floats:
        """Return the quantity of confusion matrices (..., C, C); NaN where it is undefined."""
        k = self.label
        hits = confusion[..., k, k]
        flagged, rows = confusion[..., :, k].sum(-1), confusion[..., k, :].sum(-1)
        total = confusion.sum((-1, -2))
        part, whole = {
            "recall": (hits, rows),
            "precision": (hits, flagged),
            "false_alarms": (flagged - hits, total - rows),
            "alarm_rate": (flagged, total),
            "alarms": (flagged, np.ones_like(flagged)),
        }[self.quantity]
        return np.asarray(np.divide(part, whole, out=np.full(np.shape(part), np.nan), where=whole > 0))


def parse(texts: Iterable[str | Constraint], classes: Sequence[Hashable], positive: int | None) -> list[Constraint]:
    """Read constraints such as "recall_sick>=0.95", "false_alarms<=0.02", "alarms<=100".

    Without a class they are about the positive one of two.

    Raises
    ------
    InputError
        For what is no constraint, an unknown class, a missing class among several, a level out of range, or a
        quantity twice.

    Examples
    --------
    >>> parse(["recall_sick>=0.95"], ["well", "sick"], 1)
    [Constraint(quantity='recall', label=1, level=0.95)]
    """
    if isinstance(texts, str):
        texts = [texts]
    found = [t if isinstance(t, Constraint) else _parsed(t, classes, positive) for t in texts]
    for i, one in enumerate(found):
        if any((one.quantity, one.label) == (other.quantity, other.label) for other in found[:i]):
            raise InputError("each quantity once among `constraints`", f"'{one.named(classes)}' a second time")
    return found


def _parsed(text: str, classes: Sequence[Hashable], positive: int | None) -> Constraint:
    match = _TEXT.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        start = re.split(r"[_<>=]", str(text))[0]
        raise InputError(
            f"a constraint: one of {', '.join(_QUANTITIES)}, then _CLASS, >= or <=, and a number",
            repr(text),
            did_you_mean(start, _QUANTITIES) or "for example 'recall_sick>=0.95' or 'alarms<=100'.",
        )
    quantity, name, sign, number = match.groups()
    labels = [str(c) for c in classes]
    if name is None and positive is None:
        raise InputError(f"a class in '{text}', as there are {len(labels)}", "none", f"{quantity}_{labels[-1]}{sign}…")
    if name is not None and name not in labels:
        raise InputError(
            f"a class in '{text}', one of {', '.join(labels[:12])}", repr(name), did_you_mean(name, labels)
        )
    label = labels.index(name) if name is not None else int(positive or 0)
    one = Constraint(quantity, label, _level(number, quantity, text))
    if (sign == ">=") != one.is_floor:
        raise InputError(f"'{'>=' if one.is_floor else '<='}' in '{text}'", f"'{sign}'")
    return one


def _level(number: str, quantity: str, text: str) -> float:
    try:
        level = float(number)
    except ValueError:
        level = float("nan")
    if quantity == "alarms":
        if not (level >= 1 and level == int(level)):
            raise InputError(f"a whole number of rows in '{text}'", number, "for a share write alarm_rate<=0.01.")
    elif not 0.0 < level <= 1.0 or (quantity not in ("recall", "precision") and level == 1.0):
        raise InputError(f"a share between 0 and 1 in '{text}'", number, "write 0.95, not 95.")
    return level


@dataclass(frozen=True)
class Limits:
    """Constraints as whole numbers of rows that a rule may get wrong on the rows that it is fitted on.

    Attributes
    ----------
    constraints : tuple of Constraint
    most : tuple of int
        Rows of the class that may be missed (recall), of others that may be flagged (false_alarms), or that may be
        flagged at all (alarm_rate). Unused for precision.
    confidence : tuple of float or None
        With which each holds on new rows; None: on average.
    classes : sequence
        For messages.
    """

    constraints: tuple[Constraint, ...]
    most: tuple[int, ...]
    confidence: tuple[float | None, ...]
    classes: Sequence[Hashable]

    def without(self, i: int) -> Limits:
        """Return the other limits."""
        return Limits(
            self.constraints[:i] + self.constraints[i + 1 :],
            self.most[:i] + self.most[i + 1 :],
            self.confidence[:i] + self.confidence[i + 1 :],
            self.classes,
        )

    def excess(self, confusion: Floats) -> Floats:
        """Return by how much the limits are broken: 0 where all are kept, else a sum of shares."""
        total = np.zeros(confusion.shape[:-2])
        for one, most in zip(self.constraints, self.most, strict=True):
            k = one.label
            hits, flagged = confusion[..., k, k], confusion[..., :, k].sum(-1)
            rows = confusion[..., k, :].sum(-1)
            everything = confusion.sum((-1, -2))
            if one.quantity == "recall":
                total += np.maximum(rows - hits - most, 0.0) / np.maximum(rows, 1.0)
            elif one.quantity == "false_alarms":
                total += np.maximum(flagged - hits - most, 0.0) / np.maximum(everything - rows, 1.0)
            elif one.quantity == "alarm_rate":
                total += np.maximum(flagged - most, 0.0) / np.maximum(everything, 1.0)
            else:
                # a rule that flags nothing keeps no floor of precision
                precision = np.divide(hits, flagged, out=np.zeros(np.shape(hits)), where=flagged > 0)
                total += np.maximum(one.level - precision - 1e-12, 0.0)
        return total


def limits(
    constraints: Sequence[Constraint],
    counts: NDArray[np.int64],
    confidence: float | None,
    classes: Sequence[Hashable],
    strict: bool = True,
) -> Limits:
    """Turn constraints into whole numbers of rows.

    Several constraints share the confidence: each is kept with 1 − (1 − confidence) / their number (Bonferroni).
    A floor of precision is not monotone: it is proven where the cut is chosen (`precision_floor`), for two classes; for
    more it is kept on average. A number of alarms needs no rows to be kept.

    Parameters
    ----------
    constraints : sequence of Constraint
    counts : int ndarray of shape (C,)
        Rows of each class.
    confidence : float or None
    classes : sequence
        For messages.
    strict : bool
        Whether too few rows are an error. Otherwise such a constraint is kept on average, and its confidence is None.

    Raises
    ------
    InputError
        If the rows are too few to promise a floor with this confidence, naming how many are needed.
    """
    each = None if confidence is None else 1.0 - (1.0 - confidence) / max(len(constraints), 1)
    most, kept = [], []
    for one in constraints:
        if one.quantity == "precision":
            most.append(-1)
            # the proof needs a grid of cuts, which weights of several classes do not have
            kept.append(each if len(counts) == 2 else None)
            continue
        if one.quantity == "alarms":
            most.append(int(one.level))
            kept.append(1.0)
            continue
        n, share = _exposed(one, counts)
        allowed = most_misses(n, share, each)
        if allowed < 0 and strict and each is not None:
            raise _too_few(one, n, share, each, classes, len(constraints))
        kept.append(each if allowed >= 0 else None)
        most.append(allowed if allowed >= 0 else most_misses(n, share, None))
    return Limits(tuple(constraints), tuple(most), tuple(kept), classes)


def _exposed(one: Constraint, counts: NDArray[np.int64]) -> tuple[int, float]:
    """Return the rows that a constraint can be broken on, and the share of them that may be."""
    total, own = int(counts.sum()), int(counts[one.label])
    if one.quantity == "recall":
        return own, 1.0 - one.level
    return (total - own if one.quantity == "false_alarms" else total), one.level


def _too_few(
    one: Constraint, n: int, share: float, confidence: float, classes: Sequence[Hashable], sharing: int
) -> InputError:
    what = f"'{classes[one.label]}'" if one.quantity == "recall" else "the other classes"
    if share <= 0.0:
        return InputError(f"a level below 1 in '{one.named(classes)}'", "1", "no number of rows proves a recall of 1.")
    # several constraints share what may go wrong
    possible = np.floor(100 * (1.0 - sharing * (1.0 - largest_confidence(n, share)))) / 100
    lower = f"confidence={possible:.2f} is possible with these rows; " if possible > 0 else ""
    return InputError(
        f"at least {rows_needed(share, confidence)} rows of {what} to promise {one.named(classes)} "
        f"with confidence {confidence:.3g}",
        str(n),
        f"{lower}confidence=None keeps it on average only.",
    )


def keep(metric: Metric, kept: Limits) -> Metric:
    """Return a metric that no gain leads beyond the limits: within them it is `metric`, turned so that more is better.

    Beyond them it is far below every value within, and falls with the excess, so that a search finds its way back.
    """
    if not kept.constraints:
        return metric
    inside: Any = metric.of_confusion
    sign = 1.0 if metric.greater_is_better else -1.0

    def value(confusion: Floats) -> Floats:
        excess = kept.excess(confusion)
        return np.where(excess > 1e-12, -BROKEN * (1.0 + excess), sign * inside(confusion))

    return replace(metric, of_confusion=value, greater_is_better=True, name=f"{metric.name} within limits")
