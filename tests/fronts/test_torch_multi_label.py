"""Losses for several labels as compiled torch modules: one graph without a break, the numbers of NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch._dynamo.testing import CompileCounter

import steelyard as sy
from steelyard.errors import InputError
from tests.fronts.multi_label import LABELS, LOSSES, batch


def value_and_gradient(call: Any, rows: int) -> tuple[float, np.ndarray]:
    z, t, s = batch(rows)
    logits = torch.tensor(z, dtype=torch.float32, requires_grad=True)
    value = call(logits, torch.tensor(t), torch.tensor(s, dtype=torch.float32))
    value.backward()
    return value.item(), logits.grad.numpy()


@pytest.mark.parametrize("name", LOSSES)
def test_one_graph_for_every_number_of_rows(name: str) -> None:
    torch._dynamo.reset()
    loss = LOSSES[name].replace(ignore_index=-1)
    counter = CompileCounter()
    module = sy.torch.Loss(loss)
    call = torch.compile(module, backend=counter, fullgraph=True, dynamic=True)
    for rows in (7, 5, 12):
        z, t, s = batch(rows)
        value, gradient = value_and_gradient(call, rows)
        assert value == pytest.approx(float(loss(z, t, s)), rel=1e-5)
        np.testing.assert_allclose(gradient, value_and_gradient(module, rows)[1], rtol=1e-4, atol=1e-6)
        assert (gradient[t == -1] == 0).all()
    assert counter.frame_count == 1


def test_assign_switches_within_a_family_and_says_when_it_cannot() -> None:
    z, t, s = batch()
    module = sy.torch.Loss(sy.losses.binary_cross_entropy(ignore_index=-1), n_classes=LABELS)
    for name in ("asymmetric", "distribution_balanced", "equalization_v2"):
        loss = LOSSES[name].replace(ignore_index=-1)
        module.assign(loss)
        got = module(torch.tensor(z), torch.tensor(t), torch.tensor(s))
        assert got.item() == pytest.approx(float(loss(z, t, s)), rel=1e-12)
        assert module.loss.to_dict().keys() == loss.to_dict().keys()
    for name in ("zlpr", "two_way"):
        with pytest.raises(InputError, match="SigmoidCrossEntropy to assign; got .*build another module"):
            module.assign(LOSSES[name])
    narrow = sy.torch.Loss(sy.losses.binary_cross_entropy())
    with pytest.raises(InputError, match=r"one with `gamma_neg`.*n_classes=…"):
        narrow.assign(LOSSES["asymmetric"])
    two = sy.torch.Loss(sy.losses.two_way(), n_classes=LABELS)
    two.assign(sy.losses.two_way(2.0, 3.0))
    assert two.loss == sy.losses.two_way(2.0, 3.0)


def test_sums_of_gradients_follow_training() -> None:
    # EQL v2 in a loop: the state gives the loss of the next step, and no module is made anew
    z, t, _ = batch(30)
    t = np.maximum(t, 0)
    balance = sy.losses.GradientBalance(LABELS)
    module = sy.torch.Loss(balance.loss(), n_classes=LABELS)
    for part in np.split(np.arange(30), 3):
        logits, targets = torch.tensor(z[part]), torch.tensor(t[part])
        assert module(logits, targets).item() == pytest.approx(float(balance.loss()(z[part], t[part])), rel=1e-12)
        balance.update(logits, targets)
        module.assign(balance.loss())
    assert (balance.positive > 0).all()
