"""Two host devices of JAX: ``XLA_FLAGS=… python -m tests.conformance.workers.on_jax names…``."""

from __future__ import annotations

import sys
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

import steelyard.jax  # noqa: F401
from tests.conformance.workers.parts import ONE_RANK, TWO_RANKS, WEIGHTS, Slices, W, X, loss_of, targets_of, tell


def accumulated(loss: Any, kernel: Any, rows: list[Any]) -> tuple[Any, Any]:
    """What the guide does for micro-batches: sums of numerators, denominators and gradients, divided once."""

    @jax.jit
    def sums(w: Any, x: Any, y: Any, s: Any) -> Any:
        return jax.value_and_grad(lambda w: loss.numerator_and_denominator(x @ w, y, sample_weight=s), has_aux=True)(w)

    total = sums(kernel, *rows[0])
    for part in rows[1:]:
        total = jax.tree.map(jnp.add, total, sums(kernel, *part))
    (n, d), gradient = total
    return n / d, gradient / d


def padded(name: str, dealt: Slices) -> list[np.ndarray]:
    """One block of rows for each device; rows that fill up have a weight of 0, since shapes are the same everywhere."""
    parts = [np.concatenate([np.arange(len(X))[part] for part in rank]) for rank in dealt]
    longest = len(X)  # the same everywhere, so that a step is compiled once
    fill = [np.pad(part, (0, longest - len(part))) for part in parts]
    s = np.stack([np.where(np.arange(longest) < len(p), WEIGHTS[f], 0.0) for p, f in zip(parts, fill, strict=True)])
    return [X[np.stack(fill)], targets_of(name)[np.stack(fill)], s]


def step(loss: Any, w: Any, x: Any, y: Any, s: Any) -> tuple[Any, Any]:
    """The mean over all devices, and its gradient, on each of them."""

    def numerator(w: Any) -> tuple[Any, Any]:
        return loss.numerator_and_denominator(x @ w, y, sample_weight=s)

    (n, d), gradient = jax.value_and_grad(numerator, has_aux=True)(w)
    n, d, gradient = jax.lax.psum((n, d, gradient), "ranks")
    return n / d, gradient / d


def main(names: list[str]) -> None:
    assert jax.device_count() == 2
    mesh = Mesh(np.array(jax.devices()), ("ranks",))
    for name in names:
        loss, y = loss_of(name), targets_of(name)
        tell(name, "one call", *jax.value_and_grad(lambda w: loss(X @ w, y, sample_weight=WEIGHTS))(jnp.asarray(W)))  # noqa: B023
        for case, dealt in ONE_RANK.items():
            rows = [tuple(jnp.asarray(v[part]) for v in (X, y, WEIGHTS)) for part in dealt[0]]
            tell(name, case, *accumulated(loss, jnp.asarray(W), rows))
        mapped = jax.pmap(partial(step, loss), axis_name="ranks", in_axes=(None, 0, 0, 0))

        @jax.jit
        @partial(jax.shard_map, mesh=mesh, in_specs=(P(), P("ranks"), P("ranks"), P("ranks")), out_specs=P())
        def sharded(w: Any, x: Any, y: Any, s: Any) -> tuple[Any, Any]:
            return step(loss, jax.lax.pcast(w, "ranks", to="varying"), x[0], y[0], s[0])  # noqa: B023

        for case, dealt in TWO_RANKS.items():
            blocks = padded(name, dealt)
            value, gradient = mapped(jnp.asarray(W), *blocks)
            tell(name, f"{case}, pmap", value[0], gradient[0])
            tell(name, f"{case}, shard_map", *sharded(jnp.asarray(W), *blocks))
        # arrays that are cut over devices, and a plain call: the compiler adds what has to be added
        cut = [jax.device_put(v, NamedSharding(mesh, P("ranks"))) for v in (X, y, WEIGHTS)]
        whole = jax.jit(jax.value_and_grad(lambda w, x, y, s: loss(x @ w, y, sample_weight=s)))  # noqa: B023
        tell(name, "arrays over two devices", *whole(jnp.asarray(W), *cut))


if __name__ == "__main__":
    jax.config.update("jax_enable_x64", True)
    main(sys.argv[1:])
