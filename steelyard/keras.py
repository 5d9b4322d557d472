"""Keras 3: losses for ``compile``, ``fit``, ``save`` and ``load_model`` on the TensorFlow, JAX and torch backends."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from steelyard import _ops
from steelyard.errors import InputError
from steelyard.losses import from_dict
from steelyard.losses.base import Loss as CoreLoss
from steelyard.losses.switching import numbers_of, opened

__all__ = ["Loss"]


@keras.saving.register_keras_serializable(package="steelyard")
class Loss(keras.losses.Loss):
    """A loss for ``model.compile(loss=…)``.

    Parameters
    ----------
    loss : SoftmaxCrossEntropy or SigmoidCrossEntropy, or its `to_dict`
        What to compute. The model gives logits: its last layer has no activation.
    n_classes : int, optional
        Hold every per-class parameter as a variable, so that `assign` can switch to any other loss of the family
        while the compiled training step stays as it is.
    pairs : bool, default False
        With `n_classes`, hold the (n_classes, n_classes) parameters too.
    class_axis : int, default -1
        Axis of the classes in the logits.
    name : str, optional
        Name of the loss in Keras.

    Notes
    -----
    The mean is Σ s·ω·ℓ / Σ s·ω, not the sum over the batch divided by its size as in Keras' own losses.
    ``fit(class_weight=…)`` and ``sample_weight`` arrive as s, masks as s = 0. Class weights of the loss itself work
    for targets for which ``fit(class_weight=…)`` does not: (batch, time), pixels, several labels.

    Labels may be integers, integers stored as floats, with or without a last axis of 1, or one-hot.

    On the JAX backend the training step is a pure function of the model's state: call `attach` once, before `fit`,
    for `assign` to be seen there.

    Examples
    --------
    >>> import keras, steelyard as sy
    >>> counts = sy.ClassCounts.from_counts({"no": 90, "yes": 10})
    >>> model = keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(2)])
    >>> model.compile(optimizer="adam", loss=sy.keras.Loss(sy.losses.logit_adjusted(counts)))
    """

    def __init__(
        self,
        loss: CoreLoss | dict[str, Any],
        n_classes: int | None = None,
        pairs: bool = False,
        class_axis: int = -1,
        name: str | None = None,
        dtype: Any = None,
        **unused: Any,
    ) -> None:
        core = from_dict(loss) if isinstance(loss, dict) else loss
        # Keras' own reduction is replaced by ours: see __call__
        super().__init__(name=name or "steelyard_loss", reduction="none", dtype=dtype)
        if unused.get("reduction", "none") not in ("none", None):
            raise InputError(
                "the reduction in the loss itself", f"reduction={unused['reduction']!r}", "loss.replace(reduction=…)."
            )
        self.n_classes, self.pairs, self.class_axis = n_classes, pairs, class_axis
        self._structure = opened(core, n_classes, pairs)
        self._held: _Parameters | None = None if n_classes is None else _Parameters(self._structure)
        self._attached = keras.backend.backend() != "jax"

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """Return the loss of a batch, reduced over the rows that count."""
        mask = getattr(y_pred, "_keras_mask", None)
        y_pred = ops.convert_to_tensor(y_pred)
        y_true = self._targets(y_true, y_pred)
        example_rank = len(y_pred.shape) - (0 if self._structure.dense_targets else 1)
        weight = self._weight(sample_weight, mask, y_pred, example_rank)
        xp = _ops.namespace(y_pred)
        values = self._structure._constants(xp, y_pred) if self._held is None else self._held.cast(xp, y_pred)
        return self._structure.evaluate(xp, values, y_pred, y_true, weight, None, None, self.class_axis)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return ω·ℓ of each example, unreduced."""
        y_pred = ops.convert_to_tensor(y_pred)
        return self._structure.value(y_pred, self._targets(y_true, y_pred), class_axis=self.class_axis)

    def _targets(self, y_true: Any, y_pred: Any) -> Any:
        y_true = ops.convert_to_tensor(y_true)
        rank, wanted = len(y_true.shape), len(y_pred.shape)
        if self._structure.dense_targets:
            return ops.reshape(y_true, ops.shape(y_pred)) if rank != wanted and _one(y_true, y_pred) else y_true
        same_axis = rank == wanted and y_true.shape[self.class_axis] == y_pred.shape[self.class_axis]
        if rank == wanted and not same_axis and y_true.shape[-1] == 1:
            y_true, rank = ops.squeeze(y_true, -1), rank - 1
        if rank == wanted - 1:
            y_true = ops.cast(y_true, "int32")
        return y_true

    def _weight(self, sample_weight: Any, mask: Any, y_pred: Any, rank: int) -> Any:
        dtype = "float64" if keras.backend.standardize_dtype(y_pred.dtype) == "float64" else "float32"
        weight = None
        for part in (sample_weight, mask):
            if part is None:
                continue
            part = ops.cast(ops.convert_to_tensor(part), dtype)
            while len(part.shape) > rank and part.shape[-1] == 1:
                part = ops.squeeze(part, -1)
            while 0 < len(part.shape) < rank:
                part = ops.expand_dims(part, -1)
            weight = part if weight is None else weight * part
        return weight

    def attach(self, model: Any) -> None:
        """Make the parameters part of the state of `model`, so that `assign` is seen on the JAX backend.

        They are not trainable and go into no saved file of the model other than as unused entries; on the other
        backends this does nothing.
        """
        if keras.backend.backend() == "jax":
            if self._held is None:
                raise InputError("a loss built with n_classes=…", "one without", "only such a loss can be switched.")
            model.steelyard_loss_parameters = self._held
            self._attached = True

    def assign(self, other: CoreLoss) -> None:
        """Switch to another loss: new numbers in the same variables; the compiled training step stays.

        Raises
        ------
        InputError
            This loss was built without `n_classes`; `other` needs what it does not hold; or, on the JAX backend,
            `attach` was not called.
        """
        if self._held is None:
            raise InputError("a loss built with n_classes=…", "one without", "sy.keras.Loss(loss, n_classes=…).")
        if not self._attached:
            raise InputError(
                "a loss attached to its model",
                "one that the compiled step of the JAX backend holds as a constant",
                "call loss.attach(model) before fit.",
            )
        self._held.assign(numbers_of(other, self._structure, self.n_classes, self.pairs))

    @property
    def loss(self) -> CoreLoss:
        """The loss as it stands now: for `posterior`, `to_dict`, `explain`."""
        return self._structure if self._held is None else self._structure._with_parameters(self._held.arrays())

    def posterior(self, logits: Any) -> Any:
        """Return class probabilities, corrected for what the loss did to the logits."""
        return self.loss.posterior(ops.convert_to_tensor(logits), class_axis=self.class_axis)  # type: ignore[attr-defined]

    def get_config(self) -> dict[str, Any]:
        """Return what `load_model` needs; the loss as it stands now, as JSON data."""
        return {
            "loss": self.loss.to_dict(),
            "n_classes": self.n_classes,
            "pairs": self.pairs,
            "class_axis": self.class_axis,
            "name": self.name,
        }


def _one(y_true: Any, y_pred: Any) -> bool:
    """Whether two shapes differ by a last axis of 1 only."""
    a, b = list(y_true.shape), list(y_pred.shape)
    return (a[-1:] == [1] and a[:-1] == b) or (b[-1:] == [1] and b[:-1] == a)


class _Parameters(keras.layers.Layer):
    """The variables of a loss. A layer, because that is what a model takes into its state."""

    def __init__(self, structure: CoreLoss) -> None:
        super().__init__(name="steelyard_loss_parameters", dtype="float32", trainable=False)
        self.structure = structure
        xp = _ops.namespace(ops.zeros((1,)))
        # JAX has no float64 unless it is switched on
        wide = "float64" if xp.__name__.endswith(("torch", "tensorflow")) else "float32"
        self.by_name = {
            name: self.add_weight(
                shape=np.shape(value),
                initializer=lambda shape, dtype=None, value=value: ops.convert_to_tensor(value, dtype=dtype),
                dtype=wide,
                autocast=False,
                trainable=False,
                name=name,
            )
            for name, value in structure.parameters.items()
            if value is not None
        }
        self.built = True

    def cast(self, xp: Any, like: Any) -> Any:
        dtype = xp.compute_dtype(like)
        return self.structure._pack(
            {n: xp.cast(self.by_name[n].value, dtype) if n in self.by_name else None for n in self.structure.parameters}
        )

    def assign(self, numbers: dict[str, Any]) -> None:
        for name, array in numbers.items():
            self.by_name[name].assign(array)

    def arrays(self) -> dict[str, Any]:
        return {
            n: np.asarray(ops.convert_to_numpy(self.by_name[n]), dtype=np.float64) if n in self.by_name else None
            for n in self.structure.parameters
        }
