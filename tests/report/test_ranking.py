from itertools import pairwise

from steelyard.report.content import metric_called
from steelyard.report.ranking import findings, ranking

MODELS = ["lightgbm", "mlp", "linear"]


def test_all_models_stand_on_one_axis(large):
    chart = ranking(large, metric_called("balanced_accuracy", large), MODELS)
    assert chart["headings"] == ["each strategy's own decision", "decision tuned inside the training folds"]
    means = {
        (r["model"], r["strategy"]): r["mean"]
        for r in large["summary"]
        if (r["metric"], r["decision"]) == ("balanced_accuracy", "default")
    }
    seen = {
        (g["model"], row["strategy"]): row["cells"][0]["mark"]["middle"] for g in chart["groups"] for row in g["rows"]
    }
    assert seen.keys() == means.keys()
    ordered = sorted(seen, key=seen.get)
    assert all(means[a] <= means[b] + 1e-3 for a, b in pairwise(ordered))


def test_the_dashed_line_of_a_model_is_its_own_none(large):
    chart = ranking(large, metric_called("average_precision", large), MODELS)
    for group in chart["groups"]:
        none = next(row for row in group["rows"] if row["strategy"] == "none")
        assert group["baseline"] == [none["cells"][0]["mark"]["middle"]]
    assert len({group["baseline"][0] for group in chart["groups"]}) == 3


def test_the_overview_has_none_and_the_best_of_either_decision(large):
    for group in ranking(large, metric_called("balanced_accuracy", large), MODELS)["groups"]:
        names = [row["strategy"] for row in group["overview"]]
        for place in (0, 1):
            best = max(group["rows"], key=lambda row, at=place: float(row["cells"][at]["mean"]))
            shown = [float(row["cells"][place]["mean"]) for row in group["overview"]]
            assert max(shown) == float(best["cells"][place]["mean"])
        assert names[0] == "none"
        assert 2 <= len(names) <= 3


def test_one_model_needs_no_overview(two):
    content = two.to_dict()
    assert not ranking(content, metric_called("average_precision", content), ["linear"])["overview"]


def test_a_sentence_that_holds_for_every_model_stands_once(large):
    said = findings(large, metric_called("balanced_accuracy", large), MODELS)
    assert len({finding["sentence"] for finding in said}) == len(said)
    assert "Every model" in {finding["models"] for finding in said}
    for row in large["summary"]:
        if row["metric"] == "roc_auc" and row["verdict"] != "baseline":
            assert row["verdict"] in ("helps", "harms", "no detectable difference")
    alone = findings(large, metric_called("balanced_accuracy", large), ["mlp"])
    assert {finding["models"] for finding in alone} == {""}
