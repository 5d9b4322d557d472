"""What a loss, and all that is around it, does to the classes: in words and numbers, before anything is trained.

`explain` reads what the user has at hand (`training`), works out where training ends (`optimum`) and what a mean over a
batch weighs (`averaging`), looks for what is probably not meant (`findings`), and returns a page (`page`).
"""

from __future__ import annotations

from steelyard.explanation.explaining import explain
from steelyard.explanation.page import Explanation, Finding

__all__ = ["Explanation", "Finding", "explain"]
