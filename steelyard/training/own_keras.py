"""A Keras model of the user's own, trained on the loss of a strategy by the recipe of our networks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

import steelyard.keras
from steelyard.strategies import Point
from steelyard.training import own, recipe

__all__ = ["Model", "check", "fit", "restore"]

_ROWS_AT_A_TIME = 8192
_DROPOUT = 7  # its generator is not the one of the initial weights


class Model:
    """A trained Keras model.

    Attributes
    ----------
    model : keras.Model
    n_features, n_classes : int
    path : str or None
        Where its factory can be imported from.
    """

    def __init__(self, model: Any, n_features: int, n_classes: int) -> None:
        self.model, self.n_features, self.n_classes = model, n_features, n_classes
        self.path: str | None = None

    def logits(self, X: NDArray[Any]) -> NDArray[np.float64]:
        """Return unnormalised scores of shape (n, C)."""
        return _logits(self.model, X, self.n_classes)

    def state(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return what has to be stored: JSON data, and arrays by name."""
        facts = {
            "framework": "keras",
            "factory": self.path,
            "n_features": self.n_features,
            "n_classes": self.n_classes,
        }
        return facts, {f"weight.{i}": w for i, w in enumerate(self.model.get_weights())}


class _Batches(keras.utils.PyDataset):
    """The rows of some steps, in their order."""

    def __init__(self, plan: recipe.Plan, first: int, last: int) -> None:
        super().__init__(workers=0)
        self.plan, self.first, self.last = plan, first, last

    def __len__(self) -> int:
        return self.last - self.first

    def __getitem__(self, i: int) -> tuple[Any, Any, Any]:
        rows = self.plan.batches[self.first + i]
        share = np.float32(1.0 / self.plan.denominators[self.plan.part(self.first)])
        return self.plan.X[rows].astype(np.float32), self.plan.y[rows], np.full(len(rows), share)


def check(model: Any, n_features: int, n_classes: int) -> None:
    """Refuse a model whose output is not a logit for each class."""
    X = np.random.default_rng(0).normal(size=(4, n_features)).astype(np.float32)
    own.checked_logits(_output(model, X), 4, n_classes, fresh=True)


def fit(
    model: Any, X: NDArray[Any], y: NDArray[Any], point: Point, n_classes: int, state: int, options: Mapping[str, Any]
) -> tuple[Model, str | None]:
    """Train a new model: AdamW, a cosine schedule, and a denominator that is the same in every step."""
    plan = recipe.plan(X, y, point, n_classes, state, options)
    own.checked_logits(_output(model, X[:1].astype(np.float32)), 1, n_classes)  # builds what is built on first call
    own.seed(state + _DROPOUT)
    # a sum over rows of weight 1 / (B · ω̄): the constant denominator goes in as a sample weight
    first, *later = (loss.replace(reduction="sum") for loss in plan.losses)
    loss = steelyard.keras.Loss(first, n_classes=n_classes if later else None)
    rate = keras.optimizers.schedules.CosineDecay(plan.rate, plan.steps)
    model.compile(optimizer=keras.optimizers.AdamW(rate, weight_decay=plan.decay), loss=loss)
    if later:
        loss.attach(model)
    switch = plan.switch if later else plan.steps
    for begin, end in ((0, switch), (switch, plan.steps)):
        if begin == switch and later:
            loss.assign(later[0])
        if end > begin:
            model.fit(_Batches(plan, begin, end), epochs=1, shuffle=False, verbose=0)
    if not all(np.isfinite(w).all() for w in model.get_weights()):
        raise FloatingPointError("its training diverged: weights are not finite")
    return Model(model, X.shape[1], n_classes), None


def restore(model: Any, facts: Mapping[str, Any], arrays: Mapping[str, Any], path: str | None) -> Model:
    """Put stored weights into a new model."""
    n_features, n_classes = int(facts["n_features"]), int(facts["n_classes"])
    own.checked_logits(_output(model, np.zeros((1, n_features), np.float32)), 1, n_classes)
    stored, present = [arrays[f"weight.{i}"] for i in range(len(arrays))], model.get_weights()
    shapes = [[list(w.shape) for w in weights] for weights in (present, stored)]
    if shapes[0] != shapes[1]:
        raise own.FactoryError(
            "the factory that built the stored model",
            f"another: its weights have the shapes {str(shapes[0])[:200]}, and not {str(shapes[1])[:200]}",
        )
    model.set_weights(stored)
    trained = Model(model, n_features, n_classes)
    trained.path = path
    return trained


def _logits(model: Any, X: NDArray[Any], n_classes: int) -> NDArray[np.float64]:
    X = np.asarray(X, np.float32)
    parts = [_output(model, X[i : i + _ROWS_AT_A_TIME]) for i in range(0, max(len(X), 1), _ROWS_AT_A_TIME)]
    return own.checked_logits(np.concatenate(parts), len(X), n_classes)


def _output(model: Any, X: NDArray[np.float32]) -> NDArray[Any]:
    return np.asarray(keras.ops.convert_to_numpy(model(X, training=False)))
