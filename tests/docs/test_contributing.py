"""The worked example of CONTRIBUTING.md: a recipe and its oracle, run as if they stood in the package."""

from __future__ import annotations

import doctest

import numpy as np
import pytest

import steelyard as sy
from steelyard.losses import registry
from tests.conformance import recipes
from tests.conformance.comparison import check
from tests.docs.pages import ROOT, python_blocks, run


def test_the_two_places(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_recipes", dict(registry._recipes))
    known = set(sy.losses.names())
    family, oracle = python_blocks(ROOT / "CONTRIBUTING.md")

    namespace = run([family])
    (name,) = set(sy.losses.names()) - known
    make = namespace[name]
    assert sy.losses.describe(name).make is make
    assert sy.losses.describe(name).formula
    assert sy.losses.describe(name).source

    monkeypatch.setattr(sy.losses, name, make, raising=False)  # what `__all__` of the family file does
    (example,) = doctest.DocTestFinder().find(make, name, module=False, globs={})
    assert len(example.examples) == 2
    assert doctest.DocTestRunner().run(example).failed == 0

    (test,) = (f for n, f in run([oracle]).items() if n.startswith("test_"))
    test()

    # as the conformance tests would make and check it
    loss = recipes._make(name, everything=False)
    z = recipes.logits()
    for framework in ("numpy", "torch"):
        check(framework, loss, z, recipes.targets(loss, "integer"), "float32")


def test_the_oracle_would_notice_another_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    _, oracle = python_blocks(ROOT / "CONTRIBUTING.md")
    monkeypatch.setattr(sy.losses, "get", lambda name: lambda counts: sy.losses.weighted_cross_entropy(np.sqrt(counts)))
    (test,) = (f for n, f in run([oracle]).items() if n.startswith("test_"))
    with pytest.raises(AssertionError):
        test()
