"""Which of two classes is the positive one."""

from __future__ import annotations

from typing import Any

from steelyard.errors import InputError, did_you_mean
from steelyard.weights.counts import ClassCounts

__all__ = ["positive_class"]


def positive_class(counts: ClassCounts, positive: Any, name: str) -> int | None:
    """Return the index of the positive class of two: the given one, else the rarer one, the last where they are equal.

    Parameters
    ----------
    counts : ClassCounts
    positive : label, its text, or None
    name : str
        What holds the labels, for messages.

    Returns
    -------
    int or None
        None for more than two classes, which have no positive one.

    Raises
    ------
    InputError
        If there is no such class, or there are more than two.

    Examples
    --------
    >>> positive_class(ClassCounts.from_counts({"no": 9, "yes": 1}), None, "y")
    1
    """
    labels = [str(c) for c in counts.classes]
    if positive is None:
        if counts.n_classes != 2:
            return None
        return 0 if counts.counts[0] < counts.counts[1] else 1
    if str(positive) not in labels:
        raise InputError(
            f"a class of `{name}` as `positive`, one of {', '.join(labels[:12])}",
            repr(str(positive)),
            did_you_mean(str(positive), labels),
        )
    if counts.n_classes != 2:
        raise InputError(
            "`positive` with two classes only",
            f"{counts.n_classes} classes",
            "with more classes name one in the metric: precision_<class>@recall>=0.9.",
        )
    return labels.index(str(positive))
