"""All tasks side by side, lap by lap, within a budget.

The tasks are the outer folds and the table as a whole. A lap is one piece of work in each of them: the scores of the
plain model, one round of training again, one generation of the search. Only whole laps count, so that whenever the
search ends the model of all rows has had exactly what the folds had that say what it is worth.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from statistics import median
from typing import Any, Protocol

from steelyard.tuning.searching import SIZE, Space, Trial
from steelyard.tuning.stages import Best, Procedure, names

__all__ = ["Budget", "Memory", "Outcome", "Progress", "race"]

Progress = Callable[[str, int, int, float], None]  # what is done, pieces done, pieces of the lap, seconds spent
_MOST_GENERATIONS = 1000


class Memory(Protocol):
    """Where finished pieces are kept."""

    def get(self, task: int, lap: str, number: int) -> tuple[Mapping[str, Any], Mapping[str, Any]] | None:
        """Return a piece, or None."""
        ...

    def add(self, task: int, lap: str, number: int, facts: Mapping[str, Any], arrays: Mapping[str, Any]) -> None:
        """Keep a piece."""
        ...

    def keep_trials(self, name: str, space: Space, trials: Sequence[Trial]) -> None:
        """Keep the trials of a task where other programs can read them."""
        ...


@dataclass(frozen=True)
class Budget:
    """How long to go on.

    Attributes
    ----------
    seconds : float or None
        All sittings of a search together. The plain scores are always computed; a lap after that is only begun if at
        the measured speed it fits.
    rounds : int
        Of training again.
    generations : int or None
        Of the search; with a number given, time is not looked at.
    """

    seconds: float | None
    rounds: int
    generations: int | None = None


@dataclass
class Outcome:
    """What the race came to.

    Attributes
    ----------
    results : dict of str to list of Best
        By stage, of each task, after its last whole lap.
    seconds, fits : dict of str to number
        By stage; "plain" holds those of the scores, which the stages without training share.
    laps : dict of str to int
        Whole laps of "scores", "retrained", "searched".
    spent : float
        Seconds, earlier sittings included.
    interrupted : bool
    speed : float
        Seconds of a call that trains.
    trouble : str or None
        Why the plain fit of all rows, the last task, should be read with care.
    """

    results: dict[str, list[Best]] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    fits: dict[str, int] = field(default_factory=dict)
    laps: dict[str, int] = field(default_factory=dict)
    spent: float = 0.0
    interrupted: bool = False
    speed: float = 0.0
    trouble: str | None = None


class _Clock:
    """Seconds spent, those of earlier sittings included."""

    def __init__(self) -> None:
        self.before, self.begun = 0.0, time.monotonic()

    def now(self) -> float:
        return self.before + time.monotonic() - self.begun


def race(procedures: Sequence[Procedure], budget: Budget, memory: Memory, progress: Progress | None = None) -> Outcome:
    """Run all laps that the budget allows.

    Parameters
    ----------
    procedures : sequence of Procedure
        One per task.
    budget : Budget
    memory : Memory
        Pieces that it holds are not done again.
    progress : callable, optional
        Called before and after each piece.

    Returns
    -------
    Outcome
        After Ctrl-C that of the whole laps so far.

    Raises
    ------
    KeyboardInterrupt
        If there is no whole lap yet.
    """
    clock, outcome = _Clock(), Outcome()
    stages = names(procedures[0].objective)
    try:
        for lap, number in _laps(stages, budget):
            pieces = [memory.get(i, lap, number) for i in range(len(procedures))]
            known = [p for p in pieces if p is not None]
            clock.before += sum(float(facts["own_seconds"]) for facts, _ in known)
            missing = len(pieces) - len(known)
            if lap != "scores" and missing and not _fits(procedures, lap, missing, budget, clock, outcome):
                break
            done = _lap(procedures, lap, number, pieces, memory, clock, progress)
            _count(outcome, procedures, stages, lap, done)
    except KeyboardInterrupt:
        if "scores" not in outcome.laps:
            raise
        outcome.interrupted = True
    outcome.spent = clock.now()
    outcome.trouble = procedures[-1].trouble
    return outcome


def _laps(stages: Sequence[str], budget: Budget) -> Iterator[tuple[str, int]]:
    yield "scores", 1
    if "retrained" in stages:
        for number in range(1, budget.rounds + 1):
            yield "retrained", number
    most = _MOST_GENERATIONS if budget.generations is None else budget.generations
    for number in range(1, most + 1):
        yield "searched", number


def _workers(procedures: Sequence[Procedure]) -> int:
    # a network fills the cores by itself; the other models take one each
    return 1 if procedures[0].trainer.model.name == "mlp" else min(len(procedures), os.cpu_count() or 1)


def _lap(
    procedures: Sequence[Procedure],
    lap: str,
    number: int,
    pieces: list[Any],
    memory: Memory,
    clock: _Clock,
    progress: Progress | None,
) -> list[Mapping[str, Any]]:
    """Do one piece in each task, or take it from memory; return the facts of all."""
    missing = [i for i, piece in enumerate(pieces) if piece is None]
    total = len(procedures)
    done = total - len(missing)
    workers = _workers(procedures)

    def tell() -> None:
        if progress is not None:
            progress(lap if lap == "scores" else f"{lap} {number}", done, total, clock.now())

    tell()
    with ThreadPoolExecutor(workers) as pool:
        for first in range(0, len(missing), workers):
            some = missing[first : first + workers]
            begun = time.monotonic()
            work = [pool.submit(procedures[i].run, lap, number) for i in some]
            for i, future in zip(some, work, strict=True):
                facts, arrays = future.result()
                # what the piece added to the clock, beside pieces that ran at the same time
                facts["own_seconds"] = (time.monotonic() - begun) / len(some)
                memory.add(i, lap, number, facts, arrays)
                pieces[i] = facts, arrays
                done += 1
                tell()
    for procedure, (facts, arrays) in zip(procedures, pieces, strict=True):
        procedure.take(lap, number, facts, arrays)
        if lap == "searched":
            memory.keep_trials(procedure.task.name, procedure.space, procedure.trials)
    return [facts for facts, _ in pieces]


def _count(
    outcome: Outcome, procedures: Sequence[Procedure], stages: Sequence[str], lap: str, facts: list[Mapping[str, Any]]
) -> None:
    stage = "plain" if lap == "scores" else lap
    outcome.laps[lap] = outcome.laps.get(lap, 0) + 1
    outcome.seconds[stage] = outcome.seconds.get(stage, 0.0) + sum(f["own_seconds"] for f in facts)
    outcome.fits[stage] = outcome.fits.get(stage, 0) + sum(f["fits"] for f in facts)
    for name in stages if lap == "scores" else [lap]:
        if lap != "scores" or name not in ("retrained", "searched"):
            outcome.results[name] = [p.best[name] for p in procedures]
    if lap == "scores":
        # compiling a network is part of the first pieces and of no later one: the median leaves it out
        outcome.speed = median(f["own_seconds"] / max(1, f["calls"]) for f in facts)
    elif max(f["calls"] for f in facts):
        outcome.speed = median(f["own_seconds"] / f["calls"] for f in facts if f["calls"])


def _fits(
    procedures: Sequence[Procedure], lap: str, pieces: int, budget: Budget, clock: _Clock, outcome: Outcome
) -> bool:
    """Say whether a lap, and the fit of all rows after it, is done in time at the speed so far."""
    if budget.generations is not None or budget.seconds is None:
        return True
    inner = len(procedures[0].task.inner)
    stack = procedures[0].trainer.stack
    calls = inner + 1
    if lap == "searched":
        calls = -(-SIZE // stack) + (inner - 1) * -(-SIZE // 2 // stack) + 1
    return clock.now() + outcome.speed * (calls * pieces + 1) <= budget.seconds
