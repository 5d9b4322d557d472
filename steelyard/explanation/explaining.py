"""`explain`: what a loss does to the classes, before anything is trained."""

from __future__ import annotations

from typing import Any

from steelyard.explanation import averaging, findings, optimum
from steelyard.explanation.page import Explanation, described
from steelyard.explanation.training import read

__all__ = ["explain"]


def explain(
    loss: Any,
    counts: Any,
    *,
    sampler: Any = None,
    batch_size: int | None = None,
    denominator: Any = None,
    reduction: str | None = None,
    decision: str | float | None = None,
) -> Explanation:
    """Say what a loss does to classes with these counts, and what in it is probably not meant.

    Parameters
    ----------
    loss : Loss, a front made of one, `Strategy` or its name, a loss of torch or Keras, or class weights
        What is trained on. Of torch CrossEntropyLoss and BCEWithLogitsLoss, of Keras the cross-entropies and focal
        losses are read; weights are an array in the order of the classes, or class → weight.
    counts : ClassCounts, mapping or (n_classes,)
        Class counts of the training data, before any sampler.
    sampler : str, or class shares or counts of the sampled rows, optional
        One of ``"random_over"``, ``"random_under"``, ``"smote"``, ``"balanced_batches"``, which make classes equal; or
        what classes have after another one. Default: that of the strategy, else none.
    batch_size : int, optional
        Rows of a batch, for what a mean over small batches does.
    denominator : number, "rows" or "sample_weight", optional
        What means are divided by, if not Σ s·ω: see the call of a loss.
    reduction : {"mean", "sum", "none"}, optional
        Another one than that of the loss.
    decision : str or float, optional
        ``"argmax"`` of the logits, ``"prior_threshold"``, ``"post_hoc_logit_adjustment"`` (z − log π), ``"tuned"`` on
        held-out rows, or of two classes a threshold in (0, 1) on the model's own probability of the second. Default:
        that of the strategy, else "argmax".

    Returns
    -------
    Explanation
        The minimiser, the denominator, the pull on each class, the implied threshold, warnings and notes: ``print`` it,
        or take its fields or ``to_dict()``.

    Raises
    ------
    InputError
        Counts of another number of classes than the loss has, or an argument that cannot be.

    Notes
    -----
    The pull follows from the posterior at equal logits: there arg max is undecided, so the class with the larger
    pull is the one whose true probability there is smaller. What is said holds for the minimiser; early stopping,
    regularisation and separable data keep networks away from it.

    Examples
    --------
    >>> import steelyard as sy
    >>> counts = sy.ClassCounts.from_counts({"no": 900, "yes": 100})
    >>> e = sy.explain(sy.losses.logit_adjusted(counts), counts)
    >>> round(e.threshold, 3)
    0.1
    >>> e = sy.explain("logit_adjusted", counts, sampler="balanced_batches")
    >>> [w.code for w in e.warnings], round(e.threshold, 3)
    (['double-correction'], 0.012)
    """
    training = read(loss, counts, sampler, batch_size, denominator, reduction, decision)
    pull, threshold = optimum.pull_and_threshold(training)
    shares = averaging.rare_shares(training)
    name = "" if training.strategy is None else f"{training.strategy}: "
    return Explanation(
        loss=f"{name}{described(training.loss)}",
        minimiser=optimum.minimiser(training),
        denominator=averaging.denominator(training, shares),
        decision=optimum.decision(training),
        classes=tuple(training.counts.classes),
        priors=tuple(float(p) for p in training.priors),
        pull=pull,
        threshold=threshold,
        label_thresholds=optimum.label_thresholds(training),
        rare_share=shares,
        warnings=findings.warnings(training),
        notes=findings.notes(training),
    )
