"""The schemes: class counts → class weights, each formula written once.

In every formula n_c is the class's count with absent classes filled in (`ClassCounts.filled`), N the total, C
the number of present classes and π_c = n_c/N.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from inspect import Parameter, signature
from typing import Any
from warnings import warn

import numpy as np
from numpy.typing import NDArray

from steelyard.errors import InputError
from steelyard.weights.by_class import fill_absent, in_unit_interval
from steelyard.weights.counts import ClassCounts
from steelyard.weights.labels import as_numpy
from steelyard.weights.warnings import InvertedWeightsWarning

__all__ = ["SCHEMES", "Scheme", "table"]

Weights = NDArray[np.float64]


@dataclass(frozen=True)
class Scheme:
    """A named formula for class weights.

    Parameters
    ----------
    name : str
        What `class_weight` knows it by.
    formula : str
        The equation, as text.
    note : str
        When it helps, and what to look out for.
    source : str
        Where it comes from.
    function : callable
        ``function(counts, **options)`` → float64 (n_classes,).
    """

    name: str
    formula: str
    note: str
    source: str
    function: Callable[..., Weights]

    @property
    def options(self) -> dict[str, Any]:
        """Option → default; `inspect.Parameter.empty` marks one that must be given."""
        parameters = signature(self.function).parameters.values()
        return {p.name: p.default for p in parameters if p.kind is Parameter.KEYWORD_ONLY}


SCHEMES: dict[str, Scheme] = {}
"""Name → scheme, in the order in which they are listed."""


def table() -> list[dict[str, str]]:
    """Return one row per scheme: name, options, formula, note, source.

    Examples
    --------
    >>> row = table()[1]
    >>> row["name"], row["formula"]
    ('balanced', 'N / (C n_c)')
    """
    rows = []
    for scheme in SCHEMES.values():
        options = ", ".join(
            name if default is Parameter.empty else f"{name}={default}" for name, default in scheme.options.items()
        )
        rows.append(
            {
                "name": scheme.name,
                "options": options,
                "formula": scheme.formula,
                "note": scheme.note,
                "source": scheme.source,
            }
        )
    return rows


def _scheme(
    name: str, formula: str, note: str, source: str
) -> Callable[[Callable[..., Weights]], Callable[..., Weights]]:
    def register(function: Callable[..., Weights]) -> Callable[..., Weights]:
        SCHEMES[name] = Scheme(name, formula, note, source, function)
        return function

    return register


def _n_present(counts: ClassCounts) -> int:
    return int(np.count_nonzero(counts.present))


# ---------------------------------------------------------------------- functions of the counts alone


@_scheme("none", "1", "the baseline: every row counts the same", "")
def _none(counts: ClassCounts) -> Weights:
    return np.ones(len(counts))


@_scheme(
    "balanced",
    "N / (C n_c)",
    "each class has the same say; Σ n_c w_c = N, so the learning rate keeps its meaning",
    "King & Zeng 2001, doi:10.1093/oxfordjournals.pan.a004868; scikit-learn's class_weight='balanced'",
)
def _balanced(counts: ClassCounts) -> Weights:
    return counts.total / (_n_present(counts) * counts.filled)


@_scheme(
    "inverse",
    "N / n_c",
    "C times balanced; with mean-reduced losses the factor cancels",
    "King & Zeng 2001, doi:10.1093/oxfordjournals.pan.a004868",
)
def _inverse(counts: ClassCounts) -> Weights:
    return counts.total / counts.filled


@_scheme(
    "power",
    "n_c^(−alpha)",
    "alpha between 0 (none) and 1 (inverse): how far to go is tuned",
    "Mikolov et al. 2013, arXiv:1310.4546; Mahajan et al., ECCV 2018, arXiv:1805.00932",
)
def _power(counts: ClassCounts, *, alpha: float = 0.5) -> Weights:
    if not np.isfinite(alpha):
        raise InputError("a finite `alpha`", repr(alpha))
    if alpha < 0:
        _warn_inverted(f"power with alpha={alpha!r}")
    return np.asarray(counts.filled ** -float(alpha), dtype=np.float64)


@_scheme(
    "inverse_sqrt",
    "n_c^(−1/2)",
    "half way to inverse on the log scale; kinder to very rare classes, whose few rows are noisy",
    "Mahajan et al., ECCV 2018, arXiv:1805.00932",
)
def _inverse_sqrt(counts: ClassCounts) -> Weights:
    return _power(counts, alpha=0.5)


@_scheme(
    "log_inverse",
    "log(N / n_c) + 1",
    "mild: a class with one row in a thousand weighs 7.9, one with nearly every row 1",
    "the smoothed inverse document frequency: Spärck Jones 1972, doi:10.1108/eb026526",
)
def _log_inverse(counts: ClassCounts) -> Weights:
    return np.log(counts.total / counts.filled) + 1.0


@_scheme(
    "enet",
    "1 / log(c + π_c)",
    "bounded by 1/log(c), about 50 at c = 1.02, however rare the class",
    "Paszke et al. 2016, arXiv:1606.02147",
)
def _enet(counts: ClassCounts, *, c: float = 1.02) -> Weights:
    if not (np.isfinite(c) and c > 1):
        raise InputError("`c` > 1", repr(c), "at c ≤ 1 the logarithm passes through 0; the paper has c=1.02.")
    # log(c + π) loses no digits: c + π is away from 1
    return 1.0 / np.log(c + counts.filled / counts.total)


@_scheme(
    "median_frequency",
    "median(f) / f_c,  f_c = pixels of c ÷ pixels of the images that contain c",
    "segmentation; for plain labels, which come without images, f_c = π_c",
    "Eigen & Fergus, ICCV 2015, arXiv:1411.4734",
)
def _median_frequency(counts: ClassCounts) -> Weights:
    if counts.containing is None:
        frequency = counts.filled / counts.total
    else:
        with np.errstate(invalid="ignore"):  # 0/0 for absent classes, which are filled in next
            frequency = counts.counts / counts.containing
        frequency = fill_absent(frequency, counts)
    return np.asarray(np.median(frequency[counts.present]) / frequency, dtype=np.float64)


@_scheme(
    "effective_number",
    "(1 − beta) / (1 − beta^n_c)",
    "from none (beta = 0) to inverse (beta → 1): rows beyond 1/(1 − beta) add little",
    "Cui et al., CVPR 2019, arXiv:1901.05555, proposition 1",
)
def _effective_number(counts: ClassCounts, *, beta: float = 0.9999) -> Weights:
    if not 0 <= beta < 1:
        raise InputError("`beta` in [0, 1)", repr(beta), "at beta = 1 the limit is 1/n_c: scheme 'power', alpha=1.")
    if beta == 0:
        return np.ones(len(counts))
    # 1 − β^n = −expm1(n log β): β^n itself would round to 1 when n (1 − β) is small.
    # log β needs no log1p: β is the number that was given, and 1 − β is exact where it is small (β ≥ 1/2).
    return np.asarray((1.0 - beta) / -np.expm1(counts.filled * np.log(float(beta))), dtype=np.float64)


@_scheme(
    "pos_weight",
    "(N − n_c) / n_c",
    "per label of a multi-label table, or of the positive class of two, in binary cross-entropy",
    "TensorFlow's weighted_cross_entropy_with_logits, PyTorch's BCEWithLogitsLoss",
)
def _pos_weight(counts: ClassCounts) -> Weights:
    return (counts.total - counts.filled) / counts.filled


@_scheme(
    "per_batch",
    "(N − n_c) / N",
    "two classes, counted per batch or image: β = |Y⁻|/|Y| on the positives, 1 − β on the negatives",
    "Xie & Tu (HED), ICCV 2015, arXiv:1504.06375, equation 2",
)
def _per_batch(counts: ClassCounts) -> Weights:
    return (counts.total - counts.filled) / counts.total


# ---------------------------------------------------------------------- functions of another statistic


@_scheme(
    "recall_driven",
    "1 − recall_c",
    "recomputed each epoch from validation recall; a class that is found no longer pulls",
    "Tian et al., ICRA 2022, arXiv:2106.14917",
)
def _recall_driven(counts: ClassCounts, *, recall: Any) -> Weights:
    return 1.0 - in_unit_interval("recall", recall, counts)


@_scheme(
    "difficulty",
    "(1 − accuracy_c)^tau",
    "recomputed each epoch from validation accuracy per class; tau sharpens",
    "Sinha et al., ACCV 2020, arXiv:2010.01824",
)
def _difficulty(counts: ClassCounts, *, accuracy: Any, tau: float = 1.0) -> Weights:
    if not (np.isfinite(tau) and tau >= 0):
        raise InputError("`tau` ≥ 0", repr(tau))
    return np.asarray((1.0 - in_unit_interval("accuracy", accuracy, counts)) ** float(tau), dtype=np.float64)


@_scheme(
    "cost_row_sums",
    "Σ_j M[c, j]",
    "a cost matrix squeezed into one number per true class; exact for two classes, else decide by min_cost",
    "Ting, TKDE 2002, doi:10.1109/TKDE.2002.1000348",
)
def _cost_row_sums(counts: ClassCounts, *, cost_matrix: Any) -> Weights:
    matrix = as_numpy(cost_matrix)
    C = len(counts)
    if matrix.shape != (C, C):
        raise InputError(f"`cost_matrix` of shape ({C}, {C}), the true class in rows", f"shape {matrix.shape}")
    if matrix.dtype.kind not in "biuf":
        raise InputError("`cost_matrix` as numbers", f"dtype {matrix.dtype}")
    matrix = matrix.astype(np.float64)
    bad = ~(np.isfinite(matrix) & (matrix >= 0))
    if bad.any():
        i, j = np.argwhere(bad)[0].tolist()
        raise InputError(
            "finite costs ≥ 0",
            f"{matrix[i, j].item()!r} for predicting {counts.classes[j]!r}, truth {counts.classes[i]!r}",
            "shift the row so that its diagonal is 0: decisions do not change.",
        )
    return np.asarray(matrix.sum(axis=1), dtype=np.float64)


# ---------------------------------------------------------------------- offered, and warned of


@_scheme(
    "proportional",
    "n_c / N",
    "a beginner's inversion, here to be recognised: the frequent class is counted twice over",
    "",
)
def _proportional(counts: ClassCounts) -> Weights:
    _warn_inverted("the scheme 'proportional'")
    return counts.filled / counts.total


def _warn_inverted(what: str) -> None:
    warn(
        f"{what} gives frequent classes the larger weights, which mutes the rare ones. "
        "Hint: weights against imbalance fall with frequency: scheme='balanced'.",
        InvertedWeightsWarning,
        stacklevel=4,
    )
