"""Counting integer codes piece by piece, at the speed of `np.bincount` and in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from steelyard.weights.labels import regression_target

__all__ = ["Tally", "tally"]

# 2^17 labels of 8 bytes are 1 MiB, which stays in the second-level cache between the passes for the minimum,
# the maximum and the count (measured: 1.0 to 1.6 × one np.bincount of the whole array).
_PIECE = 1 << 17
# A dense histogram of at most this many entries (32 MiB); wider ranges, such as identifiers, are sorted.
_WIDEST = 1 << 22


class Tally(NamedTuple):
    """How often each code occurs.

    Attributes
    ----------
    keys : ndarray of int64
        The codes that occur, ascending.
    totals : ndarray of int64, of float64 with weights
        Their counts.
    containing : ndarray or None
        Per code the kept labels of the images that contain it, for codes of at least two dimensions.
    missing : int
        Entries that were NaN.
    """

    keys: NDArray[np.int64]
    totals: NDArray[Any]
    containing: NDArray[Any] | None
    missing: int


def tally(
    codes: NDArray[Any],
    weights: NDArray[np.float64] | None = None,
    keep: NDArray[np.bool_] | None = None,
    excluded: NDArray[np.int64] | None = None,
) -> Tally:
    """Count the codes of an array.

    Parameters
    ----------
    codes : ndarray of integer or floating type, shape (n,) or (images, ...)
        Floats must be whole; NaN is a missing label.
    weights : ndarray of float64, shape (codes.size,), optional
        What each entry counts.
    keep : ndarray of bool, shape (codes.size,), optional
        False leaves an entry out.
    excluded : ndarray of int64, optional
        Codes that do not count towards the size of an image.

    Raises
    ------
    InputError
        For a float that is not whole, with its position.

    Examples
    --------
    >>> tally(np.array([3, -1, 3])).totals
    array([1, 2])
    """
    # a column (n, 1) is a list of labels, not n images of one pixel
    images = codes.ndim >= 2 and prod(codes.shape[1:]) > 1
    per_image = prod(codes.shape[1:]) if images else 1
    shape, flat = codes.shape, codes.reshape(-1)
    dense = _Histogram(weighted=weights is not None)
    containing: dict[int, float] = {}
    missing = start = 0
    while start < flat.size:
        # a histogram wider than the piece would cost more than the piece
        step = max(max(_PIECE, dense.counts.size) // per_image, 1) * per_image
        piece = slice(start, min(start + step, flat.size))
        values, chosen, gone = _whole(flat[piece], None if keep is None else keep[piece], shape, start)
        missing += gone
        image = np.arange(piece.stop - start) // per_image if images else None
        w = None if weights is None else weights[piece]
        if chosen is not None:
            values = values[chosen]
            image = None if image is None else image[chosen]
            w = None if w is None else w[chosen]
        start = piece.stop
        if values.size:
            dense.add(values, w)
            if image is not None:
                for key, labels in _containing(values, image, w, excluded):
                    containing[key] = containing.get(key, 0) + labels
    keys, totals = dense.result()
    if not images:
        return Tally(keys, totals, None, missing)
    in_images = np.array([containing.get(key, 0) for key in keys.tolist()], dtype=totals.dtype)
    return Tally(keys, totals, in_images, missing)


def _whole(
    piece: NDArray[Any], keep: NDArray[np.bool_] | None, shape: tuple[int, ...], start: int
) -> tuple[NDArray[Any], NDArray[np.bool_] | None, int]:
    """Return a piece as integers, which entries to keep (None: all) and how many kept ones are NaN."""
    if piece.dtype.kind != "f":
        return piece, keep, 0
    if piece.itemsize < 8:
        piece = piece.astype(np.float64)
    nan = np.isnan(piece)
    if nan.any():
        missing = int(np.count_nonzero(nan if keep is None else nan & keep))
        keep = ~nan if keep is None else keep & ~nan
    else:
        missing = 0
    bad = ~(np.abs(piece) < 2.0**63) | (np.floor(piece) != piece)
    bad = bad & keep if keep is not None else bad
    if bad.any():
        at = int(np.argmax(bad))
        index = tuple(int(i) for i in np.unravel_index(start + at, shape))
        raise regression_target(float(piece[at]), index[0] if len(index) == 1 else index)
    with np.errstate(invalid="ignore"):  # entries that are left out may be NaN or infinite
        return piece.astype(np.int64), keep, missing


class _Histogram:
    """Counts over a growing window of integers, and a dictionary for what lies too far apart."""

    def __init__(self, weighted: bool) -> None:
        self.dtype: Any = np.float64 if weighted else np.int64
        self.low = 0
        self.counts = np.zeros(0, dtype=self.dtype)
        # a class whose rows all weigh nothing still occurs; without weights the counts say it themselves
        self.seen = np.zeros(0, dtype=np.int64) if weighted else None
        self.far: dict[int, float] = {}

    def add(self, values: NDArray[Any], weights: NDArray[np.float64] | None) -> None:
        low, high = int(values.min()), int(values.max())
        if self.counts.size:
            low, high = min(low, self.low), max(high, self.low + self.counts.size - 1)
        if high - low >= _WIDEST:
            keys, inverse, totals = np.unique(values, return_inverse=True, return_counts=True)
            if weights is not None:
                totals = np.bincount(inverse.reshape(-1), weights, minlength=keys.size)
            for key, total in zip(keys.tolist(), totals.tolist(), strict=True):
                self.far[key] = self.far.get(key, 0) + total
            return
        if not self.counts.size or low < self.low or high >= self.low + self.counts.size:
            self._grow(low, high)
        indices = values.astype(np.int64, copy=False)
        if self.low:
            indices = indices - self.low
        self.counts += np.bincount(indices, weights, minlength=self.counts.size)
        if self.seen is not None:
            self.seen += np.bincount(indices, minlength=self.counts.size)

    def _grow(self, low: int, high: int) -> None:
        def wider(old: NDArray[Any]) -> NDArray[Any]:
            new = np.zeros(high - low + 1, dtype=old.dtype)
            new[self.low - low : self.low - low + old.size] = old
            return new

        if not self.counts.size:
            self.low = low
        self.counts = wider(self.counts)
        if self.seen is not None:
            self.seen = wider(self.seen)
        self.low = low

    def result(self) -> tuple[NDArray[np.int64], NDArray[Any]]:
        found = np.flatnonzero(self.counts if self.seen is None else self.seen)
        if not self.far:
            return found + self.low, self.counts[found]
        merged = dict(zip((found + self.low).tolist(), self.counts[found].tolist(), strict=True))
        for key, total in self.far.items():
            merged[key] = merged.get(key, 0) + total
        keys = sorted(merged)
        return np.array(keys, dtype=np.int64), np.array([merged[key] for key in keys], dtype=self.dtype)


def _containing(
    values: NDArray[Any],
    image: NDArray[np.int64],
    weights: NDArray[np.float64] | None,
    excluded: NDArray[np.int64] | None,
) -> Iterator[tuple[int, float]]:
    """Yield (code, kept labels of the images of this piece that contain the code)."""
    low, high = int(values.min()), int(values.max())
    images = int(image[-1]) + 1
    if (high - low + 1) * images <= _WIDEST:
        names, columns = None, values.astype(np.int64, copy=False) - low
        width = high - low + 1
        pairs_of = image * width + columns
        seen = np.bincount(pairs_of, minlength=width * images)
        pairs = np.flatnonzero(seen)
        sizes = seen[pairs] if weights is None else np.bincount(pairs_of, weights, minlength=seen.size)[pairs]
    else:
        names, columns = np.unique(values, return_inverse=True)
        width = names.size
        pairs, inverse, sizes = np.unique(image * width + columns.reshape(-1), return_inverse=True, return_counts=True)
        if weights is not None:
            sizes = np.bincount(inverse.reshape(-1), weights, minlength=pairs.size)
    owner, column = np.divmod(pairs, width)
    code = column + low if names is None else names.astype(np.int64)[column]
    if excluded is not None and excluded.size:
        kept = ~np.isin(code, excluded)
        owner, column, code, sizes = owner[kept], column[kept], code[kept], sizes[kept]
    per_image = np.bincount(owner, sizes, minlength=images)
    present = sizes > 0  # pixels that weigh nothing are not there
    # bincount adds in float64, which is exact for whole numbers below 2^53
    found, where = np.unique(code[present], return_inverse=True)
    labels = np.bincount(where.reshape(-1), per_image[owner[present]], minlength=found.size)
    if weights is None:
        labels = labels.astype(np.int64)
    yield from zip(found.tolist(), labels.tolist(), strict=True)
