"""The goals that were set before the kernels were written, and what a run says about each."""

from typing import NamedTuple

from benchmarks.kernels import measure
from benchmarks.kernels.cases import SHAPES, Case, label
from benchmarks.kernels.running import FLOORS, LARGEST, OURS

MEMORY_BOUND = (SHAPES[3], SHAPES[4], SHAPES[6])
# why a goal is missed, where it is; the wording of the goal is the key
REASONS: dict[str, str] = {
    "torch eager over ours, at every shape": 'of small batches nearly all is the Python above the kernel, "ours, warm"',
    "what a loss adds to a training step": "the way to the kernel is Python and torch's autograd.Function",
}


class Target(NamedTuple):
    """A goal and what came out."""

    goal: str
    wanted: float
    at_least: bool  # or at most
    measured: float | None  # None: this run did not measure it
    unit: str = "×"
    where: str = ""  # the worst place of several

    @property
    def met(self) -> bool | None:
        if self.measured is None:
            return None
        return self.measured >= self.wanted if self.at_least else self.measured <= self.wanted

    @property
    def by(self) -> float | None:
        """Return the measured over the wanted, or the other way round where less is better: 1 or more is met."""
        if self.measured is None:
            return None
        if self.at_least:
            return self.measured / self.wanted
        return self.wanted / self.measured if self.measured > 0 else float("inf")


class Rows:
    """Looking rows up."""

    def __init__(self, rows):
        self.rows = {
            (r["threads"], r["pages"], tuple(r["shape"]), r["dtype"], r["loss"], r["variant"]): r
            for r in rows if "why_not" not in r
        }  # fmt: skip

    def ours(self):
        """Return the name of what others are compared with in these rows."""
        names = {key[-1] for key in self.rows}
        return next((name for name in OURS if name in names), OURS[0])

    def get(self, shape, loss, variant, threads=1, dtype="float32", huge=False):
        return self.rows.get((threads, "huge" if huge else "as they come", tuple(shape), dtype, loss, variant))

    def over_ours(self, shape, loss, variant, **kwargs):
        """Return how many times as long as ours a variant takes, or None."""
        row = self.get(shape, loss, variant, **kwargs)
        return row["over_ours"]["median"] if row is not None and "over_ours" in row else None

    def seconds(self, shape, loss, variant, **kwargs):
        row = self.get(shape, loss, variant, **kwargs)
        return None if row is None else row["all_seconds"]

    def peers(self):
        return sorted({key[-1] for key in self.rows} - {*OURS, *FLOORS})


def _present(values):
    return {k: v for k, v in values.items() if v is not None}


def _mean(goal, wanted, values):
    values = _present(values)
    return Target(goal, wanted, True, measure.geometric_mean(list(values.values())) if values else None)


def _worst(goal, wanted, at_least, values, unit="×"):
    values = _present(values)
    if not values:
        return Target(goal, wanted, at_least, None, unit)
    where = (min if at_least else max)(values, key=values.get)
    return Target(goal, wanted, at_least, values[where], unit, where)


def evaluate(rows, steps):
    """Return every target with what the rows say."""
    r = Rows(rows)
    out = []

    def over(loss, variant):
        return {label(s): r.over_ours(s, loss, variant) for s in SHAPES}

    eager = {of: over(of, "torch eager") for of in ("weighted", "everything on")}
    out.append(_mean("torch eager over ours, weighted, geometric mean of the shapes", 10, eager["weighted"]))
    out.append(_mean("torch eager over ours, everything on, geometric mean", 20, eager["everything on"]))
    out.append(
        _worst("torch eager over ours, at every shape", 1.8, True,
               {f"{s}, {of}": v for of in eager for s, v in eager[of].items()})
    )  # fmt: skip
    peers = {"torch.compile": 8, "TensorFlow XLA": 6, "JAX/optax": 5}
    for name, wanted in peers.items():
        out.append(_mean(f"{name} over ours, weighted, geometric mean", wanted, over("weighted", name)))
    out.append(
        _worst("torch.compile, TensorFlow XLA and JAX/optax over ours, weighted, at every shape", 1.5, True,
               {f"{s}, {name}": v for name in peers for s, v in over("weighted", name).items()})
    )  # fmt: skip
    huge = {"torch eager": {}, "best": {}}
    for s in LARGEST:
        huge["torch eager"][label(s)] = r.over_ours(s, "weighted", "torch eager", huge=True)
        others = _present({n: r.over_ours(s, "weighted", n, huge=True) for n in r.peers() if not n.startswith("ours")})
        if others:
            best = min(others, key=others.get)
            huge["best"][f"{label(s)}, {best}"] = others[best]
    goal = "over ours, weighted, huge pages for all, largest shapes"
    out.append(_worst(f"torch eager {goal}", 4, True, huge["torch eager"]))
    out.append(_worst(f"best peer {goal}", 2, True, huge["best"]))

    def quotient(shape, a, b, **kwargs):
        top, bottom = r.seconds(shape, *a, **kwargs), r.seconds(shape, *b, **kwargs)
        if not top or not bottom or len(top) != len(bottom):
            return None
        return measure.ratios(top, bottom)["median"]

    warm = {label(s): quotient(s, ("plain", "ours, warm"), ("plain", "copy")) for s in MEMORY_BOUND}
    segmentation = label(SHAPES[6])
    wide = {s: v for s, v in warm.items() if s != segmentation}
    narrow = {segmentation: warm[segmentation]}
    out.append(_worst("ours, gradient buffer reused, over a copy, C ≥ 1000", 1.2, False, wide))
    out.append(_worst("ours, gradient buffer reused, over a copy, segmentation", 1.4, False, narrow))
    out.append(
        _worst("everything on over plain, ours, where memory is the limit", 1.1, False,
               {label(s): quotient(s, ("everything on", "ours, warm"), ("plain", "ours, warm")) for s in MEMORY_BOUND})
    )  # fmt: skip
    marginal = {
        f"{row['loss']}, {row['n_classes']} classes": 1e6 * row["marginal"]["median"]
        for row in steps if row["variant"] == OURS[0] and "marginal" in row
    }  # fmt: skip
    out.append(_worst("what a loss adds to a training step", 7, False, marginal, "µs"))
    memory = {}
    reused = {}
    for s in LARGEST:
        size = Case(s, "float32").bytes
        for of in ("weighted", "everything on"):
            for name, into in ((r.ours(), memory), ("ours, warm", reused)):
                row = r.get(s, of, name)
                if row is not None and "peak_extra_bytes" in row:
                    into[f"{label(s)}, {of}"] = row["peak_extra_bytes"] / size
    out.append(_worst("peak extra memory, in gradients", 1.05, False, memory, "gradients"))
    out.append(_worst("peak extra memory with the buffer reused, in gradients", 0.05, False, reused, "gradients"))
    two = {}
    for s in SHAPES[3:]:
        for of in ("weighted", "everything on"):
            one, both = r.get(s, of, r.ours()), r.get(s, of, r.ours(), threads=2)
            if one is not None and both is not None:
                two[f"{label(s)}, {of}"] = one["seconds"]["median"] / both["seconds"]["median"]
    out.append(_worst("one thread over two, from 8192×1000 on", 1.7, True, two))
    return out
