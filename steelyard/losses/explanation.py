"""`explain`: what a loss does to the classes, in words and numbers, before anything is trained."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import comb
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steelyard.errors import InputError
from steelyard.losses.base import Loss
from steelyard.losses.label_ranking import ZLPR, TwoWay
from steelyard.losses.sigmoid import SigmoidCrossEntropy
from steelyard.losses.softmax import SoftmaxCrossEntropy
from steelyard.weights import ClassCounts, as_counts

__all__ = ["Explanation", "explain"]

Vector = NDArray[np.float64]


@dataclass(frozen=True)
class Explanation:
    """What a loss does; ``print`` it, or read its fields.

    Attributes
    ----------
    loss : str
        The loss in question.
    minimiser : str
        What the trained logits tell, and how to get probabilities back.
    denominator : str
        What the mean is divided by, and what that does in small batches.
    classes : tuple
        Names of the classes.
    priors : tuple of float
        Their shares.
    pull : tuple of float or None
        How strongly arg max of the trained logits favours each class: it predicts arg max pull_c η_c, η the true
        probabilities, largest pull 1. None where that depends on the example, or without a posterior.
    threshold : float or None
        With two classes: the true probability of the second from which the trained logits decide for it.
    rare_share : dict of int to float
        Share of the loss that falls on the rarest class in a batch-normalised mean, by batch size.
    warnings : tuple of str
        What probably is not meant.
    """

    loss: str
    minimiser: str
    denominator: str
    classes: tuple[Any, ...]
    priors: tuple[float, ...]
    pull: tuple[float, ...] | None
    threshold: float | None
    rare_share: dict[int, float] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the explanation as JSON data."""
        return {
            **{name: getattr(self, name) for name in ("loss", "minimiser", "denominator", "threshold")},
            "classes": [str(c) for c in self.classes],
            "priors": list(self.priors),
            "pull": None if self.pull is None else list(self.pull),
            "rare_share": {str(k): v for k, v in self.rare_share.items()},
            "warnings": list(self.warnings),
        }

    def __str__(self) -> str:
        lines = [self.loss, "", f"Minimiser    {self.minimiser}", f"Denominator  {self.denominator}", ""]
        width = max(len("class"), *(len(str(c)) for c in self.classes))
        lines.append(f"{'class':<{width}}    share" + ("     pull" if self.pull else ""))
        for i, c in enumerate(self.classes):
            pull = f"  {self.pull[i]:7.4g}" if self.pull else ""
            lines.append(f"{c!s:<{width}}  {self.priors[i]:7.4f}{pull}")
        if self.threshold is not None:
            lines += [
                "",
                f"The trained logits decide for {self.classes[1]} from a true probability of {self.threshold:.4g} on.",
            ]
        if self.warnings:
            lines += [""] + [f"! {w}" for w in self.warnings]
        return "\n".join(lines)


def explain(loss: Loss, counts: Any) -> Explanation:
    """Say what a loss does to classes with these counts.

    Parameters
    ----------
    loss : SoftmaxCrossEntropy or SigmoidCrossEntropy
        A loss, or what a front's ``.loss`` gives.
    counts : ClassCounts, mapping or (n_classes,)
        Class counts of the training data.

    Returns
    -------
    Explanation
        The minimiser, the denominator, the pull on each class, the implied threshold, and warnings.

    Raises
    ------
    InputError
        Counts of another number of classes than the loss has.

    Notes
    -----
    The pull follows from the posterior at equal logits: there arg max is undecided, so the class with the larger
    pull is the one whose true probability there is smaller. What is said holds for the minimiser; early stopping,
    regularisation and separable data keep networks away from it.

    Examples
    --------
    >>> import steelyard as sy
    >>> counts = sy.ClassCounts.from_counts({"no": 900, "yes": 100})
    >>> e = sy.explain(sy.losses.logit_adjusted(counts), counts)
    >>> round(e.threshold, 3)
    0.1
    """
    if isinstance(loss, (TwoWay, ZLPR)):
        return _of_ranking(loss, as_counts(counts))
    if not isinstance(loss, (SoftmaxCrossEntropy, SigmoidCrossEntropy)):
        raise InputError(
            "a SoftmaxCrossEntropy or SigmoidCrossEntropy", type(loss).__name__, "of a front, hand over its `.loss`."
        )
    counts = as_counts(counts)
    _check_classes(loss, counts)
    binary = isinstance(loss, SigmoidCrossEntropy)
    eta = _indifferent(loss, counts.n_classes)
    pull = None
    if eta is not None and not binary and _same_for_every_example(loss, counts.n_classes):
        inverse = 1.0 / eta
        pull = tuple(float(v) for v in inverse / inverse.max())
    threshold = None
    if eta is not None and counts.n_classes == 2 and (binary or _uniform_scale(loss)):
        threshold = float(eta[1])
    shares = _rare_shares(loss, counts)
    return Explanation(
        loss=repr(loss),
        minimiser=_minimiser(loss),
        denominator=_denominator(loss, shares, counts),
        classes=tuple(counts.classes),
        priors=tuple(float(p) for p in counts.priors),
        pull=pull,
        threshold=threshold,
        rare_share=shares,
        warnings=tuple(_warnings(loss, counts, pull)),
    )


def _of_ranking(loss: Loss, counts: ClassCounts) -> Explanation:
    averaged = {"mean": "Σ s over the rows that count.", "sum": "none: the sum over rows.", "none": "none: each row's."}
    return Explanation(
        loss=repr(loss),
        minimiser=(
            "labels that are there are ranked above those that are not; logits are no log-odds, and nothing recovers "
            "probabilities from them: calibrate, or choose thresholds with sy.decisions."
        ),
        denominator=averaged[loss.reduction],
        classes=tuple(counts.classes),
        priors=tuple(float(p) for p in counts.priors),
        pull=None,
        threshold=None,
    )


def _check_classes(loss: Loss, counts: ClassCounts) -> None:
    for name, value in loss.parameters.items():
        if value is None or name == "outcome_weight" or len(value.shape) == 0:
            continue
        if value.shape[-1] != counts.n_classes and not (isinstance(loss, SigmoidCrossEntropy) and value.shape[-1] == 1):
            raise InputError(
                f"counts of {value.shape[-1]} classes, as `{name}` has",
                f"{counts.n_classes}",
                "classes that never occur are kept by ClassCounts.from_labels(y, classes=[...]).",
            )


def _uniform_scale(loss: Loss) -> bool:
    scale = loss.parameters.get("logit_scale")
    return scale is None or bool(np.ptp(np.asarray(scale)) == 0)


def _same_for_every_example(loss: Any, n_classes: int) -> bool:
    """Whether arg max of the trained logits is arg max pull_c η_c with one pull for all examples."""
    p = loss.parameters
    if not _uniform_scale(loss) or loss.weight_by not in ("target", "prediction", "prediction_hard"):
        return False
    if n_classes == 2:
        return True
    bent = any(p[name] is not None for name in ("margin", "pairwise_offset", "compensation"))
    moved = p["class_weight"] is not None or p["logit_offset"] is not None
    focused = p["gamma"] is not None or p["poly_coefficient"] is not None
    smoothed = p["label_smoothing"] is not None and np.ndim(p["label_smoothing"]) > 0
    return not bent and not smoothed and not (focused and moved)


def _indifferent(loss: Any, n_classes: int) -> Vector | None:
    """Return the true probabilities at which the trained logits are all equal; None where there is no posterior."""
    p = loss.parameters
    if p.get("cost_matrix") is not None:
        return None
    w = p["class_weight"]
    if w is not None and not np.all(np.asarray(w) > 0):
        return None
    if isinstance(loss, SigmoidCrossEntropy):
        if not loss.has_posterior:
            return None
        one = loss.posterior(np.zeros((1, _labels(loss))))[0]
        return np.array([1.0 - one[0], one[0]]) if len(one) == 1 else None
    return np.asarray(loss.posterior(np.zeros((1, n_classes)))[0], dtype=np.float64)


def _labels(loss: Loss) -> int:
    sizes = [v.shape[0] for n, v in loss.parameters.items() if v is not None and v.ndim and n != "outcome_weight"]
    return int(sizes[0]) if sizes else 1


def _minimiser(loss: Any) -> str:
    p = loss.parameters
    if isinstance(loss, SigmoidCrossEntropy):
        if all(v is None for v in p.values()):
            return "σ(z) is the probability of the label."
        if not loss.has_posterior:
            return "σ(z) is not the probability of the label, and the labels of a row weigh each other: calibrate it."
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
    done = []
    if p["class_weight"] is not None:
        done.append("weights multiply each class's probability by w_c")
    if p["logit_offset"] is not None or p["pairwise_offset"] is not None:
        done.append("offsets move the trained logits by −ι_c")
    if p["logit_scale"] is not None:
        done.append("scales divide the trained logits by Δ_c")
    if p["margin"] is not None:
        done.append("margins push the true class's logit up by m_c")
    if p["gamma"] is not None:
        done.append("focusing flattens probabilities and keeps their order")
    if p["poly_coefficient"] is not None:
        done.append("the polynomial term changes how far probabilities are from 1, and keeps their order")
    if p["compensation"] is not None:
        done.append("compensation raises what is mistaken for the true class (a fixed point, not a minimiser)")
    if p["label_smoothing"] is not None:
        done.append("smoothing draws probabilities towards 1/C")
    return "; ".join(done) + ". softmax(z) is not the class probabilities; loss.posterior(z) is."


def _row_weights(loss: Any) -> Vector | None:
    """Return ω by true class where it is constant."""
    w = loss.parameters["class_weight"]
    if isinstance(loss, SigmoidCrossEntropy) or w is None or loss.weight_by != "target":
        return None
    return np.asarray(w, dtype=np.float64)


def _rare_shares(loss: Any, counts: ClassCounts) -> dict[int, float]:
    """Return E[k w_r / (k w_r + (B − k) w̄)] for k ~ Binomial(B, π_r), the rarest class against the mean of the rest."""
    w = _row_weights(loss)
    if w is None or loss.reduction != "mean" or np.ptp(w) == 0:
        return {}
    priors = counts.priors
    present = priors > 0
    rare = int(np.argmin(np.where(present, priors, np.inf)))
    p = float(priors[rare])
    rest = float((priors * w).sum() - p * w[rare]) / (1.0 - p) if p < 1.0 else 0.0
    if p * w[rare] + rest == 0.0:
        return {}
    shares = {}
    for batch in (1, 8, 32, 256):
        k = np.arange(batch + 1)
        weight = np.array([comb(batch, int(i)) * p**i * (1.0 - p) ** (batch - i) for i in map(int, k)])
        total = k * w[rare] + (batch - k) * rest
        shares[batch] = float((weight * np.divide(k * w[rare], total, where=total > 0, out=np.zeros(len(k)))).sum())
    return shares


def _denominator(loss: Any, shares: dict[int, float], counts: ClassCounts) -> str:
    if loss.reduction == "none":
        return "none: s·ω·ℓ of each example."
    if loss.reduction == "sum":
        return "none: the sum Σ s·ω·ℓ, which grows with the batch."
    text = "Σ s·ω over the rows that count (torch does this for integer targets, Keras divides by rows)."
    if shares:
        w = _row_weights(loss)
        assert w is not None
        priors = counts.priors
        rare = int(np.argmin(np.where(priors > 0, priors, np.inf)))
        full = priors[rare] * w[rare] / (priors * w).sum()
        listed = ", ".join(f"{s:.3f} at {b}" for b, s in shares.items())
        text += (
            f" Normalised batch by batch, {counts.classes[rare]} gets this share of the loss: {listed}, against "
            f"{full:.3f} over the whole set. For the same share in every batch pass "
            f"denominator=batch · {float((priors * w).sum()):.4g}."
        )
    return text


def _warnings(loss: Any, counts: ClassCounts, pull: tuple[float, ...] | None) -> list[str]:
    out = []
    present = counts.counts > 0
    if not present.all():
        absent = ", ".join(str(c) for c, there in zip(counts.classes, present, strict=True) if not there)
        out.append(f"No rows of {absent}: treated like the rarest class that has rows; it cannot be learnt.")
    p, priors = loss.parameters, counts.priors
    w = p["class_weight"]
    if w is not None and (np.asarray(w) == 0).any():
        out.append("A class weight of 0: that class is never learnt, and it has no probability to recover.")
    if isinstance(loss, SigmoidCrossEntropy):
        return out
    row = _row_weights(loss)
    rare, common = int(np.argmin(np.where(present, priors, np.inf))), int(np.argmax(priors))
    if row is not None and row[rare] < row[common]:
        out.append(
            f"The weights favour the majority: {counts.classes[common]} has {row[common]:.4g} and "
            f"{counts.classes[rare]} {row[rare]:.4g}. Weights proportional to frequency are upside down."
        )
    if pull is not None and priors[rare] > 0:
        # arg max of (1/π_c) η_c is the balanced decision: what goes well beyond it corrects twice
        beyond = (pull[rare] / pull[common]) / (priors[common] / priors[rare])
        if beyond > 1.5 and row is not None and p["logit_offset"] is not None:
            out.append(
                f"Double correction: weights and offsets both favour {counts.classes[rare]}, {beyond:.3g} times beyond "
                "the balanced decision. Use one of them."
            )
    scale = p["logit_scale"]
    if scale is not None and np.asarray(scale).ndim and np.ptp(np.asarray(scale)) > 0 and row is None:
        s = np.asarray(scale)
        if s[rare] > s[common] and p["logit_offset"] is None:
            out.append(
                "Class weights multiplied into the logits are not a weighted loss: used at prediction too, they only "
                "reparametrise the last layer. Put them into class_weight, or use logit_adjusted."
            )
    if p["margin"] is not None and (scale is None or float(np.max(np.asarray(scale))) < 5.0):
        out.append("Margins without a logit scale: LDAM's are meant for cosine logits with a scale of about 30.")
    eps = p["label_smoothing"]
    if eps is not None:
        floor = float(np.max(np.asarray(eps))) / counts.n_classes
        if floor > priors[rare] > 0:
            upto = "up to " if np.ndim(eps) else ""
            out.append(
                f"Smoothing puts {upto}{floor:.4g} on every class, more than the share of {counts.classes[rare]} "
                f"({priors[rare]:.4g})."
            )
    return out
