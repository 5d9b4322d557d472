"""What a mean over a batch weighs: how much of the loss falls on the rarest class."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from steelyard.explanation.training import Training

__all__ = ["denominator", "full_share", "mean_weight", "rare_share", "rare_shares"]

Vector = NDArray[np.float64]

BATCHES = (1, 8, 32, 256)


def _weights(training: Training) -> Vector | None:
    """Return ω by class where a mean is divided by their sum over the batch, and they differ."""
    w = training.row_weights
    if w is None or training.loss.reduction != "mean" or training.denominator is not None or np.ptp(w) == 0:
        return None
    return w if float(training.trained @ w) > 0.0 else None


def rare_share(training: Training, batch: int) -> float | None:
    """Return E[k w_r / (k w_r + (B − k) w̄)], k ~ Binomial(B, π_r): the rarest class against the mean of the rest.

    None where the mean is not divided by the weights of the batch, or all weights are equal.
    """
    w = _weights(training)
    if w is None:
        return None
    rare, priors = training.rare, training.trained
    p = float(priors[rare])
    rest = float(priors @ w - p * w[rare]) / (1.0 - p) if p < 1.0 else 0.0
    k = np.arange(batch + 1)
    total = k * w[rare] + (batch - k) * rest
    share = np.divide(k * w[rare], total, where=total > 0, out=np.zeros(len(k)))
    return float(_binomial(batch, p) @ share)


def _binomial(n: int, p: float) -> Vector:
    """Return the probabilities of 0 to n, in log space: 256 choose 128 times 0.02^128 is no place for products."""
    if not 0.0 < p < 1.0:
        return np.asarray(np.eye(n + 1)[n if p >= 1.0 else 0])
    k = np.arange(n + 1)
    factorial = np.concatenate([[0.0], np.log(np.arange(1, n + 1)).cumsum()])
    log = factorial[n] - factorial[k] - factorial[n - k] + k * np.log(p) + (n - k) * np.log1p(-p)
    return np.asarray(np.exp(log))


def rare_shares(training: Training) -> dict[int, float]:
    """Return `rare_share` for some sizes of batches, that of the training among them."""
    sizes = sorted({*BATCHES, *([] if training.batch_size is None else [training.batch_size])})
    shares = {size: rare_share(training, size) for size in sizes}
    return {size: share for size, share in shares.items() if share is not None}


def mean_weight(training: Training) -> float:
    """Return Σ π_c ω_c over the rows that training sees; 1 without weights."""
    w = training.row_weights
    return 1.0 if w is None else float(training.trained @ w)


def full_share(training: Training) -> float:
    """Return the share of the loss that falls on the rarest class over all rows."""
    w, priors, rare = training.row_weights, training.trained, training.rare
    return float(priors[rare] if w is None else priors[rare] * w[rare] / (priors @ w))


def denominator(training: Training, shares: dict[int, float]) -> str:
    """Say what the loss of a batch is divided by."""
    if training.loss.reduction == "none":
        return "none: s·ω·ℓ of each example."
    if training.loss.reduction == "sum":
        return "none: the sum Σ s·ω·ℓ, which grows with the batch."
    if training.denominator == "constant":
        return "a number that is the same in every batch: no class gains or loses by who else is in it."
    if training.denominator is not None:
        what = {"rows": "the number of rows that count", "sample_weight": "Σ s"}[training.denominator]
        if training.row_weights is None:
            return f"{what}."
        return f"{what}, whatever class weights say: they make the loss {mean_weight(training):.4g} × as large."
    text = "Σ s·ω over the rows that count (torch does this for integer targets, Keras divides by rows)."
    if shares:
        listed = ", ".join(f"{s:.3f} at {b}" for b, s in shares.items())
        text += (
            f" Normalised batch by batch, {training.counts.classes[training.rare]} gets this share of the loss: "
            f"{listed}, against {full_share(training):.3f} over the whole set. For the same share in every batch pass "
            f"denominator=batch · {mean_weight(training):.4g}."
        )
    return text
