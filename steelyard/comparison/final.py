"""The winner of a comparison, trained on all rows: preprocessing, model, correction and decision, as numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steelyard import training
from steelyard.comparison.dataset import Dataset
from steelyard.comparison.fold_scores import PreparedFold, tuned_rule
from steelyard.comparison.folds import Split
from steelyard.comparison.new_rows import Columns
from steelyard.comparison.settings import Settings
from steelyard.decisions import PlugIn, prior_shift
from steelyard.decisions.row_costs import RowCosts, RowMinCost
from steelyard.decisions.stated_costs import Costs
from steelyard.errors import InputError
from steelyard.strategies import Point, Strategy
from steelyard.training import Fitted, Model
from steelyard.tuning import out_of_fold
from steelyard.tuning.seeds import FINAL
from steelyard.tuning.tasks import Part
from steelyard.weights import ClassCounts

__all__ = ["Final", "fit_final"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Final:
    """A trained pipeline.

    Attributes
    ----------
    columns : Columns
        From a table to the matrix that the model takes.
    model : steelyard.training.TrainedModel
    kind : steelyard.training.Model
        Its name and options.
    point : steelyard.strategies.Point
        What the strategy came to on all rows.
    parameters : mapping of str to float
        Of the strategy.
    rule : Threshold, PlugIn, RowMinCost or None
        The tuned decision; None: the strategy's own.
    counts : ClassCounts
        Of the rows that it was trained on.
    positive : int or None
        Position of the positive class of two.
    floats : bool
        Whether whole numbers among the labels came as floats.
    trouble : str or None
        Why the fit should be read with care.
    costs : Costs or None
        What mistakes cost, where the comparison was told.
    """

    columns: Columns
    model: Any
    kind: Model
    point: Point
    parameters: Mapping[str, float]
    rule: Any
    counts: ClassCounts
    positive: int | None
    floats: bool
    trouble: str | None
    costs: Costs | None = None

    @property
    def cost_columns(self) -> tuple[str, ...]:
        """Columns that new rows need beside the features, as their labels depend on what mistakes cost in each."""
        return self.costs.columns if isinstance(self.rule, RowMinCost) and self.costs is not None else ()

    def probabilities(self, matrix: Floats, priors: Floats | None = None) -> Floats:
        """Return probabilities of shape (n, C); see `predictions`."""
        return self._moved(self.model.logits(matrix), priors)

    def _moved(self, logits: Floats, priors: Floats | None) -> Floats:
        proba = self.point.posterior(logits)
        return proba if priors is None else prior_shift(proba, self.point.priors, priors)

    def predictions(
        self, matrix: Floats, priors: Floats | None = None, row_costs: RowCosts | None = None
    ) -> tuple[Ints, Floats]:
        """Return class indices of shape (n,), and probabilities of shape (n, C).

        Under other class shares π′ than those of training, π, probabilities are multiplied by π′ / π. A tuned rule is
        applied to these; a strategy's own decision to the logits that belong to them: moved by log π′ − log π, divided
        by the loss's logit scale where it has one. A threshold, class weights and offsets stay what they are, like
        costs; what divides by the prior (prior_threshold, post-hoc adjustment, the plug-in rule) divides by π′.
        """
        logits = self.model.logits(matrix)
        proba = self._moved(logits, priors)
        point, rule = self.point, self.rule
        if isinstance(rule, RowMinCost):
            assert row_costs is not None
            return rule.on(row_costs)(proba), proba
        if priors is not None:
            scale = point.last_loss.parameters["logit_scale"]
            logits = logits + (np.log(priors) - np.log(point.priors)) / (1.0 if scale is None else scale)
            point = replace(point, priors=priors)
            if isinstance(rule, PlugIn):
                rule = replace(rule, priors=tuple(priors.tolist()))
        labels = point.decide(logits) if rule is None else np.asarray(rule(proba), np.int64)
        return labels, proba


def fit_final(dataset: Dataset, settings: Settings, model: str, strategy: str, decision: str) -> Final:
    """Train one model with one strategy on all rows, and fit its decision as it was fitted inside the folds.

    Parameters
    ----------
    dataset : Dataset
    settings : Settings
        Of the comparison; names the models and strategies that there are.
    model, strategy : str
        Names among those of `settings`.
    decision : {"default", "tuned"}
        "tuned": the rule that is best for ``settings.aim`` on out-of-fold probabilities of 3 inner
        folds of all rows.

    Returns
    -------
    Final

    Raises
    ------
    InputError
        If the model cannot be trained on all rows, or a rule cannot be tuned on them.
    """
    from threadpoolctl import threadpool_limits

    kind = next(m for m in settings.models if m.name == model)
    chosen = next(s for s in settings.strategies if s.name == strategy)
    every = np.arange(dataset.rows)
    split = Split(*FINAL, every, every[:1])  # one row is scored, and not looked at
    fold = PreparedFold(dataset, replace(settings, tuned=decision == "tuned", strategies=(chosen,)), split)
    with threadpool_limits(1):
        chosen = fold.settled(kind, chosen)
        point = training.resolve(kind, chosen, fold.counts(fold.outer.y))
        outer = Part(fold.outer.train, fold.outer.y, fold.outer.score, fold.state())
        fitted = out_of_fold.fitted(kind, outer, point, fold.n_classes)
        rule = _rule(fold, kind, chosen, fitted) if decision == "tuned" else None
        final = Final(
            columns=fold.outer.columns,
            model=fitted.model,
            kind=kind,
            point=point,
            parameters=dict(chosen.parameters),
            rule=rule,
            counts=dataset.target.counts,
            positive=dataset.target.positive,
            floats=dataset.target.floats,
            trouble=fitted.trouble,
            costs=settings.costs,
        )
        matrix = fold.outer.train
        parts = (matrix[start : start + training.CHUNK] for start in range(0, len(matrix), training.CHUNK))
        if not all(np.isfinite(final.probabilities(part)).all() for part in parts):
            raise InputError("a model with finite probabilities", "NaN or infinite ones", "its training diverged.")
    return final


def _rule(fold: PreparedFold, kind: Model, strategy: Strategy, fitted: Fitted) -> Any:
    inner = (
        (held_out, Part(rows.train, rows.y, rows.score, fold.state(place)))
        for place, (held_out, rows) in enumerate(fold.inner, start=1)
    )
    y = fold.outer.y
    proba = out_of_fold.posteriors(kind, strategy, inner, len(y), fold.n_classes, fitted)
    return tuned_rule(fold.dataset, fold.settings, proba, y)
