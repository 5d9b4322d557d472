"""The stages of a search, the cheapest first, and what runs of each in one task."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steelyard import decisions, training
from steelyard.errors import InputError
from steelyard.training import Fitted, Model
from steelyard.tuning import retraining, searching
from steelyard.tuning.candidates import PLAIN, Candidate
from steelyard.tuning.fits import Trainer
from steelyard.tuning.objectives import Objective
from steelyard.tuning.tasks import Scored, Task

__all__ = ["EXPLAINED", "Best", "Procedure", "names"]

Facts = dict[str, Any]
Arrays = dict[str, NDArray[Any]]

EXPLAINED: Mapping[str, str] = {
    "plain": "plain cross-entropy, the most probable class",
    "closed_form": "the same scores, divided by a power of the class shares",
    "plug_in": "the same scores, with the decision rule that is best on held-out rows",
    "retrained": "class weights moved after the mistakes on held-out rows, trained again",
    "searched": "a search over class weights, offsets, scales and focusing",
}


def names(objective: Objective) -> tuple[str, ...]:
    """Return the stages that make sense for an objective, in the order of their cost.

    Examples
    --------
    >>> from steelyard.metrics import get
    >>> names(Objective(get("f1_macro", ["a", "b"]), 2, 1))
    ('plain', 'closed_form', 'plug_in', 'retrained', 'searched')
    >>> names(Objective(get("roc_auc", ["a", "b"]), 2, 1))
    ('plain', 'searched')
    """
    if not objective.of_labels:
        return "plain", "searched"
    if objective.decision == "default":
        return "plain", "retrained", "searched"
    if objective.floor is not None:
        return "plain", "plug_in", "retrained", "searched"
    return "plain", "closed_form", "plug_in", "retrained", "searched"


@dataclass(frozen=True)
class Best:
    """What a stage came to in a task.

    Attributes
    ----------
    candidate : Candidate
    rule : Threshold, PlugIn or None
        None: the arg max.
    value : float
        Inside the training fold; more is better.
    test : Scored
        Of the untouched rows.
    """

    candidate: Candidate
    rule: Any
    value: float
    test: Scored


class Procedure:
    """All stages inside one training fold.

    A piece of work is computed by `run` and taken in by `take`; a piece that a journal kept is only taken in, so that
    a search that goes on cannot differ from one that never stopped.

    Parameters
    ----------
    task : Task
    model : steelyard.training.Model
    objective : Objective
    seed : int
        Of the search in this task.

    Attributes
    ----------
    best : dict of str to Best
        By stage, so far.
    trouble : str or None
        Why the plain fit should be read with care.
    """

    def __init__(self, task: Task, model: Model, objective: Objective, seed: int) -> None:
        self.task, self.objective, self.seed = task, objective, seed
        self.trainer = Trainer(model, task)
        self.space = searching.Space(tuple(task.counts.tolist()), model.name)
        self.best: dict[str, Best] = {}
        self.trouble: str | None = None
        self.trials: list[searching.Trial] = []
        self._rounds: list[retraining.Round] = []
        self._stopped = False
        self._plain: Scored

    @property
    def _places(self) -> list[NDArray[np.intp]]:
        return [place for place, _ in self.task.inner]

    def run(self, lap: str, number: int) -> tuple[Facts, Arrays]:
        """Do one piece of work: the scores of the plain model, one round of training, or one generation.

        Parameters
        ----------
        lap : {"scores", "retrained", "searched"}
        number : int
            Which round or generation, from 1.

        Returns
        -------
        facts : dict
            JSON data.
        arrays : dict of ndarray
        """
        begun, fits, calls = time.perf_counter(), self.trainer.fits, self.trainer.calls
        work = {"scores": self._run_scores, "retrained": self._run_round, "searched": self._run_generation}[lap]
        facts, arrays = work(number)
        facts |= {
            "fits": self.trainer.fits - fits,
            "calls": self.trainer.calls - calls,
            "seconds": time.perf_counter() - begun,
        }
        return facts, arrays

    def take(self, lap: str, number: int, facts: Mapping[str, Any], arrays: Mapping[str, Any]) -> None:
        """Take in what a piece of work came to."""
        del number
        if lap == "scores":
            self._take_scores(facts, arrays)
        elif lap == "retrained":
            self._take_round(facts, arrays)
        else:
            self.trials += [searching.Trial(**t) for t in facts["trials"]]
            self._improve("searched", facts, arrays)

    # the plain model: every stage without training again ------------------------------------------------------------

    def _run_scores(self, _: int) -> tuple[Facts, Arrays]:
        trainer, task = self.trainer, self.task
        fitted = trainer.fitted(PLAIN)
        trainer.start = fitted if trainer.model.name == "linear" else None
        test = trainer.scores(task.outer, PLAIN, fitted)
        plain = trainer.held_out([PLAIN])[0]
        for scored in (test, plain):
            if isinstance(scored, Exception):
                raise InputError(
                    f"rows that '{trainer.model}' can be trained on", f"{type(scored).__name__}: {scored}"
                ) from scored
        assert isinstance(test, Scored)
        assert isinstance(plain, Scored)
        y, objective = task.outer.y, self.objective
        rules: dict[str, Any] = {}
        if "closed_form" in names(objective):
            rules["closed_form"] = objective.one_power(plain.proba, y, task.priors).to_dict()
        if "plug_in" in names(objective):
            rules["plug_in"] = objective.rule(plain.proba, y).to_dict()
        arrays = {**_arrays("plain", plain), **_arrays("test", test)}
        facts: Facts = {
            "rules": rules,
            "value": objective.selection(y, plain, self._places),
            "trouble": fitted.trouble,
            "start": None,
        }
        if trainer.start is not None:
            facts["start"], state = fitted.model.state()
            arrays |= {f"start.{name}": a for name, a in state.items()}
        return facts, arrays

    def _take_scores(self, facts: Mapping[str, Any], arrays: Mapping[str, Any]) -> None:
        self._plain, test = _scored("plain", arrays), _scored("test", arrays)
        self.trouble = facts["trouble"]
        if facts["start"] is not None:
            state = {name.removeprefix("start."): a for name, a in arrays.items() if name.startswith("start.")}
            self.trainer.start = Fitted(training.restore(self.trainer.model.name, dict(facts["start"]), state, ()))
        self.best["plain"] = Best(PLAIN, None, facts["value"], test)
        for stage, rule in facts["rules"].items():
            self.best[stage] = Best(PLAIN, decisions.from_dict(rule), facts["value"], test)
        cheapest = self.best["plug_in" if "plug_in" in self.best else "plain"]
        for stage in ("retrained", "searched"):
            if stage in names(self.objective):
                self.best[stage] = cheapest

    # training again -------------------------------------------------------------------------------------------------

    def _run_round(self, number: int) -> tuple[Facts, Arrays]:
        if self._stopped:
            return {"stopped": True}, {}
        y, objective = self.task.outer.y, self.objective
        if number == 1:
            candidate = retraining.seeded(self._plain, y, objective)
        else:
            candidate = retraining.next_round(self._rounds, objective)
        scored = self.trainer.held_out([candidate])[0]
        if isinstance(scored, Exception):
            return {"stopped": True}, {}
        done = retraining.Round.of(candidate, scored, y, self.task.n_classes)
        facts: Facts = {
            "stopped": False,
            "log_weight": list(done.log_weight),
            "confusion": [list(row) for row in done.confusion],
        }
        value = objective.selection(y, scored, self._places)
        return self._tested("retrained", facts, [(value, candidate, scored)])

    def _take_round(self, facts: Mapping[str, Any], arrays: Mapping[str, Any]) -> None:
        self._stopped = bool(facts["stopped"])
        if self._stopped:
            return
        confusion = tuple(tuple(row) for row in facts["confusion"])
        self._rounds.append(retraining.Round(tuple(facts["log_weight"]), confusion))
        self._improve("retrained", facts, arrays)
        # a search begins with what is known: it is then never worse inside its fold
        self.best["searched"] = self.best["retrained"]

    # the search -----------------------------------------------------------------------------------------------------

    def _run_generation(self, number: int) -> tuple[Facts, Arrays]:
        known = self.best["retrained"].candidate.log_weight if "retrained" in self.best else None
        starts = self.space.starts([] if known is None else [known])
        seed = int(np.random.SeedSequence([self.seed, number]).generate_state(1)[0])
        points = searching.proposals(self.space, self.trials, starts, seed)
        trials, complete = searching.generation(self.trainer, self.space, points, self.objective, number)
        return self._tested("searched", {"trials": [t.to_dict() for t in trials]}, complete)

    def _tested(
        self, stage: str, facts: Facts, complete: list[tuple[float, Candidate, Scored]]
    ) -> tuple[Facts, Arrays]:
        """Train the best of new candidates on the whole training fold, if it is better than what there was."""
        facts["better"] = None
        if not complete:
            return facts, {}
        value, candidate, scored = max(complete, key=lambda c: c[0])  # the first of equal ones
        if not value > self.best[stage].value:
            return facts, {}
        task = self.task
        test = self.trainer.scored(task.outer, [candidate])[0]
        if isinstance(test, Exception):
            return facts, {}
        rule = self.objective.rule(scored.proba, task.outer.y)
        facts["better"] = {
            "candidate": candidate.to_dict(),
            "value": value,
            "rule": None if rule is None else rule.to_dict(),
        }
        return facts, _arrays("test", test)

    def _improve(self, stage: str, facts: Mapping[str, Any], arrays: Mapping[str, Any]) -> None:
        better = facts["better"]
        if better is not None:
            rule = None if better["rule"] is None else decisions.from_dict(better["rule"])
            candidate = Candidate.from_dict(better["candidate"])
            self.best[stage] = Best(candidate, rule, better["value"], _scored("test", arrays))

    def final(self, best: Best) -> Fitted:
        """Train what a stage came to on all rows of the task."""
        return self.trainer.fitted(best.candidate)


def _arrays(name: str, scored: Scored) -> Arrays:
    return {f"{name}.proba": scored.proba, f"{name}.trained": scored.trained}


def _scored(name: str, arrays: Mapping[str, Any]) -> Scored:
    return Scored(np.asarray(arrays[f"{name}.proba"]), np.asarray(arrays[f"{name}.trained"]))
