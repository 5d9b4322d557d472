"""Items 1 to 5: means and sums, ignored rows, focal losses, small losses."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import steelyard as sy

from .cases import Rows, case, nll

# --- 1: means --------------------------------------------------------------------------------------------------------

Z = np.array([[2.0, -1.0], [0.5, 0.0], [1.5, 0.3], [-0.2, 0.4], [1.0, 3.0], [3.0, 0.0]])
Y = np.array([0, 0, 0, 0, 1, 1])
W = np.array([0.6, 9.0])


def weighted_mean() -> float:
    return float((W[Y] * nll(Z, Y)).sum() / W[Y].sum())


def ours_mean() -> float:
    return float(sy.losses.weighted_cross_entropy(W)(Z, Y))


@case(
    "1",
    "torch",
    "`F.cross_entropy(z, y, weight=w)`, y integers and the same y as one-hot rows",
    "The same rows, weights and targets: for integers torch divides by Σ w, for one-hot targets by the number of rows.",
    "pytorch: documentation of CrossEntropyLoss, reduction 'mean'",
)
def torch_means() -> Rows:
    import torch
    from torch.nn.functional import cross_entropy, one_hot

    z, y, w = torch.tensor(Z), torch.tensor(Y), torch.tensor(W)
    return [
        ("integer targets", float(cross_entropy(z, y, w)), ours_mean(), weighted_mean()),
        (
            "one-hot targets",
            float(cross_entropy(z, one_hot(y).double(), w)),
            float(sy.losses.weighted_cross_entropy(W)(Z, np.eye(2)[Y])),
            weighted_mean(),
        ),
    ]


@case(
    "1",
    "keras",
    "`SparseCategoricalCrossentropy(from_logits=True)(y, z, sample_weight=w[y])`",
    'Keras divides by the number of rows, whatever the weights: `denominator="rows"` of ours.',
    "keras: reduction sum_over_batch_size",
)
def keras_mean() -> Rows:
    import keras

    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True, dtype="float64")
    return [("integer targets", float(loss(Y, Z, sample_weight=W[Y])), ours_mean(), weighted_mean())]


@case(
    "1",
    "tensorflow",
    "`tf.compat.v1.losses.sparse_softmax_cross_entropy(y, z, weights=w[y])`",
    "TensorFlow 1 divides by the count of weights that are not 0.",
    "tensorflow: Reduction.SUM_BY_NONZERO_WEIGHTS",
)
def tensorflow_mean() -> Rows:
    import tensorflow as tf

    keep = np.array([1.0, 1.0, 0.0, 0.0, 1.0, 1.0])  # two rows masked
    s = W[Y] * keep
    theirs = float(tf.compat.v1.losses.sparse_softmax_cross_entropy(Y, Z, weights=s))
    ours = float(sy.losses.weighted_cross_entropy(W)(Z, Y, sample_weight=keep))
    return [("two rows masked", theirs, ours, float((s * nll(Z, Y)).sum() / s.sum()))]


@case(
    "1",
    "torch",
    "`F.cross_entropy(z, y, weight=balanced)` on batches of 98 % and 2 %",
    "The share of the loss that falls on the rare class, on average over batches. Balanced weights ask for one half; a "
    "batch without rare rows is divided by less. Ours has `denominator=batch · Σ π_c w_c`; `sy.explain` warns.",
    "arithmetic: E[k w₁ / (k w₁ + (B − k) w₀)], k binomial",
)
def share_of_the_rare_class() -> Rows:
    import torch
    from torch.nn.functional import cross_entropy

    w = np.array([1000 / (2 * 980), 1000 / (2 * 20)])
    loss = sy.losses.weighted_cross_entropy(w)
    rows: Rows = []
    for batch in (1, 8, 32, 256):
        theirs = ours = 0.0
        for k in range(batch + 1):
            p = math.comb(batch, k) * 0.02**k * 0.98 ** (batch - k)
            if p < 1e-12:
                continue
            y = np.repeat([1, 0], [k, batch - k])
            # rare rows have a loss of ln 2, common ones none: the loss is the rare share, times ln 2
            z = np.where((y == 1)[:, None], 0.0, np.array([200.0, 0.0]))
            theirs += p * float(cross_entropy(torch.tensor(z), torch.tensor(y), torch.tensor(w))) / math.log(2)
            ours += p * float(loss(z, y, denominator=batch * float(w @ [0.98, 0.02]))) / math.log(2)
        rows.append((f"batches of {batch}", theirs, ours, 0.5))
    return rows


# --- 2 and 3: sums ---------------------------------------------------------------------------------------------------


@case(
    "2",
    "torch",
    "the mean of `F.cross_entropy(z, y, weight=w)` over micro-batches, as gradient accumulation and DDP do",
    "Ours adds numerators and denominators (`loss.numerator_and_denominator`), or passes the whole denominator in; an "
    "empty micro-batch counts for nothing.",
    "[pytorch#72047](https://github.com/pytorch/pytorch/issues/72047)",
)
def micro_batches() -> Rows:
    import torch
    from torch.nn.functional import cross_entropy

    loss = sy.losses.weighted_cross_entropy(W)
    rows: Rows = []
    for name, cuts in (("3 of 2 rows", [2, 4]), ("2 of 4 and 2 rows", [4])):
        parts = np.split(np.arange(6), cuts)
        theirs = np.mean([float(cross_entropy(torch.tensor(Z[i]), torch.tensor(Y[i]), torch.tensor(W))) for i in parts])
        sums = np.sum(
            [[float(v) for v in loss.numerator_and_denominator(Z[i], Y[i])] for i in [*parts, parts[0][:0]]], 0
        )
        rows.append((name, float(theirs), float(sums[0] / sums[1]), weighted_mean()))
    return rows


@case(
    "3",
    "torch",
    "`F.cross_entropy(z, y)`, every y the ignore_index",
    "A mean over nothing: NaN in torch, and with it every sum that it is added to; 0 in Steelyard.",
    "[pytorch#70348](https://github.com/pytorch/pytorch/issues/70348)",
)
def all_ignored() -> Rows:
    import torch
    from torch.nn.functional import cross_entropy

    y, values = torch.full((6,), -100), []
    for call in (cross_entropy, sy.losses.cross_entropy(ignore_index=-100)):
        z = torch.tensor(Z, requires_grad=True)
        value = call(z, y)
        value.backward()
        values.append((float(value), float(z.grad.abs().sum())))
    return [(name, values[0][i], values[1][i], 0.0) for i, name in enumerate(("loss", "sizes of gradients, summed"))]


# --- 4: focal --------------------------------------------------------------------------------------------------------


def focal_slope(z: float, gamma: float) -> float:
    """Return ∂/∂z of (1 − p)^γ (−log p), p = σ(z), in float64: −u^γ (γ p n + u), u = 1 − p, n = −log p."""
    u, n = 1.0 / (1.0 + math.exp(z)), math.log1p(math.exp(-z))
    return -(u**gamma) * (gamma * (1.0 - u) * n + u)


def our_focal_slope(z: float, gamma: float) -> float:
    """Return what torch gets from our binary focal loss in float32."""
    import torch

    x = torch.tensor([z], requires_grad=True)
    sy.losses.sigmoid_focal(gamma=gamma, alpha=None, reduction="sum")(x, torch.ones(1)).backward()
    return float(x.grad[0])


POINTS = ((0.5, 20.0), (0.5, 40.0), (2.0, -30.0))


def focal_rows(slope: Callable[[float, float], float]) -> Rows:
    return [
        (f"γ = {gamma:g}, z = {z:g}", slope(z, gamma), our_focal_slope(z, gamma), focal_slope(z, gamma))
        for gamma, z in POINTS
    ]


def from_torchvision() -> Any:
    """Return torchvision's loss; where its compiled part does not load (a wheel for CUDA), the one file alone."""
    import importlib.util
    from types import ModuleType

    try:
        from torchvision.ops import sigmoid_focal_loss
    except RuntimeError:
        root = Path(importlib.util.find_spec("torchvision").submodule_search_locations[0])
        for name, folder in (("torchvision", root), ("torchvision.ops", root / "ops")):
            sys.modules[name] = ModuleType(name)
            sys.modules[name].__path__ = [str(folder)]
        sys.modules["torchvision.utils"] = ModuleType("torchvision.utils")
        sys.modules["torchvision.utils"]._log_api_usage_once = lambda _: None
        from torchvision.ops.focal_loss import sigmoid_focal_loss
    return sigmoid_focal_loss


@case(
    "4",
    "torchvision",
    "gradient of `sigmoid_focal_loss(z, 1, alpha=-1, gamma)`",
    "A power of 1 − p has an infinite derivative at p = 1, for γ < 1.",
    "torchvision/ops/focal_loss.py; the same in optax was mended ([optax#1267](https://github.com/google-deepmind/optax/issues/1267))",
)
def torchvision_focal() -> Rows:
    import torch

    sigmoid_focal_loss = from_torchvision()

    def slope(z: float, gamma: float) -> float:
        x = torch.tensor([z], requires_grad=True)
        sigmoid_focal_loss(x, torch.ones(1), -1, gamma).sum().backward()
        return float(x.grad[0])

    return focal_rows(slope)


@case(
    "4",
    "monai",
    "gradient of `FocalLoss(gamma, use_softmax=True)`, logits (0, z)",
    "Its sigmoid form is written in log space and is right; the softmax form takes the power of 1 − p.",
    "monai/losses/focal_loss.py, softmax_focal_loss",
)
def monai_focal() -> Rows:
    import torch
    from monai.losses import FocalLoss

    def slope(z: float, gamma: float) -> float:
        x = torch.tensor([[0.0, z]], requires_grad=True)
        # the mean over two classes, of which only the true one has a loss
        (2.0 * FocalLoss(gamma=gamma, use_softmax=True)(x, torch.tensor([[0.0, 1.0]]))).backward()
        return float(x.grad[0, 1])

    return focal_rows(slope)


def keras_slope(loss: Any, activation: str | None) -> Callable[[float, float], float]:
    import tensorflow as tf

    def slope(z: float, gamma: float) -> float:
        x = tf.constant([[z]], tf.float32)
        with tf.GradientTape() as tape:
            tape.watch(x)
            # two classes of which the second is the true one: logits 0 and z
            pred = tf.concat([tf.zeros_like(x), x], 1) if loss.__name__.startswith("Categorical") else x
            true = tf.constant([[0.0, 1.0]]) if loss.__name__.startswith("Categorical") else tf.ones_like(x)
            if activation is not None:
                pred = tf.nn.softmax(pred) if pred.shape[1] == 2 else tf.sigmoid(pred)
            focal = {"gamma": gamma} if "Focal" in loss.__name__ else {}
            whole = {"alpha": 1.0} if loss.__name__ == "CategoricalFocalCrossentropy" else {}
            value = loss(from_logits=activation is None, reduction="sum", **focal, **whole)(true, pred)
        return float(tape.gradient(value, x)[0, 0])

    return slope


@case(
    "4",
    "keras",
    "gradient of `BinaryFocalCrossentropy(from_logits=True)`",
    "With logits the worst mistakes are alive; γ < 1 is NaN where p rounds to 1.",
    "keras/src/losses: binary_focal_crossentropy, power(1 − p_t, γ)",
)
def keras_binary_focal() -> Rows:
    import keras

    return focal_rows(keras_slope(keras.losses.BinaryFocalCrossentropy, None))


@case(
    "4",
    "keras",
    "gradient of `CategoricalFocalCrossentropy(from_logits=True, alpha=1)`, logits (0, z)",
    "Probabilities are clipped at 1e-7 even when logits are given: beyond a gap of 16 the gradient is 0.",
    "keras/src/losses: categorical_focal_crossentropy, clip(ε, 1 − ε)",
)
def keras_categorical_focal() -> Rows:
    import keras

    return focal_rows(keras_slope(keras.losses.CategoricalFocalCrossentropy, None))


@case(
    "4",
    "keras",
    "gradient of `BinaryCrossentropy()` on sigmoid outputs, as most tutorials have it",
    "A positive row at z: the exact slope is σ(z) − 1. Clipped probabilities end all learning from it at 16.",
    "keras/src/backend: clip(output, epsilon, 1 − epsilon)",
)
def keras_clipped() -> Rows:
    import keras
    import torch

    slope, rows = keras_slope(keras.losses.BinaryCrossentropy, "sigmoid"), []
    for z in (-10.0, -20.0, -30.0):
        x = torch.tensor([z], requires_grad=True)
        sy.losses.binary_cross_entropy(reduction="sum")(x, torch.ones(1)).backward()
        rows.append((f"z = {z:g}", slope(z, 0.0), float(x.grad[0]), -1.0 / (1.0 + math.exp(z))))
    return rows


# --- 5: small losses -------------------------------------------------------------------------------------------------


@case(
    "5",
    "torch",
    "`F.cross_entropy` in float32, 1000 classes, the true logit ahead by a gap",
    "log Σ e^z holds the target already: what is left of the others is rounded away. Ours leaves the target out of the "
    "sum and uses log1p ([page](../decisions/0004-leave-one-class-out-of-the-sum.md), with TensorFlow and optax).",
    "benchmarks/accuracy/small_losses.py",
)
def small_losses() -> Rows:
    import torch

    rows: Rows = []
    for gap in (15.0, 20.0, 30.0):
        z = torch.zeros(1, 1000)
        z[0, 0] = gap
        y = torch.tensor([0])
        theirs = float(torch.nn.functional.cross_entropy(z, y))
        rows.append((f"gap {gap:g}", theirs, float(sy.losses.cross_entropy()(z, y)), math.log1p(999 * math.exp(-gap))))
    return rows
