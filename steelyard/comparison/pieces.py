"""The pieces that a comparison is cut into, one model on one fold each, and how their results are kept."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Protocol

from steelyard.comparison.dataset import Dataset
from steelyard.comparison.fold_scores import Failure, PreparedFold, Scores, score_fold
from steelyard.comparison.folds import Split
from steelyard.comparison.settings import Settings
from steelyard.strategies import Strategy
from steelyard.training import Model, cores

__all__ = ["InThreads", "Kept", "Outcomes", "Piece", "Workers", "finish", "kept", "recalled"]

Outcomes = list[Scores | Failure]
Kept = dict[str, tuple[dict[str, Any], dict[str, Any]]]  # strategy → (facts, arrays), as the journal has it


@dataclass(frozen=True)
class Piece:
    """One model on one fold, for some strategies."""

    model: Model
    split: Split
    strategies: tuple[Strategy, ...]

    @property
    def key(self) -> tuple[str, int, int]:
        """What it is called in the journal."""
        return self.model.name, self.split.repeat, self.split.fold


class Workers(AbstractContextManager["Workers"], Protocol):
    """Who does the pieces."""

    together: bool  # whether they are given the pieces of all repeats at once, to have none of them wait

    def done(self, pieces: Sequence[Piece]) -> Iterator[tuple[Piece, Kept]]:
        """Do pieces, and give each as it is finished, in any order."""
        ...


class InThreads(Workers):
    """The process itself: fold by fold, all models of a fold at the same time.

    One that is held up by Python leaves a core to the others, and one preparation of the fold serves all of them.
    """

    together = False

    def __init__(self, dataset: Dataset, settings: Settings) -> None:
        self._dataset, self._settings = dataset, settings

    def __exit__(self, *_: object) -> None:
        """Nothing is held."""

    def done(self, pieces: Sequence[Piece]) -> Iterator[tuple[Piece, Kept]]:
        """Do pieces, each fold for every model."""
        from threadpoolctl import threadpool_limits

        # one thread to a product: the products are small, and waiting for a busy core costs far more than it saves
        with threadpool_limits(1):
            for _, group in groupby(pieces, lambda p: (p.split.repeat, p.split.fold)):
                of_fold = list(group)
                # models that are trained at the same time take the cores already
                threads = cores.allowed() if len(of_fold) == 1 else 1
                fold = PreparedFold(self._dataset, self._settings, of_fold[0].split, threads)
                if len(of_fold) == 1:
                    yield of_fold[0], _scored(fold, of_fold[0])
                    continue
                with ThreadPoolExecutor(len(of_fold)) as pool:
                    work = {pool.submit(_scored, fold, piece): piece for piece in of_fold}
                    for future in as_completed(work):
                        yield work[future], future.result()


def finish(dataset: Dataset, settings: Settings, piece: Piece, threads: int) -> Kept:
    """Do a piece by itself, as a process beside others does."""
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1), cores.at_most(threads):
        return _scored(PreparedFold(dataset, settings, piece.split, threads), piece)


def _scored(fold: PreparedFold, piece: Piece) -> Kept:
    return kept(score_fold(fold, piece.model, piece.strategies))


def kept(finished: Iterable[Scores | Failure]) -> Kept:
    """Return outcomes as they are kept and sent."""
    out: Kept = {}
    for o in finished:
        if isinstance(o, Failure):
            out[o.strategy] = {"failed": o.reason}, {}
        else:
            arrays = {"proba": o.proba, "default": o.default}
            if o.tuned is not None:
                arrays["tuned"] = o.tuned
            out[o.strategy] = {"seconds": o.seconds, "trouble": o.trouble}, arrays
    return out


def recalled(piece: Piece, work: Mapping[str, tuple[Mapping[str, Any], Mapping[str, Any]]]) -> Outcomes:
    """Return the outcomes of a piece that were kept."""
    out: Outcomes = []
    for strategy in piece.strategies:
        facts, arrays = work[strategy.name]
        if "failed" in facts:
            out.append(Failure(piece.model.name, strategy.name, facts["failed"]))
        else:
            out.append(
                Scores(
                    piece.model.name,
                    strategy.name,
                    piece.split,
                    arrays["proba"],
                    arrays["default"],
                    arrays.get("tuned"),
                    facts["seconds"],
                    facts["trouble"],
                )
            )
    return out
