"""Many small networks at once: one compiled JAX program trains every strategy of a fold.

A strategy is numbers in the loss and a stream of row indices, so that training thirty strategies is running one
program on thirty rows of numbers. On a CPU the runs are outermost: the weights, moments and activations of one
run stay in cache while it is trained from first step to last, and each core drives half of the runs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from steelyard.errors import InputError, MissingDependencyError
from steelyard.losses import SoftmaxCrossEntropy, aligned
from steelyard.training import cores
from steelyard.training.batches import steps_per_epoch

__all__ = ["MLP", "Run", "Schedule", "fit_all", "initial_weights"]

Floats = NDArray[np.float32]
Layers = tuple[tuple[Floats, Floats], ...]

_COSINE_FLOOR = 1e-6  # of a norm that a feature or weight vector is divided by


@dataclass(frozen=True)
class Schedule:
    """How the networks are trained; the same for every strategy.

    Attributes
    ----------
    hidden : tuple of int
        Widths of the hidden layers.
    epochs : int or None
        Passes over the training rows; None: 15, or as many as make 1,000 steps, at most 100.
    batch_size : int or None
        None: 256, or less where that would leave fewer than 16 batches in an epoch, at least 32.
    learning_rate : float
        Peak of the cosine schedule, which falls to 0.
    weight_decay : float
        Of AdamW, decoupled.

    Notes
    -----
    15 epochs of a cosine schedule rank strategies as 30 at a constant rate do, for half the work.
    """

    hidden: tuple[int, ...] = (64, 64)
    epochs: int | None = None
    batch_size: int | None = None
    learning_rate: float = 4e-3
    weight_decay: float = 1e-4

    def batch(self, n: int) -> int:
        """Return the batch size for `n` rows."""
        if self.batch_size is not None:
            return min(self.batch_size, n)
        size = 256
        while size > 32 and n // size < 16:
            size //= 2
        return min(size, n)

    def steps(self, n: int) -> int:
        """Return the number of training steps on `n` rows."""
        per_epoch = steps_per_epoch(n, self.batch(n))
        epochs = min(100, max(15, -(-1000 // per_epoch))) if self.epochs is None else self.epochs
        return per_epoch * epochs


class Run(NamedTuple):
    """One network to train.

    Attributes
    ----------
    loss : SoftmaxCrossEntropy
        What it is trained on.
    stream : int
        Which of the index streams it follows.
    later : SoftmaxCrossEntropy or None
        The loss of the last part of training (deferred weights).
    defer : float
        Share of the steps after which `later` takes over.
    cosine : bool
        Whether the last layer gives cosines between features and class vectors instead of products.
    """

    loss: SoftmaxCrossEntropy
    stream: int = 0
    later: SoftmaxCrossEntropy | None = None
    defer: float = 1.0
    cosine: bool = False


@dataclass(frozen=True)
class MLP:
    """A trained network: dense layers with ReLU between them.

    Attributes
    ----------
    layers : tuple of (weights, bias)
        float32, weights of shape (inputs, outputs).
    cosine : bool
        Whether the logits are cosines.
    """

    layers: Layers
    cosine: bool

    def logits(self, X: NDArray[Any]) -> NDArray[np.float64]:
        """Return unnormalised scores of shape (n, C)."""
        h = np.asarray(X, np.float32)
        for weights, bias in self.layers[:-1]:
            h = np.maximum(h @ weights + bias, 0)
        weights, bias = self.layers[-1]
        if self.cosine:
            h = h / np.maximum(np.linalg.norm(h, axis=1, keepdims=True), _COSINE_FLOOR)
            weights = weights / np.maximum(np.linalg.norm(weights, axis=0, keepdims=True), _COSINE_FLOOR)
            return np.asarray(h @ weights, np.float64)
        return np.asarray(h @ weights + bias, np.float64)

    def state(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return what has to be stored: JSON data, and arrays by name."""
        arrays = {}
        for i, (weights, bias) in enumerate(self.layers):
            arrays[f"weights.{i}"], arrays[f"bias.{i}"] = weights, bias
        return {"layers": len(self.layers), "cosine": bool(self.cosine)}, arrays

    @classmethod
    def from_state(cls, facts: Mapping[str, Any], arrays: Mapping[str, Any]) -> MLP:
        """Return the network that `state` described."""
        layers = tuple(
            (np.asarray(arrays[f"weights.{i}"], np.float32), np.asarray(arrays[f"bias.{i}"], np.float32))
            for i in range(int(facts["layers"]))
        )
        shapes = [(weights.shape, bias.shape) for weights, bias in layers]
        fit_together = all(len(w) == 2 and b == w[1:] for w, b in shapes) and all(
            before[0][1:] == after[0][:1] for before, after in pairwise(shapes)
        )
        if not layers or not fit_together:
            raise InputError("layers that fit together", f"shapes {shapes}")
        return cls(layers, bool(facts["cosine"]))


def initial_weights(sizes: Sequence[int], generator: np.random.Generator) -> Layers:
    """Return He-initialised layers: weights N(0, 2 / inputs), the last N(0, 1 / inputs), biases 0.

    References
    ----------
    He et al., ICCV 2015, eq. 10 (arXiv:1502.01852).

    Examples
    --------
    >>> [w.shape for w, _ in initial_weights((8, 4, 3), np.random.default_rng(0))]
    [(8, 4), (4, 3)]
    """
    layers = []
    for i, (fan_in, fan_out) in enumerate(pairwise(sizes)):
        gain = 1.0 if i == len(sizes) - 2 else 2.0
        weights = generator.normal(size=(fan_in, fan_out)) * np.sqrt(gain / fan_in)
        layers.append((weights.astype(np.float32), np.zeros(fan_out, np.float32)))
    return tuple(layers)


def fit_all(
    X: NDArray[Any],
    y: NDArray[Any],
    runs: Sequence[Run],
    streams: NDArray[np.int32],
    initial: Layers,
    schedule: Schedule,
    n_classes: int,
    threads: int | None = None,
) -> list[MLP]:
    r"""Train one network per run, all from the same initial weights.

    Each step minimises :math:`\sum s ω ℓ / (B \cdot \bar ω)` over a batch of B rows with AdamW, where ω̄ is the mean
    weight of the rows of the stream: a constant, because a mean that is normalised batch by batch gives the rare
    class less than its share.

    Parameters
    ----------
    X : ndarray of shape (n, d)
        Preprocessed features, rows that a sampler made included.
    y : int ndarray of shape (n,)
        Class indices.
    runs : sequence of Run
    streams : int32 ndarray of shape (n_streams, steps, batch_size)
        Rows of each step.
    initial : layers
        As from `initial_weights`.
    schedule : Schedule
        Learning rate and weight decay; the steps are those of the streams.
    n_classes : int
    threads : int, optional
        Runs trained at a time; default one per core.

    Returns
    -------
    list of MLP
        In the order of `runs`. A run whose weights are not finite is an `InputError` for its caller to report.
    """
    if not np.isfinite(X).all():
        row, column = np.argwhere(~np.isfinite(np.asarray(X)))[0]
        raise InputError("finite features", f"{X[row, column]} in row {row}, column {column}")
    jax = _jax()
    import jax.numpy as jnp

    y = np.asarray(y)
    both = aligned([r.loss for r in runs] + [r.later or r.loss for r in runs], n_classes)
    steps = streams.shape[1]
    deferred = any(run.later is not None for run in runs)
    numbers = []
    for run, early, late in zip(runs, both[: len(runs)], both[len(runs) :], strict=True):
        rows = y[streams[run.stream]].ravel()
        constant = [_mean_weight(loss, rows) * streams.shape[2] for loss in (early, late)]
        numbers.append(
            (early, late, *constant, round(run.defer * steps), run.stream, run.cosine),
        )
    width = _padded(len(X))
    table = jnp.zeros((width, X.shape[1]), jnp.float32).at[: len(X)].set(jnp.asarray(X, jnp.float32))
    labels = jnp.zeros(width, jnp.int32).at[: len(y)].set(jnp.asarray(y, jnp.int32))
    shared = (initial, table, labels, jnp.asarray(streams), schedule.learning_rate, schedule.weight_decay)
    workers = min(len(runs), threads or cores.allowed())
    size = -(-len(runs) // workers)
    # every block has the same shape, filled up with a run that is not looked at, so that one program serves all
    numbers += [numbers[-1]] * (size * workers - len(runs))
    blocks = [
        jax.tree.map(lambda *leaves: jnp.asarray(np.stack([np.asarray(v) for v in leaves]), _dtype(leaves[0])), *part)
        for part in (numbers[i * size : (i + 1) * size] for i in range(workers))
    ]
    program = _program(deferred)
    trained = _in_threads(lambda block: jax.device_get(program(block, *shared)), blocks)
    out = []
    for i, run in enumerate(runs):
        part, at = trained[i // size], i % size
        out.append(MLP(tuple((w[at], b[at]) for w, b in part), run.cosine))
    return out


def _mean_weight(loss: SoftmaxCrossEntropy, rows: NDArray[Any]) -> float:
    """Return the mean of ω over the rows of a stream."""
    w = loss.parameters["class_weight"]
    if w is None:
        return 1.0
    if loss.weight_by != "target":
        raise InputError("class weights by the true class", f"weight_by={loss.weight_by!r}")
    return float(np.mean(w[rows]))


def _in_threads(work: Any, blocks: list[Any]) -> list[Any]:
    if len(blocks) == 1:
        return [work(blocks[0])]
    # the first call compiles; the others wait for it instead of compiling too
    with ThreadPoolExecutor(len(blocks)) as pool:
        return list(pool.map(work, blocks))


def _dtype(value: Any) -> Any:
    kind = np.asarray(value).dtype.kind
    return {"f": np.float32, "b": np.bool_}.get(kind, np.int32)


def _padded(n: int) -> int:
    """Return a number of rows that folds of about the same size share: the next multiple of an eighth of n."""
    step = 1 << max(4, (n - 1).bit_length() - 3)
    return -(-n // step) * step


def _jax() -> Any:
    """Import JAX, and let it know losses."""
    try:
        import jax
        import optax  # noqa: F401

        import steelyard.jax  # noqa: F401
    except ModuleNotFoundError as error:
        raise MissingDependencyError(error.name or "jax", "model 'mlp'", extra="compare") from None
    return jax


@lru_cache(maxsize=2)
def _program(deferred: bool) -> Any:
    """Return the compiled program: blocks of numbers, then what the runs share, to trained layers.

    With `deferred` a run may change its loss on the way.
    """
    import jax
    import jax.numpy as jnp
    import optax
    from jax.flatten_util import ravel_pytree

    def logits(layers: Any, x: Any, cosine: Any) -> Any:
        for weights, bias in layers[:-1]:
            x = jax.nn.relu(x @ weights + bias)
        weights, bias = layers[-1]
        # both heads are one product: scale its rows and columns, or add the bias
        row = jnp.maximum(jnp.sqrt(jnp.sum(x * x, axis=1, keepdims=True) + _COSINE_FLOOR**2), _COSINE_FLOOR)
        column = jnp.sqrt(jnp.sum(weights * weights, axis=0, keepdims=True) + _COSINE_FLOOR**2)
        product = x @ weights
        return jnp.where(cosine, product / (row * column), product + bias)

    def train(one: Any, initial: Any, X: Any, y: Any, streams: Any, rate: Any, decay: Any) -> Any:
        early, late, early_sum, late_sum, defer, stream, cosine = one
        batches = streams[stream]
        steps = batches.shape[0]
        # one vector of all numbers of a loss: choosing between two is then one operation a step, not one a parameter
        before, restore = ravel_pytree(early)
        before = jnp.concatenate([early_sum[None], before])
        after = jnp.concatenate([late_sum[None], ravel_pytree(late)[0]])
        adamw = optax.chain(optax.scale_by_adam(), optax.add_decayed_weights(decay))

        def step(state: Any, at: Any) -> tuple[Any, None]:
            layers, moments = state
            t, rows = at
            x, labels = X[rows], y[rows]
            if deferred:
                numbers = jnp.where(t < defer, before, after)
                now, total = restore(numbers[1:]), numbers[0]
            else:
                now, total = early, early_sum
            grads = jax.grad(lambda p: now(logits(p, x, cosine), labels, denominator=total))(layers)
            direction, moments = adamw.update(grads, moments, layers)
            now_rate = rate * 0.5 * (1.0 + jnp.cos(jnp.pi * t / steps))
            return (jax.tree.map(lambda p, u: p - now_rate * u, layers, direction), moments), None

        state = (initial, adamw.init(initial))
        (layers, _), _ = jax.lax.scan(step, state, (jnp.arange(steps), batches))
        return layers

    def block(numbers: Any, *shared: Any) -> Any:
        return jax.lax.map(lambda one: train(one, *shared), numbers)

    return jax.jit(block)
