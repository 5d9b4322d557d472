"""The mean over micro-batches and ranks, for PyTorch."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from steelyard.errors import InputError

__all__ = ["ExactMean"]


class ExactMean:
    r"""One mean over everything that a step of the optimiser sees: all micro-batches, all ranks.

    .. math::  \sum_{r, i} s\,\omega\,\ell \Big/ \sum_{r, i} s\,\omega

    A mean of means is another number as soon as ranks or micro-batches differ in their sum of weights, which is the
    rule with rare classes, masks and sequences of unequal length. Here each part gives its sum, and the gradients
    are divided once, by the sum of all weights.

    Parameters
    ----------
    criterion : Loss
        A `steelyard.torch.Loss`, or a loss of `steelyard.losses`; its `reduction` is not used.
    process_group : optional
        The ranks over which ``DistributedDataParallel`` (or FSDP) averages gradients; by default all of them, where
        ``torch.distributed`` is initialised.

    Notes
    -----
    Use ``ddp.no_sync()`` for all micro-batches but the last, as without Steelyard. `finish` comes after the last
    ``backward`` and before clipping and ``optimizer.step()``. Every rank calls it, also one that had no rows. With a
    ``GradScaler`` nothing changes: sums and means scale alike.

    Sums of weights are added up in float64, where the device has it.

    Examples
    --------
    Four rows and one row weigh as five rows:

    >>> import torch, steelyard as sy
    >>> net = torch.nn.Linear(2, 3)
    >>> x, y = torch.randn(5, 2), torch.tensor([0, 0, 1, 0, 2])
    >>> criterion = sy.torch.Loss(sy.losses.weighted_cross_entropy([1.0, 2.0, 8.0]))
    >>> mean = sy.torch.ExactMean(criterion)
    >>> for part in (slice(0, 4), slice(4, 5)):
    ...     mean.add(net(x[part]), y[part]).backward()
    >>> value = mean.finish(net.parameters())
    >>> torch.testing.assert_close(value, criterion(net(x), y).detach())
    """

    def __init__(self, criterion: Any, process_group: Any = None) -> None:
        if not hasattr(criterion, "numerator_and_denominator"):
            raise InputError(
                "a sy.torch.Loss or a loss of steelyard.losses",
                type(criterion).__name__,
                "the mean needs the sum of weights of each part, which other criteria do not give.",
            )
        self.criterion, self.process_group = criterion, process_group
        self._sums: Tensor | None = None
        self._dtype = torch.float32

    def add(
        self,
        logits: Tensor,
        targets: Tensor,
        sample_weight: Tensor | None = None,
        class_weight: Tensor | None = None,
    ) -> Tensor:
        """Return Σ s·ω·ℓ of a part, in nats, to call ``backward`` on; an empty part gives 0."""
        numerator, denominator = self.criterion.numerator_and_denominator(logits, targets, sample_weight, class_weight)
        both = torch.stack([numerator.detach(), denominator.detach()]).to(_wide(numerator))
        self._sums, self._dtype = both if self._sums is None else self._sums + both, numerator.dtype
        result: Tensor = numerator
        return result

    def finish(self, parameters: Iterable[Tensor], multiplier: float = 1.0) -> Tensor:
        """Divide the gradients by the sum of all weights, and begin anew.

        Parameters
        ----------
        parameters : iterable of tensors
            Those whose gradients the parts have been added to.
        multiplier : float, default 1.0
            What the gradients have been divided by on the way: Lightning divides each loss by
            ``accumulate_grad_batches``.

        Returns
        -------
        tensor of shape ()
            The mean loss over all parts and ranks in nats; 0, with gradients of 0, where no row had a weight.
        """
        held = [p for p in parameters if p.grad is not None]
        sums, self._sums = self._sums, None
        if sums is None:
            like = held[0] if held else torch.zeros(())
            sums = torch.zeros(2, dtype=_wide(like), device=like.device)
        ranks = 1
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            ranks = torch.distributed.get_world_size(self.process_group)  # DDP has divided by it
            torch.distributed.all_reduce(sums, group=self.process_group)
        numerator, denominator = sums
        # not asked for its value: on a GPU that would make every step wait
        by = torch.where(denominator > 0, 1.0 / denominator, torch.zeros_like(denominator))
        with torch.no_grad():
            for p in held:
                assert p.grad is not None
                p.grad.mul_(multiplier * ranks * by)
        return (numerator * by).to(self._dtype)


def _wide(x: Tensor) -> torch.dtype:
    return torch.float32 if x.device.type == "mps" else torch.float64
