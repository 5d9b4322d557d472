"""LightGBM's text form of trees from a file that anyone can have written: whole, or refused.

LightGBM's reader believes the text: a child or feature out of range, a list that is too short or a wrong size makes it
read and write outside its memory. So nothing reaches it that has not been looked at here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from steelyard.errors import InputError

__all__ = ["checked"]

_PER_SPLIT = ("split_feature", "split_gain", "threshold", "decision_type", "left_child", "right_child")
_PER_SPLIT_SAID = ("internal_value", "internal_weight", "internal_count")
_PER_LEAF = ("leaf_value",)
_PER_LEAF_SAID = ("leaf_weight", "leaf_count")  # empty where a tree is one leaf
_SINGLE = ("num_leaves", "num_cat", "is_linear", "shrinkage")
_HEADER = re.compile(
    r"(version|num_class|num_tree_per_iteration|label_index|max_feature_idx|objective|feature_names|feature_infos|"
    r"tree_sizes|average_output|monotone_constraints)(?:=|$)"
)
_END = "end of trees"
# what follows the trees (importances, parameters) is for people, and is not handed on
_TAIL = f"{_END}\n\nparameters:\nend of parameters\n\npandas_categorical:null\n"
_CATEGORICAL = 1  # the bit of decision_type; our matrices have numbers only


def checked(text: str, n_classes: int) -> str:
    """Return trees in a form that LightGBM can read without harm.

    Parameters
    ----------
    text : str
        As from ``Booster.model_to_string()``.
    n_classes : int

    Returns
    -------
    str

    Raises
    ------
    InputError
        If a part is missing, twice there, or not of the size or range that the others ask for.
    """
    head, *blocks = re.split(r"^(?=Tree=)", text.partition(f"\n{_END}\n")[0] + "\n", flags=re.MULTILINE)
    header = _header(head)
    groups = 1 if n_classes == 2 else n_classes
    if (_whole(header, "num_class"), _whole(header, "num_tree_per_iteration")) != (groups, groups):
        raise InputError(f"trees of {n_classes} classes", f"num_class={header['num_class'][:20]}")
    if not blocks or len(blocks) % groups:
        raise InputError(f"trees in groups of {groups}", f"{len(blocks)} trees")
    features = _whole(header, "max_feature_idx") + 1
    if len(header["feature_names"].split(" ")) != features or len(header["feature_infos"].split(" ")) != features:
        raise InputError(f"{features} feature names", str(len(header["feature_names"].split(" "))))
    for place, block in enumerate(blocks):
        _check(block, place, features)
    sizes = [len(block.encode()) for block in blocks]
    if _numbers(header["tree_sizes"], "tree_sizes").tolist() != sizes:
        raise InputError("the sizes of the trees", header["tree_sizes"][:80])
    return head + "".join(blocks) + _TAIL


def _header(text: str) -> dict[str, str]:
    first, *lines = text.split("\n")
    if first != "tree":
        raise InputError("trees of LightGBM", repr(first[:40]))
    header: dict[str, str] = {}
    for key, value in _pairs(lines):
        if not _HEADER.match(key):
            raise InputError("a header of LightGBM's", repr(key[:40]))
        if key in header:
            raise InputError(f"one '{key}'", "two")
        header[key] = value
    for key in (
        "num_class",
        "num_tree_per_iteration",
        "max_feature_idx",
        "feature_names",
        "feature_infos",
        "tree_sizes",
    ):
        if key not in header:
            raise InputError(f"'{key}' in the header of trees", "none")
    return header


def _pairs(lines: list[str]) -> Iterator[tuple[str, str]]:
    for line in lines:
        if line:
            key, _, value = line.partition("=")
            yield key, value


def _check(block: str, place: int, features: int) -> None:
    """Refuse a tree that is not a tree."""
    first, *lines = block.split("\n")
    parts: dict[str, str] = {}
    for key, value in _pairs(lines):
        if key in parts or key not in (*_PER_SPLIT, *_PER_SPLIT_SAID, *_PER_LEAF, *_PER_LEAF_SAID, *_SINGLE):
            raise InputError(f"the parts of tree {place}, each once", repr(key[:40]))
        parts[key] = value
    leaves = _whole(parts, "num_leaves")
    if first != f"Tree={place}" or not 1 <= leaves <= len(block):
        raise InputError(f"tree {place} with one leaf or more", f"{first[:20]!r} with {leaves}")
    if _whole(parts, "num_cat") or _whole(parts, "is_linear"):
        raise InputError("splits of numbers, and constant leaves", f"others in tree {place}")
    _numbers(parts.get("shrinkage", ""), "shrinkage", (1,))
    splits = {name: _numbers(parts.get(name, ""), name, (leaves - 1,)) for name in _PER_SPLIT}
    for name in _PER_SPLIT_SAID:
        _numbers(parts.get(name, ""), name, (leaves - 1,))
    for name in _PER_LEAF:
        _numbers(parts.get(name, ""), name, (leaves,))
    for name in _PER_LEAF_SAID:
        _numbers(parts.get(name, ""), name, (leaves,) if leaves > 1 else (0, 1))
    node = np.arange(leaves - 1)
    for side in ("left_child", "right_child"):
        child = splits[side]
        # a split comes before those below it, so that there is no way round in a circle; ~leaf is a leaf
        if not (((child > node) & (child < leaves - 1)) | ((child < 0) & (child >= -leaves))).all():
            raise InputError(f"children of tree {place} below their parents", "others")
    if not ((splits["split_feature"] >= 0) & (splits["split_feature"] < features)).all():
        raise InputError(f"features of tree {place} among {features}", "others")
    kinds = splits["decision_type"]
    if not ((kinds >= 0) & (kinds < 16) & (kinds % 2 != _CATEGORICAL)).all():
        raise InputError(f"splits of numbers in tree {place}", "others")


def _whole(parts: Mapping[str, str], key: str) -> int:
    text = parts.get(key, "")
    if not re.fullmatch(r"\d{1,9}", text):
        raise InputError(f"'{key}' as a whole number", repr(text[:40]))
    return int(text)


_WHOLE = ("split_feature", "decision_type", "left_child", "right_child", "tree_sizes")


def _numbers(text: str, name: str, sizes: tuple[int, ...] | None = None) -> NDArray[np.float64]:
    parts = text.split(" ") if text else []
    if sizes is not None and len(parts) not in sizes:
        raise InputError(f"{sizes[0]} numbers in '{name}'", str(len(parts)))
    form = r"-?\d{1,9}" if name in _WHOLE else r"-?(\d[\d.]{0,30}(e[+-]?\d{1,3})?|inf|nan)"
    for part in parts:
        if not re.fullmatch(form, part):
            raise InputError(f"numbers in '{name}'", repr(part[:40]))
    return np.array([float(part) for part in parts])
