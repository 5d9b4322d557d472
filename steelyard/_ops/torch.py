"""PyTorch. Totals are taken in float64, except on devices that have none."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from steelyard.errors import InputError

Tensor = Any

exp = torch.exp
log = torch.log
log1p = torch.log1p
moveaxis = torch.movedim
ones_like = torch.ones_like
sigmoid = torch.sigmoid
where = torch.where
checks_indices = True  # gather and scatter raise on an index out of range

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
        # as_tensor would share memory with a NumPy array that may be read-only
        x = torch.tensor(x)
    return x.to(device=None if like is None else like.device, dtype=dtype or x.dtype)


def cast(x: Tensor, dtype: Any) -> Tensor:
    return x if x.dtype == dtype else x.to(dtype)


def is_integer(x: Tensor) -> bool:
    return x.dtype in _INTEGERS


def indices(x: Any, like: Tensor | None = None) -> Tensor:
    return asarray(x, like, torch.int64)


def concrete(x: Tensor) -> bool:
    # asking a GPU for a value would make every step wait for it
    return not torch.compiler.is_compiling() and x.device.type == "cpu"


def constants_outlive_call(like: Tensor) -> bool:  # noqa: ARG001
    return not torch.compiler.is_compiling()


def device(x: Tensor) -> Any:
    return x.device


def to_numpy(x: Any) -> Any:
    return x.detach().cpu().numpy()


def expand_dims(x: Tensor, axis: int) -> Tensor:
    return x.unsqueeze(axis)


def shape(x: Tensor) -> tuple[Any, ...]:
    return tuple(x.shape)


def reshape(x: Tensor, shape: Sequence[int]) -> Tensor:
    return x.reshape(tuple(shape))


def stack(x: Sequence[Tensor]) -> Tensor:
    return torch.stack(tuple(x), dim=1)


def sum(x: Tensor) -> Tensor:
    return x.sum(dim=1)


def total(x: Tensor) -> Tensor:
    if x.device.type == "mps":
        return x.sum()
    return x.sum(dtype=torch.float64).to(x.dtype)


def argmax(x: Tensor) -> Tensor:
    return x.detach().argmax(dim=1)


def logsumexp(x: Tensor) -> Tensor:
    return torch.logsumexp(x, dim=1)


def softmax(x: Tensor) -> Tensor:
    return torch.softmax(x, dim=1)


def softplus(x: Tensor) -> Tensor:
    # torch.nn.functional.softplus turns linear at 20, which costs float64 its last six digits
    return -torch.nn.functional.logsigmoid(-x)


def pick(x: Tensor, index: Tensor) -> Tensor:
    return x.gather(1, index.unsqueeze(1)).squeeze(1)


def place(x: Tensor, index: Tensor, value: Any) -> Tensor:
    if isinstance(value, torch.Tensor):
        value = value.unsqueeze(1)
    return x.scatter(1, index.unsqueeze(1), value)


def lookup(table: Tensor, index: Tensor) -> Tensor:
    return table[index]


def onehot(index: Tensor, n: int, dtype: Any) -> Tensor:
    classes = torch.arange(n, device=index.device).reshape((1, n) + (1,) * (index.ndim - 1))
    return (index.unsqueeze(1) == classes).to(dtype)


def contract(t: Tensor, matrix: Tensor) -> Tensor:
    return t @ matrix if t.ndim == 2 else torch.einsum("nyk,yc->nck", t, matrix)


def solve(a: Tensor, b: Tensor) -> Tensor:
    return torch.linalg.solve(a, b.unsqueeze(-1)).squeeze(-1)


def stop_gradient(x: Tensor) -> Tensor:
    return x.detach()
