"""The comparison from Python, on a table in memory."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from steelyard.comparison import label_sets
from steelyard.comparison.dataset import Dataset, from_memory
from steelyard.comparison.label_sets import LabelSet
from steelyard.comparison.multilabel import run_labels
from steelyard.comparison.results import Result
from steelyard.comparison.run_folder import claimed
from steelyard.comparison.running import run
from steelyard.comparison.settings import settings
from steelyard.errors import InputError
from steelyard.strategies import Strategy

__all__ = ["compare"]


def compare(
    X: Any,
    y: Any,
    strategies: Iterable[str | Strategy] | None = None,
    model: Any = "mlp",
    metric: str | None = None,
    cv: int = 5,
    repeats: int = 3,
    random_state: int = 0,
    decisions: str = "both",
    out: str | Path | None = None,
    positive: Any = None,
    resume: bool = False,
    costs: Any = None,
    groups: Any = None,
    time: Any = None,
    dedupe: bool = False,
    race: bool = False,
    jobs: int | None = None,
    ray: str | None = None,
    cost_features: bool = False,
) -> Result:
    """Say which strategy helps on these data, and how sure that is.

    Every strategy trains on the same stratified folds; all that is learned from data (medians, levels,
    counts, drawn rows, thresholds) is learned inside the training fold. Label metrics are given twice, at
    the strategy's own decision and at one tuned on 3 inner folds, so that no strategy is credited for
    moving a threshold. Ranking and probability metrics are computed on probabilities corrected for what the
    strategy did in training.

    Parameters
    ----------
    X : pandas, polars or Arrow table, mapping of columns, or array-like of shape (n, d)
        Numbers, categories, dates, missing values; a plain array gets the column names x0, x1, ...
    y : list, ndarray, pandas, polars or Arrow column of n labels; or a table or array of shape (n, L)
        With two columns or more of 0 and 1: several labels per row. Each is compared by itself, on folds that have all
        of them, and strategies are ranked by the mean of the metric over labels. The result then also has `.labels`,
        and its `.model` predicts an array of shape (n, L).
    strategies : names or `Strategy` objects, optional
        Default: all but those that must equal another. "all" takes every strategy. "none", the baseline, is added
        where it is missing.
    model : name, (name, options), or a sequence of them
        "mlp", the default (networks, all strategies of a fold trained by one compiled program), "linear" or
        "lightgbm". Options: ``("mlp", {"hidden": (64, 64), "epochs": 10})``. Models of your own: a scikit-learn
        classifier, or a function (n_features, n_classes) that builds a torch module or a Keras model which gives
        logits; also as ("name", it), (it, {"epochs": 10}) or "package.module:function".
    metric : str, optional
        What to rank by; default expected_cost (lower is better) with `costs`, else average_precision for two classes,
        balanced_accuracy for more. Tuned decisions are best for it if it depends on a decision, and keep its floor
        if it has one ("precision@recall>=0.95"), with confidence 0.9 where the rows are enough to promise that; else
        they are best for expected_cost with `costs`, and for balanced accuracy without.
    cv, repeats : int
        Folds and repeats; default 5 and 3.
    random_state : int
        Everything random is derived from it. Default 0.
    decisions : {"both", "default"}
        Whether to tune decisions too, at the cost of three more fits.
    out : path, optional
        A new or empty folder for results.json, report.html, the trained winner (model/) and the journal of finished
        work.
    positive : label, optional
        The positive class of two; default the rarer one (the last of the sorted labels on a tie).
    resume : bool
        Go on with the journal in `out`, if there is one. Default False.
    costs : array-like of shape (C, C), mapping, `Costs` or path, optional
        What mistakes cost: a matrix [truth, label] in the order of the sorted classes, truth → label → cost by name, or
        a file (`sy.decisions.read_costs`). A cell that is a text names a column of the table: each row then has its own
        costs, and a tuned decision is the label of least expected cost under these, on probabilities recalibrated in
        the inner folds; a default one knows no costs, as ever. `.model` asks new rows for these columns.
    cost_features : bool
        Whether columns that costs stand in are features too. Default False: what is known only after the outcome would
        tell it.
    groups : str or array-like of shape (n,), optional
        What rows belong to (a patient, a site): no group is on both sides of a split. The name of a column of `X`,
        which is then no feature, or a value per row.
    time : str or array-like of shape (n,), optional
        When rows were: each fold trains on all earlier rows and tests the next ones, `cv` times; `repeats` is then 1.
        Not together with `groups` or `dedupe`.
    dedupe : bool
        Keep rows with exactly the same features on one side of every split. With `groups`, whatever is joined by
        either is one group. Default False.
    race : bool
        Stop strategies that lose after a repeat. The best one is stopped with probability 0.05 at most; what is
        stopped gets no verdict. For a first look, not for final evidence. Default False.
    jobs : int, optional
        Processes that train at a time, each with a copy of the table; −1: one per core. Default: this process, which
        uses all cores for the models of Steelyard's, and one for a network of your own. The results are the same.
    ray : str, optional
        Address of a running Ray cluster that trains instead: "auto", "HOST:PORT". The results are the same.

    Returns
    -------
    Result
        `.table()`, `.best`, `.model`, `.report(path)`, `.to_dict()`, `.out_of_fold`.

    Raises
    ------
    InputError
        If the table, the labels or a setting cannot be used.

    Examples
    --------
    >>> import numpy as np, steelyard as sy
    >>> rng = np.random.default_rng(0)
    >>> y = (rng.random(400) < 0.1).astype(int)
    >>> X = rng.normal(size=(400, 3)) + y[:, None]
    >>> result = sy.compare(X, y, ["balanced"], "linear", "balanced_accuracy", repeats=1)
    >>> table = result.table().query("metric == 'balanced_accuracy'")
    >>> list(zip(table.strategy, table.decision, table["mean"].round(2)))
    [('none', 'default', 0.6), ('balanced', 'default', 0.75), ('none', 'tuned', 0.77), ('balanced', 'tuned', 0.74)]
    """
    with nullcontext() if out is None else claimed(out, resume=resume):
        dataset: Dataset | LabelSet
        if label_sets.is_label_set(y):
            if positive is not None:
                raise InputError(
                    "`positive` with one label per row", "several", "of several labels, 1 is the positive class."
                )
            label_sets.refuse_ties(groups, time, dedupe)
            dataset = label_sets.from_memory(X, y, costs, cost_features)
        else:
            dataset = from_memory(X, y, positive, costs, cost_features, groups, time, dedupe)
        asked = settings(
            dataset.target,
            strategies,
            model,
            metric,
            cv,
            repeats,
            random_state,
            decisions,
            costs=dataset.costs,
            ties=dataset.ties,
            race=race,
        )
        result: Result
        if isinstance(dataset, LabelSet):
            result = run_labels(dataset, asked, folder=out, jobs=jobs, ray=ray)
        else:
            result = run(dataset, asked, folder=out, jobs=jobs, ray=ray)
        if out is not None:
            result.save(out)
            if result.not_stored is not None:
                warnings.warn(f"the model is not stored. {result.not_stored}", stacklevel=2)
    return result
