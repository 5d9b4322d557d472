"""The models that a comparison can train, by name."""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from types import MappingProxyType
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from steelyard import sampling
from steelyard.errors import InputError, did_you_mean
from steelyard.strategies import Point, Strategy
from steelyard.training import boosted, linear, mlp, networks
from steelyard.weights import ClassCounts, class_weight

__all__ = ["Fitted", "Model", "TrainedModel", "backend", "fit", "fit_all", "get", "names", "resolve", "restore"]

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]


class TrainedModel(Protocol):
    """What training gives."""

    def logits(self, X: NDArray[Any]) -> Floats:
        """Return unnormalised scores of shape (n, C)."""
        ...

    def state(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return what has to be stored: JSON data, and arrays by name."""
        ...


@dataclass(frozen=True)
class Fitted:
    """A trained model, and what was noticed while training it.

    Attributes
    ----------
    model : TrainedModel
    trouble : str or None
        Why the fit should not be trusted blindly: it did not converge.
    seconds : float
        Time of the fit; of a stack of fits, its share.
    epochs : int or None
        How many it took, where a fit ends by itself.
    """

    model: TrainedModel
    trouble: str | None = None
    seconds: float = 0.0
    epochs: int | None = None


@dataclass(frozen=True)
class Model:
    """A model by name, with options.

    Attributes
    ----------
    name : str
    options : mapping
        Everything else is the model's default.
    """

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.name


class _Rows:
    """A training fold as a strategy wants it: drawn, weighted or made rows."""

    def __init__(self, X: NDArray[Any], y: Labels, point: Point, state: int) -> None:
        self.X, self.y = X, y
        self.weight: Floats | None = None
        generator = networks.drawing(state)
        if point.sampler == sampling.SYNTHETIC:
            made, labels = sampling.smote(X, y, generator)
            self.X, self.y = np.concatenate([X, made]), np.concatenate([y, labels])
        elif point.sampler == sampling.BATCHES:
            # no batches here: what they are in expectation
            self.weight = class_weight("balanced", np.bincount(y))[y]
        elif point.sampler is not None:
            # a row that was drawn k times is a row of weight k: the same optimum from fewer rows
            rows = sampling.rows(point.sampler, y, generator)
            self.weight = np.bincount(rows, minlength=len(y)).astype(np.float64)


def _one_by_one(train: Callable[..., Fitted]) -> Callable[..., list[Fitted | Exception]]:
    """Make a trainer of many strategies from a trainer of one."""

    def fit_each(
        X: Floats, y: Labels, points: Sequence[Point], n_classes: int, state: int, starts: Any, options: Any
    ) -> list[Fitted | Exception]:
        out: list[Fitted | Exception] = []
        for point, start in zip(points, starts, strict=True):
            begun = time.perf_counter()
            try:
                fitted = train(_Rows(X, y, point, state), point, n_classes, state, start, options)
            except Exception as error:  # reported as skipped; the other strategies go on
                out.append(error)
            else:
                out.append(Fitted(fitted.model, fitted.trouble, time.perf_counter() - begun))
        return out

    return fit_each


def _linear(rows: _Rows, point: Point, n_classes: int, _: int, start: Fitted | None, options: Any) -> Fitted:
    first = start.model if start is not None and isinstance(start.model, linear.LinearModel) else None
    if first is not None and len(first.weights) != rows.X.shape[1]:
        first = None
    model = linear.fit(rows.X, rows.y, point.last_loss, n_classes, sample_weight=rows.weight, start=first, **options)
    if model.converged:
        return Fitted(model)
    return Fitted(model, f"stopped after {model.steps} steps before its gradient ({model.residual:.0e}) was small")


def _lightgbm(rows: _Rows, point: Point, n_classes: int, state: int, _: Fitted | None, options: Any) -> Fitted:
    X, y, weight = rows.X, rows.y, rows.weight
    if weight is not None and (weight == 0).any():
        # a row of weight 0 would still count towards the least number of rows in a leaf
        kept = weight > 0
        X, y, weight = X[kept], y[kept], weight[kept]
    return Fitted(boosted.fit(X, y, point, n_classes, state, weight, **options))


def _mlp(
    X: Floats, y: Labels, points: Sequence[Point], n_classes: int, state: int, _: Any, options: Any
) -> list[Fitted | Exception]:
    begun = time.perf_counter()
    trained = networks.fit_points(X, y, points, n_classes, state, mlp.Schedule(**options))
    seconds = (time.perf_counter() - begun) / max(1, len(points))
    out: list[Fitted | Exception] = []
    for network in trained:
        if isinstance(network, Exception):
            out.append(network)
        elif all(np.isfinite(w).all() and np.isfinite(b).all() for w, b in network.layers):
            trouble = None if network.settled else f"had not settled after {network.epochs} epochs: allow more"
            out.append(Fitted(network, trouble, seconds, network.epochs))
        else:
            out.append(FloatingPointError("its training diverged: weights are not finite"))
    return out


@dataclass(frozen=True)
class _Kind:
    fit: Callable[..., list[Fitted | Exception]]
    options: frozenset[str]
    trained: Any


def _keywords(function: Callable[..., Any], without: Sequence[str]) -> frozenset[str]:
    known = inspect.signature(function).parameters.values()
    return frozenset(p.name for p in known if p.default is not p.empty and p.name not in without)


_KINDS: Mapping[str, _Kind] = MappingProxyType(
    {
        "linear": _Kind(_one_by_one(_linear), _keywords(linear.fit, ("sample_weight", "start")), linear.LinearModel),
        "lightgbm": _Kind(_one_by_one(_lightgbm), _keywords(boosted.fit, ("sample_weight",)), boosted.BoostedTrees),
        "mlp": _Kind(_mlp, frozenset(f.name for f in fields(mlp.Schedule)), mlp.MLP),
    }
)


def names() -> tuple[str, ...]:
    """Return the names of the models.

    Examples
    --------
    >>> names()
    ('linear', 'lightgbm', 'mlp')
    """
    return tuple(_KINDS)


def get(name: str, **options: Any) -> Model:
    """Return the model called `name`.

    Parameters
    ----------
    name : str
        One of `names()`.
    **options
        linear: penalty, max_steps; lightgbm: n_estimators, learning_rate, num_leaves, min_child_samples; mlp: hidden,
        epochs, batch_size, learning_rate, weight_decay, early_stopping, backend.

    Raises
    ------
    InputError
        There is no such model or option.

    Examples
    --------
    >>> get("mlp", hidden=(32,)).options["hidden"]
    (32,)
    """
    if name not in _KINDS:
        listed = ", ".join(_KINDS)
        raise InputError(f"`model` among {listed}", repr(name), did_you_mean(name, _KINDS))
    for option in options:
        if option not in _KINDS[name].options:
            listed = ", ".join(sorted(_KINDS[name].options))
            hint = did_you_mean(option, _KINDS[name].options)
            raise InputError(f"an option of model '{name}' ({listed})", repr(option), hint)
    return Model(name, MappingProxyType(dict(options)))


def resolve(model: str | Model, strategy: Strategy, counts: ClassCounts) -> Point:
    """Return a strategy's point on these counts as a model can use it: only networks have a cosine head.

    Examples
    --------
    >>> import steelyard as sy
    >>> counts = sy.ClassCounts.from_counts({"a": 90, "b": 10})
    >>> resolve("linear", sy.strategies.get("ldam"), counts).loss.logit_scale is None
    True
    """
    point = strategy.resolve(counts)
    name = model if isinstance(model, str) else model.name
    return point if name == "mlp" else point.without_cosine()


def fit_all(
    model: str | Model,
    X: Floats,
    y: Labels,
    points: Sequence[Point],
    n_classes: int,
    state: int,
    starts: Sequence[Fitted | None] | None = None,
) -> list[Fitted | Exception]:
    """Train a model on a training fold once per strategy.

    Parameters
    ----------
    model : str or Model
    X : float64 ndarray of shape (n, d)
        Preprocessed features of the training fold.
    y : int64 ndarray of shape (n,)
        Class indices.
    points : sequence of Point
        Strategies resolved on the counts of `y`.
    n_classes : int
    state : int
        Seed of the fold: of drawn rows, initial weights and orders, the same for every strategy.
    starts : sequence of Fitted or None, optional
        Fits of the same strategies on other rows, to start from where that is safe.

    Returns
    -------
    list of Fitted or Exception
        One per point; a strategy that cannot be trained leaves the others alone.
    """
    model = get(model) if isinstance(model, str) else model
    given = [None] * len(points) if starts is None else list(starts)
    return _KINDS[model.name].fit(X, y, list(points), n_classes, state, given, model.options)


def backend(model: Model) -> str | None:
    """Say what computes a model that more than one thing can compute; None for the others.

    Examples
    --------
    >>> backend(get("mlp", backend="jax")), backend(get("linear"))
    ('jax (asked for)', None)
    """
    return mlp.backend(mlp.Schedule(**model.options)) if model.name == "mlp" else None


def fit(
    model: str | Model,
    X: Floats,
    y: Labels,
    point: Point,
    n_classes: int,
    generator: np.random.Generator,
    start: Fitted | None = None,
) -> Fitted:
    """Train a model on a training fold for one strategy; see `fit_all`.

    Raises
    ------
    Exception
        Whatever kept it from being trained.
    """
    fitted = fit_all(model, X, y, [point], n_classes, int(generator.integers(2**32)), [start])[0]
    if isinstance(fitted, Exception):
        raise fitted
    return fitted


def restore(name: str, facts: dict[str, Any], arrays: dict[str, Any]) -> TrainedModel:
    """Return the trained model whose `state` was stored."""
    trained: TrainedModel = _KINDS[get(name).name].trained.from_state(facts, arrays)
    return trained
