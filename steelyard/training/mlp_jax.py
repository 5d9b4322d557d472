"""The JAX program of the stacked networks: the oracle of the compiled step, and the way to a GPU.

On a CPU the runs are outermost, each core driving half of them; on a GPU all runs take each step together.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from steelyard.errors import MissingDependencyError
from steelyard.training import cores

__all__ = ["train"]

Layers = tuple[tuple[NDArray[np.float32], NDArray[np.float32]], ...]

_COSINE_FLOOR = 1e-6  # of a norm that a feature or weight vector is divided by, as in `mlp.MLP.logits`


def train(
    X: NDArray[Any],
    y: NDArray[Any],
    numbers: Sequence[tuple[Any, ...]],
    streams: NDArray[np.int32],
    initial: Layers,
    schedule: Any,
    threads: int | None = None,
    held: Any = None,
    stacked: bool | None = None,
) -> list[tuple[Layers, int, bool]]:
    """Train one network per run.

    Parameters
    ----------
    numbers : sequence of tuples
        Per run: loss, later loss, their denominators, when the later one takes over, whether it does, the stream,
        whether the head is of cosines. The losses have the same parameters.
    X, y, streams, initial, schedule, threads, held, stacked
        As in `mlp.fit_all`.

    Returns
    -------
    list of (layers, epochs, whether the run ended by itself)

    Raises
    ------
    MissingDependencyError
        JAX or optax is not installed.
    """
    jax = _jax()
    stacked = jax.default_backend() != "cpu" if stacked is None else stacked
    workers = 1 if stacked else min(len(numbers), threads or cores.allowed())
    size = -(-len(numbers) // workers)
    # every block has the same shape, filled up with a run that is not looked at, so that one program serves all
    filled = [*numbers, *[numbers[-1]] * (size * workers - len(numbers))]
    blocks = [
        jax.tree.map(lambda *leaves: np.stack([np.asarray(v, _dtype(v)) for v in leaves]), *part)
        for part in (filled[i * size : (i + 1) * size] for i in range(workers))
    ]
    shared = jax.device_put(
        {
            "initial": initial,
            "X": _filled(X, np.float32),
            "y": _filled(y, np.int32),
            "streams": _filled(np.moveaxis(streams, 0, 1), np.int32),
            "steps": np.int32(streams.shape[1]),
            "rate": np.float32(schedule.rate),
            "decay": np.float32(schedule.weight_decay),
        }
    )
    if held is not None:
        shared |= {
            "held_X": _filled(held.X, np.float32),
            "held_y": _filled(held.y, np.int32),
            "held_weight": _filled(held.weight.T, np.float32).T,
            "every": np.int32(held.every),
            "patience": np.int32(schedule.patience),
        }
    deferred, cosines = (any(part[place] for part in numbers) for place in (5, 7))
    program = _program(deferred, cosines, held is not None, stacked)
    trained = _in_threads(lambda block: jax.device_get(program(block, shared)), blocks)
    out = []
    for i in range(len(numbers)):
        (layers, epochs, ended), at = trained[i // size], i % size
        out.append((tuple((w[at], b[at]) for w, b in layers), int(epochs[at]), bool(ended[at])))
    return out


def _in_threads(work: Any, blocks: list[Any]) -> list[Any]:
    if len(blocks) == 1:
        return [work(blocks[0])]
    # the first call compiles; the others wait for it instead of compiling too
    with ThreadPoolExecutor(len(blocks)) as pool:
        return list(pool.map(work, blocks))


def _dtype(value: Any) -> Any:
    kind = np.asarray(value).dtype.kind
    return {"f": np.float32, "b": np.bool_}.get(kind, np.int32)


def _filled(values: NDArray[Any], dtype: Any) -> NDArray[Any]:
    """Return an array with zeros behind its rows, up to a power of two: folds of about one size share a program."""
    out = np.zeros((max(16, 1 << (len(values) - 1).bit_length()), *values.shape[1:]), dtype)
    out[: len(values)] = values
    return out


def _jax() -> Any:
    """Import JAX, and let it know losses."""
    try:
        import jax
        import optax  # noqa: F401

        import steelyard.jax  # noqa: F401
    except ModuleNotFoundError as error:
        raise MissingDependencyError(error.name or "jax", "model 'mlp'", extra="compare") from None
    return jax


@lru_cache(maxsize=16)
def _program(deferred: bool, cosines: bool, stopping: bool, stacked: bool) -> Any:
    """Return the compiled program: a block of numbers and what the runs share, to layers, epochs, whether they ended.

    With `deferred` a run may change its loss on the way, with `cosines` it may have a cosine head, which costs a tenth
    of a small step even where it is not taken; with `stopping` it ends by itself. The number of steps is
    data, not structure: folds of about the same size run the same program.
    """
    import jax
    import jax.numpy as jnp
    import optax
    from jax.flatten_util import ravel_pytree

    def logits(layers: Any, x: Any, cosine: Any) -> Any:
        for weights, bias in layers[:-1]:
            x = jax.nn.relu(x @ weights + bias)
        weights, bias = layers[-1]
        if not cosines:
            return x @ weights + bias
        # both heads are one product: scale its rows and columns, or add the bias
        row = jnp.maximum(jnp.sqrt(jnp.sum(x * x, axis=1, keepdims=True) + _COSINE_FLOOR**2), _COSINE_FLOOR)
        column = jnp.sqrt(jnp.sum(weights * weights, axis=0, keepdims=True) + _COSINE_FLOOR**2)
        product = x @ weights
        return jnp.where(cosine, product / (row * column), product + bias)

    def train(one: Any, shared: Any) -> tuple[Any, Any, Any]:
        early, late, early_sum, late_sum, defer, changes, stream, cosine = one
        # one vector of all numbers of a loss: choosing between two is then one operation a step, not one a parameter
        before, restore = ravel_pytree(early)
        before = jnp.concatenate([early_sum[None], before])
        after = jnp.concatenate([late_sum[None], ravel_pytree(late)[0]])
        adamw = optax.chain(optax.scale_by_adam(), optax.add_decayed_weights(shared["decay"]))

        def loss_in(is_late: Any) -> tuple[Any, Any]:
            if not deferred:
                return early, early_sum
            numbers = jnp.where(is_late, after, before)
            return restore(numbers[1:]), numbers[0]

        def step(t: Any, state: Any, is_late: Any, rate: Any) -> Any:
            layers, moments = state
            rows = shared["streams"][t, stream]
            x, labels = shared["X"][rows], shared["y"][rows]
            now, total = loss_in(is_late)
            grads = jax.grad(lambda p: now(logits(p, x, cosine), labels, denominator=total))(layers)
            direction, moments = adamw.update(grads, moments, layers)
            return jax.tree.map(lambda p, u: p - rate * u, layers, direction), moments

        start = (shared["initial"], adamw.init(shared["initial"]))
        steps, rate = shared["steps"], shared["rate"]
        if not stopping:

            def falling(t: Any, state: Any) -> Any:
                return step(t, state, t >= defer, rate * 0.5 * (1.0 + jnp.cos(jnp.pi * t / steps)))

            return jax.lax.fori_loop(0, steps, falling, start)[0], steps, jnp.bool_(1)

        every = shared["every"]
        most = steps // every

        def epoch(state: _Epochs) -> _Epochs:
            begin = state.epoch * every
            layers, moments = jax.lax.fori_loop(
                begin, begin + every, lambda t, s: step(t, s, state.is_late, rate), (state.layers, state.moments)
            )
            now, _ = loss_in(state.is_late)
            weighted, weight = now.numerator_and_denominator(
                logits(layers, shared["held_X"], cosine), shared["held_y"], shared["held_weight"][stream]
            )
            value = weighted / weight
            better = value < state.best
            kept = jax.tree.map(lambda new, old: jnp.where(better, new, old), layers, state.kept)
            best = jnp.where(better, value, state.best)
            waited = jnp.where(better, 0, state.waited + 1)
            done = state.epoch + 1
            ended = waited >= shared["patience"]
            if not deferred:
                return _Epochs(layers, moments, kept, best, waited, done, ended, state.is_late)
            # where the first loss ends the later one begins: from the best weights, with a patience of its own
            turns = changes & ~state.is_late & (ended | (done >= defer)) & jnp.isfinite(best)
            return _Epochs(
                jax.tree.map(lambda old, new: jnp.where(turns, old, new), kept, layers),
                moments,
                kept,
                jnp.where(turns, jnp.inf, best),
                jnp.where(turns, 0, waited),
                done,
                ended & ~turns,
                state.is_late | turns,
            )

        first = _Epochs(*start, start[0], jnp.float32(jnp.inf), jnp.int32(0), jnp.int32(0), jnp.bool_(0), jnp.bool_(0))
        last = jax.lax.while_loop(lambda s: (s.epoch < most) & ~s.ended, epoch, first)
        # a run that never had a finite value has no best weights: it is handed back as it is, for its caller to report
        found = jnp.isfinite(last.best)
        layers = jax.tree.map(lambda k, p: jnp.where(found, k, p), last.kept, last.layers)
        return layers, last.epoch, last.ended

    def block(numbers: Any, shared: Any) -> Any:
        if stacked:
            return jax.vmap(train, in_axes=(0, None))(numbers, shared)
        return jax.lax.map(lambda one: train(one, shared), numbers)

    return jax.jit(block)


class _Epochs(NamedTuple):
    """Where a run is that may end by itself."""

    layers: Any
    moments: Any
    kept: Any
    best: Any
    waited: Any
    epoch: Any
    ended: Any
    is_late: Any
