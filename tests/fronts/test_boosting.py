"""Objectives for boosting libraries: derivatives, starting scores, extremes; each library's own tests stand beside."""

import numpy as np
import pytest

import steelyard as sy
from steelyard.boosting import weights_and_offsets
from steelyard.boosting.own_objective import one_logit
from steelyard.errors import InputError
from tests.fronts.boosters import losses, softmax

FRONTS = ("lightgbm", "xgboost", "catboost")
NAMES = tuple(losses(2))


def objective(front, loss, n_classes, **later):
    return getattr(sy.boosting, front)(loss, n_classes, **later)


def labels(loss, y, n_classes):
    if not loss.dense_targets:
        return y
    return y.astype(float) if n_classes == 2 else np.eye(n_classes)[y]


def total(front, loss, raw, y, n_classes):
    v = loss.value(objective(front, loss, n_classes).logits(raw), labels(loss, y, n_classes))
    return v.reshape(len(y), -1).sum(1)


@pytest.mark.parametrize("n_classes", [2, 4])
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("front", FRONTS)
def test_gradient_is_the_derivative_of_the_value(front, name, n_classes):
    loss, rng = losses(n_classes)[name], np.random.default_rng(0)
    y = np.arange(12) % n_classes
    raw = rng.normal(size=(12,) if n_classes == 2 else (12, n_classes)) * 3
    s = rng.uniform(0.5, 2.0, 12)
    g, h = objective(front, loss, n_classes).gradient_and_curvature(raw, y, s)
    assert g.shape == h.shape == raw.shape
    assert (h > 0).all()
    step = 1e-6
    for j in range(1 if n_classes == 2 else n_classes):
        e = np.full(12, step) if n_classes == 2 else step * np.eye(n_classes)[j]
        up, down = (total(front, loss, raw + sign * e, y, n_classes) for sign in (1, -1))
        numeric = s * (up - down) / (2 * step)
        np.testing.assert_allclose(g if n_classes == 2 else g[:, j], numeric, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("front", FRONTS)
def test_curvature_bounds_the_second_derivative(front, name):
    loss, n_classes = losses(4)[name], 4
    rng = np.random.default_rng(1)
    y, raw = np.arange(40) % 4, rng.normal(size=(40, 4)) * 3
    _, h = objective(front, loss, n_classes).gradient_and_curvature(raw, y)
    for j in range(4):
        e = 1e-5 * np.eye(4)[j]
        up, down = (objective(front, loss, 4).gradient_and_curvature(raw + sign * e, y)[0][:, j] for sign in (1, -1))
        assert (h[:, j] >= (up - down) / 2e-5 - 1e-7).all()


@pytest.mark.parametrize("front", FRONTS)
def test_the_page_of_each_objective_says_that_its_curvature_is_a_bound(front):
    assert "The curvature is a positive bound" in (type(objective(front, sy.losses.focal(), 2)).__doc__ or "")


@pytest.mark.parametrize("n_classes", [2, 4])
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("front", FRONTS)
def test_extreme_scores_give_finite_derivatives_that_are_not_dead(front, name, n_classes):
    loss = losses(n_classes)[name]
    for size in (40.0, 1e4):  # 40: where imbalance-xgboost overflows
        for sign in (-1, 1):
            y = np.array([1, 1])
            # a confident mistake: everything against the truth
            raw = np.array([-sign * size, sign * size]) if n_classes == 2 else np.zeros((2, n_classes))
            if n_classes > 2:
                raw[0, 1], raw[1, 1], raw[1, 0] = -size, -size, size
            for dtype in (np.float32, np.float64):
                g, h = objective(front, loss, n_classes).gradient_and_curvature(raw.astype(dtype), y)
                assert np.isfinite(g).all()
                assert (h > 0).all()
                assert np.isfinite(h).all()
                mistake = g[int(sign < 0)] if n_classes == 2 else g[1, 1]
                assert mistake < -0.05


@pytest.mark.parametrize("front", FRONTS)
def test_a_column_of_scores_is_not_paired_with_every_label(front):
    # LibAUC's focal broadcasts (N,) against (N, 1)
    g, h = objective(front, sy.losses.focal(), 2).gradient_and_curvature(np.zeros((5, 1)), np.zeros(5, int))
    assert g.shape == h.shape == (5,)


@pytest.mark.parametrize("n_classes", [2, 4])
@pytest.mark.parametrize("name", ["cross-entropy", "weighted", "logit adjusted", "LDAM", "pairwise"])
def test_some_losses_are_the_own_objective_at_weights_and_offsets(name, n_classes):
    loss, rng = losses(n_classes)[name], np.random.default_rng(2)
    y = np.arange(20) % n_classes
    raw = rng.normal(size=20 if n_classes == 2 else (20, n_classes))
    w, o = weights_and_offsets(loss, y, n_classes)
    w, o = 1.0 if w is None else w, 0.0 if o is None else o
    front = objective("xgboost", loss, n_classes)
    g, h = front.gradient_and_curvature(raw, y)
    if n_classes == 2:
        q = 1 / (1 + np.exp(-(raw + o)))
        np.testing.assert_allclose(g, w * (q - y), rtol=1e-12)
        np.testing.assert_allclose(h, w * q * (1 - q), rtol=1e-12)
    else:
        q = softmax(raw + o)
        w = np.broadcast_to(w, 20)[:, None]
        np.testing.assert_allclose(g, w * (q - np.eye(4)[y]), rtol=1e-12)
        np.testing.assert_allclose(h, w * 2 * q * (1 - q), rtol=1e-12)


@pytest.mark.parametrize("name", NAMES[:8])
def test_two_classes_take_one_logit_and_give_the_derivatives_of_two(name):
    loss, rng = losses(2)[name], np.random.default_rng(4)
    y, raw = rng.integers(0, 2, 50), rng.normal(size=50) * 4
    assert one_logit(loss) is not None
    g, h = objective("xgboost", loss, 2).gradient_and_curvature(raw, y)
    z = np.stack([np.zeros(50), raw], 1)
    np.testing.assert_allclose(g, loss.gradient(z, y)[:, 1], rtol=1e-10)
    np.testing.assert_allclose(h, loss.curvature(z, y)[:, 1], rtol=1e-10)


@pytest.mark.parametrize("name", ["VS", "focal", "smoothed", "sigmoid"])
def test_the_others_are_not(name):
    assert weights_and_offsets(losses(2)[name], np.array([0, 1]), 2) is None


@pytest.mark.parametrize("n_classes", [2, 4])
@pytest.mark.parametrize("name", NAMES)
def test_initial_score_is_where_the_posterior_is_the_shares(name, n_classes):
    counts = np.array([700, 200, 70, 30])[:n_classes]
    front = objective("lightgbm", losses(n_classes)[name], n_classes)
    score = front.initial_score(counts)
    assert front.start(counts, 5).shape == ((5,) if n_classes == 2 else (5, n_classes))
    np.testing.assert_allclose(front.posterior(score[None])[0], counts / counts.sum(), atol=1e-6)


def test_initial_score_where_weights_depend_on_the_prediction():
    for weight_by, w in (("prediction", [1.0, 4.0, 2.0]), ("pair", np.arange(1.0, 10.0).reshape(3, 3))):
        loss = sy.losses.SoftmaxCrossEntropy(class_weight=w, weight_by=weight_by)
        front = sy.boosting.xgboost(loss)
        assert front.n_classes == 3
        score = front.initial_score([70, 20, 10])
        np.testing.assert_allclose(front.posterior(score[None])[0], [0.7, 0.2, 0.1], atol=1e-6)


def test_initial_score_by_hand():
    # weighted: log(w₁ n₁ / w₀ n₀); logit adjustment: log(n₁/n₀) − log(π₁/π₀) = 0
    weighted = sy.boosting.lightgbm(sy.losses.weighted_cross_entropy([1.0, 3.0]))
    np.testing.assert_allclose(weighted.initial_score([900, 100]), [np.log(300 / 900)], atol=1e-8)
    adjusted = sy.boosting.catboost(sy.losses.logit_adjusted([900, 100]))
    np.testing.assert_allclose(adjusted.initial_score([900, 100]), [0.0], atol=1e-8)
    several = sy.boosting.xgboost(sy.losses.cross_entropy(), n_classes=3).initial_score([70, 20, 10])
    np.testing.assert_allclose(softmax(several[None])[0], [0.7, 0.2, 0.1], atol=1e-8)


def test_number_of_classes_is_that_of_the_loss():
    assert sy.boosting.lightgbm(sy.losses.focal()).n_classes == 2
    assert sy.boosting.lightgbm(sy.losses.logit_adjusted([5, 3, 2])).n_classes == 3


@pytest.mark.parametrize("front", FRONTS)
def test_bad_input(front):
    make = getattr(sy.boosting, front)
    with pytest.raises(InputError, match="a SoftmaxCrossEntropy or SigmoidCrossEntropy; got str"):
        make("focal")
    with pytest.raises(InputError, match="`n_classes` ≥ 2"):
        make(sy.losses.cross_entropy(), n_classes=1)
    with pytest.raises(InputError, match="a loss for 2 classes, as n_classes says; got `class_weight` for 3"):
        make(sy.losses.weighted_cross_entropy([1.0, 2.0, 3.0]), n_classes=2)
    with pytest.raises(InputError, match="counts of 3 classes"):
        make(sy.losses.cross_entropy(), n_classes=3).initial_score([1, 2])
    with pytest.raises(InputError, match="`later` and `after` together"):
        make(sy.losses.cross_entropy(), later=sy.losses.focal())
    with pytest.raises(InputError, match="`later` of the family of `loss`, SoftmaxCrossEntropy"):
        make(sy.losses.cross_entropy(), later=sy.losses.binary_cross_entropy(), after=3)
    with pytest.raises(InputError, match="`after` ≥ 0"):
        make(sy.losses.cross_entropy(), later=sy.losses.focal(), after=-1)


@pytest.mark.parametrize("front", FRONTS)
def test_two_labels_are_not_two_classes(front):
    with pytest.raises(InputError, match="one label: two classes have one score; got `pos_weight` for 2 labels"):
        getattr(sy.boosting, front)(sy.losses.binary_cross_entropy([1.0, 3.0]))
