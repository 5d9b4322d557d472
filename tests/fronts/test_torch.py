"""The torch module: values, buffers, states, autograd, autocast, torch.func, training."""

from __future__ import annotations

import copy
import io
import pickle
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import steelyard as sy
from steelyard.errors import InputError
from tests.fronts.points import PAIRED, SIGMOID, SWITCHABLE, batch, binary_batch, expected, expected_sigmoid

W = [0.5, 1.5, 4.0]


def tensors(dtype: torch.dtype = torch.float32, rows: int = 8, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    z, y = batch(rows, seed)
    return torch.tensor(z, dtype=dtype, requires_grad=True), torch.tensor(y)


# --- values -----------------------------------------------------------------------------------------------------


FORMS: dict[str, dict[str, Any]] = {
    "its own parameters": {},
    "n_classes": {"n_classes": 3},
    "pairs": {"n_classes": 3, "pairs": True},
}


@pytest.mark.parametrize(
    ("name", "form"), [(n, f) for n in PAIRED for f in FORMS if n in SWITCHABLE or f != "n_classes"]
)
def test_value_and_gradient_against_the_reference(name: str, form: str) -> None:
    loss, parameters = PAIRED[name]
    settings = FORMS[form]
    z, y = tensors(torch.float64)
    value = sy.torch.Loss(loss, **settings)(z, y)
    value.backward()
    want, gradient = expected(parameters, *batch())
    assert value.item() == pytest.approx(want, rel=1e-12)
    np.testing.assert_allclose(z.grad, gradient, rtol=1e-10, atol=1e-13)


def test_weighted_cross_entropy_is_torchs_own() -> None:
    z, y = tensors(torch.float64)
    module = sy.torch.Loss(sy.losses.weighted_cross_entropy(W))
    theirs = F.cross_entropy(z, y, weight=torch.tensor(W, dtype=torch.float64))
    assert module(z, y).item() == pytest.approx(theirs.item(), rel=1e-12)


@pytest.mark.parametrize("name", SIGMOID)
def test_sigmoid_family(name: str) -> None:
    loss, parameters = SIGMOID[name]
    z, t = binary_batch()
    for module in (sy.torch.Loss(loss), sy.torch.Loss(loss, n_classes=1)):
        logits = torch.tensor(z) if module.n_classes is None else torch.tensor(z)[:, None]
        value = module(logits, torch.tensor(t).reshape(logits.shape))
        assert value.item() == pytest.approx(expected_sigmoid(parameters, z, t), rel=1e-12)


def test_arguments_of_the_call_reach_the_loss() -> None:
    z, y = tensors(torch.float64)
    s = torch.arange(8.0, dtype=torch.float64)
    w = torch.tensor(W, dtype=torch.float64)
    module = sy.torch.Loss(sy.losses.cross_entropy())
    rows = F.cross_entropy(z, y, weight=w, reduction="none")
    got = module(z, y, sample_weight=s, class_weight=w, denominator=5.0)
    assert got.item() == pytest.approx(((s * rows).sum() / 5.0).item(), rel=1e-12)


@pytest.mark.parametrize("class_axis", [1, -1])
def test_class_axis(class_axis: int) -> None:
    z = torch.tensor(np.random.default_rng(0).normal(size=(2, 3, 5)))
    y = torch.arange(10).reshape(2, 5) % 3
    w = torch.tensor(W, dtype=torch.float64)
    module = sy.torch.Loss(sy.losses.weighted_cross_entropy(W), n_classes=3, class_axis=class_axis)
    logits = z if class_axis == 1 else z.movedim(1, -1)
    assert module(logits, y).item() == pytest.approx(F.cross_entropy(z, y, weight=w).item(), rel=1e-12)


# --- assign -----------------------------------------------------------------------------------------------------


def test_assign_reaches_every_loss_of_the_family() -> None:
    z, y = tensors(torch.float64)
    module = sy.torch.Loss(sy.losses.cross_entropy(), n_classes=3, pairs=True)
    for loss, parameters in PAIRED.values():
        module.assign(loss)
        assert module(z, y).item() == pytest.approx(expected(parameters, *batch())[0], rel=1e-12)


def test_assign_without_n_classes_takes_what_is_absent_as_neutral() -> None:
    z, y = tensors(torch.float64)
    module = sy.torch.Loss(sy.losses.focal(gamma=2.0, class_weight=W))
    module.assign(sy.losses.cross_entropy())
    assert module(z, y).item() == pytest.approx(F.cross_entropy(z, y).item(), rel=1e-12)


def test_a_cost_term_can_be_taken_back() -> None:
    costs = [[0.0, 1.0, 2.0], [3.0, 0.0, 0.5], [8.0, 5.0, 0.0]]
    z, y = tensors(torch.float64)
    module = sy.torch.Loss(sy.losses.SoftmaxCrossEntropy(cost_matrix=costs, cost_coefficient=0.3), n_classes=3)
    module.assign(sy.losses.cross_entropy())
    assert module(z, y).item() == pytest.approx(F.cross_entropy(z, y).item(), rel=1e-12)


@pytest.mark.parametrize("name", PAIRED)
def test_the_module_says_which_loss_it_holds(name: str) -> None:
    module = sy.torch.Loss(sy.losses.cross_entropy(), n_classes=3, pairs=True)
    module.assign(PAIRED[name][0])
    assert module.loss.weight_by == PAIRED[name][0].weight_by
    z, y = batch()
    assert float(module.loss(z, y)) == pytest.approx(expected(PAIRED[name][1], z, y)[0], rel=1e-12)


def test_posterior_of_the_assigned_loss() -> None:
    z, _ = tensors(torch.float64)
    module = sy.torch.Loss(sy.losses.focal(), n_classes=3, pairs=True)
    module.assign(sy.losses.weighted_cross_entropy(W))
    odds = torch.softmax(z, 1) / torch.tensor(W, dtype=torch.float64)
    np.testing.assert_allclose(module.posterior(z).detach(), (odds / odds.sum(1, keepdim=True)).detach(), rtol=1e-12)


def test_writing_into_a_buffer_is_seen_at_the_next_call() -> None:
    z, y = tensors(torch.float64)
    module = sy.torch.Loss(sy.losses.weighted_cross_entropy([1.0, 1.0, 1.0]), n_classes=3)
    module(z, y)
    w = torch.tensor(W, dtype=torch.float64)
    module.class_weight.copy_(w)
    assert module(z, y).item() == pytest.approx(F.cross_entropy(z, y, weight=w).item(), rel=1e-12)
    module.class_weight = torch.ones(3, dtype=torch.float64)
    assert module(z, y).item() == pytest.approx(F.cross_entropy(z, y).item(), rel=1e-12)


# --- buffers, states, devices -----------------------------------------------------------------------------------


@pytest.mark.parametrize("change", ["half", "bfloat16", "float", "double"])
def test_parameters_stay_float64(change: str) -> None:
    third = [1.0 / 3.0, 1.0, 2.0]
    model = torch.nn.ModuleDict({"net": torch.nn.Linear(2, 3), "loss": sy.torch.Loss(sy.losses.focal(0.7, third))})
    getattr(model, change)()
    model.to(torch.float16)
    assert model["net"].weight.dtype == torch.float16
    assert {b.dtype for b in model["loss"].buffers()} == {torch.float64}
    assert model["loss"].class_weight.tolist() == third  # not rounded on the way
    assert float(model["loss"].gamma) == 0.7


def test_parameters_move_with_the_module() -> None:
    module = sy.torch.Loss(sy.losses.focal(), n_classes=3).to("meta")
    assert {b.device.type for b in module.buffers()} == {"meta"}
    z = torch.zeros(4, 3, device="meta")
    assert module(z, torch.zeros(4, dtype=torch.long, device="meta")).device.type == "meta"


def test_no_parameter_is_trained() -> None:
    module = sy.torch.Loss(sy.losses.focal(class_weight=W), n_classes=3)
    assert list(module.parameters()) == []
    assert not any(b.requires_grad for b in module.buffers())


def test_state_goes_into_a_module_built_from_another_loss() -> None:
    z, y = tensors(torch.float64)
    first = sy.torch.Loss(PAIRED["VS"][0], n_classes=3)
    second = sy.torch.Loss(sy.losses.focal(), n_classes=3)
    second(z, y)
    file = io.BytesIO()
    torch.save(first.state_dict(), file)
    file.seek(0)
    second.load_state_dict(torch.load(file, weights_only=True))
    assert second(z, y).item() == pytest.approx(expected(PAIRED["VS"][1], *batch())[0], rel=1e-12)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_copies_live_on_their_own(copied: Any) -> None:
    z, y = tensors(torch.float64)
    module = sy.torch.Loss(sy.losses.cross_entropy(), n_classes=3, pairs=True)
    module(z, y)
    twin = copied(module)
    twin.assign(PAIRED["smoothing"][0])
    assert twin(z, y).item() == pytest.approx(expected(PAIRED["smoothing"][1], *batch())[0], rel=1e-12)
    assert module(z, y).item() == pytest.approx(F.cross_entropy(z, y).item(), rel=1e-12)


def test_weights_given_as_a_tensor() -> None:
    z, y = tensors(torch.float64)
    w = torch.tensor(W, dtype=torch.float64, requires_grad=True)
    module = sy.torch.Loss(sy.losses.weighted_cross_entropy(w))
    assert module(z, y).item() == pytest.approx(F.cross_entropy(z, y, weight=w.detach()).item(), rel=1e-12)
    assert not module.class_weight.requires_grad


# --- autograd ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_second_derivatives(n_classes: int, gamma: float) -> None:
    z = torch.tensor(batch()[0][:3, :n_classes], requires_grad=True)
    y = torch.tensor([0, 1, n_classes - 1])
    module = sy.torch.Loss(sy.losses.focal(gamma, class_weight=W[:n_classes]))
    assert torch.autograd.gradgradcheck(lambda v: module(v, y), (z,))


@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated")  # torch's own, on first use
def test_hessian_of_cross_entropy() -> None:
    z, y = tensors(torch.float64, rows=2)
    module = sy.torch.Loss(sy.losses.cross_entropy(reduction="sum"))
    hessian = torch.func.hessian(lambda v: module(v, y))(z.detach())
    p = torch.softmax(z.detach(), 1)
    for i in range(2):
        np.testing.assert_allclose(hessian[i, :, i], torch.diag(p[i]) - torch.outer(p[i], p[i]), atol=1e-14)
    assert hessian[0, :, 1].abs().max() == 0


@pytest.mark.parametrize("name", ["weighted", "VS", "smoothing"])
def test_gradients_per_sample(name: str) -> None:
    z, y = tensors(torch.float64)
    module = sy.torch.Loss(SWITCHABLE[name][0].replace(reduction="sum"), n_classes=3)
    per_row = torch.func.vmap(torch.func.grad(lambda v, label: module(v[None], label[None])))(z.detach(), y)
    wide, labels = batch()
    for i in range(8):
        rows = expected(SWITCHABLE[name][1], wide[i : i + 1], labels[i : i + 1])
        weight = 1.0 if "class_weight" not in SWITCHABLE[name][1] else W[labels[i]]
        np.testing.assert_allclose(per_row[i], weight * rows[1][0], rtol=1e-10, atol=1e-13)


def test_what_a_transform_leaves_behind_does_not_disturb_later_calls() -> None:
    z, y = tensors()
    loss = sy.losses.vector_scaling([90, 9, 1], class_weight=W)
    module = sy.torch.Loss(loss)
    for call in (loss, module):
        torch.func.vmap(lambda v, label, call=call: call(v[None], label[None]))(z.detach(), y)
        with torch.inference_mode():
            call(z.detach(), y)
        call(z, y).backward()
        assert torch.isfinite(z.grad).all()


def test_fake_tensors_do_not_disturb_later_calls() -> None:
    from torch._subclasses.fake_tensor import FakeTensorMode

    z, y = tensors()
    loss = sy.losses.weighted_cross_entropy(W)
    with FakeTensorMode():
        assert loss(torch.zeros(8, 3), torch.zeros(8, dtype=torch.long)).shape == ()
    assert loss(z, y).item() == pytest.approx(F.cross_entropy(z, y, weight=torch.tensor(W)).item(), rel=1e-6)


def test_gradients_of_the_weights_through_functional_call() -> None:
    z, y = tensors(torch.float64)
    module = sy.torch.Loss(sy.losses.weighted_cross_entropy([1.0, 1.0, 1.0], reduction="sum"), n_classes=3)
    w = torch.tensor(W, dtype=torch.float64, requires_grad=True)
    with torch.no_grad():
        torch.func.functional_call(module, {"class_weight": w}, (z, y))
    torch.func.functional_call(module, {"class_weight": w}, (z, y)).backward()
    rows = F.cross_entropy(z, y, reduction="none").detach()
    np.testing.assert_allclose(w.grad, [rows[y == c].sum() for c in range(3)], rtol=1e-12)


# --- 16 bits ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_16_bit_logits(dtype: torch.dtype) -> None:
    z = torch.tensor(batch()[0]).to(dtype).requires_grad_(True)
    y = torch.tensor(batch()[1])
    value = sy.torch.Loss(sy.losses.focal(class_weight=W), n_classes=3)(z, y)
    value.backward()
    want, gradient = expected({"gamma": 2.0, "class_weight": W}, z.detach().double().numpy(), batch()[1])
    assert value.dtype == torch.float32
    assert z.grad.dtype == dtype
    assert value.item() == pytest.approx(want, rel=1e-5)
    np.testing.assert_allclose(z.grad.double(), gradient, rtol=2.0**-7, atol=1e-6)


@pytest.mark.parametrize("name", PAIRED)
def test_autocast_touches_nothing_inside_the_loss(name: str) -> None:
    x = torch.tensor(batch()[0], dtype=torch.float32)
    y = torch.tensor(batch()[1])
    layer = torch.nn.Linear(3, 3)
    module = sy.torch.Loss(PAIRED[name][0], n_classes=3, pairs=True)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = layer(x)
        value = module(logits, y)
    logits.retain_grad()
    value.backward()
    assert logits.dtype == torch.bfloat16
    assert value.dtype == torch.float32
    assert logits.grad.dtype == torch.bfloat16
    want, _ = expected(PAIRED[name][1], logits.detach().double().numpy(), batch()[1])
    assert value.item() == pytest.approx(want, rel=2e-6)
    assert layer.weight.grad.abs().sum() > 0


# --- training ---------------------------------------------------------------------------------------------------


def test_five_lines_beat_chance_on_the_rare_class() -> None:
    rng = np.random.default_rng(0)
    y = torch.tensor((np.arange(400) % 20 == 0).astype(np.int64))
    x = torch.tensor(rng.normal(size=(400, 2)), dtype=torch.float32) + 2.0 * y[:, None]
    torch.manual_seed(0)
    net = torch.nn.Linear(2, 2)
    counts = sy.ClassCounts.from_labels(y)

    criterion = sy.torch.Loss(sy.losses.logit_adjusted(counts))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.5)
    for _ in range(300):
        optimizer.zero_grad()
        criterion(net(x), y).backward()
        optimizer.step()

    predicted = net(x).argmax(1)
    recalls = [(predicted[y == c] == c).float().mean().item() for c in (0, 1)]
    assert min(recalls) > 0.8  # always answering "common" has a recall of 0 on the rare class


def test_accumulated_gradients_are_those_of_one_batch() -> None:
    x, y = torch.tensor(batch(24)[0]), torch.tensor(batch(24)[1])
    criterion = sy.torch.Loss(sy.losses.focal(class_weight=W))
    net = torch.nn.Linear(3, 3).double()
    criterion(net(x), y).backward()
    whole = net.weight.grad.clone()

    net.zero_grad()
    denominator = torch.tensor(W, dtype=torch.float64)[y].sum()
    total = 0.0
    for part in (slice(0, 1), slice(1, 7), slice(7, 7), slice(7, 24)):  # an empty one among them
        value = criterion(net(x[part]), y[part], denominator=denominator)
        value.backward()
        total += value.item()
    np.testing.assert_allclose(net.weight.grad, whole, rtol=1e-12, atol=1e-15)
    assert total == pytest.approx(criterion(net(x), y).item(), rel=1e-12)


# --- what is refused --------------------------------------------------------------------------------------------


def test_assign_of_another_family() -> None:
    module = sy.torch.Loss(sy.losses.cross_entropy(), n_classes=3)
    with pytest.raises(InputError, match="a SoftmaxCrossEntropy to assign; got SigmoidCrossEntropy"):
        module.assign(sy.losses.binary_cross_entropy())


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"reduction": "sum"}, "reduction='mean', as this module was built with; got 'sum'.*another module"),
        ({"ignore_index": -1}, "ignore_index=None, as this module was built with; got -1"),
        ({"class_weight": W, "weight_by": "prediction"}, "weight_by='target'.*got 'prediction'.*pairs=True holds"),
    ],
)
def test_assign_of_other_settings(other: dict[str, Any], message: str) -> None:
    module = sy.torch.Loss(sy.losses.cross_entropy(), n_classes=3)
    with pytest.raises(InputError, match=message):
        module.assign(sy.losses.SoftmaxCrossEntropy(**other))


def test_assign_of_a_parameter_that_is_not_held() -> None:
    module = sy.torch.Loss(sy.losses.weighted_cross_entropy(W))
    with pytest.raises(
        InputError, match="no other parameters than \\['class_weight'\\]; got one with `gamma`.*n_classes="
    ):
        module.assign(sy.losses.focal(class_weight=W))
    matrices = sy.torch.Loss(sy.losses.cross_entropy(), n_classes=3)
    with pytest.raises(InputError, match="got one with `pairwise_offset`.*pairs=True"):
        matrices.assign(PAIRED["pairwise offsets"][0])


def test_assign_of_another_number_of_classes() -> None:
    with pytest.raises(InputError, match="`class_weight` for 3 classes"):
        sy.torch.Loss(sy.losses.cross_entropy(), n_classes=3).assign(sy.losses.weighted_cross_entropy([1.0, 2.0]))
    with pytest.raises(InputError, match=r"`class_weight` of shape \(3,\); got \(2,\)"):
        sy.torch.Loss(sy.losses.weighted_cross_entropy(W)).assign(sy.losses.weighted_cross_entropy([1.0, 2.0]))


def test_a_refused_assign_changes_nothing() -> None:
    z, y = tensors(torch.float64)
    module = sy.torch.Loss(sy.losses.weighted_cross_entropy(W))
    with pytest.raises(InputError):
        module.assign(sy.losses.focal(gamma=3.0, class_weight=[9.0, 9.0, 1.0]))
    w = torch.tensor(W, dtype=torch.float64)
    assert module(z, y).item() == pytest.approx(F.cross_entropy(z, y, weight=w).item(), rel=1e-12)


def test_pairs_need_n_classes() -> None:
    with pytest.raises(InputError, match="`n_classes` with pairs=True; got None"):
        sy.torch.Loss(sy.losses.cross_entropy(), pairs=True)


def test_pairs_are_of_the_softmax_family() -> None:
    with pytest.raises(InputError, match="softmax family only; got SigmoidCrossEntropy"):
        sy.torch.Loss(sy.losses.binary_cross_entropy(), n_classes=3, pairs=True)


def test_hard_weights_are_no_pairs() -> None:
    hard = sy.losses.weighted_cross_entropy(W, weight_by="prediction_hard")
    with pytest.raises(InputError, match="got 'prediction_hard'.*no special case"):
        sy.torch.Loss(hard, n_classes=3, pairs=True)


@pytest.mark.parametrize("n_classes", [0, -1, 2.0, True])
def test_n_classes_is_a_count(n_classes: Any) -> None:
    with pytest.raises(InputError, match="`n_classes` as a positive integer"):
        sy.torch.Loss(sy.losses.cross_entropy(), n_classes=n_classes)


def test_something_that_is_no_loss() -> None:
    with pytest.raises(InputError, match="a loss of steelyard.losses; got str 'focal'.*sy.losses.names"):
        sy.torch.Loss("focal")


def test_logits_of_another_number_of_classes() -> None:
    module = sy.torch.Loss(sy.losses.cross_entropy(), n_classes=3)
    with pytest.raises(InputError, match=r"logits of 3 classes on axis 1, as n_classes says; got shape \(2, 4\)"):
        module(torch.zeros(2, 4), torch.tensor([0, 3]))


@pytest.mark.parametrize(
    ("logits", "targets", "message"),
    [
        ([[0.0, float("nan"), 1.0]], [0], "finite `logits`; got nan in row 0, class 1"),
        ([[0.0, 1.0, 2.0]], [3], r"targets in \[0, 2\]; got 3 at row 0"),
    ],
)
def test_values_are_looked_at_in_eager_calls(logits: Any, targets: Any, message: str) -> None:
    module = sy.torch.Loss(sy.losses.weighted_cross_entropy(W), n_classes=3)
    with pytest.raises(InputError, match=message):
        module(torch.tensor(logits), torch.tensor(targets))


# --- kernels ----------------------------------------------------------------------------------------------------


def test_kernels_that_are_not_there_are_an_error_and_never_a_silent_fallback() -> None:
    z, y = tensors()
    for settings in ({"kernel": "fused"}, {"inplace": True}):
        with pytest.raises(InputError, match="logits on a CUDA device.*got logits on cpu"):
            sy.torch.Loss(PAIRED["focal"][0], **settings)(z * 1.0, y)
    with pytest.raises(InputError, match="did you mean 'formula'"):
        sy.torch.Loss(PAIRED["focal"][0], kernel="formulas")
    by_the_formula = sy.torch.Loss(PAIRED["focal"][0], kernel="formula")(z, y)
    assert torch.equal(by_the_formula, sy.torch.Loss(PAIRED["focal"][0])(z, y))
