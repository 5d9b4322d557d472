"""Keras 3: losses for ``compile``, ``fit``, ``save`` and ``load_model`` on the TensorFlow, JAX and torch backends."""

from __future__ import annotations

import weakref
from typing import Any

import keras
import numpy as np
from keras import ops

from steelyard import _ops
from steelyard._keras_bias import OutputBias
from steelyard._keras_schedule import ClassWeightScheduler
from steelyard.errors import InputError
from steelyard.losses import from_dict
from steelyard.losses.base import Loss as CoreLoss
from steelyard.losses.reduction import check_denominator, mean
from steelyard.losses.switching import check_classes, closed, numbers_of, opened

__all__ = ["ClassWeightScheduler", "Loss", "OutputBias"]


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
    reduction : None
        Belongs to the loss itself: ``loss.replace(reduction=…)``.
    dtype : optional
        Taken for the sake of Keras' own interface; the loss is computed in float32, or in float64 for such logits.
    denominator : float, "rows" or "sample_weight", optional
        What the mean of a batch is divided by: Σ s·ω when None, the number of rows that count, as Keras does it, or
        Σ s. A denominator that does not depend on the weights suits small batches of rare classes, and makes
        ``gradient_accumulation_steps`` exact.

    Notes
    -----
    The mean is Σ s·ω·ℓ / Σ s·ω over the batch, not the sum divided by the size of the batch as in Keras' own
    losses. ``sample_weight`` arrives as s and masks as s = 0. ``fit(class_weight={c: w_c})`` arrives as s = w_y, so
    that it gives Σ w·ℓ / Σ w: exactly what the same weights in the loss give, and not Keras' Σ w·ℓ / batch size.
    Class weights of the loss itself work for targets for which ``fit(class_weight=…)`` does not: (batch, time),
    pixels, several labels.

    Under ``tf.distribute`` the mean is over the rows of all replicas. With ``gradient_accumulation_steps`` Keras
    averages means of batches, which have different sums of weights: see `denominator`.

    Labels may be integers, integers stored as floats, with or without a last axis of 1, or one-hot.

    ``load_model`` needs no custom_objects after ``import steelyard.keras``. The import itself is needed: Keras
    imports no module that a model file names, unless it is its own.

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
        reduction: Any = None,
        dtype: Any = None,
        denominator: float | str | None = None,
    ) -> None:
        check_denominator(denominator)
        if reduction not in ("none", None):
            raise InputError(
                "the reduction in the loss itself", f"reduction={reduction!r}", "loss.replace(reduction=…)."
            )
        # Keras' own reduction is replaced by ours: see __call__
        super().__init__(name=name or "steelyard_loss", reduction="none", dtype=dtype)
        self.n_classes, self.pairs, self.class_axis = n_classes, pairs, class_axis
        self.denominator = denominator
        self._structure = opened(from_dict(loss) if isinstance(loss, dict) else loss, n_classes, pairs)
        self._held: _Parameters | None = None if n_classes is None else _Parameters(self._structure)
        self._models: weakref.WeakSet[Any] = weakref.WeakSet()
        self._compiled_as_constants = False

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """Return the loss of a batch, reduced over the rows that count."""
        mask = _mask_of(y_pred)
        y_pred = ops.convert_to_tensor(y_pred)
        y_true = self._targets(y_true, y_pred)
        example_rank = len(y_pred.shape) - (0 if self._structure.entrywise else 1)
        weight = self._weight(sample_weight, mask, y_pred, example_rank)
        xp = _ops.namespace(y_pred)
        values = self._values(xp, y_pred)
        given = (y_pred, y_true, weight, None, self.denominator)
        replicas = _replicas() if self._structure.reduction == "mean" else None
        if replicas is None:
            return self._structure.evaluate(xp, values, *given, self.class_axis)
        # Keras adds up the gradients of all replicas: each has its part of one mean
        numerator, denominator = self._structure.sums(xp, values, *given, self.class_axis)
        return mean(xp, numerator, replicas.all_reduce("sum", denominator))

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return ω·ℓ of each example, unreduced."""
        y_pred = ops.convert_to_tensor(y_pred)
        xp, y_true = _ops.namespace(y_pred), self._targets(y_true, y_pred)
        terms = self._structure._terms(xp, self._values(xp, y_pred), y_pred, y_true, None, None, self.class_axis)
        return terms.numerator

    def _values(self, xp: Any, y_pred: Any) -> Any:
        check_classes(self.n_classes, tuple(y_pred.shape), self.class_axis)
        if self._held is None:
            return self._structure._constants(xp, y_pred)
        values = self._held.cast(xp, y_pred)
        if keras.backend.backend() == "jax" and not xp.concrete(y_pred):
            # an ordinary array inside a traced step becomes a constant of the compiled program
            self._compiled_as_constants = any(v is not None and xp.concrete(v) for v in values)
        return values

    def _targets(self, y_true: Any, y_pred: Any) -> Any:
        y_true = ops.convert_to_tensor(y_true)
        rank, wanted = len(y_true.shape), len(y_pred.shape)
        if self._structure.dense_targets:
            return ops.reshape(y_true, ops.shape(y_pred)) if rank != wanted and _one(y_true, y_pred) else y_true
        if rank == wanted and y_pred.shape[self.class_axis] != 1:
            for axis in (self.class_axis, -1):
                if y_true.shape[axis] == 1:
                    y_true, rank = ops.squeeze(y_true, axis), rank - 1
                    break
        if rank == wanted - 1 and "int" not in keras.backend.standardize_dtype(y_true.dtype):
            xp = _ops.namespace(y_true)
            labels = ops.cast(y_true, "int32")
            if xp.concrete(y_true) and not bool(ops.all(ops.cast(labels, y_true.dtype) == y_true)):
                raise InputError(
                    "class indices, as integers or as floats with integer values",
                    f"{np.asarray(ops.convert_to_numpy(y_true)).ravel()[:4].tolist()} …",
                    "weights over classes have the shape of the logits.",
                )
            return labels
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

        They travel with the model's metrics: they are not trained, are no weights of the model and go into no saved
        file (the loss itself is saved with them). Call it before the model is fitted; on the other backends it
        does nothing.
        """
        if keras.backend.backend() != "jax":
            return
        if self._held is None:
            raise InputError("a loss built with n_classes=…", "one without", "only such a loss can be switched.")
        if not any(m is self._held for m in model.metrics):
            setattr(model, f"_steelyard_{id(self)}", self._held)
        if not any(m is self._held for m in model.metrics):
            raise InputError(
                "a model that takes metrics as attributes", f"{type(model).__name__}", "attach to the outermost model."
            )
        self._models.add(model)
        self._compiled_as_constants = False

    def assign(self, other: CoreLoss) -> None:
        """Switch to another loss: new numbers in the same variables; the compiled training step stays.

        Raises
        ------
        InputError
            This loss was built without `n_classes`; `other` needs what it does not hold; or, on the JAX backend,
            a training step was compiled without `attach`.
        """
        if self._held is None:
            raise InputError("a loss built with n_classes=…", "one without", "sy.keras.Loss(loss, n_classes=…).")
        if self._compiled_as_constants and not self._models:
            raise InputError(
                "`attach(model)` before `fit`, to switch the loss on the JAX backend",
                "a step that was compiled with the parameters as constants",
                "call loss.attach(model) once after model.compile.",
            )
        numbers = numbers_of(other, self._structure, self.n_classes, self.pairs)
        self._sync()
        self._held.assign(numbers)

    def _sync(self) -> None:
        """Bring the state back that a running `fit` on JAX keeps outside the variables."""
        for model in self._models:
            model.jax_state_sync()

    @property
    def loss(self) -> CoreLoss:
        """The loss as it stands now: for `posterior`, `to_dict`, `explain`."""
        return self._structure if self._held is None else closed(self._structure, self._arrays(self._held))

    def _arrays(self, held: _Parameters) -> dict[str, Any]:
        self._sync()
        return held.arrays()

    def posterior(self, logits: Any) -> Any:
        """Return class probabilities, corrected for what the loss did to the logits."""
        return self.loss.posterior(ops.convert_to_tensor(logits), class_axis=self.class_axis)

    def get_config(self) -> dict[str, Any]:
        """Return what `load_model` needs; the loss as it stands now, as JSON data."""
        now = self._structure if self._held is None else self._structure._with_parameters(self._arrays(self._held))
        return {
            "loss": now.to_dict(),
            "n_classes": self.n_classes,
            "pairs": self.pairs,
            "class_axis": self.class_axis,
            "name": self.name,
            "denominator": self.denominator,
        }

    def __reduce__(self) -> Any:
        return (type(self).from_config, (self.get_config(),))


def _mask_of(y_pred: Any) -> Any:
    """Return the mask that layers left on the logits; on JAX it is in a table of Keras, which has no public name."""
    try:
        from keras.src.backend import get_keras_mask
    except ImportError:  # Keras before 3.6
        return getattr(y_pred, "_keras_mask", None)
    return get_keras_mask(y_pred)


def _one(y_true: Any, y_pred: Any) -> bool:
    """Whether two shapes differ by a last axis of 1 only."""
    short, long = sorted((tuple(y_true.shape), tuple(y_pred.shape)), key=len)
    return (
        len(long) == len(short) + 1
        and long[-1] == 1
        and all(m is None or n is None or m == n for m, n in zip(short, long, strict=False))
    )


def _replicas() -> Any:
    """Return the replica context of ``tf.distribute`` where there are several replicas."""
    if keras.backend.backend() != "tensorflow":
        return None
    import tensorflow as tf

    context = tf.distribute.get_replica_context()
    return context if context is not None and context.num_replicas_in_sync > 1 else None


class _Value(keras.initializers.Initializer):
    """Start a variable at given numbers."""

    def __init__(self, numbers: Any) -> None:
        self.numbers = numbers

    def __call__(self, shape: Any, dtype: Any = None) -> Any:
        return ops.convert_to_tensor(np.broadcast_to(self.numbers, shape), dtype=dtype)


class _Parameters(keras.metrics.Metric):
    """The variables of a loss. A metric that measures nothing, because that is what any model takes into its state.

    A layer would not do: `Sequential` drops it, and a built model refuses it.
    """

    def __init__(self, structure: CoreLoss) -> None:
        super().__init__(name="steelyard_loss_parameters")
        self.structure = structure
        # JAX has no float64 unless it is switched on
        wide = "float32" if keras.backend.backend() == "jax" else "float64"
        self.by_name = {
            name: self.add_variable(
                shape=np.shape(value),
                initializer=_Value(value),
                dtype=wide,
                name=name,
            )
            for name, value in structure.parameters.items()
            if value is not None
        }

    def cast(self, xp: Any, like: Any) -> Any:
        dtype = xp.compute_dtype(like)
        return self.structure._pack(
            {n: xp.cast(self.by_name[n].value, dtype) if n in self.by_name else None for n in self.structure.parameters}
        )

    def assign(self, numbers: dict[str, Any]) -> None:
        for name, array in numbers.items():
            self.by_name[name].assign(array)

    def arrays(self) -> dict[str, Any]:
        held = {n: v.value for n, v in self.by_name.items()}
        xp = _ops.namespace(*held.values())
        return {
            n: np.asarray(xp.to_numpy(held[n]), dtype=np.float64) if n in held else None
            for n in self.structure.parameters
        }

    def update_state(self, *args: Any, **kwargs: Any) -> None:
        """Nothing is measured."""

    def reset_state(self) -> None:
        """Nothing was measured; the parameters stay."""

    def result(self) -> dict[str, Any]:
        """Return no entry for the logs."""
        return {}
