"""The comparison's networks against skorch, Keras, a torch loop and scikit-learn's MLP; and whole comparisons.

    python benchmarks/speed/bench_compare.py [--quick] [--backend native|jax] [--repeats 5] [--only PART ...]

Needs `pip install "steelyard[bench]"`. Run it on a machine that does nothing else; --quick says whether it runs.

- **Run for run.** 12 strategies × 5 folds of an MLP, 2×64 and 2×128, batch 256, on 2,000, 20,000 and 200,000 rows × 30
  features in 10 classes. Ours is the comparison's own path, samplers and index streams included, measured whole. A peer
  trains one network, unweighted, for some epochs: its time grows in proportion, so that it is quoted per run and epoch,
  the median of all epochs but the first. What it pays once per fit beside them (building, tracing) is left out of the
  ratios and stands in a column of its own; of ours the first call, which may compile, is left out and quoted. Peers
  have one core, as more only slow steps of this size down; ours has one, too ("one core"), and then all. One process
  per variant, so that Keras can have both backends; they take turns.
- **Whole comparisons.** 450 runs (30 strategies × 5 folds × 3 repeats), default recipe, in a fresh process, from the
  imports to the report's numbers: at 2,000 rows beside importing Keras with TensorFlow and fitting one model; at
  20,000 rows in units of one skorch fit of 30 epochs.
- **Memory** is the peak of each process. **Cost per added strategy** is the slope of time over their number.
- **Share of the matrix peak**: multiplications and additions of our steps per second over those of the fastest square
  float32 matrix product that NumPy, torch and JAX reach on one core.

Prints Markdown; writes benchmarks/speed/results/bench_compare.json (with --quick: runs/bench_compare.json).
"""

import argparse
import dataclasses
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import peers

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import machine
from peers import BATCH, CLASSES, FEATURES, FOLDS, data, folds, timed

ROOT = Path(__file__).resolve().parents[2]
STRATEGIES = (
    "none", "balanced", "inverse_sqrt", "effective_number", "scaled_logits", "focal", "class_balanced_focal",
    "logit_adjusted", "vector_scaling", "ldam", "oversample", "balanced_batches",
)  # fmt: skip
SIZES = ((64, 64), (128, 128))
ROWS = (2_000, 20_000, 200_000)
PARTS = ("runs", "strategies", "comparisons")
PEERS = {"skorch": "skorch", "keras (tensorflow)": "keras", "keras (jax)": "keras", "torch loop": "torch",
         "scikit-learn": "scikit-learn"}  # fmt: skip


# ours --------------------------------------------------------------------------------------------------------------


def options(backend, **settings):
    from steelyard.training import mlp

    if backend is not None:
        if "backend" in {f.name for f in dataclasses.fields(mlp.Schedule)}:
            return settings | {"backend": backend}
        if backend != "jax":
            raise SystemExit(f"this version of steelyard has no backend {backend!r}")
    return settings


def in_use(backend):
    """Return what trains our networks here, as steelyard says it."""
    from steelyard.training import mlp

    return mlp.backend(mlp.Schedule(**options(backend))) if hasattr(mlp, "backend") else "jax"


class Ours:
    """Every strategy on every fold, as the comparison trains them; seconds per run and epoch."""

    def __init__(self, backend):
        self.backend = backend

    def __call__(self, rows, hidden, epochs, names=STRATEGIES, n_folds=FOLDS):
        import steelyard as sy
        from steelyard import training

        X, y = data(rows)
        model = training.get("mlp", **options(self.backend, hidden=tuple(hidden), epochs=epochs, batch_size=BATCH))
        begun = time.perf_counter()
        for k, train in enumerate(folds(y)[:n_folds]):
            counts = sy.ClassCounts.from_labels(y[train], classes=range(CLASSES))
            points = [training.resolve(model, sy.strategies.get(name), counts) for name in names]
            fitted = training.fit_all(model, X[train].astype(np.float64), y[train], points, CLASSES, k)
            failed = [f for f in fitted if isinstance(f, Exception)]
            if failed:
                raise failed[0]
        return (time.perf_counter() - begun) / (len(names) * n_folds * epochs), 0.0


# whole comparisons, each in a process of its own --------------------------------------------------------------------


def thirty():
    """Return thirty strategies that are all trained: none shares a fit with another."""
    import steelyard as sy

    plain = ("none", "balanced", "inverse_sqrt", "log_inverse", "ldam", "ldam_drw", "oversample", "undersample",
             "smote", "balanced_batches", "scaled_logits", "class_balanced_focal")  # fmt: skip
    chosen = [sy.strategies.get(name) for name in plain]
    varied = {"focal": ("gamma", (0.5, 1.0, 2.0, 3.0, 5.0)), "logit_adjusted": ("tau", (0.25, 0.5, 0.75, 1.0, 1.25)),
              "effective_number": ("beta", (0.9, 0.99, 0.999, 0.9999)),
              "vector_scaling": ("gamma", (0.25, 0.5, 0.75, 1.0))}  # fmt: skip
    for name, (parameter, values) in varied.items():
        for value in values:
            one = sy.strategies.get(name, **{parameter: value})
            chosen.append(dataclasses.replace(one, name=f"{name}_{value}"))
    return chosen


def whole(rows, decisions, repeats, backend):
    import steelyard as sy

    X, y = data(rows, 2)
    strategies = thirty()
    model = ("mlp", options(backend, hidden=(64, 64)))
    result = sy.compare(X, y, strategies, model, decisions=decisions, repeats=repeats)
    runs = result.to_dict()["runs"]
    if len(runs) != len(strategies) * FOLDS * repeats:
        raise SystemExit(f"{len(runs)} runs: {result.to_dict()['skipped']}")


def one_keras(rows):
    X, y = data(rows, 2)
    peers.keras_fit(X, y, (64, 64), 30)


# processes ----------------------------------------------------------------------------------------------------------


def peak_gflops():
    """Return the fastest float32 product of square matrices of three libraries on the cores that this process has."""
    import jax
    import torch

    torch.set_num_threads(1)
    found = {}
    for n in (512, 1024, 2048):
        a = np.random.default_rng(0).normal(size=(n, n)).astype(np.float32)
        t, j, product = torch.tensor(a), jax.numpy.asarray(a), jax.jit(lambda x: x @ x)
        variants = {"numpy": lambda a=a: a @ a, "torch": lambda t=t: t @ t,
                    "jax": lambda j=j, product=product: product(j).block_until_ready()}  # fmt: skip
        for name, work in variants.items():
            work()
            best = min(timed(work) for _ in range(7))
            found[name] = max(found.get(name, 0.0), 2 * n**3 / best / 1e9)
    return found


def serve(variant, backend):
    """Answer requests, one JSON line each, until there are no more."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever a library prints is not an answer
    if variant in ("torch loop", "skorch"):
        import torch

        torch.set_num_threads(1)
    work = {
        "steelyard": Ours(backend),
        "torch loop": peers.torch_loop,
        "skorch": peers.skorch_epochs,
        "scikit-learn": peers.sklearn_epochs,
    }
    for line in sys.stdin:
        asked = json.loads(line)
        if asked.pop("peak", False):
            answer = peak_gflops()
        else:
            answer = work.get(variant, peers.keras_epochs)(**asked)
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(json.dumps({"answer": answer, "megabytes": memory}), file=answers, flush=True)


def environment(variant, cores):
    settings = dict(os.environ) | {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "", "JAX_PLATFORMS": "cpu"}
    if cores == 1:
        settings |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    if variant.startswith("keras"):
        settings["KERAS_BACKEND"] = variant.split("(")[1].rstrip(")")
    return settings


def pinned(cores):
    allowed = sorted(os.sched_getaffinity(0))
    return (lambda: os.sched_setaffinity(0, allowed[-cores:])) if cores < len(allowed) else None


class Child:
    """A process that measures one variant."""

    def __init__(self, variant, backend, cores):
        command = [sys.executable, __file__, "--serve", variant, *(["--backend", backend] if backend else [])]
        self.variant, self.megabytes = variant, 0.0
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment(variant, cores),
            preexec_fn=pinned(cores),
        )  # fmt: skip

    def ask(self, **request):
        print(json.dumps(request), file=self.process.stdin, flush=True)
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"the process of {self.variant} ended: see above")
        answer = json.loads(line)
        self.megabytes = max(self.megabytes, answer["megabytes"])
        return answer["answer"]

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def fresh(what, variant="steelyard", **arguments):
    """Return the seconds and the peak memory of a new process that does one thing."""
    command = [sys.executable, __file__, "--fresh", json.dumps([what, arguments])]
    begun = time.perf_counter()
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment(variant, 0))
    return time.perf_counter() - begun, float(done.stdout.split()[-1])


def do_fresh(request):
    what, arguments = json.loads(request)
    {"whole": whole, "keras": one_keras, "train": train_only}[what](**arguments)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def train_only(rows, repeats, backend):
    """The same fits without folds, metrics, bootstrap or summary."""
    import steelyard as sy
    from steelyard import training

    X, y = data(rows, 2)
    model = training.get("mlp", **options(backend, hidden=(64, 64)))
    for repeat in range(repeats):
        for k, train in enumerate(folds(y)):
            counts = sy.ClassCounts.from_labels(y[train])
            points = [training.resolve(model, s, counts) for s in thirty()]
            training.fit_all(model, X[train].astype(np.float64), y[train], points, 2, repeat * FOLDS + k)


# the three parts ----------------------------------------------------------------------------------------------------


def spread(values):
    low, middle, high = np.quantile(values, [0.2, 0.5, 0.8])
    return {"median": float(middle), "p20": float(low), "p80": float(high), "n": len(values)}


def flops(hidden):
    """Return multiplications and additions per row: forward, gradients of weights, gradients of all inputs but X."""
    sizes = (FEATURES, *hidden, CLASSES)
    products = [a * b for a, b in pairwise(sizes)]
    return 2 * (3 * sum(products) - products[0])


def run_for_run(asked):
    rows_of = (2_000, 20_000) if asked.quick else ROWS
    children = {
        "steelyard, all cores": Child("steelyard", asked.backend, len(os.sched_getaffinity(0))),
        "steelyard, one core": Child("steelyard", asked.backend, 1),
    }
    found = machine.versions(PEERS.values(), absent=None)
    missing = [name for name, package in PEERS.items() if found[package] is None]
    children |= {name: Child(name, asked.backend, 1) for name in PEERS if name not in missing}
    peak = children["steelyard, one core"].ask(peak=True)
    out = []
    for rows in rows_of:
        # enough epochs that a measurement is not noise, few enough that skorch ends
        ours, theirs = {2_000: (15, 20), 20_000: (5, 3), 200_000: (2, 2)}[rows]
        ours, theirs = (max(1, ours // 3), max(2, theirs // 3)) if asked.quick else (ours, theirs)
        for hidden in SIZES:
            seconds, once = {name: [] for name in children}, {name: [] for name in children}
            first = {}
            for name in ("steelyard, all cores", "steelyard, one core"):
                first[name] = children[name].ask(rows=rows, hidden=hidden, epochs=ours)[0]
            for _ in range(asked.repeats):
                for name, child in children.items():
                    epochs = ours if name.startswith("steelyard") else theirs
                    per_epoch, per_fit = child.ask(rows=rows, hidden=hidden, epochs=epochs)
                    seconds[name].append(per_epoch)
                    once[name].append(per_fit)
                print(".", end="", file=sys.stderr, flush=True)
            one = statistics.median(seconds["steelyard, one core"])
            every = statistics.median(seconds["steelyard, all cores"])
            steps = max(1, int(rows * 0.8) // BATCH)
            rate = steps * BATCH * flops(hidden) / one / 1e9
            for name in children:
                row = {"rows": rows, "hidden": list(hidden), "variant": name, "epochs": ours}
                row |= {"seconds_per_run_and_epoch": spread(seconds[name])}
                row |= {"over_ours_one_core": spread([s / one for s in seconds[name]])}
                row |= {"over_ours_all_cores": spread([s / every for s in seconds[name]])}
                row |= {"seconds_once_per_fit": spread(once[name])}
                if name in first:
                    compiling = (first[name] - statistics.median(seconds[name])) * len(STRATEGIES) * FOLDS * ours
                    row |= {"first_call_more_seconds": compiling}
                if name == "steelyard, one core":
                    row |= {"gflops": rate, "share_of_peak": rate / max(peak.values())}
                out.append(row)
    memory = {name: child.megabytes for name, child in children.items()}
    for child in children.values():
        child.close()
    return {"peak_gflops_one_core": peak, "rows": out, "peak_megabytes": memory, "not_installed": missing}


def added_strategies(asked):
    """Time one fold of 20,000 rows over the number of strategies; the slope is what one more costs."""
    child = Child("steelyard", asked.backend, len(os.sched_getaffinity(0)))
    numbers = (2, 4, 8, 12)
    rows, epochs = 20_000, 3 if asked.quick else 15
    seconds = {n: [] for n in numbers}
    for repeat in range(1 + asked.repeats):
        for n in numbers:
            per_run, _ = child.ask(rows=rows, hidden=(64, 64), epochs=epochs, names=STRATEGIES[:n], n_folds=1)
            if repeat:  # the first call compiles
                seconds[n].append(per_run * n * epochs)
    middle = [statistics.median(seconds[n]) for n in numbers]
    per_strategy, fixed = np.polyfit(numbers, middle, 1)
    child.close()
    return {"rows": rows, "epochs": epochs, "seconds": {n: spread(seconds[n]) for n in numbers},
            "seconds_per_added_strategy": float(per_strategy), "seconds_before_the_first": float(fixed)}  # fmt: skip


def comparisons(asked):
    repeats = 1 if asked.quick else 3
    plain = {"backend": asked.backend, "repeats": repeats}
    small = {
        "training alone": ("train", "steelyard", {"rows": 2_000} | plain),
        "decisions='default'": ("whole", "steelyard", {"rows": 2_000, "decisions": "default"} | plain),
        "decisions='both'": ("whole", "steelyard", {"rows": 2_000, "decisions": "both"} | plain),
        "import Keras with TensorFlow, fit one model": ("keras", "keras (tensorflow)", {"rows": 2_000}),
    }
    seconds, memory = {name: [] for name in small}, {}
    for _ in range(min(asked.repeats, 3)):
        for name, (what, variant, arguments) in small.items():
            taken, megabytes = fresh(what, variant, **arguments)
            seconds[name].append(taken)
            memory[name] = megabytes
            print(".", end="", file=sys.stderr, flush=True)
    large = {
        "training alone": ("train", {"rows": 20_000} | plain),
        "decisions='default'": ("whole", {"rows": 20_000, "decisions": "default"} | plain),
    }
    skorch = Child("skorch", None, 1)
    units, long = [], {name: [] for name in large}
    for _ in range(1 if asked.quick else min(asked.repeats, 3)):
        epochs = 4 if asked.quick else 30
        per_epoch, per_fit = skorch.ask(rows=20_000, hidden=(64, 64), epochs=epochs)
        units.append(30 * per_epoch + per_fit)
        for name, (what, arguments) in large.items():
            taken, megabytes = fresh(what, **arguments)
            long[name].append(taken)
            memory[f"20,000 rows: {name}"] = megabytes
            print(".", end="", file=sys.stderr, flush=True)
    skorch.close()
    return {
        "runs": 30 * FOLDS * repeats,
        "2000": {name: spread(values) for name, values in seconds.items()},
        "20000": {name: spread(values) for name, values in long.items()},
        "skorch_fit_30_epochs": spread(units),
        "peak_megabytes": memory,
    }


# what is printed ----------------------------------------------------------------------------------------------------


def table(head, rows):
    print("| " + " | ".join(head) + " |")
    print("|---|" + "---:|" * (len(head) - 1))
    for row in rows:
        print("| " + " | ".join(row) + " |")
    print()


def printed(found):
    print(f"{found['device']}, {found['cores']} cores; commit {found['commit']}; backend {found['backend']}")
    print(", ".join(f"{name} {version}" for name, version in found["versions"].items()))
    if found["quick"]:
        print("**--quick: few repeats and epochs; these figures show that it runs, no more.**")
    print()
    if "runs" in found:
        part = found["runs"]
        print("Run for run, ms per run and epoch; peers: one run on one core, scaled. Median (p20 to p80).\n")
        for rows, hidden in dict.fromkeys((r["rows"], tuple(r["hidden"])) for r in part["rows"]):
            lines = []
            for r in part["rows"]:
                if (r["rows"], tuple(r["hidden"])) != (rows, hidden):
                    continue
                s, one, every = (
                    r[k] for k in ("seconds_per_run_and_epoch", "over_ours_one_core", "over_ours_all_cores")
                )
                lines.append([
                    r["variant"], f"{1e3 * s['median']:.2f} ({1e3 * s['p20']:.2f} to {1e3 * s['p80']:.2f})",
                    f"{one['median']:.1f}", f"{every['median']:.1f}", f"{r['seconds_once_per_fit']['median']:.2f}",
                    f"{100 * r['share_of_peak']:.0f} %" if "share_of_peak" in r else "",
                ])  # fmt: skip
            head = [f"{rows:,} rows, {hidden[0]}×{len(hidden)}", "ms", "over ours, one core", "over ours, all cores",
                    "s once per fit", "of matrix peak"]  # fmt: skip
            table(head, lines)
        compiling = max(r.get("first_call_more_seconds", 0.0) for r in part["rows"])
        print(f"Our first call for a shape of the data took up to {compiling:.1f} s more than the next.\n")
        peak = ", ".join(f"{name} {value:.0f}" for name, value in part["peak_gflops_one_core"].items())
        print(
            f"Matrix peak of one core, GFLOP/s: {peak}. Not installed: {', '.join(part['not_installed']) or 'none'}.\n"
        )
        table(["process", "peak MB"], [[name, f"{mb:.0f}"] for name, mb in part["peak_megabytes"].items()])
    if "strategies" in found:
        part = found["strategies"]
        more, fixed = part["seconds_per_added_strategy"], part["seconds_before_the_first"]
        print(f"One more strategy on one fold of {part['rows']:,} rows, {part['epochs']} epochs, 2×64, all cores:")
        print(f"{more:.3f} s; before the first {fixed:.3f} s.\n")
    if "comparisons" in found:
        part = found["comparisons"]
        n, keras = part["runs"], part["2000"]["import Keras with TensorFlow, fit one model"]["median"]
        if n != 450:
            print(f"--quick: {n} runs in place of 450.\n")
        lines = [[name, f"{v['median']:.1f}", f"{v['median'] / keras:.2f}", f"{part['peak_megabytes'][name]:.0f}"]
                 for name, v in part["2000"].items()]  # fmt: skip
        table([f"{n} runs, 2,000 rows, fresh process", "s", "over Keras", "peak MB"], lines)
        unit = part["skorch_fit_30_epochs"]["median"]
        memory = part["peak_megabytes"]
        lines = [
            [name, f"{v['median']:.1f}", f"{v['median'] / unit:.1f}", f"{memory[f'20,000 rows: {name}']:.0f}"]
            for name, v in part["20000"].items()
        ]
        table(
            [f"{n} runs, 20,000 rows (one skorch fit of 30 epochs: {unit:.2f} s)", "s", "skorch fits", "peak MB"], lines
        )


def facts(asked):
    wanted = ("steelyard", "numpy", "jax", "torch", "skorch", "keras", "tensorflow-cpu", "scikit-learn")
    return {"device": machine.processor(), "cores": len(os.sched_getaffinity(0)), "commit": machine.commit(),
            "load_before": os.getloadavg()[0], "backend": in_use(asked.backend), "quick": asked.quick,
            "versions": machine.versions(wanted)}  # fmt: skip


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="show that it runs, in minutes")
    parser.add_argument("--backend", choices=("native", "jax"), help="what trains our networks; default: its default")
    parser.add_argument("--repeats", type=int, help="default 5, with --quick 1")
    parser.add_argument("--only", choices=PARTS, nargs="+", default=PARTS)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    parser.add_argument("--fresh", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.serve:
        serve(asked.serve, asked.backend)
        return
    if asked.fresh:
        do_fresh(asked.fresh)
        return
    asked.repeats = asked.repeats or (1 if asked.quick else 5)
    found = facts(asked)
    if found["load_before"] > 0.5 * found["cores"]:
        print(f"the machine is busy (load {found['load_before']:.1f}): read ratios, not times", file=sys.stderr)
    work = {"runs": run_for_run, "strategies": added_strategies, "comparisons": comparisons}
    for part in asked.only:
        found[part] = work[part](asked)
    print(file=sys.stderr)
    printed(found)
    folder = ROOT / "runs" if asked.quick else ROOT / "benchmarks" / "speed" / "results"
    path = asked.out or folder / "bench_compare.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(found, indent=1) + "\n")
    print(f"written: {path}", file=sys.stderr)


if __name__ == "__main__":
    main()
