"""The losses that have a name: formula, when they help, source. A recipe registers itself where it is written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from steelyard.errors import InputError, did_you_mean
from steelyard.losses.base import Loss

__all__ = ["Description", "describe", "get", "names", "recipe"]

Recipe = TypeVar("Recipe", bound=Callable[..., Loss])


@dataclass(frozen=True)
class Description:
    """What the command line and the reference page say about a loss."""

    name: str
    formula: str
    when: str
    source: str
    make: Callable[..., Loss]


_recipes: dict[str, Description] = {}


def recipe(*, formula: str, when: str, source: str) -> Callable[[Recipe], Recipe]:
    """Register a function that returns a loss, under its own name."""

    def register(make: Recipe) -> Recipe:
        name = make.__name__
        _recipes[name] = Description(name, formula, when, source, make)
        return make

    return register


def names() -> list[str]:
    """Return the names of all recipes.

    Examples
    --------
    >>> import steelyard as sy
    >>> "logit_adjusted" in sy.losses.names()
    True
    """
    return sorted(_recipes)


def describe(name: str) -> Description:
    """Return formula, use and source of a recipe.

    Raises
    ------
    InputError
        There is no recipe of that name.

    Examples
    --------
    >>> import steelyard as sy
    >>> sy.losses.describe("focal").formula
    'w_y (1 − p_y)^γ (−log p_y)'
    """
    if name not in _recipes:
        raise InputError("the name of a loss (sy.losses.names())", repr(name), did_you_mean(name, _recipes))
    return _recipes[name]


def get(name: str) -> Callable[..., Loss]:
    """Return the function that makes the loss called `name`."""
    return describe(name).make
