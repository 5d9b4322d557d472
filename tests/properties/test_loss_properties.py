"""What holds for every point of both families, whatever the numbers."""

from __future__ import annotations

import copy
import json
import pickle
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import steelyard as sy
from tests.properties.strategies import N_CLASSES, Case, sigmoid_cases, softmax_cases

CASES = st.one_of(softmax_cases(), sigmoid_cases())
RTOL = 1e-10  # float64; what is compared differs only in the order of sums


def close(a: Any, b: Any, rtol: float = RTOL) -> None:
    np.testing.assert_allclose(np.asarray(a), np.asarray(b), rtol=rtol, atol=1e-13)


def has_posterior(loss: Any) -> bool:
    return loss.has_posterior if loss.entrywise else loss.parameters["cost_matrix"] is None


def permuted(loss: Any, order: np.ndarray) -> Any:
    """The same loss for classes in another order."""
    changes = {}
    for name, value in loss.parameters.items():
        if value is None or name == "outcome_weight" or value.ndim == 0:
            continue
        changes[name] = value[np.ix_(order, order)] if value.ndim == 2 else value[order]
    return loss.replace(**changes)


@given(CASES, st.permutations(range(N_CLASSES)))
def test_permuting_classes_permutes_everything(case: Case, order: list[int]) -> None:
    loss, z, t, s = case
    o = np.array(order)
    other = permuted(loss, o)
    new_t = t[:, o] if t.ndim == 2 else np.argsort(o)[t]
    close(other(z[:, o], new_t, s), loss(z, t, s))
    close(other.gradient(z[:, o], new_t), loss.gradient(z, t)[:, o])
    close(other.curvature(z[:, o], new_t), loss.curvature(z, t)[:, o])
    if has_posterior(loss):
        close(other.posterior(z[:, o]), loss.posterior(z)[:, o], rtol=1e-7)


@given(CASES, st.randoms(use_true_random=False))
def test_the_order_of_rows_does_not_matter(case: Case, random: Any) -> None:
    loss, z, t, s = case
    o = np.array(random.sample(range(len(z)), len(z)))
    close(loss(z[o], t[o], s[o]), loss(z, t, s))
    rows = loss.replace(reduction="none")
    close(rows(z[o], t[o], s[o]), rows(z, t, s)[o])


@given(CASES, st.integers(0, 9))
def test_batches_add_up(case: Case, at: int) -> None:
    loss, z, t, s = case
    first = loss.numerator_and_denominator(z[:at], t[:at], s[:at])
    second = loss.numerator_and_denominator(z[at:], t[at:], s[at:])
    numerator, denominator = first[0] + second[0], first[1] + second[1]
    close((numerator, denominator), loss.numerator_and_denominator(z, t, s))
    close(numerator / denominator, loss(z, t, s))


@given(CASES, st.floats(1e-3, 1e3))
def test_the_scale_of_class_weights_leaves_the_mean(case: Case, factor: float) -> None:
    loss, z, t, s = case
    assume(loss.class_weight is not None)
    changes = {"class_weight": factor * loss.class_weight}
    if loss.parameters.get("cost_matrix") is not None:
        changes["cost_coefficient"] = factor * float(loss.cost_coefficient)  # costs are no weights
    other = loss.replace(**changes)
    close(other(z, t, s), loss(z, t, s))
    close(other.gradient(z, t), factor * loss.gradient(z, t))


@given(CASES, st.floats(1e-3, 1e3))
def test_the_scale_of_sample_weights_leaves_the_mean(case: Case, factor: float) -> None:
    loss, z, t, s = case
    close(loss(z, t, factor * s), loss(z, t, s))
    close(loss.replace(reduction="sum")(z, t, factor * s), factor * loss.replace(reduction="sum")(z, t, s))


@given(CASES)
def test_a_weight_of_two_is_a_row_twice(case: Case) -> None:
    loss, z, t, _ = case
    k = np.arange(len(z)) % 3
    again = np.repeat(np.arange(len(z)), k)
    close(loss(z, t, k.astype(float)), loss(z[again], t[again]))


@given(softmax_cases(forms=("integer",)), st.data())
def test_removing_ignored_rows_changes_nothing(case: Case, data: Any) -> None:
    loss, z, y, s = case
    keep = np.array(data.draw(st.lists(st.booleans(), min_size=len(z), max_size=len(z))))
    loss = loss.replace(ignore_index=-100)
    spoiled = np.where(keep[:, None], z, np.nan)
    marked = np.where(keep, y, -100)
    close(loss(spoiled, marked, s), loss(z[keep], y[keep], s[keep]))
    close(loss.gradient(spoiled, marked)[keep], loss.gradient(z[keep], y[keep]))
    for denominator in ("rows", "sample_weight"):
        close(
            loss(spoiled, marked, s, denominator=denominator),
            loss(z[keep], y[keep], s[keep], denominator=denominator),
        )


@given(softmax_cases(), st.floats(-50.0, 50.0))
def test_a_constant_added_to_all_logits_changes_nothing(case: Case, constant: float) -> None:
    loss, z, t, s = case
    loss = loss.replace(logit_scale=None)
    close(loss(z + constant, t, s), loss(z, t, s), rtol=1e-9)
    close(loss.gradient(z + constant, t), loss.gradient(z, t), rtol=1e-8)


@given(softmax_cases(), st.floats(-50.0, 50.0))
def test_a_constant_added_to_all_offsets_changes_nothing(case: Case, constant: float) -> None:
    loss, z, t, s = case
    offset = np.zeros(N_CLASSES) if loss.logit_offset is None else loss.logit_offset
    close(loss.replace(logit_offset=offset + constant)(z, t, s), loss(z, t, s), rtol=1e-9)


@given(softmax_cases())
def test_gradients_of_adjusted_logits_sum_to_zero(case: Case) -> None:
    loss, z, t, _ = case
    scale = np.ones(N_CLASSES) if loss.logit_scale is None else np.asarray(loss.logit_scale)
    g = loss.gradient(z, t) / scale
    size = np.abs(g).sum(axis=1)
    assert (np.abs(g.sum(axis=1)) <= 1e-12 * size + 1e-300).all()


@given(CASES)
def test_losses_are_not_negative_and_gradients_finite(case: Case) -> None:
    loss, z, t, s = case
    assert (loss.value(z, t) >= 0.0).all()
    assert np.isfinite(loss.gradient(z, t)).all()
    assert (loss.curvature(z, t) > 0.0).all()
    assert float(loss(z, t, s)) >= 0.0


@given(softmax_cases(forms=("integer",)))
def test_integers_and_one_hot_rows_are_the_same(case: Case) -> None:
    loss, z, y, s = case
    onehot = np.eye(N_CLASSES)[y]
    close(loss(z, onehot, s), loss(z, y, s))
    close(loss.gradient(z, onehot), loss.gradient(z, y))


@given(softmax_cases(forms=("integer",)), st.floats(0.0, 1.0))
def test_soft_targets_without_offsets_by_class_are_linear(case: Case, share: float) -> None:
    # with margins, pairwise offsets, compensation and smoothing by class averaged over t they are not
    loss, z, y, _ = case
    loss = loss.replace(
        margin=None, pairwise_offset=None, compensation=0.0, label_smoothing=float(np.max(loss.label_smoothing))
    )
    a, b = np.eye(N_CLASSES)[y], np.eye(N_CLASSES)[(y + 1) % N_CLASSES]
    mixed = loss.value(z, share * a + (1 - share) * b)
    close(mixed, share * loss.value(z, a) + (1 - share) * loss.value(z, b))


@given(CASES)
def test_multi_axis_logits_are_many_rows(case: Case) -> None:
    loss, z, t, _ = case
    images = np.stack([z, z[::-1]], axis=2)
    target = np.stack([t, t[::-1]], axis=t.ndim)
    close(loss(images, target), loss(np.concatenate([z, z]), np.concatenate([t, t])))


# --- as data ----------------------------------------------------------------------------------------------------


@given(CASES)
def test_round_trips(case: Case) -> None:
    loss, z, t, s = case
    data = loss.to_dict()
    for other in (
        sy.losses.from_dict(data),
        sy.losses.from_dict(json.loads(json.dumps(data))),
        pickle.loads(pickle.dumps(loss)),
        copy.deepcopy(loss),
        copy.copy(loss),
        loss.replace(),
        eval(repr(loss), vars(sy.losses)) if "<" not in repr(loss) else loss,
    ):
        assert other == loss
        assert hash(other) == hash(loss)
        assert other.to_dict() == data
        assert float(other(z, t, s)) == float(loss(z, t, s))


@given(CASES)
def test_expanding_changes_no_value(case: Case) -> None:
    loss, z, t, s = case
    full = loss.expand(N_CLASSES)
    close(full(z, t, s), loss(z, t, s))
    close(full.gradient(z, t), loss.gradient(z, t))
    if has_posterior(loss):
        close(full.posterior(z), loss.posterior(z), rtol=1e-7)


@given(CASES, st.sampled_from(["none", "sum", "mean"]))
def test_replace_changes_what_it_names_and_nothing_else(case: Case, reduction: str) -> None:
    loss = case.loss
    other = loss.replace(reduction=reduction)
    assert other.reduction == reduction
    assert {k: v for k, v in other.to_dict().items() if k != "reduction"} == {
        k: v for k, v in loss.to_dict().items() if k != "reduction"
    }
    assert loss.reduction == "mean"


@given(CASES)
def test_losses_cannot_be_changed(case: Case) -> None:
    loss = case.loss
    with pytest.raises(AttributeError, match="immutable"):
        loss.reduction = "sum"
    for value in loss.parameters.values():
        if value is not None:
            with pytest.raises(ValueError, match="read-only"):
                value[...] = 0.0


@given(CASES)
def test_inputs_are_not_written_to(case: Case) -> None:
    loss, z, t, s = case
    loss = loss.replace(ignore_index=1)
    before = z.copy(), t.copy(), s.copy()
    for array in (z, t, s):
        array.flags.writeable = False
    if t.dtype.kind == "i" or not loss.dense_targets:
        loss(z, t, s)
        loss.gradient(z, t)
        loss.curvature(z, t)
    for array, old in zip((z, t, s), before, strict=True):
        assert np.array_equal(array, old)


def test_the_parameters_of_a_loss_are_copies() -> None:
    w = np.array([1.0, 2.0])
    loss = sy.losses.weighted_cross_entropy(w)
    w[:] = 0.0
    assert loss.class_weight.tolist() == [1.0, 2.0]
