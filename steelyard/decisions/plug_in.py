"""Any number of classes: weights on probabilities, found on scored rows and kept as simple as the rows ask for."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from steelyard.decisions.concave import concave, has_concave_search
from steelyard.decisions.line_search import Scored, ascend
from steelyard.decisions.ratio import best_f1_of_class
from steelyard.decisions.rules import PlugIn
from steelyard.decisions.thresholds import OfConfusion, middle_best
from steelyard.decisions.validation import checked_priors, checked_probabilities
from steelyard.errors import InputError
from steelyard.metrics.catalogue import Metric
from steelyard.metrics.confusion import confusion_matrix

__all__ = ["best_plug_in", "best_prior_exponent"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Candidates = list[PlugIn]

# 0 is the plain arg max, 1 the optimum for balanced accuracy; beyond 2 rare classes drown the others
_EXPONENTS = np.round(np.arange(0.0, 2.01, 0.1), 1)
# rows of a class at which its own weight counts as much as the power of its prior
_SHRINKAGE = (100.0, 30.0, 10.0, 3.0, 0.0)
_FOLDS = 5
# beyond these, weights of their own are noise, and the search for them long
_MOST_CLASSES = 100
_FEWEST_ROWS = 2
# the search runs on at most this many rows of a class, weighted; the result is then improved on all rows
_MOST_ROWS = 4_000
_LARGE = 60_000


def best_plug_in(
    proba: ArrayLike,
    y: ArrayLike,
    metric: Metric,
    priors: ArrayLike,
    sample_weight: Floats | None = None,
    random_state: int = 0,
) -> PlugIn:
    r"""Return class weights on probabilities, :math:`\arg\max_k w_k p_k`, that are good for a metric on new rows.

    Candidates, from the simplest on:

    1. the plain arg max; with costs, least expected cost;
    2. :math:`w_k = \pi_k^{-1}`, best for balanced accuracy where the probabilities are right;
    3. :math:`w_k = \pi_k^{-\tau}`, the best of 21 τ in [0, 2] (of 5 for more than 100 classes);
    4. a weight per class, improved one by one (`ascend`) from the best τ and, for concave metrics, from Frank–Wolfe's
       solution, then shrunk: :math:`\log w_k = -\tau\log\pi_k + \frac{n_k}{n_k + \kappa}\,(\log w^*_k + \tau\log\pi_k)`
       for κ = 100, 30, 10, 3 and 0 rows; for the F1 of one class its own cut (`best_f1_of_class`).

    Each is fitted on four fifths of the rows and labels the last fifth, five times over, and the candidate with the
    best metric of these labels is fitted on all rows; of equal ones the simplest. No model is trained. For more than
    100 classes 1 to 3 alone are tried, on the rows themselves: one power for so many classes is not fitted to noise.

    Parameters
    ----------
    proba : array-like of shape (n, C)
        Probabilities of rows that the model was not trained on.
    y : int array-like of shape (n,)
        Class indices.
    metric : Metric
        With `of_confusion`.
    priors : array-like of shape (C,)
        Class shares, all positive.
    sample_weight : ndarray of shape (n,), optional
    random_state : int
        Of the folds. Default 0.

    Returns
    -------
    PlugIn
        With ``factors`` None where no class has a weight of its own: for more than 100 classes, and where the
        simpler candidates do as well.

    Raises
    ------
    InputError
        For wrong shapes, a class without a share, or a metric that is undefined for every rule.

    Notes
    -----
    Above 60,000 rows the search runs on at most 4,000 rows of each class, weighted, and its result is improved by one
    more round over all rows.

    References
    ----------
    Coordinate ascent: "Consistent plug-in classifiers for complex objectives", arXiv:2503.02119.

    Examples
    --------
    >>> from steelyard.metrics.catalogue import get
    >>> rng = np.random.default_rng(0)
    >>> priors = np.array([0.9, 0.07, 0.03])
    >>> y = rng.choice(3, 2000, p=priors)
    >>> joint = priors * np.exp(1.5 * (rng.normal(size=(2000, 3)) + 1.5 * np.eye(3)[y]))
    >>> proba = joint / joint.sum(1, keepdims=True)
    >>> metric = get("balanced_accuracy", "abc")
    >>> rule = best_plug_in(proba, y, metric, priors)
    >>> for labels in (proba.argmax(1), rule(proba)):
    ...     print(round(float(metric.of_confusion(confusion_matrix(y, labels, 3))), 2))
    0.57
    0.81
    """
    p = checked_probabilities(proba)
    truth = np.asarray(y, np.int64)
    shares = _positive_shares(priors, p.shape[1])
    aim: Any = metric.of_confusion
    sign = 1.0 if metric.greater_is_better else -1.0
    search = _Search(metric, aim, sign, shares)
    rows = _representative(p, truth, sample_weight, random_state)
    if rows is None:
        scored = Scored.of(p, truth, sample_weight)
    else:
        scored = Scored.of(p[rows.which], truth[rows.which], rows.weight)
    if scored.n_classes > _MOST_CLASSES:
        # one power for so many classes cannot be fitted to noise
        rules = search.simple(scored)
        # one matrix at a time: of thousands of classes each takes hundreds of megabytes
        values = np.array([sign * float(aim(_confusion(rule, scored)[None])[0]) for rule in rules])
    else:
        pooled = _cross_labels(search, scored, random_state)
        values = np.array([sign * float(aim(cm[None])[0]) for cm in pooled])
    if not np.isfinite(values).any():
        raise InputError("a metric that is defined for some decision", "none", "does `y` hold every class?")
    values = np.where(np.isfinite(values), values, -np.inf)
    chosen = int(np.flatnonzero(values >= values.max() - 1e-9)[0])
    everything = scored if rows is None else Scored.of(p, truth, sample_weight)
    if chosen < search.n_simple:
        return search.simple(everything)[chosen]
    rule = search.candidates(scored)[chosen]
    if rows is None:
        return rule
    log_w, _ = ascend(everything, np.log(rule.weights), aim, sign, sweeps=1)
    return _with_weights(log_w, rule.tau, shares)


class _Rows:
    def __init__(self, which: NDArray[np.intp], weight: Floats | None) -> None:
        self.which, self.weight = which, weight


def _representative(p: Floats, y: Ints, sample_weight: Floats | None, random_state: int) -> _Rows | None:
    """Return some rows of each class of a large table, weighted so that the classes keep their shares."""
    if len(y) <= _LARGE:
        return None
    generator = np.random.default_rng([random_state, 1])
    which, weight = [], []
    for k in range(p.shape[1]):
        own = np.flatnonzero(y == k)
        taken = own if len(own) <= _MOST_ROWS else np.sort(generator.choice(own, _MOST_ROWS, replace=False))
        if not len(taken):
            continue
        which.append(taken)
        weight.append(np.full(len(taken), len(own) / len(taken)))
    rows = np.concatenate(which)
    weights = np.concatenate(weight)
    return _Rows(rows, weights if sample_weight is None else weights * sample_weight[rows])


class _Search:
    """The candidates of one metric, from the simplest on; always the same number, in the same order."""

    def __init__(self, metric: Metric, aim: OfConfusion, sign: float, shares: Floats) -> None:
        self.metric, self.aim, self.sign, self.shares = metric, aim, sign, shares
        costs = metric.cost_matrix
        self.costs = None if costs is None else tuple(map(tuple, np.asarray(costs, np.float64).tolist()))

    @property
    def n_simple(self) -> int:
        """How many of the candidates give no class a weight of its own."""
        return 3 + (self.costs is not None) + (self.metric.ratio_of is not None)

    def simple(self, scored: Scored) -> Candidates:
        """Fit the candidates that give no class a weight of its own."""
        priors = tuple(self.shares.tolist())
        found = [] if self.costs is None else [PlugIn(0.0, priors, None, self.costs)]
        found += [PlugIn(0.0, priors), PlugIn(1.0, priors)]
        found.append(PlugIn(_best_exponent(scored, self.shares, self.aim, self.sign), priors))
        if self.metric.ratio_of is not None:
            p = np.exp(scored.log_p.T)
            found.append(best_f1_of_class(p, scored.y, self.metric.ratio_of, self.shares, scored.weight))
        return found

    def candidates(self, scored: Scored) -> Candidates:
        """Fit every candidate on these rows."""
        found = self.simple(scored)
        priors = tuple(self.shares.tolist())
        tau = found[2 + (self.costs is not None)].tau
        counts = np.bincount(scored.y, minlength=scored.n_classes)
        log_w = self._weights(scored, tau, counts)
        prior = -tau * np.log(self.shares)
        # weights are known up to a factor: that of the commonest class is the unit
        commonest = int(np.argmax(counts))
        beyond = (log_w - log_w[commonest]) - (prior - prior[commonest])
        beyond[counts < _FEWEST_ROWS] = 0.0
        for rows in _SHRINKAGE:
            shrunk = beyond * counts / np.maximum(counts + rows, 1e-12)
            found.append(PlugIn(tau, priors, tuple(np.exp(np.clip(shrunk, -300.0, 300.0)).tolist())))
        return found

    def _weights(self, scored: Scored, tau: float, counts: Ints) -> Floats:
        starts = [-tau * np.log(self.shares)]
        if has_concave_search(self.metric.name):
            starts.append(concave(scored, self.shares, self.metric.name).last)
        # the weight of a class with hardly a row says where that row lies, and nothing else
        enough = [k for k in range(scored.n_classes) if counts[k] >= _FEWEST_ROWS]
        found = [ascend(scored, start, self.aim, self.sign, enough) for start in starts]
        return max(found, key=lambda one: one[1])[0]


def _cross_labels(search: _Search, scored: Scored, random_state: int) -> list[Floats]:
    """Return, for each candidate, the confusion matrix of labels by candidates fitted without the rows' fold."""
    folds = _folds(scored.y, random_state)
    pooled: list[Floats] = []
    for fold in range(int(folds.max()) + 1):
        training = folds != fold
        lost = np.setdiff1d(scored.y, scored.y[training])
        # the last rows of a class stay: without them most metrics are undefined, and alone they get no weight
        kept, held_out = scored.take(training | np.isin(scored.y, lost)), scored.take(~training)
        for i, rule in enumerate(search.candidates(kept)):
            matrix = _confusion(rule, held_out)
            if i == len(pooled):
                pooled.append(np.zeros_like(matrix))
            pooled[i] += matrix
    return pooled


def _confusion(rule: PlugIn, scored: Scored) -> Floats:
    """Return the confusion matrix of a rule on rows that are known to be probabilities."""
    if rule.cost_matrix is None:
        return scored.confusion(np.log(rule.weights))
    # classes by rows, as `Scored` has them
    costs = (rule.weights[:, None] * np.asarray(rule.cost_matrix)).T @ np.exp(scored.log_p)
    return confusion_matrix(scored.y, costs.argmin(0), scored.n_classes, scored.weight)


def _folds(y: Ints, random_state: int) -> Ints:
    """Return the fold of each row; the rows of a class are spread evenly."""
    generator = np.random.default_rng([random_state, 0])
    order = generator.permutation(len(y))
    fold = np.empty(len(y), np.int64)
    fold[order[np.argsort(y[order], kind="stable")]] = np.arange(len(y)) % min(_FOLDS, max(len(y), 1))
    return fold


def _with_weights(log_w: Floats, tau: float, shares: Floats) -> PlugIn:
    factors = np.exp(np.clip(log_w + tau * np.log(shares), -300.0, 300.0))
    return PlugIn(tau, tuple(shares.tolist()), tuple(factors.tolist()))


def _positive_shares(priors: ArrayLike, n_classes: int) -> Floats:
    shares = checked_priors(priors, n_classes, "priors")
    if (shares == 0).any():
        raise InputError("`priors` > 0", f"0 for class {int(np.flatnonzero(shares == 0)[0])}")
    return shares


def _best_exponent(scored: Scored, shares: Floats, aim: OfConfusion, sign: float) -> float:
    log_priors = np.log(shares)
    # one matrix at a time: of thousands of classes each takes hundreds of megabytes
    exponents = _EXPONENTS if scored.n_classes <= _MOST_CLASSES else _EXPONENTS[::5]
    values = [float(aim(scored.confusion(-tau * log_priors)[None])[0]) for tau in exponents]
    return float(exponents[middle_best(sign * np.asarray(values), True)])


def best_prior_exponent(
    proba: ArrayLike,
    y: ArrayLike,
    priors: ArrayLike,
    metric: OfConfusion,
    greater_is_better: bool = True,
) -> PlugIn:
    r"""Find the τ in [0, 2] for which :math:`\arg\max_k p_k / \pi_k^\tau` is best for `metric`.

    One number for any number of classes: with few rare rows a weight per class would be fitted to noise.

    Parameters
    ----------
    proba : array-like of shape (n, C)
        Probabilities of rows that the model was not trained on.
    y : int array-like of shape (n,)
    priors : array-like of shape (C,)
        Class shares, all positive.
    metric : callable
        Confusion matrices (m, C, C) → values (m,).
    greater_is_better : bool

    Returns
    -------
    PlugIn

    Raises
    ------
    InputError
        For wrong shapes, or when `metric` is undefined for every τ.

    Examples
    --------
    >>> from steelyard.metrics.confusion import balanced_accuracy
    >>> p = np.array([[0.9, 0.1], [0.8, 0.2], [0.7, 0.3], [0.65, 0.35]])
    >>> best_prior_exponent(p, [0, 0, 1, 1], [0.75, 0.25], balanced_accuracy).tau
    1.0
    """
    p = checked_probabilities(proba)
    shares = _positive_shares(priors, p.shape[1])
    scored = Scored.of(p, np.asarray(y, np.int64))
    tau = _best_exponent(scored, shares, metric, 1.0 if greater_is_better else -1.0)
    return PlugIn(tau, tuple(shares.tolist()))
