"""The search for weights on a table: folds, the budget, what was accepted, the model of all rows."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

import steelyard
from steelyard.comparison.dataset import Dataset, from_memory
from steelyard.comparison.fold_scores import PreparedFold
from steelyard.comparison.folds import Split, outer_splits
from steelyard.comparison.journal import FILE, Journal
from steelyard.comparison.run_folder import claimed
from steelyard.comparison.settings import Settings, settings
from steelyard.comparison.tuned_evidence import Evidence, content
from steelyard.comparison.tuned_results import TuneResult
from steelyard.errors import InputError, one_of
from steelyard.tuning import retraining
from steelyard.tuning.objectives import Objective
from steelyard.tuning.race import Budget, Progress, race
from steelyard.tuning.searching import Space, Trial, TrialFile
from steelyard.tuning.seeds import seed
from steelyard.tuning.stages import Best, Procedure

if TYPE_CHECKING:
    from steelyard.comparison.classifier import Classifier

__all__ = ["TRIALS", "allowed_budget", "request", "run", "tune"]

Ints = NDArray[np.int64]

TRIALS = "trials.log"
_FOLDS = 5
_REPEAT = 1_000_000  # as in `final`: the place that the randomness of the fit of all rows is derived from


def tune(
    X: Any,
    y: Any,
    metric: str = "f1_macro",
    model: Any = "mlp",
    budget: float | None = 60.0,
    random_state: int = 0,
    costs: Any = None,
    positive: Any = None,
    decision: str = "tuned",
    generations: int | None = None,
    rounds: int = retraining.ROUNDS,
    cv: int = _FOLDS,
    out: str | Path | None = None,
    resume: bool = False,
) -> TuneResult:
    """Find class weights, and say whether they are worth more than moving the decision.

    Stages from the cheapest to the dearest: the arg max of a plain model; its scores divided by a power of the class
    shares; its scores with the decision rule that is best on held-out rows; class weights moved after the mistakes on
    held-out rows, with a refit a round; a search over weights, offsets, scales and focusing. In each outer fold every
    stage is run as a whole inside the training rows and scored on rows that it has not seen; a dearer stage replaces a
    cheaper one only where these folds say so. All candidates decide by a rule that is fitted on their own held-out
    scores, so that weighting is not credited for moving a threshold.

    Parameters
    ----------
    X : pandas, polars or Arrow table, mapping of columns, or array-like of shape (n, d)
    y : list, ndarray, pandas, polars or Arrow column of n labels
    metric : str
        What is to be best; see `steelyard compare`. Default f1_macro. With "precision@recall>=0.95" precision is
        raised while the recall of the positive class is kept, with confidence .9, on new rows.
    model : name, (name, options) or `Model`
        "mlp", the default, "linear", "lightgbm", "xgboost" or "catboost".
    budget : float or None
        Seconds, those of earlier sittings included. What needs no second training is always done; beyond that
        nothing is begun that would not be done in time. None: no limit, with `generations`. Default 60.
    random_state : int
        Everything random is derived from it. Default 0.
    costs : array-like of shape (C, C), mapping by name, `Costs`, or path of a file, optional
        What mistakes cost, for the metric "expected_cost".
    positive : label, optional
        The positive class of two; default the rarer one.
    decision : {"tuned", "default"}
        "default": all candidates decide by the arg max of the logits, as a program does that has weights and no rule.
    generations : int, optional
        Run this many generations of the search, whatever the time: the same seed then gives the same result.
    rounds : int
        Rounds of training again. Default 4.
    cv : int
        Outer folds; fewer where the rarest class has fewer rows. Default 5.
    out : path, optional
        A new or empty folder for tuning.json, the model, the journal of finished work and the trials.
    resume : bool
        Go on with the journal in `out`, if there is one; with a larger budget. Default False.

    Returns
    -------
    TuneResult
        `.stage`, `.table()`, `.estimate`, `.class_weight`, `.model`, `.to_dict()`, `.save(folder)`.

    Raises
    ------
    InputError
        If the table, the labels or a setting cannot be used.

    Examples
    --------
    >>> import numpy as np, steelyard as sy
    >>> rng = np.random.default_rng(0)
    >>> y = (rng.random(400) < 0.1).astype(int)
    >>> X = rng.normal(size=(400, 3)) + 1.5 * y[:, None]
    >>> result = sy.tune(X, y, "balanced_accuracy", "linear", generations=1, rounds=2)
    >>> result.stage, result.table()["stage"].tolist()
    ('plain', ['plain', 'closed_form', 'plug_in', 'retrained', 'searched'])
    """
    with nullcontext() if out is None else claimed(out, resume=resume):
        dataset = from_memory(X, y, positive)
        allowed = allowed_budget(budget, rounds, generations)
        asked = request(dataset, metric, model, random_state, costs, cv)
        result = run(dataset, asked, allowed, decision, out)
        if out is not None:
            result.save(out)
    return result


def request(
    dataset: Dataset,
    metric: str,
    model: Any,
    random_state: int = 0,
    costs: Any = None,
    cv: int = _FOLDS,
    names: Mapping[str, str] | None = None,
) -> Settings:
    """Check what is asked of a search against the labels; see `tune`.

    Raises
    ------
    InputError
        If it cannot be met.
    """
    folds = _folds(dataset, cv)
    return settings(dataset.target, ["none"], model, metric, folds, 1, random_state, "both", names, costs)


def allowed_budget(seconds: float | None, rounds: int = retraining.ROUNDS, generations: int | None = None) -> Budget:
    """Check a budget; see `tune`.

    Raises
    ------
    InputError
        If it has no end, or a number is out of range.
    """
    if seconds is None and generations is None:
        raise InputError("a `budget` in seconds, or a number of `generations`", "neither", "a search has no end.")
    if seconds is not None and not (math.isfinite(seconds) and seconds > 0):
        raise InputError("`budget` > 0 seconds", repr(seconds))
    for name, value, least in (("rounds", rounds, 1), ("generations", generations, 0)):
        if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < least):
            raise InputError(f"`{name}` as a whole number of at least {least}", repr(value))
    return Budget(seconds if generations is None else None, rounds, generations)


def _folds(dataset: Dataset, cv: int) -> int:
    """Return the number of outer folds that the rarest class allows: 3 rows are one to test, two to hold one out of."""
    counts = dataset.target.counts
    rarest = int(np.argmin(counts.counts))
    n = int(counts.counts[rarest])
    if n < 3:
        raise InputError(
            "at least 3 rows of every class: one to test on, and two of which one can be held out",
            f"{n} of class {counts.classes[rarest]}",
            "merge it with another class, or drop its rows.",
        )
    if isinstance(cv, bool) or not isinstance(cv, int) or cv < 2:
        raise InputError("`cv` as a whole number of at least 2", repr(cv))
    # two folds of 3 rows would leave one to train on, and none to hold out
    return max(min(cv, n), 3 if n == 3 else 2)


class _Kept:
    """Finished pieces in a journal, trials beside it; in memory without a folder."""

    def __init__(self, journal: Journal | None, folder: Path | None, model: str) -> None:
        self.journal, self.model = journal, model
        self.trials = None if folder is None else TrialFile(folder / TRIALS)

    def get(self, task: int, lap: str, number: int) -> tuple[Mapping[str, Any], Mapping[str, Any]] | None:
        return None if self.journal is None else self.journal.get(self.model, number, task).get(lap)

    def add(self, task: int, lap: str, number: int, facts: Mapping[str, Any], arrays: Mapping[str, Any]) -> None:
        if self.journal is not None:
            self.journal.add(self.model, number, task, {lap: (facts, arrays)})

    def keep_trials(self, name: str, space: Space, trials: Sequence[Trial]) -> None:
        if self.trials is not None:
            self.trials.keep(name, space, trials)


def run(
    dataset: Dataset,
    settings: Settings,
    budget: Budget,
    decision: str = "tuned",
    folder: str | Path | None = None,
    progress: Progress | None = None,
    last: Callable[[], None] | None = None,
) -> TuneResult:
    """Search inside every outer fold and on all rows, and say which stage the folds accept.

    Parameters
    ----------
    dataset : Dataset
    settings : Settings
        Of one model; its strategies are not looked at.
    budget : Budget
    decision : {"tuned", "default"}
    folder : path, optional
        Where the journal and the trials are kept.
    progress : callable, optional
        See `steelyard.tuning.race.Progress`.
    last : callable, optional
        Called before the accepted stage is trained on all rows.

    Returns
    -------
    TuneResult
    """
    from threadpoolctl import threadpool_limits

    one_of("decision", decision, ("tuned", "default"))
    target = dataset.target
    metric = settings.measure(settings.metric, target)
    if len(settings.models) != 1:
        raise InputError("one `model` to tune", ", ".join(m.name for m in settings.models))
    model = settings.models[0]
    objective = Objective(
        metric, target.counts.n_classes, target.positive, "default" if decision == "default" else "tuned"
    )
    settings = replace(settings, tuned=True)
    splits = outer_splits(target.y, settings.cv, 1, settings.random_state)
    every = np.arange(dataset.rows)
    about = {
        "data": dataset.fingerprint(),
        "settings": settings.to_dict(target),
        "search": {"decision": decision, "rounds": budget.rounds},
        "version": steelyard.__version__,
    }
    with ExitStack() as stack:
        journal = None if folder is None else stack.enter_context(Journal(Path(folder) / FILE, about))
        stack.enter_context(threadpool_limits(1))
        places = [*splits, Split(_REPEAT, 0, every, every[:1])]
        procedures = [
            Procedure(
                PreparedFold(dataset, settings, split).task(_name(split), test=split.repeat != _REPEAT),
                model,
                objective,
                seed(settings.random_state, "sampling", split.repeat, split.fold, _SEARCH),
            )
            for split in places
        ]
        memory = _Kept(journal, None if folder is None else Path(folder), model.name)
        outcome = race(procedures, budget, memory, progress)
        evidence = Evidence.of(dataset, settings, objective, splits, outcome)
        best = outcome.results[evidence.stage][-1]
        if last is not None:
            last()
        classifier = _classifier(dataset, settings, procedures[-1], best)
    return TuneResult(content(evidence, best, decision, budget), classifier)


_SEARCH = 99  # a place that no inner fold has


def _name(split: Split) -> str:
    return "all rows" if split.repeat == _REPEAT else f"fold {split.fold + 1}"


def _classifier(dataset: Dataset, settings: Settings, procedure: Procedure, best: Best) -> Classifier:
    from steelyard.comparison.classifier import trained  # loads scikit-learn
    from steelyard.comparison.final import Final
    from steelyard.comparison.preprocessing import learn

    target = dataset.target
    fitted = procedure.final(best)
    columns = learn(dataset.features, np.arange(dataset.rows))
    point = best.candidate.point(target.counts.priors)
    final = Final(
        columns=columns,
        model=fitted.model,
        kind=settings.models[0],
        point=point,
        parameters={},
        rule=best.rule,
        counts=target.counts,
        positive=target.positive,
        floats=target.floats,
        trouble=fitted.trouble,
        costs=settings.costs,
    )
    if not np.isfinite(final.predictions(procedure.task.outer.X)[1]).all():
        raise InputError("a model with finite probabilities", "NaN or infinite ones", "its training diverged.")
    return trained(final, "default" if best.rule is None else "tuned", settings.metric, settings.random_state)
