"""The compiled training of the stacked networks: the same steps as the JAX program of `mlp_jax`.

One thread per run: a run is trained from first step to last on one core, so that its weights, moments and activations
stay in the cache, and so that its result is the same however many runs and threads there are.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steelyard import kernels
from steelyard.errors import InputError
from steelyard.losses import SoftmaxCrossEntropy
from steelyard.training import cores

__all__ = ["gradient", "missing", "train"]

Layers = tuple[tuple[NDArray[np.float32], NDArray[np.float32]], ...]


def missing(losses: Sequence[Any]) -> str | None:
    """Return what keeps these losses from the compiled step, or None: they are what it knows.

    Examples
    --------
    >>> import steelyard as sy
    >>> missing([sy.losses.focal(gamma=2.0)])
    >>> missing([sy.losses.SoftmaxCrossEntropy([1.0, 2.0], weight_by="prediction")])
    "the compiled step has no weight_by='prediction'"
    """
    found = kernels.available()
    if not found.compiled:
        return f"{found}"
    for loss in losses:
        if type(loss) is not SoftmaxCrossEntropy:
            return f"the compiled step has no {type(loss).__name__}"
        for name, value in loss.static().items():
            if value != {"weight_by": "target", "reduction": "mean"}.get(name):
                return f"the compiled step has no {name}={value!r}"
        if not all(value is None or isinstance(value, np.ndarray) for value in loss.parameters.values()):
            return "the compiled step has no parameters that a framework follows"
        for name in ("poly_coefficient", "compensation"):
            if loss.parameters[name] is not None:
                return f"the compiled step has no {name}"
        if loss.parameters["label_smoothing"] is not None and np.ptp(loss.parameters["label_smoothing"]) > 0:
            return "the compiled step has no label_smoothing by class"
    return None


def train(
    X: NDArray[Any],
    y: NDArray[Any],
    numbers: Sequence[tuple[Any, ...]],
    streams: NDArray[np.int32],
    initial: Layers,
    schedule: Any,
    n_classes: int,
    threads: int | None = None,
    held: Any = None,
    instructions: str | None = None,
) -> list[tuple[Layers, int, bool]]:
    """Train one network per run.

    Parameters
    ----------
    numbers : sequence of tuples
        Per run: loss, later loss, their denominators, when the later one takes over, whether it does, the stream,
        whether the head is of cosines.
    instructions : str, optional
        Default: what `kernels.available` says.
    X, y, streams, initial, schedule, n_classes, threads, held
        As in `mlp.fit_all`.

    Returns
    -------
    list of (layers, epochs, whether the run ended by itself)
    """
    module = kernels.native()
    table, labels = _array(X, np.float32), _array(y, np.int32)
    stop = np.zeros(1, np.int32)
    shared = {
        "X": table,
        "y": labels,
        "sizes": _sizes(initial),
        "rate": schedule.rate,
        "decay": schedule.weight_decay,
        "stop": stop,
        "held_X": None if held is None else _array(held.X, np.float32),
        "held_y": None if held is None else _array(held.y, np.int32),
        "every": 0 if held is None else held.every,
        "patience": schedule.patience,
        "gradient": None,
    }
    chosen = instructions or kernels.available().instructions
    batches = [_array(stream, np.int32) for stream in streams]

    def one(run: tuple[Any, ...]) -> tuple[Layers, int, bool]:
        *_, defer, changes, stream, cosine = run
        parameters = _flat(initial)
        taken = module.train(
            chosen,
            parameters=parameters,
            stream=batches[stream],
            changes=changes,
            defer=defer,
            cosine=cosine,
            held_weight=None if held is None else _array(held.weight[stream], np.float32),
            **_of_losses(run[:2], run[2:4], n_classes),
            **shared,
        )
        if taken is None:
            raise KeyboardInterrupt
        return _layers(parameters, initial), *taken

    # a pool also for one thread: this one has to hear of an interrupt
    with ThreadPoolExecutor(min(len(numbers), threads or cores.allowed())) as pool:
        jobs = [pool.submit(one, run) for run in numbers]
        try:
            return [job.result() for job in jobs]
        except BaseException:
            # an interrupted comparison does not wait for networks that nobody will see
            stop[0] = 1
            pool.shutdown(cancel_futures=True)
            raise


def gradient(
    X: NDArray[Any],
    y: NDArray[Any],
    loss: SoftmaxCrossEntropy,
    layers: Layers,
    denominator: float,
    cosine: bool = False,
    instructions: str | None = None,
) -> Layers:
    """Return the gradient of Σ ω ℓ / denominator over all rows by every weight and bias, as a training step takes it.

    Parameters
    ----------
    X : ndarray of shape (n, d)
    y : int ndarray of shape (n,)
    loss : SoftmaxCrossEntropy
    layers : layers
        As from `mlp.initial_weights`.
    denominator : float
    cosine : bool, default False
    instructions : str, optional
        Default: what `kernels.available` says.
    """
    parameters = _flat(layers)
    out = np.zeros_like(parameters)
    kernels.native().train(
        instructions or kernels.available().instructions,
        X=_array(X, np.float32),
        y=_array(y, np.int32),
        stream=np.arange(len(y), dtype=np.int32)[None],
        sizes=_sizes(layers),
        parameters=parameters,
        changes=False,
        defer=0,
        cosine=cosine,
        rate=0.0,
        decay=0.0,
        stop=np.zeros(1, np.int32),
        held_X=None,
        held_y=None,
        held_weight=None,
        every=0,
        patience=0,
        gradient=out,
        **_of_losses((loss, loss), (denominator, denominator), layers[-1][1].size),
    )
    return _layers(out, layers)


def _array(values: Any, dtype: Any) -> Any:
    return np.ascontiguousarray(values, dtype)


def _sizes(layers: Layers) -> list[int]:
    return [len(layers[0][0]), *(len(bias) for _, bias in layers)]


def _flat(layers: Layers) -> NDArray[np.float32]:
    return np.concatenate([part.ravel() for layer in layers for part in layer]).astype(np.float32)


def _layers(flat: NDArray[np.float32], like: Layers) -> Layers:
    out, at = [], 0
    for weights, bias in like:
        w, b = flat[at : at + weights.size], flat[at + weights.size : at + weights.size + bias.size]
        out.append((w.reshape(weights.shape).copy(), b.copy()))
        at += weights.size + bias.size
    return tuple(out)


def _of_losses(losses: Sequence[SoftmaxCrossEntropy], denominators: Sequence[float], n_classes: int) -> dict[str, Any]:
    """Return the numbers of a run's two losses; a matrix that does nothing is left out, and costs nothing."""
    rows = []
    for loss, denominator in zip(losses, denominators, strict=True):
        values = {p.name: loss.parameters[p.name] for p in loss.PARAMETERS}
        per_class = [
            np.broadcast_to(neutral if values[name] is None else values[name], n_classes)
            for name, neutral in (("class_weight", 1.0), ("logit_scale", 1.0), ("logit_offset", 0.0), ("margin", 0.0))
        ]
        # one number for all classes, which `missing` saw to, at the shape of all losses of a fold
        single = [
            float(loss.gamma),
            float(np.max(loss.label_smoothing)),
            1.0 / denominator,
        ]
        rows.append(np.concatenate([*per_class, single]))
    pairwise = [_matrix(loss.pairwise_offset, 1.0, n_classes) for loss in losses]
    cost = [_matrix(loss.cost_matrix, loss.cost_coefficient, n_classes) for loss in losses]
    return {
        "numbers": _array(rows, np.float32),
        "pairwise": _array(pairwise, np.float32) if np.any(pairwise) else None,
        "cost": _array(cost, np.float32) if np.any(cost) else None,
    }


def _matrix(value: Any, factor: Any, n_classes: int) -> NDArray[Any]:
    if value is None:
        return np.zeros((n_classes, n_classes))
    if value.shape != (n_classes, n_classes):
        raise InputError(f"matrices of {n_classes} classes", f"shape {value.shape}")
    return np.asarray(float(factor) * value)
