"""Whether a richer stage may replace a cheaper one: paired differences on folds that neither has seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from steelyard.metrics import Estimate, corrected_resampled_t

__all__ = ["CONFIDENCE", "Measured", "Verdict", "accepted_stage", "judged"]

Floats = NDArray[np.float64]

CONFIDENCE = 0.90  # of the interval of a difference: its lower end is a one-sided test at 5 %


@dataclass(frozen=True)
class Measured:
    """A stage on the untouched folds.

    Attributes
    ----------
    name : str
    values : float64 ndarray of shape (folds,)
        The metric; with a floor what is to be raised while it is kept.
    kept : float64 ndarray of shape (folds,) or None
        With a floor: the quantity that it is about, in each fold.
    pooled : float or None
        The same over the rows of all folds.
    """

    name: str
    values: Floats
    kept: Floats | None = None
    pooled: float | None = None


@dataclass(frozen=True)
class Verdict:
    """Whether a stage replaces the best cheaper one, and why.

    Attributes
    ----------
    stage : str
    against : str or None
        The stage that it was compared with; None for the first.
    difference : Estimate or None
        Stage minus the other, as the metric counts, with its 90 % interval.
    accepted : bool
    reason : str
    """

    stage: str
    against: str | None
    difference: Estimate | None
    accepted: bool
    reason: str


def judged(
    stages: Sequence[Measured], test_to_train: float, greater_is_better: bool = True, floor: float | None = None
) -> list[Verdict]:
    r"""Go through the stages in the order of their cost; each is compared with the last that was accepted.

    A stage is accepted if the 90 % interval of its mean difference over folds, corrected for the overlap of their
    training rows, lies on the better side of 0: a one-sided test at 5 % for each stage. With a floor a stage must in
    addition keep it, over the test rows of all folds together; one that does not is never accepted for its value.
    Where the cheaper stage breaks the floor, one that keeps it is accepted whatever its value; where both break it,
    the one that comes nearer.

    Parameters
    ----------
    stages : sequence of Measured
        The cheapest first.
    test_to_train : float
        Rows of a test fold divided by rows of its training fold.
    greater_is_better : bool
    floor : float, optional

    Returns
    -------
    list of Verdict

    References
    ----------
    Nadeau and Bengio, Machine Learning 52, 2003, doi:10.1023/A:1024068626366, for the interval.

    Examples
    --------
    >>> cheap = Measured("plain", np.array([0.50, 0.52, 0.49, 0.51, 0.50]))
    >>> rich = Measured("retrained", np.array([0.60, 0.61, 0.60, 0.62, 0.59]))
    >>> [verdict.accepted for verdict in judged([cheap, rich], 0.25)]
    [True, True]
    """
    incumbent = stages[0]
    out = [Verdict(incumbent.name, None, None, True, "where the search starts")]
    for stage in stages[1:]:
        verdict = _compared(stage, incumbent, test_to_train, 1.0 if greater_is_better else -1.0, floor)
        out.append(verdict)
        if verdict.accepted:
            incumbent = stage
    return out


def accepted_stage(verdicts: Sequence[Verdict]) -> str:
    """Return the last stage that was accepted."""
    return [v.stage for v in verdicts if v.accepted][-1]


def _compared(stage: Measured, other: Measured, test_to_train: float, sign: float, floor: float | None) -> Verdict:
    differences = stage.values - other.values
    difference = corrected_resampled_t(differences, test_to_train, CONFIDENCE)
    better = min(sign * difference.low, sign * difference.high) > 0  # False where undefined
    accepted, reason = better, _words(difference, other.name, better, sign)
    if floor is not None and stage.pooled is not None and other.pooled is not None:
        keeps, kept = stage.pooled >= floor - 1e-12, other.pooled >= floor - 1e-12
        if not keeps and kept:
            accepted, reason = False, f"breaks the floor of {floor:g} that {other.name} keeps ({stage.pooled:.3f})"
        elif keeps and not kept:
            accepted = True
            reason = (
                f"keeps the floor of {floor:g} ({stage.pooled:.3f}), which {other.name} breaks ({other.pooled:.3f})"
            )
        elif not keeps:
            accepted = stage.pooled > other.pooled
            nearer = "comes nearer to it" if accepted else "comes no nearer to it"
            reason = (
                f"no stage keeps the floor of {floor:g} yet; this one ({stage.pooled:.3f}) {nearer} than {other.name}"
            )
            reason += f" ({other.pooled:.3f})"
    return Verdict(stage.name, other.name, difference, accepted, reason)


def _words(difference: Estimate, other: str, better: bool, sign: float) -> str:
    if difference.n < 2:
        return f"too few folds on which it and {other} can be compared"
    if difference.low == difference.high == 0.0:
        return f"the same as {other} on every fold"
    if better:
        return f"better than {other} on untouched folds"
    if max(sign * difference.low, sign * difference.high) < 0:
        return f"worse than {other} on untouched folds"
    return f"no detectable gain over {other}"
