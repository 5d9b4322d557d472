"""Losses that are a library's own objective, at weights and at scores that rows start from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from steelyard.losses.sigmoid import SigmoidCrossEntropy
from steelyard.losses.softmax import SoftmaxCrossEntropy

__all__ = ["OneLogit", "one_logit", "weights_and_offsets"]

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
    given = _given(loss)
    if given is None or not given.keys() <= _REACHED:
        return None
    weight = None
    if "class_weight" in given:
        weight = np.broadcast_to(given["class_weight"], (n_classes,))[y]
    if given.keys() <= {"class_weight"}:
        return weight, None
    offset = _offsets(given, n_classes)[y]
    return weight, offset[:, 1] - offset[:, 0] if n_classes == 2 else offset


def _given(loss: Any) -> dict[str, Any] | None:
    """Return the parameters that do something, of a loss of the softmax family whose weights go by the target."""
    if not isinstance(loss, SoftmaxCrossEntropy) or loss.weight_by != "target" or loss.ignore_index is not None:
        return None
    values = {p.name: (loss.parameters[p.name], p.neutral) for p in loss.PARAMETERS}
    given = {n: np.asarray(v) for n, (v, neutral) in values.items() if v is not None and (v != neutral).any()}
    if "cost_coefficient" not in given:
        given.pop("cost_matrix", None)
    return given


def _offsets(given: Mapping[str, Any], n_classes: int) -> Floats:
    """Return ι − m_y e_y + Λ[y] for every y: (C, C)."""
    by_truth = np.zeros((n_classes, n_classes))
    if "logit_offset" in given:
        by_truth += given["logit_offset"]
    if "margin" in given:
        by_truth -= np.diag(np.broadcast_to(given["margin"], (n_classes,)))
    if "pairwise_offset" in given:
        by_truth += given["pairwise_offset"]
    return by_truth


class OneLogit(NamedTuple):
    """A loss of two classes as one of the sigmoid family: ℓ((0, r), y) = `loss`(scale · r + offset[y], y)."""

    loss: SigmoidCrossEntropy
    scale: float
    offset: Floats


def one_logit(loss: Any) -> OneLogit | None:
    """Return a softmax loss of two classes in terms of one logit, or None where it has no such form.

    The same derivatives from half the numbers.

    Examples
    --------
    >>> import steelyard as sy
    >>> one_logit(sy.losses.focal(gamma=2.0, class_weight=[1.0, 3.0])).loss
    SigmoidCrossEntropy(pos_weight=3.0, gamma_pos=2.0, gamma_neg=2.0)
    """
    given = _given(loss)
    if given is None or not given.keys() <= {*_REACHED, "logit_scale", "gamma"}:
        return None
    offset = _offsets(given, 2)
    w = np.broadcast_to(given.get("class_weight", 1.0), (2,))
    if not w[0] > 0:
        return None
    gamma = float(given.get("gamma", 0.0))
    weights: dict[str, Any] = (
        {} if "class_weight" not in given else {"class_weight": float(w[0]), "pos_weight": float(w[1] / w[0])}
    )
    same = SigmoidCrossEntropy(gamma_pos=gamma, gamma_neg=gamma, **weights)
    scale = float(np.broadcast_to(given.get("logit_scale", 1.0), (2,))[1])
    return OneLogit(same, scale, offset[:, 1] - offset[:, 0])
