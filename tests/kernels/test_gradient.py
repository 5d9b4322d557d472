"""The gradient of one compiled step against float64, for every parameter, shape and instruction set."""

import numpy as np
import pytest

import steelyard as sy
from steelyard.training import mlp_native
from steelyard.training.mlp import initial_weights

pytest.importorskip("torch")
from tests.kernels import float64

pytestmark = pytest.mark.usefixtures("compiled")

# Of the largest of a layer. The worst over six seeds, ten losses and all shapes was 1.3e-6, but for the layer of one
# unit, whose gradients are small sums of large terms: 2.1e-6, or 5.1e-6 without fused products and sums.
TOLERANCE, ONE_UNIT = 2e-6, 6e-6

# rows, features, hidden, classes: one row; widths that are no multiple of a vector; more than a block of a product;
# batches that are no multiple of a tile; no hidden layer
SHAPES = [
    (1, 5, (33,), 2),
    (50, 7, (16, 16), 3),
    (37, 13, (50,), 100),
    (256, 30, (64, 64), 10),
    (300, 300, (200,), 10),
    (19, 3, (1, 65), 17),
    (40, 6, (), 4),
]


def losses(C, rng):
    counts = np.geomspace(1000, 10, C).astype(int)
    w = sy.class_weight("balanced", counts)
    point = sy.losses.SoftmaxCrossEntropy
    return {
        "plain": (point(), False),
        "weighted": (point(class_weight=w), False),
        "scales and offsets": (sy.losses.vector_scaling(counts, class_weight=w), False),
        "focal": (point(gamma=2.0, class_weight=w), False),
        "focal below one": (point(gamma=0.5), False),
        "margins and cosines": (sy.losses.ldam(counts), True),
        "smoothed": (point(label_smoothing=0.1, class_weight=w, gamma=1.5, margin=np.linspace(0, 1, C)), False),
        "pairs": (point(pairwise_offset=rng.normal(size=(C, C)), class_weight=w), False),
        "costs": (point(cost_matrix=rng.random((C, C)), cost_coefficient=0.5, gamma=1.0), True),
        "everything": (
            point(
                class_weight=w, logit_scale=np.linspace(0.5, 2, C), logit_offset=rng.normal(size=C),
                margin=rng.random(C), pairwise_offset=rng.normal(size=(C, C)), gamma=1.2, label_smoothing=0.05,
                cost_matrix=rng.random((C, C)), cost_coefficient=2.0,
            ),
            False,
        ),
    }  # fmt: skip


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_gradient_is_that_of_float64(shape, instructions):
    n, d, hidden, C = shape
    rng = np.random.default_rng(7)
    X, y = rng.normal(size=(n, d)).astype(np.float32), rng.integers(C, size=n)
    for name, (loss, cosine) in losses(C, rng).items():
        layers = initial_weights((d, *hidden, C), rng)
        layers = tuple((w, rng.normal(size=b.shape).astype(np.float32) / 10) for w, b in layers)
        got = mlp_native.gradient(X, y, loss, layers, 0.7 * n, cosine, instructions)
        expected = float64.gradient(X, y, loss, layers, 0.7 * n, cosine)
        for i, layer in enumerate(got):
            right = expected[2 * i : 2 * i + 2]
            bound = (ONE_UNIT if 1 in hidden else TOLERANCE) * max(abs(part).max() for part in right)
            for part, truth in zip(layer, right, strict=True):
                np.testing.assert_allclose(part, truth, atol=bound, rtol=0, err_msg=f"{name}, layer {i}")


def test_a_small_loss_keeps_its_gradient(instructions):
    """At a gap of 25 the float32 softmax of the target is 1, and 1 − softmax is 0; see docs/decisions/0004."""
    layers = ((np.array([[25.0, 0.0, 0.0]], np.float32), np.zeros(3, np.float32)),)
    loss = sy.losses.cross_entropy()
    ((_, bias),) = mlp_native.gradient(np.ones((1, 1)), np.array([0]), loss, layers, 1.0, False, instructions)
    others = np.exp(-25.0) / (1 + 2 * np.exp(-25.0))
    np.testing.assert_allclose(bias, [-2 * others, others, others], rtol=3e-6)


@pytest.mark.parametrize("size", [1e2, 1e4, 1e10])
@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_extreme_logits_give_finite_gradients_that_point_the_right_way(size, gamma, smoothing, instructions):
    C = 5
    layers = ((np.eye(C, dtype=np.float32) * np.float32(size), np.zeros(C, np.float32)),)
    X = np.array([[-1, 0, 0, 0, 0], [1, 0, 0, 0, 0], [1, 1, 0, -1, 0], [0, 0, 0, 0, 0]], np.float32)
    loss = sy.losses.SoftmaxCrossEntropy([1e-3, 1, 1, 1, 1e3], gamma=gamma, label_smoothing=smoothing)
    for truth in range(C):
        rows = mlp_native.gradient(X, np.full(4, truth), loss, layers, 1.0, False, instructions)
        assert all(np.isfinite(part).all() for part in rows[0])
        if not smoothing:
            # the first class is as good as ruled out by the first row: a mistake where it is the truth
            ((_, bias),) = mlp_native.gradient(X[:1], np.array([truth]), loss, layers, 1.0, False, instructions)
            np.testing.assert_allclose(bias[0], -1e-3 if truth == 0 else 0.0, rtol=1e-6, atol=1e-30)


def test_instruction_sets_agree(compiled):
    rng = np.random.default_rng(3)
    X, y = rng.normal(size=(100, 20)).astype(np.float32), rng.integers(4, size=100)
    layers = initial_weights((20, 48, 4), rng)
    loss = sy.losses.focal(gamma=2.0)
    first, *others = (mlp_native.gradient(X, y, loss, layers, 100.0, False, i) for i in compiled.choices)
    for other in others:
        for a, b in zip(first, other, strict=True):
            np.testing.assert_allclose(a[0], b[0], atol=TOLERANCE * abs(a[0]).max())
