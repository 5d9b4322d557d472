"""From scores to labels, without training: other priors, costs, and thresholds fitted on held-out rows."""

from __future__ import annotations

from steelyard.decisions.costs import min_cost
from steelyard.decisions.fitting import PriorPlugIn, Threshold, best_prior_exponent, best_threshold, from_dict
from steelyard.decisions.shifts import post_hoc_logit_adjustment, prior_shift

__all__ = [
    "PriorPlugIn",
    "Threshold",
    "best_prior_exponent",
    "best_threshold",
    "from_dict",
    "min_cost",
    "post_hoc_logit_adjustment",
    "prior_shift",
]
