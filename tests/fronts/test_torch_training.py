"""The exact mean in a loop of one's own, and torch losses inside Lightning and skorch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

import steelyard as sy
from steelyard.errors import InputError
from tests.fronts.points import batch, expected

W = [0.5, 1.5, 4.0]
LOSS = sy.losses.focal(gamma=2.0, class_weight=W)
POINT = {"gamma": 2.0, "class_weight": W}


def net(bias: bool = False) -> torch.nn.Linear:
    torch.manual_seed(0)
    return torch.nn.Linear(3, 3, bias=bias)


def wanted(layer: torch.nn.Linear, rows: int) -> tuple[float, np.ndarray]:
    x, y = batch(rows)
    value, slope = expected(POINT, x @ layer.weight.detach().double().numpy().T, y)
    return value, slope.T @ x


@pytest.mark.parametrize("core", [False, True])
def test_micro_batches(core: bool) -> None:
    layer, (x, y) = net(), batch(24)
    mean = sy.torch.ExactMean(LOSS if core else sy.torch.Loss(LOSS, n_classes=3))
    for _ in range(2):  # it begins anew
        layer.zero_grad()
        for part in (slice(0, 1), slice(1, 7), slice(7, 7), slice(7, 24)):
            mean.add(layer(torch.tensor(x[part], dtype=torch.float32)), torch.tensor(y[part])).backward()
        value = mean.finish(layer.parameters())
        want, gradient = wanted(layer, 24)
        assert value.dtype == torch.float32
        assert value.item() == pytest.approx(want, rel=1e-6)
        np.testing.assert_allclose(layer.weight.grad, gradient, rtol=1e-5, atol=1e-6)


def test_nothing_that_counts_is_a_step_of_0() -> None:
    layer = net()
    mean = sy.torch.ExactMean(sy.torch.Loss(LOSS.replace(ignore_index=-1)))
    mean.add(layer(torch.ones(4, 3)), torch.full((4,), -1)).backward()
    assert mean.finish(layer.parameters()).item() == 0.0
    assert layer.weight.grad.abs().sum() == 0.0
    assert mean.finish(layer.parameters()).item() == 0.0  # nor is one without any part


def test_in_16_bits_under_a_gradient_scaler() -> None:
    layer, (x, y) = net(), batch(24)
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    mean = sy.torch.ExactMean(sy.torch.Loss(LOSS))
    optimizer = torch.optim.SGD(layer.parameters(), lr=1.0)
    want, gradient = wanted(layer, 24)
    before = layer.weight.detach().clone()
    for part in (slice(0, 5), slice(5, 24)):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            numerator = mean.add(layer(torch.tensor(x[part], dtype=torch.float32)), torch.tensor(y[part]))
        scaler.scale(numerator).backward()
    value = mean.finish(layer.parameters())
    scaler.step(optimizer)
    assert value.item() == pytest.approx(want, rel=2e-2)  # bfloat16 logits
    np.testing.assert_allclose(before - layer.weight.detach(), gradient, rtol=0.05, atol=5e-3)


def test_another_criterion() -> None:
    with pytest.raises(InputError, match="a sy.torch.Loss.*got CrossEntropyLoss"):
        sy.torch.ExactMean(torch.nn.CrossEntropyLoss())


# --- Lightning --------------------------------------------------------------------------------------------------


def rare(rows: int = 400) -> tuple[torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(0)
    y = (np.arange(rows) % 20 == 0).astype(np.int64)
    x = rng.normal(size=(rows, 3)) + 2.5 * y[:, None]
    return torch.tensor(x, dtype=torch.float32), torch.tensor(y)


def recalls(logits: torch.Tensor, y: torch.Tensor) -> list[float]:
    return [(logits.argmax(1)[y == c] == c).float().mean().item() for c in (0, 1)]


def fitted(module: Any, loader: Any, path: Path, **settings: Any) -> Any:
    import lightning

    trainer = lightning.Trainer(
        accelerator="cpu",
        devices=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=path,
        **settings,
    )
    trainer.fit(module, loader)
    return trainer


@pytest.mark.filterwarnings("ignore:.*does not have many workers", "ignore:.*smaller than the logging interval")
@pytest.mark.filterwarnings("ignore:.*isinstance.*LeafSpec.*is deprecated")  # Lightning's, of torch
def test_lightning_with_the_loss_as_a_module_and_balanced_batches(tmp_path: Path) -> None:
    import lightning

    x, y = rare()

    class Net(lightning.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.layer = torch.nn.Linear(3, 2)
            self.criterion = sy.torch.Loss(sy.losses.focal(gamma=1.0), n_classes=2)

        def training_step(self, batch: Any, index: int) -> Any:
            return self.criterion(self.layer(batch[0]), batch[1])

        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.parameters(), lr=0.5)

    sampler = sy.torch.BalancedBatchSampler(y, batch_size=40)
    module = Net()
    fitted(module, DataLoader(TensorDataset(x, y), batch_sampler=sampler), tmp_path, max_epochs=5)
    assert sampler.epoch == 5
    assert min(recalls(module.layer(x), y)) > 0.8
    assert "criterion.class_weight" in module.state_dict()


@pytest.mark.filterwarnings("ignore:.*does not have many workers", "ignore:.*smaller than the logging interval")
@pytest.mark.filterwarnings("ignore:.*isinstance.*LeafSpec.*is deprecated")  # Lightning's, of torch
def test_lightning_accumulates_an_exact_mean(tmp_path: Path) -> None:
    import lightning

    class Net(lightning.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.layer, self.mean = net(), sy.torch.ExactMean(sy.torch.Loss(LOSS))
            self.values: list[float] = []

        def training_step(self, batch: Any, index: int) -> Any:
            return self.mean.add(self.layer(batch[0]), batch[1])

        def on_before_optimizer_step(self, optimizer: Any) -> None:
            parts = self.trainer.accumulate_grad_batches
            self.values.append(self.mean.finish(self.parameters(), multiplier=parts).item())

        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.parameters(), lr=1.0)

    x, y = batch(24)
    order = np.argsort(y, kind="stable")  # every micro-batch has another sum of weights
    data = TensorDataset(torch.tensor(x[order], dtype=torch.float32), torch.tensor(y[order]))
    module = Net()
    want, gradient = wanted(module.layer, 24)
    before = module.layer.weight.detach().clone()
    fitted(module, DataLoader(data, batch_size=6), tmp_path, max_epochs=1, accumulate_grad_batches=4)
    assert module.values == pytest.approx([want], rel=1e-6)
    np.testing.assert_allclose(before - module.layer.weight.detach(), gradient, rtol=1e-5, atol=1e-6)


# --- skorch -----------------------------------------------------------------------------------------------------


def test_skorch_with_the_loss_as_its_criterion() -> None:
    from skorch import NeuralNetClassifier

    x, y = rare()
    torch.manual_seed(0)
    counts = sy.ClassCounts.from_labels(y)
    model = NeuralNetClassifier(
        torch.nn.Linear(3, 2),
        criterion=sy.torch.Loss,
        criterion__loss=sy.losses.logit_adjusted(counts),
        lr=0.5,
        max_epochs=60,
        batch_size=100,
        train_split=None,
        verbose=0,
    )
    model.fit(x.numpy(), y.numpy())
    logits = model.forward(x.numpy())
    assert min(recalls(logits, y)) > 0.8
    # its own probabilities are a softmax of the logits; with posterior they are those of the class shares there are
    mean = model.criterion_.posterior(logits)[:, 1].mean().item()
    assert mean == pytest.approx(0.05, abs=0.01)
