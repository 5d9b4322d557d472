import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

import steelyard as sy
from steelyard import sampling, training
from steelyard.errors import InputError
from steelyard.training import linear, linear_objective, newton, quasi_newton
from steelyard.training.linear_objective import Objective


def data(n_classes, n=600, d=6, seed=0):
    rng = np.random.default_rng(seed)
    priors = np.array([0.9, 0.1]) if n_classes == 2 else np.array([0.75, 0.15, 0.1])
    y = np.sort(rng.choice(n_classes, size=n, p=priors))
    X = rng.normal(size=(n, d)) @ rng.normal(size=(d, d)) + rng.normal(size=(n_classes, d))[y]
    return (X - X.mean(0)) / X.std(0), y


def counts(y):
    return sy.ClassCounts.from_labels(y)


def peer(X, y, class_weight=None, C=1.0):
    return LogisticRegression(C=C, class_weight=class_weight, tol=1e-12, max_iter=50_000).fit(X, y)


def centred(z):
    return z - z.mean(1, keepdims=True)


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("penalty", [1.0, 0.05])
def test_none_is_scikit_learns_logistic_regression(n_classes, penalty):
    X, y = data(n_classes)
    model = linear.fit(X, y, sy.losses.cross_entropy(), n_classes, penalty=penalty)
    theirs = peer(X, y, C=1.0 / penalty)
    assert model.converged
    if n_classes == 2:
        np.testing.assert_allclose(model.weights[:, 1] - model.weights[:, 0], theirs.coef_[0], atol=2e-4)
    else:
        np.testing.assert_allclose(model.weights, theirs.coef_.T, atol=2e-4)
    ours = sy.losses.cross_entropy().posterior(model.logits(X))
    np.testing.assert_allclose(ours, theirs.predict_proba(X), atol=2e-5)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_balanced_is_scikit_learns_class_weight_balanced(n_classes):
    """Balanced weights have mean one over the rows, so that the mean and the sum penalise alike."""
    X, y = data(n_classes)
    point = sy.strategies.get("balanced").resolve(counts(y))
    z = linear.fit(X, y, point.loss, n_classes).logits(X)
    p = np.exp(z) / np.exp(z).sum(1, keepdims=True)
    np.testing.assert_allclose(p, peer(X, y, "balanced").predict_proba(X), atol=2e-5)


def test_the_scale_of_the_weights_changes_nothing():
    X, y = data(3)
    w = np.array([1.0, 4.0, 7.0])
    one = linear.fit(X, y, sy.losses.weighted_cross_entropy(w), 3)
    ten = linear.fit(X, y, sy.losses.weighted_cross_entropy(10 * w), 3)
    np.testing.assert_allclose(one.weights, ten.weights, atol=1e-5)


def test_a_row_drawn_k_times_is_a_row_of_weight_k_and_no_new_evidence():
    X, y = data(2, n=200)
    times = np.random.default_rng(0).integers(1, 4, size=len(y))
    rows = np.repeat(np.arange(len(y)), times)
    weighted = linear.fit(X, y, sy.losses.cross_entropy(), 2, sample_weight=times)
    # the same rows written out, with the penalty of the original number of rows
    repeated = linear.fit(X[rows], y[rows], sy.losses.cross_entropy(), 2, penalty=len(rows) / len(y))
    np.testing.assert_allclose(weighted.weights, repeated.weights, atol=1e-5)


def test_rows_of_weight_zero_are_absent():
    X, y = data(2)
    keep = np.arange(len(y)) % 3 > 0
    zeroed = linear.fit(X, y, sy.losses.cross_entropy(), 2, sample_weight=keep.astype(float))
    absent = linear.fit(X[keep], y[keep], sy.losses.cross_entropy(), 2)
    np.testing.assert_array_equal(zeroed.weights, absent.weights)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_the_bias_absorbs_the_offset_of_logit_adjustment(n_classes):
    """What strategies.logits says of linear models: the fit of none, decided post hoc."""
    X, y = data(n_classes)
    adjusted = sy.strategies.get("logit_adjusted").resolve(counts(y))
    post_hoc = sy.strategies.get("post_hoc_logit_adjustment").resolve(counts(y))
    za = linear.fit(X, y, adjusted.loss, n_classes).logits(X)
    zp = linear.fit(X, y, post_hoc.loss, n_classes).logits(X)
    np.testing.assert_allclose(adjusted.posterior(za), post_hoc.posterior(zp), atol=1e-5)
    assert (adjusted.decide(za) == post_hoc.decide(zp)).mean() > 0.998


def trained_on(X, y, point):
    """Rows and weights that a strategy trains on: what `training.fit` draws from the same generator."""
    state = int(np.random.default_rng(0).integers(2**32))
    generator = np.random.default_rng([state, 2])
    if point.sampler == "smote":
        made, labels = sampling.smote(X, y, generator)
        X, y = np.concatenate([X, made]), np.concatenate([y, labels])
        return X, y, np.ones(len(y))
    if point.sampler == "balanced_batches":
        return X, y, (len(y) / (len(np.unique(y)) * np.bincount(y)))[y]
    if point.sampler is not None:
        return X, y, np.bincount(sampling.rows(point.sampler, y, generator), minlength=len(y)).astype(float)
    return X, y, np.ones(len(y))


@pytest.mark.parametrize("name", sy.strategies.names())
@pytest.mark.parametrize("n_classes", [2, 3])
def test_every_strategy_reaches_a_stationary_point(name, n_classes):
    X, y = data(n_classes)
    point = training.resolve("linear", sy.strategies.get(name), counts(y))
    fitted = training.fit("linear", X, y, point, n_classes, np.random.default_rng(0))
    assert fitted.trouble is None
    X, y, s = trained_on(X, y, point)
    model, loss = fitted.model, point.last_loss
    z = model.logits(X)
    total = loss.numerator_and_denominator(z, y, s)[1]
    g = loss.gradient(z, y) * (s / total)[:, None]
    strength = (2.0 if n_classes == 2 else 1.0) / (s > 0).sum()
    np.testing.assert_allclose(X.T @ g + strength * model.weights, 0.0, atol=1e-4)
    # the tolerance of a fit is on the gradient in its own basis, in which a bias is scaled
    np.testing.assert_allclose(g.sum(0), 0.0, atol=5e-5)


def test_the_start_changes_the_steps_and_not_the_fit():
    X, y = data(3)
    loss = sy.losses.cross_entropy()
    cold = linear.fit(X[::2], y[::2], loss, 3)
    warm = linear.fit(X[::2], y[::2], loss, 3, start=linear.fit(X, y, loss, 3))
    assert linear.fit(X[::2], y[::2], loss, 3, start=cold).steps < cold.steps / 3
    np.testing.assert_allclose(centred(warm.logits(X)), centred(cold.logits(X)), atol=1e-3)
    focal = sy.losses.focal(2.0)
    away = linear.LinearModel(np.full((6, 3), 5.0), np.ones(3), True, 0, 0.0)
    np.testing.assert_array_equal(linear.fit(X, y, focal, 3, start=away).weights, linear.fit(X, y, focal, 3).weights)


def test_the_same_fit_twice_is_the_same_to_the_bit():
    X, y = data(3)
    a, b = (linear.fit(X, y, sy.losses.focal(2.0), 3) for _ in range(2))
    np.testing.assert_array_equal(a.weights, b.weights)


LOSSES = {
    "none": lambda n: sy.losses.cross_entropy(),
    "weighted": lambda n: sy.losses.weighted_cross_entropy(n.sum() / n),
    "logit adjusted": lambda n: sy.losses.logit_adjusted(n),
    "scaled and shifted": lambda n: sy.losses.vector_scaling(n),
    "focal": lambda n: sy.losses.focal(2.0, class_weight=n.sum() / n),
    "margins, smoothed": lambda n: sy.losses.ldam(n).replace(logit_scale=None, margin=n**-0.25, label_smoothing=0.1),
    "pairwise": lambda n: sy.losses.SoftmaxCrossEntropy(pairwise_offset=np.log(n)[None, :] - np.log(n)[:, None]),
}


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("name", LOSSES)
def test_both_solvers_reach_the_same_optimum(monkeypatch, name, n_classes):
    X, y = data(n_classes)
    loss = LOSSES[name](np.bincount(y))
    by_newton = linear.fit(X, y, loss, n_classes)
    monkeypatch.setattr(linear, "_NEWTON", 0)
    monkeypatch.setattr(quasi_newton, "_TOLERANCE", 1e-9)
    by_l_bfgs = linear.fit(X, y, loss, n_classes)
    assert by_newton.converged
    assert by_l_bfgs.converged
    assert by_newton.steps < by_l_bfgs.steps
    np.testing.assert_allclose(by_newton.weights, by_l_bfgs.weights, atol=1e-6)
    np.testing.assert_allclose(by_newton.bias, by_l_bfgs.bias, atol=1e-6)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_newton_is_scikit_learns_logistic_regression_to_six_digits(n_classes):
    X, y = data(n_classes)
    theirs = LogisticRegression(solver="newton-cholesky", tol=1e-12, max_iter=500).fit(X, y)
    ours = linear.fit(X, y, sy.losses.cross_entropy(), n_classes).weights
    got = ours[:, 1:] - ours[:, :1] if n_classes == 2 else ours
    np.testing.assert_allclose(got, theirs.coef_.T, atol=1e-6)


def test_the_objective_falls_at_every_step_of_a_loss_that_is_not_convex(monkeypatch):
    X, y = data(3)
    values = []
    evaluate = Objective.evaluate

    def noted(self, theta):
        value, gradient = evaluate(self, theta)
        values.append((self.n, theta.copy(), value))
        return value, gradient

    monkeypatch.setattr(Objective, "evaluate", noted)
    objective = Objective(X, y, sy.losses.focal(5.0), 3, np.ones(len(y)), 1.0)
    far = np.random.default_rng(0).normal(size=objective.shape) * 5.0
    end, gradient, converged, _ = newton.minimise(objective, far, 2000)
    assert converged
    assert np.abs(gradient).max() < 1e-6
    assert values[-1][2] == min(v for _, _, v in values)
    assert objective.evaluate(end)[0] < 0.1 * values[0][2]


def test_a_start_from_fewer_rows_leads_to_the_same_fit(monkeypatch):
    X, y = data(3, n=20_000)
    quick = linear.fit(X, y, sy.losses.cross_entropy(), 3)
    monkeypatch.setattr(linear, "_ROWS", 10**9)
    slow = linear.fit(X, y, sy.losses.cross_entropy(), 3)
    assert quick.steps < slow.steps
    np.testing.assert_allclose(quick.weights, slow.weights, atol=1e-6)


def test_chunks_of_rows_add_up_to_all(monkeypatch):
    X, y = data(3)
    loss = sy.losses.focal(2.0)
    whole = Objective(X, y, loss, 3, np.ones(len(y)), 1.0)
    theta = np.random.default_rng(0).normal(size=whole.shape)
    expected = *whole.evaluate(theta), whole.hessian(theta, False), whole.moments(theta)[1]
    for name in ("_CELLS", "_PRODUCTS"):
        monkeypatch.setattr(linear_objective, name, 1)
    parts = *whole.evaluate(theta), whole.hessian(theta, False), whole.moments(theta)[1]
    for a, b in zip(expected, parts, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-13)


def test_the_second_derivative_is_that_of_the_gradient():
    X, y = data(3, n=200)
    scaled = sy.losses.SoftmaxCrossEntropy(logit_scale=[0.5, 1.0, 2.0], gamma=1.5, class_weight=[1.0, 2.0, 3.0])
    objective = Objective(X, y, scaled, 3, np.ones(len(y)), 1.0)
    theta = np.random.default_rng(0).normal(size=objective.shape)
    H = objective.hessian(theta, False)
    for i, e in enumerate(np.eye(theta.size)):
        step = 1e-5 * e.reshape(theta.shape[::-1]).T
        numeric = (objective.evaluate(theta + step)[1] - objective.evaluate(theta - step)[1]) / 2e-5
        np.testing.assert_allclose(H[:, i], numeric.T.ravel(), atol=1e-8)


def test_single_precision_features_train_in_double():
    X, y = data(2)
    X = X.astype(np.float32)
    one, other = (linear.fit(Z, y, sy.losses.cross_entropy(), 2) for Z in (X, X.astype(np.float64)))
    np.testing.assert_array_equal(one.weights, other.weights)
    np.testing.assert_array_equal(one.logits(X), other.logits(X.astype(np.float64)))


def test_a_scale_of_zero_leaves_a_class_at_a_constant():
    X, y = data(3)
    loss = sy.losses.SoftmaxCrossEntropy(logit_scale=[0.0, 1.0, 1.0])
    model = linear.fit(X, y, loss, 3)
    assert model.converged
    np.testing.assert_allclose(model.weights[:, 0], 0.0, atol=1e-12)


@pytest.mark.parametrize("whitened", [0, 1000])
def test_more_features_than_are_whitened_train_the_same_model(monkeypatch, whitened):
    X, y = data(3)
    by_newton = linear.fit(X, y, sy.losses.cross_entropy(), 3)
    monkeypatch.setattr(linear, "_NEWTON", 0)
    monkeypatch.setattr(quasi_newton, "_WHITENED", whitened)
    plain = linear.fit(X, y, sy.losses.cross_entropy(), 3)
    np.testing.assert_allclose(plain.weights, by_newton.weights, atol=2e-4)


def test_collinear_and_constant_columns_do_no_harm():
    X, y = data(2)
    model = linear.fit(np.column_stack([X, X[:, 0], np.zeros(len(y))]), y, sy.losses.cross_entropy(), 2)
    assert model.converged
    np.testing.assert_allclose(model.weights[0], model.weights[6], atol=1e-4)
    np.testing.assert_allclose(model.weights[7], 0.0, atol=1e-12)


def test_too_few_steps_are_reported():
    X, y = data(2)
    assert not linear.fit(X, y, sy.losses.cross_entropy(), 2, max_steps=2).converged


def test_a_feature_that_is_not_finite_is_named():
    X, y = data(2)
    X[3, 2] = np.nan
    with pytest.raises(InputError, match="row 3, column 2"):
        linear.fit(X, y, sy.losses.cross_entropy(), 2)


def test_an_unknown_model_is_refused():
    X, y = data(2)
    point = sy.strategies.get("none").resolve(counts(y))
    with pytest.raises(
        InputError, match="`model` among linear, lightgbm, xgboost, catboost, mlp; got 'lineer'.*did you mean 'linear'"
    ):
        training.fit("lineer", X, y, point, 2, np.random.default_rng(0))
