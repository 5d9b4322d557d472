"""A study is its comparisons, and then arithmetic on their means."""

import json

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from scipy.stats import rankdata, ttest_1samp, wilcoxon

import steelyard as sy
from steelyard.comparison.study_summary import summarise_sets
from steelyard.comparison.studying import check_study_folder, load_study, sources, study
from steelyard.errors import InputError

STRATEGIES = ["balanced", "undersample"]


def write(folder, name, seed, n=240, target="y", labels=("no", "yes")):
    rng = np.random.default_rng(seed)
    sick = rng.random(n) < 0.2
    frame = pd.DataFrame({"a": rng.normal(size=n) + sick, "b": rng.normal(size=n)})
    frame[target] = np.where(sick, labels[1], labels[0])
    frame.to_csv(folder / name, index=False)
    return folder / name


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    files = [write(folder, f"set{i}.csv", i) for i in range(3)]
    (folder / "broken.csv").write_text("a,y\n1,only\n2,only\n")
    of = sources([*files, folder / "broken.csv"], "y")
    result = study(of, folder / "out", STRATEGIES, "linear", cv=3, repeats=1)
    paths = result.save(folder / "out")
    return folder, of, result, paths


def test_each_set_is_the_comparison_that_it_would_be_alone(done):
    folder, _, result, _ = done
    table = pd.read_csv(folder / "set1.csv")
    alone = sy.compare(table[["a", "b"]], table["y"], STRATEGIES, "linear", "average_precision", cv=3, repeats=1)
    found = pd.DataFrame(result.results["set1"]["summary"])
    pd.testing.assert_frame_equal(found, alone.table())


def test_means_ranks_and_differences_are_those_of_the_sets(done):
    _, _, result, _ = done
    means = {
        name: {r["strategy"]: r["mean"] for r in one["summary"] if r["metric"] == "average_precision"}
        for name, one in result.results.items()
    }
    table = pd.DataFrame(means).T
    rows = result.table().query("metric == 'average_precision'").set_index("strategy")
    ranks = pd.DataFrame(rankdata(-table.round(4), axis=1), table.index, table.columns)
    for strategy in ("none", *STRATEGIES):
        assert rows.loc[strategy, "mean"] == pytest.approx(table[strategy].mean())
        assert rows.loc[strategy, "mean_rank"] == pytest.approx(ranks[strategy].mean())
    d = table["undersample"] - table["none"]
    interval = ttest_1samp(d, 0).confidence_interval(0.95)
    row = rows.loc["undersample"]
    assert (row["ci_low"], row["ci_high"]) == pytest.approx((interval.low, interval.high), abs=1e-4)
    assert row["verdict"] == "no detectable difference"  # three sets cannot tell


def test_verdicts_are_signed_ranks_adjusted_by_holm():
    rng = np.random.default_rng(0)
    base, gains = rng.uniform(0.3, 0.6, 12), {"good": rng.uniform(0.02, 0.05, 12), "bad": -rng.uniform(0.01, 0.1, 12)}
    gains |= {"none": np.zeros(12), "noise": rng.normal(0, 0.01, 12)}
    results = {
        f"s{i}": {
            "summary": [
                {"model": "m", "decision": "default", "metric": "roc_auc", "strategy": s, "mean": base[i] + gains[s][i]}
                | {"verdict": "baseline" if s == "none" else "helps" if s == "good" else "no detectable difference"}
                for s in gains
            ]
        }
        for i in range(12)
    }
    summary, tests = summarise_sets(results, "roc_auc")
    rows = {r["strategy"]: r for r in summary}
    assert {s: r["verdict"] for s, r in rows.items()} == {
        "good": "helps", "bad": "harms", "none": "baseline", "noise": "no detectable difference",
    }  # fmt: skip
    raw = {s: wilcoxon(gains[s]).pvalue for s in ("good", "bad", "noise")}
    assert rows["good"]["p_adjusted"] == pytest.approx(3 * raw["good"])
    assert (rows["good"]["helps"], rows["good"]["harms"]) == (12, 0)
    assert tests == [
        {"model": "m", "decision": "default", "metric": "roc_auc", "n_sets": 12, "n_strategies": 4}
        | {k: tests[0][k] for k in ("p_value", "critical_difference")}
    ]
    assert tests[0]["critical_difference"] == pytest.approx(2.569 * np.sqrt(4 * 5 / (6 * 12)), abs=1e-3)  # Demšar, q


@pytest.mark.parametrize(
    ("free", "tuned", "verdict"),
    [
        (0.1, 0.3, "helps"),
        (0.3, 0.1, "no detectable difference"),
        (None, 0.1, "helps"),
        (None, 0.3, "no detectable difference"),
    ],
)
def test_a_moved_threshold_is_no_help_over_many_sets_either(free, tuned, verdict):
    """At its own decision a strategy has to beat plain training with a threshold moved for that very metric, too."""
    rng = np.random.default_rng(0)
    base, gain = rng.uniform(0.3, 0.6, 12), rng.uniform(0.18, 0.22, 12)
    results = {
        f"s{i}": {
            "summary": [
                {"model": "m", "decision": decision, "metric": "balanced_accuracy", "strategy": s, "mean": base[i] + d}
                | {"verdict": "baseline" if s == "none" else "helps"}
                | ({"free_threshold": base[i] + free} if free and (s, decision) == ("none", "default") else {})
                for s, decision, d in (
                    ("none", "default", 0.0),
                    ("balanced", "default", gain[i]),
                    ("none", "tuned", tuned),
                    ("balanced", "tuned", tuned),
                )
            ]
        }
        for i in range(12)
    }
    rows = {(r["strategy"], r["decision"]): r for r in summarise_sets(results, "balanced_accuracy")[0]}
    own = rows["balanced", "default"]
    assert (own["verdict"], own["only_threshold"]) == (verdict, verdict != "helps")
    assert own["difference"] == pytest.approx(gain.mean())
    assert own["p_adjusted"] == pytest.approx(wilcoxon(gain).pvalue)
    assert not rows["balanced", "tuned"]["only_threshold"]


def test_a_strategy_that_fails_somewhere_has_no_rank_and_is_still_compared():
    results = {
        f"s{i}": {
            "summary": [
                {"model": "m", "decision": "default", "metric": "roc_auc", "strategy": s, "mean": 0.5 + 0.01 * i * k}
                | {"verdict": "baseline" if s == "none" else "helps"}
                for k, s in enumerate(("none", "b", "c"))
                if not (s == "c" and i == 0)
            ]
        }
        for i in range(4)
    }
    summary, tests = summarise_sets(results, "roc_auc")
    c = next(r for r in summary if r["strategy"] == "c")
    assert (c["n_sets"], c["mean_rank"], c["helps"]) == (3, None, 3)
    assert c["difference"] == pytest.approx(0.04)
    assert tests[0]["n_strategies"] == 2


def test_a_set_that_cannot_be_used_is_listed_and_the_others_go_on(done):
    _, _, result, _ = done
    content = result.to_dict()
    assert [one["set"] for one in content["sets"]] == ["set0", "set1", "set2"]
    assert content["skipped"][0]["set"] == "broken"
    assert "only" in content["skipped"][0]["reason"]


def test_every_fold_is_in_the_parquet_file(done):
    _, _, result, paths = done
    rows = pq.read_table(paths["rows"]).to_pandas()
    assert not rows["metric"].str.contains("recall_").any()  # of one class: another class on another set
    kept = rows.query("metric == 'average_precision' and set == 'set2' and strategy == 'balanced'")
    assert len(kept) == 3
    found = next(
        r
        for r in result.results["set2"]["summary"]
        if (r["metric"], r["strategy"]) == ("average_precision", "balanced")
    )
    assert kept["value"].mean() == pytest.approx(found["mean"])
    assert set(rows["decision"]) == {"default", "tuned"}


def test_going_on_gives_the_same_and_takes_more_sets(done):
    folder, of, result, paths = done
    before = json.loads(paths["results"].read_text())
    again = study(of, folder / "out", STRATEGIES, "linear", cv=3, repeats=1)
    assert again.to_dict() == result.to_dict() == before == load_study(folder / "out").to_dict()
    more = [*of, *sources([write(folder, "extra.csv", 7), folder / "set0.csv"], "y")[:1]]
    assert len(study(more, folder / "out", STRATEGIES, "linear", cv=3, repeats=1).to_dict()["sets"]) == 4
    check_study_folder(folder / "out", resume=True)
    with pytest.raises(InputError, match="holds a study"):
        check_study_folder(folder / "out")


def test_results_of_other_settings_are_not_mixed_in(done):
    folder, of, _, _ = done
    with pytest.raises(InputError, match="at least two data sets that can be used.*other data, settings or version"):
        study(of, folder / "out", STRATEGIES[:1], "linear", cv=3, repeats=1)


def test_sources(tmp_path):
    one, two = write(tmp_path, "a.csv", 0), write(tmp_path, "b.csv", 1)
    (tmp_path / "other").mkdir()
    alike = write(tmp_path / "other", "a.csv", 2)
    (tmp_path / "notes.txt").write_text("")
    names = [s.name for s in sources([tmp_path], "y")]
    assert names == ["a", "b"]
    assert {(s.name, s.target) for s in sources([f"{one}=class", alike], "y")} == {
        ("other-a.csv", "y"),
        (f"{tmp_path.name}-a.csv", "class"),
    }
    for files, message in (
        ([one], "at least two"),
        ([one, one, two], "twice"),
        ([one, tmp_path / "c.csv"], "does not exist"),
    ):
        with pytest.raises(InputError, match=message):
            sources(files, "y")
    with pytest.raises(InputError, match="--target COLUMN"):
        sources([one, two])


def test_bad_studies_are_refused(tmp_path):
    (tmp_path / "study.json").write_text("[1]")
    with pytest.raises(InputError, match="schema_version"):
        load_study(tmp_path)
    with pytest.raises(InputError, match=r"study\.json"):
        load_study(tmp_path / "nowhere")
