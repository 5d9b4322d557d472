"""Losses that are a library's own objective, at weights and at scores that rows start from."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from steelyard.losses.softmax import SoftmaxCrossEntropy

__all__ = ["weights_and_offsets"]

Floats = NDArray[np.float64]

_REACHED = {"class_weight", "logit_offset", "margin", "pairwise_offset"}


def weights_and_offsets(loss: Any, y: NDArray[Any], n_classes: int) -> tuple[Floats | None, Floats | None] | None:
    """Return row weights and starting scores at which plain cross-entropy is this loss, or None where it never is.

        ℓ(z, y) = ω_y · CE(z + o_y, y),        o_y = ι − m_y e_y + Λ[y]

    Cross-entropy with class weights, logit adjustment, margins and pairwise offsets go into a booster through its
    own objective: ω as the weight of a row, o as the score that it starts from. What trees add is z.

    Parameters
    ----------
    loss : Loss
    y : int ndarray of shape (n,)
        Class indices.
    n_classes : int

    Returns
    -------
    (ω, o) or None
        ω of shape (n,), None where it is 1; o of shape (n,) with two classes, (n, C) with more, None where it is 0.
        With two classes the logits are (0, r) and o is that of class 1 minus that of class 0.

    Examples
    --------
    >>> import numpy as np, steelyard as sy
    >>> weights_and_offsets(sy.losses.logit_adjusted([90, 10]), np.array([0, 1]), 2)[1].round(3)
    array([-2.197, -2.197])
    >>> weights_and_offsets(sy.losses.focal(gamma=2.0), np.array([0, 1]), 2) is None
    True
    """
    if not isinstance(loss, SoftmaxCrossEntropy) or loss.weight_by != "target" or loss.ignore_index is not None:
        return None
    values = {p.name: (loss.parameters[p.name], p.neutral) for p in loss.PARAMETERS}
    given = {n: np.asarray(v) for n, (v, neutral) in values.items() if v is not None and (v != neutral).any()}
    if "cost_coefficient" not in given:
        given.pop("cost_matrix", None)
    if not given.keys() <= _REACHED:
        return None
    weight = None
    if "class_weight" in given:
        weight = np.broadcast_to(given["class_weight"], (n_classes,))[y]
    if given.keys() <= {"class_weight"}:
        return weight, None
    by_truth = np.zeros((n_classes, n_classes))
    if "logit_offset" in given:
        by_truth += given["logit_offset"]
    if "margin" in given:
        by_truth -= np.diag(np.broadcast_to(given["margin"], (n_classes,)))
    if "pairwise_offset" in given:
        by_truth += given["pairwise_offset"]
    offset = by_truth[y]
    return weight, offset[:, 1] - offset[:, 0] if n_classes == 2 else offset
