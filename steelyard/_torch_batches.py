"""Balanced batches for a PyTorch ``DataLoader``, on one rank or many."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import Any

import numpy as np
import torch
from torch.utils.data import Sampler

from steelyard.errors import InputError, integer
from steelyard.sampling import stratified_batches
from steelyard.weights import ClassCounts

__all__ = ["BalancedBatchSampler"]


class BalancedBatchSampler(Sampler[list[int]]):
    """Batches with equal shares of all classes: ``DataLoader(data, batch_sampler=…)``.

    Each batch holds every class equally often, to within one row; with more classes than rows in a batch the
    classes take turns. Rows of a class come in random order, and all of them before one comes again.

    Parameters
    ----------
    labels : array-like of shape (n,)
        The label of each row of the data set: anything that `ClassCounts.from_labels` takes.
    batch_size : int
        Rows of a batch on one rank.
    n_batches : int, optional
        Batches of an epoch on one rank; by default as many as the rows fill, ⌈n / (batch_size · num_replicas)⌉.
    num_replicas, rank : int, optional
        Number of ranks and which of them this is; by default those of ``torch.distributed`` where it is
        initialised, else 1 and 0.
    seed : int, default 0
        The same on all ranks.

    Raises
    ------
    InputError
        No rows, or numbers out of range.

    Notes
    -----
    All ranks have the same number of batches. They deal out one common draw: no row is drawn twice, on whichever
    rank, before every row of its class has been drawn.

    Epochs differ. Each pass moves on to the next one; `set_epoch`, as of ``DistributedSampler``, says which one comes
    next, for training that is resumed or ranks that may not have gone through the same number of passes.

    Models trained on such batches see equal class shares: no class weights against imbalance on top of them, and
    probabilities need `sy.decisions.prior_shift` from equal shares to the true ones.

    With Lightning on several devices pass ``Trainer(use_distributed_sampler=False)``: the sampler is distributed
    already, and Lightning cannot build it anew.

    Examples
    --------
    >>> import torch, steelyard as sy
    >>> y = torch.tensor([0] * 90 + [1] * 10)
    >>> sampler = sy.torch.BalancedBatchSampler(y, batch_size=8)
    >>> loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(y), batch_sampler=sampler)
    >>> len(loader), [int(batch.sum()) for (batch,) in loader][:3]
    (13, [4, 4, 4])
    """

    def __init__(
        self,
        labels: Any,
        batch_size: int,
        n_batches: int | None = None,
        num_replicas: int | None = None,
        rank: int | None = None,
        seed: int = 0,
    ) -> None:
        shape = tuple(labels.shape) if hasattr(labels, "shape") else np.shape(labels)
        if not shape or not shape[0] or prod(shape) != shape[0]:
            raise InputError("`labels` with one label for each row", f"shape {shape}", "say by which label to balance.")
        encoded = ClassCounts.from_labels(labels).encode(labels)
        self._labels = encoded.reshape(-1)
        together = torch.distributed.is_available() and torch.distributed.is_initialized()
        if num_replicas is None:
            num_replicas = torch.distributed.get_world_size() if together else 1
        if rank is None:
            rank = torch.distributed.get_rank() if together else 0
        self.batch_size = integer("batch_size", batch_size)
        self.num_replicas = integer("num_replicas", num_replicas)
        if not 0 <= rank < num_replicas:
            raise InputError(f"`rank` in [0, {num_replicas - 1}]", str(rank))
        filled = -(-self._labels.size // (batch_size * num_replicas))
        self.n_batches = filled if n_batches is None else integer("n_batches", n_batches)
        self.rank, self.seed, self.epoch = rank, seed, 0

    def set_epoch(self, epoch: int) -> None:
        """Say which epoch the next pass is."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.n_batches

    def __iter__(self) -> Iterator[list[int]]:
        generator = np.random.default_rng([self.seed, self.epoch])
        self.epoch += 1
        drawn = stratified_batches(self._labels, self.n_batches * self.num_replicas, self.batch_size, generator)
        yield from drawn[self.rank :: self.num_replicas].tolist()
