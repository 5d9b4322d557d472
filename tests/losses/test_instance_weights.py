"""Weights from gradients: GHM-C against loops over the paper's formula, influence balance, sums that merge."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import steelyard as sy
from steelyard.errors import InputError
from tests.conformance.frameworks import FRAMEWORKS, NAMES
from tests.losses.test_multi_label import T, Z


def p(z: float) -> float:
    return 1.0 / (1.0 + math.exp(-z))


# --- gradient norms ----------------------------------------------------------------------------------------------


def test_norms_of_labels() -> None:
    want = [[abs(p(z) - t) for z, t in zip(row, t, strict=True)] for row, t in zip(Z, T, strict=True)]
    np.testing.assert_allclose(sy.losses.gradient_norm(Z, T), want, rtol=1e-13)


def test_norms_of_classes_are_half_of_the_distance() -> None:
    y = np.array([0, 1, 2, 3, 0])
    q = np.exp(Z) / np.exp(Z).sum(1, keepdims=True)
    want = 0.5 * np.abs(q - np.eye(4)[y]).sum(1)
    np.testing.assert_allclose(sy.losses.gradient_norm(Z, y), want, rtol=1e-13)


@pytest.mark.parametrize("framework", NAMES)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_norms_keep_their_digits_where_they_are_small(framework: str, dtype: str) -> None:
    xp = FRAMEWORKS[framework]
    z, t = np.array([30.0, -30.0, 80.0, -80.0]), np.array([1, 0, 0, 1])
    with xp.context(dtype):
        got = xp.numbers(sy.losses.gradient_norm(xp.tensor(z, dtype), xp.tensor(t)))
    np.testing.assert_allclose(got, [math.exp(-30), math.exp(-30), 1.0, 1.0], rtol=1e-5)


# --- GHM-C -------------------------------------------------------------------------------------------------------


def by_the_paper(norm: np.ndarray, bins: int) -> np.ndarray:
    """β_i = N / GD(g_i), the density of a bin being its count divided by its width 1/M."""
    width = 1.0 / bins
    out = np.empty(len(norm))
    for i, g in enumerate(norm):
        b = min(int(g / width), bins - 1)
        count = sum(1 for h in norm if min(int(h / width), bins - 1) == b)
        out[i] = len(norm) / (count / width)
    return out


@pytest.mark.parametrize("bins", [1, 4, 10])
def test_weights_of_one_batch(bins: int) -> None:
    norm = np.random.default_rng(bins).beta(0.4, 1.5, 200)
    norm[:2] = 0.0, 1.0
    density = sy.losses.GradientDensity(bins, momentum=0.0)
    density.update(norm)
    np.testing.assert_allclose(density.weight(norm), by_the_paper(norm, bins), rtol=1e-12)


def test_every_occupied_bin_has_the_same_total_weight() -> None:
    norm = np.repeat([0.05, 0.35, 0.95], [90, 9, 1])
    density = sy.losses.GradientDensity(10, momentum=0.0)
    density.update(norm)
    s = density.weight(norm)
    np.testing.assert_allclose([s[:90].sum(), s[90:99].sum(), s[99:].sum()], 100 / 10, rtol=1e-12)


def test_the_moving_average_by_hand() -> None:
    density = sy.losses.GradientDensity(2, momentum=0.75)
    density.update(np.array([0.1, 0.1, 0.1, 0.9]))
    # the first batch is the average: mmdetection's starts at 0, so that its weights would be 4 times these
    np.testing.assert_allclose(density.weight(np.array([0.1, 0.9])), [4 / 6, 4 / 2])
    density.update(np.array([0.9, 0.9, 0.9, 0.9]))
    # R = (0.75·3, 0.75·1 + 0.25·4)
    np.testing.assert_allclose(density.histogram, [2.25, 1.75])
    np.testing.assert_allclose(density.weight(np.array([0.1, 0.9])), [4 / 4.5, 4 / 3.5])


def test_masked_entries_have_no_weight_and_no_count() -> None:
    norm, mask = np.array([[0.1, 0.9], [0.1, 0.1]]), np.array([[True, True], [True, False]])
    density = sy.losses.GradientDensity(2, momentum=0.0)
    density.update(norm, mask)
    assert density.histogram.tolist() == [2.0, 1.0]
    np.testing.assert_allclose(density.weight(norm, mask), [[0.75, 1.5], [0.75, 0.0]])


def test_a_norm_in_an_empty_bin_weighs_like_the_rarest() -> None:
    density = sy.losses.GradientDensity(3, momentum=0.0)
    density.update(np.array([0.1, 0.1, 0.9]))
    assert density.weight(np.array([0.5]))[0] == density.weight(np.array([0.9]))[0]


@given(st.integers(0, 2**32 - 1), st.integers(1, 4), st.sampled_from([0.0, 0.5, 0.9]))
def test_ranks_are_one_process(seed: int, ranks: int, momentum: float) -> None:
    rng = np.random.default_rng(seed)
    whole = sy.losses.GradientDensity(5, momentum)
    exchanged = sy.losses.GradientDensity(5, momentum)
    apart = [sy.losses.GradientDensity(5, momentum) for _ in range(ranks)]
    for _ in range(3):
        parts = [rng.random(4) for _ in range(ranks)]
        whole.update(np.concatenate(parts))
        counts = [exchanged.of_batch(g) for g in parts]
        exchanged.update(sum(counts[1:], counts[0]))
        for density, g in zip(apart, parts, strict=True):
            density.update(g)
    np.testing.assert_allclose(exchanged.histogram, whole.histogram)
    # the average is linear: those of the ranks add up, too
    np.testing.assert_allclose(sum(apart[1:], apart[0]).histogram, whole.histogram)


@pytest.mark.parametrize("framework", NAMES)
def test_harmonised_weights_in_every_framework(framework: str) -> None:
    xp = FRAMEWORKS[framework]
    loss = sy.losses.binary_cross_entropy()
    density = sy.losses.GradientDensity(10, momentum=0.0)
    with xp.context("float32"):
        z, t = xp.tensor(Z, "float32"), xp.tensor(T)
        norm = sy.losses.gradient_norm(z, t)
        density.update(norm)
        s = density.weight(norm)
        assert xp.dtype(s) == "float32"
        value = float(xp.numbers(loss(z, t, s)))
    want = by_the_paper(sy.losses.gradient_norm(Z, T).ravel(), 10).reshape(Z.shape)
    np.testing.assert_allclose(xp.numbers(s), want, rtol=1e-6)
    assert value == pytest.approx(float(loss(Z, T, want)), rel=1e-5)


# --- sums of gradients (EQL v2) ----------------------------------------------------------------------------------


def loops(batches: list[tuple[np.ndarray, np.ndarray]], alpha: float, gamma: float, mu: float) -> tuple[Any, Any]:
    """The sums after some batches, as the authors' code collects them: with the weights that were in force."""
    n = batches[0][0].shape[1]
    up, down = [0.0] * n, [0.0] * n
    for z, t in batches:
        f = [1.0 if up[c] == down[c] == 0 else p(gamma * (up[c] / down[c] - mu)) for c in range(n)]
        for c in range(n):
            q = 1.0 + alpha * (1.0 - f[c])
            up[c] += sum(q * (1.0 - p(v)) for v, u in zip(z[:, c], t[:, c], strict=True) if u == 1)
            down[c] += sum(f[c] * p(v) for v, u in zip(z[:, c], t[:, c], strict=True) if u == 0)
    return up, down


def batches(seed: int, count: int = 3) -> list[tuple[np.ndarray, np.ndarray]]:
    rng = np.random.default_rng(seed)
    return [(rng.normal(0, 2, (6, 3)), (rng.random((6, 3)) < [0.5, 0.3, 0.1]).astype(int)) for _ in range(count)]


@pytest.mark.parametrize("seed", range(5))
def test_sums_are_those_of_the_authors(seed: int) -> None:
    data = batches(seed)
    balance = sy.losses.GradientBalance(3, alpha=2.0, gamma=5.0, mu=0.6)
    for z, t in data:
        balance.update(z, t)
    want = loops(data, 2.0, 5.0, 0.6)
    np.testing.assert_allclose(balance.positive, want[0], rtol=1e-12)
    np.testing.assert_allclose(balance.negative, want[1], rtol=1e-12)


@pytest.mark.parametrize("framework", NAMES)
def test_sums_from_every_framework(framework: str) -> None:
    xp, (z, t) = FRAMEWORKS[framework], batches(0)[0]
    balance = sy.losses.GradientBalance(3)
    with xp.context("float64"):
        balance.update(xp.tensor(z), xp.tensor(t), xp.tensor(np.array([1.0, 0.0, 2.0, 1.0, 1.0, 1.0])))
    again = np.repeat(np.arange(6), [1, 0, 2, 1, 1, 1])
    other = sy.losses.GradientBalance(3)
    other.update(z[again], t[again])
    np.testing.assert_allclose(balance.positive, other.positive, rtol=1e-13)
    np.testing.assert_allclose(balance.negative, other.negative, rtol=1e-13)


def test_ranks_that_exchange_are_one_process() -> None:
    whole, shared = sy.losses.GradientBalance(3), sy.losses.GradientBalance(3)
    for z, t in batches(1):
        whole.update(z, t)
        shared = sum((shared.of_batch(z[k], t[k]) for k in (slice(0, 2), slice(2, 2), slice(2, 6))), shared)
    np.testing.assert_allclose(shared.positive, whole.positive, rtol=1e-13)
    np.testing.assert_allclose(shared.negative, whole.negative, rtol=1e-13)


def test_ignored_entries_and_positions() -> None:
    z, t = batches(2)[0]
    hidden, unknown = z.copy(), t.copy()
    hidden[2, 1], unknown[2, 1] = np.nan, -1
    balance, other = sy.losses.GradientBalance(3), sy.losses.GradientBalance(3)
    balance.update(hidden, unknown, ignore_index=-1)
    mask = np.ones((6, 3))
    mask[2, 1] = 0.0
    other.update(z, t, mask)
    assert balance == other
    images = sy.losses.GradientBalance(3)
    images.update(z.T.reshape(1, 3, 2, 3), t.T.reshape(1, 3, 2, 3), mask.T.reshape(1, 3, 2, 3))
    np.testing.assert_allclose(images.positive, other.positive, rtol=1e-13)


def test_round_trips_through_json() -> None:
    balance, density = sy.losses.GradientBalance(3, alpha=1.0), sy.losses.GradientDensity(4, 0.5)
    balance.update(*batches(0)[0])
    density.update(np.array([0.2, 0.9]))
    for state in (balance, density):
        again = type(state).from_dict(json.loads(json.dumps(state.to_dict())))
        assert again == state
        assert repr(again) == repr(state)
    assert balance.loss() == type(balance).from_dict(balance.to_dict()).loss()


# --- influence balance -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("framework", NAMES)
def test_influence_balance_by_hand(framework: str) -> None:
    xp = FRAMEWORKS[framework]
    z, y, h = Z[:3], np.array([0, 1, 1]), np.array([[1.0, -2.0], [0.5, 0.0], [3.0, 4.0]])
    with xp.context("float64"):
        got = sy.losses.influence_balanced_weight(xp.tensor(z), xp.tensor(y), xp.tensor(h), counts=[9, 3, 2, 1])
        got = xp.numbers(got)
    inverse = [1 / 9, 1 / 3, 1 / 2, 1.0]
    for i in range(3):
        q = [math.exp(v) / sum(math.exp(u) for u in z[i]) for v in z[i]]
        distance = sum(abs(v - (c == y[i])) for c, v in enumerate(q))
        size = sum(abs(v) for v in h[i])
        assert got[i] == pytest.approx(1000 * inverse[y[i]] / sum(inverse) / (distance * size + 1e-3), rel=1e-12)


def test_influence_balance_is_not_differentiated() -> None:
    torch = pytest.importorskip("torch")
    z = torch.tensor(Z, requires_grad=True)
    h = torch.ones(5, 2, requires_grad=True)
    s = sy.losses.influence_balanced_weight(z, torch.tensor([0, 1, 2, 3, 0]), h)
    assert not s.requires_grad
    # and goes where weights of rows go
    loss = sy.losses.cross_entropy()(z, torch.tensor([0, 1, 2, 3, 0]), s, denominator="rows")
    loss.backward()
    assert torch.isfinite(z.grad).all()


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: sy.losses.GradientDensity(0), "bins` as a positive integer"),
        (lambda: sy.losses.GradientDensity(3, 1.0), r"momentum` in \[0, 1\)"),
        (lambda: sy.losses.GradientDensity(3).update(np.array([1.5])), r"norms in \[0, 1\]"),
        (lambda: sy.losses.GradientDensity(3).weight(np.array([0.5])), "counts to weigh by"),
        (lambda: sy.losses.GradientDensity(3) + sy.losses.GradientDensity(4), "same bins and momentum"),
        (lambda: sy.losses.GradientDensity(3).update(sy.losses.GradientDensity(4)), "3 bins; got 4"),
        (lambda: sy.losses.GradientDensity.from_dict({"momentum": 0.5, "histogram": [-1.0]}), "finite numbers ≥ 0"),
        (lambda: sy.losses.GradientBalance(0), "n_labels` as a positive integer"),
        (lambda: sy.losses.GradientBalance(2).update(np.zeros((3, 3)), np.zeros((3, 3))), "2 labels on axis 1"),
        (lambda: sy.losses.GradientBalance(2) + sy.losses.GradientBalance(3), "same labels and parameters"),
        (lambda: sy.losses.GradientBalance(2, gamma=100.0), "gamma · mu ≤ 60"),
        (lambda: sy.losses.influence_balanced_weight(Z, np.zeros(5, int), np.zeros(5)), r"\(batch, n_features\)"),
        (lambda: sy.losses.influence_balanced_weight(Z, np.zeros(5, int), Z, alpha=0.0), "alpha > 0"),
    ],
)
def test_refusals(call: Any, match: str) -> None:
    with pytest.raises(InputError, match=match):
        call()
