import re

import numpy as np
import pytest

from steelyard.report.curves import HEIGHT, WIDTH, figures, x, y


def places(path):
    return np.array([[float(v) for v in pair.split()] for pair in re.split("[ML]", path)[1:]])


def of_kind(found, kind, place=0):
    return [f for f in found["groups"][place]["figures"] if f["kind"] == kind]


def test_lines_go_through_the_points_of_the_results(large):
    models = ["lightgbm", "mlp", "linear"]
    for group in figures(large, models)["groups"]:
        figure = next(f for f in group["figures"] if f["kind"] == "precision")
        own = {c["strategy"]: c for c in large["views"]["curves"] if c["model"] == group["model"]}
        assert sorted(line["strategy"] for line in figure["legend"]) == sorted(own)
        for line in figure["lines"]:
            stored = own[line["strategy"]]
            drawn = places(line["path"])
            assert drawn[:, 0] == pytest.approx([x(r) for r in stored["recall"]])
            assert drawn[:, 1] == pytest.approx([y(p) for p in stored["precision"]])
            assert ((drawn >= 0) & (drawn <= [WIDTH, HEIGHT])).all()
            assert line["value"] == f"{stored['average_precision']:.3f}"
        share = large["dataset"]["counts"][0] / sum(large["dataset"]["counts"])
        assert figure["share"] == {"y": y(share), "text": f"{share:.3f}"}


def test_the_baseline_keeps_its_style_and_is_drawn_over_the_others(large):
    figure = of_kind(figures(large, ["mlp"]), "precision")[0]
    assert figure["lines"][-1]["strategy"] == "none"
    assert [line["style"] for line in figure["legend"]] == list(range(len(figure["legend"])))
    assert figure["legend"][0]["strategy"] == "none"


def test_reliability_shows_none_and_the_best_with_their_intervals(large):
    (figure,) = of_kind(figures(large, ["linear"]), "reliability")
    assert len(figure["legend"]) == 2
    stored = next(e for e in large["views"]["reliability"] if (e["model"], e["strategy"]) == ("linear", "none"))
    points = figure["legend"][0]["points"]
    assert [p["x"] for p in points] == [x(v) for v in stored["predicted"]]
    assert [p["y"] for p in points] == [y(v) for v in stored["observed"]]
    assert all(p["high"] <= p["y"] <= p["low"] for p in points)  # the axis points up, SVG down


def test_the_rarest_classes_are_viewed_against_the_rest(many):
    found = figures(many, ["mlp", "linear"])
    labels = [f["label"] for f in of_kind(found, "precision")]
    counts = dict(zip(many["dataset"]["classes"], many["dataset"]["counts"], strict=True))
    assert sorted(counts.values())[:3] == sorted(counts[label] for label in labels)
    assert found["several"]
    assert found["cut"]


def test_a_description_says_in_words_what_a_figure_shows(large):
    figure = of_kind(figures(large, ["mlp"]), "precision")[0]
    assert re.fullmatch(
        r"Average precision: none 0\.\d{3}, .* and \w+ 0\.\d{3}\. A random order has a precision of 0\.\d{3}, "
        r"whatever its recall\.",
        figure["description"],
    )


def test_nothing_is_drawn_without_views():
    assert figures({}, ["mlp"]) is None


def test_the_roc_curve_is_that_of_the_stored_counts_and_its_area_is_said(large):
    (figure,) = of_kind(figures(large, ["mlp"]), "roc")
    for line in figure["lines"]:
        at = ("mlp", line["strategy"])
        stored = next(e for e in large["views"]["thresholds"] if (e["model"], e["strategy"]) == at)
        drawn = places(line["path"])
        assert drawn[:, 0] == pytest.approx([x(n / stored["negatives"]) for n in stored["false_alarms"]])
        assert drawn[:, 1] == pytest.approx([y(n / stored["positives"]) for n in stored["found"]])
        area = np.trapezoid(np.array(stored["found"]) / stored["positives"],
                            np.array(stored["false_alarms"]) / stored["negatives"])  # fmt: skip
        assert float(line["value"]) == pytest.approx(area, abs=2e-3)  # thinning takes a little off


def test_bands_are_drawn_where_they_were_measured(large):
    for kind, low, high in (("precision", "precision_low", "precision_high"), ("roc", "recall_low", "recall_high")):
        (figure,) = of_kind(figures(large, ["mlp"]), kind)
        assert figure["banded"]
        line = next(one for one in figure["lines"] if one["strategy"] == "none")
        entry = next(e for e in large["views"]["curves"] if (e["model"], e["strategy"]) == ("mlp", "none"))
        outline = places(line["band"].rstrip("Z"))
        n = len(entry["band"][low])
        assert len(outline) == 2 * n
        assert outline[:n, 1] == pytest.approx([y(v) for v in entry["band"][high]])
        assert outline[n:, 1] == pytest.approx([y(v) for v in entry["band"][low][::-1]])


def test_the_baseline_and_the_winner_are_shown_first_and_the_others_on_demand(large):
    best = large["best"]
    for figure in figures(large, [best["model"]])["groups"][0]["figures"]:
        names = [line["strategy"] for line in figure["legend"]]
        assert names[0] == "none"
        assert best["strategy"] in (names[1], "none", "prior_threshold")
        assert [line["on"] for line in figure["legend"]] == [True, True, False, False][: len(names)]


def test_older_results_have_neither_bands_nor_roc_curves(large):
    views = {k: v for k, v in large["views"].items() if k != "thresholds"}
    views["curves"] = [{k: v for k, v in c.items() if k != "band"} for c in views["curves"]]
    views["reliability"] = [{k: v for k, v in c.items() if "fold" not in k} for c in views["reliability"]]
    found = figures(large | {"views": views}, ["mlp"])
    assert {f["kind"] for f in found["groups"][0]["figures"]} == {"precision", "reliability"}
    assert not any(f["banded"] for f in found["groups"][0]["figures"])
