"""Balanced batches through tf.data: shares, reproducibility, forms of data, fit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

import steelyard as sy
from steelyard.errors import InputError

Y = np.random.default_rng(0).permutation(np.repeat([0, 1, 2], [60, 9, 3]))
X = np.arange(len(Y), dtype=np.float32)[:, None]


def drawn(batches: Any) -> list[np.ndarray]:
    """Row numbers of each batch: a row's feature is its number."""
    return [batch[0].numpy()[:, 0].astype(int) for batch in batches]


def data_set() -> tf.data.Dataset:
    return tf.data.Dataset.from_tensor_slices((X, Y))


@pytest.mark.parametrize("form", ["arrays", "data set", "data set with counts"])
def test_shares(form: str) -> None:
    if form == "arrays":
        batches = sy.tensorflow.balanced_batches((X, Y), 6)
    else:
        counts = sy.ClassCounts.from_labels(Y) if "counts" in form else None
        batches = sy.tensorflow.balanced_batches(data_set(), 6, counts=counts)
    assert len(batches) == 12  # 72 rows
    for x, y in batches:
        assert np.bincount(y).tolist() == [2, 2, 2]
        np.testing.assert_array_equal(Y[x.numpy()[:, 0].astype(int)], y)  # labels stay with their rows
    rows = np.concatenate(drawn(batches))
    for c, n in enumerate((60, 9, 3)):
        often = np.bincount(rows[Y[rows] == c], minlength=len(Y))[Y == c]
        assert often.sum() == 24
        assert np.ptp(often) <= 1  # all rows of a class before one comes again
        assert len(often) == n


def test_the_same_seed_gives_the_same_passes_and_passes_differ() -> None:
    def two_passes(seed: int) -> list[list[int]]:
        batches = sy.tensorflow.balanced_batches((X, Y), 6, seed=seed)
        return [np.concatenate(drawn(batches)).tolist() for _ in range(2)]

    first, again, other = two_passes(1), two_passes(1), two_passes(2)
    assert first == again
    assert first[0] != first[1]
    assert first[0] != other[0]


def test_more_classes_than_places_take_turns() -> None:
    y = np.repeat(np.arange(5), 4)
    batches = sy.tensorflow.balanced_batches((X[:20], y), 3, n_batches=5)
    seen = np.bincount(np.concatenate([labels for _, labels in batches]))
    assert seen.tolist() == [3] * 5


def test_structures_weights_and_labels_of_ones_own() -> None:
    data = ({"a": X, "b": X[:, 0]}, np.eye(3, dtype=np.float32)[Y], np.linspace(0.0, 1.0, len(Y)))
    batches = sy.tensorflow.balanced_batches(data, 6, labels=np.array(["x", "y", "z"])[Y])
    for x, y, s in batches.take(3):
        rows = x["b"].numpy().astype(int)
        assert y.numpy().sum(0).tolist() == [2.0, 2.0, 2.0]
        np.testing.assert_allclose(s, data[2][rows])
    pairs = data_set().map(lambda x, y: (x, tf.one_hot(y, 3)))
    counts = sy.ClassCounts.from_labels(Y)
    batches = sy.tensorflow.balanced_batches(pairs, 6, labels=lambda x, y: tf.argmax(y), counts=counts)
    assert all(y.numpy().sum(0).tolist() == [2.0, 2.0, 2.0] for _, y in batches)


def test_texts_as_labels_of_a_data_set() -> None:
    texts = np.array(["common", "räre"])[(Y == 2).astype(int)]
    stream = tf.data.Dataset.from_tensor_slices((X, texts))
    batches = sy.tensorflow.balanced_batches(stream, 4)
    assert all((y.numpy() == "räre".encode()).sum() == 2 for _, y in batches)


def test_fit_needs_no_number_of_steps() -> None:
    import keras

    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.layers.Input((1,)), keras.layers.Rescaling(0.01), keras.layers.Dense(3)])
    model.compile(optimizer="sgd", loss=sy.keras.Loss(sy.losses.cross_entropy()))
    steps = []
    counting = keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: steps.append(batch))
    batches = sy.tensorflow.balanced_batches((X, Y), 6)
    model.fit(batches, epochs=2, shuffle=False, verbose=0, callbacks=[counting])
    assert steps == [*range(12), *range(12)]


@pytest.mark.parametrize(
    ("data", "settings", "message"),
    [
        ((X, Y), {"batch_size": 0}, "`batch_size` as a positive integer; got 0"),
        ((X, np.eye(3)[Y].astype(int)), {}, r"one label for each of 72 rows; got shape \(72, 3\).*labels="),
        ((X, Y[:-1]), {}, "arrays with the same number of rows"),
        ((X, {"a": Y, "b": Y}), {}, "one label for each row; got dict.*labels="),
        ([X, Y], {}, r"data as \(x, y\)"),
        (tf.data.Dataset.from_tensor_slices((X, Y)).batch(4), {}, "one label for each element.*unbatch"),
        (tf.data.Dataset.from_tensor_slices(X), {}, r"a data set of \(x, y\)"),
        (tf.data.Dataset.from_tensor_slices((X, Y)), {"labels": Y}, "`labels` of a data set as a function"),
    ],
)
def test_what_is_refused(data: Any, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        sy.tensorflow.balanced_batches(data, **{"batch_size": 4, **settings})
