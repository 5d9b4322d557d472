"""Every mistake gets one message: what was expected, what came, what to do."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import steelyard as sy
from steelyard.errors import InputError
from tests.conformance.frameworks import FRAMEWORKS, NAMES

CE = sy.losses.cross_entropy()
BCE = sy.losses.binary_cross_entropy()
Z = np.zeros((5, 3))
Y = np.array([0, 1, 2, 1, 0])


def put(x: np.ndarray, at: tuple[int, ...], value: float) -> np.ndarray:
    out = np.array(x)
    out[at] = value
    return out


# --- values, in eager calls of every framework ------------------------------------------------------------------

VALUES: dict[str, tuple[Any, np.ndarray, np.ndarray, str]] = {
    "NaN logit": (
        CE,
        put(Z, (3, 2), np.nan),
        Y,
        r"finite `logits`; got nan in row 3, class 2\. Hint: the model diverged",
    ),
    "infinite logit": (CE, put(Z, (1, 0), np.inf), Y, r"finite `logits`; got inf in row 1, class 0"),
    "−inf at the target": (CE, put(Z, (1, 1), -np.inf), Y, r"finite `logits`; got -inf in row 1, class 1"),
    "target too large": (CE, Z, put(Y, (4,), 3), r"targets in \[0, 2\]; got 3 at row 4.*counts\.encode"),
    "target −1": (CE, Z, put(Y, (2,), -1), r"targets in \[0, 2\]; got -1 at row 2.*ignore_index=-1"),
    "target −100 beside ignore_index": (
        sy.losses.cross_entropy(ignore_index=255),
        Z,
        put(Y, (2,), -100),
        r"targets in \[0, 2\]; got -100 at row 2",
    ),
    "NaN logit of a label": (
        BCE,
        put(Z, (3, 2), np.nan),
        np.zeros((5, 3)),
        r"finite `logits`; got nan in row 3, class 2",
    ),
    "label target above 1": (BCE, Z, put(np.zeros((5, 3)), (1, 2), 2.0), r"targets in \[0, 1\]; got 2 at \(1, 2\)"),
    "label target below 0": (BCE, Z, put(np.zeros((5, 3)), (1, 2), -1.0), r"targets in \[0, 1\]; got -1 at \(1, 2\)"),
    "NaN label target": (BCE, Z, put(np.zeros((5, 3)), (1, 2), np.nan), r"targets in \[0, 1\]; got nan at \(1, 2\)"),
    "negative soft target": (
        CE,
        Z,
        put(np.full((5, 3), 1 / 3), (1, 2), -0.5),
        r"targets in \[0, ∞\); got -0.5 at \(1, 2\)",
    ),
    "NaN soft target": (
        CE,
        Z,
        put(np.full((5, 3), 1 / 3), (1, 2), np.nan),
        r"targets in \[0, ∞\); got nan at \(1, 2\)",
    ),
}


@pytest.mark.parametrize("framework", NAMES)
@pytest.mark.parametrize("what", VALUES)
@pytest.mark.parametrize("reduction", ["mean", "none"])
def test_values(framework: str, what: str, reduction: str) -> None:
    loss, z, y, message = VALUES[what]
    xp = FRAMEWORKS[framework]
    with xp.context("float32"), pytest.raises(InputError, match=message):
        loss.replace(reduction=reduction)(xp.tensor(z, "float32"), xp.tensor(y))


@pytest.mark.parametrize("what", VALUES)
def test_values_in_the_other_methods(what: str) -> None:
    loss, z, y, message = VALUES[what]
    for method in (loss.numerator_and_denominator, loss.gradient, loss.curvature):
        with pytest.raises(InputError, match=message):
            method(z, y)


@pytest.mark.parametrize("framework", NAMES)
@pytest.mark.parametrize("bad", [-0.5, np.nan, np.inf])
def test_sample_weights_below_zero_or_not_finite(framework: str, bad: float) -> None:
    xp = FRAMEWORKS[framework]
    # NumPy warns of ∞ / ∞ on its own before the reason is found
    quiet, message = np.errstate(invalid="ignore"), r"finite `sample_weight` ≥ 0; got .* at \(3,\)"
    with xp.context("float64"), quiet, pytest.raises(InputError, match=message):
        CE(xp.tensor(Z), xp.tensor(Y), sample_weight=xp.tensor(put(np.ones(5), (3,), bad)))


@pytest.mark.parametrize("framework", NAMES)
@pytest.mark.parametrize("bad", [-0.5, np.nan])
def test_class_weights_of_the_call_below_zero_or_nan(framework: str, bad: float) -> None:
    xp = FRAMEWORKS[framework]
    with xp.context("float64"), pytest.raises(InputError, match=r"`class_weight`"):
        CE(xp.tensor(Z), xp.tensor(Y), class_weight=xp.tensor(np.array([1.0, bad, 1.0])))


def test_negative_sample_weights_in_bfloat16() -> None:
    import torch

    s = torch.tensor([1.0, -1.0, 1.0, 1.0, 1.0], dtype=torch.bfloat16)
    with pytest.raises(InputError, match=r"`sample_weight` ≥ 0; got -1 at \(1,\)"):
        CE(torch.zeros(5, 3), torch.tensor(Y), sample_weight=s)


def test_the_position_of_a_pixel_is_named() -> None:
    z = np.zeros((2, 3, 4, 4))
    y = np.zeros((2, 4, 4), dtype=int)
    y[1, 2, 3] = 7
    with pytest.raises(InputError, match=r"targets in \[0, 2\]; got 7 at position \(1, 11\)|\(1, 2, 3\)"):
        CE(z, y)


# --- compiled calls look at nothing and break nothing -----------------------------------------------------------


@pytest.mark.parametrize("framework", ["tensorflow", "jax", "torch"])
def test_compiled_calls_do_not_check(framework: str) -> None:
    if framework == "torch":
        pytest.importorskip("torch._dynamo")
    xp = FRAMEWORKS[framework]
    with xp.context("float32"):
        z = xp.tensor(put(Z, (3, 2), np.nan), "float32")
        if framework == "torch":
            import torch

            f = torch.compile(lambda v, t: CE(v, t), backend="eager", fullgraph=True)
        else:
            f = xp.compiled(lambda v, t: CE(v, t))
        assert np.isnan(float(xp.numbers(f(z, xp.tensor(Y)))))
        good = xp.tensor(Z, "float32")
        assert float(xp.numbers(f(good, xp.tensor(Y)))) == pytest.approx(np.log(3.0), rel=1e-6)
        if framework != "torch":
            f(good, xp.tensor(put(Y, (4,), 3)))  # out of range: whatever comes out, nothing is raised


# --- shapes -----------------------------------------------------------------------------------------------------

SHAPES: dict[str, tuple[Any, Any, Any, str]] = {
    "float targets of classes": (CE, Z, Y.astype(float), r"integer targets.*got dtype.*float.*cast them to integers"),
    "column of targets": (CE, Z, Y[:, None], r"targets of shape \(5,\) or \(5, 3\).*got \(5, 1\)\. Hint: squeeze"),
    "column of binary targets": (BCE, Z[:, 0], Y[:, None], r"targets of shape \(5,\).*got \(5, 1\)\. Hint: squeeze"),
    "other number of rows": (
        CE,
        Z,
        Y[:4],
        r"targets of shape \(5,\) or \(5, 3\) for logits of shape \(5, 3\); got \(4,\)",
    ),
    "other number of classes in one-hot": (CE, Z, np.zeros((5, 4)), r"got \(5, 4\)"),
    "classes on the last axis": (CE, np.zeros((2, 4, 4, 3)), np.zeros((2, 4, 4), int), r"Hint: .*class_axis=-1"),
    "one logit per row": (CE, np.zeros((5, 1)), Y, r"at least two classes; .*SigmoidCrossEntropy"),
    "scalar logits": (CE, np.zeros(()), np.zeros((), int), r"`logits` of shape \(batch, n_classes\); got a scalar"),
    "class axis out of range": (CE, Z, Y, r"`class_axis` in \[-2, 1\] for 2-d logits; got 2"),
    "fewer classes than weights": (
        sy.losses.weighted_cross_entropy([1.0, 2.0, 3.0, 4.0]),
        Z,
        Y,
        r"logits of 4 classes, as `class_weight` has; got 3.*class_axis",
    ),
    "other number of labels": (
        sy.losses.binary_cross_entropy([1.0, 2.0]),
        Z,
        Z,
        r"logits of 2 classes, as `pos_weight` has; got 3",
    ),
}


@pytest.mark.parametrize("framework", NAMES)
@pytest.mark.parametrize("what", SHAPES)
def test_shapes(framework: str, what: str) -> None:
    loss, z, y, message = SHAPES[what]
    xp = FRAMEWORKS[framework]
    extra = {"class_axis": 2} if what == "class axis out of range" else {}
    with xp.context("float32"), pytest.raises(InputError, match=message):
        loss(xp.tensor(z, "float32"), xp.tensor(y), **extra)


@pytest.mark.parametrize("framework", NAMES)
@pytest.mark.parametrize("shape", [(4,), (5, 3), (3, 5), (5, 1, 1)])
def test_sample_weights_of_another_shape(framework: str, shape: tuple[int, ...]) -> None:
    xp = FRAMEWORKS[framework]
    with xp.context("float64"), pytest.raises(InputError, match=r"`sample_weight` of shape \(5,\).*class_weight"):
        CE(xp.tensor(Z), xp.tensor(Y), sample_weight=xp.tensor(np.ones(shape)))


@pytest.mark.parametrize("framework", NAMES)
@pytest.mark.parametrize("shape", [(), (4,), (3, 3), (5, 4), (1, 3)])
def test_class_weights_of_the_call_of_another_shape(framework: str, shape: tuple[int, ...]) -> None:
    xp = FRAMEWORKS[framework]
    with xp.context("float64"), pytest.raises(InputError, match=r"`class_weight` of shape \(3,\) or \(5, 3\)"):
        CE(xp.tensor(Z), xp.tensor(Y), class_weight=xp.tensor(np.ones(shape)))


@pytest.mark.parametrize("weight_by", ["pair", "pair_hard"])
@pytest.mark.parametrize("rows", [3, 5])
def test_pair_weights_are_not_replaced_by_weights_of_classes(weight_by: str, rows: int) -> None:
    loss = sy.losses.weighted_cross_entropy(np.ones((3, 3)), weight_by=weight_by)
    with pytest.raises(InputError, match=r"class_weight"):
        loss(Z[:rows], Y[:rows], class_weight=np.ones(3))


@pytest.mark.parametrize("framework", NAMES)
def test_integer_logits(framework: str) -> None:
    # of other frameworks; NumPy's integers are numbers that somebody typed
    xp = FRAMEWORKS[framework]
    with xp.context("float32"):
        z = xp.tensor(Z.astype(np.int32))
        if framework == "numpy":
            assert float(CE(z, Y)) == pytest.approx(np.log(3.0))
            return
        with pytest.raises(InputError, match="floating-point `logits`; got dtype"):
            CE(z, xp.tensor(Y))


# --- parameters -------------------------------------------------------------------------------------------------

PARAMETERS: dict[str, tuple[Any, str]] = {
    "negative class weight": (
        lambda: sy.losses.weighted_cross_entropy([1.0, -2.0]),
        r"`class_weight` in \[0, ∞\); got -2 at \(1,\)",
    ),
    "NaN class weight": (
        lambda: sy.losses.weighted_cross_entropy([1.0, np.nan]),
        r"`class_weight` in \[0, ∞\); got nan at \(1,\)",
    ),
    "infinite class weight": (lambda: sy.losses.weighted_cross_entropy([1.0, np.inf]), r"got inf at \(1,\)"),
    "a scheme's name": (
        lambda: sy.losses.SoftmaxCrossEntropy(class_weight="balanced"),
        r"`class_weight` as .*; got 'balanced'\. Hint: a scheme needs counts: .*class_weight\('balanced', counts\)",
    ),
    "labels as keys": (
        lambda: sy.losses.weighted_cross_entropy({"a": 1.0, "b": 2.0}),
        r"keys 0 … n_classes − 1; got the keys \['a', 'b'\].*class_weight\(\{label: weight\}, counts\)",
    ),
    "text in an array": (lambda: sy.losses.weighted_cross_entropy(["x", "y"]), r"`class_weight` as \(n_classes,\)"),
    "a number as class weights": (
        lambda: sy.losses.weighted_cross_entropy(2.0),
        r"`class_weight` of shape \(n_classes,\)",
    ),
    "a matrix as class weights": (
        lambda: sy.losses.weighted_cross_entropy(np.ones((2, 2))),
        r"`class_weight` of shape \(n_classes,\); got shape \(2, 2\)",
    ),
    "a pair matrix that is not square": (
        lambda: sy.losses.weighted_cross_entropy(np.ones((2, 3)), weight_by="pair"),
        r"`class_weight` of shape \(n_classes, n_classes\); got shape \(2, 3\)",
    ),
    "pair weights without pairs": (
        lambda: sy.losses.weighted_cross_entropy([1.0, 2.0], weight_by="pair"),
        r"`class_weight` of shape \(n_classes, n_classes\); got shape \(2,\)",
    ),
    "weight_by without weights": (
        lambda: sy.losses.SoftmaxCrossEntropy(weight_by="prediction"),
        r"`class_weight` \(n_classes,\) with weight_by='prediction'; got None",
    ),
    "weight_by pair without weights": (
        lambda: sy.losses.SoftmaxCrossEntropy(weight_by="pair"),
        r"`class_weight` \(n_classes, n_classes\) with weight_by='pair'; got None",
    ),
    "unknown weight_by": (
        lambda: sy.losses.SoftmaxCrossEntropy(weight_by="predicted"),
        r"`weight_by` in \{.*\}; got 'predicted'\. Hint: did you mean 'prediction'",
    ),
    "cost coefficient without costs": (
        lambda: sy.losses.SoftmaxCrossEntropy(cost_coefficient=1.0),
        r"`cost_matrix` with a `cost_coefficient`; got None",
    ),
    "negative costs": (
        lambda: sy.losses.SoftmaxCrossEntropy(cost_matrix=[[0.0, -1.0], [1.0, 0.0]], cost_coefficient=1.0),
        r"`cost_matrix` in \[0, ∞\); got -1 at \(0, 1\)",
    ),
    "unknown reduction": (
        lambda: sy.losses.cross_entropy(reduction="avg"),
        r"`reduction` in \{'mean', 'sum', 'none'\}; got 'avg'",
    ),
    "misspelt reduction": (lambda: sy.losses.cross_entropy(reduction="meen"), r"Hint: did you mean 'mean'"),
    "Keras's name of a reduction": (
        lambda: sy.losses.cross_entropy(reduction="sum_over_batch_size"),
        r"`reduction` in .*; got 'sum_over_batch_size'",
    ),
    "reduction None": (lambda: sy.losses.cross_entropy(reduction=None), r"`reduction` in .*; got None"),
    "negative gamma": (lambda: sy.losses.focal(-1.0), r"`gamma` in \[0, ∞\); got -1"),
    "gamma per class": (lambda: sy.losses.focal([1.0, 2.0]), r"`gamma` of shape a number; got shape \(2,\)"),
    "smoothing of 1": (lambda: sy.losses.cross_entropy(label_smoothing=1.0), r"`label_smoothing` in \[0, 1\); got 1"),
    "NaN offset": (lambda: sy.losses.SoftmaxCrossEntropy(logit_offset=[0.0, np.nan]), r"`logit_offset` in .*; got nan"),
    "log of no prior": (
        lambda: sy.losses.SoftmaxCrossEntropy(logit_offset=[0.0, -np.inf]),
        r"`logit_offset` in \(−∞, ∞\); got -inf at \(1,\)",
    ),
    "different numbers of classes": (
        lambda: sy.losses.SoftmaxCrossEntropy(class_weight=[1.0, 2.0], logit_offset=[0.0, 1.0, 2.0]),
        r"same number of classes; got class_weight: 2, logit_offset: 3",
    ),
    "ignore_index as a float": (
        lambda: sy.losses.cross_entropy(ignore_index=-1.0),
        r"`ignore_index` as an integer or None; got -1.0",
    ),
    "outcome weights of three classes": (
        lambda: sy.losses.outcome_weighted(np.ones((3, 3))),
        r"`outcome_weight` of shape \(2, 2\)\[truth, decision\]; got shape \(3, 3\)",
    ),
    "negative outcome weight": (
        lambda: sy.losses.outcome_weighted([[1.0, -1.0], [1.0, 1.0]]),
        r"`outcome_weight` in \[0, ∞\); got -1 at \(0, 1\)",
    ),
    "alpha out of range": (lambda: sy.losses.sigmoid_focal(alpha=1.5), r"`alpha` in \(0, 1\) or None; got 1.5"),
    "CoSen with a zero": (
        lambda: sy.losses.cosen([[0.0, 1.0], [1.0, 0.0]]),
        r"`cost_matrix` > 0 everywhere.*softmax_margin",
    ),
    "softmax margin with a diagonal": (
        lambda: sy.losses.softmax_margin([[1.0, 1.0], [1.0, 0.0]]),
        r"`cost_matrix` \(n_classes, n_classes\) ≥ 0 with a zero diagonal.*subtract",
    ),
    "LDAM without scale": (lambda: sy.losses.ldam([5, 3], scale=0.0), r"`scale` > 0; got 0.0"),
    "unknown recipe": (lambda: sy.losses.describe("focall"), r"name of a loss.*'focall'.*'focal'"),
}


@pytest.mark.parametrize("what", PARAMETERS)
def test_parameters(what: str) -> None:
    make, message = PARAMETERS[what]
    with pytest.raises(InputError, match=message):
        make()


@pytest.mark.parametrize(
    "recipe", ["logit_adjusted", "balanced_softmax", "ldam", "cdt", "vector_scaling", "class_balanced"]
)
@pytest.mark.parametrize("counts", [[5, -1], [np.nan, 3], [0, 0]])
def test_counts(recipe: str, counts: list[float]) -> None:
    with pytest.raises(InputError):
        sy.losses.get(recipe)(counts)


def test_a_loss_is_immutable() -> None:
    loss = sy.losses.focal(2.0)
    with pytest.raises(AttributeError, match=r"immutable: use loss\.replace\(gamma=…\).*assign"):
        loss.gamma = 3.0
    with pytest.raises(AttributeError, match="immutable"):
        del loss.gamma
    with pytest.raises(AttributeError, match="no attribute 'gama'"):
        _ = loss.gama
    assert loss.gamma == 2.0


def test_an_unknown_parameter() -> None:
    with pytest.raises(TypeError, match="gama"):
        sy.losses.SoftmaxCrossEntropy(gama=2.0)
    with pytest.raises(TypeError, match="gama"):
        sy.losses.focal(2.0).replace(gama=2.0)


@pytest.mark.parametrize("denominator", ["row", "mean"])
def test_an_unknown_denominator(denominator: str) -> None:
    with pytest.raises(InputError, match=r"`denominator` as None .*'rows' or 'sample_weight'; got"):
        CE(Z, Y, denominator=denominator)


def test_a_denominator_per_row() -> None:
    with pytest.raises(InputError, match=r"`denominator` as a number; got shape \(5,\)"):
        CE(Z, Y, denominator=np.ones(5))


def test_a_symbolic_tensor_of_keras() -> None:
    import keras

    with pytest.raises(InputError, match=r"a tensor with values; got a symbolic KerasTensor\. Hint: .*model\.compile"):
        CE(keras.Input((3,)), Y)
