"""The staged search for weights: what a training fold's own rows can say, and what untouched folds make of it."""

from __future__ import annotations
