"""A floor of precision that holds on new rows: which cuts are proven to keep it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from steelyard.decisions.binomial import lower_bound, most_misses, rows_needed
from steelyard.decisions.thresholds import Cuts

__all__ = ["highest_proven", "proven"]


def proven(cuts: Cuts, level: float, confidence: float) -> NDArray[np.bool_]:
    r"""Say at which cuts a precision of at least `level` is proven, together with confidence `confidence`.

    Precision is not monotone in the threshold, so that one cut that passes says nothing about the others, and the
    best of many is partly the luckiest. Only cuts that flag 1, 2, 3, 4, 6, 8, 12, ... rows are tried, a grid that does
    not look at labels; each is tested at :math:`(1 - \text{confidence}) / G`, G being the number of cuts in the grid
    that could pass at all.

    Parameters
    ----------
    cuts : Cuts
    level : float
        In (0, 1).
    confidence : float
        In (0, 1).

    Returns
    -------
    bool ndarray of shape (m,)

    References
    ----------
    Angelopoulos et al., "Learn then test", Annals of Applied Statistics 19, 2025, arXiv:2110.01052, section 2.2.
    """
    allowed = np.zeros(len(cuts.found), bool)
    if level >= 1.0:
        return allowed
    tried = _grid(cuts, level, confidence)
    for cut, n in tried:
        if cuts.false[cut] <= most_misses(n, 1.0 - level, 1.0 - (1.0 - confidence) / len(tried)):
            allowed[cut] = True
    return allowed


def highest_proven(cuts: Cuts, level: float, confidence: float, where: NDArray[np.bool_]) -> float:
    """Return the highest precision that any cut of the grid for `level`, among those in `where`, would prove."""
    tried = _grid(cuts, level, confidence)
    each = 1.0 - (1.0 - confidence) / max(len(tried), 1)
    return max((lower_bound(n - round(float(cuts.false[c])), n, each) for c, n in tried if where[c]), default=0.0)


def _grid(cuts: Cuts, level: float, confidence: float) -> list[tuple[int, int]]:
    """Return the cuts that are tried, with the number of rows that each flags."""
    flagged = cuts.found + cuts.false
    ranks = np.unique(np.concatenate([2 ** np.arange(0, 40), 3 * 2 ** np.arange(0, 39)]))
    fewest = rows_needed(1.0 - level, confidence) if level < 1.0 else 1
    ranks = ranks[(ranks >= fewest) & (ranks <= flagged[-1])]
    # rows with equal scores come together: perhaps some more
    return [(int(cut), round(float(flagged[cut]))) for cut in np.searchsorted(flagged, ranks)]
