"""What the winner is really worth: the best of several is partly the luckiest of several."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Corrected", "corrected_for_selection"]

Floats = NDArray[np.float64]
OfWeights = Callable[["Floats | None"], float]

_DRAWS = 500


@dataclass(frozen=True)
class Corrected:
    """Estimate of the winner's performance on new data; NaN where it cannot be had."""

    estimate: float
    low: float
    high: float
    optimism: float


def corrected_for_selection(
    candidates: Sequence[Sequence[OfWeights]],
    winner: int,
    mean: float,
    y: NDArray[np.int64],
    seed: int,
    greater_is_better: bool = True,
    draws: int = _DRAWS,
    confidence: float = 0.95,
) -> Corrected:
    r"""Correct the winner's mean for having been chosen, by the bootstrap over stored out-of-fold scores.

    Rows are drawn with replacement, within their class. On the rows drawn the best candidate i_b is chosen,
    as the user did on all rows; on the rows left out it is scored, and so is the winner w of all rows:

    .. math:: \text{optimism} = \frac1B \sum_b \left[ m_{oob(b)}(w) - m_{oob(b)}(i_b) \right],
              \qquad \text{estimate} = \text{mean} - \text{optimism}

    This is BBC-CV with the winner's own score on the left-out rows as a control: for a metric that is a
    mean over rows :math:`m_{oob}(w)` averages to the winner's score on all rows, and the estimate is
    BBC-CV's; for others, such as average precision, both terms have the same few rows and the bias of small
    samples cancels. The interval is that of :math:`m_{oob(b)}(i_b)`, moved to the estimate; it is somewhat
    too wide, as the left-out rows are about a third. No model is trained.

    Parameters
    ----------
    candidates : sequence over candidates of sequences over repeats
        Each a function of row weights → metric of the stored scores of that repeat (`Metric.prepare`).
    winner : int
        The candidate that was chosen.
    mean : float
        Its mean over folds.
    y : int64 ndarray of shape (n,)
    seed : int
    greater_is_better : bool
    draws : int
        Bootstrap samples; default 500.
    confidence : float

    Returns
    -------
    Corrected
        NaN where the metric is undefined in more than half of the draws.

    References
    ----------
    Tsamardinos, Greasidou and Borboudakis, "Bootstrapping the out-of-sample
    predictions for efficient and accurate cross-validation", Machine Learning 107, 2018,
    doi:10.1007/s10994-018-5714-4.
    """
    generator = np.random.default_rng(seed)
    strata = [np.flatnonzero(y == k) for k in np.unique(y)]
    sign = 1.0 if greater_is_better else -1.0
    chosen, fixed = [], []
    for _ in range(draws):
        drawn = np.concatenate([generator.choice(rows, len(rows)) for rows in strata])
        inside = np.bincount(drawn, minlength=len(y)).astype(np.float64)
        outside = (inside == 0).astype(np.float64)
        scores = [sign * _over_repeats(c, inside) for c in candidates]
        if not np.isfinite(scores).any():
            continue
        pick = int(np.nanargmax(scores))
        fixed.append(_over_repeats(candidates[winner], outside))
        chosen.append(fixed[-1] if pick == winner else _over_repeats(candidates[pick], outside))
    usable = np.isfinite(chosen) & np.isfinite(fixed)
    if usable.sum() <= draws / 2:
        return Corrected(float("nan"), float("nan"), float("nan"), float("nan"))
    picked, kept = np.asarray(chosen)[usable], np.asarray(fixed)[usable]
    # for a metric where lower is better the winner's luck is downwards; no luck is not turned into a gain
    optimism = sign * max(sign * float((kept - picked).mean()), 0.0)
    estimate = mean - optimism
    tails = np.quantile(picked, [(1.0 - confidence) / 2.0, (1.0 + confidence) / 2.0]) - picked.mean()
    return Corrected(estimate, estimate + float(tails[0]), estimate + float(tails[1]), optimism)


def _over_repeats(candidate: Sequence[OfWeights], weight: Floats) -> float:
    return float(np.mean([of_weights(weight) for of_weights in candidate]))
