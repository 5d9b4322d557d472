"""Made-up results of any size, in the form of results.json: several models, all strategies, many classes."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np

import steelyard
from steelyard import metrics
from steelyard.comparison.results import SCHEMA_VERSION, plain
from steelyard.comparison.views import views
from steelyard.metrics import corrected_resampled_t, holm, smallest_detectable, verdict

STRATEGIES = (
    "none", "prior_threshold", "post_hoc_logit_adjustment", "balanced", "inverse_sqrt", "log_inverse",
    "effective_number", "scaled_logits", "focal", "class_balanced_focal", "logit_adjusted", "balanced_softmax", "ldam",
    "ldam_drw", "vector_scaling", "oversample", "undersample", "smote", "balanced_batches",
)  # fmt: skip
MODELS = ("linear", "mlp", "lightgbm")
MOVED = {  # strategies whose own decision favours the rare classes
    "prior_threshold", "post_hoc_logit_adjustment", "balanced", "logit_adjusted", "balanced_softmax",
    "class_balanced_focal", "oversample", "undersample", "smote", "balanced_batches",
}  # fmt: skip
WARNINGS = (
    "column 'S' is left out: it is constant",
    "column 'TBG_measured' is left out: it is constant",
    "column 'row_number' is left out: it numbers the rows, and says only how the file was sorted",
    "column 'admitted' is a moment: it is used as a number",
    "class thyrotoxicosis has 28 rows, about 6 in a test fold: expect wide intervals, and read 'no detectable "
    "difference' as 'too few rows to tell'",
    "ldam (linear): 3 of 15 fits stopped after 2000 steps before its gradient (3e-05) was small",
    "something that the report has no advice on",
)
SKIPPED = (
    {"model": "mlp", "strategy": "smote", "reason": "InputError: Expected at least 2 rows of class 'x' to make "
     "neighbours of; got 1. Hint: merge it with another class."},
    {"model": "lightgbm", "strategy": "ldam_drw", "reason": "a tree cannot defer its weights"},
    {"strategy": "focal", "reason": "FloatingPointError: its probabilities are not finite"},
)  # fmt: skip


@dataclass
class Scored:
    proba: Any
    default: Any
    tuned: Any
    fold: Any = None


def results(
    n_classes: int = 2,
    models: tuple[str, ...] = MODELS,
    strategies: tuple[str, ...] = STRATEGIES,
    rows: int = 3000,
    cv: int = 5,
    repeats: int = 3,
    labels: list[str] | None = None,
    warnings: tuple[str, ...] = WARNINGS,
    skipped: tuple[Any, ...] = SKIPPED,
    metric: str | None = None,
) -> dict[str, Any]:
    """Return results of strategies whose scores are simulated, with real metrics, intervals, verdicts and views."""
    rng = np.random.default_rng(7)
    labels = labels or (["sick", "well"] if n_classes == 2 else [f"kind {k + 1:02d}" for k in range(n_classes)])
    shares = np.array([0.06, 0.94]) if n_classes == 2 else 0.55 ** np.arange(n_classes) + 0.004
    counts = np.maximum((rows * shares / shares.sum()).astype(int), 3 * cv)
    y = rng.permutation(np.repeat(np.arange(n_classes), counts))
    priors = counts / counts.sum()
    positive = 0 if n_classes == 2 else None
    name = metric or ("average_precision" if n_classes == 2 else "balanced_accuracy")
    decide = name if metrics.get(name, labels, positive).kind == "label" else "balanced_accuracy"
    names = dict.fromkeys((name, decide, *metrics.standard_names(labels if n_classes <= 50 else ())))
    wanted = [metrics.get(m, labels, positive, priors) for m in names]
    gone = {(s.get("model"), s["strategy"]) for s in skipped}
    folds = [rng.permutation(len(y)) % cv for _ in range(repeats)]
    noise = rng.normal(size=(repeats, len(y), n_classes))
    stored, runs, summary = {}, [], []
    for m, model in enumerate(models):
        own = [s for s in strategies if (model, s) not in gone and (None, s) not in gone]
        values: dict[tuple[str, str, str], list[float]] = {}
        for s in own:
            scored = stored[model, s] = _scored(s, y, priors, 1.3 + 0.3 * m, noise, rng, positive)
            scored.fold = np.array(folds)
            for r in range(repeats):
                for f in range(cv):
                    test = folds[r] == f
                    row: dict[str, float] = {}
                    for one in wanted:
                        kinds = (("default", ""), ("tuned", ":tuned"))[: 2 if one.kind == "label" else 1]
                        for decision, ending in kinds:
                            labelled = getattr(scored, decision)[r, test]
                            value = one.value(y[test], scored.proba[r, test], labelled)
                            row[one.name + ending] = value
                            values.setdefault((s, one.name, decision), []).append(value)
                    runs.append({"model": model, "strategy": s, "repeat": r, "fold": f, "metrics": row,
                                 "fit_seconds": 0.1})  # fmt: skip
        summary += _summary(model, own, values, wanted, cv)
    dataset = SimpleNamespace(target=SimpleNamespace(
        y=y, positive=positive, counts=SimpleNamespace(classes=labels, counts=counts, n_classes=n_classes)
    ))  # fmt: skip
    best = max((r for r in summary if r["metric"] == name), key=lambda r: r["mean"])
    keys = ("model", "strategy", "decision", "metric")
    return plain({
        "schema_version": SCHEMA_VERSION,
        "steelyard_version": steelyard.__version__,
        "dataset": {"rows": len(y), "features": 25, "classes": labels, "counts": [int(n) for n in counts],
                    "fingerprint": "3f" * 32},
        "settings": {"data": "patients.csv", "target": "diagnosis", "strategies": list(strategies), "parameters": {},
                     "models": list(models), "metric": name, "decision_metric": decide, "decisions": "both",
                     "positive": None if positive is None else labels[positive], "cv": cv, "repeats": repeats,
                     "random_state": 0},
        "runs": runs,
        "summary": summary,
        "best": {k: best[k] for k in keys} | {"estimate": best["mean"] - 0.004, "ci_low": best["ci_low"],
                                              "ci_high": best["ci_high"]},
        "warnings": list(warnings),
        "skipped": list(skipped),
        "views": views(stored, dataset, summary, wanted, SimpleNamespace(metric=name, decision_metric=decide)),
    })  # fmt: skip


def _scored(strategy, y, priors, signal, noise, rng, positive):
    """Scores of Gaussian evidence; what the strategy adds is a little noise of its own, and another decision."""
    n_classes = len(priors)
    z = noise.copy() if strategy in ("none", "prior_threshold") else noise + rng.normal(size=noise.shape) * 0.25
    z[:, np.arange(len(y)), y] += signal * (0.55 if strategy == "undersample" else 1.0)
    z = signal * z + np.log(priors)
    proba = np.exp(z - z.max(-1, keepdims=True))
    proba /= proba.sum(-1, keepdims=True)
    lifted = proba / priors ** (0.9 if n_classes > 2 else 1.0)
    middle = proba / priors**0.5
    partly = strategy in ("log_inverse", "inverse_sqrt", "ldam", "ldam_drw", "vector_scaling")
    default = lifted if strategy in MOVED else middle if partly else proba
    return Scored(proba, default.argmax(-1), lifted.argmax(-1))


def _summary(model, names, values, wanted, cv):
    rows = []
    for one in wanted:
        for decision in ("default", "tuned"):
            if ("none", one.name, decision) not in values:
                continue
            base = np.array(values["none", one.name, decision])
            differences = {
                s: corrected_resampled_t(np.array(values[s, one.name, decision]) - base, 1 / (cv - 1)) for s in names
            }
            adjusted = dict(zip(names[1:], holm([differences[s].p_value for s in names[1:]]), strict=True))
            for s in names:
                mean = corrected_resampled_t(np.array(values[s, one.name, decision]), 1 / (cv - 1))
                row = {"model": model, "strategy": s, "decision": decision, "metric": one.name, "mean": mean.mean,
                       "ci_low": max(mean.low, one.bounds[0]), "ci_high": min(mean.high, one.bounds[1])}  # fmt: skip
                if s == "none":
                    row |= {"difference": None, "p_adjusted": None, "verdict": "baseline", "detectable": None}
                else:
                    d = differences[s].mean
                    row |= {"difference": d, "p_adjusted": float(adjusted[s]),
                            "verdict": verdict(d, adjusted[s], one.greater_is_better)}  # fmt: skip
                    gain = np.array(values[s, one.name, decision]) - base
                    row["detectable"] = smallest_detectable(gain, 1 / (cv - 1), 0.05 / (len(names) - 1))
                rows.append(row | {"only_threshold": False})
    return rows
