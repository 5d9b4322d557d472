"""How often each class occurs: the one statistic that class weights, priors and offsets are made of."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steelyard.errors import InputError
from steelyard.weights.counting import count_labels
from steelyard.weights.encoding import encode
from steelyard.weights.indicators import indicator_counts
from steelyard.weights.labels import (
    MISSING,
    as_numpy,
    canonical,
    package_roots,
    unknown_label,
)
from steelyard.weights.ordering import declared, ordered

__all__ = ["ClassCounts", "as_counts"]

_FEW = 10  # classes that a repr shows in full


@dataclass(frozen=True, eq=False, repr=False)
class ClassCounts:
    """Counts of each class, immutable.

    Made by `from_labels`, `from_indicators`, `from_counts` and `from_batches`; ``a + b`` merges the counts of
    two parts of a data set.

    Parameters
    ----------
    classes : tuple of hashable
        The labels as plain Python objects: sorted where they sort, else in order of appearance.
    counts : ndarray, shape (n_classes,)
        int64; float64 when rows are weighted.
    rows : int or float, optional
        For multi-label indicators, the number (or weight) of rows; a label's share is then its count ÷ rows.
    containing : ndarray, shape (n_classes,), optional
        For masks, per class the pixels of the images that contain it.

    Notes
    -----
    **Absent classes** (a count of 0, which `from_labels` makes of a declared class without rows) are treated
    like the rarest present class, everywhere: see `filled`. Sums and the number of classes in formulas run
    over the present ones.

    Examples
    --------
    >>> from steelyard import ClassCounts
    >>> counts = ClassCounts.from_labels(["cat", "dog", "cat", "cat"])
    >>> counts
    ClassCounts({'cat': 3, 'dog': 1}, total=4)
    >>> counts.classes, counts.counts, counts.priors, counts.imbalance_ratio
    (('cat', 'dog'), array([3, 1]), array([0.75, 0.25]), 3.0)
    >>> counts + ClassCounts.from_counts({"cow": 2})
    ClassCounts({'cat': 3, 'cow': 2, 'dog': 1}, total=6)
    """

    classes: tuple[Any, ...]
    counts: NDArray[Any]
    rows: int | float | None = None
    containing: NDArray[Any] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "classes", tuple(self.classes))
        counts = _checked_counts(self.counts, self.classes)
        object.__setattr__(self, "counts", counts)
        if self.containing is not None:
            object.__setattr__(self, "containing", _checked_counts(self.containing, self.classes))
        if self.rows is not None and not (np.isfinite(self.rows) and self.rows >= counts.max(initial=0)):
            raise InputError("`rows` at least the largest count", repr(self.rows))

    # ------------------------------------------------------------------ constructors

    @classmethod
    def from_labels(
        cls,
        y: Any,
        classes: Iterable[Hashable] | None = None,
        ignore: Any = None,
        sample_weight: Any = None,
        mask: Any = None,
    ) -> ClassCounts:
        r"""Count labels.

        .. math:: n_c = \sum_i s_i [y_i = c]

        Parameters
        ----------
        y : list, tuple, ndarray, pandas, polars, Arrow, torch, TensorFlow or JAX labels
            One label per entry: text, integers, booleans, whole floats (counted as integers), tuples or any
            other hashable, of any shape. With two dimensions or more, y is a batch of masks (images, height,
            width) or sequences (batch, time): every entry counts, and `containing` is kept for
            `median_frequency`. A column (n, 1) is a list of labels. Multi-label 0/1 columns go to
            `from_indicators`.
        classes : iterable of hashable, optional
            The classes in the order wanted; those without rows are kept with a count of 0. Default: those
            that occur, sorted where they sort, else in order of appearance.
        ignore : hashable, or a list, tuple, set or array of them, optional
            Labels that are left out. None or NaN **inside a list**, or NaN alone, stands for every missing
            label (None, NaN, NaT, NA, null); otherwise a missing label is an error that says how many there
            are. A label that is itself a tuple goes into a list.
        sample_weight : array-like, shape of `y` or its leading dimensions, optional
            What each row counts, ≥ 0.
        mask : array-like of bool, shape of `y` or its leading dimensions, optional
            True where an entry counts. What is masked out may hold anything.

        Returns
        -------
        ClassCounts

        Raises
        ------
        InputError
            Nothing to count, missing labels, labels outside `classes`, floats that are not whole (a
            regression target), negative or non-finite weights.

        Examples
        --------
        >>> import numpy as np
        >>> ClassCounts.from_labels(["b", "a", "b", None], ignore=[None], classes=["b", "a", "c"])
        ClassCounts({'b': 2, 'a': 1, 'c': 0}, total=3)
        >>> masks = np.array([[[0, 0], [0, 1]], [[0, 0], [0, 255]]])
        >>> counts = ClassCounts.from_labels(masks, ignore=255)
        >>> counts, counts.containing
        (ClassCounts({0: 6, 1: 1}, total=7), array([7, 4]))
        """
        counted = count_labels(y, declared(classes), ignore, sample_weight, mask)
        if classes is None and not counted.classes:
            raise InputError(
                "at least one label to count",
                f"{counted.entries} labels, all ignored or masked" if counted.entries else "no labels",
                "pass classes=[...] to count a part without rows as zeros.",
            )
        return cls(counted.classes, counted.counts, containing=counted.containing)

    @classmethod
    def from_batches(
        cls, batches: Iterable[Any], classes: Iterable[Hashable] | None = None, ignore: Any = None
    ) -> ClassCounts:
        """Count labels that arrive batch by batch, one batch in memory at a time.

        Parameters
        ----------
        batches : iterable
            Each element a batch of labels as for `from_labels` (masks with their batch dimension). From a
            loader of pairs: ``from_batches(y for _, y in loader)``. With weights: ``sum(from_labels(y,
            sample_weight=s) for ...)``.
        classes, ignore
            As for `from_labels`. A batch may be empty or ignored as a whole.

        Returns
        -------
        ClassCounts

        Raises
        ------
        InputError
            As for `from_labels`; and when the elements are single labels.

        Examples
        --------
        >>> ClassCounts.from_batches([["a", "b"], ["a"], []])
        ClassCounts({'a': 2, 'b': 1}, total=3)
        """
        known = declared(classes)
        merged: ClassCounts | None = None
        for batch in batches:
            if isinstance(batch, (str, bytes, int, float, np.generic)):
                raise InputError(
                    "batches of labels",
                    f"a single label {batch!r}",
                    "use from_labels for labels that are in memory.",
                )
            counted = count_labels(batch, known, ignore)
            counts = cls(counted.classes, counted.counts, containing=counted.containing)
            merged = counts if merged is None else merged + counts
        if merged is None and known is not None:
            return cls(known, np.zeros(len(known), dtype=np.int64))
        if merged is None or not merged.classes:
            raise InputError("at least one label to count", "batches without any", "is the iterator used up?")
        return merged

    @classmethod
    def from_counts(cls, counts: Any, classes: Iterable[Hashable] | None = None) -> ClassCounts:
        """Take counts that are known already.

        Parameters
        ----------
        counts : mapping, pandas Series or 1-d array-like
            Label → count (a Series maps its index), or counts of the classes 0, 1, ..., n_classes − 1. ≥ 0,
            finite; fractions are kept.
        classes : iterable of hashable, optional
            The order wanted (mapping) or the labels (array). Default: labels sorted where they sort.

        Returns
        -------
        ClassCounts

        Raises
        ------
        InputError
            Negative, non-finite or non-numeric counts; labels outside `classes`.

        Examples
        --------
        >>> ClassCounts.from_counts({"A": 198, "B": 436, "C": 710, "D": 272})
        ClassCounts({'A': 198, 'B': 436, 'C': 710, 'D': 272}, total=1616)
        >>> ClassCounts.from_counts([31_000, 500_000]).classes
        (0, 1)
        """
        known = declared(classes)
        if isinstance(counts, ClassCounts):
            counts = dict(zip(counts.classes, counts.counts.tolist(), strict=True))
        elif "pandas" in package_roots(counts) and hasattr(counts, "to_dict"):
            counts = counts.to_dict()
        if isinstance(counts, Mapping):
            named: dict[Any, Any] = {}
            for label, count in counts.items():
                key = canonical(label)
                if key is MISSING:
                    raise InputError("counts of labels", f"{count} for a missing label", "leave it out.")
                named[key] = count
            order = ordered(named) if known is None else known
            for label in named.keys() - set(order):
                raise unknown_label(label, order, "as a key of the counts")
            values = [named.get(label, 0) for label in order]
        else:
            array = as_numpy(counts)
            if array.ndim != 1:
                raise InputError(
                    "a mapping label → count or a 1-d array of counts",
                    f"an array of shape {array.shape}" if array.ndim else repr(counts),
                )
            order = tuple(range(array.size)) if known is None else known
            values = array.tolist()
        if not order:
            raise InputError("at least one class", "no counts")
        return cls(order, np.array(values) if values else np.zeros(0, dtype=np.int64))

    @classmethod
    def from_indicators(
        cls, Y: Any, classes: Iterable[Hashable] | None = None, sample_weight: Any = None, mask: Any = None
    ) -> ClassCounts:
        r"""Count the positives of each label of a multi-label (or one-hot) table.

        .. math:: n_c = \sum_i s_i Y_{ic}, \qquad N = \sum_i s_i

        Parameters
        ----------
        Y : array-like, DataFrame, Arrow table or SciPy sparse matrix, shape (rows, labels)
            0/1 or booleans.
        classes : iterable of hashable, optional
            The labels' names. Default: the columns' names, else 0, 1, ...
        sample_weight : array-like, shape (rows,), optional
            What each row counts, ≥ 0.
        mask : array-like of bool, shape (rows,), optional
            True where a row counts.

        Returns
        -------
        ClassCounts
            With `rows` set: `total` and `priors` are per row, so pos_weight is (N − n_c)/n_c for each label.

        Raises
        ------
        InputError
            For entries other than 0 and 1, with the row and the column, and for an empty table.

        Examples
        --------
        >>> counts = ClassCounts.from_indicators([[1, 0], [1, 1], [1, 0], [0, 0]], classes=["sea", "ship"])
        >>> counts, counts.total, counts.priors
        (ClassCounts({'sea': 3, 'ship': 1}, rows=4), 4, array([0.75, 0.25]))
        """
        positives, rows, names = indicator_counts(Y, sample_weight, mask)
        order = declared(classes) or declared(names) or tuple(range(positives.size))
        if len(order) != positives.size:
            raise InputError(f"`classes` of {positives.size} labels, one per column", f"{len(order)}")
        return cls(order, positives, rows=rows)

    # ------------------------------------------------------------------ what they say

    @property
    def n_classes(self) -> int:
        """Number of classes, absent ones included."""
        return len(self.classes)

    @property
    def total(self) -> int | float:
        """N: the sum of the counts; for indicators, the number of rows."""
        total: int | float = self.counts.sum().item() if self.rows is None else self.rows
        return total

    @property
    def present(self) -> NDArray[np.bool_]:
        """Which classes have a count above 0, shape (n_classes,)."""
        return self.counts > 0

    @property
    def priors(self) -> NDArray[np.float64]:
        """Share of each class, π = n/N, float64 (n_classes,); absent classes have 0."""
        self._needs_rows()
        return np.asarray(self.counts / self.total, dtype=np.float64)

    @property
    def imbalance_ratio(self) -> float:
        """Largest count ÷ smallest count of a present class."""
        self._needs_rows()
        return float(self.counts.max() / self.counts[self.present].min())

    @property
    def filled(self) -> NDArray[np.float64]:
        """Counts in which each absent class has the count of the rarest present one, float64 (n_classes,).

        This is the rule for absent classes everywhere: in weights, and in the offsets log n of logit
        adjustment. A weight of ∞ or an offset of −∞ would end training when the class turns up after all, a
        weight of 0 would mute it, and a pseudo-count such as 1 would make the weight of a class without rows
        depend on how many rows the others have. The rarest present class is the nearest thing that the data
        know. It changes nothing for the present classes: sums in formulas run over them alone.

        Examples
        --------
        >>> ClassCounts.from_counts([90, 10, 0]).filled
        array([90., 10., 10.])
        """
        self._needs_rows()
        filled = self.counts.astype(np.float64)
        filled[~self.present] = filled[self.present].min()
        return filled

    def _needs_rows(self) -> None:
        if not self.present.any():
            raise InputError("at least one class with a count above 0", repr(self), "count labels first, or merge.")

    def encode(self, y: Any, ignore: Any = None, ignore_index: int = -100) -> NDArray[np.int64]:
        """Return labels as indices into `classes`.

        Parameters
        ----------
        y : labels as for `from_labels`
            Of any shape.
        ignore : hashable or several, optional
            As for `from_labels`: labels that become `ignore_index`.
        ignore_index : int, default -100
            What ignored labels become; −100 is PyTorch's default.

        Returns
        -------
        ndarray of int64, shape of `y`

        Raises
        ------
        InputError
            For a label that the counts have never seen, with its position.

        Examples
        --------
        >>> ClassCounts.from_counts({"A": 198, "B": 436}).encode(["B", "A", "?"], ignore="?")
        array([   1,    0, -100])
        """
        return encode(y, self.classes, ignore, ignore_index)

    def to_dict(self) -> dict[str, Any]:
        """Return the counts as JSON types; `from_dict` reads them back.

        Raises
        ------
        InputError
            For labels that JSON has no type for. Tuples become lists.

        Examples
        --------
        >>> ClassCounts.from_counts([3, 1]).to_dict()
        {'classes': [0, 1], 'counts': [3, 1]}
        """
        d: dict[str, Any] = {"classes": [_to_json(c) for c in self.classes], "counts": self.counts.tolist()}
        if self.rows is not None:
            d["rows"] = self.rows
        if self.containing is not None:
            d["containing"] = self.containing.tolist()
        return d

    @classmethod
    def from_dict(cls, d: Mapping[str, Any]) -> ClassCounts:
        """Return the counts that `to_dict` wrote."""
        for key in ("classes", "counts"):
            if key not in d:
                raise InputError(f"a dict with {key!r}", f"the keys {sorted(d)}", "use from_counts for label → count.")
        containing = d.get("containing")
        return cls(
            declared(_from_json(c) for c in d["classes"]) or (),
            np.array(d["counts"]),
            rows=d.get("rows"),
            containing=None if containing is None else np.array(containing),
        )

    # ------------------------------------------------------------------ merging and the rest

    def __add__(self, other: object) -> ClassCounts:
        """Merge: counts add per label.

        The order is that of the operand which holds every class of the other, else the union sorted where it
        sorts.
        """
        if not isinstance(other, ClassCounts):
            return NotImplemented
        first, second = self, other
        if (first.rows is None) != (second.rows is None):
            raise InputError("counts of one kind to merge", "counts of labels and of multi-label indicators")
        known, new = dict.fromkeys(first.classes), dict.fromkeys(second.classes)
        if first.classes == second.classes or known.keys() >= new.keys():
            classes = first.classes
        elif new.keys() >= known.keys():
            classes = second.classes
        else:
            classes = ordered({**known, **new})
        return ClassCounts(
            classes,
            _added(classes, (first, first.counts), (second, second.counts)),
            rows=None if first.rows is None or second.rows is None else first.rows + second.rows,
            containing=_merged_containing(classes, first, second),
        )

    def __radd__(self, other: object) -> ClassCounts:
        """Let ``sum`` start from 0."""
        return self if isinstance(other, int) and other == 0 else NotImplemented

    def __len__(self) -> int:
        return len(self.classes)

    def __eq__(self, other: object) -> bool:
        return self._key() == other._key() if isinstance(other, ClassCounts) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._key())

    def _key(self) -> tuple[Any, ...]:
        containing = None if self.containing is None else tuple(self.containing.tolist())
        return self.classes, tuple(self.counts.tolist()), self.rows, containing

    def __reduce__(self) -> tuple[Any, ...]:  # through the constructor, so that a copy is read-only too
        return ClassCounts, (self.classes, self.counts, self.rows, self.containing)

    def __repr__(self) -> str:
        pairs = [f"{c!r}: {n:g}" if isinstance(n, float) else f"{c!r}: {n}" for c, n in self._shown()]
        more = f", ... {len(self) - len(pairs)} more" if len(self) > len(pairs) else ""
        total = f"total={self.total}" if self.rows is None else f"rows={self.rows}"
        return f"ClassCounts({{{', '.join(pairs)}{more}}}, {total})"

    def _shown(self) -> Iterable[tuple[Any, Any]]:
        n = len(self) if len(self) <= _FEW else _FEW // 2
        return zip(self.classes[:n], self.counts[:n].tolist(), strict=True)


def as_counts(counts: Any) -> ClassCounts:
    """Return counts given as `ClassCounts`, as a mapping or as a 1-d array.

    Examples
    --------
    >>> as_counts([3, 1])
    ClassCounts({0: 3, 1: 1}, total=4)
    """
    return counts if isinstance(counts, ClassCounts) else ClassCounts.from_counts(counts)


def _checked_counts(counts: Any, classes: tuple[Any, ...]) -> NDArray[Any]:
    array = np.array(counts)
    if array.dtype.kind == "O":  # Python ints beyond 64 bits, or what is no number
        with suppress(TypeError, ValueError):
            array = array.astype(np.float64)
    if array.dtype.kind not in "iuf":
        raise InputError("counts as numbers", f"dtype {array.dtype}", "use ClassCounts.from_labels to count labels.")
    if array.shape != (len(classes),):
        raise InputError(f"one count for each of {len(classes)} classes", f"an array of shape {array.shape}")
    array = array.astype(np.float64 if array.dtype.kind == "f" else np.int64)
    bad = ~(np.isfinite(array) & (array >= 0))
    if bad.any():
        i = int(np.argmax(bad))
        raise InputError("finite counts ≥ 0", f"{array[i].item()!r} for {classes[i]!r}")
    array.setflags(write=False)
    return array


def _added(classes: tuple[Any, ...], *parts: tuple[ClassCounts, NDArray[Any]]) -> NDArray[Any]:
    place = {label: i for i, label in enumerate(classes)}
    total = np.zeros(len(classes), dtype=np.result_type(*(values for _, values in parts)))
    for counts, values in parts:
        if counts.classes == classes:
            total += values
        else:
            total[[place[label] for label in counts.classes]] += values
    return total


def _merged_containing(classes: tuple[Any, ...], first: ClassCounts, second: ClassCounts) -> NDArray[Any] | None:
    if first.containing is not None and second.containing is not None:
        return _added(classes, (first, first.containing), (second, second.containing))
    if first.containing is None and second.containing is None:
        return None
    masks, plain = (first, second) if first.containing is not None else (second, first)
    if plain.present.any():
        raise InputError(
            "counts of one kind to merge",
            "counts of masks and of plain labels",
            "count both with their batch dimension, or both flat (y.ravel()).",
        )
    assert masks.containing is not None
    return _added(classes, (masks, masks.containing))


def _to_json(label: Any) -> Any:
    if isinstance(label, tuple):
        return [_to_json(part) for part in label]
    if isinstance(label, (str, int)):  # bool is an int, and JSON knows it
        return label
    raise InputError(
        "labels that JSON knows (str, int, bool, tuples of them)",
        repr(label),
        "name the classes by text first.",
    )


def _from_json(label: Any) -> Any:
    return tuple(_from_json(part) for part in label) if isinstance(label, list) else label
