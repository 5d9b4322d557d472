"""Class weights that change while a model trains: numbers for a step, from what was seen until then.

A schedule knows no framework and no loss. A training loop or a callback hands it confusion matrices (`update`) and
asks for weights (`class_weight(step)`), which go into any loss: at the call (``class_weight=``), or by
``module.assign(loss.replace(class_weight=…))``, which writes numbers and compiles nothing anew.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from steelyard import _ops
from steelyard.errors import InputError, one_of
from steelyard.metrics.running import RunningConfusion
from steelyard.weights.counts import ClassCounts, as_counts
from steelyard.weights.normalization import NORMALIZATIONS, normalized
from steelyard.weights.resolution import class_weight

__all__ = ["Deferred", "Difficulty", "RecallDriven", "Schedule", "deferred", "difficulty", "from_dict", "per_batch"]
__all__ += ["recall_driven"]

Weights = NDArray[np.float64]

_EPSILON = 0.01  # of Sinha et al.: keeps the ratio of accuracies finite where a class is never found


class Schedule:
    """What every schedule does.

    ``schedule.update(confusion)`` at the end of an epoch or of a batch, then ``schedule.class_weight(step)``.
    """

    kind: ClassVar[str]
    n_classes: int

    def update(self, confusion: Any) -> None:
        """Take in a confusion matrix (n_classes, n_classes), the true class in rows."""

    def class_weight(self, step: int = 0) -> Weights:
        """Return the weights of a step, float64 (n_classes,).

        `step` is counted as the schedule was told to: in epochs or in steps of the optimiser.
        """
        raise NotImplementedError

    def to_dict(self) -> dict[str, Any]:
        """Return settings and state as JSON data, for a checkpoint; `from_dict` reads them."""
        raise NotImplementedError

    @classmethod
    def _read(cls, data: Mapping[str, Any]) -> Self:
        raise NotImplementedError

    def __add__(self, other: object) -> Self:
        """Return what two ranks know together, each having been updated with its own share of the rows."""
        raise NotImplementedError

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Schedule) and self.to_dict() == other.to_dict()

    __hash__ = None  # type: ignore[assignment]  # a schedule changes


class Deferred(Schedule):
    """One set of weights until `start`, another from then on; made by `deferred`."""

    kind = "deferred"

    def __init__(self, before: Any, after: Any, start: int) -> None:
        self.before, self.after = np.asarray(before, dtype=np.float64), np.asarray(after, dtype=np.float64)
        if self.before.ndim != 1 or self.before.shape != self.after.shape:
            raise InputError("weights of one shape (n_classes,)", f"{self.before.shape} and {self.after.shape}")
        if isinstance(start, bool) or not isinstance(start, (int, np.integer)) or start < 0:
            raise InputError("`start` as an integer ≥ 0, in the unit of the steps", repr(start))
        self.start, self.n_classes = int(start), len(self.before)

    def class_weight(self, step: int = 0) -> Weights:
        """Return the weights of a step, float64 (n_classes,)."""
        return (self.before if step < self.start else self.after).copy()

    def to_dict(self) -> dict[str, Any]:
        """Return the schedule as JSON data."""
        return {
            "schedule": self.kind,
            "before": self.before.tolist(),
            "after": self.after.tolist(),
            "start": self.start,
        }

    @classmethod
    def _read(cls, data: Mapping[str, Any]) -> Self:
        return cls(data["before"], data["after"], data["start"])

    def __add__(self, other: object) -> Self:
        if not isinstance(other, type(self)):
            return NotImplemented
        if self != other:
            raise InputError("the same schedule on every rank", f"{self.to_dict()} and {other.to_dict()}")
        return type(self)(self.before, self.after, self.start)


class _Following(Schedule):
    """Weights from a running confusion matrix; ones before the first update."""

    def __init__(self, counts: Any, decay: float, normalize: str | None) -> None:
        self.counts: ClassCounts = as_counts(counts)
        self.n_classes = len(self.counts)
        if normalize is not None:
            one_of("normalize", normalize, NORMALIZATIONS)
        self.normalize = normalize
        self.confusion = RunningConfusion(self.n_classes, decay)

    def update(self, confusion: Any) -> None:
        """Take in a confusion matrix (n_classes, n_classes), the true class in rows."""
        self.confusion.update(confusion)

    def class_weight(self, step: int = 0) -> Weights:  # noqa: ARG002  it follows the model, not the clock
        """Return the weights that the confusion matrix asks for now, whatever the step, float64 (n_classes,)."""
        weights = self._weights(self.confusion.matrix) if self.confusion.matrix.any() else np.ones(self.n_classes)
        return normalized(weights, self.counts, self.normalize)

    def _weights(self, matrix: Weights) -> Weights:
        raise NotImplementedError

    def _settings(self) -> dict[str, Any]:
        return {}

    def to_dict(self) -> dict[str, Any]:
        """Return settings and state as JSON data."""
        return {
            "schedule": self.kind,
            "counts": self.counts.to_dict(),
            "normalize": self.normalize,
            **self._settings(),
            "confusion": self.confusion.to_dict(),
        }

    @classmethod
    def _read(cls, data: Mapping[str, Any]) -> Self:
        fields = {k: v for k, v in data.items() if k != "schedule"}
        confusion = RunningConfusion.from_dict(fields.pop("confusion"))
        made = cls(counts=ClassCounts.from_dict(fields.pop("counts")), decay=confusion.decay, **fields)
        made.confusion = confusion
        return made

    def __add__(self, other: object) -> Self:
        if not isinstance(other, type(self)):
            return NotImplemented
        mine, theirs = self.to_dict(), other.to_dict()
        del mine["confusion"], theirs["confusion"]
        if mine != theirs:
            raise InputError("the same schedule on every rank", f"{mine} and {theirs}")
        merged = type(self)._read(self.to_dict())
        merged.confusion = self.confusion + other.confusion
        return merged


class RecallDriven(_Following):
    """1 − recall of each class, as it stands; made by `recall_driven`."""

    kind = "recall_driven"

    def __init__(self, counts: Any, decay: float = 0.0, normalize: str | None = None) -> None:
        super().__init__(counts, decay, normalize)

    def _weights(self, matrix: Weights) -> Weights:
        rows = matrix.sum(1)
        # at least one missed row: a class that is found whole keeps a weight of 1/n_c, and the sum is never 0
        return np.asarray(np.maximum(rows - np.diagonal(matrix), 1.0) / np.maximum(rows, 1.0))


class Difficulty(_Following):
    """(1 − accuracy)^τ of each class, as it stands; made by `difficulty`."""

    kind = "difficulty"

    def __init__(
        self, counts: Any, tau: float | str = 1.0, decay: float = 0.0, normalize: str | None = "n_classes"
    ) -> None:
        super().__init__(counts, decay, normalize)
        if tau != "dynamic" and (isinstance(tau, str) or not (np.isfinite(tau) and tau >= 0)):
            raise InputError("`tau` ≥ 0, or 'dynamic'", repr(tau))
        self.tau = tau

    def _settings(self) -> dict[str, Any]:
        return {"tau": self.tau}

    def _weights(self, matrix: Weights) -> Weights:
        rows = matrix.sum(1)
        # a class of which no row was seen counts as one that is never found, as in `ClassCounts.filled` the rarest
        accuracy = np.diagonal(matrix) / np.where(rows > 0, rows, 1.0)
        weights = (1.0 - accuracy) ** self.exponent(accuracy)
        return np.asarray(weights if weights.any() else np.ones(len(weights)))

    def exponent(self, accuracy: Any) -> float:
        """Return τ; "dynamic" is 2 σ(max A / (min A + 0.01) − 1), which grows with the spread of the accuracies A."""
        if isinstance(self.tau, str):
            bias = float(np.max(accuracy) / (np.min(accuracy) + _EPSILON) - 1.0)
            return float(2.0 / (1.0 + np.exp(-bias)))
        return float(self.tau)


def deferred(
    counts: Any,
    start: int,
    scheme: Any = "effective_number",
    before: Any = None,
    normalize: str | None = "n_classes",
    **options: Any,
) -> Deferred:
    """Return equal weights until `start`, then those of a scheme: deferred re-weighting.

        w(t) = 1 for t < start, then (1 − β)/(1 − β^{n_c}), scaled to Σ w = C

    Parameters
    ----------
    counts : ClassCounts, mapping or (n_classes,)
        Class counts.
    start : int ≥ 0
        First step, or epoch, of the weights. The paper starts at epoch 160 of 200.
    scheme : str or (n_classes,), default "effective_number"
        The weights, as for `steelyard.class_weight`; β = 0.9999 unless given.
    before : str or (n_classes,), optional
        The weights until then; default ones.
    normalize : {"n_classes", "sum", "priors", "max"} or None, default "n_classes"
        Scale of both.
    **options
        Of the scheme: ``beta``, ``alpha``.

    References
    ----------
    Cao et al., NeurIPS 2019, algorithm 1, arXiv:1906.07413.

    Examples
    --------
    >>> schedule = deferred([900, 100], start=160, scheme="balanced")
    >>> schedule.class_weight(159), schedule.class_weight(160)
    (array([1., 1.]), array([0.2, 1.8]))
    """
    after = class_weight(scheme, counts, normalize, **options)
    return Deferred(class_weight(before, counts, normalize), after, start)


def recall_driven(counts: Any, decay: float = 0.0, normalize: str | None = None) -> RecallDriven:
    """Return weights 1 − recall_c that follow the recalls: a class that is found no longer pulls.

        w_c = max(FN_c, 1) / max(n_c, 1)

    Parameters
    ----------
    counts : ClassCounts, mapping or (n_classes,)
        Class counts: how many classes there are, and their priors for `normalize`.
    decay : float in [0, 1], default 0
        What an update leaves of the older rows: 0 for one matrix per epoch, near 1 for updates by batch.
    normalize : {"n_classes", "sum", "priors", "max"} or None, default None
        Scale of the weights; in a mean Σ s·ω·ℓ / Σ s·ω it cancels.

    Notes
    -----
    As in the authors' program at least one missed row is counted, so that no weight is 0; before the first update
    the weights are ones. In the paper the recall is that of the batch: ``decay=0`` and an update by batch.

    References
    ----------
    Tian et al., ICRA 2022, equation 6, arXiv:2106.14917.

    Examples
    --------
    >>> schedule = recall_driven([90, 10])
    >>> schedule.update([[81, 9], [7, 3]])
    >>> schedule.class_weight()
    array([0.1, 0.7])
    """
    return RecallDriven(counts, decay, normalize)


def difficulty(
    counts: Any, tau: float | str = 1.0, decay: float = 0.0, normalize: str | None = "n_classes"
) -> Difficulty:
    """Return weights (1 − accuracy_c)^τ that follow the accuracy of each class on held-out rows.

    Parameters
    ----------
    counts : ClassCounts, mapping or (n_classes,)
        Class counts.
    tau : float ≥ 0 or "dynamic", default 1
        τ: 0 is no weights; "dynamic" is 2 σ(max A / (min A + 0.01) − 1), from about 1 up to 2.
    decay : float in [0, 1], default 0
        What an update leaves of the older rows.
    normalize : {"n_classes", "sum", "priors", "max"} or None, default "n_classes"
        Scale of the weights.

    Notes
    -----
    The formula is the paper's; in the authors' program for CIFAR the accuracies are divided by their sum first.

    References
    ----------
    Sinha et al., ACCV 2020, equations 3 and 5, arXiv:2010.01824.

    Examples
    --------
    >>> schedule = difficulty([90, 10], tau=2.0, normalize=None)
    >>> schedule.update([[81, 9], [5, 5]])
    >>> schedule.class_weight().round(3)
    array([0.01, 0.25])
    """
    return Difficulty(counts, tau, decay, normalize)


def per_batch(targets: Any, n_classes: int = 2, per_row: bool = False) -> Any:
    """Return weights 1 − n_c/N counted in the batch itself: a tensor for the `class_weight` of the call.

        two classes: β = |Y⁻|/|Y| on the positives, 1 − β on the negatives

    Parameters
    ----------
    targets : int tensor (batch,) or (batch, ...)
        Class indices of any framework; inside a compiled graph, too. Indices that are no class do not count.
    n_classes : int, default 2
        Number of classes.
    per_row : bool, default False
        Count in each row (image) apart, as the paper does: (batch, n_classes).

    Returns
    -------
    tensor (n_classes,) or (batch, n_classes)
        Of the framework of the targets.

    Notes
    -----
    With one logit per example, hand ``per_batch(targets)[targets]`` to `sample_weight`.

    References
    ----------
    Xie & Tu, ICCV 2015, equation 2, arXiv:1504.06375.

    Examples
    --------
    >>> per_batch(np.array([0, 0, 0, 1]))
    array([0.25, 0.75])
    """
    xp = _ops.namespace(targets)
    y = xp.indices(targets)
    rows = xp.reshape(y, (xp.shape(y)[0], -1)) if per_row else xp.reshape(y, (1, -1))
    real = xp.total(xp.asarray(np.zeros(1, dtype=np.float32), rows)).dtype  # the widest that there is
    n = xp.stack([xp.sum(xp.cast(rows == c, real)) for c in range(n_classes)])
    total = xp.expand_dims(xp.sum(n), 1)
    weights = (total - n) / xp.where(total > 0.0, total, 1.0)
    return weights if per_row else xp.reshape(weights, (n_classes,))


_KINDS: dict[str, type[Schedule]] = {k.kind: k for k in (Deferred, RecallDriven, Difficulty)}


def from_dict(data: Mapping[str, Any]) -> Schedule:
    """Return the schedule that `Schedule.to_dict` described, with its state.

    Examples
    --------
    >>> schedule = recall_driven([90, 10])
    >>> schedule.update([[81, 9], [7, 3]])
    >>> from_dict(schedule.to_dict()) == schedule
    True
    """
    kind = one_of("schedule", data.get("schedule"), _KINDS)
    return _KINDS[kind]._read(data)
