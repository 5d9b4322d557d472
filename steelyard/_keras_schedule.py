"""Class weights that change while a Keras model trains."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from steelyard.errors import InputError, one_of
from steelyard.metrics.running import RunningConfusion

if TYPE_CHECKING:
    from steelyard.keras import Loss
    from steelyard.weights.schedules import Schedule

__all__ = ["ClassWeightScheduler"]


class ClassWeightScheduler(keras.callbacks.Callback):
    """Class weights of a schedule, written into the loss while ``fit`` runs; nothing is traced or compiled anew.

    Parameters
    ----------
    schedule : deferred, recall_driven or difficulty of sy.schedules
        What the weights are. Anything with ``class_weight(step)`` and, with `rows`, ``update(confusion)`` will do.
    rows : tuple (x, y), or an iterable of such batches, optional
        Rows, best held out, on which the recalls are taken at the end of every epoch, for schedules that follow them:
        one more ``predict`` per epoch. Targets are class indices or one-hot; rows of the loss's `ignore_index` do
        not count.
    unit : {"epoch", "batch"}, default "epoch"
        What steps are counted in, and so how often weights may change. Batches are counted over all epochs, by the
        optimiser's own counter.
    loss : sy.keras.Loss, optional
        The loss to write to, where the model has several; by default the model's only one.
    output : str or int, optional
        Where the model has several outputs: which of them that loss is for.

    Raises
    ------
    InputError
        A model whose loss is no `sy.keras.Loss` with ``n_classes=…``.

    Notes
    -----
    The weights take the place of the class weights that the loss had. For one logit per row (a sigmoid loss, two
    classes) they become its `class_weight` and `pos_weight`. ``loss.assign`` is called only when they change.
    A training that is resumed with ``fit(initial_epoch=…)`` goes on at that step; what a schedule has seen goes
    into ``schedule.to_dict()``.

    Examples
    --------
    >>> import keras, numpy as np, steelyard as sy
    >>> x, y = np.random.default_rng(0).normal(size=(60, 4)), np.array([0] * 50 + [1] * 10)
    >>> model = keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(2)])
    >>> model.compile(loss=sy.keras.Loss(sy.losses.cross_entropy(), n_classes=2))
    >>> schedule = sy.schedules.deferred([50, 10], start=2, scheme="balanced")
    >>> history = model.fit(x, y, epochs=3, verbose=0, callbacks=[sy.keras.ClassWeightScheduler(schedule)])
    >>> model.loss.loss.class_weight.round(4)
    array([0.3333, 1.6667])
    """

    def __init__(
        self,
        schedule: Schedule,
        rows: Any = None,
        unit: str = "epoch",
        loss: Loss | None = None,
        output: str | int | None = None,
    ) -> None:
        super().__init__()
        if not hasattr(schedule, "class_weight"):
            raise InputError("a schedule of sy.schedules", type(schedule).__name__, "sy.schedules.deferred(counts, …)")
        self.schedule, self.rows = schedule, rows
        self.unit = one_of("unit", unit, ("epoch", "batch"))
        self.loss, self.output = loss, output
        self._written: NDArray[np.float64] | None = None
        self._step = 0

    def set_model(self, model: Any) -> None:
        """Find the loss, and make its numbers part of the model's state (JAX)."""
        super().set_model(model)
        if self.loss is None:
            self.loss = model.loss
        if not hasattr(self.loss, "assign") or self.loss.n_classes is None:
            raise InputError(
                "a model compiled with one sy.keras.Loss(loss, n_classes=…)",
                f"{self.loss!r}",
                "only such a loss can be switched; say loss=… where there are several.",
            )
        self.loss.attach(model)

    def on_train_begin(self, logs: Any = None) -> None:  # noqa: ARG002  the names are Keras'
        """Begin at the weights of the first step."""
        self._written = None
        self._step = int(ops.convert_to_numpy(self.model.optimizer.iterations)) if self.unit == "batch" else 0

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002
        """Write the weights of an epoch."""
        if self.unit == "epoch":
            self._write(epoch)

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:  # noqa: ARG002
        """Write the weights of a step."""
        if self.unit == "batch":
            self._write(self._step)
            self._step += 1

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002
        """Show the schedule what the model can do now."""
        if self.rows is not None:
            self.schedule.update(self._confusion())

    def _write(self, step: int) -> None:
        assert self.loss is not None
        weights = np.asarray(self.schedule.class_weight(step), np.float64)
        if self._written is None or not np.array_equal(weights, self._written):
            now = self.loss.loss
            if now.dense_targets and self.loss.n_classes == 1:
                if weights.shape != (2,) or not weights[0] > 0:
                    raise InputError("weights of two classes for one logit, the first above 0", f"{weights.tolist()}")
                self.loss.assign(now.replace(class_weight=weights[0], pos_weight=weights[1] / weights[0]))
            else:
                self.loss.assign(now.replace(class_weight=weights))
            self._written = weights

    def _confusion(self) -> Any:
        assert self.loss is not None
        n_classes = 2 if self.loss.n_classes == 1 else self.loss.n_classes
        seen = RunningConfusion(int(n_classes or 0), decay=1.0)
        for x, y in self._batches():
            predicted = x if self.output is None else x[self.output]
            logits = np.asarray(ops.convert_to_numpy(predicted))
            truth = np.asarray(ops.convert_to_numpy(y))
            if self.loss.n_classes == 1:
                decided = (logits > 0).astype(int).reshape(-1)
            else:
                axis = self.loss.class_axis
                decided = logits.argmax(axis).reshape(-1)
                if truth.shape == logits.shape:
                    truth = truth.argmax(axis)
            truth = truth.reshape(-1).astype(int)
            ignored = self.loss.loss.ignore_index
            keep = np.ones(len(truth), bool) if ignored is None else truth != ignored
            seen.update_labels(truth[keep], decided[keep])
        return seen.matrix

    def _batches(self) -> Iterable[tuple[Any, Any]]:
        """Yield predictions and targets."""
        if isinstance(self.rows, tuple):
            x, y = self.rows[:2]
            yield self.model.predict(x, verbose=0), y
            return
        for x, y, *_ in self.rows:
            yield self.model.predict_on_batch(x), y
