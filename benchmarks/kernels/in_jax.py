"""JAX: ours by the kernel and by the formula, and what users write with optax and jax.nn, all under jit."""

import numpy as np

from benchmarks.kernels.cases import GAMMA, LDAM_SCALE, SMOOTHING, Case, logits_and_targets, loss, numbers
from benchmarks.kernels.selection import Variant, wanted


def composites(case: Case, names, y):
    """Return what a user writes with JAX and optax, for each loss; classes on the last axis, as JAX has them."""
    import jax
    import jax.numpy as jnp
    import optax

    p = numbers(case.n_classes)
    dtype = jnp.dtype(case.dtype)
    weight, offset, scale, margin = (jnp.asarray(v, dtype) for v in (p.weight, p.offset, p.scale, p.margin))

    def rows(z):
        return optax.softmax_cross_entropy_with_integer_labels(z, y)

    def averaged(values):
        w = weight[y]
        return (w * values).sum() / w.sum()

    def focal(z):
        ce = rows(z)
        return ((1 - jnp.exp(-ce)) ** GAMMA * ce).mean()

    def lowered(z):
        return z - margin[y][..., None] * jax.nn.one_hot(y, case.n_classes, dtype=dtype)

    def everything(z):
        log_q = jax.nn.log_softmax(lowered(scale * z + offset))
        bent = -((1 - jnp.exp(log_q)) ** GAMMA) * log_q
        own = jnp.take_along_axis(bent, y[..., None], -1)[..., 0]
        return averaged((1 - SMOOTHING) * own + SMOOTHING / case.n_classes * bent.sum(-1))

    every = {
        "plain": lambda z: rows(z).mean(),
        "weighted": lambda z: averaged(rows(z)),
        "focal": focal,
        "logit-adjusted": lambda z: rows(z + offset).mean(),
        "LDAM": lambda z: rows(LDAM_SCALE * lowered(z)).mean(),
        "everything on": everything,
    }
    return {name: every[name] for name in names}


class Step:
    """Value and gradient under jit."""

    def __init__(self, function, z):
        import jax

        self.step, self.wait = jax.jit(jax.value_and_grad(function)), jax.block_until_ready
        self.z, self.result = z, None

    def __call__(self):
        self.result = self.wait(self.step(self.z))

    def outcome(self):
        value, gradient = self.result
        return float(value), float(np.linalg.norm(np.asarray(gradient).astype(np.float64).ravel()))

    def forget(self):
        self.result = None


def variants(case: Case, selection):
    """Return everything that this process measures for a case."""
    import jax
    import jax.numpy as jnp

    import steelyard.jax

    jax.clear_caches()
    array, targets = logits_and_targets(case)
    array = np.ascontiguousarray(np.moveaxis(array, 1, -1))
    z, y = jnp.asarray(array, jnp.dtype(case.dtype)), jnp.asarray(targets.astype(np.int32))
    del array
    written = composites(case, selection.losses, y)
    out = []

    def add(of, name, make):
        if wanted(selection, of, name):
            out.append(Variant.of(of, name, lambda: Step(make(), z)))

    def ours(of, kernel):
        point = steelyard.jax.Loss(loss(of, case.n_classes), kernel=kernel, class_axis=-1)
        return lambda z: point(z, y)

    for of in selection.losses:
        add(of, "ours, JAX", lambda of=of: ours(of, "fused"))
        add(of, "ours, JAX formula", lambda of=of: ours(of, "formula"))
        add(of, "JAX/optax", lambda of=of: written[of])
    return out


def set_threads(threads):
    """JAX has as many threads as the process has cores."""
