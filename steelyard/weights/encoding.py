"""Labels → indices into the classes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from steelyard.errors import InputError
from steelyard.weights.labels import MISSING, canonical, ignored_labels, read_labels, unknown_label

__all__ = ["encode"]

_PIECE = 1 << 17
_WIDEST = 1 << 22  # entries of a look-up table for integer labels: 32 MiB
_UNKNOWN = np.iinfo(np.int64).min


def encode(y: Any, classes: tuple[Any, ...], ignore: Any, ignore_index: int) -> NDArray[np.int64]:
    """Return the index of each label in `classes`; see `ClassCounts.encode`."""
    labels = read_labels(y)
    ignored, missing_ignored = ignored_labels(ignore)
    index: dict[Any, int] = {label: i for i, label in enumerate(classes)}
    index.update(dict.fromkeys(ignored, ignore_index))
    missing = ignore_index if missing_ignored else _UNKNOWN
    codes = labels.codes.reshape(-1)
    if labels.values is None:
        result = _of_integers(codes, {k: v for k, v in index.items() if isinstance(k, int)}, missing)
    else:
        table = [missing if v is MISSING else index.get(v, _UNKNOWN) for v in map(_lenient, labels.values)]
        # the last entry serves code −1
        result = np.array([*table, missing], dtype=np.int64)[codes]
    unknown = result == _UNKNOWN
    if unknown.any():
        raise _unknown(y_position=int(np.argmax(unknown)), labels=labels, classes=classes)
    return result.reshape(labels.codes.shape)


def _lenient(value: Any) -> Any:
    """`canonical`, but a fraction stays what it is: an unknown label."""
    return value if isinstance(value, float) and value == value and not value.is_integer() else canonical(value)


def _of_integers(codes: NDArray[Any], index: dict[int, int], missing: int) -> NDArray[np.int64]:
    known = {int(k): v for k, v in index.items() if abs(k) < 1 << 62}
    keys = np.array(sorted(known), dtype=np.int64)
    targets = np.array([known[k] for k in keys.tolist()], dtype=np.int64)
    result = np.full(codes.size, _UNKNOWN, dtype=np.int64)
    if not keys.size:
        return result
    low, width = int(keys[0]), int(keys[-1]) - int(keys[0]) + 1
    table = None
    if width <= _WIDEST:
        # one entry more on either side stands for everything outside
        table = np.full(width + 2, _UNKNOWN, dtype=np.int64)
        table[keys - low + 1] = targets
    for start in range(0, codes.size, _PIECE):
        piece = codes[start : start + _PIECE]
        out = result[start : start + _PIECE]
        whole = None
        if piece.dtype.kind == "f":
            nan = np.isnan(piece)
            whole = ~nan & (np.floor(piece) == piece) & (np.abs(piece) < 2.0**62)
            out[nan] = missing
            piece = piece[whole].astype(np.int64)
        else:
            piece = piece.astype(np.int64, copy=False)
        if table is not None:
            found = table[np.clip(piece, low - 1, low + width) - (low - 1)]
        else:
            place = np.minimum(np.searchsorted(keys, piece), keys.size - 1)
            found = np.where(keys[place] == piece, targets[place], _UNKNOWN)
        out[slice(None) if whole is None else whole] = found
    return result


def _unknown(y_position: int, labels: Any, classes: tuple[Any, ...]) -> InputError:
    code = labels.codes.reshape(-1)[y_position].item()
    value = code if labels.values is None else MISSING if code < 0 else labels.values[code]
    index = tuple(int(i) for i in np.unravel_index(y_position, labels.codes.shape))
    where = f"at position {index[0] if len(index) == 1 else index}"
    if value is MISSING or value is None or value != value:
        return InputError("labels without missing values", f"a missing label {where}", "pass ignore=[None].")
    hint = "a label that was never counted has no weight: count it too, or leave it out with `ignore`."
    return unknown_label(value, classes, where, hint)
