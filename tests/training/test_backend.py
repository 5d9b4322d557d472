"""Which of the two programs trains the networks, and that it is said."""

import subprocess
import sys

import numpy as np
import pytest

import steelyard as sy
from steelyard import kernels, training
from steelyard.errors import InputError
from steelyard.training import mlp
from steelyard.training.batches import shuffled

ROWS = 40
rng = np.random.default_rng(0)
X, Y = rng.normal(size=(ROWS, 3)), rng.integers(2, size=ROWS)
STREAM = shuffled(np.arange(ROWS), 3, 10, rng)[None]
INITIAL = mlp.initial_weights((3, 4, 2), rng)


def trained(loss=None, stacked=None, **options):
    schedule = mlp.Schedule(hidden=(4,), batch_size=10, **options)
    run = mlp.Run(loss or sy.losses.cross_entropy())
    return mlp.fit_all(X, Y, [run], STREAM, INITIAL, schedule, 2, stacked=stacked)[0]


@pytest.fixture
def compiled():
    found = kernels.available()
    if not found.compiled:
        pytest.skip(str(found))
    return found


@pytest.fixture
def uncompiled(monkeypatch):
    monkeypatch.setattr(kernels, "_load", lambda: (None, "no compiler was there"))


def test_auto_takes_the_compiled_step_and_says_so(compiled):
    assert trained().backend == f"native ({compiled.instructions})"
    assert training.backend(training.get("mlp")) == f"native ({compiled.instructions})"


def test_without_the_compiled_step_auto_takes_jax_and_says_why(uncompiled):
    pytest.importorskip("jax")
    assert trained().backend == "jax (not compiled: no compiler was there)"
    assert str(kernels.available()) == "not compiled: no compiler was there"


def test_asking_for_what_is_missing_is_an_error(uncompiled):
    with pytest.raises(InputError, match="backend='native'.*no compiler was there.*'auto'"):
        trained(backend="native")
    with pytest.raises(InputError, match="no compiler was there"):
        kernels.native()


def test_jax_can_be_asked_for():
    pytest.importorskip("jax")
    assert trained(backend="jax").backend == "jax (asked for)"


def test_what_the_compiled_step_does_not_know_goes_to_jax(compiled):
    pytest.importorskip("jax")
    assert "one run after the other" in trained(stacked=True).backend
    by_prediction = sy.losses.SoftmaxCrossEntropy([1.0, 2.0], weight_by="prediction")
    # JAX has no constant denominator for it either, and says so
    with pytest.raises(InputError, match="weights by the true class"):
        trained(by_prediction)
    with pytest.raises(InputError, match="weight_by='prediction'"):
        trained(by_prediction, backend="native")


def test_unknown_backends_are_refused():
    with pytest.raises(InputError, match="`backend` in .*did you mean 'native'"):
        mlp.Schedule(backend="nativ")


def test_the_environment_names_an_instruction_set(compiled, monkeypatch):
    for name in compiled.choices:
        monkeypatch.setenv(kernels.VARIABLE, name)
        assert trained().backend == f"native ({name})"
        assert kernels.VARIABLE in kernels.available().reason
    monkeypatch.setenv(kernels.VARIABLE, "avx1024")
    with pytest.raises(InputError, match="baseline.*avx1024"):
        kernels.available()


def test_a_module_of_other_sources_is_not_used(compiled, monkeypatch):
    monkeypatch.setattr(kernels, "_INTERFACE", -1)
    kernels._load.cache_clear()
    try:
        assert "other sources" in str(kernels.available())
    finally:
        kernels._load.cache_clear()


def test_results_say_what_trained_the_networks(compiled):
    found = sy.compare(X, Y, strategies=["none"], model=["mlp", "linear"], cv=2, repeats=1, decisions="default")
    assert found.to_dict()["settings"]["backends"] == {"mlp": f"native ({compiled.instructions})"}


def test_the_compiled_step_needs_no_jax(compiled):
    code = """
import sys, numpy as np, steelyard as sy
rng = np.random.default_rng(0)
y = np.repeat([0, 1], [30, 10])
sy.compare(rng.normal(size=(40, 3)), y, strategies=["none", "ldam_drw", "smote"], model=("mlp", {"epochs": 1}), cv=2,
           repeats=1)
print([m for m in ("jax", "optax", "torch", "tensorflow") if m in sys.modules])
"""
    out = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
