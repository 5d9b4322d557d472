"""Batches with equal shares of all classes."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from steelyard.sampling import stratified_batches


@given(
    st.lists(st.integers(0, 30), min_size=1, max_size=6).filter(any),
    st.integers(1, 7),
    st.integers(1, 9),
    st.integers(0, 2**32),
)
def test_shares_are_equal_and_no_row_comes_again_too_soon(
    counts: list[int], n_batches: int, batch_size: int, seed: int
) -> None:
    y = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(counts)), counts))
    rows = stratified_batches(y, n_batches, batch_size, np.random.default_rng(seed))
    assert rows.shape == (n_batches, batch_size)
    present = np.flatnonzero(counts)
    for batch in [*rows, rows]:  # in each batch, and over all of them
        drawn = np.bincount(y[batch].reshape(-1), minlength=len(counts))[present]
        assert drawn.sum() == np.size(batch)
        assert np.ptp(drawn) <= 1
    for c in present:
        often = np.bincount(rows[y[rows] == c], minlength=len(y))[y == c]
        assert np.ptp(often) <= 1  # all rows of a class before one comes again


def test_every_row_is_as_likely_as_another_of_its_class() -> None:
    y = np.array([0] * 40 + [1] * 4)
    generator = np.random.default_rng(0)
    often = sum(np.bincount(stratified_batches(y, 1, 8, generator).reshape(-1), minlength=44) for _ in range(2000))
    # 4 of 40 rows, and all 4 of 4; five standard errors of 2000 draws
    assert (often[40:] == 2000).all()
    assert np.abs(often[:40] / 2000 - 0.1).max() < 5 * np.sqrt(0.1 * 0.9 / 2000)


def test_the_generator_is_all_that_decides() -> None:
    y = np.arange(50) % 3
    a, b, c = (stratified_batches(y, 4, 6, np.random.default_rng(s)) for s in (1, 1, 2))
    assert (a == b).all()
    assert (a != c).any()
