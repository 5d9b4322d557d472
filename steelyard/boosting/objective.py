"""What the objectives of all boosting libraries share: raw scores and labels in, derivatives and probabilities out."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from steelyard.boosting.initial_score import stationary
from steelyard.boosting.own_objective import one_logit
from steelyard.errors import InputError
from steelyard.losses.base import Loss
from steelyard.losses.sigmoid import SigmoidCrossEntropy
from steelyard.losses.softmax import SoftmaxCrossEntropy
from steelyard.weights import as_counts

__all__ = ["Objective"]

Floats = NDArray[np.float64]


class Objective:
    """A loss as boosting libraries take it: see `lightgbm`, `xgboost` and `catboost`.

    With two classes there is one raw score r, and the logits of a softmax are (0, r); with more, one per class. A
    loss of the sigmoid family takes r itself, or with more than two classes one label per class against the rest.

    Parameters
    ----------
    loss : SoftmaxCrossEntropy or SigmoidCrossEntropy
    n_classes : int, optional
        Default: as many as the parameters of `loss` are for, else 2.
    later : loss, optional
        Takes over after `after` trees: deferred weights. An objective with `later` counts trees, and serves one
        training.
    after : int, optional

    Raises
    ------
    InputError
        Another kind of loss, or parameters for another number of classes.
    """

    library: ClassVar[str]

    def __init__(
        self, loss: Loss, n_classes: int | None = None, later: Loss | None = None, after: int | None = None
    ) -> None:
        for one in (loss, later):
            if one is not None and not isinstance(one, (SoftmaxCrossEntropy, SigmoidCrossEntropy)):
                raise InputError("a SoftmaxCrossEntropy or SigmoidCrossEntropy", type(one).__name__)
        if (later is None) != (after is None):
            raise InputError("`later` and `after` together", f"later={later!r}, after={after!r}")
        if later is not None and type(later) is not type(loss):
            raise InputError(f"`later` of the family of `loss`, {type(loss).__name__}", type(later).__name__)
        if after is not None and after < 0:
            raise InputError("`after` ≥ 0", repr(after))
        self.loss, self.later, self.after = loss, later, after
        self.n_classes = _n_classes([one for one in (loss, later) if one is not None], n_classes)
        self._single = {id(one): one_logit(one) for one in (loss, later) if one is not None and self.n_classes == 2}
        self.grown = 0

    @property
    def current(self) -> Loss:
        """The loss in force at the tree that is being grown."""
        return self.loss if self.later is None or self.after is None or self.grown < self.after else self.later

    @property
    def last(self) -> Loss:
        """The loss in force when training ends, by which raw scores have to be read."""
        return self.loss if self.later is None else self.later

    def gradient_and_curvature(
        self, raw: NDArray[Any], y: NDArray[Any], sample_weight: NDArray[Any] | None = None
    ) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return ∂(s·ω·ℓ)/∂raw and its curvature, shaped like the raw scores and of their dtype.

        Parameters
        ----------
        raw : ndarray of shape (n,), or (n, C) with more than two classes
            float32 is computed in float32: what libraries keep of a gradient.
        y : int ndarray of shape (n,)
            Class indices.
        sample_weight : ndarray of shape (n,), optional
        """
        g, h = self._by_class(self._columns(np.asarray(raw)), np.asarray(y).astype(np.int64, copy=False))
        if sample_weight is not None:
            s = np.asarray(sample_weight, g.dtype)
            g, h = s * g, s * h
        return (g[0], h[0]) if self.n_classes == 2 else (g.T, h.T)

    def _columns(self, raw: NDArray[Any]) -> NDArray[Any]:
        """Return raw scores as (1, n) or (C, n): NumPy is twice as fast along columns of so few classes."""
        if raw.dtype.kind != "f":
            raw = raw.astype(np.float64)
        if self.n_classes == 2:
            return raw.reshape(1, -1)
        if raw.ndim == 1:
            return raw.reshape(self.n_classes, -1)
        return np.ascontiguousarray(raw.T)

    def _by_class(self, columns: NDArray[Any], y: NDArray[np.int64]) -> tuple[NDArray[Any], NDArray[Any]]:
        if isinstance(self.loss, SigmoidCrossEntropy):
            if self.n_classes == 2:
                g, h = self.current.gradient_and_curvature(columns[0], y.astype(columns.dtype))
                return g[None], h[None]
            labels = (np.arange(self.n_classes)[:, None] == y).astype(columns.dtype)
            g, h = self.current.gradient_and_curvature(columns, labels, class_axis=0)
            return g, h
        single = self._single.get(id(self.current))
        if single is not None:
            kind = columns.dtype.type
            r = columns[0] if single.scale == 1.0 else kind(single.scale) * columns[0]
            if single.offset.any():
                r = r + single.offset.astype(kind)[y]
            g, h = single.loss.gradient_and_curvature(r, y.astype(kind))
            if single.scale != 1.0:
                g, h = kind(single.scale) * g, np.maximum(kind(single.scale**2) * h, kind(1e-16))
            return g[None], h[None]
        if self.n_classes == 2:
            pair = np.concatenate([np.zeros_like(columns), columns])
            g, h = self.current.gradient_and_curvature(pair, y, class_axis=0)
            return g[1:], h[1:]
        g, h = self.current.gradient_and_curvature(columns, y, class_axis=0)
        return g, self._bounded(h)

    def _bounded(self, h: NDArray[Any]) -> NDArray[Any]:
        """Return what the library takes for the curvature of a softmax of more than two classes."""
        return h

    def logits(self, raw: NDArray[Any]) -> Floats:
        """Return the logits that raw scores stand for: (n, C); of a sigmoid loss (n,), or (n, C)."""
        columns: Floats = self._columns(np.asarray(raw, np.float64))
        if self.n_classes > 2:
            return np.asarray(columns.T)
        if isinstance(self.loss, SigmoidCrossEntropy):
            return np.asarray(columns[0])
        return np.stack([np.zeros(columns.size), columns[0]], axis=1)

    def initial_score(self, counts: Any) -> Floats:
        """Return the constant raw scores that minimise the loss on these counts: (1,) or (C,).

        Parameters
        ----------
        counts : ClassCounts, mapping or (n_classes,)
            Class counts, or sums of sample weights by class, of the training rows.

        Raises
        ------
        InputError
            Counts of another number of classes, or a loss for which no constant is best.
        """
        counts = as_counts(counts)
        if counts.n_classes != self.n_classes:
            raise InputError(f"counts of {self.n_classes} classes", str(counts.n_classes))
        return stationary(self, counts.filled / counts.filled.sum())

    def start(self, counts: Any, n_rows: int) -> Floats:
        """Return `initial_score` for each of `n_rows` rows: (n,) or (n, C)."""
        score = self.initial_score(counts)
        return np.full(n_rows, score[0]) if self.n_classes == 2 else np.tile(score, (n_rows, 1))

    def posterior(self, raw: NDArray[Any]) -> Floats:
        """Return class probabilities (n, C) from raw scores, corrected for what the loss did.

        Of labels against the rest, probabilities of the labels are divided by their sum, which is 1 at the optimum.
        """
        proba = np.asarray(self.last.posterior(self.logits(raw)), np.float64)
        if proba.ndim == 1:
            return np.stack([1.0 - proba, proba], axis=1)
        return np.asarray(proba / proba.sum(axis=1, keepdims=True))


def _n_classes(losses: list[Any], asked: int | None) -> int:
    sizes = {}
    for loss in losses:
        for name, value in loss.parameters.items():
            if value is not None and np.ndim(value) and name != "outcome_weight":
                sizes[name] = int(np.shape(value)[-1])
    if asked is None:
        asked = next(iter(sizes.values()), 2)
    if isinstance(asked, bool) or not isinstance(asked, (int, np.integer)) or asked < 2:
        raise InputError("`n_classes` ≥ 2", repr(asked))
    for name, size in sizes.items():
        if asked == 2 and size == 2 and isinstance(losses[0], SigmoidCrossEntropy):
            raise InputError("a loss of one label: two classes have one score", f"`{name}` for 2 labels")
        if size != asked and not (isinstance(losses[0], SigmoidCrossEntropy) and size == 1):
            raise InputError(f"a loss for {asked} classes, as n_classes says", f"`{name}` for {size}")
    return int(asked)
