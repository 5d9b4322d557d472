"""Columns → numbers for a model, learned on the training fold alone."""

from __future__ import annotations

from typing import Any

from steelyard.comparison.columns import Features

__all__ = ["preprocessor"]

_LEVELS = 40  # more one-hot columns than this per category cost more than they say
_RARE = 5  # a level of fewer training rows cannot carry a coefficient of its own


def preprocessor(features: Features, training_rows: int) -> Any:
    """Build the unfitted transformer of a table; fit it on a training fold, apply it to the test fold.

    Numbers: the median of the training fold for missing values, a 0/1 column that says where they were
    missing, then mean 0 and variance 1. Categories: one column per level, missing being a level; levels of
    fewer than 5 training rows, and beyond the 40 most frequent, share one column, and so do levels that the
    training fold did not have.

    Parameters
    ----------
    features : Features
        Tells the kind of each column.
    training_rows : int
        Rows of the training fold: below 50, a rare level is one of fewer than a tenth of them.

    Returns
    -------
    sklearn.compose.ColumnTransformer
        Dense float64 output of shape (n, columns).
    """
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    numbers = make_pipeline(
        # keep_empty_features: a column without any value in this fold stays, as a constant that does nothing
        SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True),
        StandardScaler(),
    )
    levels = OneHotEncoder(
        handle_unknown="infrequent_if_exist",
        min_frequency=max(1, min(_RARE, training_rows // 10)),
        max_categories=_LEVELS,
        sparse_output=False,
    )
    return ColumnTransformer(
        [("numbers", numbers, list(features.numeric)), ("levels", levels, list(features.categorical))],
        sparse_threshold=0.0,
    )
