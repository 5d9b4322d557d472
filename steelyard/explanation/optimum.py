"""Where training ends: what the logits tell there, and which true probabilities the decision asks for."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from steelyard.errors import InputError
from steelyard.explanation.page import numbers
from steelyard.explanation.training import Training
from steelyard.losses.sigmoid import SigmoidCrossEntropy
from steelyard.losses.softmax import SoftmaxCrossEntropy

__all__ = ["decision", "fixed_point", "has_posterior", "label_thresholds", "minimiser", "pull_and_threshold"]

Vector = NDArray[np.float64]


def has_posterior(training: Training) -> bool:
    """Whether probabilities can be had from the trained logits."""
    loss: Any = training.loss
    if isinstance(loss, SigmoidCrossEntropy) and (training.mute or not getattr(loss, "has_posterior", True)):
        return False
    try:
        if isinstance(loss, SigmoidCrossEntropy):
            loss.posterior(np.zeros((1, training.labels)))
        else:
            loss.posterior(np.zeros((1, training.counts.n_classes)))
    except (AttributeError, InputError):
        return False
    return True


def fixed_point(training: Training) -> str | None:
    """Return what is not differentiated in the loss, so that training ends at a fixed point and not at a minimum."""
    if training.parameter("outcome_weight") is not None:
        return "the weight of the outcome"
    if training.parameter("class_weight") is not None and getattr(training.loss, "weight_by", "target") != "target":
        return "the weight, which depends on the prediction,"
    if training.parameter("compensation") is not None:
        return "the compensation of mistakes"
    return None


def pull_and_threshold(training: Training) -> tuple[tuple[float, ...] | None, float | None]:
    """Return the pull of each class and, of two, the true probability of the second at which the decision turns."""
    n_classes = training.counts.n_classes
    if training.decision == "prior_threshold" and has_posterior(training):
        by_share = _largest_one(1.0 / np.where(training.priors > 0, training.priors, np.inf))
        return by_share, by_share[0] / (by_share[0] + by_share[1]) if n_classes == 2 else None
    eta = _undecided(training)
    if eta is None:
        return None, None
    # arg max is undecided at η, so the class with the larger pull is the one whose true probability there is smaller
    constant = training.binary or _same_for_every_example(training)
    pull = _largest_one(1.0 / np.where(eta > 0, eta, np.inf)) if constant else None
    one_threshold = n_classes == 2 and (training.binary or _uniform_scale(training))
    threshold = float(eta[1]) if one_threshold else None
    return None if isinstance(training.loss, SigmoidCrossEntropy) else pull, threshold


def label_thresholds(training: Training) -> tuple[float, ...] | None:
    """Return, of several labels, the true probability of each from which σ(z) is above one half."""
    if not training.several_labels or training.decision != "argmax" or not has_posterior(training):
        return None
    loss: Any = training.loss
    eta = np.asarray(loss.posterior(np.zeros((1, training.labels)))[0], np.float64)
    return tuple(float(v) for v in np.broadcast_to(eta, (training.counts.n_classes,)))


def _largest_one(pull: Vector) -> tuple[float, ...]:
    return tuple(float(v) for v in pull / pull.max())


def _undecided(training: Training) -> Vector | None:
    """Return the true probabilities at which the decision has no favourite; None where that is not known."""
    if training.decision == "tuned" or not has_posterior(training):
        return None
    n_classes = training.counts.n_classes
    z = np.zeros(n_classes)
    if training.decision == "post_hoc_logit_adjustment":
        present = training.priors > 0
        z = training.tau * np.log(np.where(present, training.priors, 1.0))
    elif isinstance(training.decision, float):
        z = np.array([0.0, np.log(training.decision) - np.log1p(-training.decision)])
    loss: Any = training.loss
    if isinstance(loss, SigmoidCrossEntropy):
        if not training.binary:
            return None
        one = float(np.asarray(loss.posterior(np.array([z[1] - z[0]])))[0])
        eta = np.array([1.0 - one, one])
    else:
        eta = np.asarray(loss.posterior(z[None])[0], dtype=np.float64)
    if training.sampler is not None:
        # probabilities of the sampled rows → of the rows there are
        eta = eta * np.divide(training.priors, training.trained, where=training.trained > 0, out=np.zeros(n_classes))
        eta = eta / eta.sum()
    return eta


def _uniform_scale(training: Training) -> bool:
    scale = training.parameter("logit_scale")
    return scale is None or bool(np.ptp(scale) == 0)


def _same_for_every_example(training: Training) -> bool:
    """Whether arg max of the trained logits is arg max pull_c η_c with one pull for all examples."""
    loss = training.loss
    if not isinstance(loss, SoftmaxCrossEntropy) or not _uniform_scale(training):
        return False
    if loss.weight_by not in ("target", "prediction", "prediction_hard"):
        return False
    if training.counts.n_classes == 2:
        return True
    p = loss.parameters
    bent = any(p[name] is not None for name in ("margin", "pairwise_offset", "compensation"))
    moved = p["class_weight"] is not None or p["logit_offset"] is not None or training.sampler is not None
    moved = moved or training.decision != "argmax"
    focused = p["gamma"] is not None or p["poly_coefficient"] is not None
    smoothed = p["label_smoothing"] is not None and np.ndim(p["label_smoothing"]) > 0
    return not bent and not smoothed and not (focused and moved)


def decision(training: Training) -> str:
    """Say how labels come from the trained logits."""
    if isinstance(training.decision, float):
        c = training.counts.classes[1]
        return f"{c} where the model's own probability of it, before any correction, is above {training.decision:.4g}."
    return {
        "argmax": "a logit above 0." if training.loss.dense_targets else "the largest logit, as the model gives it.",
        "prior_threshold": "the class whose corrected probability exceeds its share by the largest factor.",
        "post_hoc_logit_adjustment": f"the largest of z − {training.tau:g} · log π.",
        "tuned": "tuned for a metric on rows held out of training.",
    }[training.decision]


def minimiser(training: Training) -> str:
    """Say what the trained logits tell."""
    text = _of_loss(training)
    if training.sampler is None:
        return text
    return (
        f"{text} These are probabilities of the sampled rows ({training.sampler}); "
        f"sy.decisions.prior_shift(proba, {numbers(training.trained)}, counts.priors) makes them "
        "those of the rows there are."
    )


def _of_loss(training: Training) -> str:
    loss: Any = training.loss
    p = loss.parameters
    if not isinstance(loss, (SoftmaxCrossEntropy, SigmoidCrossEntropy)):
        if has_posterior(training):
            return "softmax(z) is not the class probabilities; loss.posterior(z) is."
        return (
            "none that is a probability: what comes out ranks and decides, and states no chances. Calibrate on "
            "held-out rows, or choose thresholds there with sy.decisions."
        )
    if isinstance(loss, SigmoidCrossEntropy):
        if all(v is None for v in p.values()):
            return "σ(z) is the probability of the label."
        if not has_posterior(training):
            return "none that is a probability of the label: calibrate on held-out rows, or choose thresholds there."
        return "σ(z) is not the probability of the label; loss.posterior(z) is."
    if p["cost_matrix"] is not None:
        return (
            "none that is a probability: an expected-cost term is improper. Train without it and decide with "
            "sy.decisions.min_cost."
        )
    if loss.weight_by.startswith("prediction"):
        return (
            "weights by the predicted class leave the optimum where it is: a fixed point of training (the weight is "
            "not differentiated), at which loss.posterior(z) gives the probabilities."
        )
    if loss.weight_by.startswith("pair"):
        return (
            "a fixed point of training, not a minimiser (the weight is not differentiated): η_y ∝ q_y / ω_y(z). "
            "loss.posterior(z) gives the probabilities."
        )
    if all(v is None for v in p.values()):
        return "softmax(z) is the class probabilities."
    done = "; ".join(_changes(p))
    if not has_posterior(training):
        return f"{done}. None that is a probability, since a class of weight 0 is never learnt."
    return f"{done}. softmax(z) is not the class probabilities; loss.posterior(z) is."


def _changes(p: Any) -> list[str]:
    words = {
        "class_weight": "weights multiply each class's probability by w_c",
        "logit_offset": "offsets move the trained logits by −ι_c",
        "pairwise_offset": "offsets of pairs move the trained logits",
        "logit_scale": "scales divide the trained logits by Δ_c",
        "margin": "margins push the true class's logit up by m_c",
        "gamma": "focusing flattens probabilities and keeps their order",
        "poly_coefficient": "the polynomial term changes how far probabilities are from 1, and keeps their order",
        "compensation": "compensation raises what is mistaken for the true class (a fixed point, not a minimiser)",
        "label_smoothing": "smoothing draws probabilities towards 1/C",
    }
    return [text for name, text in words.items() if p[name] is not None]
