import numpy as np

from steelyard.report import render
from steelyard.report.matrices import confusions
from tests.report.page import Page
from tests.report.synthetic import results


def test_the_matrices_of_none_and_of_the_best_are_open_and_the_next_ones_folded(large):
    shown = confusions(large, ["lightgbm", "mlp", "linear"])
    for group in shown["groups"]:
        first = [(m["strategy"], m["decision"]) for m in group["shown"][0]]
        assert first == [("none", "own"), ("none", "tuned")]
        assert len(group["shown"]) == 2  # the best of all is none
        named = {e["strategy"] for e in large["views"]["confusion"] if e["model"] == group["model"]}
        assert len(group["more"]) == len(named) - 2


def test_cells_are_rows_per_repeat_and_shares_of_the_true_class(large):
    """By hand from the stored sums: common class first, so the two classes change places."""
    entry = next(
        e for e in large["views"]["confusion"]
        if (e["model"], e["strategy"], e["decision"]) == ("mlp", "none", "default")
    )  # fmt: skip
    sums = np.array(entry["matrix"])[::-1, ::-1]
    drawn = next(g for g in confusions(large, ["mlp"])["groups"])["shown"][0][0]
    assert drawn["labels"] == ["well", "sick"]
    for i, row in enumerate(drawn["rows"]):
        for j, cell in enumerate(row["cells"]):
            rows = sums[i, j] / 3
            assert abs(float(cell["text"].replace(",", "")) - rows) <= (0.5 if rows >= 9.95 else 0.05)
            assert abs(float(cell["share"].split()[0]) - 100 * sums[i, j] / sums[i].sum()) <= 0.5
            assert cell["kind"] == ("right" if i == j else "wrong")
    precision = 100 * sums[1, 1] / sums[:, 1].sum()
    assert abs(float(drawn["precision"][1].split()[0]) - precision) <= 0.5


def test_a_class_that_is_never_predicted_has_no_precision():
    content = results(2, models=("linear",), strategies=("none",), rows=300, cv=3, repeats=1)
    for entry in content["views"]["confusion"]:
        entry["matrix"] = [[0, 18], [0, 282]]
    drawn = confusions(content, ["linear"])["groups"][0]["shown"][0][0]
    assert drawn["precision"] == ["94 %", "–"]
    assert drawn["rows"][1]["cells"][1] == {"text": "0", "share": "0 %", "depth": 0, "kind": "right"}


def test_more_classes_than_can_be_drawn_are_a_list():
    content = results(40, models=("linear",), strategies=("none", "balanced"), rows=1200, cv=3, repeats=1)
    drawn = confusions(content, ["linear"])
    assert drawn["listed"]
    assert drawn["size"] == "listed"
    page = Page(render(content))
    assert "is taken for" in page.words
    worst = content["views"]["confusion"][0]["worst"][0]
    assert f"{worst['truth']} {worst['predicted']} {worst['rows']}" in page.words


def test_the_size_of_a_cell_follows_the_number_of_classes(large, many):
    assert confusions(large, ["mlp"])["size"] == "small"
    assert confusions(many, ["mlp"])["size"] == "middle"
    assert confusions({"views": None}, ["mlp"]) is None


def test_the_matrices_of_the_best_of_all_are_open_too(large):
    content = large | {"best": large["best"] | {"model": "mlp", "strategy": "balanced"}}
    content["views"] = large["views"] | {
        "confusion": large["views"]["confusion"]
        + [e | {"strategy": "balanced"} for e in large["views"]["confusion"] if e["strategy"] == "none"]
    }
    for group in confusions(content, ["mlp", "linear"])["groups"]:
        shown = [pair[0]["strategy"] for pair in group["shown"]]
        assert ("balanced" in shown) == (group["model"] == "mlp")
