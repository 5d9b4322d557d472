"""Named ways to treat imbalance: a name → class counts → loss, rows and decision.

To add one, write a function in the file of its family and a test: the register, the command line's list and
the comparison follow.
"""

from __future__ import annotations

from importlib import import_module

from steelyard.strategies.point import Point
from steelyard.strategies.strategy import Strategy, get, names

__all__ = ["Point", "Strategy", "get", "names"]

# importing a family registers its strategies; this is the order in which they are listed
for _family in ("post_hoc", "weighting", "logits", "focusing", "resampling", "refitted"):
    import_module(f"steelyard.strategies.{_family}")
