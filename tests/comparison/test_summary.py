"""Verdicts: what counts as help by label metrics, and how often "helps" appears where nothing helps."""

from types import SimpleNamespace

import numpy as np
import pytest
from scipy.stats import binom

import steelyard as sy
from steelyard.comparison.summary import summarise
from steelyard.metrics import get, smallest_detectable

BASE = 0.6 + 0.01 * np.tile([1.0, -1.0, 0.0, 2.0, -2.0], 3)
WIGGLE = 0.002 * np.array([1, -1, 2, 0, -2, 1, 0, -1, 1, 2, -2, 0, 1, -1, 0])


def verdicts(values, free, decision_metric="f1_macro", metric="balanced_accuracy", stopped=0):
    values = {(s, metric if ":" not in s else ""): v for s, v in values.items()}
    tuned = values.pop(("none:tuned", ""), None)
    names = [s for s, _ in values]
    if tuned is not None:
        values |= {(s, f"{metric}:tuned"): tuned for s in names}
    rows = summarise(
        "linear", values, names, [get(metric, [0, 1])], SimpleNamespace(decision_metric=decision_metric), 0.25,
        free, stopped,
    )  # fmt: skip
    return {r["strategy"]: r for r in rows if r["decision"] == "default"}


def test_a_gain_that_a_moved_threshold_has_too_is_no_help():
    gain = {"none": BASE, "moved": BASE + 0.1 + WIGGLE, "real": BASE + 0.2 + WIGGLE}
    found = verdicts(gain, lambda _: BASE + 0.1)
    assert found["moved"]["verdict"] == "no detectable difference"
    assert found["moved"]["only_threshold"]
    assert found["moved"]["p_adjusted"] < 0.001  # of the gain over "none", which is real
    assert found["moved"]["difference"] == pytest.approx(0.1, abs=0.001)
    assert (found["real"]["verdict"], found["real"]["only_threshold"]) == ("helps", False)
    assert (found["none"]["verdict"], found["none"]["only_threshold"]) == ("baseline", False)
    assert found["none"]["free_threshold"] == pytest.approx(BASE.mean() + 0.1)


def test_the_tuned_decision_of_none_is_the_yardstick_where_it_was_tuned_for_the_metric():
    def never(_):
        raise AssertionError("the stored scores are not needed")

    gain = {"none": BASE, "moved": BASE + 0.1 + WIGGLE, "none:tuned": BASE + 0.1}
    assert verdicts(gain, never, "balanced_accuracy")["moved"]["only_threshold"]
    lower = gain | {"none:tuned": BASE + 0.02}
    assert verdicts(lower, never, "balanced_accuracy")["moved"]["verdict"] == "helps"
    # tuned for something else it says nothing of this metric
    assert verdicts(lower, lambda _: BASE + 0.1)["moved"]["only_threshold"]


def test_an_undefined_yardstick_shows_no_help_and_harm_needs_none():
    gain = {"none": BASE, "up": BASE + 0.1 + WIGGLE, "down": BASE - 0.1 + WIGGLE}
    found = verdicts(gain, lambda _: np.full(15, np.nan))
    assert found["up"]["only_threshold"]
    assert found["down"]["verdict"] == "harms"


def test_what_a_race_has_stopped_counts_in_holms_adjustment():
    gain = {"none": BASE, "up": BASE + 0.004 + WIGGLE}
    alone, with_stopped = (verdicts(gain, lambda _: BASE, stopped=n)["up"] for n in (0, 4))
    assert with_stopped["p_adjusted"] == pytest.approx(min(1.0, 5 * alone["p_adjusted"]))
    assert with_stopped["detectable"] > alone["detectable"]


def test_the_detectable_difference_is_at_holms_first_step():
    gain = {"none": BASE, "a": BASE + WIGGLE, "b": BASE - WIGGLE + 0.001}
    found = verdicts(gain, lambda _: BASE)
    assert found["a"]["detectable"] == pytest.approx(smallest_detectable(WIGGLE, 0.25, 0.05 / 2))
    assert found["none"]["detectable"] is None


def test_weights_that_only_move_the_threshold_help_nobody():
    """Log odds linear, model linear: at its own decision every strategy gains, and only what a threshold gives."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(1500, 3))
    y = (rng.random(1500) < 1 / (1 + np.exp(2.5 - 1.5 * X[:, 0]))).astype(int)
    wanted = ["balanced", "oversample", "prior_threshold"]
    for decisions in ("both", "default"):
        table = sy.compare(X, y, wanted, "linear", decisions=decisions, positive=1).table()
        own = table[(table.decision == "default") & table.metric.isin(["balanced_accuracy", "f1_macro", "recall_1"])]
        assert "helps" not in set(own.verdict)
        assert own[own.metric == "balanced_accuracy"].only_threshold.sum() == 3
        assert own[own.metric == "recall_1"].only_threshold.sum() == 3


def test_nothing_helps_where_nothing_can():
    """20 tables whose labels are independent of everything: "helps" in at most 5 % of them, but for chance."""
    tables, alarms = 20, {}
    for seed in range(tables):
        rng = np.random.default_rng([seed, 77])
        y = (rng.random(150) < 0.2).astype(int)
        y[:6] = [0, 1] * 3
        X = rng.normal(size=(150, 3))
        table = sy.compare(
            X, y, ["balanced", "undersample"], "linear", cv=3, repeats=1, decisions="default", random_state=seed
        ).table()
        for metric in ("average_precision", "roc_auc", "balanced_accuracy"):
            alarms[metric] = alarms.get(metric, 0) + int("helps" in set(table[table.metric == metric].verdict))
    # with a true rate of 5 % more than this happens once in a thousand times
    assert max(alarms.values()) <= binom.ppf(0.999, tables, 0.05)
