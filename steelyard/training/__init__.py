"""Models: arrays, class indices and a strategy's point in, logits out. Nothing here knows of folds or tables."""

from __future__ import annotations

from steelyard.training.models import Fitted, Model, TrainedModel, backend, fit, fit_all, get, names, resolve, restore

__all__ = ["Fitted", "Model", "TrainedModel", "backend", "fit", "fit_all", "get", "names", "resolve", "restore"]
