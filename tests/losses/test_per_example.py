"""Seesaw, equalization, GCL, Poly-1 and label-aware smoothing, against their papers' formulas in plain PyTorch."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

import steelyard as sy
from steelyard.errors import InputError

COUNTS = np.array([500, 120, 30, 4])


def batch(seed=0, n=32):
    rng = np.random.default_rng(seed)
    return torch.tensor(rng.normal(0, 2, (n, 4)), requires_grad=True), torch.tensor(rng.integers(0, 4, n))


def same(ours, theirs, z):
    a, b = (torch.autograd.grad(loss, z, retain_graph=True)[0] for loss in (ours, theirs))
    assert ours.item() == pytest.approx(theirs.item(), rel=1e-12)
    torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-14)


def test_seesaw_is_its_factors():
    """Wang et al.: S_ij = M_ij C_ij multiplies e^{z_j}; scores in C_ij are constants."""
    z, y = batch()
    n = torch.tensor(COUNTS, dtype=torch.float64)
    mitigation = torch.clamp((n[None, :] / n[:, None]) ** 0.8, max=1.0)[y]
    sigma = z.detach().softmax(1)
    compensation = torch.clamp(sigma / sigma.gather(1, y[:, None]), min=1.0) ** 2.0
    theirs = F.cross_entropy(z + torch.log(mitigation * compensation), y)
    same(sy.losses.seesaw(COUNTS)(z, y), theirs, z)


def test_equalization_is_its_weights_in_the_denominator():
    z, y = batch(1)
    rng = np.random.default_rng(3)
    offset = sy.losses.equalization_offset(COUNTS, y.numpy(), rng, rate=0.7, threshold=0.1)
    left_out = torch.tensor(offset) < 0
    assert set(np.unique(offset)) == {-1e4, 0.0}
    e = z.exp()
    w = 1.0 - left_out.double()
    theirs = -torch.log(e.gather(1, y[:, None])[:, 0] / (w * e).sum(1)).mean()
    same(sy.losses.cross_entropy()(z, y, logit_offset=torch.tensor(offset)), theirs, z)
    assert not left_out[torch.arange(len(y)), y].any()
    assert not left_out[:, COUNTS / COUNTS.sum() >= 0.1].any()
    # the mean of what is drawn is what the recipe has
    many = sy.losses.equalization_offset(COUNTS, np.zeros(40_000, int), rng, rate=0.7, threshold=0.1)
    mean = sy.losses.equalization(COUNTS, rate=0.7, threshold=0.1)
    np.testing.assert_allclose(1 - (many < 0).mean(0), np.exp(mean.pairwise_offset[0]), atol=4 * 0.5 / 200)


def test_gcl_is_a_cosine_less_its_cloud():
    z, y = batch(2)
    cosine = torch.tanh(z)
    m = np.log(COUNTS.max()) - np.log(COUNTS)
    rng = np.random.default_rng(0)
    offset = sy.losses.gcl_offset(COUNTS, len(y), rng, std=1 / 3, scale=30.0)
    noise = np.clip(np.abs(np.random.default_rng(0).normal(0, 1 / 3, (len(y), 4))), 0, 1)
    theirs = F.cross_entropy(30.0 * (cosine - torch.tensor(noise / m.max() * m)), y)
    ours = sy.losses.gcl(COUNTS, std=0.0)(cosine, y, logit_offset=torch.tensor(offset))
    same(ours, theirs, z)
    mean = sy.losses.gcl(COUNTS).logit_offset
    drawn = sy.losses.gcl_offset(COUNTS, 40_000, rng).mean(0)
    # 1 − 0.9973 of the draws are cut at three standard deviations
    np.testing.assert_allclose(drawn, mean, rtol=5e-3, atol=0.05)


@pytest.mark.parametrize("gamma", [0.0, 2.0])
@pytest.mark.parametrize("coefficient", [-0.6, 1.5])
def test_poly1_is_the_formula_of_its_paper(coefficient, gamma):
    z, y = batch(3)
    p = z.softmax(1).gather(1, y[:, None])[:, 0]
    theirs = ((1 - p) ** gamma * -torch.log(p) + coefficient * (1 - p) ** (gamma + 1)).mean()
    same(sy.losses.poly1(coefficient, gamma)(z, y), theirs, z)


def test_poly1_is_optax_on_soft_targets():
    import jax.numpy as jnp
    import optax

    rng = np.random.default_rng(0)
    z, t = rng.normal(0, 2, (8, 4)), rng.dirichlet(np.ones(4), 8)
    expected = optax.losses.poly_loss_cross_entropy(
        jnp.asarray(z, jnp.float32), jnp.asarray(t, jnp.float32), epsilon=1.2
    )
    np.testing.assert_allclose(sy.losses.poly1(1.2, reduction="none")(z, t), expected, rtol=1e-5)


def test_label_aware_smoothing_smooths_each_class_by_its_own():
    z, y = batch(4)
    n = torch.tensor(COUNTS, dtype=torch.float64)
    eps = 0.05 + (0.4 - 0.05) * torch.sin((n - n.min()) * np.pi / (2 * (n.max() - n.min())))
    logp = z.log_softmax(1)
    smoothing = eps[y]
    theirs = (-(1 - smoothing) * logp.gather(1, y[:, None])[:, 0] - smoothing * logp.mean(1)).mean()
    same(sy.losses.class_aware_smoothing(COUNTS, head=0.4, tail=0.05)(z, y), theirs, z)


def test_one_number_for_all_classes_is_plain_smoothing():
    z, y = batch(5)
    same(sy.losses.cross_entropy(label_smoothing=[0.2] * 4)(z, y), F.cross_entropy(z, y, label_smoothing=0.2), z)


@pytest.mark.parametrize(
    "loss",
    [
        sy.losses.poly1(2.5, class_weight=[1.0, 2.0, 4.0, 8.0]),
        sy.losses.poly1(-0.5, gamma=1.5),
        sy.losses.class_aware_smoothing(COUNTS, head=0.2, tail=0.05),
        sy.losses.equalization(COUNTS, rate=0.5),
    ],
)
def test_the_posterior_is_recovered(loss):
    """Trained on the population at one point, the logits give η back."""
    from scipy.optimize import minimize

    eta = np.array([0.5, 0.25, 0.15, 0.1])
    total = loss.replace(reduction="sum")

    def risk(z):
        rows = np.tile(z, (4, 1))
        return float(eta @ total.value(rows, np.arange(4))), eta @ loss.gradient(rows, np.arange(4))

    found = minimize(risk, np.zeros(4), jac=True, options={"gtol": 1e-11})
    np.testing.assert_allclose(loss.posterior(found.x[None])[0], eta, atol=1e-6)


def test_seesaw_has_a_fixed_point_that_gives_the_posterior_back():
    loss = sy.losses.seesaw(COUNTS, q=0.5)
    eta, z = np.array([0.5, 0.25, 0.15, 0.1]), np.zeros(4)
    for _ in range(20_000):
        z -= 0.5 * (eta @ loss.gradient(np.tile(z, (4, 1)), np.arange(4)))
    np.testing.assert_allclose(loss.posterior(z[None])[0], eta, atol=1e-6)


@given(seed=st.integers(0, 1000))
@settings(max_examples=20, deadline=None)
def test_offsets_of_a_call_add_to_those_of_the_loss(seed):
    rng = np.random.default_rng(seed)
    z, y = rng.normal(size=(6, 4)), rng.integers(0, 4, 6)
    fixed, drawn = rng.normal(size=4), rng.normal(size=(6, 4))
    loss = sy.losses.SoftmaxCrossEntropy(logit_offset=fixed, reduction="none")
    expected = sy.losses.cross_entropy(reduction="none")(z + fixed + drawn, y)
    np.testing.assert_allclose(loss(z, y, logit_offset=drawn), expected, rtol=1e-12)
    shared = loss(z, y, logit_offset=drawn[0])
    np.testing.assert_allclose(shared, sy.losses.cross_entropy(reduction="none")(z + fixed + drawn[0], y), rtol=1e-12)
    n, d = loss.numerator_and_denominator(z, y, logit_offset=drawn)
    assert n == pytest.approx(expected.sum())
    assert d == 6


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: sy.losses.equalization(COUNTS, rate=1.0), r"`rate` in \[0, 1\)"),
        (lambda: sy.losses.equalization_offset(COUNTS, [0.5], np.random.default_rng(0)), "integer `targets`"),
        (lambda: sy.losses.gcl(COUNTS, std=-1.0), "`std`"),
        (lambda: sy.losses.class_aware_smoothing(COUNTS, head=1.0), "`head` and `tail`"),
        (lambda: sy.losses.poly1(-1.0), r"`poly_coefficient` in \(-1"),
        (
            lambda: sy.losses.cross_entropy()(np.zeros((2, 4)), [0, 1], logit_offset=np.zeros((2, 3))),
            "`logit_offset` of",
        ),
        (
            lambda: sy.losses.zlpr()(np.zeros((2, 2)), np.zeros((2, 2)), logit_offset=np.zeros(2)),
            "a loss that has a `logit_offset`",
        ),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(InputError, match=message):
        call()
