import numpy as np
import pytest
from scipy.stats import binom

import steelyard as sy
from steelyard.comparison.dataset import from_memory
from steelyard.comparison.racing import losers
from steelyard.comparison.running import run
from steelyard.comparison.settings import settings
from steelyard.errors import InputError

NOISE = np.array([0.01, -0.01, 0.0, 0.02, -0.02])


def test_a_strategy_is_stopped_only_if_all_its_decisions_lose():
    scores = {"none": [0.8 + NOISE, 0.82 + NOISE], "a": [0.3 + NOISE, 0.82 - NOISE], "b": [0.3 + NOISE, 0.4 + NOISE]}
    assert losers(scores, 0.25, looks=2, candidates=6) == {"b": "none"}


def test_none_is_never_stopped_nor_what_is_undefined():
    scores = {"none": [0.1 + NOISE], "a": [0.9 + NOISE], "b": [np.full(5, np.nan)]}
    assert losers(scores, 0.25, looks=2, candidates=3) == {}
    assert losers({"none": [np.full(5, np.nan)]}, 0.25, 2, 1) == {}


def test_lower_can_be_better():
    scores = {"none": [0.8 + NOISE], "a": [0.2 - NOISE], "b": [0.9 + NOISE]}
    assert losers(scores, 0.25, 1, 3, greater_is_better=False) == {"b": "a"}


def test_the_best_is_hardly_ever_stopped():
    """Eight candidates of the same worth, 5 folds a round, 2 looks: whoever is the best is stopped in at most 5 %."""
    rng = np.random.default_rng(0)
    trials, wrong = 400, 0
    for _ in range(trials):
        folds = rng.normal(size=10)  # how hard a fold is, the same for all
        scores = {f"s{i}": folds + 0.5 * rng.normal(size=10) for i in range(8)}
        for done in (5, 10):
            out = losers({s: [v[:done]] for s, v in scores.items()}, 0.25, looks=2, candidates=8)
            if "s0" in out:
                wrong += 1
                break
            scores = {s: v for s, v in scores.items() if s not in out}
    assert wrong <= binom.ppf(0.999, trials, 0.05)


def raced(monkeypatch, worse=0.3):
    """A table and a race in which 'balanced' loses: the labels it is tested on are predicted the other way round."""
    from steelyard.comparison import fold_scores

    real = fold_scores._scored

    def spoiled(fold, model, point, *rest):
        from dataclasses import replace

        scores = real(fold, model, point, *rest)
        return replace(scores, proba=scores.proba[:, ::-1]) if point.strategy == "balanced" else scores

    monkeypatch.setattr(fold_scores, "_scored", spoiled)
    rng = np.random.default_rng(0)
    y = (rng.random(400) < 0.3).astype(int)
    dataset = from_memory(rng.normal(size=(400, 2)) + 2.0 * y[:, None], y)
    asked = settings(dataset.target, ["balanced", "focal"], "linear", cv=4, repeats=3, decisions="default", race=True)
    return dataset, asked


def plain(result):
    content = result.to_dict()
    return content | {"runs": [r | {"fit_seconds": 0} for r in content["runs"]]}


def test_who_loses_is_listed_without_a_verdict_and_its_finished_folds_stay(monkeypatch):
    content = run(*raced(monkeypatch)).to_dict()
    assert [(s["model"], s["strategy"]) for s in content["skipped"]] == [("linear", "balanced")]
    reason = content["skipped"][0]["reason"]
    assert reason.startswith("stopped by the race after repeat 1 of 3: by average_precision ")
    assert reason.endswith("this is no verdict")
    assert {r["strategy"] for r in content["summary"]} == {"none", "focal"}
    runs = [(r["repeat"], r["fold"]) for r in content["runs"] if r["strategy"] == "balanced"]
    assert runs == [(0, f) for f in range(4)]
    assert len([r for r in content["runs"] if r["strategy"] == "focal"]) == 12


def test_the_others_have_the_scores_that_they_have_without_a_race(monkeypatch):
    from dataclasses import replace

    dataset, asked = raced(monkeypatch)
    with_race, without = (run(dataset, replace(asked, race=race)).table() for race in (True, False))
    keep = ["strategy", "metric", "decision", "mean", "difference"]
    both = [t[t.strategy != "balanced"][keep].reset_index(drop=True) for t in (with_race, without)]
    assert both[0].equals(both[1])


def test_a_resumed_race_stops_the_same_ones(monkeypatch, tmp_path):
    dataset, asked = raced(monkeypatch)
    whole = plain(run(dataset, asked))

    class StopError(Exception):
        pass

    for stop in (3, 6, 9):

        def progress(done, total, what, stop=stop):
            if done >= stop:
                raise StopError

        with pytest.raises(StopError):
            run(dataset, asked, progress, tmp_path)
    assert plain(run(dataset, asked, None, tmp_path)) == whole


def test_a_race_needs_rounds():
    X, y = np.random.default_rng(0).normal(size=(40, 2)), np.arange(40) % 2
    with pytest.raises(InputError, match="at least 2 repeats for a race"):
        sy.compare(X, y, ["balanced"], "linear", repeats=1, race=True)
    with pytest.raises(InputError, match="folds along time are drawn once"):
        sy.compare(X, y, ["balanced"], "linear", time=np.arange(40), race=True)
