"""What must hold for any labels."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import steelyard as sy

labels = st.one_of(st.text(max_size=2), st.integers(-3, 3), st.booleans(), st.tuples(st.integers(0, 1)))
rows = st.lists(labels, min_size=1, max_size=40)
class_counts = st.dictionaries(st.text(max_size=2), st.integers(0, 1000), min_size=1, max_size=6).filter(
    lambda d: any(d.values())
)
schemes = st.sampled_from(["balanced", "inverse", "inverse_sqrt", "log_inverse", "enet", "effective_number"])


def as_dict(counts):
    return dict(zip(counts.classes, counts.counts.tolist(), strict=True))


@given(rows, st.randoms())
def test_order_of_rows_does_not_matter(y, random):
    shuffled = random.sample(y, len(y))
    assert as_dict(sy.ClassCounts.from_labels(shuffled)) == as_dict(sy.ClassCounts.from_labels(y)) == Counter(y)


@given(rows, st.integers(1, 7))
def test_batches_do_not_matter(y, size):
    batches = (y[i : i + size] for i in range(0, len(y), size))
    assert as_dict(sy.ClassCounts.from_batches(batches)) == Counter(y)


@given(rows, rows, rows)
def test_merging_is_associative_and_commutative(a, b, c):
    a, b, c = map(sy.ClassCounts.from_labels, (a, b, c))
    assert as_dict((a + b) + c) == as_dict(a + (b + c)) == as_dict(c + b + a)


@given(rows, st.integers(0, 9))
def test_appended_ignored_rows_change_nothing(y, n):
    expected = sy.ClassCounts.from_labels(y)
    assert sy.ClassCounts.from_labels([*y, *["ignored"] * n], ignore="ignored") == expected
    assert sy.ClassCounts.from_labels(y + ["x"] * n, mask=[1] * len(y) + [0] * n) == expected
    assert sy.ClassCounts.from_labels([*y, *[None] * n], ignore=[None]) == expected


@given(rows)
def test_encode_is_the_inverse_of_classes(y):
    counts = sy.ClassCounts.from_labels(y)
    assert [counts.classes[i] for i in counts.encode(y).tolist()] == y


@given(st.lists(st.integers(0, 5), min_size=1, max_size=30), st.data())
def test_weights_of_one_count_the_rows(y, data):
    s = data.draw(st.lists(st.integers(0, 5), min_size=len(y), max_size=len(y)))
    repeated = np.repeat(y, s)
    weighted = as_dict(sy.ClassCounts.from_labels(y, sample_weight=s))
    assert {k: v for k, v in weighted.items() if v} == Counter(repeated.tolist())


@given(schemes, class_counts, st.sampled_from(["n_classes", "sum", "priors", "max"]), st.floats(1e-3, 1e3))
def test_normalised_weights_do_not_depend_on_scale(scheme, counts, normalize, factor):
    w = sy.class_weight(scheme, counts)
    counts = sy.ClassCounts.from_counts(counts)
    # given by label, as weights of one's own that are proportional to the counts would be warned of
    own = dict(zip(counts.classes, (w * factor).tolist(), strict=True))
    normalized = sy.class_weight(scheme, counts, normalize=normalize)
    np.testing.assert_allclose(sy.class_weight(own, counts, normalize=normalize), normalized, rtol=1e-12)
    present = counts.present
    achieved = {
        "n_classes": normalized[present].mean(),
        "sum": normalized[present].sum(),
        "priors": counts.priors @ normalized,
        "max": normalized.max(),
    }
    assert achieved[normalize] == pytest.approx(1, rel=1e-12)


@given(schemes, class_counts, st.permutations(range(6)))
def test_weights_follow_their_classes(scheme, counts, order):
    straight = sy.ClassCounts.from_counts(counts)
    permuted = sy.ClassCounts.from_counts(counts, classes=[straight.classes[i] for i in order if i < len(straight)])
    by_label = dict(zip(straight.classes, sy.class_weight(scheme, straight).tolist(), strict=True))
    assert sy.class_weight(scheme, permuted).tolist() == pytest.approx([by_label[c] for c in permuted.classes])


@given(class_counts)
def test_balanced_keeps_the_total(counts):
    counts = sy.ClassCounts.from_counts(counts)
    assert counts.counts @ sy.class_weight("balanced", counts) == pytest.approx(counts.total, rel=1e-12)


@given(schemes, class_counts)
def test_rarer_classes_weigh_at_least_as_much(scheme, counts):
    counts = sy.ClassCounts.from_counts(counts)
    w = sy.class_weight(scheme, counts)[np.argsort(counts.filled)]
    assert (np.diff(w) <= 1e-12 * w[:-1]).all()
