"""Labels → classes and their counts: what is ignored, masked, missing or unknown is decided here."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, NamedTuple
from warnings import warn

import numpy as np
from numpy.typing import NDArray

from steelyard.errors import InputError
from steelyard.weights.labels import (
    MISSING,
    Labels,
    canonical,
    ignored_labels,
    read_labels,
    unknown_label,
)
from steelyard.weights.ordering import ordered
from steelyard.weights.per_entry import entry_mask, entry_weights
from steelyard.weights.tally import tally
from steelyard.weights.warnings import OneHotWarning

__all__ = ["Counted", "count_labels"]


class Counted(NamedTuple):
    """Classes in order, their counts, and for masks the pixels of the images that contain each."""

    classes: tuple[Any, ...]
    counts: NDArray[Any]
    containing: NDArray[Any] | None
    entries: int


def count_labels(
    y: Any,
    classes: tuple[Any, ...] | None = None,
    ignore: Any = None,
    sample_weight: Any = None,
    mask: Any = None,
) -> Counted:
    """Count labels, of which there may be none; see `ClassCounts.from_labels`.

    Examples
    --------
    >>> count_labels(["b", "a", "b"])
    Counted(classes=('a', 'b'), counts=array([1, 2]), containing=None, entries=3)
    """
    labels = read_labels(y)
    ignored, missing_ignored = ignored_labels(ignore)
    both = [label for label in classes or () if label in ignored]
    if both:
        raise InputError("no label both in `classes` and in `ignore`", repr(both[0]), "leave it out of one.")
    shape = labels.codes.shape
    counted = tally(
        labels.codes,
        entry_weights(sample_weight, shape),
        entry_mask(mask, shape),
        _codes_of(labels, ignored),
    )
    missing: float = counted.missing
    totals: dict[Any, Any] = {}
    containing: dict[Any, Any] = {}
    in_images = [0] * counted.keys.size if counted.containing is None else counted.containing.tolist()
    for code, total, pixels in zip(counted.keys.tolist(), counted.totals.tolist(), in_images, strict=True):
        label = _label_of(labels, code)
        if label is MISSING:
            missing += total
        elif label not in ignored:
            totals[label] = totals.get(label, 0) + total
            containing[label] = containing.get(label, 0) + pixels
    if missing and not missing_ignored:
        raise InputError(
            "labels without missing values",
            f"{missing:g} missing (None, NaN or null) of {labels.codes.size}",
            "leave them out with ignore=[None].",
        )
    if classes is None:
        classes = ordered(totals)
    else:
        known = set(classes)
        for label, total in totals.items():
            if label not in known:
                raise unknown_label(label, classes, f"{total:g} times")
    # np.array([]) would be float64
    dtype = counted.totals.dtype
    counts = np.array([totals.get(label, 0) for label in classes], dtype=dtype)
    in_order = None
    if counted.containing is not None:
        in_order = np.array([containing.get(label, 0) for label in classes], dtype=dtype)
    result = Counted(classes, counts, in_order, labels.codes.size)
    if len(shape) == 2:
        _warn_if_one_hot(result, shape)
    return result


def _warn_if_one_hot(counted: Counted, shape: tuple[int, ...]) -> None:
    if counted.classes != (0, 1) or counted.containing is None or shape[0] < 2:
        return
    # as many ones as rows and a one in every row: each row has exactly one
    if counted.counts[1] == shape[0] and counted.containing[1] == shape[0] * shape[1]:
        warn(
            f"labels of shape {shape} with a single 1 in each row look one-hot, and are counted as "
            f"{shape[0]} sequences of labels 0 and 1. Hint: use ClassCounts.from_indicators(y), or "
            "from_labels(y.argmax(axis=1)).",
            OneHotWarning,
            stacklevel=4,
        )


def _label_of(labels: Labels, code: int) -> Any:
    if labels.values is None:
        return code
    return MISSING if code < 0 else canonical(labels.values[code])


def _codes_of(labels: Labels, ignored: set[Hashable]) -> NDArray[np.int64]:
    """Codes that do not belong to an image's size: ignored labels and missing ones."""
    if labels.values is None:
        codes = [label for label in ignored if isinstance(label, int) and abs(label) < 1 << 63]
    else:
        values = labels.values
        codes = [-1] if not ignored else [-1, *(i for i, v in enumerate(values) if _is_ignored(v, ignored))]
    return np.array(codes, dtype=np.int64)


def _is_ignored(value: Any, ignored: set[Hashable]) -> bool:
    if isinstance(value, float) and not value.is_integer():
        return False  # NaN, or a complaint for later if it is counted
    return canonical(value) in ignored
