"""What other libraries get wrong on imbalanced data, what Steelyard gives, and the exact value, on the same numbers.

    python benchmarks/accuracy/others_errors.py                 # writes the guide and results/others_errors.json
    pip install --no-deps --target DIR torchvision monai libauc imbalance-xgboost balanced-loss
    python benchmarks/accuracy/others_errors.py --peers DIR     # with libraries that are not installed here

A case whose library is missing keeps the figures of the version that it was last run with. Where a library has mended
an error meanwhile, its figure says so: nothing here is expected to be wrong but by being run.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import textwrap
import warnings
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import steelyard as sy

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results" / "others_errors.json"
PAGE = HERE.parent.parent / "docs" / "guides" / "what_other_libraries_get_wrong.md"

# what, theirs (or the name of an error), ours (None where there is no such loss yet), exact
Rows = list[tuple[str, float | str, float | None, float]]


class Case(NamedTuple):
    item: str  # of the list of eight
    key: str
    package: str
    call: str  # what of theirs is called
    measure: Callable[[], Rows]
    note: str
    source: str


CASES: list[Case] = []


def case(item: str, package: str, call: str, note: str, source: str) -> Callable[[Any], Any]:
    def register(measure: Callable[[], Rows]) -> Callable[[], Rows]:
        CASES.append(Case(item, measure.__name__, package, call, measure, note, source))
        return measure

    return register


ITEMS = {
    "1": "A weighted mean has four meanings, and one of them is biased in small batches",
    "2": "A weighted mean over micro-batches or ranks is not the mean",
    "3": "A batch in which every row is ignored",
    "4": "Focal loss: gradients that are NaN, and worst mistakes that teach nothing",
    "5": "A small loss in single precision",
    "6": "Keras: class weights on dense and multi-label targets, and Tversky's α and β",
    "7": "Boosting: a second derivative that is negative, and a start that is left out",
    "8": "Broadcasting, overflow and a power of the wrong thing",
}

# --- 1: means --------------------------------------------------------------------------------------------------------

Z = np.array([[2.0, -1.0], [0.5, 0.0], [1.5, 0.3], [-0.2, 0.4], [1.0, 3.0], [3.0, 0.0]])
Y = np.array([0, 0, 0, 0, 1, 1])
W = np.array([0.6, 9.0])


def nll(z: Any, y: Any) -> Any:
    """Return −log softmax(z)_y in float64, by the book."""
    z = np.asarray(z, np.float64)
    return (
        np.log(np.exp(z - z.max(-1, keepdims=True)).sum(-1))
        + z.max(-1)
        - np.take_along_axis(z, y[..., None], -1)[..., 0]
    )


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


# --- 6: Keras --------------------------------------------------------------------------------------------------------


def keras_fit(loss: Any, z: Any, y: Any, class_weight: dict[int, float]) -> float:
    """Return the loss that `fit(class_weight=...)` reports of a model that returns its input."""
    import keras

    inputs = keras.Input(z.shape[1:])
    model = keras.Model(inputs, keras.layers.Activation("linear")(inputs))
    model.compile(optimizer=keras.optimizers.SGD(0.0), loss=loss)
    history = model.fit(z, y, batch_size=len(z), class_weight=class_weight, verbose=0, shuffle=False)
    return float(history.history["loss"][0])


@case(
    "6",
    "keras",
    "`fit(class_weight={0: 1, 1: 9})`, integer targets (N, T), one per step or pixel",
    "A row of T class indices is taken for one one-hot row, whose arg max is looked up as if it were a class. That "
    "weight of a row then meets losses of shape (N, T): an error, or where N = T wrong numbers, silently. Exact is the "
    'mean over all positions, each with the weight of its class; ours has `denominator="rows"`.',
    "[tensorflow#48555](https://github.com/tensorflow/tensorflow/issues/48555)",
)
def keras_dense_class_weight() -> Rows:
    import keras

    w, rows = np.array([1.0, 9.0]), []
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    for steps in (4, 3):
        z = np.random.default_rng(0).normal(size=(4, steps, 2)).astype(np.float32)
        y = np.array([[0, 0, 1, 0], [0, 1, 0, 0], [0, 0, 0, 0], [1, 0, 0, 1]])[:, :steps]
        try:
            theirs: float | str = keras_fit(loss, z, y, {0: 1.0, 1: 9.0})
        except Exception as error:  # whatever the backend says of shapes that do not fit
            theirs = type(error).__name__
        ours = float(sy.losses.weighted_cross_entropy(w)(z, y, class_axis=-1, denominator="rows"))
        rows.append((f"4 rows of {steps} steps", theirs, ours, float((w[y] * nll(z, y)).mean())))
    return rows


@case(
    "6",
    "keras",
    "`fit(class_weight={0: 1, 1: 9, 2: 3})`, three labels per row",
    "The weight of the first label that a row has is taken for all of its labels, silently. Exact: each label with its "
    "own weight.",
    "keras/src/trainers/data_adapters: class_weight_to_sample_weights",
)
def keras_multi_label_class_weight() -> Rows:
    import keras

    z = np.random.default_rng(1).normal(size=(4, 3)).astype(np.float32)
    y, w = np.array([[1, 1, 0], [0, 1, 1], [1, 0, 1], [0, 0, 0]], np.float32), np.array([1.0, 9.0, 3.0])
    theirs = keras_fit(keras.losses.BinaryCrossentropy(from_logits=True), z, y, {0: 1.0, 1: 9.0, 2: 3.0})
    ours = float(sy.losses.SigmoidCrossEntropy(class_weight=w)(z, y, denominator="rows"))
    each = np.logaddexp(0.0, -z.astype(np.float64)) * y + np.logaddexp(0.0, z.astype(np.float64)) * (1 - y)
    return [("mean of w·ℓ", theirs, ours, float((w * each).mean()))]


@case(
    "6",
    "keras",
    "`Tversky(alpha=0.9, beta=0.1)`: the documentation says α for false positives, β for false negatives",
    "One row with a false positive and none missed, and one the other way round. Exact is 1 − TP/(TP + α FP + β FN).",
    "[keras#23333](https://github.com/keras-team/keras/pull/23333), merged after this version; Salehi et al. 2017",
)
def keras_tversky() -> Rows:
    import keras

    rows: Rows = []
    for name, true, pred in (("one false positive", [1.0, 0.0], [1.0, 1.0]), ("one missed", [1.0, 1.0], [1.0, 0.0])):
        t, p = np.array(true), np.array(pred)
        tp, fp, fn = (t * p).sum(), ((1 - t) * p).sum(), (t * (1 - p)).sum()
        theirs = float(keras.losses.Tversky(alpha=0.9, beta=0.1)(t[None], p[None]))
        rows.append((name, theirs, None, 1 - tp / (tp + 0.9 * fp + 0.1 * fn)))
    return rows


# --- 7: boosting -----------------------------------------------------------------------------------------------------


def mistaken(n: int = 40) -> tuple[Any, Any, Any]:
    """Return positive rows that a model is sure are negative: two groups, of different logits."""
    X = np.repeat([[0.0], [1.0]], n // 2, axis=0)
    return X, np.ones(n), np.repeat([-4.0, -3.0], n // 2)


def focal_derivatives(r: Any) -> tuple[Any, Any]:
    """Return the true derivatives of the focal loss at γ = 2 of positive rows: what a hand-written objective has."""
    p = 1.0 / (1.0 + np.exp(-r))
    u, n = 1.0 - p, -np.log(p)
    g = -(u**2) * (2 * p * n + u)
    # d/dr of −u² (2 p n + u), with du/dr = −p u, dp/dr = p u, dn/dr = −u
    h = 2 * p * u**2 * (2 * p * n + u) - u**2 * (2 * p * u * n - 2 * p * u - p * u)
    return g, h


@case(
    "7",
    "xgboost",
    "a hand-written focal objective with its true second derivative, γ = 2, positive rows at r = −4 and −3",
    "The true second derivative of confident mistakes is negative: XGBoost splits nothing on a negative sum, and the "
    "tree is empty. Ours gives a bound that is positive, and says that it is one; the exact column has the true "
    "value, and the least that the loss can be.",
    "xgboost: custom objectives",
)
def xgboost_focal() -> Rows:
    import xgboost

    X, y, start = mistaken()
    ours = sy.boosting.xgboost(sy.losses.focal(gamma=2.0))
    left = []
    for objective in (lambda raw, _: focal_derivatives(raw), ours):
        data = xgboost.DMatrix(X, y, base_margin=start)
        booster = xgboost.train({"base_score": 0, "eta": 1.0, "nthread": 1}, data, 1, obj=objective)
        p = 1.0 / (1.0 + np.exp(-booster.predict(data, output_margin=True).astype(np.float64)))
        left.append(float((-((1 - p) ** 2) * np.log(p)).mean()))
    h = float(ours.gradient_and_curvature(np.array([-4.0]), np.array([1]))[1][0])
    exact = float(focal_derivatives(np.array([-4.0]))[1][0])
    return [
        ("second derivative at r = −4", exact, h, exact),
        ("mean loss after one tree; 3.3 before", left[0], left[1], 0.0),
    ]


@case(
    "7",
    "lightgbm",
    "cross-entropy as a custom objective against LightGBM's own `binary`, 20 trees",
    "A custom objective starts at 0, without boost_from_average; ours gives the score to start from. Counted: the "
    "largest difference between predicted probabilities and those of the built-in objective.",
    "[LightGBM#7193](https://github.com/lightgbm-org/LightGBM/issues/7193)",
)
def lightgbm_start() -> Rows:
    import lightgbm as lgb

    rng = np.random.default_rng(0)
    y = (rng.random(2000) < 0.05).astype(int)
    X = rng.normal(size=(2000, 4)) + y[:, None]
    settings = {"num_threads": 1, "deterministic": True, "force_row_wise": True, "verbose": -1, "seed": 0}
    built_in = lgb.train({**settings, "objective": "binary"}, lgb.Dataset(X, y), 20).predict(X)

    def plain(raw: Any, data: Any) -> tuple[Any, Any]:
        p = 1.0 / (1.0 + np.exp(-raw))
        return p - data.get_label(), p * (1.0 - p)

    theirs = lgb.train({**settings, "objective": plain}, lgb.Dataset(X, y), 20).predict(X, raw_score=True)
    objective = sy.boosting.lightgbm(sy.losses.cross_entropy())
    start = objective.start(np.bincount(y), len(y))
    ours = lgb.train({**settings, "objective": objective}, lgb.Dataset(X, y, init_score=start), 20)
    proba = objective.posterior(ours.predict(X, raw_score=True) + start)[:, 1]
    return [
        (
            "largest difference",
            float(np.abs(1.0 / (1.0 + np.exp(-theirs)) - built_in).max()),
            float(np.abs(proba - built_in).max()),
            0.0,
        )
    ]


# --- 8: shapes and numbers -------------------------------------------------------------------------------------------


@case(
    "8",
    "libauc",
    "`FocalLoss(alpha=0.25, gamma=2)(z, y)`, z and y of shape (N, 1)",
    "Weights of shape (N,) meet losses of shape (N, 1): every weight multiplies every row.",
    "libauc/losses/losses.py: `at*(1-pt)**self.gamma * BCE_loss`",
)
def libauc_focal() -> Rows:
    import torch
    from libauc.losses import FocalLoss

    z, y = np.array([2.0, 0.0, -1.0, -3.0]), np.array([1.0, 0.0, 0.0, 1.0])
    theirs = float(
        FocalLoss(device=torch.device("cpu"))(torch.tensor(z).float()[:, None], torch.tensor(y).float()[:, None])
    )
    p_true = np.where(y == 1, 1 / (1 + np.exp(-z)), 1 / (1 + np.exp(z)))
    # LibAUC's α is the weight of class 0
    alpha = np.where(y == 0, 0.25, 0.75)
    exact = float((alpha * (1 - p_true) ** 2 * -np.log(p_true)).mean())
    ours = float(sy.losses.sigmoid_focal(gamma=2.0, alpha=0.75)(z, y, denominator="rows"))
    return [("mean of four rows", theirs, ours, exact)]


class _Labels:
    """What an objective asks of an xgboost.DMatrix."""

    def __init__(self, y: Any) -> None:
        self.y = y

    def get_label(self) -> Any:
        return self.y


@case(
    "8",
    "imbalance-xgboost",
    "`Focal_Binary_Loss(gamma_indct=2).focal_binary_object(r, data)`, negative rows at r",
    "The second derivative of the worst false alarm divides by 1 − p, which is 0: one such row makes its leaf NaN.",
    "imxgboost/focal_loss.py: `/ g4`",
)
def imbalance_xgboost_focal() -> Rows:
    from imxgboost.focal_loss import Focal_Binary_Loss

    rows: Rows = []
    ours = sy.boosting.xgboost(sy.losses.focal(gamma=2.0))
    for r in (30.0, 40.0):
        raw, y = np.array([r]), np.array([0.0])
        with np.errstate(all="ignore"):
            g, h = Focal_Binary_Loss(2.0).focal_binary_object(raw, _Labels(y))
        own = ours.gradient_and_curvature(raw, y)
        u, n = 1.0 / (1.0 + math.exp(-r)), math.log1p(math.exp(r))  # u: probability of the mistake
        q = 1.0 / (1.0 + math.exp(r))
        rows.append((f"gradient at r = {r:g}", float(g[0]), float(own[0][0]), u**2 * (2 * q * n + u)))
        rows.append((f"finite second derivative at r = {r:g}", float(np.isfinite(h[0])), float(own[1][0] > 0), 1.0))
    return rows


@case(
    "8",
    "torch",
    "the focal loss of many pages: `ce = F.cross_entropy(z, y, weight=w, reduction='none'); pt = exp(-ce)`",
    "With weights exp(−ce) is p^w, no probability: a rare class is focused less. A pattern, not a library; exact "
    "is w (1 − p)^γ (−log p).",
    "Lin et al. 2017, eq. 5",
)
def power_of_the_weight() -> Rows:
    import torch

    rows: Rows = []
    for w in (1.0, 9.0):
        z, y, weight = np.array([[0.0, 1.0]]), np.array([1]), np.array([1.0, w])
        ce = torch.nn.functional.cross_entropy(torch.tensor(z), torch.tensor(y), torch.tensor(weight), reduction="none")
        theirs = float((1 - torch.exp(-ce)) ** 2 * ce)
        p = 1 / (1 + math.exp(-1.0))
        ours = float(sy.losses.focal(gamma=2.0, class_weight=weight, reduction="none")(z, y)[0])
        rows.append((f"w = {w:g}, z = (0, 1)", theirs, ours, w * (1 - p) ** 2 * -math.log(p)))
    return rows


# --- results and the page --------------------------------------------------------------------------------------------


def installed(one: Case) -> str | None:
    """Return the version of a case's package, None where there is none."""
    for name in (one.package, f"{one.package}-cpu"):
        try:
            return version(name)
        except PackageNotFoundError:
            continue
    return None


def measured(one: Case) -> dict[str, Any]:
    """Run a case."""
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # theirs
        rows = one.measure()
    return {
        "package": one.package,
        "version": installed(one),
        "rows": [dict(zip(("what", "theirs", "ours", "exact"), map(_json, row), strict=True)) for row in rows],
    }


def _json(value: float | str | None) -> float | str | None:
    return "NaN" if isinstance(value, float) and math.isnan(value) else value


def stored() -> dict[str, Any]:
    """Return the results of the last run."""
    return dict(json.loads(RESULTS.read_text(encoding="utf-8"))) if RESULTS.exists() else {}


def figure(value: float | str | None) -> str:
    if value is None:
        return "—"
    if isinstance(value, str):
        return value
    return "0" if value == 0 else f"{value:.4g}" if abs(value) < 1e4 else f"{value:.3e}"


_WHOLE: Any = {"break_on_hyphens": False, "break_long_words": False}
OPENING = """# What other libraries get wrong

Losses for imbalanced data are easy to write and hard to get right. Each case below runs another library and Steelyard
on the same numbers, beside the exact value, in float64 or by hand. Written by
[benchmarks/accuracy/others_errors.py](../../benchmarks/accuracy/others_errors.py), which a test runs again; where a
library mends an error, its column will say so.

The first of them, to try:

```python
>>> import numpy as np, steelyard as sy
>>> z = np.array([[2.0, -1.0], [0.5, 0.0], [1.5, 0.3], [-0.2, 0.4], [1.0, 3.0], [3.0, 0.0]])
>>> y, w = np.array([0, 0, 0, 0, 1, 1]), np.array([0.6, 9.0])
>>> loss = sy.losses.weighted_cross_entropy(w)
>>> print(f"{loss(z, y):.4f}")                             # Σ w·ℓ / Σ w, for integers, one-hot and soft targets alike
1.4546
>>> print(f"{loss(z, y, denominator='rows'):.4f}")         # as Keras divides, by name
4.9456
```

`sy.explain(loss, counts)` warns of such things in your own training: double corrections, means over small batches,
gradients that are dead, weights that are upside down.
"""


def page(results: dict[str, Any]) -> str:
    """Return the guide as Markdown."""
    lines = [OPENING]
    for item, title in ITEMS.items():
        lines += [f"## {item}. {title}", ""]
        for one in (c for c in CASES if c.item == item):
            lines += [*textwrap.wrap(f"**{one.package}**: {one.call}", 120, **_WHOLE), ""]
            result = results.get(one.key)
            if result is None:
                lines += ["Not run: the library could not be installed.", ""]
                continue
            name = f"{one.package} {result['version'].partition('+')[0]}"
            lines += [f"| | {name} | Steelyard | exact |", "|---|---:|---:|---:|"]
            for row in result["rows"]:
                cells = [figure(row["theirs"]), figure(row["ours"]), figure(row["exact"])]
                lines.append(f"| {row['what']} | {' | '.join(cells)} |")
            lines += ["", *textwrap.wrap(f"{one.note} Source: {one.source}.", 120, **_WHOLE), ""]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peers", type=Path, help="a folder with more libraries (pip install --no-deps --target)")
    asked = parser.parse_args()
    if asked.peers is not None:
        sys.path.append(str(asked.peers))
    results = stored()
    for one in CASES:
        if installed(one) is None:
            print(f"{one.key}: {one.package} is not installed; kept as it was")
            continue
        try:
            results[one.key] = measured(one)
        except (ImportError, RuntimeError) as error:
            print(f"{one.key}: {one.package} does not load ({error}); kept as it was")
            continue
        print(f"{one.key}: {one.package} {results[one.key]['version']}")
        for row in results[one.key]["rows"]:
            print("   ", row["what"], *(figure(row[name]) for name in ("theirs", "ours", "exact")), sep="  ")
    RESULTS.write_text(
        json.dumps({c.key: results[c.key] for c in CASES if c.key in results}, indent=1, allow_nan=False) + "\n",
        "utf-8",
    )
    PAGE.write_text(page(results), encoding="utf-8")


if __name__ == "__main__":
    main()
