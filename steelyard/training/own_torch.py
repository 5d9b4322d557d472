"""A torch module of the user's own, trained on the loss of a strategy by the recipe of our networks."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

import steelyard.torch
from steelyard.errors import InputError
from steelyard.strategies import Point
from steelyard.training import own, recipe

__all__ = ["Module", "check", "fit", "restore"]

_ROWS_AT_A_TIME = 8192
_DROPOUT = 7  # its generator is not the one of the initial weights


class Module:
    """A trained module.

    Attributes
    ----------
    module : torch.nn.Module
    n_features, n_classes : int
    path : str or None
        Where its factory can be imported from.
    """

    def __init__(self, module: Any, n_features: int, n_classes: int) -> None:
        self.module, self.n_features, self.n_classes = module, n_features, n_classes
        self.path: str | None = None

    def logits(self, X: NDArray[Any]) -> NDArray[np.float64]:
        """Return unnormalised scores of shape (n, C)."""
        return _logits(self.module, X, self.n_classes)

    def state(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return what has to be stored: JSON data, and arrays by name."""
        facts = {
            "framework": "torch",
            "factory": self.path,
            "n_features": self.n_features,
            "n_classes": self.n_classes,
        }
        arrays = {}
        for name, value in self.module.state_dict().items():
            plain = value.detach().cpu()
            # NumPy has no bfloat16; float32 holds its values exactly, and loading casts back
            arrays[name] = (plain.float() if plain.dtype == torch.bfloat16 else plain).numpy()
        return facts, arrays


def check(module: Any, n_features: int, n_classes: int) -> None:
    """Refuse a module whose output is not a logit for each class, or that has nothing to train."""
    if not any(p.requires_grad for p in module.parameters()):
        raise InputError("a torch module with parameters to train", f"{type(module).__name__} without")
    X = np.random.default_rng(0).normal(size=(4, n_features))
    own.checked_logits(_logits(module, X, n_classes), 4, n_classes, fresh=True)


def fit(
    module: Any, X: NDArray[Any], y: NDArray[Any], point: Point, n_classes: int, state: int, options: Mapping[str, Any]
) -> tuple[Module, str | None]:
    """Train a new module: AdamW, a cosine schedule, and a denominator that is the same in every step."""
    plan = recipe.plan(X, y, point, n_classes, state, options)
    with _one_thread():
        own.seed(state + _DROPOUT)
        place = _place(module)
        table = torch.as_tensor(plan.X, dtype=torch.float32, device=place)
        labels = torch.as_tensor(plan.y, dtype=torch.int64, device=place)
        criteria = [steelyard.torch.Loss(loss).to(place) for loss in plan.losses]
        optimizer = torch.optim.AdamW(
            [p for p in module.parameters() if p.requires_grad], lr=plan.rate, weight_decay=plan.decay
        )
        module.train()
        for step, rows in enumerate(torch.as_tensor(plan.batches.astype(np.int64), device=place)):
            part = plan.part(step)
            for group in optimizer.param_groups:
                group["lr"] = plan.rate * 0.5 * (1.0 + math.cos(math.pi * step / plan.steps))
            optimizer.zero_grad(set_to_none=True)
            logits = _one_for_each(module(table[rows]), len(rows), n_classes)
            criteria[part](logits, labels[rows], denominator=plan.denominators[part]).backward()
            optimizer.step()
        module.eval()
    trained = Module(module, X.shape[1], n_classes)
    if not all(bool(torch.isfinite(p).all()) for p in module.parameters()):
        raise FloatingPointError("its training diverged: weights are not finite")
    return trained, None


def restore(module: Any, facts: Mapping[str, Any], arrays: Mapping[str, Any], path: str | None) -> Module:
    """Put stored weights into a new module."""
    try:
        module.load_state_dict({name: torch.as_tensor(np.asarray(a)) for name, a in arrays.items()}, strict=True)
    except RuntimeError as error:
        said = " ".join(str(error).split())[:200]
        raise own.FactoryError("the factory that built the stored model", f"another ({said})") from error
    module.eval()
    trained = Module(module, int(facts["n_features"]), int(facts["n_classes"]))
    trained.path = path
    return trained


def _logits(module: Any, X: NDArray[Any], n_classes: int) -> NDArray[np.float64]:
    training, parts = module.training, []
    module.eval()
    try:
        with torch.no_grad(), _one_thread():
            for start in range(0, max(len(X), 1), _ROWS_AT_A_TIME):
                rows = torch.as_tensor(
                    np.ascontiguousarray(X[start : start + _ROWS_AT_A_TIME]), dtype=torch.float32, device=_place(module)
                )
                parts.append(_one_for_each(module(rows), len(rows), n_classes).double().cpu().numpy())
    finally:
        module.train(training)
    return np.concatenate(parts)


def _one_for_each(logits: Any, rows: int, n_classes: int) -> Any:
    if not isinstance(logits, torch.Tensor):
        raise InputError("a tensor of logits from the torch module", type(logits).__name__)
    if tuple(logits.shape) != (rows, n_classes):
        own.checked_logits(np.empty(tuple(logits.shape)), rows, n_classes)
    return logits


def _place(module: Any) -> Any:
    return next((p.device for p in module.parameters()), torch.device("cpu"))


@contextmanager
def _one_thread() -> Iterator[None]:
    """Sum in one order, whatever the machine: other processes use the other cores."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
