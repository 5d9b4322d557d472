"""Which libraries computed it."""

from __future__ import annotations

from importlib import metadata

__all__ = ["library_versions"]

_LIBRARIES = (
    "numpy",
    "scikit-learn",
    "pyarrow",
    "safetensors",
    "jax",
    "lightgbm",
    "xgboost-cpu",
    "catboost",
    "torch",
    "keras",
    "skops",
)


def library_versions() -> dict[str, str]:
    """Return the version of each library that is installed and whose version numbers may depend on.

    Examples
    --------
    >>> "numpy" in library_versions()
    True
    """
    found = {}
    for name in _LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found
