"""How many threads training may use in this process: all cores, unless other processes train beside it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

__all__ = ["allowed", "at_most"]

_LIMIT: ContextVar[int | None] = ContextVar("threads of training", default=None)


def allowed() -> int:
    """Return the number of threads that a training may use."""
    return _LIMIT.get() or os.cpu_count() or 1


@contextmanager
def at_most(threads: int) -> Iterator[None]:
    """Let trainings inside use at most so many threads.

    Examples
    --------
    >>> with at_most(1):
    ...     allowed()
    1
    """
    before = _LIMIT.set(threads)
    try:
        yield
    finally:
        _LIMIT.reset(before)
