"""Several labels per row: folds that have them all, means over labels, a model that predicts them."""

import json

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import average_precision_score, balanced_accuracy_score, roc_auc_score
from typer.testing import CliRunner

import steelyard as sy
from steelyard.cli import app
from steelyard.comparison import label_sets
from steelyard.comparison.folds import ratio_of_sizes
from steelyard.comparison.label_sets import from_memory, is_label_set
from steelyard.comparison.results import load
from steelyard.errors import InputError

NAMES = ["common", "rare", "<b>rarest</b>"]


def data(n=500, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 4))
    shared = rng.normal(size=n)  # labels go together beyond what the columns say
    Y = X[:, :3] + 0.7 * shared[:, None] + rng.normal(size=(n, 3)) > np.array([0.5, 2.2, 3.3])
    return pd.DataFrame(X, columns=list("abcd")), pd.DataFrame(Y.astype(int), columns=NAMES)


def chance(Y, rows):
    """Average precision of random scores, by scikit-learn: on so few rows it is well above the share of a label."""
    rng = np.random.default_rng(0)
    values = []
    for share in Y.mean(0):
        truth = np.arange(rows) < round(share * rows)
        values.append(np.mean([average_precision_score(truth, rng.random(rows)) for _ in range(400)]))
    return np.mean(values)


@pytest.fixture(scope="module")
def result():
    X, Y = data()
    return sy.compare(X, Y, ["balanced", "prior_threshold"], "linear", cv=3, repeats=2)


def test_every_fold_has_its_share_of_every_label():
    X, Y = data(400, seed=1)
    splits = from_memory(X, Y).splits(4, 3, 0)
    assert len(splits) == 12
    for repeat in range(3):
        tests = [s.test for s in splits if s.repeat == repeat]
        assert sorted(np.concatenate(tests).tolist()) == list(range(400))
        shares = np.array([Y.to_numpy()[t].sum(0) for t in tests])
        assert (shares.max(0) - shares.min(0) <= 2).all()
        assert (shares > 0).all()
    assert any(
        (a.test != b.test).any() for a, b in zip(splits[:4], splits[4:8], strict=True) if len(a.test) == len(b.test)
    )
    for s in splits:
        assert not set(s.train) & set(s.test)
        assert len(s.train) + len(s.test) == 400


def test_macro_metrics_are_those_of_scikit_learn_fold_by_fold(result):
    X, Y = data()
    splits = from_memory(X, Y).splits(3, 2, 0)
    truth = Y.to_numpy()
    content = result.to_dict()
    runs = {(r["strategy"], r["repeat"], r["fold"]): r["metrics"] for r in content["runs"]}
    assert len(runs) == 3 * 6
    for strategy in ("none", "balanced", "prior_threshold"):
        stored = [result.labels[name].out_of_fold["linear", strategy] for name in NAMES]
        for s in splits:
            p = np.column_stack([o.proba[s.repeat, s.test, 1] for o in stored])
            found = runs[strategy, s.repeat, s.fold]
            assert found["average_precision"] == pytest.approx(
                average_precision_score(truth[s.test], p, average="macro")
            )
            assert found["roc_auc"] == pytest.approx(roc_auc_score(truth[s.test], p, average="macro"))
            for decision, key in (("default", "balanced_accuracy"), ("tuned", "balanced_accuracy:tuned")):
                labels = np.column_stack([o.labels(decision)[s.repeat, s.test] for o in stored])
                each = [balanced_accuracy_score(truth[s.test, k], labels[:, k]) for k in range(3)]
                assert found[key] == pytest.approx(np.mean(each))


def test_the_summary_compares_means_over_labels(result):
    from statsmodels.stats.multitest import multipletests

    from steelyard.metrics import corrected_resampled_t

    content = result.to_dict()
    values = {
        name: np.array([r["metrics"]["balanced_accuracy"] for r in content["runs"] if r["strategy"] == name])
        for name in ("none", "balanced", "prior_threshold")
    }
    ratio = ratio_of_sizes(label_sets.from_memory(*data()).splits(3, 2, 0))
    tested = [corrected_resampled_t(values[s] - values["none"], ratio) for s in ("balanced", "prior_threshold")]
    adjusted = multipletests([t.p_value for t in tested], method="holm")[1]
    rows = {
        r["strategy"]: r for r in content["summary"] if (r["metric"], r["decision"]) == ("balanced_accuracy", "default")
    }
    assert rows["none"]["verdict"] == "baseline"
    for strategy, expected, p in zip(("balanced", "prior_threshold"), tested, adjusted, strict=True):
        assert rows[strategy]["difference"] == pytest.approx(expected.mean)
        assert expected.mean > 0.05
        assert rows[strategy]["p_adjusted"] == pytest.approx(p)
        # a gain that is only a moved threshold is no help
        assert rows[strategy]["verdict"] == "no detectable difference"
        assert rows[strategy]["only_threshold"] == (p < 0.05)
    dataset = content["dataset"]
    Y = data()[1].to_numpy()
    assert dataset["labels"] == NAMES
    assert dataset["label_counts"] == Y.sum(0).tolist()
    assert dataset["counts"] == [int((Y == 0).sum()), int((Y == 1).sum())]
    assert content["metrics"]["average_precision"]["chance"] == pytest.approx(chance(Y, len(Y) // 3), abs=0.01)
    for k, part in enumerate(content["labels"]):
        assert part["chance"]["average_precision"] == pytest.approx(chance(Y[:, [k]], len(Y) // 3), abs=0.015)
        assert part["chance"]["roc_auc"] == 0.5
    best = result.best
    assert best["metric"] == "average_precision"
    means = [r["mean"] for r in content["summary"] if r["metric"] == "average_precision"]
    assert best["estimate"] <= max(means) + 1e-12
    assert best["ci_low"] < best["estimate"] < best["ci_high"]


def test_each_label_is_the_comparison_that_it_would_be_by_itself(result):
    content = result.to_dict()
    for entry, name in zip(content["labels"], NAMES, strict=True):
        alone = result.labels[name].to_dict()
        assert entry["label"] == name
        assert entry["summary"] == alone["summary"]
        assert entry["best"] == alone["best"]
        assert alone["settings"]["positive"] == 1
        assert alone["dataset"]["counts"][1] == entry["rows"]


def test_the_model_predicts_all_labels_and_is_stored_without_pickle(result, tmp_path):
    X, Y = data()
    model = result.model
    labels, proba = model.predict(X), model.predict_proba(X)
    assert labels.shape == proba.shape == Y.shape
    assert set(np.unique(labels)) <= {0, 1}
    assert average_precision_score(Y.to_numpy(), proba, average="macro") > 2 * Y.to_numpy().mean()
    paths = result.save(tmp_path / "out")
    again = sy.load(tmp_path / "out")
    np.testing.assert_array_equal(again.predict_proba(X), proba)
    np.testing.assert_array_equal(again.predict(X.iloc[:, ::-1]), labels)
    endings = {p.suffix for p in paths["model"].rglob("*") if p.is_file()}
    assert endings <= {".json", ".safetensors", ".txt", ""}
    page = paths["report"].read_text()
    assert "Each label by itself" in page
    assert "&lt;b&gt;rarest&lt;/b&gt;" in page
    assert "<b>rarest</b>" not in page
    assert (paths["labels"] / "02-b_rarest_b" / "report.html").is_file()
    assert load(tmp_path / "out").to_dict() == json.loads(json.dumps(result.to_dict()))
    assert load(tmp_path / "out").report(tmp_path / "again.html").read_text() == page


@pytest.mark.parametrize("what", ["facts", "sums", "label", "names"])
def test_a_damaged_model_is_refused(result, tmp_path, what):
    from steelyard.comparison import stored

    folder = stored.save(result.model, tmp_path / "model")
    if what == "facts":
        (folder / "labels.json").write_text('{"schema_version": 1, "labels": []}')
    elif what == "sums":
        (folder / "SHA256SUMS").unlink()
    elif what == "label":
        (folder / "1" / "model.json").write_text("{}")
    else:
        import hashlib

        text = json.dumps({"schema_version": 1, "labels": [["os"], 3]}).encode()
        (folder / "labels.json").write_bytes(text)
        (folder / "SHA256SUMS").write_text(f"{hashlib.sha256(text).hexdigest()}  labels.json\n")
    with pytest.raises(InputError, match="an undamaged model in"):
        sy.load(folder)


def without_times(content):
    for run in content["runs"]:
        run.pop("fit_seconds")
    return content


def test_a_stopped_run_goes_on_where_it_was(tmp_path, monkeypatch):
    from steelyard.comparison import multilabel

    X, Y = data(240, seed=3)
    Y = Y[NAMES[:2]]
    asked = {"strategies": ["balanced"], "model": "linear", "cv": 2, "repeats": 1}
    whole = sy.compare(X, Y, **asked)
    plain = multilabel.run

    def stopped(dataset, *args, **more):
        if dataset.target.counts.counts[1] == Y["rare"].sum():
            raise KeyboardInterrupt
        return plain(dataset, *args, **more)

    monkeypatch.setattr(multilabel, "run", stopped)
    with pytest.raises(KeyboardInterrupt):
        sy.compare(X, Y, **asked, out=tmp_path / "run")
    monkeypatch.setattr(multilabel, "run", plain)
    with pytest.raises(InputError, match="empty or new folder"):
        sy.compare(X, Y, **asked, out=tmp_path / "run")
    with pytest.raises(InputError, match="the same data as when"):
        sy.compare(X, Y[::-1].reset_index(drop=True), **asked, out=tmp_path / "run", resume=True)
    resumed = sy.compare(X, Y, **asked, out=tmp_path / "run", resume=True)
    assert without_times(resumed.to_dict()) == without_times(whole.to_dict())


def test_from_the_command_line(tmp_path):
    X, Y = data(300, seed=4)
    table = X.join(Y.rename(columns={NAMES[2]: "odd, name"}))
    table.to_csv(tmp_path / "d.csv", index=False)
    out = tmp_path / "out"
    asked = ["compare", str(tmp_path / "d.csv"), "--model", "linear", "--strategies", "none,balanced"]
    more = ["--cv", "3", "--repeats", "1"]
    run = CliRunner().invoke(app, [*asked, "--target", "common, rare", *more, "--out", str(out)])
    assert run.exit_code == 0, run.output
    assert "mean over 2 labels and folds" in run.output
    assert "of each label" in run.output
    for wanted in ("csv", "parquet"):
        target = tmp_path / f"p.{wanted}"
        run = CliRunner().invoke(app, ["predict", str(out), str(tmp_path / "d.csv"), "--out", str(target)])
        assert run.exit_code == 0, run.output
        found = pd.read_csv(target) if wanted == "csv" else pd.read_parquet(target)
        assert list(found) == ["prediction_common", "prediction_rare", "probability_common", "probability_rare"]
        model = sy.load(out)
        np.testing.assert_array_equal(found.iloc[:, :2], model.predict(table))
        np.testing.assert_array_equal(found.iloc[:, 2:], model.predict_proba(table))
    run = CliRunner().invoke(app, ["predict", str(out), str(tmp_path / "d.csv"), "--target-prior", "1=0.1"])
    assert run.exit_code == 2
    assert "one label per row" in run.output
    # replaced by those of another set of labels: nothing of the old ones is left
    forced = [*asked, "--target", "rare,common", *more, "--out", str(out), "--force"]
    run = CliRunner().invoke(app, forced)
    assert run.exit_code == 0, run.output
    assert sorted(p.name for p in (out / "labels").iterdir()) == ["00-rare", "01-common"]
    assert sy.load(out).labels_ == ("rare", "common")
    run = CliRunner().invoke(app, [*forced[:-1], "--resume"])
    assert run.exit_code == 0, run.output
    # a column whose name holds a comma is one column
    run = CliRunner().invoke(app, [*asked, "--target", "odd, name", *more, "--out", str(out) + "2"])
    assert run.exit_code == 0, run.output
    run = CliRunner().invoke(app, [*asked, "--target", "common,rrae", *more, "--out", str(out) + "3"])
    assert run.exit_code == 2
    assert "did you mean 'rare'" in run.output
    run = CliRunner().invoke(app, [*asked, "--target", "common,rare", "--positive", "1", "--out", str(out) + "4"])
    assert run.exit_code == 2


@pytest.mark.parametrize(
    ("Y", "message"),
    [
        (np.eye(20)[:, :3] * 2, r"only 0 and 1 in label '0', one of several; got 2"),
        (np.column_stack([np.zeros(20), np.arange(20) % 2]), "rows with and without label '0'; got only 0"),
        (np.column_stack([np.arange(20) % 2, [np.nan] + [1.0, 0.0] * 9 + [1.0]]), "a label in every row of '1'"),
        (np.zeros((7, 2)), "labels of each of the 20 rows; got 7"),
        (
            np.arange(40).reshape(20, 2) % 10 < 2,
            r"5 rows with and 5 without each label for 5 folds; got fewer for '0' \(4\), '1' \(4\)",
        ),
        (np.array([["a", "b"]] * 20), "only 0 and 1"),
    ],
)
def test_labels_that_cannot_be_used_are_explained(Y, message):
    X = np.random.default_rng(0).normal(size=(20, 2))
    with pytest.raises(InputError, match=message):
        sy.compare(X, Y, [], "linear")


def test_what_is_several_labels():
    assert is_label_set(pd.DataFrame({"a": [0], "b": [1]}))
    assert is_label_set([[0, 1], [1, 0]])
    assert not is_label_set([("a", 1), ("b", 2)])  # labels that are tuples
    assert not is_label_set(pd.Series([0, 1]))
    with pytest.raises(InputError, match="`positive` with one label"):
        sy.compare(np.eye(4), np.eye(4), positive=1)


def test_booleans_and_costs_and_floors_go_with_several_labels():
    X, Y = data(300, seed=5)
    found = sy.compare(X, Y.astype(bool), [], "linear", cv=3, repeats=1, costs=[[0, 1], [8, 0]])
    assert found.best["metric"] == "expected_cost"
    content = found.to_dict()
    assert content["metrics"]["expected_cost"]["greater_is_better"] is False
    floor = sy.compare(X, Y, [], "linear", "precision@recall>=0.8", cv=3, repeats=1)
    assert floor.best["decision"] == "tuned"
    assert all(entry["floor"]["level"] == 0.8 for entry in floor.to_dict()["labels"])
