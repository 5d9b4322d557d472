"""The winner of a comparison of several labels: a classifier for each, one strategy and decision for all."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steelyard.comparison import stored
from steelyard.comparison.classifier import Classifier
from steelyard.errors import InputError

__all__ = ["FACTS", "MultiLabelClassifier", "load", "save"]

Floats = NDArray[np.float64]

FACTS = "labels.json"
_SUMS = "SHA256SUMS"
SCHEMA_VERSION = 1


class MultiLabelClassifier:
    """Labels of 0 and 1, each by its own classifier; `predict` and `predict_proba` as scikit-learn has them.

    Parameters
    ----------
    classifiers : mapping of str to Classifier
        Trained ones by the names of the labels; in the order of the columns of what is predicted.

    Attributes
    ----------
    labels_ : tuple of str
    classes_ : ndarray of shape (2,)
        0 and 1.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(200, 2))
    >>> one = {name: Classifier().fit(X, (X[:, k] > 1.0).astype(int)) for k, name in enumerate(["hot", "wet"])}
    >>> model = MultiLabelClassifier(one)
    >>> model.predict([[3.0, 0.0], [3.0, 3.0]])
    array([[1, 0], [1, 1]])
    >>> model.predict_proba([[3.0, -3.0]]).round(1)
    array([[1., 0.]])
    """

    def __init__(self, classifiers: Mapping[str, Classifier]) -> None:
        self.classifiers = dict(classifiers)
        self.labels_ = tuple(self.classifiers)
        self.classes_ = np.array([0, 1])

    def __repr__(self) -> str:
        first = next(iter(self.classifiers.values()))
        return f"MultiLabelClassifier({len(self.labels_)} labels, model={first.model!r}, strategy={first.strategy!r})"

    def predict(self, X: Any) -> NDArray[np.int64]:
        """Return 0 or 1 for each row and label, of shape (n, L)."""
        return self.labels_and_proba(X)[0]

    def predict_proba(self, X: Any) -> Floats:
        """Return the probability of each label, of shape (n, L); these need not add up to 1."""
        return np.column_stack([c.predict_proba(X)[:, 1] for c in self.classifiers.values()])

    def labels_and_proba(self, X: Any) -> tuple[NDArray[np.int64], Floats]:
        """Return what `predict` and `predict_proba` give, for the price of one."""
        found = [c.labels_and_proba(X) for c in self.classifiers.values()]
        return (
            np.column_stack([np.asarray(labels, np.int64) for labels, _ in found]),
            np.column_stack([proba[:, 1] for _, proba in found]),
        )

    def column_types(self) -> dict[str, Any]:
        """Return the columns that a file of new rows needs, with the Arrow type that its fields are read as."""
        needed: dict[str, Any] = {}
        for classifier in self.classifiers.values():
            needed |= classifier.column_types()
        return needed


def save(model: MultiLabelClassifier, folder: str | Path) -> Path:
    """Write the classifiers into a folder, whole or not at all: labels.json, and a stored model for each label."""
    facts = json.dumps({"schema_version": SCHEMA_VERSION, "labels": list(model.labels_)}, indent=1).encode()
    with stored.replaced(Path(folder)) as temporary:
        stored.write(temporary / FACTS, facts)
        stored.write(temporary / _SUMS, f"{hashlib.sha256(facts).hexdigest()}  {FACTS}\n".encode())
        for k, classifier in enumerate(model.classifiers.values()):
            stored.save(classifier, temporary / str(k))
    return Path(folder)


def load(folder: Path, factory: Any = None, trusted: Sequence[str] = ()) -> MultiLabelClassifier:
    """Load what `save` wrote; no file can make this run code.

    Raises
    ------
    InputError
        If it is damaged, or another version wrote it.
    """
    facts = (folder / FACTS).read_bytes()
    sums = folder / _SUMS
    if not sums.is_file() or sums.read_bytes().split()[:1] != [hashlib.sha256(facts).hexdigest().encode()]:
        raise stored.damaged(folder, f"{FACTS} is not as it was written")
    try:
        content = json.loads(facts)
    except (ValueError, RecursionError) as error:
        raise stored.damaged(folder, f"{FACTS} is not JSON ({str(error)[:80]})") from None
    names = content.get("labels") if isinstance(content, dict) else None
    if not isinstance(names, list) or not all(isinstance(n, str) for n in names) or len(set(names)) < len(names) > 0:
        raise stored.damaged(folder, f"{FACTS} does not name labels")
    if content.get("schema_version") != SCHEMA_VERSION:
        raise InputError(
            f"schema_version {SCHEMA_VERSION} in '{folder / FACTS}'", repr(content.get("schema_version")), None
        )
    found = {}
    for k, name in enumerate(names):
        classifier = stored.load(folder / str(k), factory, trusted)
        if not isinstance(classifier, Classifier) or classifier.classes_.tolist() != [0, 1]:
            raise stored.damaged(folder, f"the model of label {name!r} is none of 0 and 1")
        found[name] = classifier
    if not found:
        raise stored.damaged(folder, f"{FACTS} does not name labels")
    return MultiLabelClassifier(found)
