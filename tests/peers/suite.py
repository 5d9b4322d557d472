"""Cases of other libraries' own test suites, run against our losses; what is left out, and why."""

from __future__ import annotations

import unittest
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from types import ModuleType, SimpleNamespace
from typing import Any
from unittest import mock

import numpy as np


@dataclass(frozen=True)
class Suite:
    """A suite of an installed package.

    Attributes
    ----------
    name : str
    source : str
        The file that the cases stand in.
    cases : mapping of str to callable
        Each raises if it fails.
    left_out : mapping of str to str
        Case → why ours is different by design, or has nothing to be tested.
    """

    name: str
    source: str
    cases: Mapping[str, Callable[[], None]]
    left_out: Mapping[str, str] = field(default_factory=dict)

    @property
    def run(self) -> list[str]:
        """The cases that must pass."""
        return [case for case in self.cases if case not in self.left_out]


def unittest_cases(
    module: ModuleType, classes: Iterator[str] | list[str], patch: Callable[[], Any]
) -> dict[str, Callable[[], None]]:
    """Return every test method of some classes, run with the names of the module replaced by `patch`."""
    cases = {}
    for name in classes:
        kind = getattr(module, name)
        for method in unittest.defaultTestLoader.getTestCaseNames(kind):

            def run(kind: type[unittest.TestCase] = kind, method: str = method) -> None:
                np.random.seed(0)  # noqa: NPY002  theirs draw from it, now and then something with nothing in it
                with patch():
                    kind(method).debug()  # raises what the test raises

            cases[f"{name}.{method}"] = run
    return cases


def pytest_cases(module: ModuleType, patch: Callable[[], Any]) -> dict[str, Callable[[], None]]:
    """Return every test function of a module, one case for each set of its parameters."""
    cases: dict[str, Callable[[], None]] = {}
    for name, function in vars(module).items():
        if not name.startswith("test_"):
            continue
        marks = [m for m in getattr(function, "pytestmark", []) if m.name == "parametrize"]
        for number, given in enumerate(_parameters(marks)):

            def run(function: Any = function, given: dict[str, Any] = given) -> None:
                with patch():
                    function(**given)

            cases[name if not marks else f"{name}[{number}]"] = run
    return cases


def _parameters(marks: list[Any]) -> Iterator[dict[str, Any]]:
    if not marks:
        yield {}
        return
    (mark,) = marks
    names = [n.strip() for n in mark.args[0].split(",")] if isinstance(mark.args[0], str) else list(mark.args[0])
    for values in mark.args[1]:
        yield dict(zip(names, values if len(names) > 1 else (values,), strict=True))


def replaced(module: ModuleType, name: str, adapters: Mapping[str, Any]) -> Callable[[], Any]:
    """Return a patch that puts adapters in front of what the module `module.name` offers."""
    original = getattr(module, name)
    shown = {k: getattr(original, k) for k in dir(original) if not k.startswith("__")}
    return lambda: mock.patch.object(module, name, SimpleNamespace(**{**shown, **adapters}))
