from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, confusion_matrix, precision_recall_curve

from steelyard import metrics
from steelyard.comparison.dataset import from_memory
from steelyard.comparison.results import as_text, plain
from steelyard.comparison.views import views


@dataclass
class Scored:
    proba: Any
    default: Any
    tuned: Any = None
    fold: Any = None
    parts: list = field(default_factory=list)


def probabilities(y, n_classes, signal, rng):
    z = rng.normal(size=(len(y), n_classes))
    z[np.arange(len(y)), y] += signal
    z += np.log(np.bincount(y, minlength=n_classes) + 1.0)
    p = np.exp(z - z.max(1, keepdims=True))
    return p / p.sum(1, keepdims=True)


def compared(n_classes=2, n=600, repeats=2, strategies=("none", "a", "b", "c", "d"), models=("linear", "mlp")):
    """Scores of made-up strategies, with a summary in which the later ones are better."""
    rng = np.random.default_rng(0)
    weights = 0.7 ** np.arange(n_classes)
    y = np.append(rng.choice(n_classes, n - n_classes, p=weights / weights.sum()), np.arange(n_classes))
    dataset = from_memory(rng.normal(size=(n, 1)), [f"c{k:03d}" for k in y])
    wanted = [
        metrics.get(name, dataset.target.counts.classes, dataset.target.positive)
        for name in ("average_precision", "balanced_accuracy")
    ]
    stored, summary = {}, []
    folds = np.array([np.random.default_rng(r).permutation(n) % 5 for r in range(repeats)])
    for model in models:
        for rank, strategy in enumerate(strategies):
            proba = np.stack([probabilities(y, n_classes, 1.0 + 0.3 * rank, rng) for _ in range(repeats)])
            labels = (proba / proba.mean((0, 1))).argmax(-1)
            stored[model, strategy] = Scored(proba, proba.argmax(-1), labels, folds)
            for metric in wanted:
                about = {"model": model, "strategy": strategy, "metric": metric.name}
                summary += [about | {"decision": d, "mean": 0.5 + 0.01 * rank} for d in ("default", "tuned")]
    settings = SimpleNamespace(metric="average_precision", decision_metric="balanced_accuracy")
    return stored, dataset, summary, wanted, settings


@pytest.mark.parametrize("n_classes", [2, 4])
def test_confusion_matrices_are_those_of_scikit_learn_summed_over_repeats(n_classes):
    given = compared(n_classes)
    stored, dataset = given[:2]
    found = views(*given)
    assert found["repeats"] == 2
    for entry in found["confusion"]:
        scored = stored[entry["model"], entry["strategy"]]
        labels = scored.default if entry["decision"] == "default" else scored.tuned
        expected = sum(confusion_matrix(dataset.target.y, one) for one in labels)
        np.testing.assert_array_equal(entry["matrix"], expected)
        np.testing.assert_array_equal(np.sum(entry["matrix"], 1), 2 * dataset.target.counts.counts)


@pytest.mark.parametrize(("n_classes", "n"), [(2, 600), (2, 60), (4, 600), (3, 5000)])
def test_curves_lie_on_those_of_scikit_learn(n_classes, n):
    given = compared(n_classes, n)
    stored, dataset = given[:2]
    classes = list(dataset.target.counts.classes)
    curves = views(*given)["curves"]
    assert len({c["class"] for c in curves}) == (1 if n_classes == 2 else 3)
    for entry in curves:
        k = classes.index(entry["class"])
        scores = stored[entry["model"], entry["strategy"]].proba[:, :, k].ravel()
        hit = np.tile(dataset.target.y == k, 2)
        precision, recall, _ = precision_recall_curve(hit, scores)
        truth = np.column_stack([precision, recall])[:-1]  # scikit-learn appends a point at recall 0
        ours = np.column_stack([entry["precision"], entry["recall"]])
        assert len(ours) <= 200
        distance = np.abs(ours[:, None] - truth[None]).max(-1).min(1)
        assert distance.max() <= 0.5e-5 + 1e-12
        assert ours[-1, 1] == 1.0
        assert (np.diff(ours[:, 1]) >= 0.0).all()
        assert entry["average_precision"] == pytest.approx(average_precision_score(hit, scores))


def test_a_thinned_curve_is_nowhere_far_from_the_whole_one():
    given = compared(2, 20_000)
    stored, dataset = given[:2]
    entry = next(c for c in views(*given)["curves"] if c["strategy"] == "d")
    k = dataset.target.positive
    scores = stored[entry["model"], "d"].proba[:, :, k].ravel()
    precision, recall, _ = precision_recall_curve(np.tile(dataset.target.y == k, 2), scores)
    late = (recall > 0.02) & (recall < 1.0)  # the first few rows make large jumps; the last stand on one vertical
    drawn = np.interp(recall[late], entry["recall"], entry["precision"])
    assert np.abs(drawn - precision[late]).max() < 0.02


def test_equal_scores_are_drawn_once_and_rows_with_equal_scores_enter_together():
    given = compared(2, 300, strategies=("none", "a", "b"))
    stored = given[0]
    for scored in stored.values():
        scored.proba = scored.proba.round(1)
    stored["linear", "b"].proba = stored["linear", "none"].proba.copy()
    found = views(*given)
    assert [c["strategy"] for c in found["curves"] if c["model"] == "linear"] == ["none", "a"]
    assert max(len(c["recall"]) for c in found["curves"]) <= 11


def test_none_and_the_best_of_each_model_are_kept():
    found = views(*compared(2))
    for model in ("linear", "mlp"):
        for part in ("confusion", "curves"):
            names = list(dict.fromkeys(e["strategy"] for e in found[part] if e["model"] == model))
            assert names == ["none", "d", "c", "b"]


def test_an_undefined_mean_comes_last_and_lower_is_better_is_known():
    stored, dataset, summary, wanted, settings = compared(2, models=("linear",))
    for row in summary:
        if row["strategy"] == "d":
            row["mean"] = float("nan")
    found = views(stored, dataset, summary, wanted, settings)
    assert list(dict.fromkeys(e["strategy"] for e in found["curves"])) == ["none", "c", "b", "a"]
    costs = metrics.get("expected_cost", dataset.target.counts.classes, 1, None, 1.0 - np.eye(2))
    for row in summary:
        row["metric"] = "expected_cost" if row["metric"] == "balanced_accuracy" else row["metric"]
    settings.decision_metric = "expected_cost"
    found = views(stored, dataset, summary, [wanted[0], costs], settings)
    assert list(dict.fromkeys(e["strategy"] for e in found["confusion"])) == ["none", "a", "b", "c"]


def test_many_classes_give_one_matrix_and_very_many_their_worst_confusions():
    found = views(*compared(12, 800))
    assert {e["strategy"] for e in found["confusion"]} == {"none", "d"}
    stored, dataset, *rest = compared(40, 1500, models=("linear",))
    for entry in views(stored, dataset, *rest)["confusion"]:
        assert "matrix" not in entry
        labels = stored["linear", entry["strategy"]]
        labels = labels.default if entry["decision"] == "default" else labels.tuned
        matrix = sum(confusion_matrix(dataset.target.y, one, labels=range(40)) for one in labels)
        truth = {c: k for k, c in enumerate(dataset.target.counts.classes)}
        wrong = (matrix - np.diag(np.diag(matrix))) / matrix.sum(1, keepdims=True)
        assert [w["share"] for w in entry["worst"]] == sorted(wrong.ravel(), reverse=True)[:20]
        for w in entry["worst"]:
            i, j = truth[w["truth"]], truth[w["predicted"]]
            assert i != j
            assert w["rows"] == matrix[i, j]
            assert w["share"] == matrix[i, j] / matrix[i].sum()


def test_reliability_accounts_for_every_row():
    stored, dataset, *rest = compared(2, 2000)
    for entry in views(stored, dataset, *rest)["reliability"]:
        k = list(dataset.target.counts.classes).index(entry["class"])
        p = stored[entry["model"], entry["strategy"]].proba[:, :, k]
        rows, predicted, observed = (np.array(entry[key]) for key in ("rows", "predicted", "observed"))
        assert rows.sum() == pytest.approx(2000, abs=0.5)
        assert (rows * predicted).sum() / rows.sum() == pytest.approx(p.mean(), abs=1e-3)
        assert (rows * observed).sum() / rows.sum() == pytest.approx((dataset.target.y == k).mean(), abs=1e-3)
        assert (np.diff(predicted) > 0).all()
        assert (np.array(entry["ci_low"]) <= observed + 1e-5).all()
        assert (observed <= np.array(entry["ci_high"]) + 1e-5).all()


def test_reliability_of_true_probabilities_is_on_the_diagonal():
    stored, dataset, *rest = compared(2, 4000, repeats=1, models=("linear",))
    rng = np.random.default_rng(1)
    k = dataset.target.positive
    p = rng.beta(0.3, 2.0, 4000)
    dataset.target.y[:] = np.where(rng.random(4000) < p, k, 1 - k)
    stored["linear", "none"].proba = np.stack([p, 1 - p] if k == 0 else [1 - p, p], -1)[None]
    entry = views(stored, dataset, *rest)["reliability"][0]
    inside = (np.array(entry["ci_low"]) <= entry["predicted"]) & (entry["predicted"] <= np.array(entry["ci_high"]))
    assert len(inside) == 8
    assert inside.sum() >= 7


def test_wilson_s_interval_is_the_published_one():
    """Newcombe, Statistics in Medicine 17, 1998, table I: 81 of 263 and 0 of 20."""
    from steelyard.comparison.views import _wilson

    low, high = _wilson(np.array([81 / 263, 0.0]), np.array([263.0, 20.0]))
    np.testing.assert_allclose(low, [0.2553, 0.0], atol=5e-5)
    np.testing.assert_allclose(high, [0.3662, 0.1611], atol=5e-5)


def test_probabilities_that_are_all_zero_have_one_bin():
    stored, dataset, *rest = compared(2, 100, models=("linear",))
    for scored in stored.values():
        scored.proba[:, :, dataset.target.positive] = 0.0
        scored.proba[:, :, 1 - dataset.target.positive] = 1.0
    entry = views(stored, dataset, *rest)["reliability"][0]
    assert entry["predicted"] == [0.0]
    assert entry["rows"] == [100.0]


def test_the_views_are_json_and_small():
    for n_classes in (2, 5, 30):
        text = as_text(plain(views(*compared(n_classes, 3000, models=("linear", "mlp", "lightgbm")))))
        assert len(text) < 260_000, n_classes


def test_labels_that_were_not_tuned_have_no_tuned_matrix():
    given = compared(2)
    for scored in given[0].values():
        scored.tuned = None
    assert {e["decision"] for e in views(*given)["confusion"]} == {"default"}
