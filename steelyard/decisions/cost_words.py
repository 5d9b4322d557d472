"""What a cost matrix means, in sentences."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from steelyard.decisions.costs import min_cost_threshold
from steelyard.errors import InputError
from steelyard.weights import as_counts

if TYPE_CHECKING:
    from steelyard.decisions.stated_costs import Costs

__all__ = ["amount", "class_weights", "dominated", "in_words", "pairwise_thresholds", "percent"]

Floats = NDArray[np.float64]

_DEAREST = 3
_MOST_CLASSES = 10  # longer lists are not read


def in_words(costs: Costs, counts: Any = None, positive: Any = None) -> str:
    """Return `Costs.describe`."""
    if len(costs.classes) == 2:
        return "\n".join(_two(costs, positive))
    if positive is not None:
        raise InputError("`positive` with two classes", f"{len(costs.classes)} classes", "leave it out.")
    commonest = 0 if counts is None else _commonest(costs, counts)
    if costs.columns:
        return "\n".join(_per_row(costs))
    return "\n".join(_more(costs, commonest, counts is not None))


def _commonest(costs: Costs, counts: Any) -> int:
    known = as_counts(counts)
    names = [str(c) for c in costs.classes]
    label = known.classes[int(np.argmax(known.counts))]
    if str(label) not in names:
        raise InputError("counts of the classes that have costs", repr(list(known.classes))[:80])
    return names.index(str(label))


# --- two classes ----------------------------------------------------------------------------------------------------


def _two(costs: Costs, positive: Any) -> Iterator[str]:
    names = [str(c) for c in costs.classes]
    if positive is not None and str(positive) not in names:
        raise InputError(f"`positive` as one of {', '.join(names)}", repr(positive))
    if costs.columns:
        # what depends on the row is what is missed, more often than what a false alarm costs
        k = names.index(str(positive)) if positive is not None else 1 - isinstance(costs.cells[0][1], str)
        yield from _two_per_row(costs, k)
        return
    (tn, fp), (fn, tp) = costs.matrix.tolist()
    k = names.index(str(positive)) if positive is not None else int(fn - tp >= fp - tn)
    miss, alarm = (fn - tp, fp - tn) if k else (fp - tn, fn - tp)
    if miss == 0:
        yield f"Missing {_noun(names[k])} costs nothing: the label {names[k]} is never worth it."
        return
    if alarm == 0:
        yield f"A false alarm costs nothing: label every row {names[k]} that may be one."
        return
    ratio = max(miss, alarm) / min(miss, alarm)
    if ratio == 1.0:
        said = f"One missed {_one(names[k])} costs as much as one false alarm"
    elif miss > alarm:
        said = f"One missed {_one(names[k])} costs as much as {amount(ratio)} false alarms"
    else:
        said = f"One false alarm costs as much as {amount(ratio)} missed rows of {names[k]}"
    above = percent(float(min_cost_threshold(costs, k)))
    yield f"{said}; act on a row when its probability of {names[k]} is above {above}."
    weights = class_weights(costs.matrix)[0]
    yield "Class weights say the same: " + _weighted(names, weights / weights.min()) + "."


def _two_per_row(costs: Costs, k: int) -> Iterator[str]:
    names = [str(c) for c in costs.classes]
    miss = _difference(costs.cells[k][1 - k], costs.cells[k][k])
    alarm = _difference(costs.cells[1 - k][k], costs.cells[1 - k][1 - k])
    yield f"Missing {_noun(names[k])} costs {miss}, a false alarm {alarm}."
    first, second = (f"({part})" if "−" in part else part for part in (alarm, miss))
    yield f"Act on a row when its probability of {names[k]} is above {first} / ({first} + {second})."


def _difference(cost: float | str, of_the_truth: float | str) -> str:
    if of_the_truth == 0.0:
        return _cell(cost)
    if not isinstance(cost, str) and not isinstance(of_the_truth, str):
        return amount(cost - of_the_truth)
    return f"{_cell(cost)} − {_cell(of_the_truth)}"


# --- more classes ---------------------------------------------------------------------------------------------------


def _per_row(costs: Costs) -> Iterator[str]:
    shown = [
        f"labelling {k} as {j} costs {_cell(cost)}"
        for k, row in zip(costs.classes, costs.cells, strict=True)
        for j, cost in zip(costs.classes, row, strict=True)
        if isinstance(cost, str)
    ]
    more = f", and {len(shown) - _MOST_CLASSES} more" if len(shown) > _MOST_CLASSES else ""
    yield f"Costs that differ from row to row: {', '.join(shown[:_MOST_CLASSES])}{more}."
    yield "Each row gets the label of least expected cost: min_cost(proba, costs.for_rows(table))."


def _more(costs: Costs, commonest: int, known: bool) -> Iterator[str]:
    names = [str(c) for c in costs.classes]
    regret = costs.matrix - np.diag(costs.matrix)[:, None]
    off = ~np.eye(len(names), dtype=bool)
    order = [
        divmod(int(at), len(names)) for at in np.argsort(-regret, axis=None, kind="stable")[: len(names) + _DEAREST]
    ]
    worst = [(k, j) for k, j in order if k != j][:_DEAREST]
    if np.ptp(regret[off]) == 0:
        yield "Every mistake costs the same: the likeliest label is the cheapest."
        return
    least = regret[off].min()
    told = [
        f"labelling {names[k]} as {names[j]} costs {amount(regret[k, j])}" for k, j in worst if regret[k, j] > least
    ]
    dearest = "The dearest mistake" if len(told) == 1 else "The dearest mistakes"
    yield f"{dearest}: {'; '.join(told)}. The cheapest costs {amount(float(least))}."
    for j, other in dominated(costs.matrix):
        yield (
            f"{names[j]} is never worth labelling: {names[other]} costs no more whatever the truth is, "
            f"as labelling {names[j]} as {names[other]} costs nothing."
        )
    listed = [k for k in range(len(names)) if k != commonest][:_MOST_CLASSES]
    thresholds = pairwise_thresholds(costs.matrix, commonest)
    parts = [f"{names[k]} above {percent(thresholds[k])}" for k in listed if not np.isnan(thresholds[k])]
    if parts:
        which = f"{names[commonest]}, the commonest" if known else names[commonest]
        yield f"In doubt between a class and {which}, label the class when its share of the two is: {', '.join(parts)}."
    weights, exact = class_weights(costs.matrix)
    shown = _weighted(names[:_MOST_CLASSES], (weights / weights.mean())[:_MOST_CLASSES])
    if exact:
        yield f"Class weights say the same: {shown}."
    else:
        k = int(np.argmax(_spread(regret)))
        row = np.delete(regret[k], k)
        yield (
            f"No class weights say the same, as what {_noun(names[k])} costs depends on the label ({amount(row.min())} "
            f"to {amount(row.max())}). Row sums are the nearest: {shown}."
        )


def _spread(regret: Floats) -> Floats:
    """Return how far the mistakes of each true class differ in cost."""
    off = np.where(np.eye(len(regret), dtype=bool), np.nan, regret)
    return np.asarray(np.nanmax(off, axis=1) - np.nanmin(off, axis=1))


def dominated(matrix: Floats) -> list[tuple[int, int]]:
    """Return (class, other) for each class whose label is never cheaper than another's, whatever the truth is.

    Examples
    --------
    >>> dominated(np.array([[0.0, 1.0, 2.0], [1.0, 0.0, 2.0], [0.0, 3.0, 0.0]]))
    [(2, 0)]
    """
    found = []
    # another label can only be as cheap for truth j itself if that mistake costs nothing: few columns need a look
    for j in np.flatnonzero((matrix <= np.diag(matrix)[:, None]).sum(1) > 1).tolist():
        rest = matrix - matrix[:, [j]]
        # of two labels that always cost the same the first is not dominated: it is the one that is given
        better = (rest <= 0).all(0) & ((rest < 0).any(0) | (np.arange(len(matrix)) < j))
        better[j] = False
        if better.any():
            found.append((j, int(np.argmax(better))))
    return found


def pairwise_thresholds(matrix: Floats, reference: int) -> Floats:
    r"""Return the share of p_k in p_k + p_r above which label k is cheaper than label r, other classes being out.

    .. math:: t_k = \frac{M[r, k] - M[r, r]}{M[r, k] - M[r, r] + M[k, r] - M[k, k]}

    Returns
    -------
    float64 ndarray of shape (C,)
        NaN for the reference itself, and where neither mistake costs anything.

    Examples
    --------
    >>> pairwise_thresholds(np.array([[0.0, 1.0, 1.0], [4.0, 0.0, 1.0], [9.0, 1.0, 0.0]]), 0)
    array([nan, 0.2, 0.1])
    """
    alarm = matrix[reference] - matrix[reference, reference]
    total = alarm + matrix[:, reference] - np.diag(matrix)
    return np.asarray(np.divide(alarm, total, out=np.full(len(matrix), np.nan), where=total > 0))


def class_weights(matrix: Floats) -> tuple[Floats, bool]:
    r"""Return the class weights nearest to a cost matrix, and whether they say the same.

    .. math:: w_k = \frac{1}{C - 1} \sum_{j \ne k} (M[k, j] - M[k, k])

    They do if the mistakes of each true class all cost the same: Σ_k p_k M[k, j] is then a constant minus w_j p_j.

    References
    ----------
    Ting, "An instance-weighting method to induce cost-sensitive trees", TKDE 14, 2002, doi:10.1109/TKDE.2002.1000348.

    Examples
    --------
    >>> class_weights(np.array([[0.0, 1.0, 1.0], [4.0, 0.0, 4.0], [9.0, 1.0, 0.0]]))
    (array([1., 4., 5.]), False)
    """
    regret = matrix - np.diag(matrix)[:, None]
    exact = bool((_spread(regret) <= 1e-12 * regret.max()).all())
    return regret.sum(1) / (len(matrix) - 1), exact


# --- texts ----------------------------------------------------------------------------------------------------------


def amount(value: float) -> str:
    """Format a cost or a ratio, in no unit.

    Examples
    --------
    >>> amount(50.0), amount(12345.678), amount(2.6666), amount(0.00012345)
    ('50', '12,346', '2.667', '0.0001234')
    """
    if abs(value) < 1e15 and float(value).is_integer():
        return f"{int(value):,}"
    return f"{value:,.0f}" if 1e4 <= abs(value) < 1e15 else f"{value:.4g}"


def percent(share: float) -> str:
    """Format a probability to two digits, counted from the nearer end.

    Examples
    --------
    >>> percent(1 / 51), percent(0.25), percent(0.9995), percent(0.0), percent(1.0)
    ('2 %', '25 %', '99.95 %', '0 %', '100 %')
    """
    near = min(share, 1.0 - share)
    digits = 0 if near == 0.0 else max(0, 1 - int(np.floor(np.log10(100.0 * near) + 1e-9)))
    text = f"{100.0 * share:.{digits}f}"
    return (text.rstrip("0").rstrip(".") if "." in text else text) + " %"


def _weighted(names: list[str], weights: Floats) -> str:
    return ", ".join(f"{name} {w:.3g}" for name, w in zip(names, weights.tolist(), strict=True))


def _cell(cost: float | str) -> str:
    return f"`{cost}`" if isinstance(cost, str) else amount(cost)


def _noun(name: str) -> str:
    """Return a class as a thing that is missed: by its name, or, where that is a number, as a row of it."""
    return name if name[:1].isalpha() else f"a {_one(name)}"


def _one(name: str) -> str:
    return name if name[:1].isalpha() else f"row of class {name}"
