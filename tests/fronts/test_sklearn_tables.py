"""The classifier for scikit-learn on tables as users have them: missing values, texts, costs."""

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import confusion_matrix, make_scorer
from sklearn.model_selection import GridSearchCV, TunedThresholdClassifierCV, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

import steelyard as sy
from steelyard.comparison.classifier import Classifier
from steelyard.errors import InputError

NUMBERS, TEXTS = ["dose", "age"], ["ward", "sex"]
MODELS = {
    "linear": "linear",
    "lightgbm": ("lightgbm", {"n_estimators": 8}),
    "xgboost": ("xgboost", {"n_estimators": 8}),
    "catboost": ("catboost", {"n_estimators": 8}),
    "mlp": ("mlp", {"hidden": (8,), "epochs": 30}),
}


def classifier(strategy="none", model="linear", **parameters):
    if model in ("lightgbm", "xgboost", "catboost"):
        pytest.importorskip(model)
    return sy.sklearn.ImbalancedClassifier(strategy, MODELS[model], random_state=0, **parameters)


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(5)
    y = np.where(rng.random(600) < 0.15, "ill", "well")
    dose = rng.normal(size=600) + 1.5 * (y == "ill")
    dose[rng.random(600) < 0.1] = np.nan
    ward = rng.choice(["a", "b", "c", "d"], 600, p=[0.5, 0.3, 0.195, 0.005]).astype(object)
    ward[rng.random(600) < 0.05] = None
    frame = pd.DataFrame(
        {
            "ward": ward,
            "dose": dose,
            "sex": pd.Categorical(rng.choice(["f", "m"], 600)),
            "age": rng.integers(18, 90, 600),
        }
    )
    return frame, y


def plain(model):
    """Return the pipeline that anyone would write."""
    numbers = make_pipeline(SimpleImputer(strategy="median", add_indicator=True), StandardScaler())
    filled = FunctionTransformer(lambda frame: frame.astype(object).where(frame.notna(), "(missing)"))
    levels = make_pipeline(
        filled, OneHotEncoder(min_frequency=5, max_categories=40, handle_unknown="infrequent_if_exist")
    )
    return make_pipeline(ColumnTransformer([("n", numbers, NUMBERS), ("t", levels, TEXTS)]), model)


def test_missing_numbers_and_texts_are_those_of_a_pipeline(rows):
    X, y = rows
    expected = plain(LogisticRegression(tol=1e-10, max_iter=10_000)).fit(X, y)
    ours = classifier().fit(X, y)
    np.testing.assert_allclose(ours.predict_proba(X), expected.predict_proba(X), atol=2e-5)
    # rows with levels and gaps that training did not have
    new = pd.DataFrame({"ward": ["z", None], "dose": [np.nan, 1.0], "sex": [None, "f"], "age": [np.nan, 40.0]})
    np.testing.assert_allclose(ours.predict_proba(new), expected.predict_proba(new), atol=2e-5)
    np.testing.assert_array_equal(ours.feature_names_in_, X.columns)
    assert ours.n_features_in_ == 4


def test_missing_numbers_of_an_array(rows):
    X, y = rows[0][NUMBERS].to_numpy(), rows[1]
    expected = make_pipeline(
        SimpleImputer(strategy="median", add_indicator=True),
        StandardScaler(),
        LogisticRegression(tol=1e-10, max_iter=10_000),
    ).fit(X, y)
    np.testing.assert_allclose(classifier().fit(X, y).predict_proba(X), expected.predict_proba(X), atol=2e-5)


def test_missing_where_training_had_none_is_the_median():
    X = np.random.default_rng(0).normal(size=(101, 2))
    y = np.arange(101) % 4 == 0
    ours = classifier().fit(X, y)
    middle = np.median(X, axis=0)
    np.testing.assert_array_equal(ours.predict_proba([[np.nan, np.nan]]), ours.predict_proba(middle[None]))


@pytest.mark.parametrize("metric", [None, "f1_macro"])
@pytest.mark.parametrize(("strategy", "model"), [("logit_adjusted", "linear"), ("smote", "linear"), ("focal", "mlp")])
def test_is_the_model_of_a_comparison(rows, strategy, model, metric):
    X, y = rows
    name, options = MODELS[model] if isinstance(MODELS[model], tuple) else (model, {})
    theirs = Classifier(
        name, strategy, "default" if metric is None else "tuned", metric, model_options=options, random_state=0
    ).fit(X, y)
    ours = classifier(strategy, model, metric=metric).fit(X[[*NUMBERS, *TEXTS]], y)  # numbers first, as there
    np.testing.assert_allclose(ours.predict_proba(X[[*NUMBERS, *TEXTS]]), theirs.predict_proba(X), atol=1e-9)
    np.testing.assert_array_equal(ours.predict(X[[*NUMBERS, *TEXTS]]), theirs.predict(X))


@pytest.mark.parametrize("kind", ["polars", "arrow", "nullable"])
def test_every_kind_of_table_is_the_same_table(rows, kind):
    X, y = rows
    make = {
        "polars": pl.from_pandas,
        "arrow": lambda frame: pa.Table.from_pandas(frame, preserve_index=False),
        "nullable": lambda frame: frame.convert_dtypes(),
    }[kind]
    expected = classifier().fit(X, y).predict_proba(X)
    np.testing.assert_array_equal(classifier().fit(make(X), y).predict_proba(make(X)), expected)


@pytest.mark.parametrize("model", list(MODELS))
def test_every_model_takes_such_a_table(rows, model):
    X, y = rows
    ours = classifier("balanced", model).fit(X, y)
    np.testing.assert_allclose(ours.predict_proba(X).mean(0), [(y == "ill").mean(), (y == "well").mean()], atol=0.08)
    assert (ours.predict(X) == y).mean() > 0.6


def test_inner_folds_learn_their_own_medians(rows, monkeypatch):
    from steelyard.sklearn import classifier as module

    X, y = rows
    medians = []
    fit = module.Preparation.fit

    def spy(self, table, sample_weight=None):
        out = fit(self, table, sample_weight)
        medians.append((len(table), self.imputer_.statistics_[0]))
        return out

    monkeypatch.setattr(module.Preparation, "fit", spy)
    classifier(metric="f1_macro").fit(X, y)
    assert sorted(n for n, _ in medians) == [400, 400, 400, 600]
    assert len({m for _, m in medians}) == 4


def test_weights_of_zero_leave_rows_of_a_table_out(rows):
    X, y = rows
    s = (np.arange(600) % 3).astype(float)
    fewer = classifier("balanced").fit(X[s > 0], y[s > 0], s[s > 0])
    np.testing.assert_array_equal(classifier("balanced").fit(X, y, s).predict_proba(X), fewer.predict_proba(X))


@pytest.mark.parametrize("kind", [pd.Categorical, lambda v: v.astype(str), lambda v: v.astype(str).astype(object)])
def test_categories_are_their_texts(rows, kind):
    y = rows[1]
    k = np.random.default_rng(0).integers(0, 3, 600)
    expected = classifier().fit(pd.DataFrame({"k": pd.Categorical(k)}), y).predict_proba(pd.DataFrame({"k": kind(k)}))
    shares = pd.crosstab(k, y, normalize="index")["ill"]
    np.testing.assert_allclose(expected[:, 0], shares[k], atol=0.02)


# --- costs ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("strategy", ["none", "balanced", "oversample", "focal"])
def test_labels_are_the_cheapest(rows, strategy):
    X, y = rows
    ours = classifier(strategy, costs=[[0, 12], [1, 0]]).fit(X, y)  # missing an ill row costs 12 false alarms
    proba = ours.predict_proba(X)
    np.testing.assert_array_equal(ours.predict(X), ours.classes_[sy.decisions.min_cost(proba, [[0, 12], [1, 0]])])
    np.testing.assert_array_equal(ours.predict(X) == "ill", proba[:, 0] >= 1 / 13)  # Elkan's threshold
    np.testing.assert_array_equal(ours.predict(X) == "well", ours.decision_function(X) > 0)
    by_name = classifier(strategy, costs={"ill": {"well": 12}, "well": {"ill": 1}}).fit(X, y)
    np.testing.assert_array_equal(by_name.predict(X), ours.predict(X))


def test_costs_of_three_classes():
    rng = np.random.default_rng(2)
    y = rng.choice([7, 3, 5], 450, p=[0.7, 0.2, 0.1])
    X = rng.normal(size=(450, 4)) + np.eye(8, 4)[y - 3]
    costs = np.array([[0.0, 1.0, 5.0], [2.0, 0.5, 2.0], [1.0, 3.0, 0.0]])
    ours = classifier("logit_adjusted", costs=costs).fit(X, y)
    proba = ours.predict_proba(X)
    np.testing.assert_array_equal(ours.predict(X), ours.classes_[(proba @ costs).argmin(1)])
    np.testing.assert_allclose(ours.decision_function(X), -(proba @ costs) + proba @ np.diag(costs)[:, None])
    plain = classifier("logit_adjusted").fit(X, y)
    np.testing.assert_array_equal(proba, plain.predict_proba(X))
    assert (plain.predict(X) != ours.predict(X)).any()


def test_costs_lower_what_mistakes_cost(rows):
    X, y = rows
    costs = np.array([[0.0, 12.0], [1.0, 0.0]])

    def total(one):
        return (confusion_matrix(y, cross_val_predict(one, X, y, cv=5)) * costs).sum()

    assert total(classifier(costs=costs)) < 0.8 * total(classifier())


# --- inside scikit-learn's tools --------------------------------------------------------------------------------------


def test_searches_calibration_and_thresholds_take_tables(rows):
    X, y = rows
    grid = {"strategy": ["none", "balanced"], "costs": [None, [[0, 12], [1, 0]], {"ill": {"well": 3}, "default": 1}]}

    def cost(y_true, y_pred):
        return -(confusion_matrix(y_true, y_pred) * [[0, 12], [1, 0]]).sum()

    search = GridSearchCV(classifier(), grid, scoring=make_scorer(cost), cv=3, error_score="raise").fit(X, y)
    assert search.best_params_["costs"] == [[0, 12], [1, 0]]
    calibrated = CalibratedClassifierCV(classifier("balanced"), cv=3).fit(X, y)
    assert calibrated.predict_proba(X).shape == (600, 2)
    tuned = TunedThresholdClassifierCV(classifier("logit_adjusted"), cv=3).fit(X, y)
    assert 0.5 < tuned.best_score_ <= 1.0
    assert repr(clone(search.best_estimator_)) == repr(search.best_estimator_)


def test_a_column_transformer_before_it_is_no_other_way(rows):
    X, y = rows
    ours = plain(classifier("balanced")).fit(X, y)
    np.testing.assert_allclose(ours.predict_proba(X), classifier("balanced").fit(X, y).predict_proba(X), atol=0.03)


# --- what cannot be --------------------------------------------------------------------------------------------------


def test_tables_that_cannot_be(rows):
    X, y = rows
    ours = classifier().fit(X, y)
    with pytest.raises(InputError, match="a table with the columns of training"):
        ours.predict(X[NUMBERS + TEXTS].to_numpy())
    with pytest.raises(ValueError, match="feature names should match"):
        ours.predict(X[["dose", "age", "ward", "sex"]])
    with pytest.raises(InputError, match="numbers in the column 'age'"):
        ours.predict(X.assign(age="old"))
    with pytest.raises(InputError, match="infinite one in the column 'dose', row 3"):
        classifier().fit(X.assign(dose=np.where(np.arange(600) == 3, np.inf, 1.0)), y)
    with pytest.raises(InputError, match=r"'day' of type Datetime.*days since a date"):
        classifier().fit(X.assign(day=pd.Timestamp("2024-01-01")), y)
    with pytest.raises(InputError, match="different column names; got 'ward' more than once"):
        classifier().fit(pd.concat([X, X[["ward"]]], axis=1), y)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        classifier().fit(X, y[:-1])
    with pytest.raises(ValueError, match="requires y to be passed"):
        classifier().fit(X, None)
