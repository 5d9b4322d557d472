"""The compiled kernel in eager PyTorch against the formula in float64, and what it leaves to the formula."""

import copy
import itertools
import math

import numpy as np
import pytest
import torch

import steelyard as sy
from steelyard import kernels
from steelyard.errors import InputError

pytestmark = pytest.mark.skipif(not kernels.available().compiled, reason=kernels.available().reason)

C = 10
W = np.linspace(0.5, 2.0, C)
LOSSES = {
    "plain": sy.losses.cross_entropy(),
    "weighted": sy.losses.weighted_cross_entropy(W),
    "focal": sy.losses.focal(gamma=2.0, class_weight=W),
    "adjusted": sy.losses.logit_adjusted(np.arange(1, C + 1)),
    "ldam": sy.losses.ldam(np.arange(1, C + 1)),
    "poly": sy.losses.poly1(1.5),
    "everything": sy.losses.SoftmaxCrossEntropy(
        class_weight=W, logit_scale=W[::-1].copy(), logit_offset=W - 1, margin=W / 4, gamma=1.5, label_smoothing=0.1,
        ignore_index=-100,
    ),
}  # fmt: skip
TOLERANCE = {torch.float64: 1e-12, torch.float32: 3e-6, torch.bfloat16: 8e-3, torch.float16: 1e-3}
FORMS = ("rows", "dense", "segments", "channels last", "classes last", "strided")


def drawn(form, dtype, loss, seed=0):
    torch.manual_seed(seed)
    axis = -1 if form == "classes last" else 1
    shape = {"rows": (48, C), "dense": (48, C), "classes last": (4, 12, C), "strided": (48, C)}.get(form, (3, C, 4, 4))
    z = torch.randn(shape) * 3
    if form == "channels last":
        z = z.contiguous(memory_format=torch.channels_last)
    if form == "strided":
        z = (torch.randn(C, 48) * 3).T
    rest = [k for i, k in enumerate(shape) if i != axis % len(shape)]
    y = torch.softmax(torch.randn(shape), 1).to(dtype) if form == "dense" else torch.randint(C, rest)
    if loss.ignore_index is not None and form != "dense":
        y.view(-1)[3] = loss.ignore_index
    return z.to(dtype), y, torch.rand(rest), axis


def both(loss, z, y, axis, **more):
    """Return value and gradient by the kernel and, in float64, by the formula, for a random upstream gradient."""
    out = []
    for kernel in ("fused", "formula"):
        wide = kernel == "formula"
        x = (z.double() if wide else z.clone()).detach().requires_grad_()
        target = y.double() if wide and y.is_floating_point() else y
        value = sy.torch.Loss(loss, class_axis=axis, kernel=kernel)(x, target, **more)
        torch.manual_seed(1)
        (value * torch.rand(value.shape, dtype=torch.float64).to(value.dtype)).sum().backward()
        out += [value.detach().double(), x.grad.double()]
    return out


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
def test_equals_the_formula(name, dtype):
    for form, reduction, weighted in itertools.product(FORMS, ("mean", "sum", "none"), (False, True)):
        loss = LOSSES[name].replace(reduction=reduction)
        z, y, s, axis = drawn(form, dtype, loss)
        v, g, value, gradient = both(loss, z, y, axis, sample_weight=s if weighted else None)
        at = (form, reduction, weighted)
        assert float((v - value).abs().max()) <= TOLERANCE[dtype] * (1 + float(value.abs().max())), at
        assert float((g - gradient).abs().max()) <= TOLERANCE[dtype] * float(gradient.abs().max()), at


@pytest.mark.parametrize("denominator", ["rows", "sample_weight", 7.0, torch.tensor(7.0)])
def test_denominators_and_class_weights_of_a_call(denominator):
    z, y, s, axis = drawn("rows", torch.float64, LOSSES["everything"])
    w = torch.rand(C, dtype=torch.float64)
    more = {"sample_weight": s, "class_weight": w, "denominator": denominator}
    v, g, value, gradient = both(LOSSES["everything"], z, y, axis, **more)
    torch.testing.assert_close(v, value, rtol=1e-12, atol=0)
    torch.testing.assert_close(g, gradient, rtol=1e-10, atol=1e-15)


def test_soft_targets_are_not_rounded_to_the_dtype_of_the_logits():
    z = torch.zeros(1, 2, dtype=torch.bfloat16, requires_grad=True)
    t = torch.tensor([[1.0 - 2.0**-12, 2.0**-12]])  # of which bfloat16 makes 1 and 2⁻¹²
    value = sy.torch.Loss(sy.losses.weighted_cross_entropy([1.0, 3.0]).replace(reduction="sum"), kernel="fused")(z, t)
    assert value.item() == pytest.approx(math.log(2) * (1 + 2 * 2.0**-12), rel=1e-6)
    value.backward()
    assert z.grad.dtype == torch.bfloat16


def test_a_mean_divided_by_nothing_is_nothing():
    z, y, _, _ = drawn("rows", torch.float32, LOSSES["weighted"])
    for denominator in (0.0, torch.tensor(0.0)):
        x = z.clone().requires_grad_()
        value = sy.torch.Loss(LOSSES["weighted"], kernel="fused")(x, y, denominator=denominator)
        expected = sy.torch.Loss(LOSSES["weighted"], kernel="formula")(z, y, denominator=denominator)
        value.backward()
        assert value.item() == expected.item() == 0.0
        assert (x.grad == 0).all()


def test_first_and_second_derivatives():
    criterion = sy.torch.Loss(LOSSES["everything"], kernel="fused")
    z, y, _, _ = drawn("rows", torch.float64, LOSSES["everything"])
    x = z[:5].clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: criterion(x, y[:5]), x)
    assert torch.autograd.gradgradcheck(lambda x: criterion(x, y[:5]), x)


def test_a_retained_graph_gives_the_gradient_again():
    criterion = sy.torch.Loss(LOSSES["weighted"], kernel="fused")
    z, y, _, _ = drawn("rows", torch.float32, LOSSES["weighted"])
    x = z.clone().requires_grad_()
    value = criterion(x * 1.0, y)
    value.backward(retain_graph=True)
    first = x.grad.clone()
    value.backward()
    torch.testing.assert_close(x.grad, 2 * first, rtol=0, atol=0)


def test_logits_changed_after_the_call_are_an_error_on_the_way_back():
    criterion = sy.torch.Loss(LOSSES["weighted"], kernel="fused")
    x = torch.zeros(3, C, requires_grad=True)
    z = x * 1.0
    value = criterion(z, torch.tensor([0, 1, 2]))
    z.add_(1.0)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        value.backward()


def test_threads_change_no_bit():
    z, y = torch.randn(4096, 200, requires_grad=True), torch.randint(200, (4096,))
    found, before = [], torch.get_num_threads()
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            value = sy.torch.Loss(sy.losses.focal(gamma=2.0), kernel="fused")(z, y)
            found.append((value.item(), *torch.autograd.grad(value, z)))
    finally:
        torch.set_num_threads(before)
    for value, gradient in found[1:]:
        assert value == found[0][0]
        assert torch.equal(gradient, found[0][1])


@pytest.mark.parametrize("gamma", [0.0, 0.3, 0.5, 1.0, 2.0, 5.0])
def test_extreme_logits_are_finite_alive_and_of_the_right_sign(gamma):
    grid = [0.0, 1.0, -1.0, 30.0, -30.0, 100.0, -100.0, 1e4, -1e4]
    z = torch.tensor(list(itertools.product(grid, grid)), dtype=torch.float64, requires_grad=True)
    y = torch.arange(len(z)) % 2
    value = sy.torch.Loss(sy.losses.SoftmaxCrossEntropy(gamma=gamma, reduction="none"), kernel="fused")(z, y)
    (gradient,) = torch.autograd.grad(value.sum(), z)
    assert torch.isfinite(value).all()
    assert torch.isfinite(gradient).all()
    own = gradient.gather(1, y[:, None])[:, 0]
    wrong = (z.gather(1, y[:, None]) < z.gather(1, 1 - y[:, None]))[:, 0]
    assert (own <= 0).all()
    assert (own[wrong] < -0.1).all()


def test_small_losses_are_right_in_single_precision():
    for gap in (15.0, 20.0, 30.0):
        z = torch.zeros(1, 1000)
        z[0, 0] = gap
        value = float(sy.torch.Loss(sy.losses.cross_entropy(), kernel="fused")(z, torch.tensor([0])))
        assert value == pytest.approx(math.log1p(999 * math.exp(-gap)), rel=1e-6)


def test_nothing_and_nothing_that_counts():
    criterion = sy.torch.Loss(LOSSES["everything"], kernel="fused")
    assert float(criterion(torch.zeros(0, C), torch.zeros(0, dtype=torch.int64))) == 0.0
    z = torch.full((2, C), float("nan"), requires_grad=True)
    value = criterion(z, torch.full((2,), -100))
    value.backward()
    assert float(value.detach()) == 0.0
    assert (z.grad == 0).all()


def test_what_is_wrong_is_said_as_the_formula_says_it():
    criterion = sy.torch.Loss(LOSSES["weighted"], kernel="auto")
    with pytest.raises(InputError, match="targets"):
        criterion(torch.zeros(2, C), torch.tensor([0, C]))
    with pytest.raises(InputError, match="finite `logits`"):
        criterion(torch.full((2, C), float("nan")), torch.tensor([0, 1]))
    with pytest.raises(InputError, match="sample_weight"):
        criterion(torch.zeros(2, C), torch.tensor([0, 1]), torch.tensor([1.0, -1.0]))
    with pytest.raises(InputError, match=f"{C}"):
        criterion(torch.zeros(2, C + 1), torch.tensor([0, 1]))


def test_what_the_kernel_does_not_know_is_said_and_computed_by_the_formula():
    z, y = torch.zeros(2, 2), torch.tensor([0, 1])
    pairs = sy.losses.pairwise_margin(np.array([[0.0, 1.0], [2.0, 0.0]]))
    with pytest.raises(InputError, match="`pairwise_offset`"):
        sy.torch.Loss(pairs, kernel="fused")(z, y)
    auto = sy.torch.Loss(pairs)
    assert auto.uses(z, y) == "formula (there is none for `pairwise_offset`)"
    assert float(auto(z, y)) == float(sy.torch.Loss(pairs, kernel="formula")(z, y))
    with pytest.raises(InputError, match="SigmoidCrossEntropy"):
        sy.torch.Loss(sy.losses.binary_cross_entropy(), kernel="fused")(z, y.double())
    assert sy.torch.Loss(sy.losses.focal()).uses(z, y).startswith("fused (compiled")


def test_fused_is_never_silently_the_formula():
    z, y = torch.zeros(2, 3, 4, 5), torch.zeros(2, 3, 5, dtype=torch.int64)
    plain = sy.losses.cross_entropy()
    with pytest.raises(InputError, match="classes are on axis 2 of 4"):
        sy.torch.Loss(plain, class_axis=2, kernel="fused")(z, y)
    assert sy.torch.Loss(plain, class_axis=2)(z, y).item() == pytest.approx(math.log(4))
    by = torch.tensor(3.0, requires_grad=True)
    with pytest.raises(InputError, match="the denominator ask for a gradient"):
        sy.torch.Loss(plain, kernel="fused")(z[:, :, 0, 0], y[:, 0, 0], denominator=by)


def test_another_loss_assigned_is_another_plan():
    z, y, _, _ = drawn("rows", torch.float32, LOSSES["focal"])
    criterion = sy.torch.Loss(LOSSES["focal"], n_classes=C, kernel="fused")
    for name in ("focal", "adjusted", "weighted", "ldam"):
        criterion.assign(LOSSES[name])
        expected = sy.torch.Loss(LOSSES[name], kernel="formula")(z, y)
        torch.testing.assert_close(criterion(z, y), expected, rtol=2e-6, atol=1e-6)
        torch.testing.assert_close(copy.deepcopy(criterion)(z, y), expected, rtol=2e-6, atol=1e-6)


def test_torch_func_goes_by_the_formula():
    criterion = sy.torch.Loss(LOSSES["weighted"])
    z, y, _, _ = drawn("rows", torch.float64, LOSSES["weighted"])
    x = z.clone().requires_grad_()
    (expected,) = torch.autograd.grad(criterion(x, y), x)
    torch.testing.assert_close(torch.func.grad(lambda z: criterion(z, y))(z), expected)
