"""What is measured: shapes, dtypes, losses with their numbers, and the data."""

from typing import NamedTuple

import numpy as np

SHAPES = (
    (256, 2), (256, 10), (4096, 100), (8192, 1000), (2048, 32000), (1_000_000, 2), (8, 20, 256, 256),
)  # fmt: skip
DTYPES = ("float32", "bfloat16")
LOSSES = ("plain", "weighted", "focal", "logit-adjusted", "LDAM", "everything on")

GAMMA, SMOOTHING, LDAM_SCALE, LDAM_MARGIN, TAU = 2.0, 0.1, 30.0, 0.5, 1.0


class Case(NamedTuple):
    """One shape and dtype."""

    shape: tuple[int, ...]
    dtype: str

    @property
    def n_classes(self) -> int:
        return self.shape[1]

    @property
    def size(self) -> int:
        return int(np.prod(self.shape))

    @property
    def bytes(self) -> int:
        """Of the logits, and of one gradient."""
        return self.size * (2 if self.dtype == "bfloat16" else 4)


def label(shape) -> str:
    """Return a shape as the tables write it.

    >>> label((1_000_000, 2)), label((8, 20, 256, 256))
    ('1,000,000×2', '(8, 20, 256, 256)')
    """
    return f"{shape[0]:,}×{shape[1]}" if len(shape) == 2 and shape[0] > 99_999 else (
        "×".join(map(str, shape)) if len(shape) == 2 else str(tuple(shape))
    )  # fmt: skip


def logits_and_targets(case: Case):
    """Return float32 logits and int64 targets; a variant casts the logits to the dtype of the case once."""
    rng = np.random.default_rng(0)
    z = rng.standard_normal(case.shape, dtype=np.float32)
    z *= 2.0
    return z, rng.integers(0, case.n_classes, case.shape[:1] + case.shape[2:])


class Numbers(NamedTuple):
    """The parameters that the losses share: everybody's variants compute with these."""

    counts: np.ndarray
    weight: np.ndarray
    offset: np.ndarray  # τ log π
    scale: np.ndarray
    margin: np.ndarray  # of LDAM, before its scale


def numbers(n_classes: int) -> Numbers:
    counts = np.maximum(1, np.geomspace(10_000, 100, n_classes).astype(int))
    weight = counts.sum() / (n_classes * counts)
    offset = TAU * np.log(counts / counts.sum())
    margin = LDAM_MARGIN * (counts.min() / counts) ** 0.25
    return Numbers(counts, weight, offset, (counts / counts.max()) ** 0.2, margin)


def loss(name: str, n_classes: int):
    """Return Steelyard's loss of that name."""
    import steelyard as sy

    p = numbers(n_classes)
    return {
        "plain": lambda: sy.losses.cross_entropy(),
        "weighted": lambda: sy.losses.weighted_cross_entropy(p.weight),
        "focal": lambda: sy.losses.focal(gamma=GAMMA),
        "logit-adjusted": lambda: sy.losses.logit_adjusted(p.counts, tau=TAU),
        "LDAM": lambda: sy.losses.ldam(p.counts, max_margin=LDAM_MARGIN, scale=LDAM_SCALE),
        "everything on": lambda: sy.losses.SoftmaxCrossEntropy(
            class_weight=p.weight, logit_scale=p.scale, logit_offset=p.offset, margin=p.margin,
            gamma=GAMMA, label_smoothing=SMOOTHING,
        ),
    }[name]()  # fmt: skip
