from __future__ import annotations

from decimal import Decimal, localcontext
from inspect import Parameter

import numpy as np
import pytest

import steelyard as sy
from steelyard.errors import InputError
from steelyard.weights import InvertedWeightsWarning
from steelyard.weights.schemes import SCHEMES, table

COUNTS = sy.ClassCounts.from_counts({"A": 198, "B": 436, "C": 710, "D": 272})  # N = 1616
LONG_TAIL = sy.ClassCounts.from_counts([5000, 500, 50, 5])


def close(actual, expected, rtol=1e-14):
    np.testing.assert_allclose(actual, expected, rtol=rtol, atol=0)
    assert actual.dtype == np.float64


def test_the_worked_example_balanced():
    # 1616 / (4 · 198), ...
    expected = [2.0404040404040404, 0.9266055045871560, 0.5690140845070423, 1.4852941176470588]
    close(sy.class_weight("balanced", COUNTS), expected)


def test_the_worked_example_log_inverse():
    # ln(1616 / 198) + 1, ...: to 30 digits by decimal arithmetic
    expected = [3.099442208386505, 2.310066995732007, 1.822444269045680, 2.781907172785043]
    close(sy.class_weight("log_inverse", COUNTS), expected, rtol=1e-15)


def test_the_worked_example_half_inverse():
    # N / (2 n): the two-class formula applied to four classes is twice balanced, half of inverse
    by_hand = [4.0808080808080808, 1.8532110091743119, 1.1380281690140845, 2.9705882352941178]
    close(sy.class_weight("inverse", COUNTS) / 2, by_hand)
    close(sy.class_weight("balanced", COUNTS) * 2, by_hand)
    close(
        sy.class_weight("inverse", COUNTS, normalize="n_classes"),
        sy.class_weight("balanced", COUNTS, normalize="n_classes"),
    )


def test_balanced_agrees_with_scikit_learn():
    class_weight = pytest.importorskip("sklearn.utils.class_weight")
    rng = np.random.default_rng(0)
    for y in (rng.integers(-2, 9, 1000), rng.choice(["b", "a", "c"], 100, p=[0.1, 0.2, 0.7])):
        counts = sy.ClassCounts.from_labels(y)
        weights = sy.class_weight("balanced", counts)
        close(weights, class_weight.compute_class_weight("balanced", classes=np.unique(y), y=y))
        close(weights[counts.encode(y)], class_weight.compute_sample_weight("balanced", y))
        s = rng.random(y.size)
        weighted = sy.ClassCounts.from_labels(y, sample_weight=s)
        theirs = class_weight.compute_class_weight("balanced", classes=np.unique(y), y=y, sample_weight=s)
        close(sy.class_weight("balanced", weighted), theirs, rtol=1e-12)


def test_balanced_with_an_absent_class_agrees_with_scikit_learn_on_the_present_ones():
    class_weight = pytest.importorskip("sklearn.utils.class_weight")
    y = np.array([0, 0, 0, 2, 2, 3])
    counts = sy.ClassCounts.from_labels(y, classes=range(4))
    weights = sy.class_weight("balanced", counts)
    close(weights[[0, 2, 3]], class_weight.compute_class_weight("balanced", classes=np.unique(y), y=y))
    assert weights[1] == weights[3]
    assert counts.counts @ weights == pytest.approx(6)


def test_power():
    close(sy.class_weight("power", [4, 100], alpha=0.5), [0.5, 0.1])
    close(sy.class_weight("power", [4, 100], alpha=1), [0.25, 0.01])
    close(sy.class_weight("power", [4, 100], alpha=0.0), [1, 1])
    close(sy.class_weight("inverse_sqrt", [4, 100]), [0.5, 0.1])


def test_enet():
    # 1/ln(1.02 + 1/2) and 1/ln(1.02 + 1/4)
    close(sy.class_weight("enet", [2, 1, 1]), [2.388285926447683, 4.183804567926035, 4.183804567926035])
    close(sy.class_weight("enet", [3, 1], c=1.25), [1 / np.log(2), 1 / np.log(1.5)])


def test_median_frequency_from_tiny_masks():
    # image 0: classes 0 (3 pixels), 1 (1); image 1: class 0 (2), 2 (2); image 2: class 0 (4)
    masks = np.array([[[0, 0], [0, 1]], [[0, 2], [2, 0]], [[0, 0], [0, 0]]])
    counts = sy.ClassCounts.from_labels(masks, classes=range(4))
    # f = 9/12, 1/4, 2/4; median 1/2; the absent class is treated like class 1, the rarest
    close(sy.class_weight("median_frequency", counts), [2 / 3, 2, 1, 2])
    # without images f is the share: 2/8, 6/8 with median 1/2
    close(sy.class_weight("median_frequency", [2, 6]), [2, 2 / 3])


def test_effective_number_by_hand():
    # Cui, proposition 1: β = 0.9 has E_1 = 1, E_2 = 1.9, E_3 = 2.71; β = 0 and β → 1 are none and inverse
    close(sy.class_weight("effective_number", [1, 2, 3], beta=0.9), [1, 1 / 1.9, 1 / 2.71])
    close(sy.class_weight("effective_number", [1, 2, 3], beta=0.0), [1, 1, 1])
    close(sy.class_weight("effective_number", LONG_TAIL, beta=1 - 1e-15), 1 / LONG_TAIL.counts, rtol=1e-11)
    # long-tailed CIFAR-10 of ratio 100 has 5000 rows in its largest class: E = (1 − 0.999^5000)/0.001
    close(sy.class_weight("effective_number", [5000, 50], beta=0.999)[:1], [1 / 993.2788880401343], rtol=1e-9)


@pytest.mark.parametrize("beta", [1e-3, 0.3, 0.9, 0.9999, 1 - 1e-9, 1 - 2**-53, 5e-324])
def test_effective_number_is_exact(beta):
    n = np.array([1e-12, 0.37, 1, 1.5, 7, 1e4, 1e9, 1e15])
    with localcontext() as context:
        context.prec = 60
        b = Decimal(beta)
        exact = [float((1 - b) / (1 - (Decimal(float(k)) * b.ln()).exp())) for k in n]
    close(sy.class_weight("effective_number", n, beta=beta), exact, rtol=2e-15)


def test_pos_weight():
    close(sy.class_weight("pos_weight", [90, 10]), [1 / 9, 9])
    indicators = sy.ClassCounts.from_indicators([[1, 0, 0], [1, 1, 0], [1, 0, 0], [0, 0, 0]])
    close(sy.class_weight("pos_weight", indicators), [1 / 3, 3, 3])  # the absent label like the rarest


def test_per_batch_is_the_beta_of_hed():
    # 3 edge pixels of 12: β = |Y⁻|/|Y| = 0.75 on the edges, 1 − β on the rest
    close(sy.class_weight("per_batch", [9, 3]), [0.25, 0.75])


def test_recall_driven_and_difficulty():
    counts = sy.ClassCounts.from_counts({"a": 9, "b": 3, "c": 0})
    close(sy.class_weight("recall_driven", counts, recall=[0.9, 0.25, 0.5]), [0.1, 0.75, 0.5], rtol=1e-14)
    # recall of a class without rows is undefined: that of the rarest present class
    close(sy.class_weight("recall_driven", counts, recall={"b": 0.25, "a": 1, "c": np.nan}), [0, 0.75, 0.75])
    close(sy.class_weight("difficulty", counts, accuracy=[0.5, 0.75, 1], tau=2), [0.25, 0.0625, 0])
    close(sy.class_weight("difficulty", counts, accuracy=[0.5, 0.75, 1]), [0.5, 0.25, 0])


def test_cost_row_sums():
    costs = [[0, 1, 2], [5, 0, 0], [1, 1, 0]]
    close(sy.class_weight("cost_row_sums", [1, 2, 3], cost_matrix=costs), [3, 5, 2])
    # Ting, equation 2: w_j = C_j N / Σ C_i N_i
    by_ting = np.array([3, 5, 2]) * 6 / (3 * 1 + 5 * 2 + 2 * 3)
    close(sy.class_weight("cost_row_sums", [1, 2, 3], normalize="priors", cost_matrix=costs), by_ting)


def test_the_inversion_is_warned_of():
    with pytest.warns(InvertedWeightsWarning, match="mutes the rare ones") as caught:
        weights = sy.class_weight("proportional", [90, 10])
    close(weights, [0.9, 0.1])
    assert caught[0].filename == __file__
    with pytest.warns(InvertedWeightsWarning, match="proportional to the class counts") as caught:
        sy.class_weight([0.9, 0.1], [90, 10])
    assert caught[0].filename == __file__
    with pytest.warns(InvertedWeightsWarning, match="alpha=-1"):
        sy.class_weight("power", [90, 10], alpha=-1)
    sy.class_weight([0.5, 0.5], [50, 50])  # equal counts are no inversion


@pytest.mark.filterwarnings("ignore::steelyard.weights.InvertedWeightsWarning")
def test_absent_classes_weigh_like_the_rarest_present_one_in_every_scheme():
    options = {
        "recall_driven": {"recall": [0.9, np.nan, 0.3]},
        "difficulty": {"accuracy": [0.9, np.nan, 0.3]},
        "cost_row_sums": {"cost_matrix": [[0, 1, 1], [2, 0, 2], [2, 2, 0]]},
    }
    with_absent, without = sy.ClassCounts.from_counts([70, 0, 30]), sy.ClassCounts.from_counts([70, 30])
    for name in sy.class_weight_names():
        weights = sy.class_weight(name, with_absent, **options.get(name, {}))
        assert np.isfinite(weights).all()
        assert weights[1] == weights[2], name
        if name not in options:
            close(weights[[0, 2]], sy.class_weight(name, without), rtol=1e-15)


def test_normalisations():
    w = sy.class_weight("inverse", COUNTS)
    close(sy.class_weight("inverse", COUNTS, normalize="n_classes").sum(keepdims=True), [4])
    close(sy.class_weight("inverse", COUNTS, normalize="sum").sum(keepdims=True), [1])
    close(COUNTS.priors @ sy.class_weight("inverse", COUNTS, normalize="priors")[:, None], [1])
    close(sy.class_weight("inverse", COUNTS, normalize="max"), w / w[0])
    close(sy.class_weight("inverse", COUNTS, normalize=None), 1616 / COUNTS.counts)
    # sums run over present classes
    absent = sy.ClassCounts.from_counts([30, 10, 0])
    close(sy.class_weight("inverse", absent, normalize="n_classes"), [0.5, 1.5, 1.5])
    close(sy.class_weight("inverse", absent, normalize="sum"), [0.25, 0.75, 0.75])
    close(sy.class_weight([1, 3, 7], absent, normalize="max"), [1 / 3, 1, 7 / 3])
    indicators = sy.ClassCounts.from_indicators([[1, 1], [1, 0], [1, 0], [0, 0]])
    weights = sy.class_weight("inverse", indicators, normalize="priors")
    assert indicators.counts @ weights / 4 == pytest.approx(1)  # the mean weight of a positive


def test_own_weights_are_ordered():
    pd = pytest.importorskip("pandas")
    own = {"D": 4, "A": 1, "C": 3, "B": 2.5}
    close(sy.class_weight(own, COUNTS), [1, 2.5, 3, 4])
    close(sy.class_weight(pd.Series(own), COUNTS), [1, 2.5, 3, 4])
    close(sy.class_weight([1, 2, 3, 4], COUNTS, normalize="sum"), [0.1, 0.2, 0.3, 0.4])
    close(sy.class_weight(None, COUNTS), [1, 1, 1, 1])
    close(sy.class_weight("none", COUNTS), [1, 1, 1, 1])
    close(sy.class_weight("balanced", {"a": 3, "b": 1}), [2 / 3, 2])


def test_the_table_lists_every_scheme():
    rows = table()
    assert [row["name"] for row in rows] == sy.class_weight_names() == list(SCHEMES)
    for row in rows:
        assert row["formula"]
        assert row["note"]
        assert row["source"] or row["name"] in ("none", "proportional")
    assert SCHEMES["difficulty"].options == {"accuracy": Parameter.empty, "tau": 1.0}


BAD = {
    "scheme": (lambda: sy.class_weight("balance", COUNTS), "did you mean 'balanced'"),
    "normalize": (lambda: sy.class_weight("balanced", COUNTS, normalize="prior"), "did you mean 'priors'"),
    "option": (lambda: sy.class_weight("effective_number", COUNTS, bta=0.9), "`beta`.*got `bta`.*'beta'"),
    "no options": (lambda: sy.class_weight("balanced", COUNTS, beta=0.9), "no options .* 'balanced'; got `beta`"),
    "own options": (lambda: sy.class_weight([1, 1, 1, 1], COUNTS, beta=0.9), "no options"),
    "option type": (lambda: sy.class_weight("power", COUNTS, alpha="x"), "`alpha` as a number; got 'x'"),
    "option missing": (lambda: sy.class_weight("recall_driven", COUNTS), r"pass recall=\.\.\."),
    "beta": (lambda: sy.class_weight("effective_number", COUNTS, beta=1.0), r"\[0, 1\).*alpha=1"),
    "alpha": (lambda: sy.class_weight("power", COUNTS, alpha=np.inf), "finite `alpha`"),
    "c": (lambda: sy.class_weight("enet", COUNTS, c=0.9), "c=1.02"),
    "tau": (lambda: sy.class_weight("difficulty", [1, 1], accuracy=[0, 1], tau=-1), "`tau` ≥ 0"),
    "recall": (lambda: sy.class_weight("recall_driven", [1, 1], recall=[0, 95]), r"\[0, 1\]; got 95.0 for 1"),
    "recall nan": (lambda: sy.class_weight("recall_driven", [1, 1], recall=[0, np.nan]), "nan for 1"),
    "costs shape": (lambda: sy.class_weight("cost_row_sums", [1, 1], cost_matrix=[[0, 1]]), r"shape \(2, 2\)"),
    "costs sign": (
        lambda: sy.class_weight("cost_row_sums", {"a": 1, "b": 1}, cost_matrix=[[0, 1], [1, -2]]),
        "-2.0 for predicting 'b', truth 'b'.*shift the row",
    ),
    "costs text": (lambda: sy.class_weight("cost_row_sums", [1], cost_matrix=[["x"]]), "as numbers"),
    "own sign": (lambda: sy.class_weight([1, -1, 1, 1], COUNTS), "-1.0 for 'B'"),
    "own shape": (lambda: sy.class_weight([1, 1], COUNTS), r"shape \(4,\).*shape \(2,\)"),
    "own text": (lambda: sy.class_weight(["a"] * 4, COUNTS), "as numbers"),
    "own index": (lambda: sy.class_weight({0: 1, 1: 2, 2: 3, 3: 4}, COUNTS), "0 as a key.*labels, not indices"),
    "own misspelt": (
        lambda: sy.class_weight({"cat": 1, "dgo": 2}, {"cat": 1, "dog": 1}),
        "'dgo' as a key.*did you mean 'dog'",
    ),
    "own missing": (lambda: sy.class_weight({"A": 1, "B": 2, "C": 3}, COUNTS), "none for 'D'"),
    "all zero": (lambda: sy.class_weight([0, 0, 0, 0], COUNTS, normalize="sum"), "normalised by 'sum'"),
    "no rows": (lambda: sy.class_weight("balanced", [0, 0]), "count above 0"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input(case):
    call, message = BAD[case]
    with pytest.raises(InputError, match=message):
        call()
