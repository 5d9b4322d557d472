"""Models of the user's own: where they come from, what they are, and their training, one strategy at a time.

A scikit-learn classifier, a function or class that gives a ``torch.nn.Module``, a function that gives a Keras model:
which of them it is shows in what it builds, so that nobody has to say it. Each is trained in its own framework on the
loss of a strategy (`own_torch`, `own_keras`), or on the weights and rows that a strategy comes to (`own_sklearn`).
"""

from __future__ import annotations

import hashlib
import inspect
import random
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from threading import RLock
from types import CodeType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steelyard.errors import InputError, did_you_mean
from steelyard.strategies import Point

__all__ = [
    "FRAMEWORKS",
    "FactoryError",
    "NotExpressibleError",
    "NotStorableError",
    "Source",
    "source",
    "untrusted",
]

Floats = NDArray[np.float64]

FRAMEWORKS = ("scikit-learn", "torch", "keras")

_FORM = "a function (n_features, n_classes) that builds a torch module or a Keras model, or a scikit-learn classifier"
_LOGITS = "one logit for each class, and no softmax after the last layer"

# frameworks draw from generators of the whole process: two models that train at a time would share them, and neither
# could be trained again to the same numbers
_ONE_AT_A_TIME = RLock()


class FactoryError(InputError):
    """A factory that did not build what is stored, or cannot be used at all."""


class NotStorableError(InputError):
    """A trained model that cannot be written to a file without pickle."""


class NotExpressibleError(ValueError):
    """A strategy asks for what a model cannot do; nothing is wrong with either."""


@dataclass(frozen=True)
class Source:
    """What builds a model of the user's own.

    Attributes
    ----------
    make : callable or scikit-learn classifier
    path : str or None
        "package.module:function", under which it can be imported.
    """

    make: Any
    path: str | None = None

    @property
    def name(self) -> str:
        """A name for tables, where the user gave none."""
        named = self.make if hasattr(self.make, "__name__") else type(self.make)
        return str(named.__name__)

    def build(self, n_features: int, n_classes: int) -> Any:
        """Return a new, untrained model.

        Raises
        ------
        InputError
            If it takes other arguments, or gives something that cannot be trained.
        """
        built = self.make
        if not is_classifier(built):
            built = self.make(*_arguments(self.make, n_features, n_classes))
        framework_of(built)
        return built

    def check(self, n_features: int, n_classes: int) -> str:
        """Build it once and look at what came: better now than after an hour.

        Returns
        -------
        str
            One of `FRAMEWORKS`.
        """
        with seeded(0):
            built = self.build(n_features, n_classes)
            framework = framework_of(built)
            _module(framework).check(built, n_features, n_classes)
        return framework

    def fit(
        self, X: Floats, y: NDArray[np.int64], point: Point, n_classes: int, state: int, options: Mapping[str, Any]
    ) -> tuple[Any, str | None]:
        """Train on a strategy's point.

        Returns
        -------
        tuple
            The trained model, and what is to be said of the fit, or None.

        Raises
        ------
        NotExpressibleError
            If the strategy needs a loss, and the model takes weights only.
        """
        with seeded(state):
            built = self.build(X.shape[1], n_classes)
            trained, trouble = _module(framework_of(built)).fit(built, X, y, point, n_classes, state, options)
        trained.path = self.path
        return trained, trouble

    def restore(self, facts: Mapping[str, Any], arrays: Mapping[str, Any], trusted: Sequence[str] = ()) -> Any:
        """Return the trained model whose `state` was stored: a network is built anew, and given its weights."""
        framework = facts["framework"]
        with seeded(0):
            if framework == "scikit-learn":
                return _module(framework).restore(facts, arrays, list(trusted))
            built = self.build(int(facts["n_features"]), int(facts["n_classes"]))
            if framework_of(built) != framework:
                raise FactoryError(f"the factory of a {framework} model", f"one of a {framework_of(built)} model")
            return _module(framework).restore(built, facts, arrays, self.path)

    def describe(self) -> str:
        """Return a text that changes when the model does: a resumed comparison is refused by it."""
        if is_classifier(self.make):
            return f"{type(self.make).__module__}.{type(self.make).__qualname__} {_parameters(self.make)}"
        digest = hashlib.sha256("\n".join(_texts(self.make, set())).encode()).hexdigest()[:16]
        return f"{self.path or self.name} {digest}"


def untrusted(facts: Mapping[str, Any], arrays: Mapping[str, Any]) -> list[str]:
    """Return the types in a stored model that have to be trusted by name; none are in a network, which is numbers."""
    if facts.get("framework") != "scikit-learn":
        return []
    found: list[str] = _module("scikit-learn").untrusted(arrays)
    return found


def source(given: Any) -> Source:
    """Return where a model comes from.

    Parameters
    ----------
    given : str, callable or scikit-learn classifier
        "package.module:function" is imported, and nothing else.

    Raises
    ------
    InputError
        If there is no such module, or no such function in it, or it is none.
    """
    if isinstance(given, str):
        return Source(_imported(given), given)
    trained = _trained_already(given)
    if trained:
        raise InputError(_FORM, f"one {trained}", "every fold starts anew: give the function or class that builds it.")
    if not callable(given) and not is_classifier(given):
        raise InputError(_FORM, f"{given!r} of type {type(given).__name__}")
    return Source(given, _path(given))


def _path(given: Any) -> str | None:
    """Return "module:name" if that leads back to `given`."""
    module, name = getattr(given, "__module__", None), getattr(given, "__qualname__", "")
    found: Any = sys.modules.get(module or "")
    if module == "__main__" or found is None:
        return None
    return f"{module}:{name}" if getattr(found, name, None) is given else None


def _imported(path: str) -> Any:
    where, _, name = path.partition(":")
    if not where or not name.isidentifier():
        raise InputError("`model` as package.module:function", repr(path))
    here = str(Path.cwd())
    if here not in sys.path and "" not in sys.path:
        sys.path.insert(0, here)  # the command's own folder stands there, not the one that the user is in
    try:
        module = import_module(where)
    except ModuleNotFoundError as error:
        missing = error.name or where
        if not (where == missing or where.startswith(f"{missing}.")):
            raise InputError(f"'{where}' to import what it needs", f"no module named '{missing}'") from error
        raise InputError(
            f"a module '{where}'", f"none in '{here}', and none that is installed", _similar(where)
        ) from None
    except Exception as error:
        raise InputError(f"'{where}' to be imported", f"{type(error).__name__}: {error}") from error
    if not hasattr(module, name):
        public = [n for n, value in vars(module).items() if callable(value) and not n.startswith("_")]
        raise InputError(f"a function '{name}' in '{where}'", "none", did_you_mean(name, public))
    found = getattr(module, name)
    return found if is_classifier(found) else source(found).make


def _similar(where: str) -> str | None:
    top = where.partition(".")[0]
    if where != top and find_spec(top) is not None:
        return f"'{top}' is there: is the part after it right?"
    return did_you_mean(top, [p.stem for p in Path.cwd().iterdir() if p.suffix == ".py" or p.is_dir()])


def is_classifier(thing: Any) -> bool:
    return not inspect.isclass(thing) and all(
        hasattr(thing, name) for name in ("fit", "get_params", "set_params")
    )  # scikit-learn's own definition of an estimator, with no need to import it


def _trained_already(thing: Any) -> str | None:
    """Say what a ready-built network is, which cannot start anew for every fold."""
    keras, torch = sys.modules.get("keras"), sys.modules.get("torch")
    if keras is not None and isinstance(thing, keras.Model):
        return "Keras model that is built already"
    if torch is not None and isinstance(thing, torch.nn.Module):
        return "torch module that is built already"
    return None


def _arguments(make: Callable[..., Any], n_features: int, n_classes: int) -> tuple[int, ...]:
    """Return the arguments that a function takes: both numbers, or none."""
    try:
        signature = inspect.signature(make)
    except ValueError:  # builtins need not have one
        return (n_features, n_classes)
    # a scikit-learn class takes parameters, none of which is a number of features
    choices = ((),) if hasattr(make, "get_params") else ((n_features, n_classes), ())
    for arguments in choices:
        try:
            signature.bind(*arguments)
        except TypeError:
            continue
        return arguments
    name = getattr(make, "__name__", type(make).__name__)
    raise InputError(_FORM, f"{name}{signature}", "it is called with two whole numbers, or with nothing.")


def framework_of(built: Any) -> str:
    """Return which of `FRAMEWORKS` a model belongs to.

    Raises
    ------
    InputError
        If to none.
    """
    keras, torch = sys.modules.get("keras"), sys.modules.get("torch")
    if keras is not None and isinstance(built, keras.Model):  # first: on its torch backend it is a module too
        return "keras"
    if torch is not None and isinstance(built, torch.nn.Module):
        return "torch"
    if is_classifier(built):
        return "scikit-learn"
    got = "None" if built is None else f"an object of type {type(built).__module__}.{type(built).__qualname__}"
    raise InputError(_FORM, got, "does the function end with `return`?" if built is None else None)


def _module(framework: str) -> Any:
    # each is loaded when such a model is there, and brings its framework
    return import_module(f"steelyard.training.own_{'sklearn' if framework == 'scikit-learn' else framework}")


@contextmanager
def seeded(state: int) -> Iterator[None]:
    """Train one model at a time, from fixed generators, and leave those of the process as they were."""
    with _ONE_AT_A_TIME:
        # users' models draw from NumPy's old generator
        python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002
        torch = sys.modules.get("torch")
        kept = None if torch is None else torch.get_rng_state()
        try:
            seed(state)
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy)  # noqa: NPY002
            if torch is not None and kept is not None:
                torch.set_rng_state(kept)


def seed(state: int) -> None:
    """Seed what a model may draw from: Python, NumPy, and the frameworks that are loaded."""
    random.seed(state)
    np.random.seed(state % 2**32)  # noqa: NPY002
    torch, keras = sys.modules.get("torch"), sys.modules.get("keras")
    if torch is not None:
        torch.manual_seed(state)
    if keras is not None:
        keras.utils.set_random_seed(state % 2**32)


def checked_logits(values: Any, rows: int, n_classes: int, fresh: bool = False) -> Floats:
    """Return a network's output as logits of shape (rows, n_classes), or say what is wrong with it.

    Raises
    ------
    InputError
        For another shape; with `fresh`, also for probabilities.
    """
    logits = np.asarray(values, np.float64)
    if logits.shape != (rows, n_classes):
        raise InputError(
            f"logits of shape ({rows}, {n_classes}) for {rows} rows", f"shape {logits.shape}", f"give {_LOGITS}."
        )
    if fresh and (logits >= 0).all() and np.allclose(logits.sum(1), 1.0, atol=1e-4):
        raise InputError("logits", "probabilities: every row is positive and sums to 1", f"give {_LOGITS}.")
    return logits


def _parameters(estimator: Any) -> str:
    parameters = estimator.get_params(deep=True)
    return ", ".join(f"{k}={v!r}" for k, v in sorted(parameters.items()) if not hasattr(v, "get_params"))


def _texts(thing: Any, seen: set[int]) -> Iterator[str]:
    """Give the source of a function or class, and of what it names in its own module."""
    if id(thing) in seen:
        return
    seen.add(id(thing))
    try:
        yield inspect.getsource(thing)
    except (OSError, TypeError):  # typed into a prompt, or compiled
        yield repr(getattr(thing, "__qualname__", type(thing)))
        return
    home: Any = sys.modules.get(getattr(thing, "__module__", "") or "")
    for name in sorted(_names(thing)):
        other = getattr(home, name, None)
        if (inspect.isfunction(other) or inspect.isclass(other)) and other.__module__ == thing.__module__:
            yield from _texts(other, seen)
        elif isinstance(other, bool | int | float | str | tuple):
            yield f"{name} = {other!r}"


def _names(thing: Any) -> set[str]:
    if inspect.isclass(thing):
        parts = [*vars(thing).values(), *(base for base in thing.__mro__[1:] if base.__module__ == thing.__module__)]
        return set().union(*(_names(p) for p in parts if inspect.isfunction(p) or inspect.isclass(p)))
    code = getattr(thing, "__code__", None)
    return set() if code is None else _named_in(code)


def _named_in(code: CodeType) -> set[str]:
    inside = (c for c in code.co_consts if isinstance(c, CodeType))
    return set(code.co_names).union(*(_named_in(c) for c in inside))
