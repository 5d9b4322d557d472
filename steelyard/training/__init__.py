"""Models: arrays, class indices and a strategy's point in, logits out. Nothing here knows of folds or tables."""

from __future__ import annotations

from steelyard.training.models import (
    CHUNK,
    Fitted,
    Model,
    TrainedModel,
    backend,
    fit,
    fit_all,
    get,
    logits,
    named,
    names,
    read,
    resolve,
    restore,
)
from steelyard.training.own import (
    FRAMEWORKS,
    FactoryError,
    NotExpressibleError,
    NotStorableError,
    Source,
    source,
    untrusted,
)

__all__ = [
    "CHUNK",
    "FRAMEWORKS",
    "FactoryError",
    "Fitted",
    "Model",
    "NotExpressibleError",
    "NotStorableError",
    "Source",
    "TrainedModel",
    "backend",
    "fit",
    "fit_all",
    "get",
    "logits",
    "named",
    "names",
    "read",
    "resolve",
    "restore",
    "source",
    "untrusted",
]
