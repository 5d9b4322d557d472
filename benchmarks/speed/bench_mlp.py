"""Six strategies × five folds of a 2×64 network on 20,000 rows: our stack, a torch loop, skorch.

    python benchmarks/speed/bench_mlp.py [--epochs 3] [--repeats 3] [--rows 20000]

The same epochs, batch size and optimiser everywhere; the variants are interleaved, the median is taken, and ratios are
what is worth quoting. Ours is the JAX program, with and without compilation, which happens once per shape of the data,
and the compiled step where it is installed (bench_native.py compares these two more closely).
skorch is left out, and that is said, where it is not installed (pip install skorch).
"""

import argparse
import importlib.metadata
import itertools
import os
import platform
import statistics
import time

import numpy as np

import steelyard as sy
from steelyard import kernels
from steelyard.training import mlp
from steelyard.training.batches import shuffled

BATCH, HIDDEN, FEATURES, CLASSES, FOLDS = 256, (64, 64), 30, 10, 5


def strategies(counts):
    w = sy.class_weight("balanced", counts)
    return [
        sy.losses.cross_entropy(),
        sy.losses.weighted_cross_entropy(w),
        sy.losses.focal(gamma=2.0),
        sy.losses.class_balanced(counts, gamma=1.0),
        sy.losses.logit_adjusted(counts),
        sy.losses.vector_scaling(counts),
    ]


def data(rows):
    rng = np.random.default_rng(0)
    priors = np.geomspace(1.0, 0.02, CLASSES)
    y = rng.choice(CLASSES, rows, p=priors / priors.sum())
    return (rng.normal(size=(rows, FEATURES)) + rng.normal(size=(CLASSES, FEATURES))[y]).astype(np.float32), y


def folds(y):
    place = np.random.default_rng(1).permutation(len(y)) % FOLDS
    return [np.flatnonzero(place != k) for k in range(FOLDS)]


def ours(X, y, epochs, backend="jax"):
    for k, rows in enumerate(folds(y)):
        schedule = mlp.Schedule(hidden=HIDDEN, epochs=epochs, batch_size=BATCH, backend=backend)
        stream = shuffled(np.arange(len(rows)), schedule.steps(len(rows)), BATCH, np.random.default_rng(k))
        initial = mlp.initial_weights((FEATURES, *HIDDEN, CLASSES), np.random.default_rng(k))
        runs = [mlp.Run(loss) for loss in strategies(np.bincount(y[rows]))]
        mlp.fit_all(X[rows], y[rows], runs, stream[None], initial, schedule, CLASSES)


def compiled(X, y, epochs):
    ours(X, y, epochs, "native")


def network(torch):
    sizes, parts = (FEATURES, *HIDDEN, CLASSES), []
    for a, b in itertools.pairwise(sizes):
        parts += [torch.nn.Linear(a, b), torch.nn.ReLU()]
    return torch.nn.Sequential(*parts[:-1])


def torch_loop(X, y, epochs):
    import torch

    for k, rows in enumerate(folds(y)):
        x, t = torch.tensor(X[rows]), torch.tensor(y[rows])
        for loss in strategies(np.bincount(y[rows])):
            torch.manual_seed(k)
            model, criterion = network(torch), sy.torch.Loss(loss)
            optimiser = torch.optim.AdamW(model.parameters(), lr=4e-3, fused=True)
            for _ in range(epochs):
                for batch in torch.randperm(len(x))[: len(x) // BATCH * BATCH].split(BATCH):
                    optimiser.zero_grad()
                    criterion(model(x[batch]), t[batch]).backward()
                    optimiser.step()


def skorch_fits(X, y, epochs):
    import skorch
    import torch

    for rows in folds(y):
        for loss in strategies(np.bincount(y[rows])):
            net = skorch.NeuralNetClassifier(
                network(torch), criterion=sy.torch.Loss, criterion__loss=loss, optimizer=torch.optim.AdamW, lr=4e-3,
                max_epochs=epochs, batch_size=BATCH, train_split=None, verbose=0, iterator_train__shuffle=True,
            )  # fmt: skip
            net.fit(X[rows], y[rows].astype(np.int64))


def timed(run, *args):
    begun = time.perf_counter()
    run(*args)
    return time.perf_counter() - begun


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--rows", type=int, default=20_000)
    asked = parser.parse_args()
    import torch

    torch.set_num_threads(1)  # more threads make steps of this size slower
    X, y = data(asked.rows)
    variants = {"steelyard": ours, "torch loop": torch_loop}
    if kernels.available().compiled:
        variants["compiled step"] = compiled
    else:
        print(kernels.available())
    try:
        importlib.metadata.version("skorch")
        variants["skorch"] = skorch_fits
    except importlib.metadata.PackageNotFoundError:
        print("skorch is not installed and left out")
    first = timed(ours, X, y, asked.epochs)
    times = {name: [] for name in variants}
    for _ in range(asked.repeats):
        for name, run in variants.items():
            times[name].append(timed(run, X, y, asked.epochs))
    versions = {p: importlib.metadata.version(p) for p in ("jax", "torch", "numpy")}
    print(f"{os.cpu_count()} cores, {platform.machine()}, {versions}, epochs {asked.epochs}, rows {asked.rows}")
    base = statistics.median(times["steelyard"])
    print(f"{'variant':<24}{'median s':>10}{'fastest':>10}{'slowest':>10}{'ratio':>8}")
    print(f"{'steelyard, first call':<24}{first:>10.2f}{'':>20}{first / base:>8.2f}")
    for name, values in times.items():
        middle = statistics.median(values)
        print(f"{name:<24}{middle:>10.2f}{min(values):>10.2f}{max(values):>10.2f}{middle / base:>8.2f}")


if __name__ == "__main__":
    main()
