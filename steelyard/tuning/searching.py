"""A search over class weights, offsets, scales and focusing: Optuna proposes, the worse half is stopped early."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steelyard.errors import MissingDependencyError
from steelyard.tuning.candidates import Candidate
from steelyard.tuning.fits import Trainer
from steelyard.tuning.objectives import Objective
from steelyard.tuning.tasks import Scored

__all__ = ["SIZE", "Space", "Trial", "TrialFile", "generation", "proposals"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Numbers = Mapping[str, float]

SIZE = 8
_MOST_CLASSES = 20  # beyond, a weight of its own for each is more than a search of some dozens of trials can find


@dataclass(frozen=True)
class Trial:
    """One proposal.

    Attributes
    ----------
    numbers : mapping of str to float
    value : float or None
        On all inner folds; None where it was stopped or failed.
    first : float or None
        On the first inner fold.
    generation : int
    """

    numbers: dict[str, float]
    value: float | None
    first: float | None
    generation: int

    def to_dict(self) -> dict[str, Any]:
        """Return the trial as JSON data."""
        return asdict(self)


@dataclass(frozen=True)
class Space:
    r"""What is searched: few numbers for any number of classes, and what each class has beyond them.

    .. math::
        \log w_k = -\tau_w \log \pi_k + \delta_k, \qquad \iota_k = \tau_\iota \log \pi_k, \qquad
        \Delta_k = (n_k / n_{max})^{\gamma_\Delta}, \qquad \gamma

    A linear model has a bias that absorbs ι, and weights that absorb Δ but for the penalty: there only w and γ are
    searched. With two classes δ is part of τ_w.

    Attributes
    ----------
    counts : tuple of int
    model : str

    References
    ----------
    τ_w: powers of class counts; τ_ι: Menon et al., arXiv:2007.07314; Δ: Ye et al., arXiv:2001.01385; together with w:
    Kini et al., arXiv:2103.01550; γ: Lin et al., arXiv:1708.02002.
    """

    counts: tuple[int, ...]
    model: str

    @property
    def bounds(self) -> dict[str, tuple[float, float]]:
        """The least and largest value of each number."""
        box = {"weight_power": (-0.5, 2.0), "gamma": (0.0, 3.0)}
        if self.model != "linear":
            box |= {"offset_power": (0.0, 2.0), "scale_power": (0.0, 0.5)}
        if 2 < len(self.counts) <= _MOST_CLASSES:
            box |= {f"weight_{k}": (-2.0, 2.0) for k in range(len(self.counts))}
        return box

    def candidate(self, numbers: Numbers) -> Candidate:
        """Return the candidate of a point of the space."""
        n = np.asarray(self.counts, np.float64)
        log_prior = np.log(n / n.sum())
        own = np.array([numbers.get(f"weight_{k}", 0.0) for k in range(len(n))])
        log = -numbers["weight_power"] * log_prior + own
        offset, scale = numbers.get("offset_power", 0.0), numbers.get("scale_power", 0.0)
        return Candidate(
            tuple((log - log.mean()).tolist()),
            tuple((offset * log_prior).tolist()) if offset else None,
            tuple(((n / n.max()) ** scale).tolist()) if scale else None,
            float(numbers["gamma"]),
        )

    def starts(self, known: Iterable[Sequence[float]] = ()) -> list[dict[str, float]]:
        """Return where a search begins: known recipes, and class weights that were found before.

        Parameters
        ----------
        known : sequences of log weights
        """
        zero = dict.fromkeys(self.bounds, 0.0)
        begun = [{**zero, "weight_power": power} for power in (0.5, 1.0)]
        begun.append({**zero, "gamma": 2.0})
        if self.model != "linear":
            begun.append({**zero, "offset_power": 1.0})
        begun += [self._nearest(np.asarray(log), zero) for log in known]
        return begun

    def _nearest(self, log: Floats, zero: Numbers) -> dict[str, float]:
        n = np.asarray(self.counts, np.float64)
        slope = -np.log(n / n.sum())
        slope = slope - slope.mean()
        power = float(slope @ log / (slope @ slope)) if slope.any() else 0.0
        point = {**zero, "weight_power": power}
        rest = log - log.mean() - power * slope
        point |= {f"weight_{k}": float(rest[k]) for k in range(len(n)) if f"weight_{k}" in zero}
        return {name: float(np.clip(point[name], *self.bounds[name])) for name in zero}


def proposals(
    space: Space, trials: Sequence[Trial], starts: Sequence[Numbers], seed: int, size: int = SIZE
) -> list[dict[str, float]]:
    """Return the points of the next generation.

    The study is built anew from the trials so far, and its sampler seeded for this generation: a search that was
    interrupted goes on with the very points that it would have had.

    Parameters
    ----------
    space : Space
    trials : sequence of Trial
        All so far; none before the first generation.
    starts : sequence of points
        Tried before anything else, in the first generation.
    seed : int
    size : int

    References
    ----------
    Akiba et al., "Optuna", KDD 2019, arXiv:1907.10902. Its tree-structured Parzen estimator, all numbers together: of
    its samplers the best on average in benchmarks/studies/tuned_weights.py --samplers, by little.
    """
    optuna = _optuna()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        sampler = optuna.samplers.TPESampler(seed=seed, multivariate=True, constant_liar=True)
        study = optuna.create_study(direction="maximize", sampler=sampler)
        study.add_trials(_frozen(space, trials))
        if not trials:
            for point in starts[:size]:
                study.enqueue_trial(dict(point))
        asked = []
        for _ in range(size):
            trial = study.ask()
            asked.append({name: trial.suggest_float(name, *box) for name, box in space.bounds.items()})
    return asked


def generation(
    trainer: Trainer, space: Space, points: Sequence[Numbers], objective: Objective, number: int
) -> tuple[list[Trial], list[tuple[float, Candidate, Scored]]]:
    """Train a generation: all of it on the first inner fold, the better half on the others.

    Returns
    -------
    trials : list of Trial
        In the order of `points`.
    complete : list of (value, Candidate, Scored)
        Those that were trained on every inner fold, with their held-out scores.

    References
    ----------
    Jamieson and Talwalkar, "Non-stochastic best arm identification and hyperparameter optimization", AISTATS 2016,
    arXiv:1502.07943: successive halving, with folds for the resource.
    """
    task = trainer.task
    candidates = [space.candidate(p) for p in points]
    place, part = task.inner[0]
    begun = trainer.scored(part, candidates)
    y = task.outer.y
    here = [np.arange(len(place))]
    first = [
        objective.selection(y[place], s, here)
        if isinstance(s, Scored) and _every_class(y[place], task.n_classes)
        else -np.inf
        for s in begun
    ]
    # a stable order: of equal ones the earlier proposal goes on
    order = np.argsort(-np.asarray(first), kind="stable")[: -(-len(points) // 2)]
    going = sorted(int(i) for i in order if isinstance(begun[i], Scored))
    rest = [trainer.scored(other, [candidates[i] for i in going]) for _, other in task.inner[1:]]
    values: dict[int, float] = {}
    complete = []
    for j, i in enumerate(going):
        scored = trainer.joined([begun[i], *(fold[j] for fold in rest)])
        if isinstance(scored, Scored):
            values[i] = objective.selection(y, scored, [p for p, _ in task.inner])
            complete.append((values[i], candidates[i], scored))
    trials = [Trial(dict(p), _finite(values.get(i)), _finite(first[i]), number) for i, p in enumerate(points)]
    return trials, complete


def _every_class(y: Ints, n_classes: int) -> bool:
    return bool((np.bincount(y, minlength=n_classes) > 0).all())


def _finite(value: float | None) -> float | None:
    return None if value is None or not np.isfinite(value) else float(value)


class TrialFile:
    """The trials in Optuna's own storage, a file that `optuna-dashboard` and others read.

    It is written anew by each sitting, from what the journal of the search holds: that is what survives a crash, where
    a storage of this kind may be left with half a line and a lock. It is not Optuna's SQLite storage because that
    commits every number of a trial by itself, which takes a good part of the time of training small models.

    Parameters
    ----------
    file : Path
        For ``optuna.storages.JournalStorage(JournalFileBackend(file))``; a study for each task.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        self._storage: Any = None

    def keep(self, name: str, space: Space, trials: Sequence[Trial]) -> None:
        """Write the trials of a task that are not written yet; `trials` are all so far."""
        optuna = _optuna()
        if self._storage is None:
            self.file.unlink(missing_ok=True)
            Path(f"{self.file}.lock").unlink(missing_ok=True)
            backend = optuna.storages.journal.JournalFileBackend(str(self.file))
            self._storage = optuna.storages.JournalStorage(backend)
        study = optuna.create_study(storage=self._storage, study_name=name, direction="maximize", load_if_exists=True)
        study.add_trials(_frozen(space, trials[len(study.get_trials(deepcopy=False)) :]))


def _frozen(space: Space, trials: Sequence[Trial]) -> list[Any]:
    optuna = _optuna()
    state = optuna.trial.TrialState
    boxes = {name: optuna.distributions.FloatDistribution(*box) for name, box in space.bounds.items()}
    out = []
    for t in trials:
        ended = state.COMPLETE if t.value is not None else state.PRUNED if t.first is not None else state.FAIL
        out.append(
            optuna.trial.create_trial(
                state=ended,
                value=t.value,
                params=dict(t.numbers),
                distributions=boxes,
                intermediate_values={} if t.first is None else {0: t.first},
                user_attrs={"generation": t.generation},
            )
        )
    return out


def _optuna() -> Any:
    try:
        import optuna
    except ModuleNotFoundError:
        raise MissingDependencyError("optuna", "a search for weights", extra="compare") from None
    # a line for each trial is not for our user; complaints are
    optuna.logging.set_verbosity(logging.WARNING)
    return optuna
