"""`Explanation`: what was found out about a loss, as fields, as JSON data and as a page for a terminal."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from steelyard.losses.base import Loss

__all__ = ["Explanation", "Finding", "described", "numbers"]

_WIDTH = 96
_CLASSES = 20  # of more, the commonest and the rarest are printed
_NUMBERS = 6


@dataclass(frozen=True)
class Finding:
    """Something that is probably not meant, or that is good to know.

    Attributes
    ----------
    code : str
        Stays the same from version to version: "double-correction", "upside-down-weights", ...
    message : str
        What is the case, with the figures of these counts.
    advice : str
        What to do about it.
    """

    code: str
    message: str
    advice: str = ""

    def to_dict(self) -> dict[str, str]:
        """Return the finding as JSON data."""
        return {"code": self.code, "message": self.message, "advice": self.advice}

    def __str__(self) -> str:
        return f"{self.message} {self.advice}".rstrip()


@dataclass(frozen=True)
class Explanation:
    """What a loss does; ``print`` it, or read its fields.

    Attributes
    ----------
    loss : str
        The loss in question, and the strategy that it comes from.
    minimiser : str
        What the trained logits tell, and how to get probabilities back.
    denominator : str
        What the mean is divided by, and what that does in small batches.
    decision : str
        How labels come from the trained logits.
    classes : tuple
        Names of the classes.
    priors : tuple of float
        Their shares.
    pull : tuple of float or None
        How strongly the decision favours each class: it predicts arg max pull_c η_c, η the true probabilities,
        largest pull 1. None where that depends on the example, without a posterior, or for a tuned decision.
    threshold : float or None
        With two classes: the true probability of the second from which the decision is for it.
    label_thresholds : tuple of float or None
        With several labels per row: the true probability of each from which it is given.
    rare_share : dict of int to float
        Share of the loss that falls on the rarest class in a batch-normalised mean, by batch size.
    warnings : tuple of Finding
        What probably is not meant.
    notes : tuple of Finding
        What is good to know, and no mistake.
    """

    loss: str
    minimiser: str
    denominator: str
    classes: tuple[Any, ...]
    priors: tuple[float, ...]
    pull: tuple[float, ...] | None
    threshold: float | None
    rare_share: dict[int, float] = field(default_factory=dict)
    warnings: tuple[Finding, ...] = ()
    notes: tuple[Finding, ...] = ()
    decision: str = ""
    label_thresholds: tuple[float, ...] | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the explanation as JSON data."""
        names = ("loss", "minimiser", "denominator", "decision", "threshold")
        return {
            **{name: getattr(self, name) for name in names},
            "classes": [str(c) for c in self.classes],
            "priors": list(self.priors),
            "pull": None if self.pull is None else list(self.pull),
            "label_thresholds": None if self.label_thresholds is None else list(self.label_thresholds),
            "rare_share": {str(k): v for k, v in self.rare_share.items()},
            "warnings": [one.to_dict() for one in self.warnings],
            "notes": [one.to_dict() for one in self.notes],
        }

    def __str__(self) -> str:
        lines = [self.loss, ""]
        for name, text in (
            ("Minimiser", self.minimiser),
            ("Decision", self.decision),
            ("Denominator", self.denominator),
        ):
            lines += _wrapped(f"{name:<13}", text)
        lines += ["", *self._table()]
        if self.threshold is not None:
            lines += ["", f"This decides for {self.classes[1]} from a true probability of {self.threshold:.4g} on."]
        for mark, found in (("!", self.warnings), ("·", self.notes)):
            for one in found:
                lines += ["", *_wrapped(f"{mark} ", f"{one.message} [{one.code}]")]
                lines += _wrapped("  ", one.advice) if one.advice else []
        return "\n".join(lines)

    def _table(self) -> list[str]:
        shown: list[int | None] = list(range(len(self.classes)))
        if len(shown) > _CLASSES:
            by_share = sorted(range(len(self.classes)), key=lambda i: -self.priors[i])
            shown = [*by_share[: _CLASSES // 2], None, *by_share[-(_CLASSES // 2) :]]
        width = max(len("class"), *(len(str(self.classes[i])) for i in shown if i is not None))
        head, column = ("pull", self.pull) if self.label_thresholds is None else ("from", self.label_thresholds)
        lines = [f"{'class':<{width}}     share" + (f"  {head:>9}" if column else "")]
        for i in shown:
            if i is None:
                lines.append(f"… {len(self.classes) - _CLASSES} more")
                continue
            value = f"  {column[i]:9.4g}" if column else ""
            lines.append(f"{self.classes[i]!s:<{width}}  {self.priors[i]:8.4g}{value}")
        if self.pull:
            lines += _wrapped("", "A row gets the label with the largest pull × true probability.")
        if self.label_thresholds is not None:
            lines += _wrapped("", "A row gets a label whose true probability is at least that.")
        return lines


def described(loss: Loss) -> str:
    """Return the loss with its parameters to four digits, of arrays the first few numbers.

    Examples
    --------
    >>> import steelyard as sy
    >>> described(sy.losses.focal(gamma=2.0, class_weight=[1 / 3, 2 / 3]))
    'SoftmaxCrossEntropy(class_weight=[0.3333, 0.6667], gamma=2)'
    """
    given = {name: value for name, value in loss.parameters.items() if value is not None}
    parts = [f"{name}={numbers(np.asarray(value))}" for name, value in given.items()]
    weight_by = getattr(loss, "weight_by", "target")
    parts += [] if weight_by == "target" else [f"weight_by={weight_by!r}"]
    parts += [] if loss.reduction == "mean" else [f"reduction={loss.reduction!r}"]
    return f"{type(loss).__name__}({', '.join(parts)})"


def numbers(value: Any) -> str:
    """Return numbers to four digits, of an axis the first few."""
    if not np.ndim(value):
        return f"{float(value):.4g}"
    more = ", …" if len(value) > _NUMBERS else ""
    return "[" + ", ".join(numbers(one) for one in value[:_NUMBERS]) + more + "]"


def _wrapped(first: str, text: str) -> list[str]:
    return textwrap.wrap(
        text,
        _WIDTH,
        initial_indent=first,
        subsequent_indent=" " * len(first),
        break_long_words=False,
        break_on_hyphens=False,
    )
