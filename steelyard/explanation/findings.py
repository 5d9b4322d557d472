"""What is probably not meant: one function per finding, each with the condition, the figures and the advice."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from steelyard.errors import InputError
from steelyard.explanation import averaging
from steelyard.explanation.optimum import fixed_point, has_posterior
from steelyard.explanation.page import Finding, described
from steelyard.explanation.training import Training
from steelyard.losses.sigmoid import SigmoidCrossEntropy
from steelyard.losses.softmax import SoftmaxCrossEntropy

__all__ = ["notes", "warnings"]

Vector = NDArray[np.float64]
Check = Callable[[Training], Iterator[Finding]]

_BEYOND = 1.5  # beyond the balanced decision by this factor: two corrections, not one that is a little strong
_CONFIDENT = 30.0  # a logit gap at which float32 probabilities are 0 and 1
_DEAD = 1e-3
_BIASED = 0.1  # relative; 256 rows of 2 % are within it
_MOSTLY = 0.5
_SCALES = 5.0


def warnings(training: Training) -> tuple[Finding, ...]:
    """Return what is probably not meant."""
    return tuple(found for check in _WARNINGS for found in check(training))


def notes(training: Training) -> tuple[Finding, ...]:
    """Return what is good to know."""
    return tuple(found for check in _NOTES for found in check(training))


# --- classes and weights ---------------------------------------------------------------------------------------------


def _absent(t: Training) -> Iterator[Finding]:
    missing = [str(c) for c, n in zip(t.counts.classes, t.counts.counts, strict=True) if not n > 0]
    if missing:
        yield Finding(
            "absent-class",
            f"No rows of {', '.join(missing)}: treated like the rarest class that has rows; it cannot be learnt.",
            "Collect rows, or leave the class out.",
        )


def _zero_weight(t: Training) -> Iterator[Finding]:
    if t.mute:
        yield Finding(
            "zero-weight",
            "A class weight of 0: that class is never learnt, and it has no probability to recover.",
            "Against false alarms only the other classes' rows speak: give every class a weight.",
        )


def _upside_down(t: Training) -> Iterator[Finding]:
    w = t.row_weights
    if w is None or not w[t.rare] < w[t.common]:
        return
    common, rare = t.counts.classes[t.common], t.counts.classes[t.rare]
    stated = f"{common} has {w[t.common]:.4g} and {rare} {w[t.rare]:.4g}"
    present = t.counts.counts > 0
    per_row = w[present] / t.counts.counts[present]
    if np.ptp(per_row) <= 0.01 * per_row.max():
        yield Finding(
            "proportional-weights",
            f"The weights are proportional to the class shares, n_c/N: {stated}. That is upside down.",
            "The inverse was meant: sy.class_weight('balanced', counts).",
        )
        return
    focused = any(t.parameter(name) is not None for name in ("gamma", "gamma_pos", "gamma_neg"))
    if focused:
        yield Finding(
            "upside-down-alpha",
            f"α favours the majority: {stated}. Lin et al. found α = 0.25 for dense detection with γ = 2, where "
            "focusing alone already favours the rare class; elsewhere it is upside down.",
            "Give the rare class the larger α, or leave α out.",
        )
    else:
        yield Finding(
            "upside-down-weights",
            f"The weights favour the majority: {stated}. That is upside down.",
            "sy.class_weight('balanced', counts) gives the rare class the larger one.",
        )


def _offset_upside_down(t: Training) -> Iterator[Finding]:
    factor = _factors(t).get("offsets", 0.0)
    if factor < -np.log(_BEYOND):
        rare = t.counts.classes[t.rare]
        yield Finding(
            "upside-down-offsets",
            f"The offsets hold {rare} back, by a factor of {np.exp(-factor):.3g}: added in training, the rare class "
            "needs the smaller offset (it is left out at prediction).",
            "sy.losses.logit_adjusted(counts) adds + τ log π; at prediction, post hoc, it is subtracted.",
        )


def _scaled(t: Training) -> Iterator[Finding]:
    scale = t.parameter("logit_scale")
    if scale is not None and scale.ndim and np.ptp(scale) > 0 and scale[t.rare] > scale[t.common]:
        yield Finding(
            "scaled-logits",
            "Class weights multiplied into the logits are not a weighted loss: used at prediction too, they only "
            "reparametrise the last layer; left out there, they make the rare class's logits small.",
            "Put them into class_weight, or use logit_adjusted.",
        )


def _margin(t: Training) -> Iterator[Finding]:
    scale = t.parameter("logit_scale")
    if t.parameter("margin") is not None and (scale is None or float(np.max(scale)) < 5.0):
        yield Finding(
            "margin-without-scale",
            "Margins without a logit scale: LDAM's are meant for cosine logits with a scale of about 30.",
            "With ordinary logits they act as small offsets; logit_adjusted is the direct way.",
        )


# --- two corrections -------------------------------------------------------------------------------------------------


def _factors(t: Training) -> dict[str, float]:
    """Return by how much each correction favours the rarest class over the commonest: log factors of their odds."""
    rare, common = t.rare, t.common
    out: dict[str, float] = {}
    w = t.row_weights
    if w is not None and w[rare] > 0 and w[common] > 0:
        out["weights"] = float(np.log(w[rare] / w[common]))
    offset = t.parameter("logit_offset")
    if offset is not None and offset.ndim and isinstance(t.loss, SoftmaxCrossEntropy):
        out["offsets"] = float(offset[common] - offset[rare])
    if t.sampler is not None and t.trained[rare] > 0 and t.trained[common] > 0:
        seen, there = t.trained, t.priors
        out["the sampler"] = float(np.log(seen[rare] / seen[common]) - np.log(there[rare] / there[common]))
    if t.decision == "post_hoc_logit_adjustment":
        out["the decision"] = t.tau * float(np.log(t.priors[common] / t.priors[rare]))
    elif isinstance(t.decision, float):
        towards_second = float(np.log1p(-t.decision) - np.log(t.decision))
        out["the threshold"] = towards_second if rare == 1 else -towards_second
    return {name: value for name, value in out.items() if value != 0.0}


def _double(t: Training) -> Iterator[Finding]:
    towards = {name: value for name, value in _factors(t).items() if value > 0.0}
    balanced = float(np.log(t.priors[t.common] / t.priors[t.rare]))
    total = sum(towards.values())
    # each by itself at most about balanced, together beyond it: what is too strong alone is no double correction
    if len(towards) < 2 or not total > balanced + np.log(_BEYOND):
        return
    rare = t.counts.classes[t.rare]
    listed = ", ".join(f"{name} × {np.exp(value):.4g}" for name, value in towards.items())
    yield Finding(
        "double-correction",
        f"Double correction: {_joined(list(towards))} {'both' if len(towards) == 2 else 'all'} favour {rare} "
        f"({listed}), together {np.exp(total - balanced):.3g} times beyond the balanced decision.",
        "Use one of them.",
    )


def _tuned_anyway(t: Training) -> Iterator[Finding]:
    strong = [name for name, value in _factors(t).items() if abs(value) > np.log(_BEYOND)]
    if t.decision == "tuned" and strong:
        does, them = ("does", "it") if len(strong) == 1 and strong[0] == "the sampler" else ("do", "them")
        yield Finding(
            "correction-and-tuned-decision",
            f"The decision is tuned, taking back what {_joined(strong)} {does} to it. What is left is another fit.",
            f"Try it without {them} first: probabilities stay right, and with tuned decisions plain training is hard "
            "to beat (docs/guides/which_weights.md).",
        )


def _joined(names: list[str]) -> str:
    return names[0] if len(names) == 1 else ", ".join(names[:-1]) + " and " + names[-1]


# --- smoothing -------------------------------------------------------------------------------------------------------


def _smoothed_rare(t: Training) -> Iterator[Finding]:
    eps = t.parameter("label_smoothing")
    if eps is None:
        return
    floor, share = float(eps.max()) / t.counts.n_classes, float(t.trained[t.rare])
    if floor > share > 0:
        yield Finding(
            "smoothing-above-share",
            f"Smoothing puts {'up to ' if eps.ndim else ''}{floor:.4g} on every class, more than the share of "
            f"{t.counts.classes[t.rare]} ({share:.4g}).",
            "Smooth less, or rare classes less: class_aware_smoothing(counts).",
        )


def _smoothed_and_weighted(t: Training) -> Iterator[Finding]:
    eps, w = t.parameter("label_smoothing"), t.row_weights
    if eps is None or w is None or np.ptp(w) == 0:
        return
    eta, n_classes = t.trained, t.counts.n_classes
    ours = w * eta / (w @ eta)
    ours = ours - eps * ours + float(eps @ ours if eps.ndim else eps) / n_classes
    theirs = w * (eta - eps * eta + float(eps @ eta if eps.ndim else eps) / n_classes)
    theirs = theirs / theirs.sum()
    r = t.rare
    yield Finding(
        "smoothing-and-weights",
        f"Smoothing and weights mean different things in different libraries: here the weight of the true class "
        f"multiplies its whole row, in torch the smoothed mass of each class has that class's own weight. A model "
        f"that knows only the shares then says {ours[r]:.3g} for {t.counts.classes[r]} here and {theirs[r]:.3g} in "
        "torch (pytorch#104776).",
        "Numbers tuned for one do not carry over to the other; use one of the two, smoothing or weights.",
    )


# --- means over batches ----------------------------------------------------------------------------------------------


def _biased_mean(t: Training) -> Iterator[Finding]:
    if t.batch_size is None:
        return
    share = averaging.rare_share(t, t.batch_size)
    if share is None:
        return
    full = averaging.full_share(t)
    if abs(share - full) > _BIASED * full:
        yield Finding(
            "biased-mean",
            f"A mean over the weights of {t.batch_size} rows at a time gives {t.counts.classes[t.rare]} "
            f"{share:.3f} of the loss, not the {full:.3f} that the weights ask for: batches in which it is missing "
            "are divided by less.",
            f"Pass denominator={t.batch_size * averaging.mean_weight(t):.4g} (batch · Σ π_c w_c), or use larger "
            "batches.",
        )


def _no_rare_rows(t: Training) -> Iterator[Finding]:
    if t.batch_size is None or t.several_labels:
        return
    without = float((1.0 - t.trained[t.rare]) ** t.batch_size)
    if without > _MOSTLY:
        enough = int(np.ceil(np.log(_MOSTLY / 10) / np.log1p(-t.trained[t.rare])))
        yield Finding(
            "batches-without-rare",
            f"{100 * without:.0f} % of batches of {t.batch_size} hold no row of {t.counts.classes[t.rare]}.",
            f"Batches of {enough} rows have one in 95 % of cases; or draw balanced batches, instead of weights.",
        )


def _loss_scale(t: Training) -> Iterator[Finding]:
    by_rows = t.loss.reduction != "mean" or t.denominator in ("rows", "sample_weight")
    times = averaging.mean_weight(t)
    if by_rows and not 1.0 / _SCALES <= times <= _SCALES:
        yield Finding(
            "loss-scale",
            f"The weights multiply the loss by {times:.3g} on average, and nothing divides it again: learning rate "
            "and penalties act as if they were changed by that.",
            "normalize='priors' of sy.class_weight makes that 1.",
        )


# --- gradients and probabilities -------------------------------------------------------------------------------------


def _dead(t: Training) -> Iterator[Finding]:
    gaps = (0.0, 1.0, 3.0, 10.0, _CONFIDENT)
    try:
        sizes = [_pull_of_a_mistake(t, gap) for gap in gaps]
    except (AttributeError, InputError, NotImplementedError):
        return  # a loss of whole sets of rows has no gradient of one
    if max(sizes) > 0.0 and sizes[-1] < _DEAD * max(sizes):
        rare, common = t.counts.classes[t.rare], t.counts.classes[t.common]
        yield Finding(
            "dead-gradient",
            f"A row of {rare} that the model is sure is {common} (a logit gap of {_CONFIDENT:g}) has a gradient of "
            f"{sizes[-1]:.1g}, against {max(sizes):.2g} for an undecided one: the worst mistakes are never mended.",
            "Give that mistake a weight above 0, or train with cross-entropy first.",
        )


def _clipped(t: Training) -> Iterator[Finding]:
    if t.clipped:
        yield Finding(
            "clipped-probabilities",
            "This loss works on probabilities that are clipped at 1e-7: beyond a logit gap of 16 the gradient is 0. "
            "The worst mistakes, which are mostly rows of rare classes, are never mended.",
            "from_logits=True, with a model that gives logits, where the loss has it (Keras' categorical focal loss "
            "clips all the same); or sy.keras.Loss.",
        )


def _pull_of_a_mistake(t: Training, gap: float) -> float:
    """Return |∂ℓ/∂z| of the rarest class's own logit, at a row of it that the commonest is ahead in by `gap`."""
    if t.binary:
        z = np.array([gap if t.rare == 0 else -gap])
        return float(abs(t.loss.gradient(z, np.array([float(t.rare)]))[0]))
    if isinstance(t.loss, SigmoidCrossEntropy):
        raise NotImplementedError("counts of labels say nothing of negatives")
    z = np.zeros((1, t.counts.n_classes))
    z[0, t.common] = gap if t.common != t.rare else 0.0
    return float(abs(t.loss.gradient(z, np.array([t.rare]))[0, t.rare]))


def _no_probability(t: Training) -> Iterator[Finding]:
    if t.mute or has_posterior(t):
        return
    if t.parameter("cost_matrix") is not None:
        message = "An expected-cost term is improper: its minimiser is a vertex, not a probability."
    else:
        reason = getattr(type(t.loss), "improper", None)
        message = reason or f"{type(t.loss).__name__} has no posterior: its scores are not probabilities."
    yield Finding(
        "no-probabilities",
        message,
        "For decisions by cost or for stated chances train with a cross-entropy, and decide afterwards "
        "(sy.decisions.min_cost, sy.decisions.fit).",
    )


# --- good to know ----------------------------------------------------------------------------------------------------


def _fixed_point(t: Training) -> Iterator[Finding]:
    what = fixed_point(t)
    if what is not None:
        yield Finding(
            "fixed-point",
            f"{what[0].upper()}{what[1:]} is not differentiated: training ends at a fixed point, not at the minimum "
            "of the loss.",
            "Compare runs by a metric on held-out rows, not by the value of this loss.",
        )


def _deferred(t: Training) -> Iterator[Finding]:
    if t.before is not None:
        yield Finding(
            "deferred",
            f"The first {100 * t.defer:.0f} % of training has another loss, {described(t.before)}. What is said "
            "here is of the end.",
        )


def _unsettled(t: Training) -> Iterator[Finding]:
    if not t.settled:
        yield Finding(
            "found-in-training",
            f"'{t.strategy}' finds its numbers on inner folds of the training rows. What is said here is of where it "
            "begins.",
        )


_WARNINGS: tuple[Check, ...] = (
    _absent,
    _zero_weight,
    _upside_down,
    _offset_upside_down,
    _double,
    _tuned_anyway,
    _scaled,
    _margin,
    _smoothed_rare,
    _smoothed_and_weighted,
    _biased_mean,
    _no_rare_rows,
    _loss_scale,
    _dead,
    _clipped,
    _no_probability,
)
_NOTES: tuple[Check, ...] = (_fixed_point, _deferred, _unsettled)
