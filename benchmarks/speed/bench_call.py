"""Forward and backward of one loss call, against what a user would write without us.

    python benchmarks/speed/bench_call.py                      torch, eager
    python benchmarks/speed/bench_call.py --framework jax      under jit
    python benchmarks/speed/bench_call.py --framework tensorflow

Variants are interleaved in one process, on one thread; ratios, to the first variant of each block, are what is
to be quoted. float32; the sizes are those of a small table, a small and a large classifier.
"""

from __future__ import annotations

import argparse
import os
import platform
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from bench_counts import interleaved  # the timing of all benchmarks in this folder
from machine import commit

import steelyard as sy

SIZES = ((256, 2), (256, 10), (4096, 100))
Call = Callable[[], object]


def data(rows: int, n_classes: int) -> tuple[Any, Any, Any]:
    rng = np.random.default_rng(0)
    z = rng.normal(0.0, 2.0, (rows, n_classes)).astype(np.float32)
    return z, rng.integers(0, n_classes, rows), rng.uniform(0.5, 2.0, n_classes)


def torch_calls(rows: int, n_classes: int) -> dict[str, dict[str, Call]]:
    import torch
    import torch.nn.functional as F

    torch.set_num_threads(1)
    z, y, w = data(rows, n_classes)
    logits, targets = torch.tensor(z, requires_grad=True), torch.tensor(y)
    w32 = torch.tensor(w, dtype=torch.float32)

    def focal_from_the_web(logits: Any, targets: Any) -> Any:
        ce = F.cross_entropy(logits, targets, reduction="none")
        pt = torch.exp(-ce)
        return (w32[targets] * (1 - pt) ** 2.0 * ce).mean()

    def step(loss: Callable[[Any, Any], Any]) -> Call:
        def run() -> None:
            logits.grad = None
            loss(logits, targets).backward()

        return run

    weighted, focal = sy.losses.weighted_cross_entropy(w), sy.losses.focal(gamma=2.0, class_weight=w)
    return {
        "weighted cross-entropy": {
            "F.cross_entropy(weight=)": step(lambda z, y: F.cross_entropy(z, y, weight=w32)),
            "sy.losses": step(weighted),
            "sy.torch.Loss": step(sy.torch.Loss(weighted)),
            "sy.torch.Loss, n_classes": step(sy.torch.Loss(weighted, n_classes=n_classes)),
        },
        "focal": {
            "eager focal from the web": step(focal_from_the_web),
            "sy.losses": step(focal),
            "sy.torch.Loss": step(sy.torch.Loss(focal)),
        },
    }


def jax_calls(rows: int, n_classes: int) -> dict[str, dict[str, Call]]:
    import jax
    import jax.numpy as jnp
    import optax

    z, y, w = (jnp.asarray(x) for x in data(rows, n_classes))

    def peer(z: Any) -> Any:
        weight = w[y]
        return (weight * optax.softmax_cross_entropy_with_integer_labels(z, y)).sum() / weight.sum()

    def step(loss: Callable[[Any], Any]) -> Call:
        run = jax.jit(jax.value_and_grad(loss))
        return lambda: jax.block_until_ready(run(z))

    weighted, focal = sy.losses.weighted_cross_entropy(w), sy.losses.focal(gamma=2.0, class_weight=w)
    return {
        "weighted cross-entropy": {
            "optax, weighted": step(peer),
            "sy.losses": step(lambda z: weighted(z, y)),
            "sy.losses, expanded": step(lambda z: weighted.expand(n_classes)(z, y)),
            "sy.losses.focal": step(lambda z: focal(z, y)),
        }
    }


def tensorflow_calls(rows: int, n_classes: int) -> dict[str, dict[str, Call]]:
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    z, y, w = data(rows, n_classes)
    logits, targets, w32 = tf.constant(z), tf.constant(y), tf.constant(w, tf.float32)

    def peer(z: Any, y: Any) -> Any:
        weight = tf.gather(w32, y)
        return tf.reduce_sum(
            weight * tf.nn.sparse_softmax_cross_entropy_with_logits(labels=y, logits=z)
        ) / tf.reduce_sum(weight)

    def step(loss: Callable[[Any, Any], Any], jit: bool) -> Call:
        @tf.function(jit_compile=jit)
        def run(z: Any, y: Any) -> Any:
            with tf.GradientTape() as tape:
                tape.watch(z)
                value = loss(z, y)
            return value, tape.gradient(value, z)

        return lambda: run(logits, targets)[0].numpy()

    weighted, focal = sy.losses.weighted_cross_entropy(w), sy.losses.focal(gamma=2.0, class_weight=w)
    return {
        f"weighted cross-entropy, {'XLA' if jit else 'tf.function'}": {
            "tf.nn, weighted": step(peer, jit),
            "sy.losses": step(weighted, jit),
            "sy.tensorflow.Loss": step(sy.tensorflow.Loss(weighted), jit),
            "sy.tensorflow.Loss, n_classes": step(sy.tensorflow.Loss(weighted, n_classes=n_classes), jit),
            "sy.losses.focal": step(focal, jit),
        }
        for jit in (False, True)
    }


CALLS = {"torch": torch_calls, "jax": jax_calls, "tensorflow": tensorflow_calls}


def repeated(call: Call, times: int) -> Call:
    def run() -> None:
        for _ in range(times):
            call()

    return run


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--framework", choices=CALLS, default="torch")
    parser.add_argument("--repeats", type=int, default=60)
    given = parser.parse_args()
    package = {"tensorflow": "tensorflow-cpu"}.get(given.framework, given.framework)
    print(f"{package} {version(package)}, commit {commit()}, {platform.processor() or platform.machine()}, 1 thread")
    for rows, n_classes in SIZES:
        inner = 20 if rows * n_classes < 10_000 else 1
        for title, calls in CALLS[given.framework](rows, n_classes).items():
            timed = interleaved({name: repeated(call, inner) for name, call in calls.items()}, given.repeats)
            base = next(iter(timed.values()))["median"]
            print(f"\n{title}, {rows} × {n_classes}{'µs median':>24}{'p20':>10}{'p80':>10}{'ratio':>8}")
            for name, t in timed.items():
                median, low, high = (1e6 * t[k] / inner for k in ("median", "p20", "p80"))
                print(f"  {name:<34}{median:>14.1f}{low:>10.1f}{high:>10.1f}{t['median'] / base:>8.2f}")


if __name__ == "__main__":
    main()
