"""Small Keras models for tests, and what is read off them."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np


def linear(outputs: int = 3, shape: tuple[int, ...] = (4,), **settings: Any) -> Any:
    keras.utils.set_random_seed(0)
    return keras.Sequential([keras.layers.Input(shape), keras.layers.Dense(outputs, **settings)])


def compiled(loss: Any, model: Any = None, rate: float = 0.0, **settings: Any) -> Any:
    model = linear() if model is None else model
    model.compile(optimizer=keras.optimizers.SGD(rate), loss=loss, **settings)
    return model


def logits_of(model: Any, x: Any) -> np.ndarray:
    return np.asarray(model.predict(x, batch_size=len(x), verbose=0), dtype=np.float64)


def evaluated(model: Any, x: Any, y: Any, **settings: Any) -> float:
    return float(model.evaluate(x, y, batch_size=len(x), verbose=0, **settings))
