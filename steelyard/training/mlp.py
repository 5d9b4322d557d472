"""Many small networks at once: one compiled program trains every strategy of a fold.

A strategy is numbers in the loss and a stream of row indices, so that training thirty strategies is running one
program on thirty rows of numbers. On a CPU the runs are outermost: the weights, moments and activations of one
run stay in cache while it is trained from first step to last, and each core drives half of the runs.

There are two such programs with one meaning: a compiled step (`mlp_native`), in use where it was built, and a JAX
program (`mlp_jax`), which is its oracle and the way to a GPU. `backend` says which of them a schedule gets.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from steelyard import kernels
from steelyard.errors import InputError, one_of
from steelyard.losses import SoftmaxCrossEntropy, aligned
from steelyard.training import mlp_jax, mlp_native
from steelyard.training.batches import steps_per_epoch

__all__ = ["MLP", "Held", "Run", "Schedule", "backend", "fit_all", "initial_weights"]

Floats = NDArray[np.float32]
Layers = tuple[tuple[Floats, Floats], ...]

_COSINE_FLOOR = 1e-6  # of a norm that a feature or weight vector is divided by
# on small public sets better than 1,000 by .01 in average precision and balanced accuracy, in half the time:
# benchmarks/studies/network_recipe.py
_FEWEST_STEPS = 500
_BACKENDS = ("auto", "native", "jax")
_PATIENCE = 5  # epochs without a better value: runs then end at 27 epochs on average, 42 at most


@dataclass(frozen=True)
class Schedule:
    """How the networks are trained; the same for every strategy.

    Attributes
    ----------
    hidden : tuple of int
        Widths of the hidden layers.
    epochs : int or None
        Passes over the training rows; None: 15, or as many as make 500 steps, at most 100. With early stopping
        the most that a run may take, and None: four times as many.
    batch_size : int or None
        None: 256, or less where that would leave fewer than 16 batches in an epoch, at least 32.
    learning_rate : float or None
        Peak of the cosine schedule, which falls to 0; None: 4e-3. With early stopping the constant rate, and None:
        1e-3.
    weight_decay : float
        Of AdamW, decoupled.
    early_stopping : bool or int
        Whether each run ends by itself, once its loss on rows that are held out of training has not become smaller
        for this many epochs; True: 5. It then has the weights of its best epoch.
    backend : {"auto", "native", "jax"}
        What computes it: the compiled step, whose absence is then an error, or JAX. "auto": the compiled step where
        there is one, which also spares a user the wait for JAX to load and to compile.

    Notes
    -----
    15 epochs of a cosine schedule from 4e-3 rank strategies as 30 at a constant 1e-3 do, for half the work: that is
    the default. A cosine schedule has to know where it ends, which early stopping does not: its rate is constant.
    """

    hidden: tuple[int, ...] = (64, 64)
    epochs: int | None = None
    batch_size: int | None = None
    learning_rate: float | None = None
    weight_decay: float = 1e-4
    early_stopping: bool | int = False
    backend: str = "auto"

    def __post_init__(self) -> None:
        """Check what is not a size or a rate."""
        one_of("backend", self.backend, _BACKENDS)
        if not isinstance(self.early_stopping, int) or self.early_stopping < 0:
            raise InputError(
                "`early_stopping` True, False or a number of epochs to wait, at least 1", repr(self.early_stopping)
            )

    @property
    def patience(self) -> int:
        """Epochs without a smaller held-out loss after which a run ends; 0: it does not end by itself."""
        return _PATIENCE if self.early_stopping is True else int(self.early_stopping)

    @property
    def rate(self) -> float:
        """The learning rate: peak of the cosine schedule, or constant with early stopping."""
        if self.learning_rate is None:
            return 1e-3 if self.patience else 4e-3
        return self.learning_rate

    def batch(self, n: int) -> int:
        """Return the batch size for `n` rows."""
        if self.batch_size is not None:
            return min(self.batch_size, n)
        size = 256
        while size > 32 and n // size < 16:
            size //= 2
        return min(size, n)

    def steps(self, n: int) -> int:
        """Return the number of training steps on `n` rows, with early stopping the most that there can be."""
        per_epoch = steps_per_epoch(n, self.batch(n))
        epochs = self.epochs
        if epochs is None:
            epochs = min(100, max(15, -(-_FEWEST_STEPS // per_epoch))) * (4 if self.patience else 1)
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
        Share of the steps after which `later` takes over. With early stopping it does so where `loss` would have
        ended the run, from the best weights so far, at the latest after this share of the epochs; it then has its
        own best value and patience.
    cosine : bool
        Whether the last layer gives cosines between features and class vectors instead of products.
    """

    loss: SoftmaxCrossEntropy
    stream: int = 0
    later: SoftmaxCrossEntropy | None = None
    defer: float = 1.0
    cosine: bool = False


class Held(NamedTuple):
    """Rows that are held out of training, on which runs are stopped.

    After each epoch a run's own loss is measured as Σ s·ω·ℓ / Σ s·ω over these rows, where s is what the sampler of
    its stream does to the class shares: a network that is trained on equal classes is judged on equal classes.

    Attributes
    ----------
    X : ndarray of shape (m, d)
    y : int ndarray of shape (m,)
    weight : float ndarray of shape (n_streams, m)
        s, once per stream.
    every : int
        Steps of an epoch.
    """

    X: NDArray[Any]
    y: NDArray[Any]
    weight: NDArray[Any]
    every: int


@dataclass(frozen=True)
class MLP:
    """A trained network: dense layers with ReLU between them.

    Attributes
    ----------
    layers : tuple of (weights, bias)
        float32, weights of shape (inputs, outputs).
    cosine : bool
        Whether the logits are cosines.
    epochs : int or None
        How many the run took, where it could end by itself.
    settled : bool
        Whether it ended by itself, where it could.
    backend : str
        What trained it, as `backend` says it.
    """

    layers: Layers
    cosine: bool
    epochs: int | None = None
    settled: bool = True
    backend: str = ""

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
    held: Held | None = None,
    stacked: bool | None = None,
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
        Learning rate, weight decay and patience; the steps are those of the streams.
    n_classes : int
    threads : int, optional
        Runs trained at a time; default one per core.
    held : Held, optional
        With early stopping: where runs are stopped.
    stacked : bool, optional
        Whether all runs take each step together, instead of one run after the other from first step to last. Default:
        where JAX computes on something else than a CPU.

    Returns
    -------
    list of MLP
        In the order of `runs`. A run whose weights are not finite is an `InputError` for its caller to report.
    """
    if not np.isfinite(X).all():
        row, column = np.argwhere(~np.isfinite(np.asarray(X)))[0]
        raise InputError("finite features", f"{X[row, column]} in row {row}, column {column}")
    if (held is None) is bool(schedule.patience):
        raise InputError("`held` rows with early stopping, and none without", f"patience {schedule.patience}")
    chosen = backend(schedule, [loss for run in runs for loss in (run.loss, run.later) if loss is not None], stacked)
    unit = 1 if held is None else held.every
    numbers = _numbers(runs, y, streams, n_classes, streams.shape[1] // unit)
    if chosen.startswith("native"):
        found = mlp_native.train(X, y, numbers, streams, initial, schedule, n_classes, threads, held)
    else:
        found = mlp_jax.train(X, y, numbers, streams, initial, schedule, threads, held, stacked)
    return [
        MLP(layers, run.cosine, None if held is None else epochs, ended, chosen)
        for run, (layers, epochs, ended) in zip(runs, found, strict=True)
    ]


def backend(schedule: Schedule, losses: Sequence[Any] = (), stacked: bool | None = None) -> str:
    """Say what trains networks on these losses: "native" or "jax", with the instruction set or the reason.

    Raises
    ------
    InputError
        The schedule asks for the compiled step, and it is missing or does not know one of the losses.

    Examples
    --------
    >>> backend(Schedule(backend="jax"))
    'jax (asked for)'
    """
    if schedule.backend == "jax":
        return "jax (asked for)"
    why_not = "the compiled step trains one run after the other" if stacked else mlp_native.missing(losses)
    if why_not is None:
        return f"native ({kernels.available().instructions})"
    if schedule.backend == "native":
        raise InputError("what the compiled step can train, with backend='native'", why_not, "'auto' would take JAX.")
    return f"jax ({why_not})"


def _numbers(
    runs: Sequence[Run], y: NDArray[Any], streams: NDArray[np.int32], n_classes: int, length: int
) -> list[tuple[Any, ...]]:
    """Return what sets one run apart: its losses, their constant denominators, when the later one takes over."""
    both = aligned([r.loss for r in runs] + [r.later or r.loss for r in runs], n_classes)
    counts = [np.bincount(y[stream].ravel(), minlength=n_classes) for stream in streams]
    out = []
    for run, early, late in zip(runs, both[: len(runs)], both[len(runs) :], strict=True):
        constant = [_mean_weight(loss, counts[run.stream]) * streams.shape[2] for loss in (early, late)]
        out.append((early, late, *constant, round(run.defer * length), run.later is not None, run.stream, run.cosine))
    return out


def _mean_weight(loss: SoftmaxCrossEntropy, counts: NDArray[Any]) -> float:
    """Return the mean of ω over the rows of a stream, of which it has so many per class."""
    w = loss.parameters["class_weight"]
    if w is None:
        return 1.0
    if loss.weight_by != "target":
        raise InputError("class weights by the true class", f"weight_by={loss.weight_by!r}")
    return float(w @ counts / counts.sum())
