import numpy as np
import pytest
from sklearn import metrics as sk

from steelyard import metrics
from steelyard.errors import InputError
from steelyard.metrics.catalogue import get

CLASSES = ("a", "b", "c")


def scored(n_classes, seed=0, n=300):
    rng = np.random.default_rng(seed)
    y = np.concatenate([np.arange(n_classes), rng.choice(n_classes, n, p=rng.dirichlet(np.full(n_classes, 3.0)))])
    proba = rng.dirichlet(np.ones(n_classes), size=len(y)) + 0.7 * np.eye(n_classes)[y]
    proba /= proba.sum(1, keepdims=True)
    return y, proba, proba.argmax(1)


def names(classes):
    extra = ("precision@recall>=0.9", "recall@precision>=0.5", "f1")
    if len(classes) > 2:
        extra = ("precision_a@recall>=0.9", "recall_b@precision>=0.5")
    return (*metrics.standard_names(classes), "f1_a", "precision_b", *extra)


@pytest.mark.parametrize("classes", [CLASSES[:2], CLASSES])
def test_f1_and_precision_of_a_class_are_those_of_scikit_learn(classes):
    y, proba, predicted = scored(len(classes))
    f1, precision = sk.f1_score(y, predicted, average=None), sk.precision_score(y, predicted, average=None)
    for k, label in enumerate(classes):
        assert get(f"f1_{label}", classes).value(y, proba, predicted) == pytest.approx(f1[k])
        assert get(f"precision_{label}", classes).value(y, proba, predicted) == pytest.approx(precision[k])
    if len(classes) == 2:
        for positive in (0, 1):
            assert get("f1", classes, positive).value(y, proba, predicted) == pytest.approx(f1[positive])
    else:
        with pytest.raises(InputError, match="f1_macro, or f1_c"):
            get("f1", classes)


@pytest.mark.parametrize("classes", [CLASSES[:2], CLASSES])
def test_every_metric_ignores_the_order_of_rows_and_of_classes(classes):
    y, proba, predicted = scored(len(classes))
    rows = np.random.default_rng(1).permutation(len(y))
    order = np.arange(len(classes))[::-1]
    place = np.argsort(order)
    for name in names(classes):
        value = get(name, classes, positive=1).value(y, proba, predicted)
        moved = get(name, [classes[k] for k in order], positive=place[1]).value(
            place[y][rows], proba[:, order][rows], place[predicted][rows]
        )
        assert moved == pytest.approx(value), name


@pytest.mark.parametrize("classes", [CLASSES[:2], CLASSES])
def test_a_weight_of_two_is_a_row_twice_and_a_weight_of_zero_is_no_row(classes):
    y, proba, predicted = scored(len(classes), n=60)
    weight = np.random.default_rng(2).integers(0, 3, size=len(y))
    weight[: len(classes)] = 1
    rows = np.repeat(np.arange(len(y)), weight)
    for name in names(classes):
        metric = get(name, classes)
        weighted = metric.prepare(y, proba, predicted)(weight.astype(float))
        assert weighted == pytest.approx(metric.value(y[rows], proba[rows], predicted[rows])), name


@pytest.mark.parametrize("classes", [CLASSES[:2], CLASSES])
def test_values_keep_to_their_bounds_and_perfect_scores_reach_the_upper_one(classes):
    y, proba, predicted = scored(len(classes))
    for name in names(classes):
        metric = get(name, classes)
        low, high = metric.bounds
        assert low <= metric.value(y, proba, predicted) <= high
        perfect = metric.value(y, np.eye(len(classes))[y], y)
        if metric.ideal is not None:
            assert np.isnan(perfect), name  # certainty has no finite line
        elif name == "brier_resolution":
            assert perfect == pytest.approx(get("brier_uncertainty", classes).value(y, proba, predicted))
        else:
            assert perfect == pytest.approx(high if metric.greater_is_better else 0.0), name


def test_means_over_classes_equal_scikit_learn():
    y, proba, predicted = scored(3)
    assert get("roc_auc", CLASSES).value(y, proba, predicted) == pytest.approx(
        sk.roc_auc_score(y, proba, multi_class="ovr")
    )
    assert get("average_precision", CLASSES).value(y, proba, predicted) == pytest.approx(
        sk.average_precision_score(y, proba)
    )


def test_the_positive_class_is_the_one_ranked():
    y, proba, predicted = scored(2)
    for positive in (0, 1):
        value = get("average_precision", CLASSES[:2], positive).value(y, proba, predicted)
        assert value == pytest.approx(sk.average_precision_score(y == positive, proba[:, positive]))


@pytest.mark.parametrize(
    ("name", "classes", "message"),
    [
        ("balanced_acuracy", CLASSES, "did you mean 'balanced_accuracy'"),
        ("recall_d", CLASSES, "one of a, b, c; got 'd'"),
        ("precision@recall>=0.9", CLASSES, "write precision_c@recall>=0.9"),
        ("precision@recall>=1.5", CLASSES[:2], "a level in"),
        ("precision@recall>=0.9.1", CLASSES[:2], "a level in"),
        ("precision@precision>=0.5", CLASSES[:2], "a metric, one of"),
        ("expected_cost", CLASSES, "a cost matrix"),
    ],
)
def test_a_metric_that_does_not_exist_or_fit_is_refused(name, classes, message):
    with pytest.raises(InputError, match=message):
        get(name, classes)


def test_a_class_may_have_a_name_that_looks_like_a_level():
    classes = ["a@recall>=0.5", "b@x.org"]
    y, predicted = np.array([0, 1, 1]), np.array([0, 1, 0])
    assert get("recall_b@x.org", classes).value(y, np.empty((3, 2)), predicted) == 0.5
    assert get("precision_a@recall>=0.5", classes).value(y, np.empty((3, 2)), predicted) == 0.5


def test_expected_cost_is_better_when_lower():
    metric = get("expected_cost", CLASSES[:2], cost_matrix=np.array([[0.0, 1.0], [10.0, 0.0]]))
    assert not metric.greater_is_better
    assert metric.value(np.array([0, 1]), np.empty((2, 2)), np.array([0, 0])) == 5.0
