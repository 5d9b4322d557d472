"""Label metrics: everything that a confusion matrix can say.

Each function takes `confusion` of shape (..., C, C), ``confusion[..., i, j]`` being the weight of the
rows of true class i that were labelled j, and works on all leading axes at once: a threshold search
hands over thousands of matrices in one call. Counts may be fractional (sample weights). NumPy only,
because decisions use them too.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "balanced_accuracy",
    "confusion_matrix",
    "expected_cost",
    "f1",
    "f1_macro",
    "g_mean",
    "matthews_corrcoef",
    "precisions",
    "recalls",
    "worst_recall",
]

Floats = NDArray[np.float64]


def confusion_matrix(
    y: NDArray[Any], predicted: NDArray[Any], n_classes: int, sample_weight: NDArray[Any] | None = None
) -> Floats:
    """Count how often true class i was labelled j.

    Parameters
    ----------
    y, predicted : int ndarray of shape (n,)
        Class indices in [0, `n_classes`).
    n_classes : int
    sample_weight : float ndarray of shape (n,), optional
        Weight of each row. Default: 1.

    Returns
    -------
    float64 ndarray of shape (n_classes, n_classes)

    Examples
    --------
    >>> confusion_matrix(np.array([0, 0, 1]), np.array([0, 1, 1]), 2)
    array([[1., 1.], [0., 1.]])
    """
    cells = np.bincount(y * n_classes + predicted, weights=sample_weight, minlength=n_classes * n_classes)
    return cells.astype(np.float64).reshape(n_classes, n_classes)


def _share(part: Floats, whole: Floats) -> Floats:
    """Divide; NaN (undefined, never 0) where the whole is empty."""
    return np.asarray(np.divide(part, whole, out=np.full(np.shape(part), np.nan), where=whole > 0))


def recalls(confusion: Floats) -> Floats:
    """Recall of every class: the share of its rows that were labelled so.

    Returns
    -------
    float64 ndarray of shape (..., C)
        NaN for a class without rows: its recall is undefined, not zero.

    Examples
    --------
    >>> recalls(np.array([[8.0, 2.0], [1.0, 3.0]]))
    array([0.8 , 0.75])
    """
    return _share(np.diagonal(confusion, axis1=-2, axis2=-1), confusion.sum(-1))


def precisions(confusion: Floats) -> Floats:
    """Precision of every class: the share of the rows labelled so that are of the class.

    Returns
    -------
    float64 ndarray of shape (..., C)
        NaN for a class that is never labelled: its precision is undefined, where scikit-learn would take 0.

    Examples
    --------
    >>> precisions(np.array([[8.0, 2.0], [2.0, 3.0]]))
    array([0.8, 0.6])
    """
    return _share(np.diagonal(confusion, axis1=-2, axis2=-1), confusion.sum(-2))


def f1(confusion: Floats) -> Floats:
    r"""F1 of every class, :math:`2\,TP / (2\,TP + FP + FN)`: the harmonic mean of its precision and recall.

    Returns
    -------
    float64 ndarray of shape (..., C)
        0 for a class with rows that is never labelled; NaN for a class that neither occurs nor is ever labelled,
        where scikit-learn would take 0.
    """
    hits = np.diagonal(confusion, axis1=-2, axis2=-1)
    return _share(2.0 * hits, confusion.sum(-1) + confusion.sum(-2))


def balanced_accuracy(confusion: Floats) -> Floats:
    """Mean recall over the classes.

    Equal to scikit-learn's ``balanced_accuracy_score`` when every class has rows; NaN otherwise, where
    scikit-learn silently averages over fewer classes.
    """
    return np.asarray(recalls(confusion).mean(-1))


def worst_recall(confusion: Floats) -> Floats:
    """Recall of the class that is served worst."""
    return np.asarray(recalls(confusion).min(-1))


def g_mean(confusion: Floats) -> Floats:
    r"""Geometric mean of the recalls, :math:`(\prod_k r_k)^{1/C}`; zero as soon as one class is never found.

    References
    ----------
    Kubat and Matwin, "Addressing the curse of imbalanced training sets", ICML 1997.
    Same value as imbalanced-learn's ``geometric_mean_score``.
    """
    r = recalls(confusion)
    return np.asarray(np.prod(r, axis=-1) ** (1.0 / r.shape[-1]))


def f1_macro(confusion: Floats) -> Floats:
    """Unweighted mean of the F1 of every class; NaN where that of a class is (see `f1`)."""
    return np.asarray(f1(confusion).mean(-1))


def matthews_corrcoef(confusion: Floats) -> Floats:
    r"""Correlation between truth and label: the multi-class form of Matthews' coefficient.

    .. math:: \frac{c\,s - \sum_k t_k p_k}{\sqrt{s^2 - \sum_k p_k^2}\,\sqrt{s^2 - \sum_k t_k^2}}

    with c the correct weight, s the total, t and p the row and column sums. Zero, as in scikit-learn, when
    all rows are labelled alike.

    References
    ----------
    Gorodkin, "Comparing two K-category assignments by a K-category correlation
    coefficient", Computational Biology and Chemistry 28, 2004, doi:10.1016/j.compbiolchem.2004.09.006.
    """
    truth, labelled = confusion.sum(-1), confusion.sum(-2)
    total = truth.sum(-1)
    covariance = np.trace(confusion, axis1=-2, axis2=-1) * total - (truth * labelled).sum(-1)
    # two roots, not the root of a product: total**4 leaves float64's exact integers at 10,000 rows
    scale = np.sqrt(total**2 - (labelled**2).sum(-1)) * np.sqrt(total**2 - (truth**2).sum(-1))
    return np.asarray(np.divide(covariance, scale, out=np.zeros(np.shape(scale)), where=scale > 0))


def expected_cost(confusion: Floats, cost_matrix: Floats) -> Floats:
    """Mean cost of a row; ``cost_matrix[i, j]`` is the cost of labelling class i as j. Lower is better.

    Examples
    --------
    >>> float(expected_cost(np.array([[8.0, 2.0], [1.0, 3.0]]), np.array([[0.0, 1.0], [10.0, 0.0]])))
    0.857...
    """
    return _share((confusion * cost_matrix).sum((-1, -2)), confusion.sum((-1, -2)))
