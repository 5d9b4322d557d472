"""SMOTE: new rows between neighbours of the same class, through imbalanced-learn."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from steelyard.errors import InputError

__all__ = ["smote"]

_NEIGHBOURS = 5


def smote(
    X: NDArray[Any], y: NDArray[Any], generator: np.random.Generator, sample_weight: NDArray[np.float64] | None = None
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return the rows that make all classes as large as the largest; the given rows are not among them.

    Each new row is x + u (x' − x) with x a row, x' one of its 5 nearest rows of the same class (or of as many as
    there are) and u uniform in [0, 1].

    Parameters
    ----------
    X : ndarray of shape (n, d)
        Preprocessed features of the training fold. Levels of a category are interpolated like numbers.
    y : int ndarray of shape (n,)
    generator : numpy.random.Generator
    sample_weight : None
        Anything else is an error.

    Returns
    -------
    tuple of ndarrays (m, d) and (m,)

    Raises
    ------
    InputError
        A class has a single row: there is nothing to interpolate. Rows have weights.

    References
    ----------
    Chawla et al., JAIR 16, 2002, doi:10.1613/jair.953.

    Examples
    --------
    >>> X, y = np.arange(6.0)[:, None], np.array([0, 0, 0, 0, 1, 1])
    >>> made, labels = smote(X, y, np.random.default_rng(0))
    >>> labels, bool(((made >= 4) & (made <= 5)).all())
    (array([1, 1]), True)
    """
    if sample_weight is not None:
        raise InputError(
            "no `sample_weight` with SMOTE", "one", "the rows that it makes have no weight: take 'oversample'."
        )
    from imblearn.over_sampling import SMOTE  # on demand: it loads scikit-learn

    present, counts = np.unique(y, return_counts=True)
    if counts.min() < 2:
        rare = int(present[np.argmin(counts)])
        raise InputError(
            "at least two rows of each class for SMOTE", f"one of class {rare}", "it interpolates between rows."
        )
    sampler = SMOTE(k_neighbors=min(_NEIGHBOURS, int(counts.min()) - 1), random_state=int(generator.integers(2**32)))
    both, labels = sampler.fit_resample(np.asarray(X, np.float64), y)
    return np.asarray(both[len(X) :], np.float64), np.asarray(labels[len(X) :], np.int64)
