"""Labels → counts → class weights. NumPy alone, and whatever package the labels came from."""

from __future__ import annotations

from steelyard.weights import schedules
from steelyard.weights.counts import ClassCounts, as_counts
from steelyard.weights.resolution import class_weight, class_weight_names
from steelyard.weights.warnings import InvertedWeightsWarning, OneHotWarning

__all__ = [
    "ClassCounts",
    "InvertedWeightsWarning",
    "OneHotWarning",
    "as_counts",
    "class_weight",
    "class_weight_names",
    "schedules",
]
