from steelyard.report.words import headline, tally


def rows(**verdicts):
    return [{"strategy": "none", "verdict": "baseline"}] + [
        {"strategy": name, "verdict": verdict.replace("same", "no detectable difference")}
        for name, verdict in verdicts.items()
    ]


def test_a_threshold_that_explains_everything_is_named():
    said = headline(rows(a="helps", b="helps"), rows(a="same", b="same"), "f1_macro", "label")
    assert said == [
        "By f1_macro, each strategy deciding in its own way, a and b help.",
        "Once every strategy's decision is tuned, plain training included, no strategy differs detectably from "
        "plain training.",
        "What helped was the moved decision: tuning that of the plain model does as well, as far as these rows can "
        "tell, without changing how it is trained.",
    ]


def test_a_strategy_that_helps_either_way_is_not_explained_away():
    said = headline(rows(a="helps"), rows(a="helps"), "f1_macro", "label")
    assert len(said) == 2
    assert said[1].endswith("a helps.")


def test_harm_is_said():
    assert headline(rows(a="harms"), [], "roc_auc", "ranking") == ["By roc_auc, a harms."]


def test_the_baseline_alone_says_nothing():
    assert headline(rows(), rows(), "f1_macro", "label") == []


def test_many_names_are_counted_and_the_strongest_named():
    many = rows(**dict.fromkeys("abcdefgh", "helps"), i="same")
    for k, row in enumerate(many[1:]):
        row["difference"] = 0.01 * k
    (said,) = headline(many, [], "roc_auc", "ranking")
    assert said == "By roc_auc, 8 of 9 strategies help, most of all h, g and f."
    (said,) = headline(many[:-1], [], "roc_auc", "ranking")
    assert said == "By roc_auc, all 8 strategies help, most of all h, g and f."


def test_of_many_that_only_move_the_threshold_the_largest_gains_are_named():
    moved = [
        {"strategy": s, "verdict": "no detectable difference", "only_threshold": True, "difference": d}
        for s, d in zip("abcdefgh", (0.1, 0.2, 0.3, 0.8, 0.7, 0.6, 0.1, 0.1), strict=True)
    ]
    (said,) = headline(moved, [], "f1_macro", "label")
    assert "all 8 strategies gain, most of all d, e and f, over plain training at its own threshold" in said


def test_verdicts_are_counted():
    assert tally(rows(a="helps", b="helps", c="harms")) == "2 help, 1 harms"
    assert tally(rows()) == ""
    moved = [{"verdict": "no detectable difference", "only_threshold": True}]
    assert tally(moved) == "1 moves the threshold only"
    assert tally([*moved, *moved, *rows(b="no detectable difference")]) == (
        "2 move the threshold only, 1 no detectable difference"
    )
