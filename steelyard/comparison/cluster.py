"""Pieces of a comparison as tasks on a Ray cluster that is there already."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from steelyard.comparison.dataset import Dataset
from steelyard.comparison.jobs import DEATHS
from steelyard.comparison.pieces import Kept, Piece, Workers, finish
from steelyard.comparison.settings import Settings
from steelyard.errors import InputError, MissingDependencyError

__all__ = ["Cluster"]

_START = "`ray start --head --disable-usage-stats` starts one on this machine; then --ray auto."


class Cluster(Workers):
    """The workers of a Ray cluster.

    The table is put into the cluster's object store once. What is finished comes back to this process, which alone
    writes it down; a piece whose worker or machine is lost is done again elsewhere. Nothing is sent anywhere but to
    `address`, and no statistics of use are collected.

    Parameters
    ----------
    dataset : Dataset
    settings : Settings
    address : str
        "auto", HOST:PORT or ray://HOST:PORT of a running cluster.

    Raises
    ------
    InputError
        If there is no cluster at `address`.
    """

    together = True

    def __init__(self, dataset: Dataset, settings: Settings, address: str) -> None:
        self._ray = ray = _ray()
        if address == "local":
            raise InputError("the address of a running Ray cluster", "'local'", _START)
        # the workers need the same packages as this process; modules of the user's own are sent along
        try:
            ray.init(address=address, log_to_driver=False, logging_level="error", namespace="steelyard")
        except (ConnectionError, ValueError, RuntimeError) as error:
            raise InputError(
                f"a running Ray cluster at '{address}'", str(error).partition("\n")[0][:160].rstrip(". "), _START
            ) from error
        for model in settings.models:
            module = None if model.source is None else _users_module(model.source.make)
            if module is not None:
                ray.cloudpickle.register_pickle_by_value(module)
        self._data = ray.put((dataset, settings))
        # a piece counts as one core, and is given one thread; Ray itself tries again where a worker or machine is lost
        self._task = ray.remote(num_cpus=1, max_retries=DEATHS)(_do)

    def __exit__(self, *_: object) -> None:
        """Leave the cluster: what is still in work there is stopped."""
        self._ray.shutdown()

    def done(self, pieces: Sequence[Piece]) -> Iterator[tuple[Piece, Kept]]:
        """Do pieces, as many at a time as the cluster has cores.

        Raises
        ------
        InputError
            If the workers of a piece keep dying.
        """
        ray = self._ray
        work = {self._task.remote(self._data, piece): piece for piece in pieces}
        while work:
            ready, _ = ray.wait(list(work), num_returns=1)
            piece = work.pop(ready[0])
            try:
                finished = ray.get(ready[0])
            except ray.exceptions.RayTaskError as error:
                raise error.cause if isinstance(error.cause, Exception) else error from None
            except ray.exceptions.RayError as error:
                raise InputError(
                    "workers of the cluster that live until their work is done",
                    f"{DEATHS + 1} deaths on one piece ({type(error).__name__})",
                    "is there memory for it? --resume goes on.",
                ) from error
            yield piece, finished


def _do(shared: tuple[Dataset, Settings], piece: Piece) -> Kept:
    return finish(*shared, piece, 1)


def _ray() -> Any:
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"  # read by Ray when it is imported
    try:
        import ray
    except ModuleNotFoundError:
        raise MissingDependencyError("ray", "a comparison on a cluster", extra="ray") from None
    return ray


def _users_module(make: Any) -> Any:
    """Return the module of a factory if it is a file of the user's, which other machines do not have."""
    module: Any = sys.modules.get(getattr(make, "__module__", None) or type(make).__module__)
    file = getattr(module, "__file__", None)
    if file is None or module.__name__ == "__main__" or module.__name__.partition(".")[0] == "steelyard":
        return None
    return None if {"site-packages", "dist-packages"} & set(Path(file).parts) else module
