"""What a comparison was asked to do, checked before anything is trained."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from steelyard import metrics, strategies, training
from steelyard.comparison.target import Target, check_folds
from steelyard.comparison.ties import FREE, Ties
from steelyard.decisions.cost_files import as_costs
from steelyard.decisions.row_costs import RowCosts
from steelyard.decisions.stated_costs import Costs
from steelyard.errors import InputError, one_of
from steelyard.metrics import Metric
from steelyard.strategies import Strategy
from steelyard.training import Model

__all__ = ["BASELINE", "COST_METRIC", "DEFAULT_MODELS", "DEFAULT_STRATEGIES", "Settings", "settings"]

BASELINE = "none"
DEFAULT_MODELS = ("linear", "lightgbm", "mlp")
# every strategy but those that must equal another: post_hoc_logit_adjustment is prior_threshold at τ = 1, and
# balanced_softmax is logit_adjusted
DEFAULT_STRATEGIES = (
    "none",
    "prior_threshold",
    "balanced",
    "inverse_sqrt",
    "log_inverse",
    "effective_number",
    "scaled_logits",
    "focal",
    "class_balanced_focal",
    "logit_adjusted",
    "vector_scaling",
    "ldam",
    "ldam_drw",
    "oversample",
    "undersample",
    "smote",
    "balanced_batches",
)
_DECISION_METRIC = "balanced_accuracy"
COST_METRIC = "expected_cost"


@dataclass(frozen=True)
class Settings:
    """A checked request.

    Attributes
    ----------
    strategies : tuple of Strategy
        The baseline first.
    models : tuple of Model
    metric : str
        What strategies are ranked by.
    decision_metric : str
        The label metric that decisions are shown by: `metric` if it is one; what is to be raised, for a metric with a
        floor (precision_<class> for precision@recall>=x); else, with costs, expected_cost, and without, balanced
        accuracy.
    cv, repeats, random_state : int
    tuned : bool
        Whether decisions are tuned, beside the strategy's own.
    names : mapping of str to str
        What the user called the data and the target, for the report.
    costs : Costs or None
        What mistakes cost, in the order of the classes.
    ties : mapping of str to object
        What rows are tied by, as results.json says it: {groups, time, dedupe}.
    race : bool
        Whether strategies that lose are stopped early.
    row_costs : RowCosts or None
        The same with the columns of the table, where costs stand in columns.
    """

    strategies: tuple[Strategy, ...]
    models: tuple[Model, ...]
    metric: str
    decision_metric: str
    cv: int
    repeats: int
    random_state: int
    tuned: bool
    names: Mapping[str, str]
    costs: Costs | None = None
    ties: Mapping[str, Any] = field(default_factory=lambda: FREE.describe())
    race: bool = False
    row_costs: RowCosts | None = None

    def measure(self, name: str, target: Target) -> Metric:
        """Return the metric called `name`, knowing the classes, their shares and the costs."""
        if name == COST_METRIC and self.row_costs is not None:
            return self.row_costs.metric()
        matrix = None if self.costs is None or self.costs.columns else self.costs.matrix
        counts = target.counts
        return metrics.get(name, counts.classes, target.positive, counts.priors, matrix, self.rows_of_a_fold(target))

    def rows_of_a_fold(self, target: Target) -> int:
        """Return how many rows are tested at a time, on average; along time the first part is never tested."""
        parts = self.cv + (self.ties.get("time") is not None)
        return max(1, len(target.y) // parts)

    def aim(self, target: Target) -> Metric:
        """Return what tuned decisions are best for: `metric` where it has a floor to keep, else `decision_metric`."""
        metric = self.measure(self.metric, target)
        return metric if metric.floor is not None else self.measure(self.decision_metric, target)

    def to_dict(self, target: Target) -> dict[str, Any]:
        """Return the part `settings` of results.json."""
        positive = None if target.positive is None else target.counts.classes[target.positive]
        return {
            **self.names,
            "strategies": [s.name for s in self.strategies],
            "parameters": {s.name: dict(s.parameters) for s in self.strategies if s.parameters},
            "models": [m.name for m in self.models],
            "model_options": {m.name: _plain(m.options) for m in self.models if m.options},
            # of which the last digits of a result depend, so that --resume asks for the same
            "backends": {m.name: said for m in self.models if (said := training.backend(m)) is not None},
            "own_models": {m.name: m.source.describe() for m in self.models if m.source is not None},
            "metric": self.metric,
            "decision_metric": self.decision_metric,
            "decisions": "both" if self.tuned else "default",
            "positive": positive,
            "cv": self.cv,
            "repeats": self.repeats,
            "random_state": self.random_state,
            "costs": None if self.costs is None else [list(row) for row in self.costs.cells],
            **self.ties,
            "race": self.race,
        }


def settings(
    target: Target,
    strategies: Iterable[str | Strategy] | None = None,
    model: Any = DEFAULT_MODELS,
    metric: str | None = None,
    cv: int = 5,
    repeats: int = 3,
    random_state: int = 0,
    decisions: str = "both",
    names: Mapping[str, str] | None = None,
    costs: Any = None,
    ties: Ties = FREE,
    race: bool = False,
) -> Settings:
    """Check a request against the labels that it is about.

    Parameters
    ----------
    target : Target
    strategies : names or `Strategy` objects, optional
        Default `DEFAULT_STRATEGIES`; "all" takes every one. The baseline "none" is added where it is missing.
    model : name, (name, options), `Model`, a model of one's own, or a sequence of them
        See `steelyard.training.read`.
    metric : str, optional
        Default expected_cost where there are costs, else average_precision for two classes, balanced_accuracy for more.
    cv : int
        Folds, at least 2.
    repeats : int
        At least 1.
    random_state : int
        Not negative.
    decisions : {"both", "default"}
        Whether every strategy is also scored with a decision tuned inside the training fold.
    names : mapping, optional
        What to call the data and the target in the report.
    costs : array-like of shape (C, C), mapping by name, `Costs`, path of a file, or `RowCosts`, optional
        What mistakes cost; see `steelyard.decisions.cost_files.as_costs`. `RowCosts`: those of each row of the table
        (`Dataset.row_costs`).
    ties : Ties
        Of the rows. Along time there is one arrangement of folds, so that `repeats` is 1.
    race : bool
        Whether strategies that lose are stopped after a repeat; takes at least 2 repeats. Default False.

    Returns
    -------
    Settings

    Raises
    ------
    InputError
        If one of them cannot be met.
    """
    one_of("decisions", decisions, ("both", "default"))
    _whole("cv", cv, 2)
    _whole("repeats", repeats, 1)
    _whole("random_state", random_state, 0)
    check_folds(target.counts, cv)
    repeats = 1 if ties.time is not None else repeats
    if race and repeats < 2:
        hint = "folds along time are drawn once." if ties.time is not None else "use --repeats 3 (repeats=3)."
        raise InputError("at least 2 repeats for a race, which stops strategies between them", "1", hint)
    classes = target.counts.classes
    of_rows = costs if isinstance(costs, RowCosts) else None
    stated = of_rows.costs if of_rows else None if costs is None else _same_for_all(as_costs(costs, classes))
    if metric is None:
        plain = "average_precision" if len(classes) == 2 else "balanced_accuracy"
        metric = plain if stated is None else COST_METRIC
    if metric == COST_METRIC and stated is None:
        raise InputError(
            f"costs for the metric '{metric}'", "none", "give costs= (--costs FILE), or choose another metric."
        )
    asked = Settings(
        strategies=_chosen(strategies),
        models=tuple(training.read(model)),
        metric=metric,
        decision_metric=_DECISION_METRIC if stated is None else COST_METRIC,
        cv=cv,
        repeats=repeats,
        random_state=random_state,
        tuned=decisions == "both",
        names=dict(names or {}),
        costs=stated,
        ties=ties.describe(),
        race=race,
        row_costs=of_rows,
    )
    return replace(asked, decision_metric=_shown_by(asked, target))


def _shown_by(asked: Settings, target: Target) -> str:
    """Return the label metric that decisions are shown by."""
    metric = asked.measure(asked.metric, target)
    if metric.ideal is not None:
        raise InputError("a metric that more or less of is better, to rank by", f"'{metric.name}'", "neg_brier_score?")
    if metric.kind == "label":
        return metric.name
    if metric.floor is not None:
        quantity, k, _ = metric.floor
        return f"{'precision' if quantity == 'recall' else 'recall'}_{target.counts.classes[k]}"
    return asked.decision_metric


def _same_for_all(costs: Costs) -> Costs:
    if costs.columns:
        raise InputError(
            "costs that are the same for every row, to search weights by",
            f"the column {costs.columns[0]!r}",
            "costs per row go with sy.compare, or with the decision: sy.decisions.min_cost(proba, "
            "costs.for_rows(table)); here give a typical cost.",
        )
    return costs


def _plain(options: Mapping[str, Any]) -> dict[str, Any]:
    return {name: list(value) if isinstance(value, tuple) else value for name, value in options.items()}


def _whole(name: str, value: Any, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
        raise InputError(f"`{name}` as a whole number of at least {least}", repr(value))


def _chosen(wanted: Iterable[str | Strategy] | None) -> tuple[Strategy, ...]:
    if wanted is None:
        wanted = DEFAULT_STRATEGIES
    elif isinstance(wanted, str):
        wanted = strategies.names() if wanted == "all" else [wanted]
    chosen = [s if isinstance(s, Strategy) else strategies.get(s) for s in wanted]
    seen = [s.name for s in chosen]
    twice = sorted({name for name in seen if seen.count(name) > 1})
    if twice:
        raise InputError(
            "each strategy once",
            f"'{twice[0]}' {seen.count(twice[0])} times",
            "compare one parameter value at a time.",
        )
    baseline = [s for s in chosen if s.name == BASELINE] or [strategies.get(BASELINE)]
    return (*baseline, *(s for s in chosen if s.name != BASELINE))
