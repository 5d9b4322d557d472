"""What bench_compare.py measures beside ours: one network trained by a torch loop, skorch, Keras and scikit-learn.

Each function takes (rows, hidden, epochs) and returns the seconds of an epoch, and the seconds of a fit beside its
epochs. All of them train the same layers on the same rows with AdamW (scikit-learn: Adam) and plain cross-entropy.
"""

import statistics
import time
from itertools import pairwise

import numpy as np

FEATURES, CLASSES, BATCH, FOLDS = 30, 10, 256, 5


def data(rows, classes=CLASSES):
    rng = np.random.default_rng(0)
    priors = np.geomspace(1.0, 0.1 if classes == 2 else 0.05, classes)
    y = rng.choice(classes, rows, p=priors / priors.sum())
    X = rng.normal(size=(rows, FEATURES)) + 0.5 * rng.normal(size=(classes, FEATURES))[y]
    return X.astype(np.float32), y


def folds(y):
    place = np.random.default_rng(1).permutation(len(y)) % FOLDS
    return [np.flatnonzero(place != k) for k in range(FOLDS)]


def one_fold(rows):
    X, y = data(rows)
    train = folds(y)[0]
    return X[train], y[train].astype(np.int64)


def epoch_by_epoch(fit, epochs):
    """Fit once; return the median seconds of an epoch but the first, and what is left beside the epochs.

    `fit(epochs, ends)` appends the time to `ends` after each epoch.
    """
    ends = []
    whole = timed(fit, 1 + epochs, ends)
    per_epoch = statistics.median(np.diff(ends))
    return per_epoch, max(whole - (1 + epochs) * per_epoch, 0.0)


def timed(work, *args):
    begun = time.perf_counter()
    work(*args)
    return time.perf_counter() - begun


def torch_network(hidden):
    import torch

    parts = []
    for a, b in pairwise((FEATURES, *hidden, CLASSES)):
        parts += [torch.nn.Linear(a, b), torch.nn.ReLU()]
    return torch.nn.Sequential(*parts[:-1])


def torch_loop(rows, hidden, epochs):
    import torch

    X, y = map(torch.tensor, one_fold(rows))

    def fit(epochs, ends):
        model = torch_network(hidden)
        optimiser = torch.optim.AdamW(model.parameters(), lr=4e-3, fused=True)
        for _ in range(epochs):
            for batch in torch.randperm(len(X))[: len(X) // BATCH * BATCH].split(BATCH):
                optimiser.zero_grad()
                torch.nn.functional.cross_entropy(model(X[batch]), y[batch]).backward()
                optimiser.step()
            ends.append(time.perf_counter())

    return epoch_by_epoch(fit, epochs)


def skorch_epochs(rows, hidden, epochs):
    import skorch
    import torch

    X, y = one_fold(rows)

    def fit(epochs, ends):
        class Clock(skorch.callbacks.Callback):
            def on_epoch_end(self, _, **__):
                ends.append(time.perf_counter())

        skorch.NeuralNetClassifier(
            torch_network(hidden), criterion=torch.nn.CrossEntropyLoss, optimizer=torch.optim.AdamW, lr=4e-3,
            max_epochs=epochs, batch_size=BATCH, train_split=None, verbose=0, iterator_train__shuffle=True,
            callbacks=[Clock()],
        ).fit(X, y)  # fmt: skip

    return epoch_by_epoch(fit, epochs)


def keras_fit(X, y, hidden, epochs, callbacks=()):
    import keras

    layers = [keras.layers.Dense(width, activation="relu") for width in hidden]
    model = keras.Sequential([keras.layers.Input((FEATURES,)), *layers, keras.layers.Dense(int(y.max()) + 1)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer=keras.optimizers.AdamW(4e-3), loss=loss)
    model.fit(X, y, batch_size=BATCH, epochs=epochs, verbose=0, callbacks=list(callbacks))


def keras_epochs(rows, hidden, epochs):
    import keras

    X, y = one_fold(rows)

    def fit(epochs, ends):
        clock = keras.callbacks.LambdaCallback(on_epoch_end=lambda *_: ends.append(time.perf_counter()))
        keras_fit(X, y, hidden, epochs, [clock])

    return epoch_by_epoch(fit, epochs)


def sklearn_epochs(rows, hidden, epochs):
    import warnings

    from sklearn.neural_network import MLPClassifier

    warnings.simplefilter("ignore")  # it has not converged after so few epochs: of course
    X, y = one_fold(rows)

    network = MLPClassifier(tuple(hidden), batch_size=BATCH, max_iter=epochs, learning_rate_init=4e-3, tol=0.0)
    return timed(network.fit, X, y) / epochs, 0.0
