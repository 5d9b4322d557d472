"""torch.nn.functional as an oracle, and the places where it is not one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch.testing import assert_close

import steelyard as sy

W = torch.tensor([0.4, 1.0, 2.5, 3.1], dtype=torch.float64)


def example(*shape: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64) * 2.0


def same(ours: Any, theirs: Any, z: torch.Tensor, rtol: float = 1e-12) -> None:
    """Value and gradient of two functions of the logits."""
    a, b = z.clone().requires_grad_(True), z.clone().requires_grad_(True)
    x, y = ours(a), theirs(b)
    assert_close(x, y, rtol=rtol, atol=1e-14)
    x.sum().backward()
    y.sum().backward()
    assert_close(a.grad, b.grad, rtol=rtol, atol=1e-14)


@pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
@pytest.mark.parametrize("shape", [(7, 4), (3, 4, 5), (2, 4, 3, 5)])
def test_weighted_cross_entropy_of_indices(reduction: str, shape: tuple[int, ...]) -> None:
    y = torch.randint(0, 4, shape[:1] + shape[2:], generator=torch.Generator().manual_seed(1))
    y.view(-1)[::3] = -100
    loss = sy.losses.weighted_cross_entropy(W.numpy(), ignore_index=-100, reduction=reduction)
    same(lambda z: loss(z, y), lambda z: F.cross_entropy(z, y, W, reduction=reduction), example(*shape))


@pytest.mark.parametrize("weight", [None, W])
def test_soft_targets_are_divided_by_rows_in_torch(weight: torch.Tensor | None) -> None:
    t = torch.softmax(example(7, 4, seed=1), 1)
    loss = sy.losses.SoftmaxCrossEntropy(class_weight=None if weight is None else weight.numpy())
    same(lambda z: loss(z, t, denominator="rows"), lambda z: F.cross_entropy(z, t, weight=weight), example(7, 4))


@pytest.mark.parametrize("form", ["integer", "soft"])
def test_label_smoothing_without_weights(form: str) -> None:
    y: torch.Tensor = torch.arange(7) % 4 if form == "integer" else torch.softmax(example(7, 4, seed=1), 1)
    loss = sy.losses.cross_entropy(label_smoothing=0.1)
    same(lambda z: loss(z, y), lambda z: F.cross_entropy(z, y, label_smoothing=0.1), example(7, 4))


def test_smoothed_mass_is_not_weighted_by_its_own_class() -> None:
    # pytorch#104776: torch gives the mass ε/C of class c the weight w_c; a rare class's weight then multiplies rows
    # of every other class, and the optimum moves. Ours gives the whole row the weight of its true class.
    y, eps = torch.tensor([0]), 0.4
    z = torch.tensor([[2.0, 0.0, 0.0, -1.0]], dtype=torch.float64)
    minus_log_p = -torch.log_softmax(z, 1)[0]
    ours = sy.losses.weighted_cross_entropy(W.numpy(), label_smoothing=eps, reduction="sum")(z, y)
    by_hand = W[0] * ((1 - eps) * minus_log_p[0] + eps / 4 * minus_log_p.sum())
    theirs = F.cross_entropy(z, y, W, label_smoothing=eps, reduction="sum")
    theirs_by_hand = (1 - eps) * W[0] * minus_log_p[0] + eps / 4 * (W * minus_log_p).sum()
    assert_close(ours, by_hand)
    assert_close(theirs, theirs_by_hand)
    assert abs(float(ours - theirs)) > 0.5


@pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
@pytest.mark.parametrize("shape", [(7,), (7, 4)])
def test_binary_cross_entropy_with_logits(reduction: str, shape: tuple[int, ...]) -> None:
    t = torch.rand(*shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    v = torch.tensor(3.0, dtype=torch.float64) if len(shape) == 1 else W
    loss = sy.losses.binary_cross_entropy(v.numpy(), reduction=reduction)
    same(
        lambda z: loss(z, t, denominator="rows"),
        lambda z: F.binary_cross_entropy_with_logits(z, t, pos_weight=v, reduction=reduction),
        example(*shape),
    )


def test_binary_cross_entropy_with_a_weight_per_label() -> None:
    t = (example(7, 4, seed=1) > 0).double()
    loss = sy.losses.SigmoidCrossEntropy(pos_weight=W.numpy(), class_weight=[1.0, 2.0, 0.5, 3.0])
    u = torch.tensor([1.0, 2.0, 0.5, 3.0], dtype=torch.float64)
    same(
        lambda z: loss(z, t, denominator="rows"),
        lambda z: F.binary_cross_entropy_with_logits(z, t, weight=u, pos_weight=W),
        example(7, 4),
    )


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_narrow_logits_agree_with_float32_arithmetic(dtype: torch.dtype) -> None:
    z, y = example(64, 4).to(dtype), torch.arange(64) % 4
    ours = sy.losses.weighted_cross_entropy(W.numpy())(z, y)
    assert ours.dtype == torch.float32
    assert_close(ours, F.cross_entropy(z.float(), y, W.float()), rtol=1e-6, atol=0.0)


def test_an_ignored_batch_is_zero_here_and_nan_there() -> None:
    # pytorch#70348
    z, y = example(3, 4).requires_grad_(True), torch.full((3,), -100)
    assert torch.isnan(F.cross_entropy(z, y))
    loss = sy.losses.cross_entropy(ignore_index=-100)(z, y)
    loss.backward()
    assert float(loss.detach()) == 0.0
    assert (z.grad == 0).all()


def test_small_losses_that_torch_rounds_away() -> None:
    # float32, C = 1000: log(1 + tiny) of a sum that already holds the target. The other tests are ours being right;
    # this one says that the difference is real
    z = torch.zeros(1, 1000)
    z[0, 0] = 30.0
    exact = np.log1p(999 * np.exp(-30.0))
    theirs = float(F.cross_entropy(z, torch.tensor([0])))
    ours = float(sy.losses.cross_entropy()(z, torch.tensor([0])))
    assert abs(theirs / exact - 1) > 0.5
    assert abs(ours / exact - 1) < 2e-6
