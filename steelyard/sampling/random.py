"""Random over- and undersampling to equal class sizes, through imbalanced-learn."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from steelyard.errors import one_of

__all__ = ["names", "rows"]

_SAMPLERS = {"random_over": "RandomOverSampler", "random_under": "RandomUnderSampler"}


def names() -> tuple[str, ...]:
    """Return the names of the samplers."""
    return tuple(_SAMPLERS)


def rows(name: str, y: NDArray[Any], generator: np.random.Generator) -> NDArray[np.intp]:
    """Draw the rows to train on.

    Parameters
    ----------
    name : {"random_over", "random_under"}
        Repeat rows of the smaller classes until all are as large as the largest, or leave out rows of the
        larger ones until all are as small as the smallest.
    y : int ndarray of shape (n,)
        Labels of the training fold.
    generator : numpy.random.Generator

    Returns
    -------
    intp ndarray
        Positions in `y`, with repeats for "random_over".

    Raises
    ------
    InputError
        If there is no such sampler.

    Examples
    --------
    >>> y = np.array([0, 0, 0, 1])
    >>> np.bincount(y[rows("random_over", y, np.random.default_rng(0))])
    array([3, 3])
    """
    one_of("sampler", name, _SAMPLERS)
    import imblearn  # on demand: it loads scikit-learn

    sampler = getattr(imblearn, f"{'over' if name == 'random_over' else 'under'}_sampling")
    drawn = getattr(sampler, _SAMPLERS[name])(random_state=int(generator.integers(2**32)))
    drawn.fit_resample(np.zeros((len(y), 1)), y)
    return np.asarray(drawn.sample_indices_, np.intp)
