"""Items 6 to 8: Keras in fit, boosting, shapes and powers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

import steelyard as sy

from .cases import Rows, case, nll

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
