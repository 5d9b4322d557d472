"""What it takes to do in one's own code what a strategy did here: its numbers for these class counts, and the rule."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from steelyard import strategies, training
from steelyard.decisions.rules import PlugIn, from_dict
from steelyard.errors import InputError
from steelyard.report.content import Results, metric_called
from steelyard.strategies import Point
from steelyard.weights import ClassCounts

__all__ = ["Recipe", "decision_for", "recipe_for", "rounded", "weights_of"]

_DIGITS = 6  # of a number in code


@dataclass(frozen=True)
class Recipe:
    """The numbers of one model, strategy and decision.

    Attributes
    ----------
    model, strategy : str
    classes : list
        Labels, in the order of all numbers.
    counts : list of int
    point : Point
        The strategy on all rows.
    rule : mapping or None
        A fitted decision as `steelyard.decisions.rules` describes it; None: the decision of the strategy itself.
    fitted_for : str
        The metric that the rule is best for.
    """

    model: str
    strategy: str
    classes: list[Any]
    counts: list[int]
    point: Point
    rule: Mapping[str, Any] | None
    fitted_for: str

    @property
    def n_classes(self) -> int:
        """Number of classes."""
        return len(self.classes)

    @property
    def class_weight(self) -> list[float] | None:
        """Class weights, where they are all that the strategy changes in training; batches in equal shares are these.

        None for every other loss.
        """
        changed = self.parameters(self.point.loss)
        if self.point.later is not None or set(changed) - {"class_weight"}:
            return None
        if self.point.sampler == "balanced_batches":
            return rounded(1.0 / (self.n_classes * self.point.priors))
        return rounded(changed.get("class_weight", np.ones(self.n_classes)))

    @property
    def plain(self) -> bool:
        """Whether training is that of "none"."""
        return self.class_weight is not None and len(set(self.class_weight)) == 1 and self.resampled is None

    @property
    def resampled(self) -> str | None:
        """How rows are drawn before training; None: they are not."""
        return None if self.point.sampler == "balanced_batches" else self.point.sampler

    def parameters(self, loss: Any) -> dict[str, Any]:
        """Return the parameters of a loss that are not their defaults, as lists and numbers."""
        given = loss.to_dict()
        return {k: rounded(v) if isinstance(v, list) else v for k, v in given.items() if k != "loss"}


def rounded(values: Any) -> list[Any]:
    """Return numbers with six digits, in lists.

    Examples
    --------
    >>> rounded([1 / 3, 1000000.5])
    [0.333333, 1000000.0]
    """
    array = np.asarray(values, np.float64)
    if array.ndim > 1:
        return [rounded(row) for row in array]
    return [float(f"{value:.{_DIGITS}g}") for value in array]


def recipe_for(results: Results, model: str, strategy: str, decision: str) -> Recipe | None:
    """Return the numbers of a strategy, on all rows of the table.

    Parameters
    ----------
    results : mapping
        The content of results.json.
    model, strategy : str
    decision : {"default", "tuned"}
        "tuned": the rule in `views`, fitted on out-of-fold scores.

    Returns
    -------
    Recipe or None
        None where the counts do not say what the strategy does: it was found on inner folds, is of another version,
        or a rule was tuned that these results do not hold.
    """
    dataset = results["dataset"]
    changed = (results["settings"].get("parameters") or {}).get(strategy) or {}
    try:
        known = strategies.get(strategy, **changed)
    except InputError:
        return None
    if known.needs_inner:
        return None
    classes = list(dataset["classes"])
    counts = ClassCounts.from_counts(dict(enumerate(dataset["counts"])))
    try:
        point = training.resolve(model, known, counts)
    except InputError:
        return None
    rule = None
    if decision == "tuned":
        rules = (results.get("views") or {}).get("rules") or []
        own = [r for r in rules if (r["model"], r["strategy"]) == (model, strategy)]
        if not own:
            return None
        rule = own[0]["rule"]
    return Recipe(
        model, strategy, classes, list(dataset["counts"]), point, rule, str(results["settings"]["decision_metric"])
    )


def decision_for(results: Results) -> str:
    """Return the decision that a user of the winner would take: a ranking needs one too, and a tuned one is best."""
    best = results["best"]
    if metric_called(best["metric"], results).kind == "label":
        return str(best["decision"])
    tuned = any(row["decision"] == "tuned" for row in results["summary"])
    return "tuned" if tuned else "default"


def weights_of(rule: Mapping[str, Any]) -> list[float]:
    """Return what a rule multiplies probabilities by, the largest 1."""
    built = from_dict(rule)
    assert isinstance(built, PlugIn)
    return rounded(built.weights)
