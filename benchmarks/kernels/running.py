"""The parts of the run: losses by shape, memory, training steps; each returns rows for the JSON file."""

import statistics
import sys
import time

from benchmarks.kernels import measure
from benchmarks.kernels.cases import LOSSES, SHAPES, Case
from benchmarks.kernels.processes import Child, Children
from benchmarks.kernels.selection import ENDS

LARGE = SHAPES[3:]  # where a second thread is worth having
LARGEST = (SHAPES[4], SHAPES[6])  # by the number of logits
FLOORS = ("copy", "exp-copy", "autograd alone")
OURS = ("ours", "ours, JAX")  # what others are compared with: the kernel in torch; where torch has none, in JAX


def say(text):
    print(text, file=sys.stderr, end="", flush=True)


def one_case(children, case, losses, budget, everything=False, only=None, memory=False):
    """Return the rows of a case: every variant of every loss, in turns."""
    rows, found = [], {}
    for child in children.all:
        for row in child.ask("load", case=case, selection=[losses, everything, only]):
            key = f"{row['loss']}|{row['variant']}"
            row |= {"shape": list(case.shape), "dtype": case.dtype}
            rows.append(row)
            if "seconds" in row:
                found[key] = (child, row, [])
    measured = {row["loss"] for _, row, _ in found.values()}
    per_round = sum(max(measure.WORTH_TIMING, row["seconds"]) for _, row, _ in found.values())
    for turn in range(measure.rounds_for(per_round, budget)):
        for of in losses:
            if of not in measured:
                continue
            for child in children.all if turn % 2 == 0 else reversed(children.all):
                for key, seconds in child.ask("time", loss=of, backwards=bool(turn % 2)).items():
                    found[key][2].append(seconds)
        say(".")
    if memory:
        for child in children.all:
            for key, grown in peaks(child, case, [losses, everything, only]).items():
                if key in found:
                    found[key][1]["peak_extra_bytes"] = grown
    for key, (_, row, seconds) in found.items():
        row["seconds"] = measure.summary(seconds)
        base = next((k for name in OURS if (k := f"{row['loss']}|{name}") in found), None)
        if base is not None and key != base:
            row["over_ours"] = measure.ratios(seconds, found[base][2])
        row["all_seconds"] = seconds
    if "plain|copy" in found:
        floor = found["plain|copy"][2]
        for _, row, seconds in found.values():
            row["over_copy"] = measure.ratios(seconds, floor)
    _agreement(rows, case.dtype)
    return rows


def peaks(child, case, selection):
    """Return the peak of extra memory of each variant."""
    if child.framework != "tensorflow":
        return child.ask("memory")
    # with oneDNN TensorFlow keeps what was freed, so that nothing seems to grow: without it, in a process of its own
    other = Child("tensorflow", 1, TF_ENABLE_ONEDNN_OPTS="0")
    other.ask("load", case=case, selection=selection)
    found = other.ask("memory")
    other.close()
    return found


def _agreement(rows, dtype):
    """Mark what computes another number than ours does (or, where ours is missing, than torch)."""
    allowed = 2e-2 if dtype == "bfloat16" else 1e-4
    for of in {row["loss"] for row in rows}:
        of_loss = [row for row in rows if row["loss"] == of and "value" in row]
        base = next((r for name in (*OURS, "torch eager") for r in of_loss if r["variant"] == name), None)
        for row in of_loss if base else ():
            off = max(
                abs(row[k] - base[k]) / max(abs(base[k]), 1e-30) for k in ("value", "gradient_norm")
            )  # of the gradient only its norm is compared: parity element by element is what the tests are for
            row["off_by"] = off
            row["agrees"] = off <= allowed


def by_shape(asked, threads, huge):
    """Measure every loss at every shape with so many threads."""
    shapes = SHAPES
    if asked.quick:
        shapes = SHAPES[1:4]
    if huge:
        shapes = LARGEST
    elif threads > 1:
        shapes = [s for s in shapes if s in LARGE]
    dtypes = asked.dtypes if not huge and (threads == 1 or asked.all) else ["float32"]
    rows = []
    with Children(asked.frameworks, threads, huge) as children:
        facts = {child.framework: child.ask("facts") for child in children.all}
        for shape in shapes:
            for dtype in dtypes:
                case = Case(shape, dtype)
                ends = dtype != "float32" or threads > 1 or huge or asked.quick
                losses = ENDS if ends and not asked.all else LOSSES
                if "plain" not in losses:
                    losses = ("plain", *losses)
                begun = time.perf_counter()
                say(f"{threads} thread{'s' * (threads > 1)}{', huge pages' * huge}, {shape}, {dtype} ")
                memory = threads == 1 and not huge and shape in (SHAPES[4], SHAPES[6]) and dtype == "float32"
                got = one_case(children, case, losses, asked.budget, asked.all, memory=memory)
                say(f" {time.perf_counter() - begun:.0f} s\n")
                for row in got:
                    row |= {"threads": threads, "pages": "huge" if huge else "as they come"}
                rows += got
    return rows, facts


def training_steps(asked):
    """Measure what a loss adds to a training step: the same step without a loss, in the same round, taken off."""
    out = []
    names = ENDS if asked.quick else LOSSES
    with Children(["torch"], 1) as children:
        child = children.all[0]
        for n_classes in (2, 10):
            say(f"training steps, {n_classes} classes ")
            rows = child.ask("steps", n_classes=n_classes, names=names)
            found = {f"{r['loss']}|{r['variant']}": (r, []) for r in rows if "seconds" in r}
            for turn in range(15 if asked.quick else 41):
                for key, seconds in child.ask("time", backwards=bool(turn % 2)).items():
                    found[key][1].append(seconds)
            base = found["plain|no loss: sum of the logits"][1]
            for row in rows:
                row["n_classes"] = n_classes
                if "seconds" in row:
                    seconds = found[f"{row['loss']}|{row['variant']}"][1]
                    row["seconds"] = measure.summary(seconds)
                    row["marginal"] = measure.summary([s - b for s, b in zip(seconds, base, strict=True)])
            out += rows
            say(f"{1e6 * statistics.median(base):.0f} µs without a loss\n")
    return out
