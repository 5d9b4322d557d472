"""Class weights found by training, looking at who is mistaken for whom on held-out rows, and training again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steelyard.decisions import Threshold, best_rule
from steelyard.errors import InputError
from steelyard.metrics.confusion import confusion_matrix, recalls
from steelyard.strategies import Strategy
from steelyard.training import Model
from steelyard.tuning.candidates import PLAIN, Candidate
from steelyard.tuning.fits import Trainer
from steelyard.tuning.needs import dual_step, hedge_step, needs
from steelyard.tuning.objectives import Objective
from steelyard.tuning.tasks import Scored, Task

__all__ = ["ROUNDS", "Round", "next_round", "seeded", "settled"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

ROUNDS = 4
_RATE = 2.0  # of Hedge: a class with all its rows missed gains a factor of e² on one with none
_DUAL_RATE = 8.0  # a recall .05 below its floor: a factor of 1.5
_LARGEST = 12.0  # of |log weight|: beyond, the other classes are gone


@dataclass(frozen=True)
class Round:
    """The weights of one round, and the recalls and needs at the operating point of training that they led to.

    Attributes
    ----------
    log_weight : tuple of float
    confusion : tuple of tuples of float
        Of held-out rows, labelled by the arg max of the logits.
    """

    log_weight: tuple[float, ...]
    confusion: tuple[tuple[float, ...], ...]

    @classmethod
    def of(cls, candidate: Candidate, scored: Scored, y: Ints, n_classes: int) -> Round:
        """Take down what a round came to."""
        assert candidate.log_weight is not None
        confusion = confusion_matrix(y, scored.trained, n_classes)
        return cls(candidate.log_weight, tuple(map(tuple, confusion.tolist())))


def seeded(plain: Scored, y: Ints, objective: Objective) -> Candidate:
    """Return the first weights: those that make the decision which is best for the plain model the arg max of training.

    Parameters
    ----------
    plain : Scored
        Held-out scores of plain cross-entropy.
    y : int64 ndarray of shape (n,)
    objective : Objective
    """
    rule: Any = best_rule(plain.proba, y, objective.metric, objective.positive)
    log = np.zeros(objective.n_classes)
    if isinstance(rule, Threshold):
        t = min(max(rule.threshold, 1e-6), 1.0 - 1e-6)
        log[rule.positive] = np.log((1.0 - t) / t)
    else:
        log = np.log(np.maximum(rule.weights, 1e-6))
    return Candidate.weighted(_bounded(log - log.mean()))


def next_round(rounds: Sequence[Round], objective: Objective) -> Candidate:
    """Return the weights that the last round's mistakes ask for.

    Parameters
    ----------
    rounds : sequence of Round
        At least one.
    objective : Objective
        With a floor of a recall, its weight is moved by dual ascent; otherwise all weights by Hedge.
    """
    last = rounds[-1]
    log, confusion = np.asarray(last.log_weight), np.asarray(last.confusion)
    floor = objective.floor
    if floor is not None and floor[0] == "recall":
        _, k, level = floor
        return Candidate.weighted(_bounded(dual_step(log, k, level, float(recalls(confusion)[k]), _DUAL_RATE)))
    return Candidate.weighted(_bounded(hedge_step(log, needs(confusion, objective.metric), _RATE)))


def _bounded(log: Floats) -> Floats:
    return np.clip(log, -_LARGEST, _LARGEST)


def settled(strategy: Strategy, model: Model, task: Task, objective: Objective) -> Strategy:
    """Return a strategy that needs held-out scores as one that does not: its weights are found and stay what they are.

    Parameters
    ----------
    strategy : Strategy
        With `needs_inner`; its parameter `rounds` says how many rounds.
    model : Model
    task : Task
        The training fold; test rows are not looked at.
    objective : Objective
        With ``decision="default"``: the weights are those with which the arg max of the logits does best. Weights of 1
        are among them.

    Returns
    -------
    Strategy
        Resolves to the weights found, whatever the counts: on the inner folds that fit its decision too.

    Raises
    ------
    InputError
        If there are no inner folds, or the plain model cannot be trained.
    """
    if not task.inner:
        raise InputError(
            f"two rows of every class in a training fold, for '{strategy.name}' to hold some out", "a class with one"
        )
    trainer = Trainer(model, task)
    if model.name == "linear":
        trainer.start = trainer.fitted(PLAIN)
    # along time the earliest rows are held out of nothing: only what was held out counts
    known = np.sort(np.concatenate([place for place, _ in task.inner]))
    places = [np.searchsorted(known, place) for place, _ in task.inner]
    y = task.outer.y[known]

    def held_out(candidate: Candidate) -> Scored | Exception:
        found = trainer.held_out([candidate])[0]
        return found if isinstance(found, Exception) else Scored(found.proba[known], found.trained[known])

    plain = held_out(PLAIN)
    if isinstance(plain, Exception):
        raise plain
    best, value = PLAIN, objective.selection(y, plain, places)
    rounds: list[Round] = []
    candidate = seeded(plain, y, objective)
    for _ in range(int(strategy.parameters["rounds"])):
        scored = held_out(candidate)
        if isinstance(scored, Exception):
            break
        found = objective.selection(y, scored, places)
        if found > value:
            best, value = candidate, found
        rounds.append(Round.of(candidate, scored, y, task.n_classes))
        candidate = next_round(rounds, objective)
    return replace(strategy, build=lambda counts, **_: best.point(counts.priors), needs_inner=False)
