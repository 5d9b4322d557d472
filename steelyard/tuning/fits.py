"""Training of candidates on the rows of a task."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np

from steelyard import training
from steelyard.errors import InputError
from steelyard.training import Fitted, Model
from steelyard.tuning.candidates import Candidate
from steelyard.tuning.tasks import Part, Scored, Task

__all__ = ["Trainer"]


class Trainer:
    """One model, trained on any candidate of a task.

    Parameters
    ----------
    model : steelyard.training.Model
    task : Task
    start : Fitted, optional
        Where a linear model starts; it saves steps and changes nothing.

    Attributes
    ----------
    fits : int
        Models trained so far.
    calls : int
        Calls that trained them, which is what time is proportional to: networks are trained one per core.
    """

    def __init__(self, model: Model, task: Task, start: Fitted | None = None) -> None:
        self.model, self.task, self.start = model, task, start
        self.fits = self.calls = 0

    @property
    def stack(self) -> int:
        """Candidates that are trained by one call.

        Networks go one to a core: that is one compiled program for any number of candidates, since the program of a
        call is compiled for the number of runs per core. Compiling takes as long as training dozens of them.
        """
        return (os.cpu_count() or 1) if self.model.name == "mlp" else 1

    def fit(self, part: Part, candidates: Sequence[Candidate]) -> list[Fitted | Exception]:
        """Train every candidate on a part's rows; one that cannot be trained leaves the others alone."""
        counts = np.bincount(part.y, minlength=self.task.n_classes)
        points = [c.point(counts / counts.sum(), complete=self.model.name == "mlp") for c in candidates]
        out: list[Fitted | Exception] = []
        for first in range(0, len(points), self.stack):
            some = points[first : first + self.stack]
            starts = [self.start] * len(some)
            out += training.fit_all(self.model, part.X, part.y, some, self.task.n_classes, part.state, starts)
            self.fits += len(some)
            self.calls += 1
        return out

    def scored(self, part: Part, candidates: Sequence[Candidate]) -> list[Scored | Exception]:
        """Train every candidate on a part and score the part's other rows."""
        fitted = self.fit(part, candidates)
        return [self.scores(part, c, f) for c, f in zip(candidates, fitted, strict=True)]

    def scores(self, part: Part, candidate: Candidate, fitted: Fitted | Exception) -> Scored | Exception:
        """Score the rows of a part that its fit has not seen."""
        if isinstance(fitted, Exception):
            return fitted
        counts = np.bincount(part.y, minlength=self.task.n_classes)
        logits = fitted.model.logits(part.score)
        if not np.isfinite(logits).all():
            return FloatingPointError("its logits are not finite")
        proba = candidate.point(counts / counts.sum()).posterior(logits)
        if not np.isfinite(proba).all():
            return FloatingPointError("its probabilities are not finite")
        return Scored(proba, np.asarray(logits.argmax(1), np.int64))

    def held_out(self, candidates: Sequence[Candidate]) -> list[Scored | Exception]:
        """Score every row of the training fold by models of the inner folds that did not see it."""
        folds = [self.scored(part, candidates) for _, part in self.task.inner]
        return [self.joined([fold[i] for fold in folds]) for i in range(len(candidates))]

    def joined(self, parts: Sequence[Scored | Exception]) -> Scored | Exception:
        """Put together what the inner folds say, unless one of them failed."""
        scored = [p for p in parts if isinstance(p, Scored)]
        if len(scored) < len(parts):
            return next(p for p in parts if isinstance(p, Exception))
        places = [place for place, _ in self.task.inner]
        return Scored.joined(list(zip(places, scored, strict=True)), len(self.task.outer.y))

    def fitted(self, candidate: Candidate) -> Fitted:
        """Train one candidate on the whole training fold.

        Raises
        ------
        InputError
            If it cannot be trained.
        """
        fitted = self.fit(self.task.outer, [candidate])[0]
        if isinstance(fitted, Exception):
            raise InputError(
                f"rows that '{self.model}' can be trained on", f"{type(fitted).__name__}: {fitted}"
            ) from fitted
        return fitted
