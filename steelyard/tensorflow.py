"""TensorFlow without Keras: losses as modules whose parameters are variables, and balanced batches for tf.data."""

from __future__ import annotations

from typing import Any, ClassVar

import tensorflow as tf

from steelyard._ops import tensorflow as _xp
from steelyard._tensorflow_batches import balanced_batches
from steelyard.losses.base import Loss as CoreLoss
from steelyard.losses.base import unconverted
from steelyard.losses.switching import check_classes, closed, numbers_of, opened

__all__ = ["Loss", "balanced_batches"]


class Loss(tf.Module):
    """A loss as a TensorFlow module, for eager code, ``tf.function`` and XLA.

    Parameters
    ----------
    loss : SoftmaxCrossEntropy or SigmoidCrossEntropy
        What to compute.
    n_classes : int, optional
        Hold every per-class parameter at full shape from the start, so that `assign` can switch to any other loss
        of the family inside one ``tf.function``, without tracing it again.
    pairs : bool, default False
        With `n_classes`, hold the (n_classes, n_classes) parameters too.
    class_axis : int, default -1
        Axis of the classes in the logits: the last, as TensorFlow has it.

    Examples
    --------
    >>> import tensorflow as tf, steelyard as sy
    >>> criterion = sy.tensorflow.Loss(sy.losses.focal(gamma=2.0), n_classes=3)
    >>> step = tf.function(criterion)
    >>> round(float(step(tf.zeros([2, 3]), tf.constant([0, 2]))), 4)
    0.4883
    >>> criterion.assign(sy.losses.cross_entropy())           # no retracing
    >>> round(float(step(tf.zeros([2, 3]), tf.constant([0, 2]))), 4)
    1.0986
    """

    autograph_info__: ClassVar[dict[str, Any]] = {}  # AutoGraph runs the call as it stands

    def __init__(self, loss: CoreLoss, n_classes: int | None = None, pairs: bool = False, class_axis: int = -1) -> None:
        super().__init__()
        self.n_classes, self.pairs, self.class_axis = n_classes, pairs, class_axis
        self._structure = opened(loss, n_classes, pairs)
        self._held: dict[str, Any] = {
            name: None if value is None else tf.Variable(value, dtype=tf.float64, trainable=False, name=name)
            for name, value in self._structure.parameters.items()
        }

    def __call__(
        self,
        logits: Any,
        targets: Any,
        sample_weight: Any = None,
        class_weight: Any = None,
        denominator: Any = None,
    ) -> Any:
        """Return the loss; see `steelyard.losses.Loss.__call__`."""
        logits = tf.convert_to_tensor(logits)
        return self._structure.evaluate(
            _xp, self._values(logits), logits, targets, sample_weight, class_weight, denominator, self.class_axis
        )

    @unconverted
    def numerator_and_denominator(
        self, logits: Any, targets: Any, sample_weight: Any = None, class_weight: Any = None
    ) -> tuple[Any, Any]:
        """Return Σ s·ω·ℓ and Σ s·ω, for a mean over several replicas or micro-batches.

        Under ``tf.distribute`` the gradients of the replicas are added up, so that each of them needs

        ``numerator / tf.distribute.get_replica_context().all_reduce("sum", denominator)``

        Examples
        --------
        >>> import tensorflow as tf, steelyard as sy
        >>> criterion = sy.tensorflow.Loss(sy.losses.weighted_cross_entropy([1.0, 3.0]))
        >>> n, d = criterion.numerator_and_denominator(tf.zeros([2, 2]), tf.constant([0, 1]))
        >>> round(float(n), 4), float(d)
        (2.7726, 4.0)
        """
        logits = tf.convert_to_tensor(logits)
        return self._structure.sums(
            _xp, self._values(logits), logits, targets, sample_weight, class_weight, None, self.class_axis
        )

    @unconverted
    def _values(self, logits: Any) -> Any:
        if logits.shape.rank is not None:
            check_classes(self.n_classes, tuple(logits.shape), self.class_axis)
        dtype = _xp.compute_dtype(logits)
        return self._structure._pack({n: None if v is None else tf.cast(v, dtype) for n, v in self._held.items()})

    def assign(self, other: CoreLoss) -> None:
        """Switch to another loss: its numbers are written into the variables, and nothing is traced anew.

        Raises
        ------
        InputError
            `other` needs a parameter or a setting that this module was not built with.
        """
        for name, array in numbers_of(other, self._structure, self.n_classes, self.pairs).items():
            self._held[name].assign(array)

    @property
    def loss(self) -> CoreLoss:
        """The loss as it stands in the variables now: for `posterior`, `to_dict`, `explain`."""
        return closed(self._structure, {n: None if v is None else v.numpy() for n, v in self._held.items()})

    def posterior(self, logits: Any) -> Any:
        """Return class probabilities, corrected for what the loss did to the logits."""
        return self.loss.posterior(logits, class_axis=self.class_axis)
