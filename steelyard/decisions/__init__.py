"""From scores to labels, without training: other priors, costs, and rules fitted on held-out rows."""

from __future__ import annotations

from steelyard.decisions.costs import min_cost
from steelyard.decisions.fitting import best_rule
from steelyard.decisions.plug_in import best_prior_exponent
from steelyard.decisions.rules import PlugIn, Threshold, from_dict
from steelyard.decisions.shifts import post_hoc_logit_adjustment, prior_shift
from steelyard.decisions.thresholds import best_threshold

__all__ = [
    "PlugIn",
    "Threshold",
    "best_prior_exponent",
    "best_rule",
    "best_threshold",
    "from_dict",
    "min_cost",
    "post_hoc_logit_adjustment",
    "prior_shift",
]
