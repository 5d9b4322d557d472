"""Pieces of a comparison in processes of this machine."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import as_completed
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from steelyard.comparison.dataset import Dataset
from steelyard.comparison.pieces import Kept, Piece, Workers, finish
from steelyard.comparison.settings import Settings
from steelyard.errors import InputError, MissingDependencyError

__all__ = ["DEATHS", "Processes"]

DEATHS = 3  # of a worker, with nothing finished in between, before it is said: one may be bad luck
_WATCH = 1.0  # seconds between two looks at whether the parent still lives


class Processes(Workers):
    """A pool of processes that are started anew, not forked: JAX and threads do not survive a fork.

    The table is sent to each process once. A process that dies takes nothing along but the pieces in work, which are
    done again; one whose parent is gone ends by itself.

    Parameters
    ----------
    dataset : Dataset
    settings : Settings
    jobs : int
        Processes, at least 1.
    """

    together = True

    def __init__(self, dataset: Dataset, settings: Settings, jobs: int) -> None:
        self._shared = (dataset, settings, max(1, (os.cpu_count() or 1) // jobs))
        self._jobs = jobs
        self._pool: Any = None

    def __exit__(self, *_: object) -> None:
        """End the processes, whatever they are at."""
        self._stop()

    def done(self, pieces: Sequence[Piece]) -> Iterator[tuple[Piece, Kept]]:
        """Do pieces, as many at a time as there are processes.

        Raises
        ------
        InputError
            If processes keep dying.
        """
        left = {piece.key: piece for piece in pieces}
        deaths = 0
        while left:
            work = {self._started().submit(_do, piece): piece for piece in left.values()}
            try:
                for future in as_completed(work):
                    piece = work[future]
                    finished = future.result()
                    deaths = 0
                    del left[piece.key]
                    yield piece, finished
            except BrokenProcessPool as error:
                deaths += 1
                self._stop()
                if deaths == DEATHS:
                    raise InputError(
                        f"{self._jobs} processes that live until their work is done",
                        f"{DEATHS} deaths in a row ({str(error).splitlines()[0][:120]})",
                        "is there memory for so many? Try fewer --jobs; --resume goes on.",
                    ) from error

    def _started(self) -> Any:
        if self._pool is None:
            try:
                from loky import ProcessPoolExecutor
            except ModuleNotFoundError:
                raise MissingDependencyError("loky", "a comparison in several processes", extra="compare") from None
            self._pool = ProcessPoolExecutor(self._jobs, initializer=_begin, initargs=(*self._shared, os.getpid()))
        return self._pool

    def _stop(self) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=True, kill_workers=True)
            self._pool = None


_shared: tuple[Dataset, Settings, int] | None = None  # of this process, which does the pieces of one comparison


def _begin(dataset: Dataset, settings: Settings, threads: int, parent: int) -> None:
    global _shared
    _shared = (dataset, settings, threads)
    # Ctrl-C reaches every process of a terminal: the parent alone answers, and ends the others
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: int) -> None:
    """End this process when its parent is gone, for which nobody tells it after kill −9."""
    while os.getppid() == parent:
        time.sleep(_WATCH)
    os._exit(1)


def _do(piece: Piece) -> Kept:
    if _shared is None:
        raise RuntimeError("a process was given a piece before the table")
    dataset, settings, threads = _shared
    return finish(dataset, settings, piece, threads)
