"""The same preprocessing by scikit-learn: what `steelyard.comparison.preprocessing` has to learn, to the last bit."""

from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler


def preprocessor(features, training_rows):
    numbers = make_pipeline(
        SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True),
        StandardScaler(),
    )
    levels = OneHotEncoder(
        handle_unknown="infrequent_if_exist",
        min_frequency=max(1, min(5, training_rows // 10)),
        max_categories=40,
        sparse_output=False,
    )
    return ColumnTransformer(
        [("numbers", numbers, list(features.numeric)), ("levels", levels, list(features.categorical))],
        sparse_threshold=0.0,
    )


def plain(features):
    """Return the frame as scikit-learn takes it: float64, and texts as objects."""
    kinds = dict.fromkeys(features.numeric, "float64") | dict.fromkeys(features.categorical, object)
    return features.frame.astype(kinds)
