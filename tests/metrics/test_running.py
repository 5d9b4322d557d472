"""A running confusion matrix against scikit-learn's on all rows at once."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import confusion_matrix, recall_score

from steelyard.errors import InputError
from steelyard.metrics.running import RunningConfusion

RNG = np.random.default_rng(0)
Y, LABELS, S = RNG.integers(0, 3, 60), RNG.integers(0, 3, 60), RNG.random(60)


def test_batches_add_up_to_all_rows() -> None:
    seen = RunningConfusion(3, decay=1.0)
    for part in (slice(0, 0), slice(0, 25), slice(25, 60)):
        seen.update_labels(Y[part], LABELS[part], S[part])
    np.testing.assert_allclose(seen.matrix, confusion_matrix(Y, LABELS, sample_weight=S), rtol=1e-12)
    np.testing.assert_allclose(seen.recalls, recall_score(Y, LABELS, average=None, sample_weight=S), rtol=1e-12)


@given(st.integers(0, 60), st.sampled_from([0.0, 0.5, 0.99, 1.0]))
def test_ranks_merge(cut: int, decay: float) -> None:
    one, left, right = (RunningConfusion(3, decay) for _ in range(3))
    for _ in range(2):
        one.update_labels(Y, LABELS)
        left.update_labels(Y[:cut], LABELS[:cut])
        right.update_labels(Y[cut:], LABELS[cut:])
    np.testing.assert_allclose((left + right).matrix, one.matrix, rtol=1e-12)


def test_decay_is_a_geometric_sum() -> None:
    seen = RunningConfusion(2, decay=0.5)
    for k in range(3):
        seen.update(np.eye(2) * 2.0**k)
    np.testing.assert_array_equal(seen.matrix, np.eye(2) * (0.25 + 1.0 + 4.0))


def test_ignored_rows_and_pixels() -> None:
    seen = RunningConfusion(2)
    seen.update_labels(np.array([[0, -100], [1, 255]]), np.array([[1, 0], [1, 0]]))
    assert seen.matrix.tolist() == [[0.0, 1.0], [0.0, 1.0]]


def test_to_json_and_back() -> None:
    seen = RunningConfusion(3, 0.9)
    seen.update_labels(Y, LABELS)
    assert RunningConfusion.from_dict(json.loads(json.dumps(seen.to_dict()))) == seen
    assert repr(seen) == "RunningConfusion(n_classes=3, decay=0.9, rows=60)"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: RunningConfusion(1), "`n_classes` as an integer ≥ 2; got 1"),
        (lambda: RunningConfusion(2, 1.5), r"`decay` in \[0, 1\]; got 1.5"),
        (lambda: RunningConfusion(2).update(np.eye(3)), r"shape \(2, 2\), the true class in rows"),
        (lambda: RunningConfusion(2).update([[1, -1], [0, 2]]), "counts ≥ 0; got entries from -1 to 2"),
        (lambda: RunningConfusion(2).update_labels([0.0], [1]), "integer `targets` and `predicted`"),
        (lambda: RunningConfusion(2) + RunningConfusion(3), "n_classes=2 and decay=0 on both sides"),
    ],
)
def test_bad_input(make, message) -> None:
    with pytest.raises(InputError, match=message):
        make()
