"""Multi-label losses that compare the labels that are there with those that are not: one value per row.

    A = log Σ_i (1 − t_i) e^(z_i / T₋),    B = log Σ_i t_i e^(−z_i / T₊)

are a soft maximum of what is not there and of minus what is. `ZLPR` bounds both by 0, `TwoWay` adds them up, over the
labels of each row and over the rows of each label. An entry that is ignored is one at −∞ that is not there: it takes
part in neither (see `steelyard.losses.layout`).
"""

from __future__ import annotations

from collections.abc import Mapping
from types import ModuleType
from typing import Any, ClassVar, NamedTuple

from steelyard.losses.base import Loss, Terms
from steelyard.losses.layout import Layout, broadcast_weight, plain_shape
from steelyard.losses.parameters import Parameter
from steelyard.losses.registry import recipe

__all__ = ["two_way", "zlpr"]

Tensor = Any

_RANKS = "Labels that are there are ranked above those that are not, so that a logit alone tells no probability."
_NONE = -1e30  # log 0: stays finite in sums, and e^ of it is 0


def _weighed(xp: ModuleType, x: Tensor, weight: Tensor) -> Tensor:
    """Return x + log weight."""
    there = weight > 0.0
    return xp.where(there, x + xp.log(xp.where(there, weight, 1.0)), _NONE)


class _NoParameters(NamedTuple):
    """A point of a family that has none."""


class ZLPR(Loss):
    """Zero-bounded log-sum-exp and pairwise rank-based loss.

        ℓ = log(1 + Σ_i (1 − t_i) e^(z_i)) + log(1 + Σ_i t_i e^(−z_i))
        mean = Σ s·ℓ / Σ s over rows

    Targets t ∈ [0, 1] are shaped like the logits, (batch, n_labels); soft ones as in the paper's soft version. A
    logit above 0 predicts its label.

    Parameters
    ----------
    ignore_index : int, optional
        Target of entries that do not count; a row of nothing else does not count either.
    reduction : {"mean", "sum", "none"}, default "mean"
        "none" returns s·ℓ for each row.

    Notes
    -----
    With one label it is binary cross-entropy.
    Numerics: log(1 + Σ e^z) = softplus(log Σ e^z).

    Examples
    --------
    >>> import numpy as np, steelyard as sy
    >>> round(float(sy.losses.ZLPR()(np.zeros((1, 3)), np.array([[1, 0, 0]]))), 4)      # log 3 + log 2
    1.7918
    """

    PARAMETERS: ClassVar[tuple[Parameter, ...]] = ()
    STATIC: ClassVar[tuple[str, ...]] = ("ignore_index", "reduction")
    dense_targets: ClassVar[bool] = True
    improper: ClassVar[str | None] = _RANKS

    def __init__(self, ignore_index: int | None = None, reduction: str = "mean") -> None:
        self._set({}, ignore_index=ignore_index, reduction=reduction)

    def _pack(self, values: Mapping[str, Any]) -> _NoParameters:
        return _NoParameters(**values)

    def _logits(self, xp: ModuleType, at: Layout) -> tuple[Tensor, Tensor]:
        """Return z + log(1 − t) and −z + log t."""
        z, t = at.logits, at.target
        return _weighed(xp, z, 1.0 - t), _weighed(xp, -z, t)

    def _value(self, xp: ModuleType, at: Layout, values: Any) -> tuple[Tensor, Tensor | None]:  # noqa: ARG002
        absent, present = self._logits(xp, at)
        return xp.softplus(xp.logsumexp(absent)) + xp.softplus(xp.logsumexp(present)), None

    def _shares(self, xp: ModuleType, at: Layout) -> tuple[Tensor, Tensor]:
        """Return e^x / (1 + Σ e^x) of both sums."""
        return tuple(xp.softmax(x) * xp.expand_dims(xp.sigmoid(xp.logsumexp(x)), 1) for x in self._logits(xp, at))

    def _gradient(self, xp: ModuleType, at: Layout, values: Any) -> Tensor:  # noqa: ARG002
        absent, present = self._shares(xp, at)
        return absent - present

    def _curvature(self, xp: ModuleType, at: Layout, values: Any) -> Tensor:  # noqa: ARG002
        h = sum(w * (1.0 - w) for w in self._shares(xp, at))
        return xp.where(h > 1e-16, h, 1e-16)


class _Temperatures(NamedTuple):
    """T₊ and T₋, None where they are 1."""

    positive_temperature: Tensor | None = None
    negative_temperature: Tensor | None = None


class _Contrast(NamedTuple):
    """One direction of the two-way loss, for logits (rows, columns)."""

    h: Tensor  # (rows,)
    valid: Tensor  # (rows,): whether anything is there
    absent: Tensor  # the exponents of both sums, (rows, columns)
    present: Tensor


def _contrast(xp: ModuleType, z: Tensor, t: Tensor, values: _Temperatures, weight: Tensor | None = None) -> _Contrast:
    """Return h = T₋ log Σ (1 − t) e^(z / T₋) + T₊ log Σ t e^(−z / T₊), with columns weighted by `weight`."""
    away, here = (1.0 - t, t) if weight is None else (weight * (1.0 - t), weight * t)
    up, down = values.positive_temperature, values.negative_temperature
    absent = _weighed(xp, z if down is None else z / down, away)
    present = _weighed(xp, -(z if up is None else z / up), here)
    a, b = xp.logsumexp(absent), xp.logsumexp(present)
    h = (a if down is None else down * a) + (b if up is None else up * b)
    return _Contrast(h, xp.sum(here) > 0.0, absent, present)


def _by_row(xp: ModuleType, x: Tensor) -> Tensor:
    """Return (n, c[, k]) as rows of labels, (n k, c)."""
    return x if len(x.shape) == 2 else xp.reshape(xp.moveaxis(x, 1, 2), (-1, xp.shape(x)[1]))


def _as_before(xp: ModuleType, x: Tensor, at: Layout) -> Tensor:
    if len(at.logits.shape) == 2:
        return x
    n, c, k = xp.shape(at.logits)
    return xp.moveaxis(xp.reshape(x, (n, k, c)), 2, 1)


def _turned(xp: ModuleType, x: Tensor) -> Tensor:
    return xp.moveaxis(x, 0, 1)


def _total(xp: ModuleType, x: Tensor) -> Tensor:
    return xp.cast(xp.total(x), x.dtype)


class TwoWay(Loss):
    """Two-way multi-label loss: what is there against what is not, in each row and for each label.

        h = T₋ log Σ (1 − t) e^(z / T₋) + T₊ log Σ t e^(−z / T₊)
        L = mean over rows of softplus(h_row) + mean over labels of softplus(h_label)

    The sums of h_row are over the labels of a row, those of h_label over the rows of the batch. Rows and labels without
    a positive are left out of their mean.

    Parameters
    ----------
    positive_temperature, negative_temperature : float in (0, ∞), default 1
        T₊ and T₋; the recipe `two_way` has the paper's 4 and 1.
    ignore_index : int, optional
        Target of entries that do not count.
    reduction : {"mean", "sum", "none"}, default "mean"
        "none" returns for each row s·(softplus(h_row) + mean over labels), 0 without a positive.

    Notes
    -----
    **The value of a batch depends on which rows are in it.** Sample weights multiply the exponentials of the second
    direction, so that a weight of 2 is the row twice. Sums of `numerator_and_denominator` over micro-batches or ranks
    weight each one's mean over labels by its rows: rows that are in different batches are not compared.
    `gradient` and `curvature` are of the sum over the batch.

    Examples
    --------
    >>> import numpy as np, steelyard as sy
    >>> z, t = np.array([[2.0, 0.0], [0.0, 0.0]]), np.array([[1, 0], [0, 1]])
    >>> round(float(sy.losses.TwoWay()(z, t)), 4)      # rows: log(1 + e⁻²), log 2; labels the same here
    0.8201
    """

    PARAMETERS: ClassVar[tuple[Parameter, ...]] = (
        Parameter("positive_temperature", "scalar", 1.0, minimum=0.0, open_minimum=True),
        Parameter("negative_temperature", "scalar", 1.0, minimum=0.0, open_minimum=True),
    )
    STATIC: ClassVar[tuple[str, ...]] = ("ignore_index", "reduction")
    dense_targets: ClassVar[bool] = True
    improper: ClassVar[str | None] = _RANKS

    def __init__(
        self,
        positive_temperature: Any = 1.0,
        negative_temperature: Any = 1.0,
        ignore_index: int | None = None,
        reduction: str = "mean",
    ) -> None:
        values = _Temperatures(positive_temperature, negative_temperature)
        self._set(values._asdict(), ignore_index=ignore_index, reduction=reduction)

    def _pack(self, values: Mapping[str, Any]) -> _Temperatures:
        return _Temperatures(**values)

    def _terms(
        self,
        xp: ModuleType,
        values: Any,
        logits: Tensor,
        targets: Tensor,
        sample_weight: Tensor | None,
        class_weight: Tensor | None,
        class_axis: int,
        logit_offset: Tensor | None = None,
    ) -> Terms:
        at = self._laid_out(xp, logits, targets, class_axis)
        self._at_call(xp, at, values, class_weight, logit_offset)
        z, t = _by_row(xp, at.logits), _by_row(xp, at.target)
        if plain_shape(z)[0] == 0:
            nothing = xp.reshape(xp.sum(z), at.shape)
            return Terms(nothing, nothing, None, None)
        rows = _contrast(xp, z, t, values)
        counted = xp.reshape(rows.valid, at.shape)
        weight = xp.cast(counted, z.dtype)
        s = None
        if sample_weight is not None:
            s = broadcast_weight(xp, xp.asarray(sample_weight, z, z.dtype), at.shape, plain_shape(weight))
            weight = s * weight
            each = xp.reshape(s * xp.ones_like(weight), (-1,))
        labels = _contrast(xp, _turned(xp, z), _turned(xp, t), values, None if s is None else each)
        n_labels, total = (_total(xp, x) for x in (xp.cast(labels.valid, z.dtype), xp.softplus(labels.h)))
        loss = xp.softplus(rows.h) + total / xp.where(n_labels > 0.0, n_labels, 1.0)
        return Terms(weight * xp.reshape(loss, at.shape), weight, counted, s)

    def _directions(self, xp: ModuleType, at: Layout, values: Any) -> tuple[tuple[_Contrast, Tensor], ...]:
        """Return both contrasts, each with the weight of its rows in the sum over the batch."""
        z, t = _by_row(xp, at.logits), _by_row(xp, at.target)
        rows, labels = _contrast(xp, z, t, values), _contrast(xp, _turned(xp, z), _turned(xp, t), values)
        each, other = (xp.expand_dims(xp.cast(c.valid, z.dtype), 1) for c in (rows, labels))
        n_labels = _total(xp, other)
        return (rows, each), (labels, other * (_total(xp, each) / xp.where(n_labels > 0.0, n_labels, 1.0)))

    def _gradient(self, xp: ModuleType, at: Layout, values: Any) -> Tensor:
        g = [
            w * xp.expand_dims(xp.sigmoid(c.h), 1) * (xp.softmax(c.absent) - xp.softmax(c.present))
            for c, w in self._directions(xp, at, values)
        ]
        return _as_before(xp, g[0] + _turned(xp, g[1]), at)

    def _curvature(self, xp: ModuleType, at: Layout, values: Any) -> Tensor:
        """Return σ(h) (∂²h + (1 − σ(h)) (∂h)²), which is exact."""
        up, down = (1.0 if v is None else v for v in values)
        parts = []
        for c, w in self._directions(xp, at, values):
            s, p, q = xp.expand_dims(xp.sigmoid(c.h), 1), xp.softmax(c.absent), xp.softmax(c.present)
            bend = p * (1.0 - p) / down + q * (1.0 - q) / up
            parts.append(w * s * (bend + (1.0 - s) * (p - q) * (p - q)))
        h = _as_before(xp, parts[0] + _turned(xp, parts[1]), at)
        return xp.where(h > 1e-16, h, 1e-16)


@recipe(
    formula="log(1 + Σ_absent e^z) + log(1 + Σ_present e^(−z))",
    when="several labels per row, few of many: every label that is there above every one that is not, with 0 between",
    source="Su et al., 2022 (arXiv:2208.02955)",
)
def zlpr(**settings: Any) -> ZLPR:
    """Return the zero-bounded log-sum-exp and pairwise rank-based loss.

        ℓ = log(1 + Σ_i (1 − t_i) e^(z_i)) + log(1 + Σ_i t_i e^(−z_i))

    Parameters
    ----------
    **settings
        ignore_index and reduction of `ZLPR`.

    Examples
    --------
    >>> import numpy as np, steelyard as sy
    >>> round(float(sy.losses.zlpr()(np.zeros((1, 3)), np.array([[1, 0, 0]]))), 4)      # log 3 + log 2
    1.7918
    """
    return ZLPR(**settings)


@recipe(
    formula="mean over rows + mean over labels of log(1 + (Σ_absent e^(z/T₋))^T₋ (Σ_present e^(−z/T₊))^T₊)",
    when="several labels per row, in large batches: labels are ranked in each row, and rows for each label",
    source="Kobayashi, CVPR 2023",
)
def two_way(positive_temperature: Any = 4.0, negative_temperature: Any = 1.0, **settings: Any) -> TwoWay:
    """Return the two-way multi-label loss.

        L = mean over rows of softplus(h) + mean over labels of softplus(h)
        h = T₋ log Σ_absent e^(z / T₋) + T₊ log Σ_present e^(−z / T₊)

    Parameters
    ----------
    positive_temperature, negative_temperature : float in (0, ∞), default 4 and 1
        T₊ and T₋.
    **settings
        ignore_index and reduction of `TwoWay`.

    Notes
    -----
    The author's code masks with −100, so that from differences of about 100 on labels that are there are taken for ones
    that are not, and the other way round; here what is masked takes no part.

    Examples
    --------
    >>> import numpy as np, steelyard as sy
    >>> loss = sy.losses.two_way()
    >>> round(float(loss(np.zeros((2, 3)), np.array([[1, 0, 0], [0, 1, 1]]))), 4)
    2.6591
    """
    return TwoWay(positive_temperature, negative_temperature, **settings)
