"""The comparison's scores against pipelines that anyone would write: same folds, same initial weights."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score
from sklearn.preprocessing import StandardScaler

import steelyard as sy
from steelyard.comparison.folds import outer_splits
from steelyard.training.batches import shuffled
from steelyard.training.mlp import Schedule, initial_weights
from steelyard.tuning.seeds import seed
from tests.training.test_mlp import plain_torch

torch = pytest.importorskip("torch")
lgb = pytest.importorskip("lightgbm")


@pytest.fixture(scope="module")
def table():
    rng = np.random.default_rng(3)
    y = (rng.random(500) < 0.15).astype(int)
    return rng.normal(size=(500, 5)) + 0.8 * y[:, None] * rng.normal(size=5), y


def runs(result, strategy):
    rows = result.to_dict()["runs"]
    return {(r["repeat"], r["fold"]): r["metrics"] for r in rows if r["strategy"] == strategy}


def test_networks_score_as_a_plain_torch_pipeline(table):
    X, y = table
    options = {"hidden": (16, 8), "epochs": 6, "batch_size": 40}
    result = sy.compare(X, y, ["balanced"], ("mlp", options), cv=3, repeats=1, decisions="default")
    schedule = Schedule(**options)
    for split in outer_splits(y, cv=3, repeats=1, random_state=0):
        scale = StandardScaler().fit(X[split.train])
        train, labels = scale.transform(X[split.train]), y[split.train]
        state = seed(0, "sampling", split.repeat, split.fold)
        initial = initial_weights((5, 16, 8, 2), np.random.default_rng([state, 0]))
        stream = shuffled(
            np.arange(len(labels)),
            schedule.steps(len(labels)),
            schedule.batch(len(labels)),
            np.random.default_rng([state, 1]),
        )
        for strategy, w in (("none", np.ones(2)), ("balanced", len(labels) / (2 * np.bincount(labels)))):
            weight = torch.tensor(w, dtype=torch.float32)
            constant = stream.shape[1] * float(w[labels[stream]].mean())

            def loss_of(z, t, step, weight=weight, constant=constant):
                return torch.nn.functional.cross_entropy(z, t, weight=weight, reduction="sum") / constant

            z = plain_torch(train, labels, stream, initial, schedule, loss_of, score=scale.transform(X[split.test]))
            ours = runs(result, strategy)[split.repeat, split.fold]
            # two float32 programs: a pair of rows with nearly equal scores may swap
            assert ours["roc_auc"] == pytest.approx(roc_auc_score(y[split.test], z[:, 1] - z[:, 0]), abs=3e-3)
            expected = average_precision_score(y[split.test], z[:, 1] - z[:, 0])
            assert ours["average_precision"] == pytest.approx(expected, abs=1e-2)


def test_boosted_trees_score_as_a_plain_lightgbm_pipeline(table):
    X, y = table
    model = ("lightgbm", {"n_estimators": 25})
    result = sy.compare(X, y, ["balanced"], model, cv=3, repeats=1, decisions="default")
    settings = {"objective": "binary", "num_threads": 1, "deterministic": True, "force_row_wise": True, "verbose": -1}
    for split in outer_splits(y, cv=3, repeats=1, random_state=0):
        scale = StandardScaler().fit(X[split.train])
        train, labels = scale.transform(X[split.train]), y[split.train]
        for strategy, w in (("none", np.ones(2)), ("balanced", len(labels) / (2 * np.bincount(labels)))):
            trees = lgb.train(settings, lgb.Dataset(train, labels, weight=w[labels]), 25)
            p = trees.predict(scale.transform(X[split.test]))
            ours = runs(result, strategy)[split.repeat, split.fold]
            assert ours["roc_auc"] == pytest.approx(roc_auc_score(y[split.test], p), abs=1e-12)
            expected = average_precision_score(y[split.test], p)
            assert ours["average_precision"] == pytest.approx(expected, abs=1e-12)
