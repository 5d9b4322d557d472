"""PyTorch: losses as modules whose parameters are buffers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from steelyard._ops import torch as _xp
from steelyard._torch_batches import BalancedBatchSampler
from steelyard._torch_mean import ExactMean
from steelyard.losses.base import Loss as CoreLoss
from steelyard.losses.switching import check_classes, closed, numbers_of, opened, present

__all__ = ["BalancedBatchSampler", "ExactMean", "Loss"]


class _Cast(NamedTuple):
    """Buffers in the dtype of the arithmetic, and what they were made from."""

    dtype: torch.dtype
    buffers: tuple[Tensor | None, ...]
    versions: tuple[int, ...]
    values: Any


class Loss(nn.Module):
    """A loss as a PyTorch module.

    Parameters
    ----------
    loss : SoftmaxCrossEntropy or SigmoidCrossEntropy
        What to compute.
    n_classes : int, optional
        Hold every per-class parameter at full shape from the start, so that `assign` can switch to any other loss
        of the family inside one compiled graph. Without it only the parameters that `loss` has are held, which a
        compiled graph computes faster; eager calls leave out what does nothing.
    pairs : bool, default False
        With `n_classes`, hold the (n_classes, n_classes) parameters too.
    class_axis : int, default 1
        Axis of the classes in the logits.

    Notes
    -----
    Parameters are float64 buffers: they go with ``.to(device)`` and into ``state_dict``, and ``.half()`` or
    ``.double()`` leave them as they are; they are cast at the call. 16-bit logits give a float32 loss and 16-bit
    gradients.

    Examples
    --------
    >>> import torch, steelyard as sy
    >>> counts = sy.ClassCounts.from_counts({"no": 90, "yes": 10})
    >>> criterion = sy.torch.Loss(sy.losses.logit_adjusted(counts), n_classes=2)
    >>> logits = torch.zeros(3, 2, requires_grad=True)
    >>> criterion(logits, torch.tensor([0, 1, 1])).backward()
    >>> criterion.assign(sy.losses.focal(gamma=2.0))          # no recompilation
    """

    def __init__(self, loss: CoreLoss, n_classes: int | None = None, pairs: bool = False, class_axis: int = 1) -> None:
        super().__init__()
        self.n_classes, self.pairs, self.class_axis = n_classes, pairs, class_axis
        self._structure = opened(loss, n_classes, pairs)
        for name, value in self._structure.parameters.items():
            self.register_buffer(name, None if value is None else torch.tensor(value, dtype=torch.float64))
        self._cast: _Cast | None = None

    def forward(
        self,
        logits: Tensor,
        targets: Tensor,
        sample_weight: Tensor | None = None,
        class_weight: Tensor | None = None,
        denominator: Tensor | float | str | None = None,
    ) -> Tensor:
        """Return the loss; see `steelyard.losses.Loss.__call__`."""
        check_classes(self.n_classes, logits.shape, self.class_axis)
        return self._structure.evaluate(
            _xp, self._values(logits), logits, targets, sample_weight, class_weight, denominator, self.class_axis
        )

    def numerator_and_denominator(
        self,
        logits: Tensor,
        targets: Tensor,
        sample_weight: Tensor | None = None,
        class_weight: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Return Σ s·ω·ℓ and Σ s·ω; see `steelyard.losses.Loss.numerator_and_denominator` and `ExactMean`."""
        check_classes(self.n_classes, logits.shape, self.class_axis)
        return self._structure.sums(
            _xp, self._values(logits), logits, targets, sample_weight, class_weight, None, self.class_axis
        )

    def _values(self, logits: Tensor) -> Any:
        """Return the buffers in the dtype of the arithmetic; in eager calls kept until somebody writes to them."""
        dtype, held = _xp.compute_dtype(logits), self._buffers
        if not _xp.constants_outlive_call(logits) or any(
            b is not None and (b.requires_grad or b.is_inference()) for b in held.values()
        ):
            return self._structure._pack({n: None if b is None else b.to(dtype) for n, b in held.items()})
        buffers = tuple(held.values())
        versions = tuple(0 if b is None else b._version for b in buffers)
        kept = self._cast
        if (
            kept is None
            or kept.dtype != dtype
            or kept.versions != versions
            or not all(a is b for a, b in zip(kept.buffers, buffers, strict=True))
        ):
            numbers = present(self._structure, self._arrays())
            values = {n: held[n].to(dtype) if v is not None else None for n, v in numbers.items()}
            kept = self._cast = _Cast(dtype, buffers, versions, self._structure._pack(values))
        return kept.values

    def _arrays(self) -> dict[str, Any]:
        return {n: None if b is None else b.detach().cpu().numpy() for n, b in self._buffers.items()}

    def assign(self, other: CoreLoss) -> None:
        """Switch to another loss: its numbers are written into the buffers, and no graph is compiled anew.

        Raises
        ------
        InputError
            `other` needs a parameter or a setting that this module was not built with.
        """
        with torch.no_grad():
            for name, array in numbers_of(other, self._structure, self.n_classes, self.pairs).items():
                self._buffers[name].copy_(torch.from_numpy(array.copy()))

    @property
    def loss(self) -> CoreLoss:
        """The loss as it stands in the buffers now: for `posterior`, `to_dict`, `explain`."""
        return closed(self._structure, self._arrays())

    def posterior(self, logits: Tensor) -> Tensor:
        """Return class probabilities, corrected for what the loss did to the logits."""
        return self.loss.posterior(logits, class_axis=self.class_axis)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Loss:
        before = dict(self._buffers)
        super()._apply(fn, recurse)
        for name, b in before.items():
            now = self._buffers[name]
            if b is not None and now is not None and now.dtype != b.dtype:
                self._buffers[name] = b.to(now.device)
        return self

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_cast": None}

    def extra_repr(self) -> str:
        """Return what is printed between the parentheses."""
        return repr(self.loss)
