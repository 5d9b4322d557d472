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

from steelyard.errors import InputError, did_you_mean
from steelyard.strategies import Point, Strategy
from steelyard.training import boosted, linear, mlp, networks, recipe
from steelyard.training.own import Source, source
from steelyard.training.rows import Rows
from steelyard.weights import ClassCounts

__all__ = [
    "CHUNK",
    "Fitted",
    "Model",
    "TrainedModel",
    "backend",
    "fit",
    "fit_all",
    "get",
    "logits",
    "named",
    "names",
    "read",
    "resolve",
    "restore",
]

CHUNK = 1 << 18  # rows that are scored at a time

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
    source : Source or None
        Where a model of the user's own comes from.
    """

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)
    source: Source | None = None

    def __str__(self) -> str:
        return self.name

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "options": dict(self.options)}  # a view of a mapping cannot be sent to a process


def _one_by_one(train: Callable[..., Fitted]) -> Callable[..., list[Fitted | Exception]]:
    """Make a trainer of many strategies from a trainer of one."""

    def fit_each(
        X: Floats,
        y: Labels,
        points: Sequence[Point],
        n_classes: int,
        state: int,
        starts: Any,
        options: Any,
        _: int,
        weight: Floats | None,
    ) -> list[Fitted | Exception]:
        out: list[Fitted | Exception] = []
        for point, start in zip(points, starts, strict=True):
            begun = time.perf_counter()
            try:
                fitted = train(Rows(X, y, point, state, weight), point, n_classes, state, start, options)
            except Exception as error:  # reported as skipped; the other strategies go on
                out.append(error)
            else:
                out.append(Fitted(fitted.model, fitted.trouble, time.perf_counter() - begun))
        return out

    return fit_each


def _linear(rows: Rows, point: Point, n_classes: int, _: int, start: Fitted | None, options: Any) -> Fitted:
    first = start.model if start is not None and isinstance(start.model, linear.LinearModel) else None
    if first is not None and len(first.weights) != rows.X.shape[1]:
        first = None
    model = linear.fit(
        rows.X,
        rows.y,
        point.last_loss,
        n_classes,
        sample_weight=rows.weight,
        start=first,
        copies=rows.copies,
        **options,
    )
    if model.converged:
        return Fitted(model)
    return Fitted(model, f"stopped after {model.steps} steps before its gradient ({model.residual:.0e}) was small")


def _boosted(trees: type[boosted.BoostedTrees], options_of: Any) -> Callable[..., list[Fitted | Exception]]:
    def fit_trees(
        X: Floats,
        y: Labels,
        points: Sequence[Point],
        n_classes: int,
        state: int,
        _: Any,
        options: Any,
        threads: int,
        weight: Floats | None,
    ) -> list[Fitted | Exception]:
        grown = boosted.fit_points(trees, X, y, points, n_classes, state, options_of(**options), threads, weight)
        return [g if isinstance(g, Exception) else Fitted(g[0], None, g[1]) for g in grown]

    return fit_trees


def _own(
    own: Source, X: Floats, y: Labels, points: Sequence[Point], n_classes: int, state: int, options: Any
) -> list[Fitted | Exception]:
    out: list[Fitted | Exception] = []
    for point in points:
        begun = time.perf_counter()
        try:
            trained, trouble = own.fit(X, y, point, n_classes, state, options)
        except Exception as error:  # reported as skipped; the other strategies go on
            out.append(error)
        else:
            out.append(Fitted(trained, trouble, time.perf_counter() - begun))
    return out


def _mlp(
    X: Floats,
    y: Labels,
    points: Sequence[Point],
    n_classes: int,
    state: int,
    _: Any,
    options: Any,
    __: int,
    weight: Floats | None,
) -> list[Fitted | Exception]:
    begun = time.perf_counter()
    trained = networks.fit_points(X, y, points, n_classes, state, mlp.Schedule(**options), weight)
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


def _trees(trees: type[boosted.BoostedTrees], options_of: Any) -> _Kind:
    return _Kind(_boosted(trees, options_of), frozenset(f.name for f in fields(options_of)), trees)


_KINDS: Mapping[str, _Kind] = MappingProxyType(
    {
        "linear": _Kind(
            _one_by_one(_linear), _keywords(linear.fit, ("sample_weight", "start", "copies")), linear.LinearModel
        ),
        "lightgbm": _trees(boosted.LightGBMTrees, boosted.LightGBMOptions),
        "xgboost": _trees(boosted.XGBoostTrees, boosted.XGBoostOptions),
        "catboost": _trees(boosted.CatBoostTrees, boosted.CatBoostOptions),
        "mlp": _Kind(_mlp, frozenset(f.name for f in fields(mlp.Schedule)), mlp.MLP),
    }
)


def names() -> tuple[str, ...]:
    """Return the names of the models.

    Examples
    --------
    >>> names()
    ('linear', 'lightgbm', 'xgboost', 'catboost', 'mlp')
    """
    return tuple(_KINDS)


def get(name: str, **options: Any) -> Model:
    """Return the model called `name`.

    Parameters
    ----------
    name : str
        One of `names()`.
    **options
        linear: penalty, max_steps; lightgbm: n_estimators, learning_rate, num_leaves, min_child_samples; xgboost:
        n_estimators, learning_rate, max_depth, min_child_weight, reg_lambda; catboost: n_estimators, learning_rate,
        depth, l2_leaf_reg; mlp: hidden, epochs, batch_size, learning_rate,
        weight_decay, early_stopping, backend.

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


def read(given: Any) -> list[Model]:
    """Return the models that a user asks for, each in one of the ways to name it.

    Parameters
    ----------
    given : one of these, or a sequence of them
        A name of `names()`; (name, options); `Model`; "package.module:function", which is imported; a scikit-learn
        classifier or its class; a function or class that builds a torch module or a Keras model from (n_features,
        n_classes). The last three also as (name, it), (it, options) or (name, it, options), with the options epochs,
        batch_size, learning_rate, weight_decay of networks.

    Returns
    -------
    list of Model

    Raises
    ------
    InputError
        If one of them is none, or two have one name.

    Examples
    --------
    >>> [str(m) for m in read(["linear", ("mlp", {"epochs": 5})])]
    ['linear', 'mlp']
    >>> from sklearn.naive_bayes import GaussianNB
    >>> str(read(GaussianNB())[0]), str(read(("bayes", GaussianNB))[0])
    ('GaussianNB', 'bayes')
    """
    one = not isinstance(given, list | tuple) or _is_one(given)
    models = [_read(part) for part in ([given] if one else given)]
    named = [m.name for m in models]
    twice = sorted({name for name in named if named.count(name) > 1})
    if twice or not models:
        got = f"{twice[0]!r} twice" if twice else "none"
        raise InputError(
            "each model once, and at least one", got, "('name', model) gives it another." if twice else None
        )
    return models


def _is_one(given: Sequence[Any]) -> bool:
    """Whether a sequence is one model with its name or options, and not several models."""
    if not isinstance(given, tuple) or len(given) not in (2, 3):
        return False
    first, second = given[:2]
    if isinstance(given[-1], Mapping):
        return True
    named = isinstance(first, str) and ":" not in first and first not in _KINDS
    return len(given) == 2 and named and not (isinstance(second, str) and ":" not in second)


def _read(given: Any) -> Model:
    if isinstance(given, Model):
        return given if given.source is not None else get(given.name, **given.options)
    parts = list(given) if isinstance(given, tuple) else [given]
    options = parts.pop() if len(parts) > 1 and isinstance(parts[-1], Mapping) else {}
    if len(parts) == 1 and isinstance(parts[0], str) and ":" not in parts[0]:
        return get(parts[0], **options)
    own = source(parts[-1])
    return named(own, str(parts[0]) if len(parts) > 1 else own.name, options)


def named(own: Source, name: str, options: Mapping[str, Any]) -> Model:
    """Return a model of the user's own under a name.

    Raises
    ------
    InputError
        If it is the name of another model, or there is no such option.
    """
    if name in _KINDS:
        raise InputError("a name of its own for a model", repr(name), f"'{name}' is a model of Steelyard's.")
    for option in options:
        if option not in recipe.OPTIONS:
            listed = ", ".join(recipe.OPTIONS)
            hint = did_you_mean(option, recipe.OPTIONS)
            raise InputError(f"an option of a network ({listed})", repr(option), hint)
    return Model(name, dict(options), own)


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
    threads: int = 1,
    sample_weight: Floats | None = None,
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
    threads : int, default 1
        Fits of boosted trees that run at the same time; it changes no result.
    sample_weight : float64 ndarray of shape (n,), optional
        Positive: how many rows each row stands for; strategies are then resolved on sums of weights. Models of the
        user's own take none.

    Returns
    -------
    list of Fitted or Exception
        One per point; a strategy that cannot be trained leaves the others alone.
    """
    model = get(model) if isinstance(model, str) else model
    if model.source is not None:
        if sample_weight is not None:
            raise InputError(f"a model that takes `sample_weight`, one of {', '.join(_KINDS)}", f"'{model.name}'")
        return _own(model.source, X, y, list(points), n_classes, state, model.options)
    given = [None] * len(points) if starts is None else list(starts)
    return _KINDS[model.name].fit(X, y, list(points), n_classes, state, given, model.options, threads, sample_weight)


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


def logits(model: TrainedModel, X: NDArray[Any]) -> Floats:
    """Return the logits of a matrix, in chunks of rows: what a model copies of its rows stays small."""
    if len(X) <= CHUNK:
        return model.logits(X)
    return np.concatenate([model.logits(X[start : start + CHUNK]) for start in range(0, len(X), CHUNK)])


def restore(model: str | Model, facts: dict[str, Any], arrays: dict[str, Any], trusted: Sequence[str]) -> TrainedModel:
    """Return the trained model whose `state` was stored.

    Parameters
    ----------
    model : str or Model
        One of the user's own has its source.
    facts, arrays : dict
    trusted : sequence of str
        Types outside scikit-learn's public ones that a stored scikit-learn classifier may hold.
    """
    model = get(model) if isinstance(model, str) else model
    if model.source is not None:
        trained: TrainedModel = model.source.restore(facts, arrays, trusted)
    else:
        trained = _KINDS[model.name].trained.from_state(facts, arrays)
    return trained
