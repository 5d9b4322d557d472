"""The balanced batch sampler: shares, ranks, epochs, DataLoader."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset
from torch.utils.data.distributed import DistributedSampler

import steelyard as sy
from steelyard.errors import InputError

Y = np.random.default_rng(0).permutation(np.repeat([0, 1, 2], [300, 40, 12]))


def ranks(n: int, **settings: int) -> list[sy.torch.BalancedBatchSampler]:
    return [sy.torch.BalancedBatchSampler(Y, 6, num_replicas=n, rank=r, **settings) for r in range(n)]


@pytest.mark.parametrize("workers", [0, 2])
def test_through_a_data_loader(workers: int) -> None:
    loader = DataLoader(
        TensorDataset(torch.tensor(Y)),
        batch_sampler=sy.torch.BalancedBatchSampler(torch.tensor(Y), batch_size=6),
        num_workers=workers,
        multiprocessing_context="spawn" if workers else None,  # JAX, where a test has begun it, bears no fork
    )
    batches = [batch for (batch,) in loader]
    assert len(batches) == len(loader) == -(-len(Y) // 6)
    assert all(torch.bincount(b).tolist() == [2, 2, 2] for b in batches)


@pytest.mark.parametrize("n", [1, 2, 5])
def test_ranks_have_as_many_batches_and_share_no_draw(n: int) -> None:
    samplers = ranks(n)
    passes = [list(s) for s in samplers]
    assert {len(p) for p in passes} == {len(samplers[0])} == {-(-len(Y) // (6 * n))}
    drawn = np.array(list(itertools.chain.from_iterable(itertools.chain.from_iterable(passes))))
    for c in (0, 1, 2):
        often = np.bincount(drawn[Y[drawn] == c], minlength=len(Y))[Y == c]
        assert np.ptp(often) <= 1  # over all ranks together
    assert np.bincount(drawn).max() > 1  # 12 rows cannot fill a third of it: the rare ones come again
    common = drawn[Y[drawn] == 0]
    assert len(set(common)) == len(common)  # and the frequent ones do not, on whichever rank


def test_epochs_are_those_of_a_distributed_sampler() -> None:
    mine = sy.torch.BalancedBatchSampler(Y, 6, seed=3)
    theirs = DistributedSampler(TensorDataset(torch.tensor(Y)), num_replicas=1, rank=0, seed=3)
    for sampler in (mine, theirs):
        epochs = []
        for epoch in (0, 1, 0):
            sampler.set_epoch(epoch)
            epochs.append(list(sampler))
        assert epochs[0] == epochs[2] != epochs[1]
    first, second = list(mine), list(mine)  # and goes on by itself, where theirs repeats
    assert first != second
    mine.set_epoch(1)
    assert list(mine) == first
    assert list(sy.torch.BalancedBatchSampler(Y, 6, seed=4)) != list(sy.torch.BalancedBatchSampler(Y, 6, seed=3))


def test_labels_of_any_kind_and_a_length_of_ones_own() -> None:
    texts = np.array(["no", "yes"])[(Y == 2).astype(int)]
    sampler = sy.torch.BalancedBatchSampler(texts.tolist(), 4, n_batches=7)
    assert [int((texts[rows] == "yes").sum()) for rows in sampler] == [2] * 7


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"batch_size": 0}, "`batch_size` as a positive integer; got 0"),
        ({"batch_size": 2, "n_batches": 1.5}, "`n_batches` as a positive integer; got 1.5"),
        ({"batch_size": 2, "num_replicas": 2, "rank": 2}, r"`rank` in \[0, 1\]; got 2"),
    ],
)
def test_what_is_refused(settings: dict[str, int], message: str) -> None:
    with pytest.raises(InputError, match=message):
        sy.torch.BalancedBatchSampler(Y, **settings)
    with pytest.raises(InputError, match="one label for each row"):
        sy.torch.BalancedBatchSampler(np.eye(3, dtype=int)[Y], 4)
