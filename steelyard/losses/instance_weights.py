"""Weights of single examples that come from their gradients: harmonised, influence-balanced, and sums per label.

They are handed to a loss as `sample_weight`, or make the loss of the next step. What they remember between batches is
an object of its own, in NumPy: `update` takes in a batch, ``a + b`` merges parts of the data, `to_dict` goes into a
checkpoint. Tensors of any framework are taken in eager code; nothing here is differentiated.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from steelyard import _ops
from steelyard.errors import InputError, integer
from steelyard.losses.layout import arrange
from steelyard.losses.multi_label import equalization_v2
from steelyard.losses.sigmoid import SigmoidCrossEntropy
from steelyard.weights import as_counts

__all__ = ["GradientBalance", "GradientDensity", "gradient_norm", "influence_balanced_weight"]

Tensor = Any
Floats = NDArray[np.float64]


def gradient_norm(logits: Tensor, targets: Tensor, class_axis: int = 1) -> Tensor:
    """Return the gradient norm of cross-entropy in [0, 1]: |σ(z) − t| of each label, or 1 − p_y of each row.

    Parameters
    ----------
    logits : tensor (batch,), (batch, n_labels, ...) or (batch, n_classes, ...)
        Of any framework.
    targets : tensor
        Shaped like the logits: labels, each with a sigmoid. Integers without the class axis: classes, with a softmax,
        where ½ ‖p − e_y‖₁ = 1 − p_y.
    class_axis : int, default 1
        Axis of the classes.

    Returns
    -------
    tensor, shaped like the targets
        Without gradient.

    Examples
    --------
    >>> import numpy as np, steelyard as sy
    >>> sy.losses.gradient_norm(np.array([0.0, 4.0]), np.array([1, 1])).round(3)
    array([0.5  , 0.018])
    >>> sy.losses.gradient_norm(np.zeros((1, 4)), np.array([2]))
    array([0.75])
    """
    xp = _ops.namespace(logits, targets)
    z = logits if hasattr(logits, "dtype") else xp.asarray(logits)
    y = targets if hasattr(targets, "shape") else xp.asarray(targets)
    labels = len(y.shape) == len(z.shape)
    at = arrange(xp, xp.stop_gradient(z), y, class_axis, None, labels)
    if labels:
        p, q = xp.sigmoid(at.logits), xp.sigmoid(-at.logits)
        # each side from the probability that is small there: 1 − σ(z) would be 0 from z = 17 on in float32
        norm = xp.where(at.target > 0.5, q - (1.0 - at.target), p - at.target)
        norm = xp.where(norm < 0.0, -norm, norm)
    else:
        norm = xp.sigmoid(xp.gap(at.logits, at.target))
    return xp.reshape(norm, at.shape)


class GradientDensity:
    """Histogram of gradient norms, and the weights that harmonise them (GHM-C).

        s_i = N / (M R_b),    b the bin of example i among M, R_b its count and N the sum of all

    so that every occupied bin has the same total weight. With a momentum, R is the moving average
    R ← μ R + (1 − μ) R_batch.

    Parameters
    ----------
    bins : int, default 30
        M.
    momentum : float in [0, 1), default 0.75
        μ; 0 takes each batch by itself.

    Notes
    -----
    N/R does not change when both are scaled, so that the average needs no correction for starting at 0. mmdetection
    divides by the number of occupied bins instead of M, averages only the bins that a batch reaches, and starts at 0
    with N of the batch alone: its first weights at a momentum of 0.75 are 4 times too large.
    A norm in a bin without any count has the largest weight of an occupied one.

    References
    ----------
    Li, Liu and Wang, AAAI 2019 (arXiv:1811.05181).

    Examples
    --------
    >>> import numpy as np, steelyard as sy
    >>> density = sy.losses.GradientDensity(bins=2, momentum=0.0)
    >>> norm = sy.losses.gradient_norm(np.array([-3.0, -3.0, -3.0, 3.0]), np.zeros(4))
    >>> density.update(norm)
    >>> density.weight(norm).round(3)               # 4 / (2 · 3) and 4 / (2 · 1)
    array([0.667, 0.667, 0.667, 2.   ])
    """

    def __init__(self, bins: int = 30, momentum: float = 0.75) -> None:
        if not 0.0 <= momentum < 1.0:
            raise InputError("`momentum` in [0, 1)", repr(momentum))
        self.momentum = float(momentum)
        self.histogram: Floats = np.zeros(integer("bins", bins))

    def of_batch(self, norm: Tensor, mask: Tensor | None = None) -> GradientDensity:
        """Return the counts of this batch alone: what ranks exchange and add up before `update`.

        Parameters
        ----------
        norm : tensor
            From `gradient_norm`.
        mask : tensor of bool, shaped like `norm`, optional
            True where an entry counts.
        """
        g = _numbers(norm).ravel()
        if mask is not None:
            g = g[np.broadcast_to(_numbers(mask) != 0, np.shape(norm)).ravel()]
        if g.size and not (g.min() >= 0.0 and g.max() <= 1.0):
            raise InputError("gradient norms in [0, 1]", f"{g.min():g} to {g.max():g}")
        part = GradientDensity(len(self.histogram), self.momentum)
        part.histogram = np.bincount(self._bins(g), minlength=len(self.histogram)).astype(np.float64)
        return part

    def _bins(self, g: Floats) -> NDArray[np.int64]:
        last = len(self.histogram) - 1
        return np.minimum(np.floor(g * (last + 1)).astype(np.int64), last)

    def update(self, batch: Any, mask: Tensor | None = None) -> None:
        """Take in the norms of a batch, or the sum of what `of_batch` gave on each rank."""
        part = batch if isinstance(batch, GradientDensity) else self.of_batch(batch, mask)
        if len(part.histogram) != len(self.histogram):
            raise InputError(f"{len(self.histogram)} bins", str(len(part.histogram)))
        share = self.momentum if self.histogram.any() else 0.0
        self.histogram = share * self.histogram + (1.0 - share) * part.histogram

    def weight(self, norm: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return s of each entry, in the framework and the dtype of `norm`; 0 where `mask` is not True."""
        xp = _ops.namespace(norm)
        g = norm if hasattr(norm, "dtype") else xp.asarray(norm)
        occupied = self.histogram[self.histogram > 0.0]
        if not occupied.size:
            raise InputError("counts to weigh by", "none yet", "density.update(norm) takes in a batch.")
        counts = np.where(self.histogram > 0.0, self.histogram, occupied.min())
        by_bin = self.histogram.sum() / (len(counts) * counts)
        found = by_bin[self._bins(_numbers(g))]
        if mask is not None:
            found = np.where(_numbers(mask) != 0, found, 0.0)
        return xp.asarray(found, g, g.dtype)

    def __add__(self, other: object) -> GradientDensity:
        if not isinstance(other, GradientDensity):
            return NotImplemented
        if len(self.histogram) != len(other.histogram) or self.momentum != other.momentum:
            raise InputError("densities of the same bins and momentum to merge", f"{self!r} and {other!r}")
        merged = GradientDensity(len(self.histogram), self.momentum)
        merged.histogram = self.histogram + other.histogram
        return merged

    def to_dict(self) -> dict[str, Any]:
        """Return settings and counts as JSON data, for a checkpoint."""
        return {"momentum": self.momentum, "histogram": self.histogram.tolist()}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Return the density that `to_dict` described.

        Examples
        --------
        >>> import steelyard as sy
        >>> d = sy.losses.GradientDensity(bins=3)
        >>> sy.losses.GradientDensity.from_dict(d.to_dict()) == d
        True
        """
        counts = _state("histogram", data["histogram"])
        made = cls(len(counts), data["momentum"])
        made.histogram = counts
        return made

    def __eq__(self, other: object) -> bool:
        return isinstance(other, GradientDensity) and self.to_dict() == other.to_dict()

    __hash__ = None  # type: ignore[assignment]  # it changes

    def __repr__(self) -> str:
        return f"GradientDensity(bins={len(self.histogram)}, momentum={self.momentum:g}, N={self.histogram.sum():g})"


class GradientBalance:
    """Sums of positive and negative gradients of each label so far, and the EQL v2 loss that they give.

        G₊ += Σ s q (1 − p) t,    G₋ += Σ s f p (1 − t)

    with the weights q and f of the moment (see `equalization_v2`).

    Parameters
    ----------
    n_labels : int
        Number of labels.
    alpha, gamma, mu : float, default 4, 12 and 0.8
        As in `equalization_v2`.

    Notes
    -----
    Several ranks: each makes `of_batch`, their sum is exchanged, and every rank adds all of them to the same state;
    that is one process on the whole batch, exactly. The authors' code does so; mmdetection's port has lost the
    exchange, so that its ranks train on different losses.

    References
    ----------
    Tan et al., CVPR 2021 (arXiv:2012.08548).

    Examples
    --------
    >>> import numpy as np, steelyard as sy
    >>> balance = sy.losses.GradientBalance(2)
    >>> logits, targets = np.zeros((4, 2)), np.array([[1, 0], [1, 0], [0, 0], [1, 1]])
    >>> balance.update(logits, targets)
    >>> balance.positive, balance.negative
    (array([1.5, 0.5]), array([0.5, 1.5]))
    >>> loss = balance.loss()                        # for the next step: sy.torch.Loss(...).assign(loss), say
    >>> loss.class_weight.round(3)
    array([1.   , 0.004])
    """

    def __init__(self, n_labels: int, alpha: float = 4.0, gamma: float = 12.0, mu: float = 0.8) -> None:
        n_labels = integer("n_labels", n_labels)
        self.alpha, self.gamma, self.mu = float(alpha), float(gamma), float(mu)
        self.positive: Floats = np.zeros(n_labels)
        self.negative: Floats = np.zeros(n_labels)
        self.loss()  # checks the parameters

    def loss(self, **settings: Any) -> SigmoidCrossEntropy:
        """Return the loss at the sums so far."""
        return equalization_v2(self.positive, self.negative, self.alpha, self.gamma, self.mu, **settings)

    def of_batch(
        self,
        logits: Tensor,
        targets: Tensor,
        sample_weight: Tensor | None = None,
        class_axis: int = 1,
        ignore_index: int | None = None,
    ) -> GradientBalance:
        """Return the sums of this batch alone, at the weights of the moment: what ranks exchange and add.

        Parameters
        ----------
        logits, targets : tensor (batch, n_labels, ...)
            Of any framework, in eager code.
        sample_weight : tensor, optional
            Shaped like the logits or like their leading axes.
        class_axis : int, default 1
            Axis of the labels.
        ignore_index : int, optional
            Target of entries that do not count.
        """
        z, t = _numbers(logits), _numbers(targets)
        if z.ndim < 2 or z.shape != t.shape or z.shape[class_axis] != len(self.positive):
            raise InputError(
                f"logits and targets of {len(self.positive)} labels on axis {class_axis}",
                f"shapes {z.shape}, {t.shape}",
            )
        s = np.ones(z.shape)
        if sample_weight is not None:
            given = _numbers(sample_weight)
            s = s * given.reshape(given.shape + (1,) * (z.ndim - given.ndim))
        if ignore_index is not None:
            s = np.where(t == ignore_index, 0.0, s)
            z, t = np.where(t == ignore_index, 0.0, z), np.where(t == ignore_index, 0.0, t)
        loss = self.loss()
        ones, zeros = np.ones_like(t), np.zeros_like(t)
        up = s * t * -loss.gradient(z, ones, class_axis)
        down = s * (1.0 - t) * loss.gradient(z, zeros, class_axis)
        part = GradientBalance(len(self.positive), self.alpha, self.gamma, self.mu)
        part.positive, part.negative = (
            np.moveaxis(v, class_axis, 0).reshape(len(self.positive), -1).sum(axis=1) for v in (up, down)
        )
        return part

    def update(
        self,
        logits: Tensor,
        targets: Tensor,
        sample_weight: Tensor | None = None,
        class_axis: int = 1,
        ignore_index: int | None = None,
    ) -> None:
        """Take in a batch; see `of_batch`."""
        part = self.of_batch(logits, targets, sample_weight, class_axis, ignore_index)
        self.positive, self.negative = self.positive + part.positive, self.negative + part.negative

    def __add__(self, other: object) -> GradientBalance:
        if not isinstance(other, GradientBalance):
            return NotImplemented
        mine, theirs = ((len(b.positive), b.alpha, b.gamma, b.mu) for b in (self, other))
        if mine != theirs:
            raise InputError("balances of the same labels and parameters to merge", f"{self!r} and {other!r}")
        merged = GradientBalance(*mine)
        merged.positive, merged.negative = self.positive + other.positive, self.negative + other.negative
        return merged

    def to_dict(self) -> dict[str, Any]:
        """Return settings and sums as JSON data, for a checkpoint."""
        return {
            **{name: getattr(self, name) for name in ("alpha", "gamma", "mu")},
            "positive": self.positive.tolist(),
            "negative": self.negative.tolist(),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Return the balance that `to_dict` described.

        Examples
        --------
        >>> import steelyard as sy
        >>> b = sy.losses.GradientBalance(2, alpha=2.0)
        >>> sy.losses.GradientBalance.from_dict(b.to_dict()) == b
        True
        """
        up, down = (_state(name, data[name]) for name in ("positive", "negative"))
        if up.shape != down.shape:
            raise InputError("gradient sums of the same labels", f"{len(up)} and {len(down)}")
        made = cls(len(up), data["alpha"], data["gamma"], data["mu"])
        made.positive, made.negative = up, down
        return made

    def __eq__(self, other: object) -> bool:
        return isinstance(other, GradientBalance) and self.to_dict() == other.to_dict()

    __hash__ = None  # type: ignore[assignment]  # it changes

    def __repr__(self) -> str:
        ratio = np.divide(
            self.positive, self.negative, out=np.full(len(self.positive), np.nan), where=self.negative > 0
        )
        return f"GradientBalance(n_labels={len(ratio)}, G₊/G₋={np.array2string(ratio, precision=3, threshold=6)})"


def influence_balanced_weight(
    logits: Tensor,
    targets: Tensor,
    features: Tensor,
    counts: Any = None,
    alpha: float = 1000.0,
    epsilon: float = 1e-3,
) -> Tensor:
    """Return sample weights that are small where an example bends the decision boundary most.

        s = α λ_y / (‖p − e_y‖₁ ‖h‖₁ + ε),    λ_y = n_y⁻¹ / Σ_c n_c⁻¹, or 1 without counts

    Parameters
    ----------
    logits : tensor (batch, n_classes)
        Of any framework.
    targets : int tensor (batch,)
        Class indices.
    features : tensor (batch, n_features)
        h, what the last linear layer takes.
    counts : ClassCounts, mapping or (n_classes,), optional
        Class counts, for λ.
    alpha : float > 0, default 1000
        α; it matters with ``denominator="rows"`` only, as in the paper.
    epsilon : float > 0, default 1e-3
        ε, against division by 0.

    Returns
    -------
    tensor (batch,)
        Without gradient: pass it as `sample_weight` in the second half of training. The authors' code differentiates
        through it, which pulls norms of features up.

    Notes
    -----
    Σ s·ℓ / Σ s divides by the weights; the paper's mean over the batch is ``denominator="rows"``.
    Numerics: ‖p − e_y‖₁ = 2 (1 − p_y), from the gap between logits, so that it is not 0 for what is certainly right.

    References
    ----------
    Park et al., ICCV 2021 (arXiv:2110.02444).

    Examples
    --------
    >>> import numpy as np, steelyard as sy
    >>> h = np.array([[1.0, -1.0], [3.0, 1.0]])
    >>> sy.losses.influence_balanced_weight(np.zeros((2, 2)), np.array([0, 1]), h, alpha=1.0, epsilon=1e-12).round(3)
    array([0.5 , 0.25])
    """
    if not alpha > 0.0 or not epsilon > 0.0:
        raise InputError("alpha > 0 and epsilon > 0", f"alpha={alpha}, epsilon={epsilon}")
    xp = _ops.namespace(logits, targets, features)
    z = logits if hasattr(logits, "dtype") else xp.asarray(logits)
    at = arrange(xp, xp.stop_gradient(z), targets, 1, None)
    if at.dense or len(at.logits.shape) != 2:
        raise InputError("`logits` (batch, n_classes) and class indices (batch,)", f"shape {tuple(z.shape)}")
    h = xp.asarray(features, at.logits, at.logits.dtype)
    h = xp.stop_gradient(h)
    if len(h.shape) != 2:
        raise InputError("`features` of shape (batch, n_features)", str(tuple(h.shape)))
    size = xp.sum(xp.where(h < 0.0, -h, h))
    s = alpha / (2.0 * xp.sigmoid(xp.gap(at.logits, at.target)) * size + epsilon)
    if counts is not None:
        inverse = 1.0 / as_counts(counts).filled
        table = xp.asarray(inverse / inverse.sum(), at.logits, at.logits.dtype)
        s = s * xp.lookup(table, at.target)
    return s


def _numbers(x: Any) -> Floats:
    xp = _ops.namespace(x)
    return np.asarray(xp.to_numpy(x if hasattr(x, "dtype") else xp.asarray(x)), dtype=np.float64)


def _state(name: str, values: Any) -> Floats:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or not array.size or not (np.isfinite(array).all() and (array >= 0.0).all()):
        raise InputError(f"`{name}` as a list of finite numbers ≥ 0", repr(values)[:80])
    return array
