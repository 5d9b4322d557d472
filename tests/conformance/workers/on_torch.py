"""One rank of DistributedDataParallel over gloo: ``python -m tests.conformance.workers.on_torch RANK STORE names…``."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch

import steelyard as sy
from tests.conformance.workers.parts import ONE_RANK, TWO_RANKS, WEIGHTS, Slices, W, X, loss_of, targets_of, tell
from tests.fronts.points import PAIRED


def step(name: str, parts: list[slice], net: Any) -> tuple[Any, Any]:
    """Value and gradient of all parts, as the guide has it."""
    x, y, s = torch.tensor(X), torch.tensor(targets_of(name)), torch.tensor(WEIGHTS)
    mean = sy.torch.ExactMean(sy.torch.Loss(loss_of(name), n_classes=3, pairs=name in PAIRED))
    net.zero_grad()
    for k, part in enumerate(parts):
        last = k == len(parts) - 1
        with nullcontext() if last or not hasattr(net, "no_sync") else net.no_sync():
            mean.add(net(x[part]), y[part], sample_weight=s[part]).backward()
    value = mean.finish(net.parameters())
    return value, next(iter(net.parameters())).grad.T


def plain_mean(name: str) -> tuple[Any, Any]:
    x, y, s = torch.tensor(X), torch.tensor(targets_of(name)), torch.tensor(WEIGHTS)
    net = network()
    value = sy.torch.Loss(loss_of(name))(net(x), y, sample_weight=s)
    value.backward()
    return value.detach(), net.weight.grad.T


def network() -> torch.nn.Linear:
    net = torch.nn.Linear(5, 3, bias=False, dtype=torch.float64)
    with torch.no_grad():
        net.weight.copy_(torch.tensor(W.T))
    return net


def main(rank: int, store: Path, names: list[str]) -> None:
    if rank == 0:
        for name in names:
            tell(name, "one call", *plain_mean(name))
            for case, dealt in ONE_RANK.items():
                tell(name, case, *step(name, dealt[0], network()))
    torch.distributed.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=2)
    cases: dict[str, Slices] = TWO_RANKS
    for name in names:
        for case, dealt in cases.items():
            ddp = torch.nn.parallel.DistributedDataParallel(network())
            value, gradient = step(name, dealt[rank], ddp)
            tell(name, f"{case} (rank {rank})", value, gradient)
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:])
