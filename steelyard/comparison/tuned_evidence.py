"""What the outer folds say of the stages of a search: the content of tuning.json."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

import steelyard
from steelyard.comparison.dataset import Dataset
from steelyard.comparison.folds import Split
from steelyard.comparison.selection import corrected_for_selection
from steelyard.comparison.settings import Settings
from steelyard.comparison.tuned_results import SCHEMA_VERSION
from steelyard.metrics import corrected_resampled_t
from steelyard.tuning.evidence import CONFIDENCE, Measured, Verdict, accepted_stage, judged
from steelyard.tuning.objectives import Objective
from steelyard.tuning.race import Budget, Outcome
from steelyard.tuning.seeds import seed
from steelyard.tuning.stages import EXPLAINED, Best
from steelyard.weights.printing import as_sklearn

__all__ = ["Evidence", "content"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_FEW_PER_FOLD = 10  # as in `running`


@dataclass(frozen=True)
class Evidence:
    """Stages on the test rows of the outer folds.

    Attributes
    ----------
    dataset : Dataset
    settings : Settings
    objective : Objective
    outcome : Outcome
    measured : tuple of Measured
    verdicts : tuple of Verdict
    scored : dict of str to (probabilities, labels)
        By stage: of every row, by a procedure that did not see it.
    """

    dataset: Dataset
    settings: Settings
    objective: Objective
    outcome: Outcome
    measured: tuple[Measured, ...]
    verdicts: tuple[Verdict, ...]
    scored: dict[str, tuple[Floats, Ints]]

    @classmethod
    def of(
        cls, dataset: Dataset, settings: Settings, objective: Objective, splits: Sequence[Split], outcome: Outcome
    ) -> Evidence:
        """Score every stage on the folds, and judge it.

        Parameters
        ----------
        dataset : Dataset
        settings : Settings
        objective : Objective
        splits : sequence of Split
            Of the outer folds; `outcome` has one task more, all rows.
        outcome : Outcome
        """
        y, n = dataset.target.y, dataset.rows
        measured, scored = [], {}
        for name, results in outcome.results.items():
            proba, labels = np.full((n, objective.n_classes), np.nan), np.full(n, -1, np.int64)
            values, kept = [], []
            for split, best in zip(splits, results[: len(splits)], strict=True):
                here = objective.labels(best.rule, best.test)
                proba[split.test], labels[split.test] = best.test.proba, here
                values.append(objective.value(y[split.test], best.test, here))
                if objective.floor is not None:
                    kept.append(objective.kept(y[split.test], here))
            scored[name] = proba, labels
            pooled = None if objective.floor is None else objective.kept(y, labels)
            measured.append(Measured(name, np.array(values), np.array(kept) if kept else None, pooled))
        level = None if objective.floor is None else objective.floor[2]
        verdicts = judged(measured, 1.0 / (settings.cv - 1), objective.metric.greater_is_better, level)
        return cls(dataset, settings, objective, outcome, tuple(measured), tuple(verdicts), scored)

    @property
    def stage(self) -> str:
        """The accepted stage."""
        return accepted_stage(self.verdicts)

    def estimate(self) -> dict[str, Any]:
        """Return what the accepted stage is worth on new rows.

        A plain metric is corrected for the stage's having been chosen among several, by the bootstrap over its
        out-of-fold scores; with a floor, the intervals are those of the means over folds.
        """
        objective, at = self.objective, [m.name for m in self.measured].index(self.stage)
        chosen, ratio = self.measured[at], 1.0 / (self.settings.cv - 1)
        mean = corrected_resampled_t(chosen.values, ratio)
        low, high = objective.metric.bounds
        if objective.floor is not None and chosen.kept is not None:
            kept = corrected_resampled_t(chosen.kept, ratio)
            quantity, _, level = objective.floor
            floor = {
                "quantity": quantity,
                "level": level,
                "value": kept.mean,
                "ci_low": max(0.0, kept.low),
                "ci_high": min(1.0, kept.high),
                "pooled": chosen.pooled,
                "folds_reached": int((chosen.kept >= level - 1e-12).sum()),
                "folds": self.settings.cv,
            }
            return {"value": mean.mean, "ci_low": max(low, mean.low), "ci_high": min(high, mean.high), "floor": floor}
        y, metric = self.dataset.target.y, objective.metric
        candidates = [[metric.prepare(y, *self.scored[m.name])] for m in self.measured]
        state = seed(self.settings.random_state, "bootstrap")
        found = corrected_for_selection(candidates, at, mean.mean, y, state, metric.greater_is_better)
        return {"value": found.estimate, "ci_low": max(low, found.low), "ci_high": min(high, found.high), "floor": None}


def content(evidence: Evidence, best: Best, decision: str, budget: Budget) -> dict[str, Any]:
    """Return the content of tuning.json.

    Parameters
    ----------
    evidence : Evidence
    best : Best
        What the accepted stage came to on all rows.
    decision : {"tuned", "default"}
    budget : Budget
    """
    dataset, settings, outcome = evidence.dataset, evidence.settings, evidence.outcome
    counts = dataset.target.counts
    candidate = best.candidate
    weights = candidate.class_weight(counts.priors)
    return {
        "schema_version": SCHEMA_VERSION,
        "steelyard_version": steelyard.__version__,
        "dataset": dataset.describe(),
        "settings": {
            **settings.to_dict(dataset.target),
            "decision": decision,
            "budget": budget.seconds,
            "rounds": budget.rounds,
            "generations": budget.generations,
        },
        "stages": [_stage(evidence, m, v) for m, v in zip(evidence.measured, evidence.verdicts, strict=True)],
        "confidence": CONFIDENCE,
        "accepted": evidence.stage,
        "estimate": evidence.estimate(),
        "weights": {
            "class_weight": weights.tolist(),
            "logit_offset": None if candidate.logit_offset is None else list(candidate.logit_offset),
            "logit_scale": None if candidate.logit_scale is None else list(candidate.logit_scale),
            "gamma": candidate.gamma,
            "paste": as_sklearn(counts, weights),
        },
        "rule": None if best.rule is None else best.rule.to_dict(),
        "spent": {
            "seconds": outcome.spent,
            "laps": dict(outcome.laps),
            "interrupted": outcome.interrupted,
        },
        "warnings": _warnings(evidence, budget),
    }


def _stage(evidence: Evidence, measured: Measured, verdict: Verdict) -> dict[str, Any]:
    mean = corrected_resampled_t(measured.values, 1.0 / (evidence.settings.cv - 1))
    low, high = evidence.objective.metric.bounds
    d, outcome = verdict.difference, evidence.outcome
    shared = measured.name in ("closed_form", "plug_in")  # these take the scores of "plain"
    return {
        "stage": measured.name,
        "explained": EXPLAINED[measured.name],
        "value": mean.mean,
        "ci_low": max(low, mean.low),
        "ci_high": min(high, mean.high),
        "folds": measured.values.tolist(),
        "kept": None if measured.kept is None else measured.kept.tolist(),
        "pooled": measured.pooled,
        "against": verdict.against,
        "difference": None if d is None else d.mean,
        "difference_low": None if d is None else d.low,
        "difference_high": None if d is None else d.high,
        "accepted": verdict.accepted,
        "reason": verdict.reason,
        "seconds": 0.0 if shared else outcome.seconds[measured.name],
        "fits": 0 if shared else outcome.fits[measured.name],
    }


def _warnings(evidence: Evidence, budget: Budget) -> list[str]:
    said = list(evidence.dataset.warnings)
    counts, cv = evidence.dataset.target.counts, evidence.settings.cv
    rarest = int(np.argmin(counts.counts))
    n = int(counts.counts[rarest])
    if n < _FEW_PER_FOLD * cv:
        said.append(
            f"class {counts.classes[rarest]} has {n} rows, about {n / cv:.0f} in each of {cv} test folds: "
            "a stage has to be much better to be seen to be"
        )
    trained = {"retrained", "searched"} & set(evidence.outcome.laps)
    spent = evidence.outcome.spent
    if budget.seconds is not None and not trained and not evidence.outcome.interrupted:
        over = f"took {spent:.0f} s, more than the budget" if spent > budget.seconds else f"took {spent:.0f} s"
        said.append(
            f"nothing was trained again: what is always done {over}, and a round of training would not have been done "
            f"within {budget.seconds:g} s"
        )
    if evidence.outcome.trouble is not None:
        said.append(f"the plain fit of all rows {evidence.outcome.trouble}")
    return said
