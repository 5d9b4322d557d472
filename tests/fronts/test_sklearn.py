"""The classifier for scikit-learn: its own checks, its tools, and pipelines that anyone would write."""

import pickle

import numpy as np
import pandas as pd
import pytest
import sklearn
from scipy import sparse
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import (
    GridSearchCV,
    StratifiedKFold,
    TunedThresholdClassifierCV,
    cross_val_predict,
    cross_val_score,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import steelyard as sy
from steelyard.errors import InputError
from steelyard.training import batches
from steelyard.tuning.out_of_fold import inner_folds
from steelyard.tuning.seeds import FINAL, seed

lgb = pytest.importorskip("lightgbm")

SMALL = {
    "linear": "linear",
    "lightgbm": ("lightgbm", {"n_estimators": 8}),
    "xgboost": ("xgboost", {"n_estimators": 8}),
    "catboost": ("catboost", {"n_estimators": 8}),
    "mlp": ("mlp", {"hidden": (8,), "epochs": 8}),
}


def classifier(strategy="none", model="linear", **parameters):
    return sy.sklearn.ImbalancedClassifier(strategy, SMALL.get(model, model), random_state=0, **parameters)


@pytest.fixture(scope="module")
def two():
    rng = np.random.default_rng(3)
    y = np.where(rng.random(400) < 0.15, "ill", "well")
    return rng.normal(2.0, 3.0, size=(400, 4)) + 2.5 * (y == "ill")[:, None] * rng.normal(size=4), y


@pytest.fixture(scope="module")
def three():
    rng = np.random.default_rng(4)
    y = rng.choice([7, 3, 5], 450, p=[0.7, 0.2, 0.1])
    return rng.normal(size=(450, 4)) + np.eye(8, 4)[y - 3] * 1.5, y


# --- scikit-learn's own checks --------------------------------------------------------------------------------------

_EQUIVALENCE = "check_sample_weight_equivalence_on_dense_data"
_FAILS = {
    "lightgbm": {
        _EQUIVALENCE: "LightGBM's bins and its least number of rows in a leaf count rows, not weights: k rows are no "
        "row of weight k, in LGBMClassifier either"
    },
    "catboost": {
        _EQUIVALENCE: "CatBoost's borders and its random permutations count rows, not weights: k rows are no row of "
        "weight k, in CatBoostClassifier either"
    },
    "mlp": {
        _EQUIVALENCE: "the check shuffles the rows of one of the two fits: a network sees them in other batches, whose "
        "sums are float32; in the same order the two are equal, see test_whole_weights_are_copies"
    },
}


@parametrize_with_checks(
    [
        sy.sklearn.ImbalancedClassifier(model=model)
        for model in (
            "linear",
            ("lightgbm", {"n_estimators": 5, "min_child_samples": 2}),
            ("xgboost", {"n_estimators": 5}),
            ("catboost", {"n_estimators": 5}),
            ("mlp", {"hidden": (8,), "epochs": 30}),
        )
    ],
    expected_failed_checks=lambda one: _FAILS.get(one.model[0], {}),
)
def test_scikit_learns_checks(estimator, check):
    check(estimator)


# --- the same as a pipeline that anyone would write -----------------------------------------------------------------


@pytest.mark.parametrize("data", ["two", "three"])
@pytest.mark.parametrize("weight", [None, "balanced"])
def test_linear_is_logistic_regression(data, weight, request):
    X, y = request.getfixturevalue(data)
    ours = classifier(weight or "none").fit(X, y)
    plain = make_pipeline(StandardScaler(), LogisticRegression(class_weight=weight, tol=1e-10, max_iter=10_000))
    expected = plain.fit(X, y).predict_proba(X)
    np.testing.assert_array_equal(ours.predict(X), plain.predict(X))
    if weight:
        # weights N / (C n) say that all classes are equally common: back to the shares there are
        expected = expected * np.unique(y, return_counts=True)[1]
        expected /= expected.sum(1, keepdims=True)
    np.testing.assert_allclose(ours.predict_proba(X), expected, atol=2e-5)


def test_linear_with_weights_of_rows_is_logistic_regression(three):
    X, y = three
    s = np.random.default_rng(0).exponential(0.2, len(y))
    scale = StandardScaler().fit(X, sample_weight=s)
    plain = LogisticRegression(tol=1e-10, max_iter=10_000).fit(scale.transform(X), y, s)
    ours = classifier().fit(X, y, s)
    np.testing.assert_allclose(ours.predict_proba(X), plain.predict_proba(scale.transform(X)), atol=2e-5)


@pytest.mark.parametrize("data", ["two", "three"])
@pytest.mark.parametrize("weighted", [False, True])
def test_lightgbm_is_lightgbm(data, weighted, request):
    X, y = request.getfixturevalue(data)
    s = np.random.default_rng(0).exponential(1.0, len(y)) if weighted else None
    settings = {"num_threads": 1, "deterministic": True, "force_row_wise": True, "verbose": -1}
    plain = lgb.LGBMClassifier(n_estimators=8, **settings).fit(X, y, sample_weight=s)
    ours = classifier(model="lightgbm").fit(X, y, s)
    np.testing.assert_allclose(ours.predict_proba(X), plain.predict_proba(X), atol=1e-12)
    np.testing.assert_array_equal(ours.predict(X), plain.predict(X))


@pytest.mark.parametrize("data", ["two", "three"])
def test_xgboost_is_xgboost(data, request):
    xgb = pytest.importorskip("xgboost")
    X, y = (part[:250] for part in request.getfixturevalue(data))  # fewer values than bins: quantiles need no weights
    s = np.random.default_rng(0).exponential(1.0, len(y))
    codes = np.unique(y, return_inverse=True)[1]
    plain = xgb.XGBClassifier(n_estimators=8, n_jobs=1, tree_method="hist").fit(X, codes, sample_weight=s)
    np.testing.assert_allclose(
        classifier(model="xgboost").fit(X, y, s).predict_proba(X), plain.predict_proba(X), atol=1e-6
    )


@pytest.mark.parametrize(
    ("strategy", "model", "metric"),
    [
        ("logit_adjusted", "linear", None),
        ("logit_adjusted", "linear", "f1_macro"),
        ("oversample", "mlp", None),
        ("focal", "mlp", "balanced_accuracy"),
        ("smote", "lightgbm", None),
        ("tuned_weights", "linear", None),
    ],
)
def test_is_the_model_of_a_comparison(two, strategy, model, metric):
    X, y = two
    ours = classifier(strategy, model, metric=metric).fit(X, y)
    name, options = SMALL[model] if isinstance(SMALL[model], tuple) else (model, {})
    from steelyard.comparison.classifier import Classifier

    theirs = Classifier(
        name, strategy, "default" if metric is None else "tuned", metric, model_options=options, random_state=0
    ).fit(X, y)
    np.testing.assert_array_equal(ours.predict_proba(X), theirs.predict_proba(X))
    np.testing.assert_array_equal(ours.predict(X), theirs.predict(X))
    assert (None if ours.rule_ is None else ours.rule_.to_dict()) == (theirs.rule_ if metric else None)


# --- decisions ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("data", ["two", "three"])
@pytest.mark.parametrize("metric", [None, "f1_macro"])
@pytest.mark.parametrize(
    "strategy", ["none", "prior_threshold", "post_hoc_logit_adjustment", "logit_adjusted", "focal"]
)
def test_the_decision_function_is_the_decision(data, metric, strategy, request):
    X, y = request.getfixturevalue(data)
    ours = classifier(strategy, metric=metric).fit(X, y)
    scores, proba, labels = ours.decision_function(X), ours.predict_proba(X), ours.predict(X)
    if data == "two":
        np.testing.assert_array_equal(ours.classes_[(scores > 0).astype(int)], labels)
        order = np.argsort(proba[:, 1], kind="stable")
        assert (np.diff(scores[order]) >= -1e-12).all()
    else:
        np.testing.assert_array_equal(ours.classes_[scores.argmax(1)], labels)
        if metric is None:
            np.testing.assert_array_equal(ours.point_.decide(ours._logits(X)), scores.argmax(1))
    np.testing.assert_allclose(proba.sum(1), 1.0)


def test_a_probability_equal_to_the_threshold_is_positive():
    from steelyard.decisions import Threshold

    for positive in (0, 1):
        for t in (0.1, 0.3, 1.0 - 2**-53):
            p = np.array([np.nextafter(t, 0), t, np.nextafter(t, 1)])
            proba = np.column_stack([1 - p, p]) if positive else np.column_stack([p, 1 - p])
            rule = Threshold(t, positive)
            np.testing.assert_array_equal(rule.scores(proba).argmax(1), rule(proba))


def test_a_tuned_threshold_is_the_best_on_out_of_fold_probabilities(two):
    X, y = two
    ours = classifier(metric="balanced_accuracy").fit(X, y)
    plain = make_pipeline(StandardScaler(), LogisticRegression(tol=1e-10, max_iter=10_000))
    folds = inner_folds((y == "well").astype(int), seed(0, "inner folds", *FINAL))
    p = cross_val_predict(plain, X, y, cv=folds, method="predict_proba")[:, 0]
    cuts = np.concatenate([[-1.0], np.sort(p)]) + 1e-9
    best = max(balanced_accuracy_score(y == "ill", p > cut) for cut in cuts)
    assert ours.rule_.positive == 0  # the rarer one
    assert balanced_accuracy_score(y == "ill", p >= ours.rule_.threshold) == pytest.approx(best)
    np.testing.assert_array_equal(ours.predict(X) == "ill", ours.predict_proba(X)[:, 0] >= ours.rule_.threshold)


def test_weights_of_rows_reach_the_tuned_decision(two):
    X, y = two
    s = np.where(y == "ill", 20.0, 1.0)
    ours = classifier(metric="f1", positive="ill").fit(X, y, s)
    folds = inner_folds((y == "well").astype(int), seed(0, "inner folds", *FINAL))
    p = np.empty(len(y))
    for train, test in folds:
        scale = StandardScaler().fit(X[train], sample_weight=s[train])
        model = LogisticRegression(tol=1e-10, max_iter=10_000).fit(scale.transform(X[train]), y[train], s[train])
        p[test] = model.predict_proba(scale.transform(X[test]))[:, 0]
    from sklearn.metrics import f1_score

    def value(cut):
        return f1_score(y == "ill", p >= cut, sample_weight=s)

    assert value(ours.rule_.threshold) == pytest.approx(max(value(cut) for cut in p), abs=1e-12)


# --- weights of rows ------------------------------------------------------------------------------------------------


# rows that are drawn or made depend on their number; batches of a network, on average only, are tested below
_DRAWN = ("oversample", "undersample", "smote", "tuned_weights")
_EXACT = [name for name in sy.strategies.names() if name not in _DRAWN]


@pytest.mark.parametrize(
    ("model", "strategy"),
    [("linear", name) for name in _EXACT] + [("mlp", name) for name in _EXACT if name != "balanced_batches"],
)
def test_whole_weights_are_copies(three, strategy, model):
    X, y = three
    s = np.random.default_rng(0).integers(0, 4, len(y))
    ours = classifier(strategy, model).fit(X, y, s)
    copies = classifier(strategy, model).fit(np.repeat(X, s, 0), np.repeat(y, s))
    # linear: one optimum, reached to the tolerance of the solver from two sides; networks: the same steps
    np.testing.assert_allclose(ours.predict_proba(X), copies.predict_proba(X), atol=1e-6)
    np.testing.assert_array_equal(ours.counts_.counts, copies.counts_.counts)


@pytest.mark.parametrize("model", list(SMALL))
@pytest.mark.parametrize("strategy", ["none", "class_balanced_focal", "oversample", "undersample"])
def test_weights_of_zero_leave_rows_out(three, model, strategy):
    X, y = three
    s = (np.arange(len(y)) % 3 > 0).astype(float)
    weighted, fewer = (
        classifier(strategy, model).fit(X, y, s),
        classifier(strategy, model).fit(X[s > 0], y[s > 0], s[s > 0]),
    )
    np.testing.assert_array_equal(weighted.predict_proba(X), fewer.predict_proba(X))


@pytest.mark.parametrize("model", list(SMALL))
def test_equal_weights_change_nothing(three, model):
    X, y = three
    # trees and the penalty of a linear model count what weights add up to: 1 each
    weighted = classifier("balanced", model).fit(X, y, np.ones(len(y)))
    np.testing.assert_allclose(
        weighted.predict_proba(X), classifier("balanced", model).fit(X, y).predict_proba(X), atol=1e-7
    )


@pytest.mark.parametrize("strategy", ["none", "balanced", "logit_adjusted", "oversample", "balanced_batches"])
@pytest.mark.parametrize("model", ["linear", "lightgbm", "mlp"])
def test_probabilities_are_of_the_weighted_rows(strategy, model):
    # weights that make the rare class common: a model of no use has to say the weighted shares, whatever the strategy
    rng = np.random.default_rng(0)
    y = (rng.random(3000) < 0.1).astype(int)
    X = rng.normal(size=(3000, 2))
    s = np.where(y == 1, 6.0, 1.0) * rng.uniform(0.5, 1.5, len(y))
    expected = s[y == 1].sum() / s.sum()
    p = classifier(strategy, model).fit(X, y, s).predict_proba(X)[:, 1]
    assert p.mean() == pytest.approx(expected, abs=0.05)  # 0.1 without the weights


def test_passes_take_a_row_as_often_as_its_weight_says():
    times = np.random.default_rng(1).exponential(1.0, 60)
    times *= 60 / times.sum()
    stream = batches.repeated(times, 500, 60, np.random.default_rng(0))
    drawn = np.bincount(stream.ravel(), minlength=60) / 500
    # systematic sampling: of a variance below that of independent draws, f (1 − f) per pass
    assert np.abs(drawn - times).max() < 5 * 0.5 / np.sqrt(500)
    each = np.stack([np.bincount(one, minlength=60) for one in stream])  # a pass is a batch here
    assert (each >= np.floor(times)).all()
    assert (each <= np.ceil(times)).all()
    np.testing.assert_array_equal(
        batches.repeated(np.array([2.0, 0.0, 1.0]), 4, 3, np.random.default_rng(0)),
        batches.shuffled(np.array([0, 0, 2]), 4, 3, np.random.default_rng(0)),
    )


def test_batches_of_equal_classes_draw_by_weight():
    from steelyard.sampling import balanced_batches

    y, s = np.array([0, 2, 0, 2, 2]), np.array([1.0, 1.0, 3.0, 2.0, 1.0])
    drawn = balanced_batches(y, 400, 50, np.random.default_rng(0), s)
    np.testing.assert_allclose(
        np.bincount(drawn.ravel(), minlength=5) / drawn.size, [0.125, 0.125, 0.375, 0.25, 0.125], atol=0.015
    )


def test_early_stopping_with_weights(two):
    X, y = two
    model = ("mlp", {"hidden": (8,), "early_stopping": 2})
    ours = sy.sklearn.ImbalancedClassifier("none", model, random_state=0)
    ones = ours.fit(X, y, np.ones(len(y))).predict_proba(X)
    np.testing.assert_array_equal(ones, clone(ours).fit(X, y).predict_proba(X))


# --- inside scikit-learn's tools ------------------------------------------------------------------------------------


def test_a_search_over_strategies_and_models(two):
    X, y = two
    grid = {
        "imbalancedclassifier__strategy": ["none", sy.strategies.get("logit_adjusted", tau=0.5)],
        "imbalancedclassifier__model": ["linear", ("lightgbm", {"n_estimators": 5})],
    }
    pipe = make_pipeline(StandardScaler(), sy.sklearn.ImbalancedClassifier(random_state=0))
    search = GridSearchCV(pipe, grid, scoring="balanced_accuracy", cv=3, error_score="raise").fit(X, y)
    assert len(search.cv_results_["params"]) == 4
    assert 0.5 < search.best_score_ <= 1.0
    assert search.predict(X[:3]).dtype == y.dtype
    assert "tau" in repr(search.best_estimator_) or "none" in repr(search.best_estimator_)


def test_calibration_and_a_tuned_threshold(two):
    X, y = two
    calibrated = CalibratedClassifierCV(classifier("balanced"), cv=3).fit(X, y)
    assert calibrated.predict_proba(X).shape == (400, 2)
    for method in ("predict_proba", "decision_function"):
        tuned = TunedThresholdClassifierCV(classifier("logit_adjusted"), response_method=method, cv=3).fit(X, y)
        # for balanced accuracy: at least near what the strategy's own decision reaches
        own = cross_val_score(classifier("logit_adjusted"), X, y, scoring="balanced_accuracy", cv=3).mean()
        assert tuned.best_score_ > own - 0.02


def test_weights_are_routed(two):
    X, y = two
    s = np.where(y == "ill", 4.0, 1.0)
    folds = StratifiedKFold(3)
    with sklearn.config_context(enable_metadata_routing=True):
        asked = classifier().set_fit_request(sample_weight=True).set_score_request(sample_weight=True)
        routed = cross_val_score(asked, X, y, cv=folds, params={"sample_weight": s})
    by_hand = [
        classifier().fit(X[train], y[train], s[train]).score(X[test], y[test], s[test])
        for train, test in folds.split(X, y)
    ]
    np.testing.assert_array_equal(routed, by_hand)
    assert not np.allclose(by_hand, cross_val_score(classifier(), X, y, cv=folds))


def test_clones_and_copies(two):
    X, y = two
    ours = classifier("logit_adjusted", "mlp", metric="f1_macro")
    again = clone(ours).fit(X, y)
    assert repr(clone(ours)) == repr(ours)
    assert repr(sy.sklearn.ImbalancedClassifier()) == "ImbalancedClassifier()"
    np.testing.assert_array_equal(again.predict_proba(X), ours.fit(X, y).predict_proba(X))
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(ours)).predict(X), ours.predict(X))


@pytest.mark.parametrize("model", list(SMALL))
def test_random_state(two, model):
    X, y = two

    def fitted(state):
        return (
            sy.sklearn.ImbalancedClassifier("oversample", SMALL[model], random_state=state).fit(X, y).predict_proba(X)
        )

    np.testing.assert_array_equal(fitted(5), fitted(5))
    np.testing.assert_array_equal(fitted(np.random.RandomState(5)), fitted(np.random.RandomState(5)))
    assert not np.array_equal(fitted(5), fitted(6))


def test_names_of_columns(two):
    X, y = two
    frame = pd.DataFrame(X, columns=list("abcd"))
    ours = classifier().fit(frame, y)
    np.testing.assert_array_equal(ours.feature_names_in_, list("abcd"))
    np.testing.assert_array_equal(ours.predict(frame), classifier().fit(X, y).predict(X))
    with pytest.raises(ValueError, match="feature names should match"):
        ours.predict(frame[list("bacd")])


# --- what cannot be ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"strategy": "logit_adjustment"}, "did you mean 'logit_adjusted'"),
        ({"model": "lightgmb"}, "did you mean 'lightgbm'"),
        ({"model": ("mlp", {"layers": 3})}, "an option of model 'mlp'"),
        ({"model": ["linear", "mlp"]}, "`model` as a name"),
        ({"model": LogisticRegression()}, "`model` as a name"),
        ({"model": ("mine", LogisticRegression())}, "sy.compare takes models of your own"),
        ({"metric": "average_precision"}, "depends on a decision"),
        ({"metric": "f1_makro"}, "f1_macro"),
        ({"metric": "f1", "positive": "sick"}, "a class of `y` as `positive`"),
        ({"metric": "f1", "costs": [[0, 1], [5, 0]]}, "`metric` or `costs`; got both"),
        ({"costs": [[0, 1, 1], [5, 0, 1], [1, 1, 0]]}, "2"),
        ({"costs": {"ill": {"well": 5}, "wel": {"ill": 1}}}, "did you mean 'well'"),
        ({"costs": {"ill": {"well": "dose"}, "well": {"ill": 1}}}, "sy.compare takes costs of each row"),
    ],
)
def test_parameters_that_cannot_be(two, parameters, message):
    X, y = two
    with pytest.raises(InputError, match=message):
        sy.sklearn.ImbalancedClassifier(**{"model": "linear", **parameters}).fit(X, y)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"strategy": "smote"}, "no `sample_weight` with SMOTE"),
        ({"strategy": "smote", "model": "mlp"}, "no `sample_weight` with SMOTE"),
        ({"strategy": "tuned_weights"}, "no `sample_weight` with the strategy"),
        ({"metric": "precision@recall>=0.5"}, "no `sample_weight` with the metric"),
    ],
)
def test_weights_that_cannot_be(two, parameters, message):
    X, y = two
    with pytest.raises(InputError, match=message):
        classifier(**parameters).fit(X, y, np.ones(len(y)))


def test_rows_that_cannot_be(two):
    X, y = two
    few = np.r_[np.flatnonzero(y == "well"), np.flatnonzero(y == "ill")[0]]
    with pytest.raises(NotFittedError):
        classifier().predict(X)
    with pytest.raises(InputError, match=r"sparse matrix of shape \(400, 4\).*toarray\(\) takes 0 MB"):
        classifier().fit(sparse.csr_array(X), y)
    with pytest.raises(InputError, match="sparse"):
        classifier().fit(X, y).predict(sparse.csr_array(X))
    with pytest.raises(ValueError, match="infinity"):
        classifier().fit(np.where(X > 5, np.inf, X), y)
    with pytest.raises(ValueError, match="Negative values"):
        classifier().fit(X, y, -np.ones(len(y)))
    with pytest.raises(InputError, match="two classes in `y`; got one class, well"):
        classifier().fit(X[y == "well"], y[y == "well"])
    with pytest.raises(InputError, match="two rows of every class"):
        classifier(metric="f1").fit(X[few], y[few])
    with pytest.raises(ValueError, match="Unknown label type"):
        classifier().fit(X, X[:, 0])


def test_a_fit_that_has_not_settled_says_so(two):
    X, y = two
    with pytest.warns(ConvergenceWarning, match="linear with 'none' stopped after"):
        sy.sklearn.ImbalancedClassifier("none", ("linear", {"max_steps": 1, "penalty": 1e-3})).fit(X, y)
