"""Models of the user's own: found by name, told apart by what they build, trained as their frameworks train them."""

import math
import sys

import numpy as np
import pytest
import torch
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

import steelyard as sy
from steelyard import strategies, training
from steelyard.errors import InputError
from steelyard.training import own, recipe
from tests.training import own_models

MODULE = "tests.training.own_models"
COUNTS = sy.ClassCounts.from_counts({0: 160, 1: 40})
RNG = np.random.default_rng(0)
Y = np.repeat([0, 1], [160, 40])
X = RNG.normal(size=(200, 4)) + 0.7 * Y[:, None]


def point(name):
    return training.resolve("own", strategies.get(name), COUNTS)


def fit(model, name, **options):
    chosen = training.read((model, options) if options else [model])[0]
    return training.fit(chosen, X, Y, point(name), 2, np.random.default_rng(0))


# --- naming -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ("linear", ["linear"]),
        (("mlp", {"epochs": 3}), ["mlp"]),
        (["linear", "mlp"], ["linear", "mlp"]),
        (("linear", "mlp"), ["linear", "mlp"]),
        (("linear", own_models.make_net), ["linear", "make_net"]),
        (f"{MODULE}:make_net", ["make_net"]),
        (("mine", f"{MODULE}:make_net"), ["mine"]),
        (own_models.make_net, ["make_net"]),
        (own_models.Net, ["Net"]),
        ((own_models.make_net, {"epochs": 3}), ["make_net"]),
        (("a", own_models.make_net, {"epochs": 3}), ["a"]),
        ([("a", own_models.make_net), "linear", ("b", GaussianNB())], ["a", "linear", "b"]),
        (GaussianNB(), ["GaussianNB"]),
        (GaussianNB, ["GaussianNB"]),
        (f"{MODULE}:logistic", ["LogisticRegression"]),
    ],
)
def test_every_way_to_name_a_model(given, named):
    assert [m.name for m in training.read(given)] == named


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (f"{MODULE}:make_nett", "a function 'make_nett' in .*; got none. Hint: did you mean 'make_net'"),
        ("tests.training.own_model:x", "a module 'tests.training.own_model'; got none .*'tests' is there"),
        ("no_such_module_at_all:x", "a module 'no_such_module_at_all'; got none"),
        ("a b:c d", "`model` as package.module:function"),
        (":f", "`model` as package.module:function"),
        (f"{MODULE}:built", "one torch module that is built already"),
        (f"{MODULE}:number", "got 3 of type int"),
        (own_models.built, "every fold starts anew"),
        (7, "got 7 of type int"),
        (("linear", own_models.make_net, {"epochs": 1}), "a name of its own for a model; got 'linear'"),
        ((own_models.make_net, {"epoch": 3}), "an option of a network .*'epoch'. Hint: did you mean 'epochs'"),
        ([own_models.make_net, own_models.make_net], "'make_net' twice"),
        ([], "at least one; got none"),
        ("lightgmb", "did you mean 'lightgbm'"),
    ],
)
def test_what_is_no_model_is_explained(given, message):
    with pytest.raises(InputError, match=message):
        training.read(given)


def test_a_module_that_cannot_be_imported_says_why(tmp_path, monkeypatch):
    (tmp_path / "needs_more.py").write_text("import not_there_at_all\n")
    (tmp_path / "wrong.py").write_text("1 / 0\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [p for p in sys.path if p])
    with pytest.raises(
        InputError, match="'needs_more' to import what it needs; got no module named 'not_there_at_all'"
    ):
        training.read("needs_more:f")
    with pytest.raises(InputError, match="'wrong' to be imported; got ZeroDivisionError"):
        training.read("wrong:f")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nothing", "got None. Hint: does the function end with `return`"),
        ("three", r"got three\(a, b, c\). Hint: it is called with two whole numbers"),
        ("one_logit", r"logits of shape \(4, 2\) for 4 rows; got shape \(4, 1\)"),
        ("softmaxed", "logits; got probabilities.*no softmax after the last layer"),
    ],
)
def test_what_a_factory_builds_is_looked_at_first(name, message):
    with pytest.raises(InputError, match=message):
        own.source(f"{MODULE}:{name}").check(4, 2)


def test_a_classifier_without_probabilities_is_refused():
    with pytest.raises(InputError, match="with predict_proba; got RidgeClassifier without. Hint: .*Calibrated"):
        own.source(RidgeClassifier()).check(4, 2)


def test_what_describes_a_model_changes_with_its_code(monkeypatch):
    before = own.source(own_models.make_net).describe()
    assert own.source(own_models.make_net).describe() == before
    assert own.source(own_models.make_linear).describe() != before
    monkeypatch.setattr(own_models, "WIDTH", 7)  # a number that a class uses which the function uses
    assert own.source(own_models.make_net).describe() != before
    assert own.source(LogisticRegression(C=1)).describe() != own.source(LogisticRegression(C=2)).describe()


# --- torch --------------------------------------------------------------------------------------------------------


def by_hand(name, epochs):
    """A plain torch loop with torch's own cross-entropy, on the rows of the same steps."""
    state = int(np.random.default_rng(0).integers(2**32))
    p = point(name)
    plan = recipe.plan(X, Y, p, 2, state, {"epochs": epochs})
    weight = p.loss.parameters["class_weight"]
    weight = torch.ones(2) if weight is None else torch.tensor(weight, dtype=torch.float32)
    torch.manual_seed(state)
    model = torch.nn.Linear(4, 2)
    optimizer = torch.optim.AdamW(model.parameters(), lr=4e-3, weight_decay=1e-4)
    table, labels = torch.tensor(X, dtype=torch.float32), torch.tensor(Y)
    mean = weight[labels[torch.tensor(plan.batches.ravel().astype(int))]].mean()
    for step, rows in enumerate(plan.batches.astype(int)):
        optimizer.param_groups[0]["lr"] = 4e-3 * 0.5 * (1 + math.cos(math.pi * step / plan.steps))
        optimizer.zero_grad()
        terms = torch.nn.functional.cross_entropy(model(table[rows]), labels[rows], weight=weight, reduction="none")
        (terms.sum() / (len(rows) * mean)).backward()
        optimizer.step()
    with torch.no_grad():
        return model(table).double().numpy()


@pytest.mark.parametrize("name", ["none", "balanced"])
def test_a_torch_module_is_trained_as_a_plain_loop_trains_it(name):
    with own.seeded(0):
        expected = by_hand(name, 5)
    np.testing.assert_allclose(fit(own_models.make_linear, name, epochs=5).model.logits(X), expected, atol=2e-5)


def test_the_same_seed_gives_the_same_module_whatever_was_drawn_before():
    before = fit(own_models.make_net, "focal", epochs=3).model.logits(X)
    torch.rand(5)
    np.random.random_sample(3)  # noqa: NPY002
    np.testing.assert_array_equal(fit(own_models.make_net, "focal", epochs=3).model.logits(X), before)


def test_training_leaves_the_users_generators_alone():
    def drawn(between):
        torch.manual_seed(3)
        np.random.seed(3)  # noqa: NPY002
        between()
        return torch.rand(1).item(), np.random.random_sample()  # noqa: NPY002

    assert drawn(lambda: fit(own_models.make_net, "none", epochs=1)) == drawn(lambda: None)


def test_the_weights_of_the_end_are_used_at_the_end():
    """Deferred weights move the decision; without them ldam is symmetric in nothing but the margin."""
    rare = {
        name: fit(own_models.make_linear, name, epochs=60).model.logits(X).argmax(1).mean()
        for name in ("ldam", "ldam_drw")
    }
    assert rare["ldam_drw"] > rare["ldam"]


def test_a_fit_that_diverges_is_an_error():
    with pytest.raises(FloatingPointError, match="diverged"):  # in its one step; a later one is refused by the loss
        fit(own_models.make_linear, "none", learning_rate=float("inf"), epochs=1, batch_size=200)


# --- scikit-learn -------------------------------------------------------------------------------------------------


def test_weights_are_scikit_learns_sample_weight():
    w = sy.class_weight("balanced", COUNTS)
    expected = LogisticRegression().fit(X, Y, sample_weight=w[Y]).predict_log_proba(X)
    np.testing.assert_allclose(fit(LogisticRegression(), "balanced").model.logits(X), expected, atol=1e-12)
    in_a_pipeline = fit(make_pipeline(StandardScaler(), LogisticRegression()), "balanced").model.logits(X)
    pipeline = make_pipeline(StandardScaler(), LogisticRegression()).fit(X, Y, logisticregression__sample_weight=w[Y])
    np.testing.assert_allclose(in_a_pipeline, pipeline.predict_log_proba(X), atol=1e-12)


def test_probabilities_are_corrected_for_the_weights():
    """Dividing by the weights gives back the unweighted posterior: exactly, for a naive Bayes."""
    fitted = fit(GaussianNB(), "balanced")
    corrected = point("balanced").posterior(fitted.model.logits(X))
    np.testing.assert_allclose(corrected, GaussianNB().fit(X, Y).predict_proba(X), atol=1e-9)


def test_oversampling_repeats_rows():
    expected = GaussianNB(priors=[0.5, 0.5]).fit(X, Y)
    drawn = fit(GaussianNB(), "oversample").model.estimator
    np.testing.assert_allclose(drawn.class_prior_, expected.class_prior_)
    np.testing.assert_allclose(drawn.theta_[0], expected.theta_[0])  # every row of the larger class once
    assert fit(own_models.neighbours, "undersample").model.estimator.n_samples_fit_ == 80


@pytest.mark.parametrize("name", ["focal", "logit_adjusted", "ldam", "ldam_drw", "vector_scaling", "scaled_logits"])
def test_what_needs_a_loss_is_said(name):
    with pytest.raises(
        training.NotExpressibleError, match="^needs a loss; a scikit-learn classifier takes weights only$"
    ):
        fit(GaussianNB(), name)


def test_what_needs_weights_is_said_where_there_are_none():
    with pytest.raises(training.NotExpressibleError, match="KNeighborsClassifier.fit takes no sample_weight"):
        fit(own_models.neighbours, "balanced")
    fit(own_models.neighbours, "smote")


def test_a_classifier_that_does_not_converge_is_trouble_and_no_error():
    fitted = fit(LogisticRegression(max_iter=1), "none")
    assert fitted.trouble.startswith("did not converge: ")


def test_random_states_are_seeded_and_the_users_own_kept():
    assert fit(own_models.forest, "none").model.estimator.random_state is not None
    assert fit(RandomForestClassifier(5, random_state=7), "none").model.estimator.random_state == 7
    first, second = (fit(own_models.forest, "none").model.logits(X) for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_probability_zero_is_kept():
    logits = fit(own_models.forest, "none").model.logits(X)
    assert np.isfinite(logits).all()
    proba = point("none").posterior(logits)
    assert proba.min() < 1e-300
    np.testing.assert_allclose(proba.sum(1), 1)


def test_an_estimator_of_the_user_is_not_touched():
    estimator = SVC(probability=False)
    with pytest.raises(InputError, match="predict_proba"):
        fit(estimator, "none")
    assert not hasattr(estimator, "classes_")
