import json

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import balanced_accuracy_score, f1_score

import steelyard as sy
from steelyard.errors import InputError


def scored(n=2000, seed=0):
    rng = np.random.default_rng(seed)
    y = (rng.random((n, 3)) < [0.3, 0.1, 0.03]).astype(int)
    return 1 / (1 + np.exp(-(rng.normal(2.0 * y) - 3.0))), y


@pytest.mark.parametrize("weight", [None, np.random.default_rng(1).integers(1, 4, 60)])
def test_micro_f1_equals_a_search_over_all_combinations(weight):
    p, y = scored(60, seed=4)
    p, y = np.round(p[:, :2], 2), y[:, :2]
    rule = sy.decisions.fit(p, y, "f1_micro", sample_weight=weight)
    cuts = [[*np.unique(p[:, k]), 1.1] for k in range(2)]

    def micro(labels):
        return f1_score(y, labels, average="micro", sample_weight=weight, zero_division=0)

    best = max(micro(p >= [a, b]) for a in cuts[0] for b in cuts[1])
    assert micro(rule(p)) == pytest.approx(best)


@pytest.mark.parametrize(("metric", "score"), [("f1_macro", f1_score), ("balanced_accuracy", balanced_accuracy_score)])
def test_a_mean_over_labels_is_best_where_each_label_is(metric, score):
    p, y = scored(400)
    labels = sy.decisions.fit(p, y, metric)(p)
    for k in range(3):
        best = max(score(y[:, k], p[:, k] >= t) for t in np.unique(p[:, k]))
        assert score(y[:, k], labels[:, k]) == pytest.approx(best)


@pytest.mark.parametrize("average", ["macro", "micro"])
def test_the_numbers_are_scikit_learns(average):
    p, y = scored()
    rule = sy.decisions.fit(p, y, f"f1_{average}", classes=["cat", "dog", "emu"])
    assert rule.baseline.mean == pytest.approx(f1_score(y, p >= 0.5, average=average))
    assert rule.estimate.low < rule.estimate.mean < rule.estimate.high
    assert rule.gain.low > 0
    assert rule.trusted
    again = sy.decisions.from_dict(json.loads(json.dumps(rule.to_dict(), allow_nan=False)))
    assert again == rule
    assert str(again) == str(rule)
    np.testing.assert_array_equal(again(pd.DataFrame(p[:, ::-1], columns=["emu", "dog", "cat"])), rule(p))
    assert set(np.unique(rule(p))) == {0, 1}


def test_a_label_that_no_row_has_is_never_given():
    p, y = scored(300)
    y[:, 2] = 0
    rule = sy.decisions.fit(p, y, classes=["a", "b", "none"])
    assert rule(p)[:, 2].sum() == 0
    assert any("no row is labelled 'none'" in w for w in rule.warnings)
    assert "never given" in str(rule)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda p, y: sy.decisions.fit(p, y, "roc_auc"), "depends on the decision"),
        (lambda p, y: sy.decisions.fit(p, y, "precision@recall>=0.9"), "depends on the decision"),
        (lambda p, y: sy.decisions.fit(p, y, constraints=["recall>=0.5"]), "fit each label by itself"),
        (lambda p, y: sy.decisions.fit(p, y * 2), "0 and 1"),
        (lambda p, y: sy.decisions.fit(p * 2, y), "sigmoid"),
        (lambda p, y: sy.decisions.fit(np.where(p > 0.5, np.nan, p), y), "sigmoid"),
        (lambda p, y: sy.decisions.fit(p[:, :2], y), "like `proba`"),
        (lambda p, y: sy.decisions.fit(p, y, classes=["a"]), "3 names"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(InputError, match=message):
        call(*scored(100))
