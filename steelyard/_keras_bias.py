"""A bias to start from, for the last layer of a Keras model."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from steelyard.errors import InputError
from steelyard.losses import Loss, SigmoidCrossEntropy, from_dict
from steelyard.losses.starting import output_bias
from steelyard.weights import ClassCounts, as_counts

__all__ = ["OutputBias"]


@keras.saving.register_keras_serializable(package="steelyard")
class OutputBias(keras.initializers.Initializer):
    """Start the bias of the output layer where the loss knows the class shares: ``bias_initializer=…``.

    Parameters
    ----------
    counts : ClassCounts, mapping or (n_classes,)
        Class counts of the training rows; of multi-label indicators for one logit per label.
    loss : sy.keras.Loss or a loss of steelyard.losses, optional
        What the model is trained on: weights and offsets change what a logit means. Without it cross-entropy, of
        sigmoids for indicators or one output.

    Raises
    ------
    InputError
        A layer with another number of outputs, or what `steelyard.losses.starting.output_bias` raises.

    Notes
    -----
    With ``loss=sy.keras.Loss(sy.losses.logit_adjusted(counts))`` or balanced weights the right bias is 0, and log π
    would be wrong twice: pass the loss.

    Examples
    --------
    >>> import keras, numpy as np, steelyard as sy
    >>> counts = sy.ClassCounts.from_counts({"no": 950, "yes": 50})
    >>> head = keras.layers.Dense(2, kernel_initializer="zeros", bias_initializer=sy.keras.OutputBias(counts))
    >>> model = keras.Sequential([keras.layers.Input((4,)), head, keras.layers.Softmax()])
    >>> print(model.predict(np.zeros((1, 4)), verbose=0).round(3))
    [[0.95 0.05]]
    """

    def __init__(self, counts: Any, loss: Any = None) -> None:
        self.counts = as_counts(counts)
        self.loss: Loss | None = getattr(loss, "loss", loss)

    def __call__(self, shape: Any, dtype: Any = None) -> Any:
        """Return the bias."""
        shape = tuple(shape)
        loss = self.loss
        if loss is None and shape == (1,) and self.counts.rows is None:
            loss = SigmoidCrossEntropy()
        bias = output_bias(self.counts, loss)
        if shape != bias.shape:
            raise InputError(
                f"a bias of shape {bias.shape} for these counts",
                f"{shape}",
                "one output for each class, in their order.",
            )
        return ops.convert_to_tensor(np.asarray(bias), dtype=dtype)

    def get_config(self) -> dict[str, Any]:
        """Return what `load_model` needs, as JSON data."""
        # a label of any kind is only a name here
        numbers = {"classes": list(range(self.counts.n_classes)), "counts": self.counts.counts.tolist()}
        return {
            "counts": {**numbers, "rows": self.counts.rows},
            "loss": None if self.loss is None else self.loss.to_dict(),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> OutputBias:
        """Return what `get_config` described."""
        loss = config["loss"]
        return cls(ClassCounts.from_dict(config["counts"]), None if loss is None else from_dict(loss))
