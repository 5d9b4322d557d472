"""Boosted trees of the comparison against the libraries themselves."""

import json

import numpy as np
import pytest

import steelyard as sy
from steelyard import sampling, training
from steelyard.errors import InputError
from steelyard.training import boosted

lgb = pytest.importorskip("lightgbm")
xgb = pytest.importorskip("xgboost")
cb = pytest.importorskip("catboost")

LIBRARIES = {"lightgbm": boosted.LightGBMTrees, "xgboost": boosted.XGBoostTrees, "catboost": boosted.CatBoostTrees}
PLAIN = {"num_threads": 1, "deterministic": True, "force_row_wise": True, "verbose": -1, "seed": 0}


def data(n_classes, n=900, values=None):
    rng = np.random.default_rng(n_classes)
    y = rng.choice(n_classes, n, p=[0.8, 0.2] if n_classes == 2 else [0.7, 0.2, 0.1])
    X = rng.normal(size=(n, 4)) + 0.7 * y[:, None]
    return X if values is None else np.clip(np.round(X * 3), -values, values), y


def points(library, y, n_classes, *names):
    counts = sy.ClassCounts.from_labels(y, classes=range(n_classes))
    return [training.resolve(library, sy.strategies.get(name), counts) for name in names]


def trained(library, strategy, X, y, n_classes, **options):
    (point,) = points(library, y, n_classes, strategy)
    model = training.get(library, **{"n_estimators": 20, **options})
    return point, training.fit(model, X, y, point, n_classes, np.random.default_rng(0)).model


def row_weights(point, y):
    """Return the class weights of a point, 1 on average, for each row."""
    w = point.loss.class_weight
    return None if w is None else w[y] / w[y].mean()


def log_odds(z):
    return z - z[:, :1]


def plainly(library, X, y, weight, n_classes, start):
    """Train the library as its manual says and return logits relative to the first class."""
    several = {"num_class": n_classes} if n_classes > 2 else {}
    if library == "lightgbm":
        settings = {**PLAIN, **several, "objective": "binary" if n_classes == 2 else "multiclass"}
        raw = lgb.train(settings, lgb.Dataset(X, y, weight=weight), 20).predict(X, raw_score=True)
    elif library == "xgboost":
        settings = {"nthread": 1, **several, "objective": "binary:logistic" if n_classes == 2 else "multi:softprob"}
        matrix = xgb.DMatrix(X, y, weight=weight)
        raw = xgb.train(settings, matrix, 20).predict(matrix, output_margin=True)
    else:
        settings = {"thread_count": 1, "random_seed": 0, "logging_level": "Silent", "allow_writing_files": False}
        settings |= {"iterations": 20, "learning_rate": 0.2, "leaf_estimation_iterations": 1}
        settings["loss_function"] = "Logloss" if n_classes == 2 else "MultiClass"
        rows = np.full(len(y), start[0]) if n_classes == 2 else np.tile(start, (len(y), 1))
        booster = cb.CatBoost(settings).fit(cb.Pool(X, y, weight=weight, baseline=rows))
        raw = booster.predict(X, prediction_type="RawFormulaVal") + start
    return log_odds(np.stack([np.zeros(len(raw)), raw], 1) if raw.ndim == 1 else raw)


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("strategy", ["none", "balanced", "inverse_sqrt"])
@pytest.mark.parametrize("library", LIBRARIES)
def test_weights_equal_the_plain_library_with_weights(library, strategy, n_classes):
    # few values, all of them bins: with more XGBoost takes quantiles of weights, and not of rows as shared bins do
    X, y = data(n_classes, values=9)
    (point,) = points(library, y, n_classes, strategy)
    options = LIBRARIES[library], X, y, [point], n_classes, 0
    (model, _), *_ = boosted.fit_points(*options, training_options(library))
    assert model.objective != "steelyard"
    plain = plainly(library, X, y, row_weights(point, y), n_classes, model.start)
    np.testing.assert_allclose(log_odds(model.logits(X)), plain, rtol=1e-5, atol=1e-5)


def training_options(library, n_estimators=20, **options):
    kinds = {
        "lightgbm": boosted.LightGBMOptions,
        "xgboost": boosted.XGBoostOptions,
        "catboost": boosted.CatBoostOptions,
    }
    return kinds[library](n_estimators=n_estimators, **options)


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("strategy", [s for s in sy.strategies.names() if not sy.strategies.get(s).needs_inner])
@pytest.mark.parametrize("library", LIBRARIES)
def test_every_strategy_trains_and_learns(library, strategy, n_classes):
    by_row = library == "catboost" and n_classes == 3  # our objective takes 0.2 ms for each row and tree there
    X, y = data(n_classes, 300 if by_row else 900)
    point, model = trained(library, strategy, X, y, n_classes, n_estimators=6 if by_row else 30)
    proba = point.posterior(model.logits(X))
    np.testing.assert_allclose(proba.sum(1), 1.0)
    if not by_row:  # six trees move no arg max
        recalls = [(proba.argmax(1) == y)[y == k].mean() for k in range(n_classes)]
        assert np.mean(recalls) > 1.2 / n_classes
    # probabilities that are worse than the class shares would be say that training went astray
    shares = np.bincount(y) / len(y)
    assert -np.log(proba[np.arange(len(y)), y]).mean() < -np.log(shares[y]).mean()


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("library", ["lightgbm", "xgboost"])
@pytest.mark.parametrize("strategy", ["logit_adjusted", "ldam"])
def test_offsets_and_margins_through_the_own_objective_are_our_objective(library, strategy, n_classes, monkeypatch):
    X, y = data(n_classes)
    _, own = trained(library, strategy, X, y, n_classes)
    monkeypatch.setattr(boosted, "weights_and_offsets", lambda *_: None)
    _, ours = trained(library, strategy, X, y, n_classes)
    assert (own.objective == "steelyard", ours.objective) == (False, "steelyard")
    np.testing.assert_allclose(log_odds(own.logits(X)), log_odds(ours.logits(X)), atol=2e-3)


@pytest.mark.parametrize("library", LIBRARIES)
def test_the_size_of_weights_changes_nothing(library):
    X, y = data(2)
    (point,) = points(library, y, 2, "balanced")
    fits = []
    for size in (1.0, 1e-4):
        object.__setattr__(point, "loss", sy.losses.weighted_cross_entropy([size, 3.0 * size]))
        fits.append(training.fit(training.get(library, n_estimators=20), X, y, point, 2, np.random.default_rng(0)))
    np.testing.assert_allclose(fits[1].model.logits(X), fits[0].model.logits(X), rtol=1e-6, atol=1e-6)


def test_a_loss_that_catboost_would_ask_for_row_by_row_for_minutes_is_left_out():
    X, y = data(3)
    some = points("catboost", y, 3, "none", "focal")
    plain, focal = training.fit_all(training.get("catboost", n_estimators=200), X, y, some, 3, 0)
    assert not isinstance(plain, Exception)
    assert isinstance(focal, InputError)
    assert "calls Python 360000 times. Hint: take lightgbm or xgboost for it" in str(focal)


# --- shared bins, and fits side by side ---------------------------------------------------------------------------


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_fit_is_the_same_alone_among_others_and_beside_others(library):
    X, y = data(2)
    some = points(library, y, 2, "none", "balanced", "logit_adjusted", "focal", "undersample", "smote", "oversample")
    model = training.get(library, n_estimators=10)
    together = training.fit_all(model, X, y, some, 2, 7)
    beside = training.fit_all(model, X, y, some, 2, 7, threads=3)
    again = training.fit_all(model, X, y, some[::-1], 2, 7, threads=2)[::-1]
    for place, point in enumerate(some):
        (alone,) = training.fit_all(model, X, y, [point], 2, 7)
        for other in (together, beside, again):
            assert other[place].model.text == alone.model.text, point.strategy


def count_bins(library, monkeypatch):
    kind = type(LIBRARIES[library].library)
    made, bins = [], kind.bins

    def counted(self, X, y, options):
        made.append(len(X))
        return bins(self, X, y, options)

    monkeypatch.setattr(kind, "bins", counted)
    return made


@pytest.mark.parametrize("library", LIBRARIES)
def test_rows_are_binned_once_and_made_rows_by_themselves(library, monkeypatch):
    X, y = data(2)
    made = count_bins(library, monkeypatch)
    some = points(library, y, 2, "none", "balanced", "focal", "oversample", "undersample", "smote")
    fits = training.fit_all(training.get(library, n_estimators=2), X, y, some, 2, 0)
    assert not [f for f in fits if isinstance(f, Exception)]
    assert made[0] == 900
    assert len(made) == 2
    assert made[1] > 900


@pytest.mark.parametrize("library", ["lightgbm", "xgboost"])
def test_a_row_of_weight_k_is_k_rows_where_leaves_need_no_number_of_rows(library):
    # LightGBM's min_child_samples counts a row of weight k once: with 1 there is no difference
    X, y = data(2, n=4000, values=4)
    (point,) = points(library, y, 2, "oversample")
    options = training_options(library, **({"min_child_samples": 1} if library == "lightgbm" else {}))
    (weighted, _), *_ = boosted.fit_points(LIBRARIES[library], X, y, [point], 2, 5, options)
    rows = sampling.rows(point.sampler, y, training.networks.drawing(5))
    (none,) = points(library, y[rows], 2, "none")
    (copied, _), *_ = boosted.fit_points(LIBRARIES[library], X[rows], y[rows], [none], 2, 5, options)
    np.testing.assert_allclose(weighted.logits(X), copied.logits(X), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("library", LIBRARIES)
def test_fewer_rows_keep_the_bins_of_the_fold(library):
    # few values, each left in the smaller set too: then its own bins are the same
    X, y = data(2, n=4000, values=4)
    (point,) = points(library, y, 2, "undersample")
    options = training_options(library)
    (shared, _), *_ = boosted.fit_points(LIBRARIES[library], X, y, [point], 2, 5, options)
    rows = np.sort(sampling.rows(point.sampler, y, training.networks.drawing(5)))
    (none,) = points(library, y[rows], 2, "none")
    (own, _), *_ = boosted.fit_points(LIBRARIES[library], X[rows], y[rows], [none], 2, 5, options)
    np.testing.assert_allclose(shared.logits(X), own.logits(X), rtol=1e-5, atol=1e-5)


# --- deferred losses ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("library", LIBRARIES)
def test_deferred_trees_take_the_later_loss(library):
    X, y = data(2)
    model = training.get(library, n_estimators=20)

    def mean_score(defer):
        (point,) = points(library, y, 2, "none")
        object.__setattr__(point, "loss", sy.losses.cross_entropy())
        object.__setattr__(point, "later", sy.losses.weighted_cross_entropy([1.0, 20.0]))
        object.__setattr__(point, "defer", defer)
        z = training.fit(model, X, y, point, 2, np.random.default_rng(0)).model.logits(X)
        return float((z[:, 1] - z[:, 0]).mean())

    assert mean_score(0.0) > mean_score(0.5) > mean_score(1.0)


# --- stored trees -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("strategy", ["none", "focal", "ldam"])
@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("library", LIBRARIES)
def test_stored_trees_are_the_same_trees(library, n_classes, strategy):
    X, y = data(n_classes, 200)
    _, model = trained(library, strategy, X, y, n_classes, n_estimators=3)
    again = LIBRARIES[library].from_state(*model.state())
    np.testing.assert_array_equal(again.logits(X), model.logits(X))
    assert again.state()[0] == model.state()[0]


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("library", ["xgboost", "catboost"])
def test_numbers_that_do_not_fit_are_refused_or_harmless(library, n_classes):
    X, y = data(n_classes, 200)
    _, model = trained(library, "none", X, y, n_classes, n_estimators=2)
    facts, arrays = model.state()
    places = list(_numbers(json.loads(facts["text"])))
    rng = np.random.default_rng(0)
    refused = 0
    for place in rng.choice(len(places), 80):
        for value in (-2, 2**31 - 1, 1e300, "1", None, True, [], {}, "x" * 50):
            content = json.loads(facts["text"])
            _put(content, places[place], value)
            try:
                changed = LIBRARIES[library].from_state({**facts, "text": json.dumps(content)}, arrays)
            except (InputError, ValueError):
                refused += 1
            else:
                assert changed.logits(X).shape == (200, n_classes)
    assert refused > 150


def _numbers(content, path=()):
    items = content.items() if isinstance(content, dict) else enumerate(content)
    for key, value in items:
        if isinstance(value, dict | list):
            yield from _numbers(value, (*path, key))
        else:
            yield (*path, key)


def _put(content, path, value):
    for key in path[:-1]:
        content = content[key]
    content[path[-1]] = value


@pytest.mark.parametrize("text", ["", "{}", "[]", "null", "tree\nversion=v4", "[" * 100_000])
@pytest.mark.parametrize("library", ["xgboost", "catboost"])
def test_another_text_is_refused(library, text):
    with pytest.raises((InputError, ValueError, RecursionError)):
        LIBRARIES[library].from_state({"text": text, "n_classes": 2, "objective": "x"}, {"start": np.zeros(1)})


def test_a_start_of_another_size_is_refused():
    X, y = data(3, 200)
    _, model = trained("xgboost", "none", X, y, 3, n_estimators=1)
    facts, _ = model.state()
    with pytest.raises(InputError, match=r"a start of shape \(1,\) or \(3,\); got \(2,\)"):
        boosted.XGBoostTrees.from_state(facts, {"start": np.zeros(2)})
