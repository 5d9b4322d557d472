"""From what people say about classes — an order, a tree, who is closer to whom — to a cost matrix."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steelyard.decisions.stated_costs import Names, labels_of
from steelyard.errors import InputError

__all__ = ["ordinal_costs", "similarity_costs", "tree_costs"]

Floats = NDArray[np.float64]
Statement = tuple[int, int, int]
Pair = tuple[int, int]

_LABEL = r"""(?:"([^"]*)"|'([^']*)'|(.+?))"""
_SENTENCE = re.compile(rf"\s*{_LABEL}\s+is\s+closer\s+to\s+{_LABEL}\s+than\s+(?:to\s+)?{_LABEL}\s*\.?\s*")


def ordinal_costs(order: Iterable[Any], power: float = 1.0, classes: Any = None) -> Floats:
    r"""Cost of a mistake between classes that have an order: how far apart they stand.

    .. math:: M[k, j] = |i_k - i_j|^{\mathrm{power}}

    Parameters
    ----------
    order : sequence of labels
        From one end to the other.
    power : float
        1: a mistake by two steps costs as much as two by one; 2: as much as four. Above 0; default 1.
    classes : sequence of labels, or ClassCounts, optional
        The order of the rows and columns, where it is not `order`: that of the columns of the probabilities, which
        are sorted by name more often than by meaning.

    Returns
    -------
    float64 ndarray of shape (C, C)

    Raises
    ------
    InputError
        For a power that is not positive, or classes that are not those of `order`.

    Examples
    --------
    >>> ordinal_costs(["low", "medium", "high"], power=2)
    array([[0., 1., 4.], [1., 0., 1.], [4., 1., 0.]])
    >>> ordinal_costs(["low", "medium", "high"], classes=["high", "low", "medium"])
    array([[0., 2., 1.], [2., 0., 1.], [1., 1., 0.]])
    """
    labels = labels_of(order)
    if not (np.isfinite(power) and power > 0):
        raise InputError("`power` > 0", repr(power))
    place = np.arange(len(labels), dtype=np.float64)
    return _in_order(np.abs(place[:, None] - place) ** float(power), labels, classes)


def tree_costs(tree: Any, classes: Any = None) -> Floats:
    r"""Cost of a mistake between classes that stand in a tree: how high one must go to find both.

    .. math:: M[k, j] = \frac{h(\mathrm{lca}(k, j))}{h(\mathrm{root})}, \qquad M[k, k] = 0

    h, the height of a node, is the longest way from it down to a class; lca is the lowest node above both classes.

    Parameters
    ----------
    tree : mapping of name to subtree, or list of subtrees
        Lists hold classes, or further lists and mappings; the names in a mapping are those of groups, and only told to
        the reader.
    classes : sequence of labels, or ClassCounts, optional
        The order of the rows and columns; default that in which the tree names the classes.

    Returns
    -------
    float64 ndarray of shape (C, C)
        The largest entry is 1.

    Raises
    ------
    InputError
        For a class that stands in the tree twice, an empty group, or classes that are not those of the tree.

    References
    ----------
    Deng, Berg, Li and Fei-Fei, "What does classifying more than 10,000 image categories tell us?", ECCV 2010,
    doi:10.1007/978-3-642-15555-0_6: their hierarchical cost, on classes that are leaves, divided by its maximum.

    Examples
    --------
    >>> tree_costs({"animals": ["lion", "tiger"], "plants": ["fern"]})
    array([[0. , 0.5, 1. ], [0.5, 0. , 1. ], [1. , 1. , 0. ]])
    """
    pairs: dict[tuple[Any, Any], int] = {}
    leaves, height = _climbed(tree, pairs, 0)
    labels = labels_of(leaves)
    place = {label: k for k, label in enumerate(leaves)}
    costs = np.zeros((len(labels), len(labels)))
    for (a, b), h in pairs.items():
        costs[place[a], place[b]] = costs[place[b], place[a]] = h / height
    return _in_order(costs, labels, classes)


def _climbed(node: Any, pairs: dict[tuple[Any, Any], int], depth: int) -> tuple[list[Any], int]:
    """Return the classes below a node and its height; note the height of each two classes that meet in it."""
    if not isinstance(node, (Mapping, list)):
        return [node], 0
    if not node or depth > 200:
        raise InputError("a tree whose groups hold classes", "an empty group" if not node else "more than 200 levels")
    parts = [_climbed(part, pairs, depth + 1) for part in (node.values() if isinstance(node, Mapping) else node)]
    height = 1 + max(h for _, h in parts)
    seen: list[Any] = []
    for leaves, _ in parts:
        pairs.update({(a, b): height for a in seen for b in leaves})
        seen += leaves
    return seen, height


def similarity_costs(classes: Any, statements: Iterable[str | Sequence[Any]]) -> Floats:
    """Find the least costs, in whole steps, that agree with statements about which classes are alike.

    "A is closer to B than to C" says that confusing A and B costs less than confusing A and C, whichever of the two is
    the truth. A pair costs 1, or one more than the dearest of those that are said to cost less.

    Parameters
    ----------
    classes : sequence of labels, or ClassCounts
        The order of the rows and columns.
    statements : iterable of str or (a, b, c)
        ``"a is closer to b than to c"``; labels may stand in quotes. Labels are matched as text.

    Returns
    -------
    float64 ndarray of shape (C, C)
        Symmetric, the diagonal 0, else whole numbers ≥ 1; pairs that nothing is said of cost 1. Only ratios of costs
        matter to a decision, and these are as moderate as the statements allow: state magnitudes in a matrix.

    Raises
    ------
    InputError
        For a statement that is none, an unknown class (did you mean?), or statements that contradict each other, which
        are named.

    Examples
    --------
    >>> similarity_costs(["cat", "dog", "car"], ["cat is closer to dog than to car", ("dog", "cat", "car")])
    array([[0., 1., 2.], [1., 0., 2.], [2., 2., 0.]])
    """
    labels = labels_of(classes)
    if isinstance(statements, str):
        raise InputError("`statements` as a list", repr(statements), f"did you mean [{statements!r}]?")
    names = Names(labels)
    dearer: dict[Pair, dict[Pair, str]] = {}  # pair → pairs that cost more, and who says so
    for statement in statements:
        a, b, c = _stated(statement, names)
        text = f"{labels[a]} is closer to {labels[b]} than to {labels[c]}"
        dearer.setdefault(_pair(a, b), {}).setdefault(_pair(a, c), text)
    costs = np.ones((len(labels), len(labels))) - np.eye(len(labels))
    for (k, j), level in _levels(dearer).items():
        costs[k, j] = costs[j, k] = level
    return costs


def _pair(a: int, b: int) -> Pair:
    return (a, b) if a < b else (b, a)


def _stated(statement: Any, names: Names) -> Statement:
    if isinstance(statement, str):
        found = _SENTENCE.fullmatch(statement)
        if found is None:
            hint = "labels with such words in them stand in quotes; or give (a, b, c)."
            raise InputError("a statement 'A is closer to B than to C'", repr(statement), hint)
        parts: list[Any] = [next(g for g in found.groups()[i : i + 3] if g is not None) for i in (0, 3, 6)]
    else:
        parts = list(statement)
        if len(parts) != 3:
            raise InputError("three classes (a, b, c): a is closer to b than to c", repr(statement))
    a, b, c = (names.index(part, "class in a statement") for part in parts)
    if len({a, b, c}) < 3:
        raise InputError("three different classes in a statement", repr(statement))
    return a, b, c


def _levels(dearer: Mapping[Pair, Mapping[Pair, str]]) -> dict[Pair, int]:
    """Return the number of each pair in the longest chain of ever dearer pairs that ends with it."""
    below: dict[Pair, int] = dict.fromkeys(dearer, 0) | {p: 0 for above in dearer.values() for p in above}
    for above in dearer.values():
        for pair in above:
            below[pair] += 1
    level = dict.fromkeys(below, 1)
    ready = [pair for pair, n in below.items() if n == 0]
    done = 0
    while ready:
        pair = ready.pop()
        done += 1
        for dear in dearer.get(pair, ()):
            level[dear] = max(level[dear], level[pair] + 1)
            below[dear] -= 1
            if below[dear] == 0:
                ready.append(dear)
    if done < len(level):
        raise _contradiction(dearer, {pair for pair, n in below.items() if n > 0})
    return level


def _contradiction(dearer: Mapping[Pair, Mapping[Pair, str]], left: set[Pair]) -> InputError:
    """Name the statements of one circle: every pair that is left has a cheaper one that is left."""
    cheaper = {above: pair for pair in sorted(left) for above in dearer.get(pair, ()) if above in left}
    walk = [next(iter(sorted(left)))]
    while cheaper[walk[-1]] not in walk:
        walk.append(cheaper[walk[-1]])
    circle = walk[walk.index(cheaper[walk[-1]]) :][::-1]  # from cheap to dear
    said = [dearer[pair][circle[(i + 1) % len(circle)]] for i, pair in enumerate(circle)]
    return InputError(
        "statements that can all hold", " → ".join(f"'{s}'" for s in said), "they go round in a circle: drop one."
    )


def _in_order(costs: Floats, labels: Sequence[Any], classes: Any) -> Floats:
    if classes is None:
        return costs
    wanted, names = labels_of(classes), Names(labels)
    at = [names.index(label, "class that the costs were stated for") for label in wanted]
    if len(at) < len(labels):
        missing = next(label for k, label in enumerate(labels) if k not in at)
        raise InputError("`classes` with every class that costs were stated for", f"none called {str(missing)!r}")
    return costs[np.ix_(at, at)]
