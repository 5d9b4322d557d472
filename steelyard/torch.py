"""PyTorch: losses as modules whose parameters are buffers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from steelyard import kernels
from steelyard._ops import torch as _xp
from steelyard._torch_batches import BalancedBatchSampler
from steelyard._torch_mean import ExactMean
from steelyard.errors import InputError, one_of
from steelyard.kernels import KERNELS, torch_rows, torch_sweep
from steelyard.kernels.torch_linear import WORKSPACE, numerator_and_denominator, reduced
from steelyard.losses import checks
from steelyard.losses.base import Loss as CoreLoss
from steelyard.losses.softmax import SoftmaxCrossEntropy
from steelyard.losses.switching import check_classes, closed, numbers_of, opened, present

__all__ = ["BalancedBatchSampler", "ExactMean", "LinearLoss", "Loss", "linear_loss"]


# the buffers that something was made from, each with its version
_Watched = tuple[tuple[str, Tensor | None, int], ...]


class _Cast(NamedTuple):
    """Buffers in the dtype of the arithmetic, and what they were made from."""

    dtype: torch.dtype
    watched: _Watched
    values: Any


class _Planned(NamedTuple):
    """The parameters as the compiled kernel holds them, for which logits and from what they were made."""

    n_classes: int = -1
    dtype: torch.dtype | None = None
    watched: _Watched = ()
    values: Any = None  # as tensors, for the formula
    plan: Any = None
    why_not: str | None = None


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
    kernel : {"auto", "fused", "formula"}, default "auto"
        "auto" takes the compiled kernel for logits on the CPU in eager calls, Triton's kernels for integer targets and
        logits on a CUDA device, and the formula elsewhere; "fused" is an error there. `uses` says which, and why.
    inplace : bool, default False
        With the kernels and a mean or a sum: the gradient is written over the logits, in the pass that reads them. No
        second tensor of their size exists, the logits are lost, and there is one way back.

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

    def __init__(
        self,
        loss: CoreLoss,
        n_classes: int | None = None,
        pairs: bool = False,
        class_axis: int = 1,
        kernel: str = "auto",
        inplace: bool = False,
    ) -> None:
        super().__init__()
        self.kernel, self.inplace = one_of("kernel", kernel, KERNELS), inplace
        self.n_classes, self.pairs, self.class_axis = n_classes, pairs, class_axis
        self._structure = opened(loss, n_classes, pairs)
        for name, value in self._structure.parameters.items():
            self.register_buffer(name, None if value is None else torch.tensor(value, dtype=torch.float64))
        self._cast: _Cast | None = None
        self._planned = _Planned()
        found = kernels.available()
        self._absent = torch_sweep.why_not_this(self._structure) if found.compiled else found.reason

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
        if self.inplace or logits.is_cuda or torch.compiler.is_compiling():
            kernel = "fused" if self.inplace else self.kernel
            if torch_rows.takes(self._structure, logits, targets, kernel):
                return torch_rows.evaluate(
                    self._structure,
                    self._values(logits),
                    logits,
                    targets,
                    sample_weight,
                    class_weight,
                    denominator,
                    self.class_axis,
                    self.inplace,
                )
        elif self.kernel != "formula":
            result = self._swept(logits, targets, sample_weight, class_weight, denominator)
            if result is not None:
                return result
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

    def _swept(
        self, logits: Tensor, targets: Tensor, sample_weight: Any, class_weight: Any, denominator: Any
    ) -> Tensor | None:
        """Return the loss by the compiled kernel; None where the formula has to compute it, or say what is wrong."""
        why_not = self._why_not(logits, targets, sample_weight, class_weight, denominator)
        if why_not is not None:
            if self.kernel == "fused":
                hint = "kernel='auto' or 'formula' does without one."
                raise InputError("what a compiled kernel computes, with kernel='fused'", why_not, hint)
            return None
        return torch_sweep.evaluate(
            self._planned.plan,
            self._structure,
            self._planned.values,
            logits,
            targets,
            sample_weight,
            class_weight,
            denominator,
            self.class_axis,
        )

    def _why_not(
        self,
        logits: Tensor,
        targets: Tensor,
        sample_weight: Any = None,
        class_weight: Any = None,
        denominator: Any = None,
    ) -> str | None:
        """Return why the compiled kernel does not take a call, or None; then `_planned` holds its parameters."""
        if self._absent is not None:
            return self._absent
        why_not = torch_sweep.why_not_here(logits, targets, sample_weight, class_weight, denominator, self.class_axis)
        if why_not is not None:
            return why_not
        kept, n_classes, dtype = self._planned, logits.shape[self.class_axis], logits.dtype
        if kept.n_classes == n_classes and kept.dtype is dtype and self._as_before(kept.watched):
            return kept.why_not
        if any(b is not None and (b.requires_grad or b.is_inference() or b.is_cuda) for b in self._buffers.values()):
            return "parameters ask for a gradient, or are elsewhere"
        values = self._values(logits)
        checks.number_of_classes(self._structure, n_classes, values)
        numbers = present(self._structure, self._arrays())
        why_not = torch_sweep.why_not_these(self._structure, numbers)
        plan = torch_sweep.plan(self._structure, numbers, n_classes) if why_not is None else None
        self._planned = _Planned(n_classes, dtype, self._watched(), values, plan, why_not)
        return why_not

    def uses(self, logits: Tensor, targets: Tensor) -> str:
        """Say what computes an eager call with these logits and targets: a kernel, or the formula and why.

        Examples
        --------
        >>> import torch, steelyard as sy
        >>> criterion = sy.torch.Loss(sy.losses.cross_entropy(), kernel="formula")
        >>> criterion.uses(torch.zeros(3, 2), torch.tensor([0, 1, 1]))
        'formula (asked for)'
        """
        if self.kernel == "formula":
            return "formula (asked for)"
        if logits.is_cuda:
            return "fused (Triton)" if torch_rows.takes(self._structure, logits, targets, "auto") else "formula"
        why_not = self._why_not(logits, targets)
        return f"fused ({kernels.available()})" if why_not is None else f"formula ({why_not})"

    def _values(self, logits: Tensor) -> Any:
        """Return the buffers in the dtype of the arithmetic; in eager calls kept until somebody writes to them."""
        dtype, held = _xp.compute_dtype(logits), self._buffers
        if not _xp.constants_outlive_call(logits) or any(
            b is not None and (b.requires_grad or b.is_inference()) for b in held.values()
        ):
            return self._structure._pack({n: None if b is None else b.to(dtype) for n, b in held.items()})
        kept = self._cast
        if kept is None or kept.dtype != dtype or not self._as_before(kept.watched):
            numbers = present(self._structure, self._arrays())
            values = {n: held[n].to(dtype) if v is not None else None for n, v in numbers.items()}
            kept = self._cast = _Cast(dtype, self._watched(), self._structure._pack(values))
        return kept.values

    def _watched(self) -> _Watched:
        return tuple((name, b, 0 if b is None else b._version) for name, b in self._buffers.items())

    def _as_before(self, watched: _Watched) -> bool:
        """Whether nobody has written to a buffer since, put another in its place, or asked for its gradient."""
        held = self._buffers
        for name, b, version in watched:
            if held[name] is not b or (b is not None and (b._version != version or b.requires_grad)):
                return False
        return True

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
        return {**self.__dict__, "_cast": None, "_planned": _Planned()}

    def extra_repr(self) -> str:
        """Return what is printed between the parentheses."""
        return repr(self.loss)


def linear_loss(
    loss: SoftmaxCrossEntropy,
    hidden: Tensor,
    weight: Tensor,
    targets: Tensor,
    bias: Tensor | None = None,
    sample_weight: Tensor | None = None,
    class_weight: Tensor | None = None,
    denominator: Tensor | float | str | None = None,
    workspace: int = WORKSPACE,
    kernel: str = "auto",
) -> Tensor:
    """Return ``loss(hidden @ weight.T + bias, targets)`` without ever holding all logits.

        z = X Wᵀ + b        ∂/∂X = G W        ∂/∂W = Gᵀ X        ∂/∂b = Gᵀ 1        G = s ∂(ω·ℓ)/∂z

    Logits and their gradient exist for a chunk of rows at a time. For a mean or a sum the gradients of `hidden`,
    `weight` and `bias` are formed in the same sweep; with reduction "none" the way back forms the logits again.

    Parameters
    ----------
    loss : SoftmaxCrossEntropy
        Any loss of the family, with any of its parameters as numbers (none that asks for a gradient).
    hidden : tensor (..., in_features)
        Float32, float64, bfloat16 or float16. Under ``torch.autocast`` it is taken in autocast's dtype.
    weight : tensor (n_classes, in_features)
        Of the dtype of `hidden`; under autocast of any, and its gradient is then of its own dtype, never rounded to 16
        bits on the way.
    targets : tensor (...) of integers, or (..., n_classes)
        Classes, or weights over classes.
    bias : tensor (n_classes,), optional
    sample_weight : tensor (...), or its leading axes, optional
        Weight of each row, of each token.
    class_weight : tensor (n_classes,) or (batch, n_classes), optional
        Class weights of this call, instead of those of the loss.
    denominator : number, tensor, "rows" or "sample_weight", optional
        What a mean is divided by; Σ s·ω of this call when None. The same number handed to every micro-batch or rank
        makes their gradients add up to that of one batch.
    workspace : int, default 512 MiB
        Bytes that chunks of logits and what is made of them may take; at least one row is taken at a time.
    kernel : {"auto", "fused", "formula"}, default "auto"
        "auto" takes Triton's kernels for integer targets on a CUDA device, and the formula, chunk by chunk, elsewhere;
        "fused" is an error elsewhere.

    Returns
    -------
    tensor
        In nats: () for "mean" and "sum", shaped like the rows for "none"; float32, or float64 for float64.

    Raises
    ------
    InputError
        Shapes or dtypes that do not fit, a tensor that would need a gradient and gets none; in eager calls on the CPU
        also targets out of range and NaN in `hidden` or `weight`.

    Notes
    -----
    Products of 16-bit tensors are accumulated in float32, over chunks too, and logits are never rounded to 16 bits.
    Rows of `ignore_index` cost no product on the CPU. A second derivative is taken through all logits at once.

    Examples
    --------
    >>> import torch, steelyard as sy
    >>> hidden, weight = torch.zeros(6, 8, requires_grad=True), torch.zeros(1000, 8, requires_grad=True)
    >>> value = sy.torch.linear_loss(sy.losses.focal(gamma=2.0), hidden, weight, torch.arange(6))
    >>> value.backward()
    >>> round(value.item(), 3), tuple(weight.grad.shape)          # (1 − 1/1000)² ln 1000
    (6.894, (1000, 8))
    """
    structure = opened(loss, None, False)
    values = structure._constants(_xp, hidden)
    return reduced(
        structure, values, hidden, weight, bias, targets, sample_weight, class_weight, denominator, workspace, kernel
    )


class LinearLoss(nn.Module):
    """The last linear layer and the loss in one: hidden states in, loss and both gradients out, logits never stored.

    Parameters
    ----------
    loss : SoftmaxCrossEntropy
        What to compute; `assign` switches to any other of the family.
    in_features : int
        Width of the hidden states.
    n_classes : int
        Number of classes: the size of the vocabulary.
    bias : bool, default True
        Whether the layer has one.
    pairs : bool, default False
        Hold the (n_classes, n_classes) parameters too, so that `assign` reaches them.
    workspace, kernel
        See `linear_loss`.

    Attributes
    ----------
    weight : Parameter (n_classes, in_features)
        As in ``torch.nn.Linear``, drawn as there; ``layer.weight = embedding.weight`` ties it.
    bias : Parameter (n_classes,) or None
    criterion : steelyard.torch.Loss
        Holds the numbers of the loss as buffers.

    Notes
    -----
    See `linear_loss` for dtypes, memory and derivatives. For a vocabulary of 100,000 the logits of 8,192 tokens are
    3.3 GB in float32; here they are what `workspace` says.

    Examples
    --------
    >>> import torch, steelyard as sy
    >>> counts = sy.ClassCounts.from_counts([900, 90, 9, 1])                 # of tokens, say
    >>> layer = sy.torch.LinearLoss(sy.losses.logit_adjusted(counts), in_features=16, n_classes=4)
    >>> hidden, tokens = torch.randn(2, 5, 16), torch.zeros(2, 5, dtype=torch.int64)
    >>> layer(hidden, tokens).backward()
    >>> tuple(layer.weight.grad.shape), tuple(layer.logits(hidden).shape)
    ((4, 16), (2, 5, 4))
    """

    def __init__(
        self,
        loss: SoftmaxCrossEntropy,
        in_features: int,
        n_classes: int,
        bias: bool = True,
        pairs: bool = False,
        workspace: int = WORKSPACE,
        kernel: str = "auto",
    ) -> None:
        super().__init__()
        linear = nn.Linear(in_features, n_classes, bias)  # its initial values
        self.weight, self.bias = linear.weight, linear.bias
        self.criterion = Loss(loss, n_classes, pairs)
        self.workspace, self.kernel = workspace, one_of("kernel", kernel, KERNELS)

    def forward(
        self,
        hidden: Tensor,
        targets: Tensor,
        sample_weight: Tensor | None = None,
        class_weight: Tensor | None = None,
        denominator: Tensor | float | str | None = None,
    ) -> Tensor:
        """Return the loss of hidden states (..., in_features); see `linear_loss`."""
        return reduced(
            self.criterion._structure,
            self.criterion._values(hidden),
            hidden,
            self.weight,
            self.bias,
            targets,
            sample_weight,
            class_weight,
            denominator,
            self.workspace,
            self.kernel,
        )

    def numerator_and_denominator(
        self,
        hidden: Tensor,
        targets: Tensor,
        sample_weight: Tensor | None = None,
        class_weight: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Return Σ s·ω·ℓ, which can be differentiated, and Σ s·ω: sums of both over micro-batches or ranks divide once.

        Examples
        --------
        >>> import torch, steelyard as sy
        >>> layer = sy.torch.LinearLoss(sy.losses.weighted_cross_entropy([1.0, 3.0]), 2, 2)
        >>> n, d = layer.numerator_and_denominator(torch.zeros(3, 2), torch.tensor([0, 1, 1]))
        >>> d.item()
        7.0
        """
        return numerator_and_denominator(
            self.criterion._structure,
            self.criterion._values(hidden),
            hidden,
            self.weight,
            self.bias,
            targets,
            sample_weight,
            class_weight,
            self.workspace,
            self.kernel,
        )

    def logits(self, hidden: Tensor) -> Tensor:
        """Return ``hidden @ weight.T + bias``, all of it: for prediction."""
        return nn.functional.linear(hidden, self.weight, self.bias)

    def posterior(self, hidden: Tensor) -> Tensor:
        """Return class probabilities (..., n_classes), corrected for what the loss did to the logits."""
        return self.criterion.loss.posterior(self.logits(hidden), class_axis=-1)

    def assign(self, other: CoreLoss) -> None:
        """Switch to another loss of the family: numbers are written into the buffers of `criterion`."""
        self.criterion.assign(other)

    @property
    def loss(self) -> CoreLoss:
        """The loss as it stands in the buffers now."""
        return self.criterion.loss

    def extra_repr(self) -> str:
        """Return what is printed between the parentheses."""
        n_classes, in_features = self.weight.shape
        return f"in_features={in_features}, n_classes={n_classes}, bias={self.bias is not None}"
