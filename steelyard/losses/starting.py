"""Where a model's last layer starts: at the class shares, seen through the loss."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from steelyard.errors import InputError
from steelyard.losses.base import Loss
from steelyard.losses.sigmoid import SigmoidCrossEntropy
from steelyard.losses.softmax import SoftmaxCrossEntropy
from steelyard.weights import as_counts

__all__ = ["output_bias"]

_STEPS = 2000
_CLOSE = 1e-10  # of log-odds


def output_bias(counts: Any, loss: Loss | None = None) -> NDArray[np.float64]:
    r"""Return the constant logits at which the loss knows the class shares and nothing else.

    .. math::  \text{posterior}(b) = \pi \qquad\Rightarrow\qquad b = \log \pi \text{ for plain cross-entropy}

    A network that starts there need not learn the shares first, and a rare class does not drown in the gradient of
    the others in the first steps.

    Parameters
    ----------
    counts : ClassCounts, mapping or (n_classes,)
        Class counts. Those of multi-label indicators (`ClassCounts.from_indicators`) give a logit per label.
    loss : SoftmaxCrossEntropy or SigmoidCrossEntropy, optional
        What the model is trained on. Weights and offsets change what a logit means: with ``balanced`` weights the
        bias is 0, with logit adjustment too. Default: cross-entropy; of sigmoids for counts of indicators.

    Returns
    -------
    float64 ndarray of shape (n_classes,), or (1,)
        Logits, with a mean of 0 for the softmax family. (1,): log-odds of the second of two classes, for a sigmoid
        loss.

    Raises
    ------
    InputError
        A sigmoid loss for counts of three classes or more that are not of indicators, a softmax loss for
        indicators, or no logits at which the posterior is π.

    Numerics
    --------
    Logits are moved by how far the log-odds of the posterior are off, with steps that shrink where they overshoot,
    until they are right to 1e-10. A class without rows counts as the rarest that has some.

    References
    ----------
    Lin et al., ICCV 2017 (arXiv:1708.02002), section 4.1, for one shared prior.

    Examples
    --------
    >>> import steelyard as sy
    >>> counts = sy.ClassCounts.from_counts({"no": 950, "yes": 50})
    >>> output_bias(counts).round(4)
    array([ 1.4722, -1.4722])
    >>> output_bias(counts, sy.losses.binary_cross_entropy()).round(4)      # one logit
    array([-2.9444])
    >>> output_bias(counts, sy.losses.logit_adjusted(counts)).round(4)      # the loss knows the shares already
    array([0., 0.])
    """
    counts = as_counts(counts)
    indicators = counts.rows is not None
    if loss is None:
        loss = SigmoidCrossEntropy() if indicators else SoftmaxCrossEntropy()
    if loss.dense_targets != indicators and not (loss.dense_targets and counts.n_classes == 2):
        raise InputError(
            "a loss of the softmax family for counts of classes, of the sigmoid family for two classes or indicators",
            f"{type(loss).__name__} for {counts!r}",
            "ClassCounts.from_indicators counts labels that are not exclusive.",
        )
    if loss.dense_targets:
        positive = counts.filled / counts.total
        if not indicators:
            positive = positive[1:] / (positive[:1] + positive[1:])
        if not (positive < 1).all():
            raise InputError("labels that some row does not have", f"shares {positive.tolist()}")
        return _solved(loss, np.log(positive) - np.log1p(-positive), _log_odds)
    share = counts.filled / counts.filled.sum()
    return _solved(loss, _centred(np.log(share)), lambda p: _centred(np.log(p)))


def _solved(loss: Loss, wanted: NDArray[np.float64], score: Any) -> NDArray[np.float64]:
    scale = loss.parameters.get("logit_scale")
    bias, step = wanted / (1.0 if scale is None else np.max(scale)), 1.0

    def missing(b: NDArray[np.float64]) -> NDArray[np.float64]:
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(wanted - score(np.asarray(loss.posterior(b[None])[0], np.float64)))

    off = missing(bias)
    if not np.isfinite(off).all():  # smoothing keeps every probability away from 0: not all logits are an optimum
        bias = np.zeros_like(bias)
        off = missing(bias)
    for _ in range(_STEPS):
        if np.abs(off).max() < _CLOSE:
            return np.asarray(bias.round(9) + 0.0)
        there = bias + step * off
        left = missing(there)
        if np.abs(left).max() < np.abs(off).max():
            bias, off, step = there, left, 1.2 * step
        else:  # too far, or beyond what float64 tells from 0
            step /= 2.0
    raise InputError("a loss of which some constant logits mean the class shares", f"{loss!r}", "start from 0.")


def _log_odds(p: NDArray[np.float64]) -> Any:
    return np.log(p) - np.log1p(-p)


def _centred(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(x - x.mean())
