"""Balanced batches through tf.data."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np
import tensorflow as tf

from steelyard.errors import InputError, integer
from steelyard.weights import ClassCounts
from steelyard.weights.counts import as_counts

__all__ = ["balanced_batches"]


def balanced_batches(
    data: Any,
    batch_size: int,
    n_batches: int | None = None,
    labels: Any = None,
    counts: Any = None,
    seed: int = 0,
) -> tf.data.Dataset:
    """Return a ``tf.data.Dataset`` of batches with equal shares of all classes.

    Each batch holds every class equally often, to within one row; with more classes than rows in a batch the
    classes take turns. All rows of a class come before one comes again.

    Parameters
    ----------
    data : tuple of arrays, or tf.data.Dataset
        ``(x, y)`` or ``(x, y, sample_weight)``, where each may be a structure of arrays of the same length; or a
        data set of such elements, one row each, not batched.
    batch_size : int
    n_batches : int, optional
        Batches of one pass; by default as many as the rows fill.
    labels : optional
        By what to balance where y is not one integer or text for each row. For arrays, the labels (n,); for a data
        set, a function of its element: ``lambda x, y: y["kind"]``.
    counts : ClassCounts or mapping from labels, optional
        For a data set: the rows of each class. Without it they are counted first, in a pass over the data set.
    seed : int, default 0
        Of the order of rows, for arrays: the same seed, the same batches, in every pass of a new data set. A
        ``tf.random.set_seed`` counts too.

    Returns
    -------
    tf.data.Dataset
        Of known length: ``fit`` needs no ``steps_per_epoch``. Each pass over it is another draw.

    Raises
    ------
    InputError
        Labels that are not one for each row, data of another form, or arrays of different lengths.

    Notes
    -----
    Built from what tf.data has: one stream for each class (``shuffle``, ``repeat``), dealt out in turn by
    ``choose_from_datasets``. For arrays the streams are row numbers, and rows are gathered batch by batch.

    For a data set a stream is a ``filter`` of it, in its own order: shuffle it before. It is then read once for each
    class, and again whenever a class runs out of rows; put a ``cache()`` behind what is slow. Where the source is
    endless and one pass must do, ``Dataset.rejection_resample`` drops rows of frequent classes instead.

    Models trained on such batches see equal class shares: no class weights against imbalance on top of them, and
    probabilities need `sy.decisions.prior_shift` from equal shares to the true ones.

    Examples
    --------
    >>> import numpy as np, steelyard as sy
    >>> x, y = np.arange(100.0)[:, None], np.array([0] * 90 + [1] * 10)
    >>> batches = sy.tensorflow.balanced_batches((x, y), batch_size=8)
    >>> len(batches), [int(labels.numpy().sum()) for _, labels in batches][:3]
    (13, [4, 4, 4])
    """
    batch_size = integer("batch_size", batch_size)
    if n_batches is not None:
        n_batches = integer("n_batches", n_batches)
    if isinstance(data, tf.data.Dataset):
        streams, rows = _of_data_set(data, labels, counts)
        finish = None
    else:
        streams, rows, finish = _of_arrays(data, labels, seed)
    turns = tf.data.Dataset.range(len(streams)).repeat()
    n_batches = n_batches or -(-rows // batch_size)
    dealt = tf.data.Dataset.choose_from_datasets(streams, turns).take(n_batches * batch_size)
    batches = dealt.batch(batch_size, drop_remainder=True)
    if finish is not None:
        batches = batches.map(finish, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    # the length of what is filtered is unknown to tf.data
    return batches.apply(tf.data.experimental.assert_cardinality(n_batches)).prefetch(tf.data.AUTOTUNE)


def _of_arrays(data: Any, labels: Any, seed: int) -> tuple[list[Any], int, Callable[[Any], Any]]:
    if not isinstance(data, tuple) or len(data) not in (2, 3):
        raise InputError(
            "data as (x, y), (x, y, sample_weight) or a tf.data.Dataset", f"{type(data).__name__}", "a tuple."
        )
    tensors = tf.nest.map_structure(tf.convert_to_tensor, data)
    lengths = [int(t.shape[0]) if t.shape.rank else None for t in tf.nest.flatten(tensors)]
    if len(set(lengths)) != 1 or not lengths[0]:
        raise InputError("arrays with the same number of rows, at least one", f"{lengths}")
    by = data[1] if labels is None else labels
    if tf.nest.is_nested(by) and not isinstance(by, list):
        raise InputError("one label for each row", f"{type(by).__name__}", "say by which to balance: labels=….")
    shape = tuple(by.shape) if hasattr(by, "shape") else np.shape(by)
    if not shape or shape[0] != lengths[0] or prod(shape) != shape[0]:
        raise InputError(f"one label for each of {lengths[0]} rows", f"shape {shape}", "say by which: labels=….")
    codes = ClassCounts.from_labels(by).encode(by)
    streams = []
    for c in np.unique(codes):
        own = np.flatnonzero(codes.reshape(-1) == c)
        numbers = tf.data.Dataset.from_tensor_slices(own)
        streams.append(numbers.shuffle(len(own), seed=seed + int(c), reshuffle_each_iteration=True).repeat())

    def rows_of(numbers: Any) -> Any:
        return tf.nest.map_structure(lambda t: tf.gather(t, numbers), tensors)

    return streams, codes.size, rows_of


def _of_data_set(data: Any, labels: Any, counts: Any) -> tuple[list[Any], int]:
    if labels is not None and not callable(labels):
        raise InputError("`labels` of a data set as a function of its element", type(labels).__name__)
    spec = data.element_spec
    if labels is None and not (isinstance(spec, tuple) and len(spec) in (2, 3)):
        raise InputError("a data set of (x, y) or (x, y, sample_weight)", f"elements {spec}", "say labels=….")

    def label_of(*element: Any) -> Any:
        return element[1] if labels is None else labels(*element)

    given = data.map(label_of, num_parallel_calls=tf.data.AUTOTUNE)
    kind = given.element_spec
    if not isinstance(kind, tf.TensorSpec) or kind.shape.num_elements() != 1:
        raise InputError("one label for each element", f"{kind}", "unbatch it, or say labels=….")
    seen = given.map(lambda label: tf.reshape(label, ()))
    if counts is None:
        kept = ClassCounts.from_batches(map(_readable, seen.batch(1 << 14).as_numpy_iterator()))
    else:
        kept = as_counts(counts)
    streams = []
    for name, n in zip(kept.classes, kept.counts, strict=True):
        if n > 0:
            wanted = tf.constant(name, kind.dtype, kind.shape)
            own = data.filter(lambda *element, wanted=wanted: tf.reshape(tf.equal(label_of(*element), wanted), ()))
            streams.append(own.repeat())
    return streams, int(kept.counts.sum())


def _readable(labels: Any) -> Any:
    """Return texts as texts; tf.data has them as bytes."""
    return np.char.decode(labels.astype(bytes), "utf-8") if labels.dtype == object else labels
