"""One form for every complaint: what was expected, what came, what to do."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from numbers import Integral

__all__ = ["InputError", "MissingDependencyError", "integer", "one_of"]


class InputError(ValueError):
    """Something that the user handed over is not usable.

    Parameters
    ----------
    expected : str
        What the function needs, as a noun phrase: "`gamma` in [0, 20]".
    got : str
        What came instead.
    hint : str, optional
        What to do about it, as a sentence.

    Examples
    --------
    >>> print(InputError("`tau` ≥ 0", "-1.0", "logit adjustment with tau=0 is plain cross-entropy."))
    Expected `tau` ≥ 0; got -1.0. Hint: logit adjustment with tau=0 is plain cross-entropy.
    """

    def __init__(self, expected: str, got: str, hint: str | None = None) -> None:
        self.expected, self.got, self.hint = expected, got, hint
        message = f"Expected {expected}; got {got}."
        super().__init__(message if hint is None else f"{message} Hint: {hint}")

    def __reduce__(self) -> tuple[type[InputError], tuple[str, str, str | None]]:
        return type(self), (self.expected, self.got, self.hint)  # errors come back from other processes


class MissingDependencyError(ImportError):
    """An optional package is needed and not installed.

    Examples
    --------
    >>> print(MissingDependencyError("torch", "steelyard.torch", extra="torch"))
    steelyard.torch needs the package 'torch', which is not installed. Hint: pip install "steelyard[torch]"
    """

    def __init__(self, package: str, needed_by: str, extra: str) -> None:
        self._given = (package, needed_by, extra)
        super().__init__(
            f"{needed_by} needs the package '{package}', which is not installed. "
            f'Hint: pip install "steelyard[{extra}]"',
            name=package,
        )

    def __reduce__(self) -> tuple[type[MissingDependencyError], tuple[str, str, str]]:
        return type(self), self._given


def did_you_mean(name: str, options: Iterable[str]) -> str | None:
    """Return "did you mean 'x'?" for the closest of `options`, or None when nothing is close."""
    close = get_close_matches(str(name), [str(o) for o in options], n=1)
    return f"did you mean '{close[0]}'?" if close else None


def one_of(parameter: str, value: object, options: Iterable[str]) -> str:
    """Return `value` when it is one of `options`, else raise an `InputError` that names them.

    Examples
    --------
    >>> one_of("reduction", "avg", ("none", "sum", "mean"))
    Traceback (most recent call last):
    ...
    steelyard.errors.InputError: Expected `reduction` in {'none', 'sum', 'mean'}; got 'avg'.
    """
    options = tuple(options)
    if isinstance(value, str) and value in options:
        return value
    listed = "{" + ", ".join(repr(o) for o in options) + "}"
    raise InputError(f"`{parameter}` in {listed}", repr(value), did_you_mean(str(value), options))


def integer(parameter: str, value: object, least: int = 1) -> int:
    """Return `value` when it is an integer (of Python or NumPy) of at least `least`, else raise an `InputError`.

    Examples
    --------
    >>> integer("batch_size", 0)
    Traceback (most recent call last):
    ...
    steelyard.errors.InputError: Expected `batch_size` as a positive integer; got 0.
    """
    if isinstance(value, Integral) and not isinstance(value, bool) and int(value) >= least:
        return int(value)
    raise InputError(f"`{parameter}` as {'a positive integer' if least == 1 else f'an integer ≥ {least}'}", repr(value))
