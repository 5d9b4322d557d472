"""Schedules: weights of a step against arithmetic by hand and the authors' own programs (values)."""

from __future__ import annotations

import json

import numpy as np
import pytest

import steelyard as sy
from steelyard.errors import InputError
from tests.conformance.frameworks import FRAMEWORKS, NAMES

COUNTS = sy.ClassCounts.from_counts({"a": 90, "b": 9, "c": 1})
CONFUSION = np.array([[81, 9, 0], [3, 6, 0], [1, 0, 0]])


def test_deferred_weights() -> None:
    schedule = sy.schedules.deferred(COUNTS, start=160, beta=0.99)
    np.testing.assert_array_equal(schedule.class_weight(159), [1, 1, 1])
    effective = [(1 - 0.99) / (1 - 0.99**n) for n in (90, 9, 1)]
    np.testing.assert_allclose(schedule.class_weight(160), np.array(effective) * 3 / sum(effective), rtol=1e-12)
    np.testing.assert_allclose(schedule.class_weight(10**6), schedule.class_weight(160))


def test_recall_driven_weights_are_missed_rows() -> None:
    schedule = sy.schedules.recall_driven(COUNTS)
    np.testing.assert_array_equal(schedule.class_weight(), [1, 1, 1])
    schedule.update(CONFUSION)
    np.testing.assert_allclose(schedule.class_weight(), [9 / 90, 3 / 9, 1 / 1])
    # found whole: the authors' program starts its counts of missed rows and of rows at 1
    schedule.update(np.diag([50, 4, 0]))
    np.testing.assert_allclose(schedule.class_weight(), [1 / 50, 1 / 4, 1.0])


@pytest.mark.parametrize("tau", [0.0, 0.5, 1.0, 2.0])
def test_difficulty(tau: float) -> None:
    schedule = sy.schedules.difficulty(COUNTS, tau=tau, normalize=None)
    schedule.update(CONFUSION)
    np.testing.assert_allclose(schedule.class_weight(), [(1 - 0.9) ** tau, (1 - 6 / 9) ** tau, 1.0])


def test_dynamic_difficulty() -> None:
    schedule = sy.schedules.difficulty(COUNTS, tau="dynamic")
    schedule.update(CONFUSION)
    tau = 2 / (1 + np.exp(-(0.9 / (0.0 + 0.01) - 1)))
    want = np.array([0.1, 3 / 9, 1.0]) ** tau
    np.testing.assert_allclose(schedule.class_weight(), want * 3 / want.sum())
    assert 0.98 < schedule.exponent([0.5, 0.5]) < schedule.exponent([0.9, 0.1]) <= 2.0


def test_a_class_found_whole_by_all_leaves_equal_weights() -> None:
    schedule = sy.schedules.difficulty(COUNTS)
    schedule.update(np.diag([5, 5, 5]))
    np.testing.assert_array_equal(schedule.class_weight(), [1, 1, 1])


def every() -> list:
    return [
        sy.schedules.deferred(COUNTS, 3, "balanced"),
        sy.schedules.recall_driven(COUNTS, decay=0.9, normalize="n_classes"),
        sy.schedules.difficulty(COUNTS, tau="dynamic", decay=0.5),
        sy.schedules.difficulty(COUNTS, tau=1.5, normalize="max"),
    ]


@pytest.mark.parametrize("which", range(4))
def test_state_goes_to_json_and_merges_across_ranks(which: int) -> None:
    one, left, right = (every()[which] for _ in range(3))
    share = np.array([[30, 2, 0], [1, 1, 0], [1, 0, 0]])
    for _ in range(2):
        one.update(CONFUSION)
        left.update(share)
        right.update(CONFUSION - share)
    back = sy.schedules.from_dict(json.loads(json.dumps(one.to_dict())))
    assert back == one
    for step in (0, 3):
        np.testing.assert_array_equal(back.class_weight(step), one.class_weight(step))
        np.testing.assert_allclose((left + right).class_weight(step), one.class_weight(step), rtol=1e-12)


def one_graph(framework: str, f):
    if framework != "torch":
        return FRAMEWORKS[framework].compiled(f)
    import torch

    sy.losses.cross_entropy()  # torch is known to the operations since a loss was made
    return torch.compile(f, backend="eager", fullgraph=True)


@pytest.mark.parametrize("framework", NAMES)
def test_weights_of_the_batch(framework: str) -> None:
    xp = FRAMEWORKS[framework]
    y = np.array([[0, 0, 1, 0], [1, 1, 1, 1], [0, 0, -1, 1]])
    with xp.context("float64"):
        t = xp.tensor(y)
        both = one_graph(framework, lambda v: (sy.schedules.per_batch(v), sy.schedules.per_batch(v, per_row=True)))(t)
        np.testing.assert_allclose(xp.numbers(both[0]), [6 / 11, 5 / 11])
        np.testing.assert_allclose(xp.numbers(both[1]), [[1 / 4, 3 / 4], [1, 0], [1 / 3, 2 / 3]])


def test_the_class_balanced_cross_entropy_of_edges() -> None:
    """−β Σ_{Y⁺} log p − (1 − β) Σ_{Y⁻} log(1 − p), Xie & Tu 2015, equation 2, by loops; two logits and one."""
    rng = np.random.default_rng(0)
    z, t = rng.normal(size=(2, 12)), rng.integers(0, 2, (2, 12))
    p = 1 / (1 + np.exp(-z))
    want = 0.0
    for i in range(2):
        beta = (t[i] == 0).mean()
        want += sum(-beta * np.log(a) if b else -(1 - beta) * np.log(1 - a) for a, b in zip(p[i], t[i], strict=True))
    w = sy.schedules.per_batch(t, per_row=True)
    two = np.stack([np.zeros_like(z), z], axis=1)
    got = sy.losses.cross_entropy(reduction="sum")(two, t, class_weight=w)
    assert float(got) == pytest.approx(want, rel=1e-12)
    one = sy.losses.binary_cross_entropy(reduction="sum")(z, t, np.take_along_axis(w, t, axis=1))
    assert float(one) == pytest.approx(want, rel=1e-12)


def test_a_schedule_in_a_compiled_step() -> None:
    """New weights are numbers: TensorFlow traces the step once."""
    import tensorflow as tf

    schedule, loss = sy.schedules.recall_driven(COUNTS), sy.losses.cross_entropy()
    criterion = sy.tensorflow.Loss(loss, n_classes=3)
    step = tf.function(criterion)
    z, y = tf.constant(np.random.default_rng(0).normal(size=(6, 3))), tf.constant([0, 1, 2, 0, 1, 2])
    for epoch in range(3):
        schedule.update(CONFUSION * (epoch + 1))
        w = schedule.class_weight(epoch)
        criterion.assign(loss.replace(class_weight=w))
        want = loss.replace(class_weight=w)(z.numpy(), y.numpy())
        assert float(step(z, y)) == pytest.approx(float(want), rel=1e-12)
    assert step.experimental_get_tracing_count() == 1


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: sy.schedules.deferred(COUNTS, start=-1), "`start` as an integer ≥ 0"),
        (lambda: sy.schedules.difficulty(COUNTS, tau=-1.0), "`tau` ≥ 0, or 'dynamic'; got -1.0"),
        (lambda: sy.schedules.difficulty(COUNTS, tau="dynamik"), "`tau` ≥ 0, or 'dynamic'; got 'dynamik'"),
        (lambda: sy.schedules.recall_driven(COUNTS, normalize="total"), "`normalize` in"),
        (lambda: sy.schedules.recall_driven(COUNTS).update(np.eye(2)), r"shape \(3, 3\)"),
        (lambda: sy.schedules.from_dict({"schedule": "deferred_"}), "did you mean 'deferred'"),
        (lambda: every()[0] + sy.schedules.deferred(COUNTS, 4, "balanced"), "the same schedule on every rank"),
        (lambda: every()[1] + sy.schedules.recall_driven(COUNTS, normalize="n_classes", decay=0.5), "decay=0.9"),
    ],
)
def test_bad_input(make, message) -> None:
    with pytest.raises(InputError, match=message):
        make()
