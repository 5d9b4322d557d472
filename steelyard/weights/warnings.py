"""What is allowed and rarely meant."""

from __future__ import annotations

__all__ = ["InvertedWeightsWarning", "OneHotWarning"]


class InvertedWeightsWarning(UserWarning):
    """Class weights grow with frequency: the frequent class is counted twice over, the rare one is muted."""


class OneHotWarning(UserWarning):
    """Rows that look one-hot are counted as sequences of labels 0 and 1."""
