"""torch.compile: one graph, no break, and none compiled anew when the loss is switched."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch._dynamo.testing import CompileCounter

import steelyard as sy
from tests.fronts.points import PAIRED, SIGMOID, SWITCHABLE, batch, binary_batch, expected, expected_sigmoid


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


def compiled(module: Any, **settings: Any) -> tuple[Any, CompileCounter]:
    counter = CompileCounter()
    return torch.compile(module, backend=counter, fullgraph=True, **settings), counter


def step(call: Any, rows: int = 8) -> tuple[float, np.ndarray]:
    z = torch.tensor(batch(rows)[0], dtype=torch.float32, requires_grad=True)
    value = call(z, torch.tensor(batch(rows)[1]))
    value.backward()
    return value.item(), z.grad.numpy()


def check(got: tuple[float, np.ndarray], parameters: dict[str, Any], rows: int = 8) -> None:
    want, gradient = expected(parameters, *batch(rows))
    assert got[0] == pytest.approx(want, rel=1e-5)
    np.testing.assert_allclose(got[1], gradient, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("pairs", [False, True])
def test_assign_compiles_nothing_anew(pairs: bool) -> None:
    module = sy.torch.Loss(sy.losses.cross_entropy(), n_classes=3, pairs=pairs)
    call, counter = compiled(module)
    for loss, parameters in (PAIRED if pairs else SWITCHABLE).values():
        module.assign(loss)
        check(step(call), parameters)
    assert counter.frame_count == 1


def test_assign_in_the_sigmoid_family() -> None:
    z, t = binary_batch()
    module = sy.torch.Loss(sy.losses.binary_cross_entropy(), n_classes=1)
    call, counter = compiled(module)
    for loss, parameters in SIGMOID.values():
        module.assign(loss)
        value = call(torch.tensor(z[:, None], dtype=torch.float32), torch.tensor(t[:, None]))
        assert value.item() == pytest.approx(expected_sigmoid(parameters, z, t), rel=1e-5)
    assert counter.frame_count == 1


@pytest.mark.parametrize("name", PAIRED)
def test_every_loss_without_a_graph_break(name: str) -> None:
    loss, parameters = PAIRED[name]
    call, counter = compiled(sy.torch.Loss(loss))
    check(step(call), parameters)
    assert counter.frame_count == 1


def test_the_core_itself_without_a_graph_break() -> None:
    call, counter = compiled(SWITCHABLE["focal"][0])
    check(step(call), SWITCHABLE["focal"][1])
    assert counter.frame_count == 1


def test_dynamic_batch_sizes() -> None:
    call, counter = compiled(sy.torch.Loss(SWITCHABLE["VS"][0], n_classes=3), dynamic=True)
    for rows in (8, 5, 31, 64):
        check(step(call, rows), SWITCHABLE["VS"][1], rows)
    assert counter.frame_count == 1


def test_a_second_batch_size_compiles_once_more_and_then_never() -> None:
    call, counter = compiled(sy.torch.Loss(SWITCHABLE["weighted"][0], n_classes=3))
    for rows in (8, 5, 31, 64):
        check(step(call, rows), SWITCHABLE["weighted"][1], rows)
    assert counter.frame_count == 2


def test_an_eager_call_between_compiled_ones() -> None:
    module = sy.torch.Loss(SWITCHABLE["focal"][0], n_classes=3)
    call, counter = compiled(module)
    for loss, parameters in SWITCHABLE.values():
        check(step(module), SWITCHABLE["focal"][1])
        module.assign(loss)
        check(step(call), parameters)
        module.assign(SWITCHABLE["focal"][0])
    assert counter.frame_count == 1


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:`torch.jit.script")  # torch's own, on import of the backend
def test_the_default_backend_compiles_once_and_is_right() -> None:
    from torch._dynamo.utils import counters

    counters.clear()
    module = sy.torch.Loss(sy.losses.cross_entropy(), n_classes=3, pairs=True)
    call = torch.compile(module, fullgraph=True)
    for loss, parameters in PAIRED.values():
        module.assign(loss)
        check(step(call), parameters)
    assert counters["stats"]["unique_graphs"] == 1
