"""What a score is worth: label, ranking and probability metrics, intervals, tests and verdicts.

The arithmetic is NumPy's alone, since decisions search over it; scikit-learn and imbalanced-learn are the
oracles of its tests.
"""

from __future__ import annotations

from steelyard.metrics.catalogue import WITH_IDEAL, Metric, get, names, standard_names
from steelyard.metrics.intervals import Estimate, corrected_resampled_t, holm, smallest_detectable, verdict

__all__ = [
    "WITH_IDEAL",
    "Estimate",
    "Metric",
    "corrected_resampled_t",
    "get",
    "holm",
    "names",
    "smallest_detectable",
    "standard_names",
    "verdict",
]
