"""The linear form: against float64 by hand, torch's own loss, the plain path, and itself cut into pieces."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch._dynamo.testing import CompileCounter
from torch.utils._python_dispatch import TorchDispatchMode

import steelyard as sy
from steelyard.errors import InputError
from steelyard.kernels import torch_chunks
from tests.conformance.points import softmax_point
from tests.fronts.points import N_CLASSES, PAIRED, SWITCHABLE, expected

WIDTH = 5
W = [0.5, 1.5, 4.0]


def problem(rows: int = 8, dtype: torch.dtype = torch.float64, seed: int = 0) -> tuple[torch.Tensor, ...]:
    rng = np.random.default_rng(seed)
    x, w, b = rng.normal(size=(rows, WIDTH)), rng.normal(size=(N_CLASSES, WIDTH)), rng.normal(size=N_CLASSES)
    inputs = [torch.tensor(v, dtype=dtype, requires_grad=True) for v in (x, w, b)]
    return (*inputs, torch.arange(rows) % N_CLASSES)


def gradients(value: torch.Tensor, *inputs: torch.Tensor, **settings: Any) -> list[np.ndarray]:
    return [g.detach().double().numpy() for g in torch.autograd.grad(value, inputs, **settings)]


def close(got: list[np.ndarray], want: list[Any], rtol: float = 1e-10) -> None:
    for a, b in zip(got, want, strict=True):
        np.testing.assert_allclose(a, b, rtol=rtol, atol=1e-13)


# --- values and gradients ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("workspace", [1, 2**29])
@pytest.mark.parametrize("name", PAIRED)
def test_value_and_gradients_against_the_reference(name: str, workspace: int) -> None:
    loss, parameters = PAIRED[name]
    x, w, b, y = problem()
    s = np.linspace(0.2, 2.0, len(y))
    value = sy.torch.linear_loss(loss, x, w, y, b, torch.tensor(s), workspace=workspace)
    x_, w_, b_ = (t.detach().numpy() for t in (x, w, b))
    want, g = expected(parameters, x_ @ w_.T + b_, y.numpy(), s)
    assert value.item() == pytest.approx(want, rel=1e-12)
    close(gradients(value, x, w, b), [g @ w_, g.T @ x_, g.sum(0)])


def test_weighted_cross_entropy_is_torchs_own() -> None:
    x, w, b, y = problem(rows=40)
    weight = torch.tensor(W, dtype=torch.float64)
    theirs = F.cross_entropy(x @ w.T + b, y, weight=weight)
    ours = sy.torch.linear_loss(sy.losses.weighted_cross_entropy(W), x, w, y, b)
    assert ours.item() == pytest.approx(theirs.item(), rel=1e-12)
    close(gradients(ours, x, w, b), gradients(theirs, x, w, b))


@pytest.mark.parametrize("weight_by", ["target", "prediction", "pair", "prediction_hard", "pair_hard"])
@pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
def test_every_parameter_at_once_is_the_plain_path(weight_by: str, reduction: str) -> None:
    loss = softmax_point(weight_by, ignore_index=-1, reduction=reduction)
    rng = np.random.default_rng(1)
    x = torch.tensor(rng.normal(size=(2, 6, WIDTH)), requires_grad=True)
    w, b = (torch.tensor(rng.normal(size=size), requires_grad=True) for size in ((4, WIDTH), 4))
    y, s = torch.tensor(rng.integers(-1, 4, (2, 6))), torch.tensor(rng.uniform(0.1, 2.0, 2))
    ours = sy.torch.linear_loss(loss, x, w, y, b, s, workspace=4 * 8 * 13 * 2)
    plain = loss(x @ w.T + b, y, s, class_axis=-1)
    np.testing.assert_allclose(ours.detach(), plain.detach(), rtol=1e-12)
    upstream = torch.tensor(rng.normal(size=tuple(plain.shape)))
    close(
        gradients(ours, x, w, b, grad_outputs=upstream.to(ours.dtype)), gradients(plain, x, w, b, grad_outputs=upstream)
    )


def test_targets_over_classes() -> None:
    x, w, b, _ = problem()
    t = torch.softmax(torch.tensor(np.random.default_rng(2).normal(size=(8, N_CLASSES))), 1)
    loss = PAIRED["focal"][0]
    ours, plain = sy.torch.linear_loss(loss, x, w, t, b, workspace=1), loss(x @ w.T + b, t)
    assert ours.item() == pytest.approx(plain.item(), rel=1e-12)
    close(gradients(ours, x, w, b), gradients(plain, x, w, b))


@pytest.mark.parametrize("shape", [(3,), (2, 3)])
def test_class_weights_of_the_call(shape: tuple[int, ...]) -> None:
    x = torch.tensor(np.random.default_rng(3).normal(size=(2, 4, WIDTH)), requires_grad=True)
    _, w, b, _ = problem()
    y = torch.arange(8).reshape(2, 4) % N_CLASSES
    call = torch.tensor(np.random.default_rng(4).uniform(0.5, 2.0, shape))
    for loss in (sy.losses.focal(), sy.losses.weighted_cross_entropy(W, weight_by="prediction")):
        ours = sy.torch.linear_loss(loss, x, w, y, b, class_weight=call, workspace=1)
        plain = loss(x @ w.T + b, y, class_weight=call, class_axis=-1)
        assert ours.item() == pytest.approx(plain.item(), rel=1e-12)
        close(gradients(ours, x, w), gradients(plain, x, w))


def test_a_row_of_ignore_index_may_hold_nan() -> None:
    x, w, b, y = problem()
    loss = PAIRED["VS"][0].replace(ignore_index=-100)
    kept = torch.arange(8) != 3
    want = sy.torch.linear_loss(loss, x, w, y, b, denominator="rows", sample_weight=kept)
    broken = torch.where(kept[:, None], x.detach(), torch.nan).requires_grad_()
    got = sy.torch.linear_loss(loss, broken, w, torch.where(kept, y, -100), b, denominator=8.0)
    assert got.item() == pytest.approx(want.item(), rel=1e-12)
    close(gradients(got, broken, w, b), gradients(want, x, w, b))
    nothing = sy.torch.linear_loss(loss, broken, w, torch.full((8,), -100), b)
    assert nothing.item() == 0.0
    assert all((g == 0.0).all() for g in gradients(nothing, broken, w, b))


@pytest.mark.parametrize("frozen", [(0,), (1, 2), (0, 2)])
def test_only_what_asks_for_a_gradient_gets_one(frozen: tuple[int, ...]) -> None:
    *inputs, y = problem()
    inputs = [t.detach().requires_grad_(i not in frozen) for i, t in enumerate(inputs)]
    asked = [t for t in inputs if t.requires_grad]
    x, w, b = inputs
    loss = PAIRED["focal"][0]
    for reduction in ("mean", "none"):
        ours = sy.torch.linear_loss(loss.replace(reduction=reduction), x, w, y, b).sum()
        plain = loss.replace(reduction=reduction)(x @ w.T + b, y).sum()
        close(gradients(ours, *asked), gradients(plain, *asked))


# --- one batch, or its pieces -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["weighted", "VS", "by prediction"])
def test_micro_batches_with_the_denominator_of_all_are_one_batch(name: str) -> None:
    loss = PAIRED[name][0]
    x, w, b, y = problem(rows=11)
    whole = gradients(sy.torch.linear_loss(loss, x, w, y, b), w, b)
    layer = sy.torch.LinearLoss(loss, WIDTH, N_CLASSES).double()
    layer.weight.data, layer.bias.data = w.detach(), b.detach()
    pieces = [slice(0, 4), slice(4, 4), slice(4, 11)]  # one of them empty
    total = sum(layer.numerator_and_denominator(x[p], y[p])[1].item() for p in pieces)
    for p in pieces:
        layer(x[p].detach(), y[p], denominator=total).backward()
    close([layer.weight.grad.numpy(), layer.bias.grad.numpy()], whole)
    layer.zero_grad()
    sums = [layer.numerator_and_denominator(x[p].detach(), y[p]) for p in pieces]
    (sum(n for n, _ in sums) / sum(d for _, d in sums)).backward()
    close([layer.weight.grad.numpy(), layer.bias.grad.numpy()], whole)


class Largest(TorchDispatchMode):
    """The largest tensor that any operation gives."""

    elements = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        for t in out if isinstance(out, (tuple, list)) else [out]:
            if isinstance(t, torch.Tensor):
                self.elements = max(self.elements, t.untyped_storage().nbytes() // t.element_size())
        return out


def test_logits_of_all_rows_never_exist() -> None:
    n, d, c = 512, 8, 300
    x, w, y = torch.randn(n, d), torch.randn(c, d), torch.arange(n) % c
    workspace = 32 * c * 4 * torch_chunks._LIVE
    call = torch_chunks.Call(x, w, None, y, None, [], "", "target", None, 1, workspace, "auto")
    with Largest() as seen:
        torch_chunks.chunked(call, None, torch_chunks.Wanted(True, True, False))
    assert seen.elements == 32 * c  # one chunk's
    assert 32 * c < n * c / 10


# --- dtypes -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_errors_are_no_larger_than_those_of_the_plain_path(dtype: torch.dtype) -> None:
    rng = np.random.default_rng(5)
    n, d, c = 96, 32, 200
    x, w = (torch.tensor(0.5 * rng.normal(size=s), dtype=dtype, requires_grad=True) for s in ((n, d), (c, d)))
    y = torch.tensor(rng.integers(0, c, n))
    loss = sy.losses.logit_adjusted(rng.integers(1, 1000, c), gamma=1.5, class_weight=rng.uniform(0.5, 2.0, c))
    exact_x, exact_w = (t.detach().double().requires_grad_() for t in (x, w))
    exact = loss(exact_x @ exact_w.T, y)
    want = gradients(exact, exact_x, exact_w)
    errors = []
    for value in (sy.torch.linear_loss(loss, x, w, y, workspace=2**16), loss(x @ w.T, y)):
        got = gradients(value, x, w)
        errors.append(
            [abs(value.item() - exact.item()), *(np.linalg.norm(a - b) for a, b in zip(got, want, strict=True))]
        )
    ours, plain = np.array(errors)
    # a bound of its own, where the plain path happens to round luckily
    rounding = 2.0 * torch.finfo(dtype).eps * np.array([exact.item(), *(np.linalg.norm(g) for g in want)])
    assert (ours <= np.maximum(plain, rounding)).all()


def test_autocast_does_not_round_the_gradient_of_float32_weights() -> None:
    x, w, b, y = problem(rows=64, dtype=torch.float32)
    loss = PAIRED["VS"][0]
    with torch.autocast("cpu", torch.bfloat16):
        value = sy.torch.linear_loss(loss, x, w, y, b)
    assert value.dtype == torch.float32
    rounded = [t.detach().to(torch.bfloat16).double().requires_grad_() for t in (x, w)]
    exact = loss(rounded[0] @ rounded[1].T + b.detach().double(), y)
    assert value.item() == pytest.approx(exact.item(), rel=1e-6)
    got, want = gradients(value, w)[0], gradients(exact, rounded[1])[0]
    assert np.linalg.norm(got - want) < 1e-6 * np.linalg.norm(want)  # 16 bits would leave 2e-3


def test_small_losses_are_exact() -> None:
    x = torch.tensor([[30.0, 0.0]])
    w = torch.eye(2)
    value = sy.torch.linear_loss(sy.losses.cross_entropy(), x, w, torch.tensor([0]))
    assert value.item() == pytest.approx(np.log1p(np.exp(-30.0)), rel=1e-6)


# --- derivatives of derivatives, compilation --------------------------------------------------------------------


@pytest.mark.parametrize("reduction", ["mean", "none"])
def test_first_and_second_derivatives(reduction: str) -> None:
    loss = softmax_point("target", compensation=0.0, ignore_index=-1, reduction=reduction)
    rng = np.random.default_rng(6)
    inputs = [torch.tensor(rng.normal(size=s), requires_grad=True) for s in ((5, 3), (4, 3), (4,))]
    y = torch.tensor([0, 2, -1, 3, 1])

    def call(x: Any, w: Any, b: Any) -> Any:
        return sy.torch.linear_loss(loss, x, w, y, b, workspace=1).double()

    assert torch.autograd.gradcheck(call, inputs)
    assert torch.autograd.gradgradcheck(call, inputs)


@pytest.fixture
def fresh() -> Iterator[None]:
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


@pytest.mark.usefixtures("fresh")
def test_one_compiled_graph_for_every_loss_of_the_family() -> None:
    layer = sy.torch.LinearLoss(sy.losses.cross_entropy(), WIDTH, N_CLASSES).double()
    counter = CompileCounter()
    call = torch.compile(layer, backend=counter, fullgraph=True)
    x, _, _, y = problem()
    for name, (loss, parameters) in SWITCHABLE.items():
        layer.assign(loss)
        layer.zero_grad()
        value = call(x, y)
        value.backward()
        w_, x_ = layer.weight.detach().numpy(), x.detach().numpy()
        want, g = expected(parameters, layer.logits(x).detach().numpy(), y.numpy())
        assert value.item() == pytest.approx(want, rel=1e-12), name
        close([layer.weight.grad.numpy(), x.grad.numpy()], [g.T @ x_, g @ w_])
        x.grad = None
    assert counter.frame_count == 1


@pytest.mark.usefixtures("fresh")
def test_ahead_of_time_autograd() -> None:
    layer = sy.torch.LinearLoss(PAIRED["focal"][0], WIDTH, N_CLASSES).double()
    x, _, _, y = problem()
    plain, compiled = layer(x, y), torch.compile(layer, backend="aot_eager", fullgraph=True)(x, y)
    assert compiled.item() == pytest.approx(plain.item(), rel=1e-12)
    close(gradients(compiled, x, layer.weight), gradients(plain, x, layer.weight))


# --- the layer --------------------------------------------------------------------------------------------------


def test_the_layer_is_a_linear_layer_and_a_loss() -> None:
    torch.manual_seed(0)
    linear = torch.nn.Linear(WIDTH, N_CLASSES)
    torch.manual_seed(0)
    layer = sy.torch.LinearLoss(PAIRED["logit adjusted"][0], WIDTH, N_CLASSES)
    assert torch.equal(layer.weight, linear.weight)
    assert torch.equal(layer.bias, linear.bias)
    x = torch.randn(4, WIDTH)
    assert torch.equal(layer.logits(x), linear(x))
    np.testing.assert_allclose(layer.posterior(x).detach(), layer.loss.posterior(linear(x)).detach(), rtol=1e-6)
    assert sorted(n for n, _ in layer.named_parameters()) == ["bias", "weight"]
    other = sy.torch.LinearLoss(sy.losses.cross_entropy(), WIDTH, N_CLASSES)
    other.load_state_dict(layer.state_dict())
    y = torch.arange(4) % N_CLASSES
    assert other(x, y).item() == layer(x, y).item()
    assert layer.half().criterion.logit_offset.dtype == torch.float64
    assert sy.torch.LinearLoss(sy.losses.cross_entropy(), WIDTH, N_CLASSES, bias=False).bias is None


def test_tied_to_an_embedding() -> None:
    embedding = torch.nn.Embedding(N_CLASSES, WIDTH)
    layer = sy.torch.LinearLoss(sy.losses.cross_entropy(), WIDTH, N_CLASSES, bias=False)
    layer.weight = embedding.weight
    tokens = torch.tensor([[0, 1, 2]])
    layer(embedding(tokens), tokens).backward()
    plain = torch.nn.Embedding.from_pretrained(embedding.weight.detach().clone(), freeze=False)
    F.cross_entropy((plain(tokens) @ plain.weight.T).flatten(0, 1), tokens.flatten()).backward()
    close([embedding.weight.grad.numpy()], [plain.weight.grad.numpy()], rtol=1e-4)


# --- what is refused --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"hidden": torch.zeros(8, 4, dtype=torch.float64)}, r"`hidden` of shape \(\.\.\., 5\)"),
        ({"hidden": torch.zeros(8, 5)}, "dtype of `weight`"),
        ({"targets": torch.full((8,), 3)}, r"targets in \[0, 2\]; got 3 at row 0"),
        ({"targets": torch.zeros(7, dtype=torch.int64)}, "targets of shape"),
        ({"targets": torch.zeros(8)}, "integer targets"),
        ({"bias": torch.zeros(2)}, "`bias` of shape"),
        ({"workspace": 0}, "`workspace` in bytes"),
        ({"kernel": "fussed"}, "did you mean 'fused'"),
        ({"kernel": "fused"}, "CUDA"),
        ({"sample_weight": torch.full((8,), -1.0)}, "`sample_weight` ≥ 0"),
        ({"sample_weight": torch.ones(8, requires_grad=True)}, "asks for no gradient"),
        ({"class_weight": torch.ones(2)}, "`class_weight` of shape"),
        ({"denominator": "row"}, "did you mean 'rows'"),
        ({"loss": sy.losses.binary_cross_entropy()}, "softmax family"),
        ({"loss": sy.losses.weighted_cross_entropy([1.0, 2.0])}, "logits of 2 classes"),
        ({"hidden": torch.full((8, 5), torch.nan, dtype=torch.float64)}, "finite `hidden`"),
    ],
)
def test_what_does_not_fit_is_said(changes: dict[str, Any], message: str) -> None:
    x, w, b, y = problem()
    arguments = {"loss": sy.losses.cross_entropy(), "hidden": x, "weight": w, "targets": y, "bias": b, **changes}
    with pytest.raises(InputError, match=message):
        sy.torch.linear_loss(**arguments)
