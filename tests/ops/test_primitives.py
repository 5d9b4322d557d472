"""Every backend has the same primitives, and each does in torch, TensorFlow and JAX what it does in NumPy."""

from __future__ import annotations

import inspect
from importlib import import_module
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from steelyard import _ops
from steelyard.errors import InputError
from tests.conformance.frameworks import FRAMEWORKS, NAMES

RNG = np.random.default_rng(0)
X2 = RNG.normal(0.0, 3.0, (5, 4))
X3 = RNG.normal(0.0, 3.0, (5, 4, 3))
EXTREME = np.array(
    [[1e4, -1e4, 0.0, 30.0], [-1e4, -1e4, -1e4, -1e4], [800.0, 800.0, -800.0, 1e-9], [1e-300, 0, -40, 40]]
)
I1 = RNG.integers(0, 4, 5)
I2 = RNG.integers(0, 4, (5, 3))
POSITIVE = RNG.random((5, 4)) + 1e-3
MATRIX = RNG.normal(size=(4, 4))
SYSTEM = RNG.normal(size=(5, 4, 4)) + 4 * np.eye(4)


def module(framework: str) -> ModuleType:
    return import_module(f"steelyard._ops.{framework}")


NOT_PRIMITIVES = {"register_pytree"}  # JAX's alone: how objects become arguments of its transformations


@pytest.mark.parametrize("framework", NAMES)
def test_each_backend_has_exactly_the_primitives(framework: str) -> None:
    # lower-case names that are no module, no class and no tool of the annotations: ours, or the framework's own
    # functions under our names
    own = {
        name
        for name, value in vars(module(framework)).items()
        if not name.startswith("_")
        and name not in NOT_PRIMITIVES
        and name == name.lower()
        and not inspect.ismodule(value)
        and name != "annotations"
    }
    assert own == set(_ops.PRIMITIVES)


def test_primitives_are_listed_once() -> None:
    assert len(_ops.PRIMITIVES) == len(set(_ops.PRIMITIVES))


def arguments(xp: ModuleType, make: Any) -> dict[str, list[tuple[Any, ...]]]:
    """Primitive → calls, with `make` turning arrays into tensors."""
    x2, x3, far = make(X2), make(X3), make(EXTREME)
    i1, i2 = xp.indices(make(I1)), xp.indices(make(I2))
    inf = float("-inf")
    ruled_out = make(np.where(np.eye(5, 4) > 0, -np.inf, X2))
    return {
        "argmax": [(x2,), (x3,)],
        "contract": [(x2, make(MATRIX)), (x3, make(MATRIX))],
        "exp": [(x2,)],
        "expm1": [(x2,), (make(-POSITIVE * 1e-12),)],
        "expand_dims": [(x2, 1), (x2, 2), (x2, 0)],
        "gap": [(x2, i1), (x3, i2), (far, i1[:4]), (make(X2[:, :2]), xp.indices(make(I1 % 2)))],
        "indices": [(make(I1.astype(np.int32)),), (make(I2),)],
        "log": [(make(POSITIVE),)],
        "log1p": [(make(POSITIVE),), (make(-POSITIVE / 2),), (make(POSITIVE * 1e-12),)],
        "log_sigmoid": [(x2,), (far,)],
        "logsumexp": [(x2,), (x3,), (far,), (ruled_out,)],
        "lookup": [(make(MATRIX), i1), (make(MATRIX[0]), i2), (make(MATRIX), i2)],
        "moveaxis": [(x3, 1, -1), (x3, -1, 1), (x3, 0, 2), (x2, 0, 1)],
        "onehot": [(i1, 4, x2.dtype), (i2, 4, x2.dtype)],
        "ones_like": [(x2,), (x3,)],
        "pick": [(x2, i1), (x3, i2)],
        "place": [(x2, i1, inf), (x3, i2, 1.0), (x2, i1, make(X2[:, 0])), (x3, i2, make(X3[:, 0]))],
        "reshape": [(x3, (5, 12)), (x3, (-1, 3)), (x2, (5, 4))],
        "sigmoid": [(x2,), (far,)],
        "softmax": [(x2,), (x3,), (far,)],
        "softplus": [(x2,), (far,), (make(np.linspace(-45, 45, 901)),)],
        "solve": [(make(SYSTEM), x2)],
        "stack": [([make(X2[:, 0]), make(X2[:, 1])],)],
        "stop_gradient": [(x2,)],
        "sum": [(x2,), (x3,)],
        "total": [(x2,), (x3,), (make(X2[:0]),)],
        "where": [(x2 > 0, x2, 0.0), (x2 > 0, 0.0, x2), (x2 > 0, x2, make(-X2))],
    }


# what is not arithmetic has a test of its own below
NOT_ARITHMETIC = {
    "asarray",
    "cast",
    "checks_indices",
    "compute_dtype",
    "concrete",
    "constants_outlive_call",
    "device",
    "is_integer",
    "item",
    "shape",
    "to_numpy",
}


def test_every_primitive_is_tried() -> None:
    assert set(arguments(module("numpy"), np.asarray)) | NOT_ARITHMETIC == set(_ops.PRIMITIVES)


@pytest.mark.parametrize("framework", ["torch", "tensorflow", "jax"])
@pytest.mark.parametrize("name", sorted(set(_ops.PRIMITIVES) - NOT_ARITHMETIC))
def test_agrees_with_numpy(framework: str, name: str) -> None:
    xp, face = module(framework), FRAMEWORKS[framework]
    with face.context("float64"):
        calls = arguments(xp, face.tensor)[name]
        wanted = arguments(module("numpy"), np.asarray)[name]
        for call, reference in zip(calls, wanted, strict=True):
            got, want = getattr(xp, name)(*call), getattr(module("numpy"), name)(*reference)
            assert tuple(got.shape) == np.shape(want)
            # relative to the entry, so that a tail of 1e-18 has to be right too; sums of both signs to their size
            signed = name in ("contract", "solve", "sum", "total", "gap")
            np.testing.assert_allclose(face.numbers(got), want, rtol=1e-13, atol=1e-13 if signed else 1e-300)


# --- NumPy's own, against what they are ---------------------------------------------------------------------------


def test_numpy_tails() -> None:
    xp = module("numpy")
    assert xp.softplus(np.array([-40.0]))[0] == pytest.approx(np.exp(-40.0), rel=1e-15)
    assert xp.softplus(np.array([1e4]))[0] == 1e4
    assert xp.log_sigmoid(np.array([40.0]))[0] == pytest.approx(-np.exp(-40.0), rel=1e-15)
    assert xp.sigmoid(np.array([-700.0]))[0] == pytest.approx(np.exp(-700.0), rel=1e-15)
    assert xp.logsumexp(np.array([[-np.inf, -np.inf]]))[0] == -np.inf
    assert xp.logsumexp(np.array([[1000.0, 1000.0]]))[0] == pytest.approx(1000.0 + np.log(2.0), rel=1e-15)
    z = np.array([[0.0, 3.0, 1.0]])
    assert xp.gap(z, np.array([1]))[0] == pytest.approx(np.log(1 + np.e) - 3.0, rel=1e-14)


def test_numpy_softmax_against_scipy() -> None:
    special = pytest.importorskip("scipy.special")
    xp = module("numpy")
    for x in (X2, EXTREME):
        np.testing.assert_allclose(xp.softmax(x), special.softmax(x, axis=1), rtol=1e-13)
        np.testing.assert_allclose(xp.logsumexp(x), special.logsumexp(x, axis=1), rtol=1e-13)
        np.testing.assert_allclose(xp.sigmoid(x), special.expit(x), rtol=1e-13)
        np.testing.assert_allclose(xp.log_sigmoid(x), special.log_expit(x), rtol=1e-13)


# --- dtypes and places ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("framework", NAMES)
@pytest.mark.parametrize(
    ("dtype", "arithmetic"),
    [("float16", "float32"), ("bfloat16", "float32"), ("float32", "float32"), ("float64", "float64")],
)
def test_sixteen_bits_are_computed_in_thirty_two(framework: str, dtype: str, arithmetic: str) -> None:
    xp, face = module(framework), FRAMEWORKS[framework]
    with face.context(dtype):
        x = face.tensor(X2, dtype)
        wide = xp.cast(x, xp.compute_dtype(x))
        assert face.dtype(wide) == arithmetic
        assert face.dtype(xp.cast(wide, x.dtype)) == dtype
        assert xp.cast(x, x.dtype) is x or framework in ("jax", "tensorflow")
        assert face.dtype(xp.asarray([1.0, 2.0], x, x.dtype)) == dtype
        assert not xp.is_integer(x)


@pytest.mark.parametrize("framework", NAMES)
@pytest.mark.parametrize("dtype", ["int8", "int32", "int64", "uint8", "bool"])
def test_integers(framework: str, dtype: str) -> None:
    xp, face = module(framework), FRAMEWORKS[framework]
    with face.context("float64"):
        x = face.tensor(np.array([0, 1, 1]).astype(dtype))
        assert xp.is_integer(x)
        assert face.numbers(xp.indices(x)).tolist() == [0.0, 1.0, 1.0]
        if framework != "numpy":
            with pytest.raises(InputError, match="floating-point `logits`"):
                xp.compute_dtype(x)


def test_complex_logits() -> None:
    with pytest.raises(InputError, match=r"real `logits`; got dtype complex"):
        module("numpy").compute_dtype(np.zeros(2, dtype=complex))


@pytest.mark.parametrize("framework", NAMES)
def test_reading_values(framework: str) -> None:
    xp, face = module(framework), FRAMEWORKS[framework]
    with face.context("float64"):
        x = face.tensor(X2)
        assert np.array_equal(xp.to_numpy(x), X2)
        assert tuple(xp.shape(x)) == (5, 4)
        assert xp.item(xp.total(x)) == pytest.approx(X2.sum())
        assert xp.concrete(x)


@pytest.mark.parametrize("framework", ["torch", "tensorflow", "jax"])
def test_gradients_stop(framework: str) -> None:
    xp, face = module(framework), FRAMEWORKS[framework]
    with face.context("float64"):
        _, gradient = face.gradient(lambda v: xp.stop_gradient(v) * v, face.tensor(X2))
        np.testing.assert_allclose(face.numbers(gradient), X2)


@pytest.mark.parametrize("framework", ["torch", "tensorflow", "jax"])
@pytest.mark.parametrize("name", ["softplus", "log_sigmoid", "sigmoid", "logsumexp", "softmax", "gap", "pick", "place"])
def test_derivatives_have_no_nan_in_the_tails(framework: str, name: str) -> None:
    xp, face = module(framework), FRAMEWORKS[framework]
    extra = {"gap": [np.array([0, 1, 2, 3])], "pick": [np.array([0, 1, 2, 3])], "place": [np.array([0, 1, 2, 3]), 0.0]}
    with face.context("float64"):
        rest = [xp.indices(face.tensor(a)) if isinstance(a, np.ndarray) else a for a in extra.get(name, [])]
        _, gradient = face.gradient(lambda v: getattr(xp, name)(v, *rest), face.tensor(EXTREME))
        assert np.isfinite(face.numbers(gradient)).all()


def test_indices_out_of_range() -> None:
    import torch

    xp = module("torch")
    assert xp.checks_indices
    with pytest.raises(RuntimeError):
        xp.pick(torch.zeros(2, 3), torch.tensor([0, 3]))
    with pytest.raises((RuntimeError, IndexError)):
        xp.lookup(torch.zeros(3), torch.tensor([0, 3]))
