"""The order of the classes: as declared, else sorted where they sort, else as they came."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import Any

from steelyard.errors import InputError
from steelyard.weights.labels import MISSING, canonical

__all__ = ["declared", "ordered"]


def ordered(labels: Iterable[Any]) -> tuple[Any, ...]:
    """Return labels sorted where they sort, else as they came.

    Examples
    --------
    >>> ordered(["b", "a"]), ordered(["b", 1, "a"])
    (('a', 'b'), ('b', 1, 'a'))
    """
    labels = tuple(labels)
    if any(isinstance(label, frozenset) for label in labels):  # their < is "subset of", which is no order
        return labels
    try:
        return tuple(sorted(labels))
    except TypeError:
        return labels


def declared(classes: Iterable[Hashable] | None) -> tuple[Any, ...] | None:
    """Return the classes that a user names, as plain Python labels, checked.

    Raises
    ------
    InputError
        For a text instead of a list, a missing label, or a label twice.

    Examples
    --------
    >>> declared(["b", 1.0])
    ('b', 1)
    """
    if classes is None:
        return None
    if isinstance(classes, (str, bytes)):
        raise InputError("`classes` as a list of labels", repr(classes), f"did you mean [{classes!r}]?")
    order = tuple(canonical(label) for label in classes)
    if MISSING in order:
        raise InputError("`classes` without missing labels", "None or NaN among them")
    if len(set(order)) != len(order):
        twice = next(label for i, label in enumerate(order) if label in order[:i])
        raise InputError("`classes` without repetition", f"{twice!r} twice")
    return order
