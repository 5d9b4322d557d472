"""Early stopping against a plain torch loop, in the stack against alone, and what the held-out rows may not touch."""

import numpy as np
import pytest

import steelyard as sy
from steelyard import training
from steelyard.errors import InputError
from steelyard.training import networks
from steelyard.training.batches import held_out, shuffled
from steelyard.training.mlp import Held, Run, Schedule, fit_all, initial_weights

torch = pytest.importorskip("torch")
pytest.importorskip("jax")

D, C, BATCH, EVERY, MOST = 6, 3, 25, 8, 40
COUNTS = np.array([150, 36, 14])
BALANCED = COUNTS.sum() / (C * COUNTS)


@pytest.fixture(scope="module")
def fold():
    """Overlapping classes and few rows: a network of this size overfits within some epochs."""
    rng = np.random.default_rng(2)
    centres = rng.normal(size=(C, D)) * 0.6

    def rows(counts):
        y = np.repeat(np.arange(C), counts)
        return centres[y] + rng.normal(size=(len(y), D)), y

    X, y = rows(COUNTS)
    stop_X, stop_y = rows(COUNTS // 2)
    stream = shuffled(np.arange(len(y)), MOST * EVERY, BATCH, np.random.default_rng(3))
    held = Held(stop_X, stop_y, np.ones((1, len(stop_y))), EVERY)
    return X, y, stream, held


SCHEDULE = Schedule(hidden=(24,), learning_rate=5e-3, early_stopping=3)
INITIAL = initial_weights((D, 24, C), np.random.default_rng(4))


def plain_torch(fold, phases):
    """Return logits of the held-out rows and the epochs of a loop that anyone would write.

    `phases`: (weights of classes, the epoch by which they end) one after the other.
    """
    X, y, stream, held = fold
    x, labels = torch.tensor(X, dtype=torch.float32), torch.tensor(y)
    stop_x, stop_labels = torch.tensor(held.X, dtype=torch.float32), torch.tensor(held.y)
    parameters = [torch.tensor(p).requires_grad_() for pair in INITIAL for p in pair]
    optimiser = torch.optim.AdamW(parameters, lr=SCHEDULE.rate, weight_decay=SCHEDULE.weight_decay)

    def forward(rows):
        w1, b1, w2, b2 = parameters
        return torch.relu(rows @ w1 + b1) @ w2 + b2

    epoch = 0
    for weights, end in phases:
        w = torch.tensor(weights, dtype=torch.float32)
        constant = BATCH * float(w.numpy()[y[stream].ravel()].mean())
        best, waited = np.inf, 0
        while epoch < end and waited < SCHEDULE.patience:
            for rows in stream[epoch * EVERY : (epoch + 1) * EVERY]:
                optimiser.zero_grad()
                total = torch.nn.functional.cross_entropy(forward(x[rows]), labels[rows], weight=w, reduction="sum")
                (total / constant).backward()
                optimiser.step()
            epoch += 1
            with torch.no_grad():
                value = float(torch.nn.functional.cross_entropy(forward(stop_x), stop_labels, weight=w))
            if value < best:
                best, waited, kept = value, 0, [p.detach().clone() for p in parameters]
            else:
                waited += 1
        with torch.no_grad():
            for p, k in zip(parameters, kept, strict=True):
                p.copy_(k)
    with torch.no_grad():
        return forward(stop_x).numpy(), epoch


RUNS = {
    "plain": (Run(sy.losses.cross_entropy()), [(np.ones(C), MOST)]),
    "balanced": (Run(sy.losses.weighted_cross_entropy(BALANCED)), [(BALANCED, MOST)]),
    "deferred": (
        Run(sy.losses.cross_entropy(), later=sy.losses.weighted_cross_entropy(BALANCED), defer=0.8),
        [(np.ones(C), 32), (BALANCED, MOST)],
    ),
    "deferred early": (
        Run(sy.losses.cross_entropy(), later=sy.losses.weighted_cross_entropy(BALANCED), defer=0.05),
        [(np.ones(C), 2), (BALANCED, MOST)],
    ),
}


def trained(fold, runs, **settings):
    X, y, stream, held = fold
    return fit_all(X, y, runs, stream[None], INITIAL, SCHEDULE, C, held=held, **settings)


def test_every_run_stops_where_a_plain_torch_loop_stops_and_has_its_weights(fold):
    networks_ = trained(fold, [run for run, _ in RUNS.values()])
    taken = []
    for (name, (_, phases)), network in zip(RUNS.items(), networks_, strict=True):
        logits, epochs = plain_torch(fold, phases)
        assert network.epochs == epochs, name
        assert network.settled
        np.testing.assert_allclose(network.logits(fold[3].X), logits, atol=2e-3, err_msg=name)
        taken.append(epochs)
    assert max(taken) < MOST  # they all ended by themselves
    assert len(set(taken)) > 1  # and not together


@pytest.mark.parametrize("stacked", [False, True])
def test_stacked_in_steps_or_run_by_run_a_run_equals_itself_alone(fold, stacked):
    runs = [run for run, _ in RUNS.values()]
    for run, network in zip(runs, trained(fold, runs, stacked=stacked), strict=True):
        alone = trained(fold, [run], stacked=False)[0]
        assert network.epochs == alone.epochs
        np.testing.assert_allclose(network.logits(fold[3].X), alone.logits(fold[3].X), atol=1e-4)


def test_a_run_that_goes_on_improving_takes_all_epochs(fold):
    X, y, stream, held = fold
    schedule = Schedule(hidden=(24,), learning_rate=1e-5, early_stopping=3)
    run = Run(sy.losses.cross_entropy())
    network = fit_all(X, y, [run], stream[None], INITIAL, schedule, C, held=held)[0]
    assert network.epochs == MOST
    assert not network.settled


def test_a_run_that_diverges_is_not_hidden_behind_its_first_weights(fold):
    X, y, stream, held = fold
    schedule = Schedule(hidden=(24,), learning_rate=1e30, early_stopping=2)
    network = fit_all(X, y, [Run(sy.losses.cross_entropy())], stream[None], INITIAL, schedule, C, held=held)[0]
    assert not all(np.isfinite(w).all() for w, _ in network.layers)


def test_rows_are_held_out_class_by_class():
    y = np.repeat([0, 1, 2, 3], [100, 25, 2, 1])
    kept, held = held_out(y, np.random.default_rng(0))
    assert sorted([*kept, *held]) == list(range(len(y)))
    assert np.bincount(y[held], minlength=4).tolist() == [10, 2, 1, 0]
    assert np.bincount(y[kept]).tolist() == [90, 23, 1, 1]
    with pytest.raises(InputError, match="a class with two rows"):
        held_out(np.arange(3), np.random.default_rng(0))


@pytest.fixture(scope="module")
def small():
    rng = np.random.default_rng(8)
    y = rng.permutation(np.repeat([0, 1, 2], [160, 60, 12]))
    return rng.normal(size=(len(y), 4)) + y[:, None], y


def points(y, *names):
    counts = sy.ClassCounts.from_labels(y)
    return [training.resolve("mlp", sy.strategies.get(name), counts) for name in names]


def test_streams_and_samplers_see_no_held_out_row(small, monkeypatch):
    X, y = small
    seen = {}
    original = networks.mlp.fit_all

    def spy(X, y, runs, streams, *rest, held, **settings):
        seen.update(X=X, y=y, streams=streams, held=held)
        return original(X, y, runs, streams, *rest, held=held, **settings)

    monkeypatch.setattr(networks.mlp, "fit_all", spy)
    names = ("none", "oversample", "undersample", "balanced_batches", "smote")
    schedule = Schedule(hidden=(4,), epochs=2, early_stopping=True)
    out = networks.fit_points(X, y, points(y, *names), 3, 7, schedule)
    assert [network.epochs for network in out] == [2] * 5
    held = seen["held"]
    assert np.bincount(held.y).tolist() == [16, 6, 1]
    table = {tuple(row) for row in X}
    stop = {tuple(row) for row in held.X}
    assert stop < table
    # what SMOTE makes lies between rows that are trained on, never on a held-out one
    assert not stop & {tuple(row) for row in seen["X"]}
    assert len(seen["X"]) == 209 + 2 * 144 - 54 - 11
    # s makes the shares of the classes what the sampler made them in training
    for name, weight in zip(names, held.weight, strict=True):
        share = np.bincount(held.y, weight) / weight.sum()
        np.testing.assert_allclose(share, [16 / 23, 6 / 23, 1 / 23] if name == "none" else [1 / 3] * 3)


def test_what_else_is_compared_changes_no_run(small):
    X, y = small
    schedule = Schedule(hidden=(4,), epochs=6, early_stopping=2, learning_rate=2e-2)
    some = networks.fit_points(X, y, points(y, "none", "smote", "ldam_drw"), 3, 7, schedule)
    alone = networks.fit_points(X, y, points(y, "ldam_drw"), 3, 7, schedule)
    assert some[2].epochs == alone[0].epochs
    np.testing.assert_allclose(some[2].logits(X), alone[0].logits(X), atol=1e-4)


def test_a_class_of_one_row_is_trained_on(small):
    X, y = small
    X, y = np.concatenate([X, X[:1] + 9]), np.append(y, 3)
    schedule = Schedule(hidden=(4,), epochs=2, early_stopping=True)
    for network in networks.fit_points(X, y, points(y, "none", "oversample"), 4, 7, schedule):
        assert np.isfinite(network.logits(X)).all()


def test_the_rate_is_constant_and_lower_and_the_epochs_more():
    assert (Schedule().rate, Schedule().patience) == (4e-3, 0)
    assert (Schedule(early_stopping=True).rate, Schedule(early_stopping=True).patience) == (1e-3, 5)
    assert Schedule(early_stopping=3, learning_rate=0.1).rate == 0.1
    assert Schedule(early_stopping=1).patience == 1
    assert Schedule(early_stopping=True).steps(20_000) == 4 * Schedule().steps(20_000)
    assert Schedule(early_stopping=True, epochs=30, batch_size=100).steps(1000) == 300
    with pytest.raises(InputError, match="early_stopping"):
        Schedule(early_stopping=-1)
    with pytest.raises(InputError, match="early_stopping"):
        Schedule(early_stopping="yes")


def test_a_fit_says_how_many_epochs_it_took_and_whether_they_were_enough(small):
    X, y = small

    def fitted(**options):
        return training.fit_all(training.get("mlp", hidden=(4,), **options), X, y, points(y, "none"), 3, 7)[0]

    short = fitted(early_stopping=4, epochs=3, learning_rate=1e-4)
    assert short.epochs == 3
    assert "after 3 epochs" in short.trouble
    long = fitted(early_stopping=1, learning_rate=0.1)
    assert 1 < long.epochs < 400
    assert long.trouble is None
    assert fitted(epochs=1).epochs is None


def test_patience_and_held_rows_come_together(fold):
    X, y, stream, held = fold
    for schedule, rows in ((SCHEDULE, None), (Schedule(hidden=(24,)), held)):
        with pytest.raises(InputError, match="held"):
            fit_all(X, y, [Run(sy.losses.cross_entropy())], stream[None], INITIAL, schedule, C, held=rows)
