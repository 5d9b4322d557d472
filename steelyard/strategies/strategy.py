"""What a strategy is, and the register of all of them.

A strategy turns class counts into a point: numbers in the loss, rows to train on, and the decision that
goes with them. It is handed the counts of a training fold and never sees a table, so it cannot leak.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from steelyard.errors import InputError, did_you_mean
from steelyard.strategies.point import Point
from steelyard.weights import ClassCounts

__all__ = ["Strategy", "get", "names", "register"]

_REGISTER: dict[str, Strategy] = {}


@dataclass(frozen=True)
class Strategy:
    """A named way to treat imbalance, with its parameters.

    Attributes
    ----------
    name : str
    summary : str
        What it does, in one line.
    helps : str
        When it helps, and when not.
    source : str
        Where it comes from.
    parameters : mapping of str to float
        Every parameter with its value.
    coincides : mapping of str to str
        Model → with which other strategy, and why, it must agree there. A comparison that lists both says so.
    needs_inner : bool
        Whether its numbers are found on inner folds of a training fold. What trains it then settles them first
        (`steelyard.tuning.retraining.settled`); by itself it resolves to where that begins.
    """

    name: str
    summary: str
    helps: str
    source: str
    parameters: Mapping[str, float]
    coincides: Mapping[str, str]
    build: Callable[..., Point] = field(repr=False)
    needs_inner: bool = False

    def __getstate__(self) -> dict[str, Any]:
        # views of mappings cannot be sent to a process
        return {**self.__dict__, "parameters": dict(self.parameters), "coincides": dict(self.coincides)}

    def resolve(self, counts: ClassCounts) -> Point:
        """Turn the class counts of a training fold into numbers.

        Parameters
        ----------
        counts : ClassCounts
            Of the training fold.

        Returns
        -------
        Point

        Raises
        ------
        InputError
            If a parameter is out of its range, or a class has no rows where its logarithm is needed.

        Examples
        --------
        >>> import steelyard as sy
        >>> point = get("logit_adjusted").resolve(sy.ClassCounts.from_counts({"a": 90, "b": 10}))
        >>> point.loss.logit_offset.round(3)
        array([-0.105, -2.303])
        """
        point = self.build(counts, **self.parameters)
        return replace(point, strategy=self.name, priors=counts.priors)


def register(
    *, summary: str, helps: str, source: str, coincides: Mapping[str, str] | None = None, needs_inner: bool = False
) -> Callable[[Callable[..., Point]], Callable[..., Point]]:
    """Register a function of (counts, parameters with defaults) as the strategy of its name."""

    def decorate(build: Callable[..., Point]) -> Callable[..., Point]:
        defaults = {
            p.name: p.default
            for p in inspect.signature(build).parameters.values()
            if p.default is not inspect.Parameter.empty
        }
        _REGISTER[build.__name__] = Strategy(
            name=build.__name__,
            summary=summary,
            helps=helps,
            source=source,
            parameters=MappingProxyType(defaults),
            coincides=MappingProxyType(dict(coincides or {})),
            build=build,
            needs_inner=needs_inner,
        )
        return build

    return decorate


def names() -> tuple[str, ...]:
    """Return the names of all strategies, "none" first.

    Examples
    --------
    >>> names()[:2]
    ('none', 'prior_threshold')
    """
    return tuple(_REGISTER)


def get(name: str, **parameters: Any) -> Strategy:
    """Return the strategy called `name`.

    Parameters
    ----------
    name : str
        One of `names()`.
    **parameters : float
        Values other than the defaults.

    Returns
    -------
    Strategy

    Raises
    ------
    InputError
        If there is no such strategy or no such parameter.

    Examples
    --------
    >>> dict(get("logit_adjusted", tau=0.5).parameters)
    {'tau': 0.5}
    >>> get("logit_adjustment")
    Traceback (most recent call last):
    ...
    steelyard.errors.InputError: Expected a strategy, one of none, ...; got 'logit_adjustment'. Hint: did you
    mean 'logit_adjusted'?
    """
    if name not in _REGISTER:
        raise InputError(f"a strategy, one of {', '.join(_REGISTER)}", repr(name), did_you_mean(name, _REGISTER))
    strategy = _REGISTER[name]
    for parameter, value in parameters.items():
        if parameter not in strategy.parameters:
            known = ", ".join(strategy.parameters) or "none"
            raise InputError(
                f"a parameter of `{name}` ({known})",
                repr(parameter),
                did_you_mean(parameter, strategy.parameters),
            )
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise InputError(f"a number for `{parameter}` of `{name}`", repr(value))
    return replace(strategy, parameters=MappingProxyType({**strategy.parameters, **parameters}))
