import re

import numpy as np
import pytest

from steelyard.report.curves import HEIGHT, WIDTH, figures, x, y


def places(path):
    return np.array([[float(v) for v in pair.split()] for pair in re.split("[ML]", path)[1:]])


def test_lines_go_through_the_points_of_the_results(large):
    models = ["lightgbm", "mlp", "linear"]
    for group in figures(large, models)["groups"]:
        (figure,) = group["curves"]
        own = {c["strategy"]: c for c in large["views"]["curves"] if c["model"] == group["model"]}
        assert [line["strategy"] for line in figure["legend"]] == list(own)
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
    figure = figures(large, ["mlp"])["groups"][0]["curves"][0]
    assert figure["lines"][-1]["strategy"] == "none"
    assert [line["style"] for line in figure["legend"]] == list(range(len(figure["legend"])))
    assert figure["legend"][0]["strategy"] == "none"


def test_reliability_shows_none_and_the_best_with_their_intervals(large):
    (figure,) = figures(large, ["linear"])["groups"][0]["reliability"]
    assert len(figure["legend"]) == 2
    stored = next(e for e in large["views"]["reliability"] if (e["model"], e["strategy"]) == ("linear", "none"))
    points = figure["legend"][0]["points"]
    assert [p["x"] for p in points] == [x(v) for v in stored["predicted"]]
    assert [p["y"] for p in points] == [y(v) for v in stored["observed"]]
    assert all(p["high"] <= p["y"] <= p["low"] for p in points)  # the axis points up, SVG down


def test_the_rarest_classes_are_viewed_against_the_rest(many):
    found = figures(many, ["mlp", "linear"])
    labels = [f["label"] for f in found["groups"][0]["curves"]]
    counts = dict(zip(many["dataset"]["classes"], many["dataset"]["counts"], strict=True))
    assert sorted(counts.values())[:3] == sorted(counts[label] for label in labels)
    assert found["several"]
    assert found["cut"]


def test_a_description_says_in_words_what_a_figure_shows(large):
    figure = figures(large, ["mlp"])["groups"][0]["curves"][0]
    assert re.fullmatch(
        r"Average precision: none 0\.\d{3}, .* and \w+ 0\.\d{3}\. A random order has a precision of 0\.\d{3}, "
        r"whatever its recall\.",
        figure["description"],
    )


def test_nothing_is_drawn_without_views():
    assert figures({}, ["mlp"]) is None
