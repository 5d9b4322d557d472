"""Compiled versions of what is trained most: chosen at run time, with what is in use said by `available`.

The package works without them. They are built with it where there is a C++ compiler (`mlp.cpp`, `CMakeLists.txt`).
"""

from __future__ import annotations

import importlib
import os
from dataclasses import dataclass
from functools import lru_cache
from types import ModuleType

from steelyard.errors import InputError

__all__ = ["KERNELS", "VARIABLE", "Available", "available", "native"]

KERNELS = ("auto", "fused", "formula")  # what a front may be asked to compute with
VARIABLE = "STEELYARD_INSTRUCTIONS"
_INTERFACE = 2  # of module.cpp


@dataclass(frozen=True)
class Available:
    """Which compiled code is in use, and why.

    Attributes
    ----------
    compiled : bool
        Whether there is any.
    instructions : str or None
        The instruction set in use: "avx512", "avx2" (with FMA) or "baseline" (SSE2 on x86-64, NEON on ARM).
    choices : tuple of str
        Those that this processor has, best first.
    reason : str
        Why this one, or why none.
    """

    compiled: bool
    instructions: str | None
    choices: tuple[str, ...]
    reason: str

    def __str__(self) -> str:
        return f"compiled, {self.instructions} ({self.reason})" if self.compiled else f"not compiled: {self.reason}"


def available() -> Available:
    """Say which compiled code is in use, and why.

    The best instruction set of the processor is chosen when a program runs, never when it is compiled. The environment
    variable ``STEELYARD_INSTRUCTIONS`` names another of `Available.choices`, to compare or to reproduce a result of
    another machine.

    Raises
    ------
    InputError
        The variable names an instruction set that is not among the choices.

    Examples
    --------
    >>> from steelyard import kernels
    >>> found = kernels.available()
    >>> found.compiled == (found.instructions is not None)
    True
    """
    module, reason = _load()
    if module is None:
        return Available(False, None, (), reason)
    choices = tuple(module.instruction_sets())
    asked = os.environ.get(VARIABLE)
    if not asked:
        return Available(True, choices[0], choices, "the best that this processor has")
    if asked not in choices:
        raise InputError(f"{VARIABLE} among {', '.join(choices)}", repr(asked), "unset it for the best of them.")
    return Available(True, asked, choices, f"{VARIABLE} asks for it")


def native() -> ModuleType:
    """Return the compiled module.

    Raises
    ------
    InputError
        There is none; the message says why.
    """
    module, reason = _load()
    if module is None:
        raise InputError("compiled kernels", f"none: {reason}", "backend='auto' or 'jax' does without.")
    return module


@lru_cache(maxsize=1)
def _load() -> tuple[ModuleType | None, str]:
    try:
        module = importlib.import_module("steelyard.kernels._native")
    except ModuleNotFoundError:
        return None, (
            "this installation has none, because it was built without a C++ compiler (GCC 12 or Clang); with one, "
            "install it again: pip install --force-reinstall --no-deps --no-binary steelyard steelyard"
        )
    except ImportError as error:
        return None, f"the compiled module cannot be loaded ({error})"
    found = getattr(module, "INTERFACE", None)
    if found != _INTERFACE:
        return None, f"the compiled module is of other sources (interface {found}, not {_INTERFACE}): make native"
    return module, ""
