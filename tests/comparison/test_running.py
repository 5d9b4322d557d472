import json

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, balanced_accuracy_score, roc_auc_score
from sklearn.preprocessing import StandardScaler

import steelyard as sy
from steelyard.comparison import fold_scores
from steelyard.comparison.dataset import from_memory
from steelyard.comparison.folds import outer_splits
from steelyard.comparison.running import run
from steelyard.comparison.settings import DEFAULT_STRATEGIES, settings
from steelyard.errors import InputError


def overlapping(n=400, seed=0, shift=0.6, n_classes=2):
    rng = np.random.default_rng(seed)
    priors = [0.9, 0.1] if n_classes == 2 else [0.7, 0.2, 0.1]
    y = rng.choice(n_classes, size=n, p=priors)
    return rng.normal(size=(n, 4)) + shift * rng.normal(size=(n_classes, 4))[y], y


def means(result, metric, decision="default", model="linear"):
    rows = result.to_dict()["summary"]
    return {
        r["strategy"]: r["mean"] for r in rows if (r["model"], r["metric"], r["decision"]) == (model, metric, decision)
    }


@pytest.fixture(scope="module")
def result():
    X, y = overlapping()
    return sy.compare(X, y, model="linear", cv=4, repeats=2)


def test_results_have_the_promised_form(result):
    content = result.to_dict()
    json.dumps(content, allow_nan=False)
    assert list(content) == [
        "schema_version",
        "steelyard_version",
        "versions",
        "dataset",
        "settings",
        "runs",
        "summary",
        "best",
        "floor",
        "metrics",
        "warnings",
        "skipped",
        "views",
    ]
    assert set(content["dataset"]) == {"rows", "features", "classes", "counts", "fingerprint"}
    assert set(content["runs"][0]) == {"model", "strategy", "repeat", "fold", "metrics", "fit_seconds"}
    columns = ["model", "strategy", "decision", "metric", "mean", "ci_low", "ci_high"]
    columns += ["difference", "p_adjusted", "verdict", "detectable", "only_threshold", "free_threshold"]
    assert list(result.table()) == list(content["summary"][0]) == columns
    assert set(content["best"]) == {"model", "strategy", "decision", "metric", "estimate", "ci_low", "ci_high"}
    order = [(r["model"], r["strategy"], r["repeat"], r["fold"]) for r in content["runs"]]
    assert order == sorted(order)
    assert len(order) == len(DEFAULT_STRATEGIES) * 8
    assert {r["verdict"] for r in content["summary"]} <= {"helps", "harms", "no detectable difference", "baseline"}
    assert {r["strategy"] for r in content["summary"] if r["verdict"] == "baseline"} == {"none"}


def test_none_equals_a_plain_scikit_learn_pipeline(result):
    """Same folds, scikit-learn's scaler, model and metrics: the same scores, fold by fold."""
    X, y = overlapping()
    runs = {(r["repeat"], r["fold"]): r["metrics"] for r in result.to_dict()["runs"] if r["strategy"] == "none"}
    for split in outer_splits(y, cv=4, repeats=2, random_state=0):
        scale = StandardScaler().fit(X[split.train])
        model = LogisticRegression(tol=1e-10, max_iter=10_000).fit(scale.transform(X[split.train]), y[split.train])
        p = model.predict_proba(scale.transform(X[split.test]))[:, 1]
        ours = runs[split.repeat, split.fold]
        assert ours["average_precision"] == pytest.approx(average_precision_score(y[split.test], p), abs=1e-3)
        assert ours["roc_auc"] == pytest.approx(roc_auc_score(y[split.test], p), abs=1e-3)
        assert ours["neg_brier_score"] == pytest.approx(-np.mean((y[split.test] - p) ** 2), abs=1e-4)
        assert ours["balanced_accuracy"] == balanced_accuracy_score(y[split.test], p >= 0.5)


def test_every_row_is_scored_once_per_repeat_by_a_model_that_did_not_see_it(result):
    for stored in result.out_of_fold.values():
        assert stored.proba.shape == (2, 400, 2)
        np.testing.assert_allclose(stored.proba.sum(-1), 1.0)
        assert set(np.unique(stored.default)) <= {0, 1}
        assert set(np.unique(stored.tuned)) <= {0, 1}


def test_post_hoc_strategies_cost_no_fit_and_change_no_ranking(result):
    content = result.to_dict()
    seconds = {(r["strategy"], r["repeat"], r["fold"]): r["fit_seconds"] for r in content["runs"]}
    assert all(seconds["prior_threshold", r, f] == seconds["none", r, f] for r in range(2) for f in range(4))
    rows = {(r["strategy"], r["metric"], r["decision"]): r for r in content["summary"]}
    for metric, decision in (("average_precision", "default"), ("balanced_accuracy", "tuned")):
        row = rows["prior_threshold", metric, decision]
        assert (row["difference"], row["p_adjusted"], row["verdict"]) == (0.0, 1.0, "no detectable difference")


def test_a_moved_threshold_gives_what_weights_give(result):
    """The first thing to know about imbalance: at its own decision weighting wins, at a tuned one it does not."""
    default, tuned = means(result, "balanced_accuracy"), means(result, "balanced_accuracy", "tuned")
    assert default["balanced"] > default["none"] + 0.05
    assert abs(default["prior_threshold"] - default["balanced"]) < 0.03
    assert abs(tuned["balanced"] - tuned["none"]) < 0.03


def test_the_same_request_gives_the_same_results(result):
    X, y = overlapping()

    def without_times(content):
        return content | {"runs": [r | {"fit_seconds": 0} for r in content["runs"]]}

    again = sy.compare(X, y, model="linear", cv=4, repeats=2)
    assert without_times(again.to_dict()) == without_times(result.to_dict())
    other = sy.compare(X, y, model="linear", cv=4, repeats=2, random_state=1)
    assert other.to_dict()["runs"][0]["metrics"] != result.to_dict()["runs"][0]["metrics"]


def test_leaving_strategies_out_changes_no_score_of_the_others(result):
    X, y = overlapping()
    alone = sy.compare(X, y, ["oversample"], "linear", cv=4, repeats=2)
    assert means(alone, "average_precision")["oversample"] == means(result, "average_precision")["oversample"]


def test_shuffled_labels_score_chance():
    """Features that know nothing: AUC 0.5 for every strategy, and no strategy helps or harms."""
    X, y = overlapping(n=600, seed=3)
    y = np.random.default_rng(4).permutation(y)
    result = sy.compare(X, y, model="linear", cv=5, repeats=2)
    for strategy, auc in means(result, "roc_auc").items():
        assert auc == pytest.approx(0.5, abs=0.08), strategy
    for decision in ("default", "tuned"):
        for strategy, value in means(result, "balanced_accuracy", decision).items():
            assert value == pytest.approx(0.5, abs=0.08), strategy
    rank = [r for r in result.to_dict()["summary"] if r["metric"] == "roc_auc"]
    assert {r["verdict"] for r in rank} <= {"baseline", "no detectable difference"}


def test_samplers_see_training_rows_only(monkeypatch):
    """Copies of a test row in training would be found by a model that only remembers rows."""
    X, y = overlapping(n=200, seed=5)
    X[:, 0] = np.random.default_rng(0).permutation(200)  # tells which row is which
    dataset = from_memory(X, y)
    seen, real = [], fold_scores.training.fit_all

    def spy(model, rows, y, *rest, **more):
        seen.append((len(rows), set(np.round(rows[:, 0], 9))))
        return real(model, rows, y, *rest, **more)

    monkeypatch.setattr(fold_scores.training, "fit_all", spy)
    asked = settings(dataset.target, ["oversample", "smote"], "linear", cv=4, repeats=1, decisions="default")
    for split in outer_splits(dataset.target.y, 4, 1, 0):
        seen.clear()
        fold = fold_scores.PreparedFold(dataset, asked, split)
        fold_scores.score_fold(fold, asked.models[0], asked.strategies)
        assert [n for n, _ in seen] == [len(split.train)]
        assert not seen[0][1] & set(np.round(fold.outer.score[:, 0], 9))


def test_the_labels_of_the_test_fold_are_not_looked_at():
    """Other labels in the test fold: not one score changes."""
    X, y = overlapping(n=200, seed=6)
    dataset, split = from_memory(X, y), outer_splits(y, 4, 1, 0)[0]
    lied = from_memory(X, np.where(np.isin(np.arange(200), split.test), 1 - y, y))
    asked = settings(dataset.target, model="linear", cv=4, repeats=1)
    scored = [
        fold_scores.score_fold(fold_scores.PreparedFold(d, asked, split), asked.models[0], asked.strategies)
        for d in (dataset, lied)
    ]
    for honest, other in zip(*scored, strict=True):
        np.testing.assert_array_equal(honest.proba, other.proba)
        np.testing.assert_array_equal(honest.tuned, other.tuned)


def test_more_classes_with_tuned_decisions():
    X, y = overlapping(n=500, n_classes=3, seed=1)
    result = sy.compare(X, np.array(["low", "mid", "top"])[y], model="linear", cv=3, repeats=1)
    default, tuned = means(result, "balanced_accuracy"), means(result, "balanced_accuracy", "tuned")
    assert result.best["metric"] == "balanced_accuracy"
    assert tuned["none"] > default["none"]
    assert {"recall_low", "recall_mid", "recall_top"} <= set(result.to_dict()["runs"][0]["metrics"])


def test_default_decisions_only(mixed):
    frame, y = mixed
    result = sy.compare(frame, y, ["balanced"], "linear", cv=3, repeats=1, decisions="default")
    assert set(result.table().decision) == {"default"}
    assert not any(":tuned" in name for name in result.to_dict()["runs"][0]["metrics"])


def test_a_mixed_table_with_holes_runs_and_finds_the_signal(mixed):
    frame, y = mixed
    result = sy.compare(frame, y, ["balanced"], "linear", cv=4, repeats=1, metric="precision@recall>=0.8")
    assert result.to_dict()["settings"]["positive"] == "sick"
    assert means(result, "roc_auc")["none"] > 0.75
    assert result.best["metric"] == "precision@recall>=0.8"


def failing(monkeypatch, strategy, error):
    real = fold_scores.training.fit_all

    def fails(model, rows, y, points, *rest, **more):
        fitted = real(model, rows, y, points, *rest, **more)
        return [error if p.strategy == strategy else f for p, f in zip(points, fitted, strict=True)]

    monkeypatch.setattr(fold_scores.training, "fit_all", fails)


def test_a_strategy_that_fails_is_skipped_with_its_reason_and_the_others_go_on(monkeypatch):
    X, y = overlapping(n=200)
    failing(monkeypatch, "focal", FloatingPointError("overflow in the third step"))
    content = sy.compare(X, y, ["focal", "balanced"], "linear", cv=3, repeats=1).to_dict()
    reason = "FloatingPointError: overflow in the third step"
    assert content["skipped"] == [{"model": "linear", "strategy": "focal", "reason": reason}]
    assert {r["strategy"] for r in content["runs"]} == {"none", "balanced"}
    assert {r["strategy"] for r in content["summary"]} == {"none", "balanced"}


def test_without_a_baseline_there_is_no_comparison(monkeypatch):
    X, y = overlapping(n=100)
    failing(monkeypatch, "none", FloatingPointError("no"))
    with pytest.raises(
        InputError, match="the baseline of model 'linear' can be trained on; got FloatingPointError: no"
    ):
        sy.compare(X, y, ["focal"], "linear", cv=3, repeats=1)


def test_fits_that_do_not_converge_are_said(monkeypatch):
    from steelyard.training import linear

    monkeypatch.setattr(linear.fit, "__defaults__", (*linear.fit.__defaults__[:-1], 2))
    X, y = overlapping(n=200)
    warnings = sy.compare(X, y, ["balanced"], "linear", cv=3, repeats=1).to_dict()["warnings"]
    assert any(w.startswith("none (linear): 3 of 3 fits stopped after") for w in warnings)


def test_few_rows_of_a_class_are_said():
    X, y = overlapping(n=150, seed=8)
    warnings = sy.compare(X, y, ["balanced"], "linear", cv=3, repeats=1).to_dict()["warnings"]
    assert any("expect wide intervals" in w for w in warnings)


@pytest.mark.parametrize("rarest", [2, 3])
def test_a_class_too_small_to_hold_a_row_out_is_not_tuned_and_that_is_said(rarest):
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1, 2], [60, 20, rarest])
    content = sy.compare(rng.normal(size=(len(y), 2)), y, ["balanced"], "linear", cv=2, repeats=1).to_dict()
    assert any(w.startswith("decisions are not tuned") for w in content["warnings"])
    assert {r["decision"] for r in content["summary"]} == {"default"}
    assert content["settings"]["decisions"] == "default"


def test_progress_is_told(mixed):
    frame, y = mixed
    dataset = from_memory(frame, y)
    told = []
    asked = settings(dataset.target, ["balanced"], "linear", cv=3, repeats=1, decisions="default")
    run(dataset, asked, lambda *step: told.append(step))
    assert told[0] == (0, 3, "repeat 1, fold 1")
    assert told[-1] == (3, 3, "repeat 1, fold 3")


def test_several_models_have_their_own_baseline_and_verdicts(mixed):
    frame, y = mixed
    quick = [("mlp", {"hidden": (8,), "epochs": 3}), ("lightgbm", {"n_estimators": 10}), "linear"]
    result = sy.compare(frame, y, ["balanced", "ldam_drw", "smote", "balanced_batches"], quick, cv=3, repeats=1)
    content = result.to_dict()
    assert content["skipped"] == []
    assert content["settings"]["models"] == ["mlp", "lightgbm", "linear"]
    assert content["settings"]["model_options"]["mlp"] == {"hidden": [8], "epochs": 3}
    baselines = {(r["model"], r["strategy"]) for r in content["summary"] if r["verdict"] == "baseline"}
    assert baselines == {("mlp", "none"), ("lightgbm", "none"), ("linear", "none")}
    assert len(content["runs"]) == 3 * 5 * 3
    alone = sy.compare(frame, y, ["balanced"], "linear", cv=3, repeats=1)
    assert means(alone, "roc_auc")["balanced"] == means(result, "roc_auc")["balanced"]


def test_a_resumed_run_gives_the_same_results(mixed, tmp_path):
    """Stop after any piece of work, go on: the same results but for times, and finished work is not done again."""
    frame, y = mixed
    dataset = from_memory(frame, y)
    models = [("mlp", {"hidden": (8,), "epochs": 2}), "linear"]
    asked = settings(dataset.target, ["balanced", "oversample"], models, cv=3, repeats=1)

    def plain(result):
        content = result.to_dict()
        return content | {"runs": [r | {"fit_seconds": 0} for r in content["runs"]]}

    whole = plain(run(dataset, asked))

    class StopError(Exception):
        pass

    def stop_after(pieces):
        def progress(done, total, what):
            if done >= pieces:
                raise StopError

        return progress

    for pieces in (1, 3, 5):
        with pytest.raises(StopError):
            run(dataset, asked, stop_after(pieces), tmp_path)
    told = []
    resumed = run(dataset, asked, lambda *step: told.append(step[0]), tmp_path)
    assert told == [5, 6]
    assert plain(resumed) == whole
    again = []
    assert plain(run(dataset, asked, lambda *step: again.append(step[0]), tmp_path)) == whole
    assert again == [6]


def test_a_journal_of_other_data_or_settings_is_refused(mixed, tmp_path):
    frame, y = mixed
    dataset = from_memory(frame, y)
    asked = settings(dataset.target, ["balanced"], "linear", cv=3, repeats=1)
    run(dataset, asked, folder=tmp_path)
    other = settings(dataset.target, ["balanced"], "linear", cv=4, repeats=1)
    with pytest.raises(InputError, match="the same settings as when"):
        run(dataset, other, folder=tmp_path)
    changed = from_memory(frame.assign(age=frame["age"] + 1), y)
    with pytest.raises(InputError, match="the same data as when"):
        run(changed, asked, folder=tmp_path)
