"""The stacked networks against a plain torch loop with the same initial weights, batches and folds."""

import numpy as np
import pytest

import steelyard as sy
from steelyard.errors import InputError
from steelyard.training import mlp_jax
from steelyard.training.batches import shuffled, steps_per_epoch
from steelyard.training.mlp import MLP, Run, Schedule, fit_all, initial_weights

torch = pytest.importorskip("torch")
pytest.importorskip("jax")

N, D, C, BATCH = 600, 7, 3, 50
COUNTS = [480, 90, 30]


@pytest.fixture(scope="module")
def table():
    rng = np.random.default_rng(5)
    y = np.repeat(np.arange(C), COUNTS)
    centres = rng.normal(size=(C, D)) * 1.5
    return centres[y] + rng.normal(size=(N, D)), y


def streams(steps, *rows):
    return np.stack([shuffled(r, steps, BATCH, np.random.default_rng(11)) for r in rows])


def plain_torch(X, y, stream, initial, schedule, loss_of, cosine=False, score=None):
    """A loop that anyone would write: torch.optim.AdamW, a cosine schedule, our initial weights and batches."""
    layers = [(torch.tensor(w), torch.tensor(b)) for w, b in initial]
    parameters = [p.requires_grad_() for pair in layers for p in pair]
    optimiser = torch.optim.AdamW(parameters, lr=schedule.rate, weight_decay=schedule.weight_decay, eps=1e-8)
    steps = len(stream)
    rate = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda t: 0.5 * (1 + np.cos(np.pi * t / steps)))
    inputs, labels = torch.tensor(X, dtype=torch.float32), torch.tensor(y)

    def forward(x):
        for w, b in layers[:-1]:
            x = torch.relu(x @ w + b)
        w, b = layers[-1]
        if cosine:
            return torch.nn.functional.normalize(x, dim=1) @ torch.nn.functional.normalize(w, dim=0)
        return x @ w + b

    for t, rows in enumerate(stream):
        optimiser.zero_grad()
        loss_of(forward(inputs[rows]), labels[rows], t).backward()
        optimiser.step()
        rate.step()
    with torch.no_grad():
        return forward(inputs if score is None else torch.tensor(score, dtype=torch.float32)).numpy()


def weighted(w):
    w = torch.tensor(w, dtype=torch.float32)
    mean = float((w.numpy() * np.array(COUNTS) / N).sum())
    return lambda z, y, t: torch.nn.functional.cross_entropy(z, y, weight=w, reduction="sum") / (BATCH * mean)


@pytest.fixture(params=["auto", "jax"])
def backend(request):
    """The compiled step where there is one, and JAX."""
    return request.param


def test_every_run_equals_a_plain_torch_loop(table, backend):
    X, y = table
    schedule = Schedule(hidden=(16, 16), batch_size=BATCH, backend=backend)
    initial = initial_weights((D, 16, 16, C), np.random.default_rng(3))
    balanced = N / (C * np.array(COUNTS))
    log_prior = torch.tensor(np.log(np.array(COUNTS) / N), dtype=torch.float32)
    stream = streams(60, np.arange(N))
    expected = {
        "plain": weighted(np.ones(C)),
        "balanced": weighted(balanced),
        "adjusted": lambda z, y, t: torch.nn.functional.cross_entropy(z + log_prior, y),
        "deferred": lambda z, y, t: weighted(balanced if t >= 48 else np.ones(C))(z, y, t),
    }
    losses = {
        "plain": Run(sy.losses.cross_entropy()),
        "balanced": Run(sy.losses.weighted_cross_entropy(balanced)),
        "adjusted": Run(sy.losses.logit_adjusted(COUNTS)),
        "deferred": Run(sy.losses.cross_entropy(), later=sy.losses.weighted_cross_entropy(balanced), defer=0.8),
    }
    trained = fit_all(X, y, list(losses.values()), stream, initial, schedule, C)
    for (name, loss_of), network in zip(expected.items(), trained, strict=True):
        reference = plain_torch(X, y, stream[0], initial, schedule, loss_of)
        # 60 float32 steps: the two differ by rounding only, which AdamW's division amplifies a little
        np.testing.assert_allclose(network.logits(X), reference, atol=5e-3, err_msg=name)
        assert (network.logits(X).argmax(1) == reference.argmax(1)).mean() > 0.995, name


def test_cosine_head_with_ldam_equals_a_plain_torch_loop(table, backend):
    X, y = table
    schedule = Schedule(hidden=(16,), batch_size=BATCH, backend=backend)
    initial = initial_weights((D, 16, C), np.random.default_rng(3))
    stream = streams(40, np.arange(N))
    margin = torch.tensor(0.5 * (30 / np.array(COUNTS)) ** 0.25, dtype=torch.float32)

    def ldam(z, y, t):
        one_hot = torch.nn.functional.one_hot(y, C)
        return torch.nn.functional.cross_entropy(30.0 * (z - margin * one_hot), y)

    runs = [Run(sy.losses.ldam(COUNTS), cosine=True), Run(sy.losses.cross_entropy())]
    network = fit_all(X, y, runs, stream, initial, schedule, C)[0]
    reference = plain_torch(X, y, stream[0], initial, schedule, ldam, cosine=True)
    np.testing.assert_allclose(network.logits(X), reference, atol=5e-3)


@pytest.mark.parametrize("stacked", [False, True])
def test_a_run_in_the_stack_equals_the_same_run_alone(table, stacked):
    X, y = table
    schedule = Schedule(hidden=(16, 16), batch_size=BATCH, backend="jax")
    initial = initial_weights((D, 16, 16, C), np.random.default_rng(3))
    rare = np.flatnonzero(y == 2)
    stream = streams(30, np.arange(N), np.concatenate([np.arange(N), np.repeat(rare, 5)]))
    runs = [Run(sy.losses.focal()), Run(sy.losses.cross_entropy(), stream=1), Run(sy.losses.vector_scaling(COUNTS))]
    together = fit_all(X, y, runs, stream, initial, schedule, C, threads=2, stacked=stacked)
    for run, network in zip(runs, together, strict=True):
        alone = fit_all(X, y, [run], stream, initial, schedule, C, stacked=False)[0]
        np.testing.assert_allclose(network.logits(X), alone.logits(X), atol=2e-5)


@pytest.mark.parametrize(("device", "stacked"), [("cpu", False), ("gpu", True)])
def test_all_runs_take_a_step_together_where_that_is_faster(table, monkeypatch, device, stacked):
    import jax

    X, y = table
    asked = []
    program = mlp_jax._program
    monkeypatch.setattr(jax, "default_backend", lambda: device)
    monkeypatch.setattr(mlp_jax, "_program", lambda *kind: asked.append(kind[-1]) or program(*kind))
    initial = initial_weights((D, 4, C), np.random.default_rng(3))
    runs = [Run(sy.losses.cross_entropy())] * 3
    schedule = Schedule(batch_size=BATCH, backend="jax")
    assert len(fit_all(X, y, runs, streams(2, np.arange(N)), initial, schedule, C)) == 3
    assert asked == [stacked]


def test_training_learns(table):
    X, y = table
    schedule = Schedule(hidden=(16,), batch_size=BATCH, backend="jax")
    initial = initial_weights((D, 16, C), np.random.default_rng(3))
    stream = streams(200, np.arange(N))
    network = fit_all(X, y, [Run(sy.losses.cross_entropy())], stream, initial, schedule, C)[0]
    assert (network.logits(X).argmax(1) == y).mean() > 0.9
    assert isinstance(network, MLP)


def test_default_schedule_gives_small_tables_enough_steps():
    assert Schedule().batch(20_000) == 256
    assert Schedule().steps(20_000) == 15 * (20_000 // 256)
    assert Schedule().batch(1_000) == 32
    assert Schedule().steps(1_000) == 17 * 31
    assert Schedule().steps(100) == 100 * (100 // 32)
    assert Schedule(epochs=2, batch_size=100).steps(1_000) == 20


def test_a_stream_passes_over_all_rows_before_it_repeats_one():
    stream = shuffled(np.arange(10), 5, 4, np.random.default_rng(0))
    assert stream.shape == (5, 4)
    flat = stream.ravel()
    assert sorted(flat[:10]) == list(range(10))
    assert sorted(flat[10:]) == list(range(10))
    assert steps_per_epoch(10, 4) == 2


def test_infinite_features_are_refused(table):
    X, y = table
    broken = X.copy()
    broken[4, 2] = np.inf
    schedule = Schedule(hidden=(4,), batch_size=BATCH)
    initial = initial_weights((D, 4, C), np.random.default_rng(3))
    with pytest.raises(InputError, match="finite features.*row 4, column 2"):
        fit_all(broken, y, [Run(sy.losses.cross_entropy())], streams(1, np.arange(N)), initial, schedule, C)
