import numpy as np
import pytest

from steelyard.report.classes import per_class


def test_shares_and_counts_are_those_of_the_confusion_matrix(many):
    found = per_class(many, ["mlp", "linear"])
    labels, repeats = many["dataset"]["classes"], many["views"]["repeats"]
    for group in found["groups"]:
        for table in group["tables"]:
            at = (group["model"], table["strategy"], {"own": "default"}.get(table["decision"], "tuned"))
            matrix = np.array(next(e["matrix"] for e in many["views"]["confusion"]
                                   if (e["model"], e["strategy"], e["decision"]) == at))  # fmt: skip
            counts = [row["cells"][0]["value"] for row in table["rows"]]
            assert counts == sorted(counts)
            for row in table["rows"]:
                k = labels.index(row["label"])
                recall, precision, f1 = (c["value"] for c in row["cells"][1:])
                assert recall == pytest.approx(matrix[k, k] / matrix[k].sum(), abs=1e-6)
                assert precision == pytest.approx(matrix[k, k] / max(matrix[:, k].sum(), 1), abs=1e-6)
                assert f1 == pytest.approx(2 * recall * precision / (recall + precision), abs=1e-5)
                assert row["cells"][1]["of"].split(" of ")[1] == f"{matrix[k].sum() / repeats:,.0f}"


def test_a_label_that_is_never_given_has_no_precision(many):
    content = {**many, "views": {**many["views"], "classes": [dict(e) for e in many["views"]["classes"]]}}
    for entry in content["views"]["classes"]:
        entry["found"], entry["labelled"] = [0] * 7, [0] * 6 + [entry["labelled"][6]]
    rows = per_class(content, ["mlp"])["groups"][0]["tables"][0]["rows"]
    assert [r["cells"][2]["text"] for r in rows].count("–") == 6
    assert {r["cells"][3]["text"] for r in rows} == {"0.000"}


def test_none_and_the_winner_are_shown_and_older_results_have_no_table(many):
    best = many["best"]
    (group,) = per_class(many, [best["model"]])["groups"]
    assert list(dict.fromkeys(t["strategy"] for t in group["tables"])) == list(
        dict.fromkeys([best["strategy"], "none"])
    )
    assert per_class({**many, "views": {}}, ["mlp"]) is None
