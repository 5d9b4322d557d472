"""Which loss is measured with which peer, and what a measured thing is."""

from collections.abc import Callable
from typing import NamedTuple

from benchmarks.kernels.cases import LOSSES

CORE = ("weighted", "focal", "everything on")
ENDS = ("weighted", "everything on")

# by default what compiles for seconds, or does not change with the loss, is measured on fewer losses; --all: on each
MEASURED = {
    "torch.compile": CORE,
    "JAX/optax": CORE,
    "ours, JAX": CORE,
    "ours, JAX formula": ENDS,
    "TensorFlow": ENDS,
    "TensorFlow XLA": CORE,
    "ours, TensorFlow XLA": CORE,
    "ours, formula": ENDS,
    "ours, NumPy": ENDS,
    "ours, warm": ("plain", "weighted", "everything on"),
}


# what compiles nothing: where one call of it is long already, there is no second before it is timed
EAGER = ("torch eager", "ours, formula", "ours, NumPy", "imbalanced-losses", "balanced-loss", "torchvision")


class Selection(NamedTuple):
    """What of a case is measured."""

    losses: tuple[str, ...] = LOSSES
    everything: bool = False  # every variant of every loss
    only: tuple[str, ...] | None = None  # variants of these names


def wanted(selection: Selection, of: str, name: str) -> bool:
    """Return whether variant `name` of loss `of` is measured."""
    if selection.only is not None and name not in selection.only:
        return False
    return of in selection.losses and (selection.everything or of in MEASURED.get(name, LOSSES))


class NotMeasuredError(Exception):
    """A variant that cannot be measured here; the message says why."""


class Variant(NamedTuple):
    """One thing that is timed."""

    loss: str
    name: str
    call: Callable | None
    same: bool = True  # computes the same number as ours
    why_not: str = ""

    @classmethod
    def of(cls, loss: str, name: str, make: Callable, same: bool = True) -> "Variant":
        """Return the variant that `make` makes, or the reason why there is none."""
        try:
            made = make()
            if isinstance(made, NotMeasuredError):
                raise made
        except Exception as error:  # whatever a library says: the table says it, too
            return cls(loss, name, None, same, str(error).splitlines()[0] if str(error) else type(error).__name__)
        return cls(loss, name, made, same)
