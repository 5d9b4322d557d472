"""Losses for imbalanced data: two families, and the names under which the literature knows their points.

`SoftmaxCrossEntropy` and `SigmoidCrossEntropy` are the formulas; a recipe (`focal`, `logit_adjusted`, ...) puts
numbers into them. `names` lists the recipes, `describe` says what one does and where it comes from.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from steelyard.errors import InputError, did_you_mean
from steelyard.losses.alignment import aligned
from steelyard.losses.base import Loss
from steelyard.losses.binary import *  # noqa: F403  each family file names its recipes once, in its __all__
from steelyard.losses.instance_weights import (
    GradientBalance,
    GradientDensity,
    gradient_norm,
    influence_balanced_weight,
)
from steelyard.losses.label_ranking import *  # noqa: F403
from steelyard.losses.label_ranking import ZLPR, TwoWay
from steelyard.losses.long_tail import *  # noqa: F403
from steelyard.losses.multi_label import *  # noqa: F403
from steelyard.losses.pairwise import *  # noqa: F403
from steelyard.losses.per_example import *  # noqa: F403
from steelyard.losses.per_example import equalization_offset, gcl_offset
from steelyard.losses.registry import describe, get, names
from steelyard.losses.regularized import *  # noqa: F403
from steelyard.losses.sigmoid import SigmoidCrossEntropy
from steelyard.losses.softmax import SoftmaxCrossEntropy
from steelyard.losses.starting import output_bias
from steelyard.losses.weighted import *  # noqa: F403

__all__ = ["Loss", "SigmoidCrossEntropy", "SoftmaxCrossEntropy", "aligned", "describe", "from_dict", "get", "names"]
__all__ += names()
__all__ += ["ZLPR", "TwoWay", "equalization_offset", "gcl_offset", "output_bias"]
__all__ += ["GradientBalance", "GradientDensity", "gradient_norm", "influence_balanced_weight"]

_FAMILIES: dict[str, type[Loss]] = {k.__name__: k for k in (SigmoidCrossEntropy, SoftmaxCrossEntropy, TwoWay, ZLPR)}


def from_dict(data: Mapping[str, Any]) -> Loss:
    """Return the loss that `Loss.to_dict` described.

    Parameters
    ----------
    data : mapping
        JSON data; nothing in it is executed.

    Raises
    ------
    InputError
        An unknown family or parameter.

    Examples
    --------
    >>> import steelyard as sy
    >>> loss = sy.losses.focal(gamma=1.5, class_weight=[1.0, 4.0])
    >>> sy.losses.from_dict(loss.to_dict()) == loss
    True
    """
    fields = dict(data)
    name = str(fields.pop("loss", None))
    if name not in _FAMILIES:
        raise InputError(
            "a dict with 'loss' in {" + ", ".join(map(repr, _FAMILIES)) + "}",
            repr(name),
            did_you_mean(name, _FAMILIES),
        )
    family = _FAMILIES[name]
    known = {p.name for p in family.PARAMETERS} | set(family.STATIC)
    for field in fields:
        if field not in known:
            raise InputError(f"parameters of {name}", repr(field), did_you_mean(field, known))
    return family(**fields)
