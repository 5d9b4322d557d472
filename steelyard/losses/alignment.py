"""One structure for several losses, with no parameter that none of them has."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from steelyard.errors import InputError
from steelyard.losses.base import Loss
from steelyard.losses.parameters import filled

__all__ = ["aligned"]

AnyLoss = TypeVar("AnyLoss", bound=Loss)


def aligned(losses: Sequence[AnyLoss], n_classes: int) -> list[AnyLoss]:
    """Return the losses with the same parameters present, at full shape.

    What none of them has stays absent, and costs nothing: smaller than `Loss.expand`, which holds everything.

    Parameters
    ----------
    losses : sequence of losses
        Of one family, with the same settings.
    n_classes : int
        Number of classes.

    Raises
    ------
    InputError
        Families or settings differ.

    Examples
    --------
    >>> import steelyard as sy
    >>> a, b = aligned([sy.losses.focal(gamma=2.0), sy.losses.weighted_cross_entropy([1.0, 3.0])], 2)
    >>> a.class_weight, float(b.gamma), b.margin
    (array([1., 1.]), 0.0, None)
    """
    first = losses[0]
    for loss in losses[1:]:
        if type(loss) is not type(first) or loss.static() != first.static():
            raise InputError(f"losses like {first!r}", repr(loss), "family and settings must be the same.")
    used = {p.name for p in first.PARAMETERS if any(loss.parameters[p.name] is not None for loss in losses)}
    return [
        loss._with_parameters(
            {
                p.name: filled(p, loss.parameters[p.name], n_classes) if p.name in used else None
                for p in loss._specification()
            }
        )
        for loss in losses
    ]
