"""PyTorch. Totals are taken in float64, except on devices that have none."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from steelyard.errors import InputError

Tensor = Any

exp = torch.exp
expm1 = torch.expm1
log = torch.log
log1p = torch.log1p
log_sigmoid = torch.nn.functional.logsigmoid
moveaxis = torch.movedim
ones_like = torch.ones_like
sigmoid = torch.sigmoid
where = torch.where
checks_indices = True  # gather and scatter raise on an index out of range

KINDS = (torch.Tensor, torch.nn.Parameter)
_NARROW = (torch.float16, torch.bfloat16)
_INTEGERS = (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool)


def compute_dtype(x: Tensor) -> torch.dtype:
    if x.dtype in (torch.float32, torch.float64):
        return x.dtype
    if x.dtype in _NARROW:
        return torch.float32
    raise InputError("floating-point `logits`", f"dtype {x.dtype}")


def asarray(x: Any, like: Tensor | None = None, dtype: Any = None) -> Tensor:
    if not isinstance(x, torch.Tensor):
        # a copy, because a NumPy array may be read-only. torch.asarray warns of such a number (0-d) even so, and
        # torch.tensor breaks a compiled graph
        # and the dtype at once: a Python number would become float32 first
        x = torch.asarray(x, copy=True, dtype=dtype) if torch.compiler.is_compiling() else torch.tensor(x, dtype=dtype)
    return x.to(device=None if like is None else like.device, dtype=dtype or x.dtype)


def cast(x: Tensor, dtype: Any) -> Tensor:
    return x if x.dtype == dtype else x.to(dtype)


def is_integer(x: Tensor) -> bool:
    return x.dtype in _INTEGERS


def indices(x: Any, like: Tensor | None = None) -> Tensor:
    return asarray(x, like, torch.int64)


def _plain(x: Tensor) -> bool:
    """Whether this is an ordinary call: no compilation, no subclass (fake tensors), no torch.func transform."""
    return (
        not torch.compiler.is_compiling() and type(x) in KINDS and torch._C._functorch.peek_interpreter_stack() is None
    )


def concrete(x: Tensor) -> bool:
    # asking a GPU for a value would make every step wait for it
    return _plain(x) and x.device.type == "cpu"


def constants_outlive_call(like: Tensor) -> bool:
    # a tensor made in inference mode can never again take part in a backward pass
    return _plain(like) and like.device.type != "meta" and not torch.is_inference_mode_enabled()


def device(x: Tensor) -> Any:
    return x.device


def item(x: Tensor) -> float:
    return float(x.item())


def to_numpy(x: Any) -> Any:
    x = x.detach().cpu()
    return (x.float() if x.dtype == torch.bfloat16 else x).numpy()  # NumPy has no bfloat16


def expand_dims(x: Tensor, axis: int) -> Tensor:
    return x.unsqueeze(axis)


def shape(x: Tensor) -> tuple[Any, ...]:
    return tuple(x.shape)


def reshape(x: Tensor, shape: Sequence[int]) -> Tensor:
    return x if x.shape == shape else x.reshape(tuple(shape))


def stack(x: Sequence[Tensor]) -> Tensor:
    return torch.stack(tuple(x), dim=1)


def sum(x: Tensor) -> Tensor:
    return x.sum(dim=1)


def total(x: Tensor) -> Tensor:
    return x.sum() if x.device.type == "mps" else x.sum(dtype=torch.float64)


def argmax(x: Tensor) -> Tensor:
    return x.detach().argmax(dim=1)


def logsumexp(x: Tensor) -> Tensor:
    return torch.logsumexp(x, dim=1)


def softmax(x: Tensor) -> Tensor:
    return torch.softmax(x, dim=1)


def softplus(x: Tensor) -> Tensor:
    # where it turns linear log1p(exp(-x)) is below the last digit: at 40 in float64, where torch's own 20 is not
    return torch.nn.functional.softplus(x, 1.0, 40.0)


def pick(x: Tensor, index: Tensor) -> Tensor:
    return x.gather(1, index.unsqueeze(1)).squeeze(1)


def place(x: Tensor, index: Tensor, value: Any) -> Tensor:
    if isinstance(value, torch.Tensor):
        value = value.unsqueeze(1)
    return x.scatter(1, index.unsqueeze(1), value)


def gap(x: Tensor, index: Tensor) -> Tensor:
    at = index.unsqueeze(1)
    if x.shape[1] == 2:
        return (x.gather(1, 1 - at) - x.gather(1, at)).squeeze(1)
    rest = torch.logsumexp(x.scatter(1, at, float("-inf")), dim=1, keepdim=True)
    return (rest - x.gather(1, at)).squeeze(1)


def lookup(table: Tensor, index: Tensor) -> Tensor:
    # the quickest of torch's ways, where it applies
    return table.index_select(0, index) if index.ndim == 1 else table[index]


def onehot(index: Tensor, n: int, dtype: Any) -> Tensor:
    classes = torch.arange(n, device=index.device).reshape((1, n) + (1,) * (index.ndim - 1))
    return (index.unsqueeze(1) == classes).to(dtype)


def contract(t: Tensor, matrix: Tensor) -> Tensor:
    # autocast would take the product, and with it the loss, in 16 bits
    with torch.autocast(t.device.type, enabled=False):
        return t @ matrix if t.ndim == 2 else torch.einsum("nyk,yc->nck", t, matrix)


def solve(a: Tensor, b: Tensor) -> Tensor:
    return torch.linalg.solve(a, b.unsqueeze(-1)).squeeze(-1)


def stop_gradient(x: Tensor) -> Tensor:
    return x.detach()
