"""Whole runs of the compiled step: against float64, against the JAX program, and in the stack against alone."""

import numpy as np
import pytest

import steelyard as sy
from steelyard import strategies
from steelyard.training import mlp, mlp_native
from steelyard.training.batches import shuffled

pytestmark = pytest.mark.usefixtures("compiled")

D, C, BATCH, STEPS = 7, 3, 50, 60
COUNTS = np.array([480, 90, 30])
SCHEDULE = mlp.Schedule(hidden=(16, 16), batch_size=BATCH)


@pytest.fixture(scope="module")
def table():
    rng = np.random.default_rng(5)
    y = np.repeat(np.arange(C), COUNTS)
    return ((rng.normal(size=(C, D)) * 1.5)[y] + rng.normal(size=(len(y), D))).astype(np.float32), y


@pytest.fixture(scope="module")
def stream(table):
    return shuffled(np.arange(len(table[1])), STEPS, BATCH, np.random.default_rng(11))[None]


INITIAL = mlp.initial_weights((D, 16, 16, C), np.random.default_rng(3))


def every_strategy():
    """One run per loss that a strategy trains on, and what no strategy uses yet."""
    counts = sy.ClassCounts.from_counts(dict(enumerate(COUNTS.tolist())))
    runs = {}
    for name in strategies.names():
        p = strategies.get(name).resolve(counts)
        if p.sampler is None:
            runs[name] = mlp.Run(p.loss, 0, p.later, p.defer, p.cosine)
    point = sy.losses.SoftmaxCrossEntropy
    pairs = np.array([[0.0, 1.0, -1.0], [0.5, 0.0, 0.0], [0.0, -0.5, 0.0]])
    runs["pairs"] = mlp.Run(point(pairwise_offset=pairs))
    runs["smoothing"] = mlp.Run(point(label_smoothing=0.1, class_weight=[0.5, 1.0, 2.0]))
    runs["costs"] = mlp.Run(point(cost_matrix=abs(pairs), cost_coefficient=2.0))
    return runs


def native(table, stream, runs, schedule=SCHEDULE, initial=INITIAL, instructions=None, **settings):
    held = settings.get("held")
    unit = 1 if held is None else held.every
    numbers = mlp._numbers(runs, table[1], stream, C, stream.shape[1] // unit)
    found = mlp_native.train(*table, numbers, stream, initial, schedule, C, instructions=instructions, **settings)
    return [[part for layer in layers for part in layer] for layers, _, _ in found]


def error(got, expected):
    return max(abs(a - b).max() for a, b in zip(got, expected, strict=True))


def test_one_step_is_that_of_float64(table, stream, instructions):
    float64 = pytest.importorskip("tests.kernels.float64", reason="torch is the reference")
    runs = every_strategy()
    for (name, run), got in zip(
        runs.items(), native(table, stream[:, :1], list(runs.values()), instructions=instructions), strict=True
    ):
        expected = float64.train(*table, stream[0, :1], INITIAL, SCHEDULE, run)
        # the first step of Adam moves every weight by the rate, up or down: g / (|g| + 1e-8). Where a gradient is as
        # small as the 1e-8 the rounding of the gradient shows; 1e-3 of a step is 4e-6
        assert error(got, expected) < 1e-3 * SCHEDULE.rate, name


def test_sixty_steps_are_as_near_to_float64_as_jax_is(table, stream, instructions):
    float64 = pytest.importorskip("tests.kernels.float64", reason="torch is the reference")
    pytest.importorskip("jax")
    runs = every_strategy()
    found = native(table, stream, list(runs.values()), instructions=instructions)
    oracle = mlp.Schedule(hidden=(16, 16), batch_size=BATCH, backend="jax")
    theirs = mlp.fit_all(*table, list(runs.values()), stream, INITIAL, oracle, C)
    for (name, run), got, network in zip(runs.items(), found, theirs, strict=True):
        expected = float64.train(*table, stream[0], INITIAL, SCHEDULE, run)
        by_jax = error([part for layer in network.layers for part in layer], expected)
        assert error(got, expected) < max(3 * by_jax, 2e-4), name


def test_a_run_in_the_stack_is_the_same_run_alone_to_the_last_bit(table, stream, instructions):
    runs = list(every_strategy().values())
    alone = [native(table, stream, [run], threads=1, instructions=instructions)[0] for run in runs]
    for threads in (1, 2, 3):
        for got, expected in zip(
            native(table, stream, runs, threads=threads, instructions=instructions), alone, strict=True
        ):
            assert error(got, expected) == 0


def test_default_is_what_available_says(table, stream, compiled):
    run = every_strategy()["focal"]
    named = native(table, stream, [run], instructions=compiled.instructions)
    assert error(named[0], native(table, stream, [run])[0]) == 0


def test_a_batch_of_one_row_and_a_batch_larger_than_a_block(table):
    float64 = pytest.importorskip("tests.kernels.float64", reason="torch is the reference")
    run = every_strategy()["balanced"]
    for batch in (1, 333):
        rows = shuffled(np.arange(len(table[1])), 4, batch, np.random.default_rng(1))[None]
        expected = float64.train(*table, rows[0], INITIAL, SCHEDULE, run)
        assert error(native(table, rows, [run])[0], expected) < 1e-4


EVERY, MOST = 8, 40


@pytest.fixture(scope="module")
def stopping():
    """Overlapping classes and few rows, on which a network overfits within some epochs."""
    rng = np.random.default_rng(2)
    counts = np.array([150, 36, 14])
    centres = rng.normal(size=(C, D)) * 0.6

    def rows(some):
        y = np.repeat(np.arange(C), some)
        return centres[y] + rng.normal(size=(len(y), D)), y

    X, y = rows(counts)
    held_X, held_y = rows(counts // 2)
    stream = shuffled(np.arange(len(y)), MOST * EVERY, 25, np.random.default_rng(3))[None]
    weight = rng.random((1, len(held_y)))
    return X, y, stream, mlp.Held(held_X, held_y, weight, EVERY)


@pytest.mark.parametrize("patience", [1, 3])
def test_early_stopping_ends_where_jax_ends(stopping, patience):
    pytest.importorskip("jax")
    X, y, stream, held = stopping
    runs = list(every_strategy().values())
    initial = mlp.initial_weights((D, 24, C), np.random.default_rng(4))
    by = {}
    for backend in ("native", "jax"):
        schedule = mlp.Schedule(hidden=(24,), learning_rate=5e-3, early_stopping=patience, backend=backend)
        by[backend] = mlp.fit_all(X, y, runs, stream, initial, schedule, C, held=held)
    assert [(n.epochs, n.settled) for n in by["native"]] == [(n.epochs, n.settled) for n in by["jax"]]
    assert len({n.epochs for n in by["native"]}) > 2
    for name, ours, theirs in zip(every_strategy(), by["native"], by["jax"], strict=True):
        np.testing.assert_allclose(ours.logits(held.X), theirs.logits(held.X), atol=5e-3, err_msg=name)


def test_early_stopping_in_the_stack_is_that_alone_to_the_last_bit(stopping, instructions, monkeypatch):
    monkeypatch.setenv(mlp_native.kernels.VARIABLE, instructions)
    X, y, stream, held = stopping
    runs = list(every_strategy().values())
    initial = mlp.initial_weights((D, 24, C), np.random.default_rng(4))
    schedule = mlp.Schedule(hidden=(24,), learning_rate=5e-3, early_stopping=2, backend="native")
    # more held-out rows than a batch, fewer than one, and just one
    for rows in (len(held.y), 9, 1):
        part = mlp.Held(held.X[:rows], held.y[:rows], held.weight[:, :rows], EVERY)
        together = mlp.fit_all(X, y, runs, stream, initial, schedule, C, held=part, threads=2)
        for run, network in zip(runs[::4], together[::4], strict=True):
            alone = mlp.fit_all(X, y, [run], stream, initial, schedule, C, held=part)[0]
            assert alone.epochs == network.epochs
            assert (alone.logits(held.X) == network.logits(held.X)).all()


def test_giving_up_ends_a_run_at_once(table, stream):
    module = mlp_native.kernels.native()
    asked = {}
    original = module.train

    class Spy:
        def train(self, *args, **kwargs):
            asked.update(kwargs)
            kwargs["stop"][0] = 1
            return original(*args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mlp_native.kernels, "native", Spy)
        with pytest.raises(KeyboardInterrupt):
            native(table, stream, [every_strategy()["none"]] * 2)
    # the weights in its hands are those that it started from
    assert (asked["parameters"][: D * 16] == INITIAL[0][0].ravel()).all()
