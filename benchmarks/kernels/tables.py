"""What a run says, as Markdown: the answer first, then targets, training steps, memory, and every figure."""

from benchmarks.kernels import measure
from benchmarks.kernels.cases import LOSSES, SHAPES, Case, label
from benchmarks.kernels.running import FLOORS, OURS
from benchmarks.kernels.targets import REASONS, Rows, evaluate

ORDER = (
    *FLOORS, "ours", "ours, warm", "ours, formula", "torch eager", "torch.compile",
    "imbalanced-losses", "balanced-loss", "torchvision", "ours, NumPy", "ours, JAX",
    "ours, JAX formula", "JAX/optax", "TensorFlow", "TensorFlow XLA", "ours, TensorFlow XLA", "Keras",
)  # fmt: skip
WORDS = {
    "ours": "the compiled kernel in `sy.torch.Loss`",
    "ours, JAX": "the compiled kernel in `sy.jax.Loss`",
}
README_PEERS = ("torch eager", "torch.compile", "TensorFlow XLA", "JAX/optax")


def table(head, rows, left=1):
    """Return a Markdown table whose first `left` columns are words and whose others are figures."""
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * left + "---:|" * (len(head) - left)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)]) + "\n"


def microseconds(seconds):
    """Return a time in µs with three figures.

    >>> microseconds(1.234e-5), microseconds(0.0284601)
    ('12.3', '28,500')
    """
    return figure(1e6 * seconds)


def figure(value):
    """Return a number with three figures, in full.

    >>> figure(0.01234), figure(1.0), figure(28460.1)
    ('0.0123', '1.00', '28,500')
    """
    if value == 0:
        return "0"
    digits = 2
    while digits < 6 and abs(value) < 10 ** (2 - digits):
        digits += 1
    rounded = float(f"{value:.3g}")
    return (
        f"{rounded:,.0f}"
        if abs(rounded) >= 100
        else f"{rounded:.1f}"
        if abs(rounded) >= 10
        else f"{rounded:.{digits}f}"
    )


def spread(r):
    return f"{figure(r['median'])} [{figure(r['p20'])}, {figure(r['p80'])}]"


def facts(found):
    """Return what was measured where."""
    versions = ", ".join(f"{name} {version}" for name, version in found["versions"].items())
    load = found["load"]
    lines = [
        f"{found['device']}, {found['cores']} cores; load {load['before']:.1f} before, {load['after']:.1f} after; "
        f"commit {found['commit']}; {found['minutes']:.1f} minutes.",
        f"Compiled kernels: {found['kernels']}. {versions}.",
    ]
    if found["quick"]:
        lines.append("**--quick: few shapes, losses and rounds; these figures show that it runs, no more.**")
    if load["before"] > 0.5 * found["cores"]:
        lines.append("**The machine did other things at the same time: read ratios, not times.**")
    without = [f for f, of in found.get("processes", {}).get("pages", {}).items() if not of["huge_pages"]]
    if without:
        lines.append(f"**Huge pages were asked for and not given: {', '.join(without)}.**")
    absent = {}
    for row in found.get("rows", []):
        if "why_not" in row:
            absent.setdefault((row["variant"], row["why_not"]), []).append(label(row["shape"]))
    for (variant, why), shapes in absent.items():
        where = f" ({shapes[0]})" if len(set(shapes)) == 1 else ""
        lines.append(f"Not measured: {variant}{where}: {why.rstrip('.')}.")
    return "\n\n".join(lines) + "\n"


def geometric_means(found):
    """Return how many times as long as ours each variant takes, over the float32 shapes, one thread."""
    r = Rows(found["rows"])
    rows = []
    for name in ORDER:
        if name in FLOORS or name == r.ours():
            continue
        cells = []
        for of in ("weighted", "focal", "everything on"):
            values = [v for s in SHAPES if (v := r.over_ours(s, of, name)) is not None]
            cells.append(f"{figure(measure.geometric_mean(values))} ({len(values)})" if values else "")
        if any(cells):
            rows.append([name, *cells])
    text = f"Times as long as {WORDS[r.ours()]}: geometric mean over the float32 shapes (how many), one thread.\n\n"
    return text + table(["", "weighted", "focal", "everything on"], rows)


def targets(found):
    """Return each target, whether it is met, and by how much."""
    rows = []
    for t in evaluate(found["rows"], found.get("steps", [])):
        wanted = f"{'≥' if t.at_least else '≤'} {t.wanted:g} {t.unit}"
        if t.met is None:
            rows.append([t.goal, wanted, "", "not measured in this run"])
            continue
        away = f"{100 * (1 - t.by):.0f} % short" if t.at_least else f"{100 * (1 / t.by - 1):.0f} % over"
        verdict = "met" if t.met else f"**not met**, {away}"
        if not t.met and t.goal in REASONS:
            verdict += f": {REASONS[t.goal]}"
        rows.append(
            [t.goal + (f" (worst: {t.where})" if t.where else ""), wanted, f"{figure(t.measured)} {t.unit}", verdict]
        )
    return table(["target", "wanted", "measured", ""], rows, left=1)


def steps(found):
    """Return what a loss adds to a training step."""
    rows = []
    base = {}
    for row in found["steps"]:
        if "seconds" in row and row["variant"].startswith("no loss"):
            base[row["n_classes"]] = row["seconds"]["median"]
    for of in LOSSES:
        for name in ORDER:
            cells = [
                spread({k: 1e6 * v for k, v in row["marginal"].items()})
                for n in base
                for row in found["steps"]
                if (row["loss"], row["variant"], row["n_classes"]) == (of, name, n) and "marginal" in row
            ]
            if len(cells) == len(base):
                rows.append([of, name, *cells])
    without = ", ".join(f"{microseconds(s)} µs with {n} classes" for n, s in base.items())
    text = (
        "What a loss adds to a training step, µs: median [p20, p80] of the step with the loss less the same step with "
        f"the sum of the logits in its place (MLP 32-64-C, batch 256, SGD, float32, one thread; {without}).\n\n"
    )
    return text + table(["loss", "", *(f"{n} classes" for n in base)], rows, left=2)


def memory(found):
    """Return the peak of extra memory, in gradients."""
    measured = [row for row in found["rows"] if "peak_extra_bytes" in row and row["variant"] not in FLOORS]
    shapes = list(dict.fromkeys(tuple(row["shape"]) for row in measured))
    rows = []
    for of in LOSSES:
        for name in ORDER:
            cells = []
            for s in shapes:
                row = next((r for r in measured if (tuple(r["shape"]), r["loss"], r["variant"]) == (s, of, name)), None)
                if row is None:
                    cells.append("")
                    continue
                grown = row["peak_extra_bytes"]
                cells.append(f"{grown / 2**20:,.0f} ({grown / Case(s, 'float32').bytes:.1f})")
            if any(cells):
                rows.append([of, name, *cells])
    text = "Peak extra memory of forward and gradient, MB (in gradients: 1.0 is the gradient itself), float32.\n\n"
    return text + table(["loss", "", *map(label, shapes)], rows, left=2)


def figures(found):
    """Return every time: a table per shape, dtype, threads and pages."""
    groups = dict.fromkeys((r["threads"], r["pages"], r["dtype"], tuple(r["shape"])) for r in found["rows"])
    parts = []
    for threads, pages, dtype, shape in groups:
        here = [
            r for r in found["rows"]
            if (r["threads"], r["pages"], r["dtype"], tuple(r["shape"])) == (threads, pages, dtype, shape)
        ]  # fmt: skip
        losses = [
            of for of in LOSSES if any(r["loss"] == of and "seconds" in r and r["variant"] not in FLOORS for r in here)
        ]
        rows = []
        for name in ORDER:
            cells = []
            for of in losses:
                row = next((r for r in here if (r["loss"], r["variant"]) == (of, name) and "seconds" in r), None)
                if row is None:
                    cells.append("")
                    continue
                text = microseconds(row["seconds"]["median"])
                if "over_ours" in row:
                    text += f" · {spread(row['over_ours'])}"
                if row.get("same") and not row.get("agrees", True):
                    text += f" ≠ {row['off_by']:.0e}"
                cells.append(text + ("" if row.get("same", True) else " †"))
            if any(cells):
                rows.append([name, *cells])
        title = f"**{label(shape)}, {dtype}, {threads} thread{'s' if threads > 1 else ''}"
        title += ", huge pages for everybody**" if pages == "huge" else "**"
        parts.append(f"{title}\n\n" + table(["", *losses], rows))
    text = (
        f"Forward and gradient, µs · times as long as {WORDS[Rows(found['rows']).ours()]} [p20, p80 of the rounds].\n"
        "†: another formula, or a mean of its own. ≠: value or norm of the gradient off by more than 1e-4 (bfloat16:\n"
        '2e-2), by how much. "ours, warm" is the kernel alone, into a gradient that is there.\n\n'
    )
    return text + "\n".join(parts)


def whole(found):
    """Return everything, the answer first."""
    parts = ["# How fast the losses are\n", facts(found)]
    if found.get("rows"):
        parts += ["## In short\n", geometric_means(found), "## Targets\n", targets(found)]
    if found.get("steps"):
        parts += ["## In a training step\n", steps(found)]
    if any("peak_extra_bytes" in r for r in found.get("rows", [])):
        parts += ["## Memory\n", memory(found)]
    if found.get("rows"):
        parts += ["## Every figure\n", figures(found)]
    return "\n".join(parts)


BEGIN, END = "<!-- figures of benchmarks/kernels, written by `make bench-readme` -->", "<!-- end of figures -->"


def readme_section(found):
    """Return the paragraph and the table that README holds between its markers."""
    r = Rows(found["rows"])
    rows = []
    for s in SHAPES:
        ours = [r.get(s, of, r.ours()) for of in ("weighted", "everything on")]
        copy = r.get(s, "plain", "copy")
        if None in ours:
            continue
        cells = [microseconds(row["seconds"]["median"]) for row in (copy, *ours)]
        for of in ("weighted", "everything on"):
            cells += [figure(v) if (v := r.over_ours(s, of, name)) is not None else "" for name in README_PEERS]
        rows.append([label(s), *cells])
    all_on = [f"{name}, all on" for name in README_PEERS]
    head = ["float32, one thread", "copy, µs", "weighted, µs", "everything on, µs", *README_PEERS, *all_on]
    judged = [t for t in evaluate(found["rows"], found.get("steps", [])) if t.met is not None]
    means = []
    for name in README_PEERS:
        pair = []
        for of in ("weighted", "everything on"):
            values = [v for s in SHAPES if (v := r.over_ours(s, of, name)) is not None]
            pair.append(figure(measure.geometric_mean(values)) if values else "not measured")
        means.append(f"{name} {pair[0]} and {pair[1]}")
    marginal = [1e6 * row["marginal"]["median"] for row in found.get("steps", []) if _ours(row) and "marginal" in row]
    load = found["load"]["before"]
    lines = [
        f"Value and gradient of a loss with {WORDS[r.ours()]}, then how many times as long the",
        "same loss takes with a library's own functions. All on: weights, scale, offset, margin, focusing, smoothing",
        f"together. {found['device']}, {found['kernels']}; load {load:.1f} before the run.",
        "",
        table(head, rows),
        f"Geometric means, weighted and everything on: {'; '.join(means)}.",
    ]
    if marginal:
        span = f"{figure(min(marginal))} to {figure(max(marginal))} µs"
        lines.append(f"A loss adds {span} to a training step of a small network.")
    met = sum(bool(t.met) for t in judged)
    lines += [
        f"Of {len(judged)} targets that were set beforehand {met} are met. `make bench` measures again and prints",
        "each of them, and what this table leaves out: bfloat16, two threads, huge pages, memory, other libraries",
        "([report](benchmarks/kernels/results/bench.md)).",
    ]
    return "\n".join(lines) + "\n"


def _ours(row):
    return row["variant"] == OURS[0]


def into_readme(text, found):
    """Return the text of README with the section between the markers written anew."""
    before, rest = text.split(BEGIN)
    after = rest.split(END)[1]
    return f"{before}{BEGIN}\n\n{readme_section(found)}\n{END}{after}"
