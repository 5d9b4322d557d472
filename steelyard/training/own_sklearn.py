"""A scikit-learn classifier of the user's own, trained on the weights and rows that a strategy comes to."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import has_fit_parameter

from steelyard import sampling
from steelyard.errors import InputError, MissingDependencyError
from steelyard.strategies import Point
from steelyard.training import networks, own
from steelyard.weights import class_weight

__all__ = ["Estimator", "check", "fit", "restore"]

_TINY = float(np.finfo(np.float64).tiny)  # the logit of probability 0, which a forest gives: its exponential is 0 again


class Estimator:
    """A trained scikit-learn classifier; its logits are the logarithms of its probabilities.

    Attributes
    ----------
    estimator : scikit-learn classifier
    n_classes : int
    path : str or None
        Where it can be imported from.
    """

    def __init__(self, estimator: Any, n_classes: int) -> None:
        self.estimator, self.n_classes = estimator, n_classes
        self.path: str | None = None

    def logits(self, X: NDArray[Any]) -> NDArray[np.float64]:
        """Return log probabilities of shape (n, C)."""
        proba = np.zeros((len(X), self.n_classes))
        if len(X):
            proba[:, np.asarray(self.estimator.classes_, np.int64)] = self.estimator.predict_proba(X)
        return np.log(np.maximum(proba, _TINY))

    def state(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return what has to be stored: JSON data, and skops' form of the estimator as bytes."""
        facts = {"framework": "scikit-learn", "factory": self.path, "n_classes": self.n_classes}
        try:
            data = _skops().dumps(self.estimator)
            # some things are written and cannot be read again; what is in here is ours to trust
            _skops().loads(data, trusted=_skops().get_untrusted_types(data=data))
        except MissingDependencyError:
            raise
        except Exception as error:
            raise own.NotStorableError(
                "a scikit-learn classifier that skops can store without pickle",
                f"{type(error).__name__}: {str(error)[:200]}",
                "result.model holds it as long as the session lasts.",
            ) from error
        return facts, {"skops": np.frombuffer(data, np.uint8)}


def check(estimator: Any, n_features: int, n_classes: int) -> None:
    """Refuse what gives no probabilities."""
    del n_features, n_classes
    if not hasattr(estimator, "predict_proba"):
        raise InputError(
            "a scikit-learn classifier with predict_proba",
            f"{type(estimator).__name__} without",
            "sklearn.calibration.CalibratedClassifierCV makes probabilities of its scores.",
        )


def fit(
    estimator: Any,
    X: NDArray[Any],
    y: NDArray[Any],
    point: Point,
    n_classes: int,
    state: int,
    options: Mapping[str, Any],
) -> tuple[Estimator, str | None]:
    """Train a copy of an estimator.

    Raises
    ------
    NotExpressibleError
        If the strategy is neither class weights nor drawn rows; or weights, and the estimator takes none.
    """
    del options
    check(estimator, X.shape[1], n_classes)
    weight, key = _weights(point, y), _weight_key(estimator)
    if weight is not None and key is None:
        raise own.NotExpressibleError(
            f"needs weights, and {type(estimator).__name__}.fit takes no sample_weight; "
            "strategies that draw rows need none"
        )
    X, y = _rows(point, X, y, state)
    fresh = clone(estimator)
    fresh.set_params(
        **{
            name: state % 2**31
            for name, value in fresh.get_params(deep=True).items()
            if name.rpartition("__")[2] == "random_state" and value is None
        }
    )
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always", ConvergenceWarning)
        fresh.fit(X, y, **({} if weight is None or key is None else {key: weight}))
    trouble = None
    for one in said:
        if issubclass(one.category, ConvergenceWarning):
            trouble = f"did not converge: {str(one.message).strip().splitlines()[0]}"
        else:
            warnings.warn_explicit(one.message, one.category, one.filename, one.lineno)
    return Estimator(fresh, n_classes), trouble


def restore(facts: Mapping[str, Any], arrays: Mapping[str, Any], trusted: list[str]) -> Estimator:
    """Return the stored estimator, built of scikit-learn's and NumPy's types and of those that are trusted by name."""
    data = np.asarray(arrays["skops"], np.uint8).tobytes()
    estimator = _skops().loads(data, trusted=trusted)
    if not own.is_classifier(estimator):
        raise InputError("a scikit-learn classifier", type(estimator).__name__)
    trained = Estimator(estimator, int(facts["n_classes"]))
    trained.path = facts.get("factory")
    return trained


def untrusted(arrays: Mapping[str, Any]) -> list[str]:
    """Return the types in a stored estimator that skops does not trust by itself."""
    found: list[str] = _skops().get_untrusted_types(data=np.asarray(arrays["skops"], np.uint8).tobytes())
    return found


def _skops() -> Any:
    try:
        import skops.io
    except ModuleNotFoundError:
        raise MissingDependencyError("skops", "a stored scikit-learn model", extra="compare") from None
    return skops.io


def _weight_key(estimator: Any) -> str | None:
    """Return under which name `fit` takes weights of rows."""
    if isinstance(estimator, Pipeline):
        name, last = estimator.steps[-1]
        return f"{name}__sample_weight" if has_fit_parameter(last, "sample_weight") else None
    return "sample_weight" if has_fit_parameter(estimator, "sample_weight") else None


def _weights(point: Point, y: NDArray[Any]) -> NDArray[np.float64] | None:
    """Return the weights of rows that a strategy comes to."""
    present = {name for name, value in point.last_loss.parameters.items() if value is not None}
    if not (present <= {"class_weight"} and point.later is None and point.last_loss.weight_by == "target"):
        raise own.NotExpressibleError("needs a loss; a scikit-learn classifier takes weights only")
    if point.sampler == sampling.BATCHES:
        # no batches here: what they are in expectation
        return np.asarray(class_weight("balanced", np.bincount(y))[y], np.float64)
    w = point.last_loss.parameters["class_weight"]
    return None if w is None else np.asarray(w, np.float64)[y]


def _rows(point: Point, X: NDArray[Any], y: NDArray[Any], state: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the rows that a sampler draws or makes."""
    if point.sampler in (None, sampling.BATCHES):
        return X, y
    draw = networks.drawing(state)
    if point.sampler == sampling.SYNTHETIC:
        made, labels = sampling.smote(X, y, draw)
        return np.concatenate([X, made]), np.concatenate([y, labels])
    rows = np.sort(sampling.rows(str(point.sampler), y, draw))
    return X[rows], y[rows]
