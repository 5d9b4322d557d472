"""Every piece of code that the report offers runs as it stands, and decides as the rule that it was written from."""

from dataclasses import replace

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from steelyard import strategies
from steelyard.decisions.rules import from_dict
from steelyard.report.recipe import recipe_for
from steelyard.report.snippets import listed, snippets

LABELS = {2: ['it\'s "ill"\n', "well"], 3: [0, 1, 2.5]}
RULES = {
    2: {"rule": "threshold", "threshold": 0.2375, "positive": 0},
    3: {"rule": "plug_in", "tau": 0.7, "priors": [0.1, 0.2, 0.7], "factors": [1.0, 0.5, 1.5], "costs": None},
}
COSTS = [[0.0, 2.0, 3.0], [1.0, 0.0, 1.0], [0.5, 0.25, 0.0]]


def content(n_classes, strategy, rule=None):
    counts = [24, 96] if n_classes == 2 else [18, 36, 126]
    return {
        "dataset": {"classes": LABELS[n_classes], "counts": counts},
        "settings": {"decision_metric": "balanced_accuracy", "parameters": {}},
        "views": {"rules": [{"model": "mlp", "strategy": strategy, "rule": rule or RULES[n_classes]}]},
    }


def rows(n_classes):
    rng = np.random.default_rng(0)
    k = np.repeat(np.arange(n_classes), content(n_classes, "")["dataset"]["counts"])
    X = rng.normal(size=(len(k), 3)) + k[:, None]
    return X, [LABELS[n_classes][j] for j in k], X[::7]


def run(snippet, n_classes):
    X, y, X_new = rows(n_classes)
    space = {"X": X, "y": y, "X_new": X_new}
    with threadpool_limits(1):  # a few rows: threads would only wait for each other
        exec(compile(snippet.code, snippet.name, "exec"), space)
    return space


def made(n_classes, strategy, decision, rule=None):
    return snippets(recipe_for(content(n_classes, strategy, rule), "mlp", strategy, decision))


# one of every kind in the covering selection: weights, batches, a decision, offsets, focusing, two losses, new rows
KINDS = ("none", "balanced", "balanced_batches", "prior_threshold", "logit_adjusted", "focal", "ldam_drw", "smote")
EVERY = [s for s in strategies.names() if not strategies.get(s).needs_inner]
CASES = [
    pytest.param(n, s, marks=[] if s in KINDS and n == 2 + k % 2 else pytest.mark.slow)
    for n in (2, 3)
    for k, s in enumerate(EVERY)
]


@pytest.mark.parametrize("framework", ["scikit-learn", "PyTorch", "LightGBM", "XGBoost"])
@pytest.mark.parametrize(("n_classes", "strategy"), CASES)
def test_it_runs_as_it_stands(n_classes, strategy, framework):
    pytest.importorskip({"PyTorch": "torch", "scikit-learn": "sklearn"}.get(framework, framework.lower()))
    for decision in ("default", "tuned"):
        one = next(s for s in made(n_classes, strategy, decision) if s.name == framework)
        if not one.code:
            assert one.note
            continue
        check(run(one, n_classes), n_classes, strategy, decision)


@pytest.mark.parametrize(("n_classes", "strategy"), [(3, "balanced"), (2, "logit_adjusted"), (3, "ldam_drw")])
def test_it_runs_as_it_stands_in_keras(n_classes, strategy):
    pytest.importorskip("keras")
    one = next(s for s in made(n_classes, strategy, "tuned") if s.name == "Keras")
    check(run(one, n_classes), n_classes, strategy, "tuned")


def check(space, n_classes, strategy, decision):
    """Probabilities, and labels that follow from them as the strategy or the fitted rule says."""
    p, labels = space["p"], space["labels"]
    assert p.shape == (len(space["X_new"]), n_classes)
    np.testing.assert_allclose(p.sum(1), 1.0, rtol=1e-5)
    assert set(labels) <= set(LABELS[n_classes])
    assert len(labels) == len(p)
    if decision == "tuned":
        expected = from_dict(RULES[n_classes])(p / p.sum(1, keepdims=True))
    elif strategy in ("prior_threshold", "post_hoc_logit_adjustment"):
        expected = (p / np.array(content(n_classes, "")["dataset"]["counts"])).argmax(1)
    else:
        expected = space["raw"].argmax(1)
    assert labels == [LABELS[n_classes][k] for k in expected]


def test_costs_are_part_of_a_rule_that_has_them():
    rule = RULES[3] | {"costs": COSTS}
    one = next(s for s in made(3, "none", "tuned", rule) if s.name == "scikit-learn")
    space = run(one, 3)
    p = space["p"]
    assert space["labels"] == [LABELS[3][k] for k in from_dict(rule)(p)]
    assert space["labels"] != [LABELS[3][k] for k in p.argmax(1)]


def test_weights_are_those_of_scikit_learn_s_balanced_and_are_taken_out_of_the_probabilities_again():
    from sklearn.linear_model import LogisticRegression

    one = next(s for s in made(2, "balanced", "default") if s.name == "scikit-learn")
    space = run(one, 2)
    X, _, X_new = rows(2)
    peer = LogisticRegression(class_weight="balanced", max_iter=1000).fit(X, space["targets"])
    q = peer.predict_proba(X_new)
    np.testing.assert_allclose(space["raw"], q, rtol=1e-4)
    odds = q[:, 0] / q[:, 1] * 24 / 96  # weights 120 / (2 × 24) and 120 / (2 × 96) multiply the odds by 96 / 24
    np.testing.assert_allclose(space["p"][:, 0], odds / (1 + odds), rtol=1e-4)


@pytest.mark.parametrize(("framework", "module"), [("XGBoost", "xgboost"), ("LightGBM", "lightgbm")])
def test_a_booster_on_adjusted_logits_is_the_plain_booster_of_the_library(framework, module):
    # cross-entropy of r + log of the odds of the classes, started at its optimum: the library's own training, shifted
    library = pytest.importorskip(module)
    space = run(next(s for s in made(2, "logit_adjusted", "default") if s.name == framework), 2)
    X, _, X_new = rows(2)
    with threadpool_limits(1):
        if module == "xgboost":
            asked = {"objective": "binary:logistic", "base_score": 96 / 120}
            peer = library.train(asked, library.DMatrix(X, space["targets"]), 100).predict(library.DMatrix(X_new))
        else:
            asked = {"objective": "binary", "verbose": -1}
            peer = library.train(asked, library.Dataset(X, space["targets"]), 100).predict(X_new)
    np.testing.assert_allclose(space["p"][:, 1], peer, rtol=1e-3, atol=1e-5)
    # its own decision is that of equal shares of the classes
    np.testing.assert_allclose(
        space["raw"] @ [-1, 1], np.log(peer / (1 - peer)) - np.log(96 / 24), rtol=1e-3, atol=1e-3
    )


@pytest.mark.parametrize("framework", ["XGBoost", "LightGBM"])
def test_deferred_weights_take_over_after_most_trees(framework):
    pytest.importorskip(framework.lower())
    one = next(s for s in made(2, "ldam_drw", "default") if s.name == framework)
    switch = ", later=later, after=80"
    assert switch in one.code
    deferred, never = run(one, 2), run(replace(one, code=one.code.replace(switch, "")), 2)

    def after(space, trees):
        if framework == "LightGBM":
            return space["booster"].predict(space["X_new"], raw_score=True, num_iteration=trees)
        return space["booster"].predict(space["new"], output_margin=True, iteration_range=(0, trees))

    np.testing.assert_array_equal(after(deferred, 80), after(never, 80))
    assert np.abs(after(deferred, 100) - after(never, 100)).max() > 0.01


def test_the_numbers_are_those_of_the_table():
    code = {s.name: s.code for s in made(2, "logit_adjusted", "tuned")}
    log = np.log([24 / 120, 96 / 120])
    assert f"logit_offset=[{log[0]:.6g}, {log[1]:.6g}]" in code["PyTorch"]
    assert "threshold = 0.2375" in code["Keras"]
    assert "class_weight = [2.5, 0.625]" in {s.name: s.code for s in made(2, "balanced", "tuned")}["XGBoost"]


def test_labels_cannot_end_a_string_or_a_line():
    code = made(2, "balanced", "tuned")[0].code
    assert "classes = ['it\\'s \"ill\"\\n', 'well']" in code


def test_long_lists_are_broken_into_lines():
    text = listed("classes", [f"class number {k}" for k in range(40)])
    assert max(map(len, text.split("\n"))) <= 88
    space = {}
    exec(text, space)
    assert space["classes"] == [f"class number {k}" for k in range(40)]


def test_what_counts_do_not_say_has_no_recipe():
    assert recipe_for(content(2, "tuned_weights"), "mlp", "tuned_weights", "default") is None
    assert recipe_for(content(2, "quantum"), "mlp", "quantum", "default") is None
    assert recipe_for(content(2, "none") | {"views": {}}, "mlp", "none", "tuned") is None
