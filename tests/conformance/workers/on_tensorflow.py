"""Two replicas of MirroredStrategy on one CPU: ``python -m tests.conformance.workers.on_tensorflow names…``."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import tensorflow as tf

import steelyard as sy
from tests.conformance.workers.parts import ONE_RANK, TWO_RANKS, WEIGHTS, Slices, W, X, loss_of, targets_of, tell


def sums(criterion: Any, kernel: Any, x: Any, y: Any, s: Any) -> tuple[Any, Any, Any]:
    with tf.GradientTape() as tape:
        tape.watch(kernel)
        numerator, denominator = criterion.numerator_and_denominator(x @ kernel, y, sample_weight=s)
    return numerator, denominator, tape.gradient(numerator, kernel)


def accumulated(criterion: Any, rows: list[Any]) -> tuple[Any, Any, Any]:
    """What the guide does for micro-batches: sums of numerators, denominators and gradients, divided once."""
    kernel = tf.constant(W)
    parts = [sums(criterion, kernel, *part) for part in rows]
    return tuple(tf.add_n(list(column)) for column in zip(*parts, strict=True))


def of_replicas(strategy: Any, criterion: Any, name: str, dealt: Slices) -> tuple[Any, Any]:
    numbers = [X, targets_of(name), WEIGHTS]

    def own(context: Any) -> list[Any]:
        return [[tf.constant(v[part]) for v in numbers] for part in dealt[context.replica_id_in_sync_group]]

    count = len(dealt[0])
    fed = [
        [strategy.experimental_distribute_values_from_function(lambda c, k=k, i=i: own(c)[k][i]) for i in range(3)]
        for k in range(count)
    ]

    def replica(rows: list[Any]) -> tuple[Any, Any]:
        numerator, denominator, gradient = accumulated(criterion, rows)
        context = tf.distribute.get_replica_context()
        numerator, denominator, gradient = context.all_reduce("sum", [numerator, denominator, gradient])
        return numerator / denominator, gradient / denominator

    value, gradient = tf.function(lambda: strategy.run(replica, args=(fed,)))()
    return strategy.experimental_local_results(value)[0], strategy.experimental_local_results(gradient)[0]


def keras_fit(strategy: Any, name: str) -> tuple[Any, Any]:
    """The step that ``fit`` takes on both replicas: the loss alone does it."""
    import keras

    with strategy.scope():
        model = keras.Sequential([keras.layers.Input((5,)), keras.layers.Dense(3, use_bias=False)])
        model.set_weights([W.astype(np.float32)])
        model.compile(optimizer=keras.optimizers.SGD(1.0), loss=sy.keras.Loss(loss_of(name)))
    history = model.fit(
        X.astype(np.float32), targets_of(name), sample_weight=WEIGHTS, batch_size=len(X), shuffle=False, verbose=0
    )
    return history.history["loss"][0], W - np.asarray(model.get_weights()[0], np.float64)


def main(names: list[str]) -> None:
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    for name in names:
        criterion, y = sy.tensorflow.Loss(loss_of(name)), targets_of(name)
        kernel = tf.constant(W)
        with tf.GradientTape() as tape:
            tape.watch(kernel)
            value = criterion(tf.constant(X) @ kernel, tf.constant(y), sample_weight=tf.constant(WEIGHTS))
        tell(name, "one call", value, tape.gradient(value, kernel))
        for case, dealt in ONE_RANK.items():
            rows = [tuple(tf.constant(v[part]) for v in (X, y, WEIGHTS)) for part in dealt[0]]
            numerator, denominator, gradient = accumulated(criterion, rows)
            tell(name, case, numerator / denominator, gradient / denominator)
        for case, dealt in TWO_RANKS.items():
            tell(name, case, *of_replicas(strategy, criterion, name, dealt))
        tell(name, "Keras on two replicas", *keras_fit(strategy, name))


if __name__ == "__main__":
    main(sys.argv[1:])
