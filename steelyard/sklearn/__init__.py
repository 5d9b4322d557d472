"""scikit-learn: any model on any strategy as a classifier."""

from __future__ import annotations

from steelyard.sklearn.classifier import ImbalancedClassifier

__all__ = ["ImbalancedClassifier"]
