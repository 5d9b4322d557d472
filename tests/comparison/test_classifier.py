"""The trained winner, against pipelines of scikit-learn and arithmetic by hand."""

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone, is_classifier
from sklearn.compose import make_column_transformer
from sklearn.exceptions import NotFittedError
from sklearn.impute import SimpleImputer
from sklearn.inspection import permutation_importance
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

import steelyard as sy
from steelyard.comparison.classifier import Classifier
from steelyard.comparison.columns import arrow_table
from steelyard.comparison.folds import Split, inner_splits
from steelyard.errors import InputError


def plain_pipeline(class_weight=None):
    """What anyone would write for the mixed table."""
    numbers = make_pipeline(SimpleImputer(strategy="median", add_indicator=True), StandardScaler())
    return make_pipeline(
        make_column_transformer(
            (numbers, ["age", "dose", "smoker"]), (OneHotEncoder(handle_unknown="ignore"), ["sex", "site"])
        ),
        LogisticRegression(class_weight=class_weight, tol=1e-10, max_iter=10_000),
    )


def prepared(frame):
    return frame.assign(smoker=frame["smoker"].astype(float), site=frame["site"].fillna("none"))


@pytest.fixture
def three(mixed):
    frame, y = mixed
    return frame, np.where(frame["dose"] == 4, "so-so", y)


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("weight", [None, "balanced"])
def test_probabilities_are_those_of_a_plain_pipeline(mixed, three, n_classes, weight):
    frame, y = mixed if n_classes == 2 else three
    ours = Classifier(strategy=weight or "none").fit(frame, y)
    expected = plain_pipeline(weight).fit(prepared(frame), y).predict_proba(prepared(frame))
    if weight:
        # weights N / (C n) say that all classes are equally common: back to the shares there are
        expected = expected * np.unique(y, return_counts=True)[1]
        expected /= expected.sum(1, keepdims=True)
    np.testing.assert_allclose(ours.predict_proba(frame), expected, atol=2e-5)


@pytest.mark.parametrize("weight", [None, "balanced"])
def test_default_labels_are_those_of_a_plain_pipeline(three, weight):
    frame, y = three
    ours = Classifier(strategy=weight or "none").fit(frame, y).predict(frame)
    np.testing.assert_array_equal(ours, plain_pipeline(weight).fit(prepared(frame), y).predict(prepared(frame)))


def test_a_tuned_threshold_is_the_best_on_out_of_fold_probabilities(mixed):
    frame, y = mixed
    ours = Classifier(decision="tuned", metric="balanced_accuracy").fit(frame, y)
    sick = (y == "sick").astype(int)
    out_of_fold = np.empty(len(y))
    # the same inner folds: that of all rows is not one of a comparison's
    for train, test in inner_splits((y == "well").astype(int), Split(1_000_000, 0, np.arange(len(y)), np.arange(1)), 0):
        model = plain_pipeline().fit(prepared(frame).iloc[train], sick[train])
        out_of_fold[test] = model.predict_proba(prepared(frame).iloc[test])[:, 1]
    cuts = np.concatenate([[-1.0], np.sort(out_of_fold)]) + 1e-9
    best = max(balanced_accuracy_score(sick, out_of_fold > cut) for cut in cuts)
    reached = balanced_accuracy_score(sick, out_of_fold >= ours.rule_["threshold"])
    assert reached == pytest.approx(best)
    np.testing.assert_array_equal(
        ours.predict(frame) == "sick", ours.predict_proba(frame)[:, 0] >= ours.rule_["threshold"]
    )


def test_a_tuned_plug_in_rule_divides_by_powers_of_the_priors(three):
    frame, y = three
    ours = Classifier("linear", "focal", "tuned", "balanced_accuracy").fit(frame, y)
    rule, proba = ours.rule_, ours.predict_proba(frame)
    factors = np.ones(3) if rule["factors"] is None else np.array(rule["factors"])
    expected = ours.classes_[(proba * factors / np.array(rule["priors"]) ** rule["tau"]).argmax(1)]
    np.testing.assert_array_equal(ours.predict(frame), expected)
    np.testing.assert_allclose(rule["priors"], np.unique(y, return_counts=True)[1] / len(y))


@pytest.mark.parametrize(
    ("labels", "kind"),
    [
        (("01", "1"), str),
        ((0, 1), int),
        ((1.0, 2.0), float),
        ((False, True), bool),
        (("no", "yes"), str),
        (((1, "a"), (2, "b")), tuple),
        ((10**30, 1), int),
    ],
)
def test_labels_come_back_as_what_they_were(mixed, labels, kind):
    frame, y = mixed
    given = [labels[0] if label == "sick" else labels[1] for label in y]
    predicted = Classifier(strategy="balanced").fit(frame, given).predict(frame).tolist()
    assert set(predicted) == set(labels)
    assert {type(label) for label in predicted} == {kind}


def test_whole_floats_stay_floats_in_every_container(mixed):
    frame, y = mixed
    given = np.where(y == "sick", 1.0, 0.0)
    for labels in (given, given.tolist(), pd.Series(given), pd.Series(given).astype("float32")):
        assert Classifier().fit(frame, labels).classes_.tolist() == [0.0, 1.0]
        assert Classifier().fit(frame, labels).classes_.dtype == np.float64


def test_the_winner_of_a_comparison_is_trained_on_all_rows(mixed):
    frame, y = mixed
    result = sy.compare(frame, y, ["balanced"], "linear", "f1_macro", cv=3, repeats=1)
    model = result.model
    assert model is result.model
    assert (model.model, model.strategy, model.decision) == tuple(
        result.best[key] for key in ("model", "strategy", "decision")
    )
    assert model.counts_.counts.tolist() == [(y == "sick").sum(), (y == "well").sum()]
    assert model.metric == "f1_macro"
    assert model.positive == "sick"
    assert model.loss_.to_dict()["loss"] == "SoftmaxCrossEntropy"
    assert model.version_ == sy.__version__
    assert model.feature_names_in_.tolist() == list(frame)
    # the fit depends on nothing but the rows: not on repeats, folds or other strategies
    np.testing.assert_array_equal(clone(model).fit(frame, y).predict_proba(frame), model.predict_proba(frame))


def test_other_class_shares(mixed):
    frame, y = mixed
    model = Classifier(strategy="balanced").fit(frame, y)
    share = (y == "sick").mean()
    proba = model.predict_proba(frame)
    moved = proba * [0.01 / share, 0.99 / (1 - share)]
    moved /= moved.sum(1, keepdims=True)
    for prior in ({"sick": 0.01}, {"sick": 0.01, "well": 0.99}, [0.01, 0.99]):
        np.testing.assert_allclose(model.with_prior(prior).predict_proba(frame), moved)
    # weights stay what they were, as costs: p' · w decides
    expected = model.classes_[(moved * [1 / share, 1 / (1 - share)]).argmax(1)]
    np.testing.assert_array_equal(model.with_prior({"sick": 0.01}).predict(frame), expected)
    assert (model.predict_proba(frame) == proba).all()


@pytest.mark.parametrize("strategy", sy.strategies.names())
def test_the_shares_of_training_change_nothing(three, strategy):
    frame, y = three
    model = Classifier(strategy=strategy).fit(frame, y)
    same = model.with_prior(model.counts_.priors)
    np.testing.assert_array_equal(same.predict(frame), model.predict(frame))
    np.testing.assert_allclose(same.predict_proba(frame), model.predict_proba(frame), atol=1e-12)


@pytest.mark.parametrize("strategy", ["prior_threshold", "post_hoc_logit_adjustment"])
def test_what_divides_by_the_prior_divides_by_the_new_one(three, strategy):
    frame, y = three
    model = Classifier(strategy=strategy).fit(frame, y)
    # p / π is the same under any shares
    np.testing.assert_array_equal(model.with_prior([0.2, 0.7, 0.1]).predict(frame), model.predict(frame))


def test_a_loss_that_scales_logits_sees_the_shift_in_its_own_scale(three):
    frame, y = three
    model = Classifier(strategy="scaled_logits").fit(frame, y)
    final, moved = model.final_, model.with_prior([0.2, 0.7, 0.1])
    shares = model.counts_.priors
    z = final.model.logits(final.columns.transform(arrow_table(frame)))
    scale = 1 / (3 * shares)
    shifted = z + np.log(np.array([0.2, 0.7, 0.1]) / shares) / scale
    np.testing.assert_array_equal(moved.predict(frame), model.classes_[shifted.argmax(1)])
    # these logits are the ones that give the moved probabilities
    proba = np.exp(scale * shifted)
    np.testing.assert_allclose(moved.predict_proba(frame), proba / proba.sum(1, keepdims=True), atol=1e-12)


def test_a_tuned_threshold_stays_as_it_is_under_other_shares(mixed):
    frame, y = mixed
    model = Classifier(decision="tuned").fit(frame, y).with_prior({"sick": 0.5})
    np.testing.assert_array_equal(
        model.predict(frame) == "sick", model.predict_proba(frame)[:, 0] >= model.rule_["threshold"]
    )


def test_a_plug_in_rule_divides_by_the_new_shares(three):
    frame, y = three
    prior = np.array([0.2, 0.7, 0.1])
    model = Classifier(decision="tuned", metric="balanced_accuracy").fit(frame, y).with_prior(prior)
    tau = model.rule_["tau"]
    assert 0 < tau != 1
    expected = model.classes_[(model.predict_proba(frame) / prior**tau).argmax(1)]
    np.testing.assert_array_equal(model.predict(frame), expected)


@pytest.mark.parametrize(
    ("prior", "message"),
    [
        ({"sik": 0.5}, "did you mean 'sick'"),
        ({}, "a share of every class, or all but one, in `target_prior`; got none of sick, well"),
        ({"sick": 0.5, "well": 0.6}, "sum of 1"),
        ({"sick": 0.0, "well": 1.0}, "positive shares"),
        ({"sick": 1.5}, "positive shares"),
        ([0.2, 0.3, 0.5], "2 positive shares"),
    ],
)
def test_shares_that_are_none_are_explained(mixed, prior, message):
    with pytest.raises(InputError, match=message):
        Classifier().fit(*mixed).with_prior(prior)


def test_it_is_a_scikit_learn_classifier(mixed):
    frame, y = mixed
    model = Classifier(strategy="balanced")
    with pytest.raises(NotFittedError):
        model.predict(frame)
    assert is_classifier(model.fit(frame, y))
    assert model.n_features_in_ == 5
    importance = permutation_importance(model, frame, y, scoring="balanced_accuracy", n_repeats=3, random_state=0)
    assert importance.importances_mean[list(frame).index("age")] > 0
    assert repr(model) == "Classifier(strategy='balanced')"


def test_a_parameter_that_does_not_exist_is_explained(mixed):
    with pytest.raises(InputError, match="`decision` in"):
        Classifier(decision="best").fit(*mixed)
    with pytest.raises(InputError, match="did you mean 'balanced'"):
        Classifier(strategy="balance").fit(*mixed)
    with pytest.raises(InputError, match="none called 'age'"):
        Classifier().fit(*mixed).predict(mixed[0].drop(columns="age"))
