"""From scores to labels, without training: other priors, costs, and rules fitted on held-out rows."""

from __future__ import annotations

from steelyard.decisions.best_rules import best_rule
from steelyard.decisions.cost_files import read_costs
from steelyard.decisions.costs import min_cost, min_cost_threshold
from steelyard.decisions.fitted import Rule
from steelyard.decisions.fitting import fit
from steelyard.decisions.label_thresholds import LabelThresholds
from steelyard.decisions.pair_weighting import pair_weights
from steelyard.decisions.plug_in import best_plug_in, best_prior_exponent
from steelyard.decisions.rules import PlugIn, Threshold, TopAlarms
from steelyard.decisions.serialization import from_dict
from steelyard.decisions.shifts import post_hoc_logit_adjustment, prior_shift
from steelyard.decisions.similarity import ordinal_costs, similarity_costs, tree_costs
from steelyard.decisions.stated_costs import Costs
from steelyard.decisions.thresholds import best_threshold

__all__ = [
    "Costs",
    "LabelThresholds",
    "PlugIn",
    "Rule",
    "Threshold",
    "TopAlarms",
    "best_plug_in",
    "best_prior_exponent",
    "best_rule",
    "best_threshold",
    "fit",
    "from_dict",
    "min_cost",
    "min_cost_threshold",
    "ordinal_costs",
    "pair_weights",
    "post_hoc_logit_adjustment",
    "prior_shift",
    "read_costs",
    "similarity_costs",
    "tree_costs",
]
