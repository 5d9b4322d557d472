"""Tables as users have them, with missing values and texts → numbers, by scikit-learn's own parts.

The rules are those of `sy.compare`: medians and an indicator for missing numbers, one column per level, missing being a
level. What is learnt (medians, levels, scales) is learnt from the rows that a model is trained on, in inner folds too.
"""

from __future__ import annotations

import warnings
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from steelyard.errors import InputError

__all__ = ["Preparation", "Table", "kinds_of", "refuse_arrays", "refuse_sparse", "table_of"]

Floats = NDArray[np.float64]

MISSING = "(missing)"
_LEVELS = 40  # as in a comparison: more columns than this per category cost more than they say
_RARE = 5


class Table:
    """Columns of numbers, NaN where they are missing, and columns of texts; rows can be taken from it.

    Parameters
    ----------
    numbers : float64 ndarray of shape (n, d)
    texts : object ndarray of shape (n, k)
    """

    def __init__(self, numbers: Floats, texts: NDArray[Any] | None = None) -> None:
        self.numbers = numbers
        self.texts = np.empty((len(numbers), 0), object) if texts is None else texts

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, rows: Any) -> Table:
        return Table(self.numbers[rows], self.texts[rows])


def refuse_sparse(X: Any) -> None:
    """Raise for sparse features: models here are trained on dense rows, and nothing is densified unasked."""
    from scipy.sparse import issparse

    if issparse(X):
        n, d = X.shape
        raise InputError(
            "dense features",
            f"a sparse matrix of shape ({n}, {d})",
            f"X.toarray() takes {8 * n * d / 1e6:,.0f} MB; if that is too much, put TruncatedSVD before it.",
        )


def kinds_of(X: Any) -> tuple[bool, ...] | None:
    """Return for each column of a data frame whether it holds categories; None if none does, or it is no frame."""
    frame = _frame(X)
    if frame is None:
        return None
    kinds = tuple(_is_category(column) for column in frame.iter_columns())
    return kinds if any(kinds) else None


def refuse_arrays(X: Any) -> None:
    """Raise where a table is needed, since one was trained on."""
    if _frame(X) is None:
        raise InputError("a table with the columns of training, some of them texts", type(X).__name__)


def _frame(X: Any) -> Any:
    import narwhals as nw

    if nw.dependencies.is_pandas_dataframe(X) and not X.columns.is_unique:
        name = X.columns[X.columns.duplicated()][0]
        raise InputError("different column names", f"{name!r} more than once", "rename one of them.")
    frame = nw.from_native(X, eager_only=True, pass_through=True)
    return frame if isinstance(frame, nw.DataFrame) else None


def _is_category(column: Any) -> bool:
    import narwhals as nw

    if column.dtype.is_numeric() or column.dtype == nw.Boolean:
        return False
    if column.dtype in (nw.String, nw.Categorical, nw.Enum):
        return True
    if column.dtype == nw.Object:
        # numbers that pandas holds as objects are numbers, as scikit-learn takes them
        return any(isinstance(value, str) for value in column.to_list())
    raise InputError(
        "columns of numbers or texts",
        f"'{column.name}' of type {column.dtype}",
        "turn moments into numbers (a year, an hour, days since a date), or drop the column.",
    )


def table_of(X: Any, kinds: tuple[bool, ...]) -> Table:
    """Read a data frame whose columns are numbers and categories.

    Parameters
    ----------
    X : pandas, polars or Arrow table
    kinds : tuple of bool
        `kinds_of` the rows of training.

    Raises
    ------
    InputError
        A text where a number belongs, or an infinite number.
    """
    frame = _frame(X)
    columns = list(zip(frame.iter_columns(), kinds, strict=True))
    texts = [_texts(column) for column, kind in columns if kind]
    numbers = [_numbers(column) for column, kind in columns if not kind]
    empty = np.empty((len(frame), 0))
    return Table(np.stack(numbers, axis=1) if numbers else empty, np.stack(texts, axis=1))


def _texts(column: Any) -> NDArray[Any]:
    values = [MISSING if _missing(v) else str(v) for v in column.to_list()]
    out = np.empty(len(values), object)
    out[:] = values
    return out


def _numbers(column: Any) -> Floats:
    values = column.to_numpy()
    if values.dtype.kind not in "fiub":
        values = np.array([np.nan if _missing(v) else v for v in column.to_list()], object)
    try:
        out: Floats = np.asarray(values.astype(np.float64))
    except (TypeError, ValueError) as error:
        raise InputError(f"numbers in the column '{column.name}', as in training", str(error)) from None
    if np.isinf(out).any():
        raise InputError(
            "finite numbers, or missing ones",
            f"an infinite one in the column '{column.name}', row {np.isinf(out).argmax()}",
        )
    return out


def _missing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and value != value) or str(value) in ("<NA>", "NaT")


class Preparation:
    """What brings a table to the numbers of a model: SimpleImputer, StandardScaler and OneHotEncoder, fitted together.

    Parameters
    ----------
    scaled : bool
        Whether numbers are brought to mean 0 and variance 1.

    Attributes
    ----------
    imputer_, scaler_, encoder_ : fitted parts, or None where there is nothing for them to do
    """

    def __init__(self, scaled: bool) -> None:
        self.scaled = scaled

    def fit(self, table: Table, sample_weight: Floats | None = None) -> Self:
        """Learn medians, scales and levels. Scales go by weight; medians and levels count rows."""
        from sklearn.impute import SimpleImputer
        from sklearn.preprocessing import OneHotEncoder, StandardScaler

        self.imputer_ = self.scaler_ = self.encoder_ = None
        numbers = table.numbers
        if numbers.shape[1]:
            self.imputer_ = SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True)
            numbers = self.imputer_.fit(numbers).transform(numbers)
            if self.scaled:
                # column by column, as the comparison does: the order of a sum is in its last bit
                self.scaler_ = StandardScaler().fit(np.asfortranarray(numbers), sample_weight=sample_weight)
        if table.texts.shape[1]:
            self.encoder_ = OneHotEncoder(
                handle_unknown="infrequent_if_exist",
                min_frequency=max(1, min(_RARE, len(table) // 10)),
                max_categories=_LEVELS,
                sparse_output=False,
            ).fit(table.texts)
        return self

    def transform(self, table: Table) -> Floats:
        """Return the matrix of a table, float64 of shape (n, d')."""
        numbers = table.numbers
        if self.imputer_ is not None:
            numbers = self.imputer_.transform(numbers)
        if self.scaler_ is not None:
            numbers = self.scaler_.transform(numbers)
        if self.encoder_ is None:
            return np.asarray(numbers, np.float64)
        with warnings.catch_warnings():
            # that a level is new is no surprise: it goes to the rare ones, as documented
            warnings.filterwarnings("ignore", message="Found unknown categories", category=UserWarning)
            levels = self.encoder_.transform(table.texts)
        return np.hstack([numbers, levels])
