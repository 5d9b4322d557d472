import itertools
import math

import numpy as np
import pytest
from scipy import stats

import steelyard as sy
from steelyard.decisions.best_rules import best_rule
from steelyard.decisions.precision_floor import proven
from steelyard.decisions.thresholds import Cuts
from steelyard.errors import InputError
from steelyard.metrics import confusion, get
from tests.decisions.scored import three, two


def every_threshold(p, y):
    """Recall, precision, false alarms, alarm rate and F1 of every cut, counted row by row."""
    out = []
    for t in [*np.unique(p), 1.1]:
        flagged, sick = p >= t, y == "sick"
        hits = (flagged & sick).sum()
        out.append(
            {
                "missed": sick.sum() - hits,
                "false": (flagged & ~sick).sum(),
                "flagged": flagged.sum(),
                "precision": hits / flagged.sum() if flagged.any() else np.nan,
                "f1": 2 * hits / (flagged.sum() + sick.sum()),
            }
        )
    return out


def limit(n, share, confidence):
    """Rows that may be wrong, by SciPy's binomial."""
    if confidence is None:
        return math.floor(n * share + 1e-9)
    return max(m for m in range(-1, n) if stats.binom.cdf(m, n, share) <= 1 - confidence)


@pytest.mark.parametrize("confidence", [None, 0.9])
@pytest.mark.parametrize("metric", ["f1", "precision@recall>=0.8"])
@pytest.mark.parametrize("seed", range(3))
def test_two_classes_equal_a_search_over_all_thresholds(metric, confidence, seed):
    proba, y = two(400, 0.15, distance=2.5, seed=seed)
    n = (y == "sick").sum()
    more = ["false_alarms<=0.2"] if metric != "f1" else ["recall_sick>=0.8", "false_alarms<=0.2"]
    rule = sy.decisions.fit(proba, y, metric, constraints=more, confidence=confidence)
    each = None if confidence is None else 0.95
    missed, false = limit(n, 0.2, each), limit(len(y) - n, 0.2, each)
    allowed = [c for c in every_threshold(proba[:, 0], y) if c["missed"] <= missed and c["false"] <= false]
    aim = "f1" if metric == "f1" else "precision"
    labels = rule(proba)
    hits = ((labels == "sick") & (y == "sick")).sum()
    reached = 2 * hits / ((labels == "sick").sum() + n) if aim == "f1" else hits / (labels == "sick").sum()
    assert reached == pytest.approx(max(c[aim] for c in allowed))
    assert [p.most for p in rule.promises] == [missed, false]
    assert [p.broken for p in rule.promises] == [n - hits, (labels == "sick").sum() - hits]


def test_a_floor_holds_as_often_as_stated_and_the_plain_fit_about_half_of_the_time():
    """400 tables with 60 sick rows each; the recall of a threshold among N(1.5, 1) is known. Exact: ≥ 0.9."""

    def recall(t):
        score = math.log(t / (1 - t)) / 1.5 + 0.75 if 0 < t < 1 else (-math.inf if t <= 0 else math.inf)
        return 1 - stats.norm.cdf(score - 1.5)

    y = np.repeat([0, 1], [300, 60])
    metric = get("precision@recall>=0.8", ["no", "yes"])
    held = {0.9: 0, None: 0}
    for seed in range(400):
        x = np.random.default_rng(seed).normal(1.5 * y)
        p = 1 / (1 + np.exp(-1.5 * (x - 0.75)))
        for confidence in held:
            held[confidence] += (
                recall(best_rule(np.column_stack([1 - p, p]), y, metric, 1, confidence).threshold) >= 0.8
            )
    assert held[0.9] / 400 >= 0.87  # 0.9 less two standard errors
    assert 0.3 < held[None] / 400 < 0.6


def test_three_classes_keep_the_number_of_misses_and_come_close_to_a_grid_of_weights():
    proba, y = three(800)
    rule = sy.decisions.fit(proba, y, "f1_macro", constraints=["recall_2>=0.7"])
    rows = int((y == 2).sum())
    most = limit(rows, 0.3, 0.9)

    def missed_and_f1(labels):
        return ((y == 2) & (labels != 2)).sum(), confusion.f1_macro(confusion.confusion_matrix(y, labels, 3))

    missed, f1 = missed_and_f1(rule(proba))
    assert missed <= most == rule.promises[0].most
    grid = np.exp(np.linspace(0, 5, 30))
    found = [missed_and_f1((proba * [1.0, b, c]).argmax(1)) for b, c in itertools.product(grid, grid)]
    assert f1 >= max(value for lost, value in found if lost <= most) - 0.005


def test_a_precision_that_is_proven_has_the_lower_bound_that_it_says():
    proba, y = two(3000, 0.2)
    cuts = Cuts.of(proba[:, 0], y == "sick")
    sure = proven(cuts, 0.6, 0.9)
    flagged = cuts.found + cuts.false
    tried = [2**i for i in range(12)] + [3 * 2**i for i in range(10)]
    tried = [r for r in tried if math.ceil(math.log(0.1) / math.log(0.6)) <= r <= 3000]
    passing = {
        r
        for r in tried
        if stats.binomtest(int(cuts.found[flagged.searchsorted(r)]), r, alternative="greater").proportion_ci(
            1 - 0.1 / len(tried), method="exact"
        )[0]
        >= 0.6
    }
    assert set(flagged[sure]) == passing
    assert passing


def test_precision_floors_hold_on_new_rows():
    new, truth = two(200_000, 0.1, seed=10**6)
    held = 0
    for seed in range(60):
        proba, y = two(1500, 0.1, seed=seed)
        rule = sy.decisions.best_rule(proba[:, ::-1], y == "sick", get("recall@precision>=0.5", ["no", "yes"]), 1)
        given = rule(new[:, ::-1]) == 1
        held += (truth == "sick")[given].mean() >= 0.5 if given.any() else 1
    assert held / 60 >= 0.82  # 0.9 less two standard errors


def test_an_alarm_budget_is_never_exceeded():
    proba, y = two(500, 0.1)
    rule = sy.decisions.fit(proba, y, constraints=["alarms<=25"])
    assert (rule(proba) == "sick").sum() == 25
    assert set(np.flatnonzero(rule(proba) == "sick")) == set(np.argsort(-proba[:, 0])[:25])
    tied = np.column_stack([np.repeat([0.9, 0.5, 0.1], [20, 20, 20]), np.repeat([0.1, 0.5, 0.9], [20, 20, 20])])
    assert (rule(tied) == "sick").sum() == 20
    assert (rule(tied[:10]) == "sick").sum() == 10
    assert "kept in every batch" in str(rule)


@pytest.mark.parametrize(
    ("constraints", "more", "message"),
    [
        (["recall_sick>=0.95"], {}, r"at least 45 rows of 'sick'.*got 20.*confidence=0.64 is possible"),
        (["recall_sick>=1"], {}, "no number of rows proves a recall of 1"),
        (["recall_sick>=0.9", "alarm_rate<=0.001"], {"confidence": None}, "recall ≥ .* can be had beside the other"),
        (["recall_sick>=0.8", "false_alarms<=0.02"], {}, "recall ≥ .* can be promised beside the other"),
        (["precision_sick>=0.99"], {}, "precision of .* can be proven"),
        (["recall_sic>=0.9"], {}, "did you mean 'sick'"),
        (["recall_sick<=0.9"], {}, "'>='"),
        (["recall>=95"], {}, "write 0.95"),
        (["alarms<=2.5"], {}, "alarm_rate"),
        (["alarms<=5", "recall>=0.5"], {}, "by itself"),
        (["recal>=0.5"], {}, "did you mean 'recall'"),
        (["recall>=0.5", "recall_sick>=0.6"], {}, "a second time"),
        (["recall>=0.5"], {"sample_weight": np.ones(200)}, "confidence=None"),
        (["recall>=0.5"], {"confidence": 1.0}, r"`confidence` in \(0, 1\)"),
        (["recall>=0.5"], {"confidence": 95}, r"`confidence` in \(0, 1\)"),
    ],
)
def test_limits_that_cannot_be_kept_are_named(constraints, more, message):
    proba, _ = two(200, 0.1)
    y = np.where(np.arange(200) < 20, "sick", "well")
    with pytest.raises(InputError, match=message):
        sy.decisions.fit(proba, y, constraints=constraints, **more)


def test_inside_a_comparison_too_few_rows_keep_the_floor_on_average():
    proba, y = two(100, 0.1, seed=3)
    sick = y == "sick"
    assert sick.sum() < 45
    rule = best_rule(proba, ~sick, get("precision@recall>=0.95", ["sick", "well"], 0), 0)
    assert (rule(proba)[sick] == 0).mean() >= 0.95


def test_a_class_is_needed_among_several():
    proba, y = three(100)
    with pytest.raises(InputError, match="a class in 'recall>=0.5'"):
        sy.decisions.fit(proba, y, constraints=["recall>=0.5"])
