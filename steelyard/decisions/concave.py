"""Concave functions of the recalls: class weights by Frank–Wolfe, and by Hedge for the worst recall."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from steelyard.decisions.line_search import Scored
from steelyard.metrics.confusion import recalls

__all__ = ["Mixture", "concave", "has_concave_search"]

Floats = NDArray[np.float64]

_STEPS = 40


def _g_mean(r: Floats) -> Floats:
    # the slope of (Π r)^(1/C) is infinite at a recall of zero; that of the shares with one row added is not
    return np.asarray(1.0 / (r + 1e-2))


def _balanced(r: Floats) -> Floats:
    return np.ones_like(r)


_SLOPES: dict[str, Callable[[Floats], Floats]] = {"g_mean": _g_mean, "balanced_accuracy": _balanced}
_WORST = "worst_recall"


def has_concave_search(metric: str) -> bool:
    """Whether `concave` knows the metric of this name."""
    return metric == _WORST or metric in _SLOPES


class Mixture:
    """Plug-in rules, one of which is drawn for each row with its share: what the theory is about.

    Attributes
    ----------
    log_weights : float64 ndarray of shape (m, C)
    shares : float64 ndarray of shape (m,)
    recalls : float64 ndarray of shape (C,)
        Expected recalls on the rows that it was found on.
    """

    def __init__(self, log_weights: Floats, shares: Floats, recalls: Floats) -> None:
        self.log_weights, self.shares, self.recalls = log_weights, shares, recalls

    @property
    def last(self) -> Floats:
        """The last of the rules: deterministic, and the optimum wherever no scores are tied."""
        return np.asarray(self.log_weights[-1])


def concave(scored: Scored, priors: Floats, metric: str) -> Mixture:
    r"""Maximise a concave function ψ of the recalls over mixtures of plug-in rules.

    Each step labels by :math:`\arg\max_k (\partial\psi/\partial r_k / \pi_k)\, p_k` at the recalls reached so far,
    which is the best answer to the slope, and moves there by 2 / (t + 2). The worst recall has no slope; it is played
    as a game: weights :math:`u_k \propto \exp(-\eta \sum_t r_k^{(t)})` of the classes against the best answer to them,
    η falling with the square root of the number of steps.

    The theory's answer draws a rule for each row. Two equal rows would get different labels, so that the rules of
    this package take the last step's weights instead, and improve them one by one.

    Parameters
    ----------
    scored : Scored
    priors : float64 ndarray of shape (C,)
    metric : {"balanced_accuracy", "g_mean", "worst_recall"}

    References
    ----------
    Narasimhan, Ramaswamy, Saha and Agarwal, "Consistent multiclass algorithms for complex performance measures",
    ICML 2015, algorithm 1; Freund and Schapire, "Adaptive game playing using multiplicative weights", Games and
    Economic Behavior 29, 1999, doi:10.1006/game.1999.0738.
    """
    n_classes = scored.n_classes
    log_priors = np.log(priors)
    rules = [-log_priors]
    reached = recalls(scored.confusion(rules[0]))
    shares = np.ones(1)
    total = reached.copy()
    for t in range(1, _STEPS):
        if metric == _WORST:
            eta = np.sqrt(8.0 * np.log(n_classes) / t)
            log_u = -eta * (total - total.min())
            step = 1.0 / (t + 1)
        else:
            log_u = np.log(_SLOPES[metric](reached))
            step = 2.0 / (t + 2)
        rules.append(log_u - log_priors)
        answer = recalls(scored.confusion(rules[-1]))
        total += answer
        reached = (1.0 - step) * reached + step * answer
        shares = np.append((1.0 - step) * shares, step)
    return Mixture(np.array(rules), shares, reached)
