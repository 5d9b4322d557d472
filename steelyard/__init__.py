"""Train, compare and decide with classifiers on imbalanced data.

Everything is loaded on first use: ``import steelyard`` costs NumPy and nothing heavier.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from steelyard import decisions, losses, strategies
    from steelyard.comparison import compare
    from steelyard.comparison.stored import load
    from steelyard.comparison.tuned import tune
    from steelyard.explanation import explain
    from steelyard.weights import ClassCounts, class_weight, class_weight_names, schedules

__version__ = "0.1.0"

# public name → the module that holds it; a module's own name → itself
_HOME = {
    "ClassCounts": "steelyard.weights",
    "class_weight": "steelyard.weights",
    "class_weight_names": "steelyard.weights",
    "explain": "steelyard.explanation",
    "compare": "steelyard.comparison",
    "load": "steelyard.comparison.stored",
    "schedules": "steelyard.weights",
    "tune": "steelyard.comparison.tuned",
}
_MODULES = ("losses", "decisions", "strategies", "torch", "keras", "tensorflow", "jax", "boosting", "sklearn")

__all__ = [
    "ClassCounts",
    "class_weight",
    "class_weight_names",
    "compare",
    "decisions",
    "explain",
    "load",
    "losses",
    "schedules",
    "strategies",
    "tune",
]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        value = getattr(import_module(_HOME[name]), name)
    elif name in _MODULES:
        value = import_module(f"steelyard.{name}")
    else:
        raise AttributeError(f"module 'steelyard' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME, *_MODULES})
