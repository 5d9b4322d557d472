"""Losses with one number per pair of classes: margins and costs inside the softmax."""

from __future__ import annotations

from typing import Any

import numpy as np

from steelyard.errors import InputError
from steelyard.losses.registry import recipe
from steelyard.losses.softmax import SoftmaxCrossEntropy

__all__ = ["cosen", "pairwise_margin", "softmax_margin"]


@recipe(
    formula="log(1 + Σ_{c≠y} e^{Λ[y, c] + z_c − z_y})",
    when="some confusions must be kept further apart than others",
    source="Menon et al., ICLR 2021, eq. 11 (arXiv:2007.07314)",
)
def pairwise_margin(pairwise_offset: Any, **settings: Any) -> SoftmaxCrossEntropy:
    """Return the pairwise-margin softmax loss.

        ℓ = log(1 + Σ_{c≠y} exp(Λ[y, c] + z_c − z_y))

    Parameters
    ----------
    pairwise_offset : (n_classes, n_classes)
        Λ[truth, class]: how much larger the true logit must be. Λ[y, c] = log(π_c / π_y) is logit adjustment.
    **settings
        Any other parameter of `SoftmaxCrossEntropy`.

    Examples
    --------
    >>> import numpy as np, steelyard as sy
    >>> loss = sy.losses.pairwise_margin(np.array([[0.0, 2.0], [0.0, 0.0]]))
    >>> round(float(loss(np.array([[2.0, 0.0]]), np.array([0]))), 4)
    0.6931
    """
    return SoftmaxCrossEntropy(pairwise_offset=pairwise_offset, **settings)


@recipe(
    formula="−log (ξ[y, y] e^{z_y} / Σ_c ξ[y, c] e^{z_c})",
    when="costs between classes that a network should feel while it trains",
    source="Khan et al., IEEE TNNLS 29(8), 2018, eq. 5 and 13 (arXiv:1508.03422)",
)
def cosen(cost_matrix: Any, **settings: Any) -> SoftmaxCrossEntropy:
    """Return the cost-sensitive softmax (CoSen) loss: Λ = log ξ.

        ℓ = −log (ξ[y, y] e^{z_y} / Σ_c ξ[y, c] e^{z_c})

    Parameters
    ----------
    cost_matrix : (n_classes, n_classes)
        ξ[truth, class] > 0, also on the diagonal. Larger than the diagonal: that confusion costs more.
    **settings
        Any other parameter of `SoftmaxCrossEntropy`.

    Examples
    --------
    >>> import numpy as np, steelyard as sy
    >>> loss = sy.losses.cosen([[1.0, 3.0], [1.0, 1.0]])
    >>> round(float(loss(np.zeros((1, 2)), np.array([0]))), 4)       # ln(1 + 3)
    1.3863
    """
    xi = np.asarray(cost_matrix, dtype=np.float64)
    if not (xi > 0).all():
        raise InputError(
            "`cost_matrix` > 0 everywhere, the diagonal included",
            f"a smallest entry of {xi.min():g}",
            "costs enter as factors of e^z here; for costs with a zero diagonal use softmax_margin.",
        )
    return SoftmaxCrossEntropy(pairwise_offset=np.log(xi), **settings)


@recipe(
    formula="−z_y + log Σ_c e^{z_c + M[y, c]}",
    when="costs between classes: a costlier confusion asks for a larger margin",
    source="Gimpel & Smith, NAACL-HLT 2010, eq. 5",
)
def softmax_margin(cost_matrix: Any, **settings: Any) -> SoftmaxCrossEntropy:
    """Return the cost-augmented softmax (softmax-margin) loss: Λ = M.

        ℓ = −z_y + log Σ_c exp(z_c + M[y, c])

    Parameters
    ----------
    cost_matrix : (n_classes, n_classes)
        M[truth, class] ≥ 0, zero on the diagonal.
    **settings
        Any other parameter of `SoftmaxCrossEntropy`.

    Examples
    --------
    >>> import numpy as np, steelyard as sy
    >>> loss = sy.losses.softmax_margin([[0.0, 1.0], [1.0, 0.0]])
    >>> round(float(loss(np.zeros((1, 2)), np.array([0]))), 4)       # ln(1 + e)
    1.3133
    """
    costs = np.asarray(cost_matrix, dtype=np.float64)
    if costs.ndim != 2 or (costs < 0).any() or np.diagonal(costs).any():
        raise InputError(
            "`cost_matrix` (n_classes, n_classes) ≥ 0 with a zero diagonal",
            np.array2string(costs, threshold=12).replace("\n", ""),
            "subtract the cost of the right decision from each row.",
        )
    return SoftmaxCrossEntropy(pairwise_offset=costs, **settings)
