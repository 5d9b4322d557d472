r"""Which strategies go on after a repeat: a race that stops what loses, and hardly ever what is best.

A comparison works in rounds, one repeat each. Between two rounds a strategy is stopped if each of its decisions is
worse than the leading candidate of its model, by a one-sided corrected resampled t on the folds so far, at the level

.. math:: \alpha' = \frac{\alpha}{(R - 1)\,(K - 1)}

for R rounds and K candidates (strategies by decisions). The best strategy can be stopped only by one of K − 1 others,
on one of R − 1 occasions, so that it is with probability :math:`\alpha` at most, whatever depends on what (Bonferroni).
That is what a race promises (Maron and Moore 1997); Hoeffding's bound there is replaced by Student's t, since fold
scores of a metric have no other bound than its range.

References
----------
Maron and Moore, "The racing algorithm: model selection for lazy learners", Artificial Intelligence Review 11, 1997,
doi:10.1023/A:1006556606079; Birattari et al., "A racing algorithm for configuring metaheuristics", GECCO 2002, for
rounds over blocks that all candidates share.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from steelyard.comparison.dataset import Dataset
from steelyard.comparison.fold_scores import Failure, Scores
from steelyard.comparison.folds import Split, ratio_of_sizes
from steelyard.comparison.settings import BASELINE, Settings
from steelyard.metrics import corrected_resampled_t
from steelyard.strategies import Strategy

__all__ = ["Race", "losers"]

Floats = NDArray[np.float64]

_ALPHA = 0.05  # probability that the best strategy of a model is stopped


def losers(
    values: Mapping[str, Sequence[Floats]],
    test_to_train: float,
    looks: int,
    candidates: int,
    greater_is_better: bool = True,
    alpha: float = _ALPHA,
) -> dict[str, str]:
    """Return the strategies to stop, and by whom each is beaten.

    Parameters
    ----------
    values : mapping of str to sequence of float64 ndarray of shape (J,)
        Strategy → for each of its decisions one score per fold so far; the same folds for all.
    test_to_train : float
        As for `corrected_resampled_t`.
    looks : int
        How often strategies may be stopped in the whole comparison.
    candidates : int
        Strategies by decisions with which the comparison began.
    greater_is_better : bool
    alpha : float
        The probability that the best strategy is stopped, over all looks. Default 0.05.

    Returns
    -------
    dict of str to str
        Never the leader, and never "none", which all verdicts are about.

    Examples
    --------
    >>> noise = np.array([0.01, -0.01, 0.0, 0.02, -0.02])
    >>> scores = {"none": [0.8 + noise], "a": [0.79 + noise[::-1]], "b": [0.3 + noise]}
    >>> losers(scores, test_to_train=0.25, looks=2, candidates=3)
    {'b': 'none'}
    """
    sign = 1.0 if greater_is_better else -1.0
    defined = {
        (name, at): sign * scores
        for name, decisions in values.items()
        for at, scores in enumerate(decisions)
        if np.isfinite(scores).all()
    }
    if not defined:
        return {}
    leader = max(defined, key=lambda key: float(defined[key].mean()))  # of equal ones the first
    level = alpha / (looks * max(candidates - 1, 1))
    stopped = {}
    for name, decisions in values.items():
        if name in (BASELINE, leader[0]):
            continue
        own = [defined.get((name, at)) for at in range(len(decisions))]
        if all(one is not None and _is_worse(one, defined[leader], test_to_train, level) for one in own):
            stopped[name] = leader[0]
    return stopped


def _is_worse(one: Floats, leader: Floats, test_to_train: float, level: float) -> bool:
    found = corrected_resampled_t(one - leader, test_to_train)
    return found.mean < 0.0 and found.p_value / 2.0 < level


@dataclass
class Race:
    """Who still runs, model by model.

    Attributes
    ----------
    dataset : Dataset
    settings : Settings
    splits : sequence of Split
    going : dict of str to tuple of Strategy
        By model; all of them where there is no race.
    stopped : dict of (model, strategy) to str
        Why it was stopped.
    """

    dataset: Dataset
    settings: Settings
    splits: Sequence[Split]
    going: dict[str, tuple[Strategy, ...]] = field(init=False)
    stopped: dict[tuple[str, str], str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.going = {m.name: self.settings.strategies for m in self.settings.models}

    def before(self, split: Split, outcomes: Iterable[Scores | Failure]) -> None:
        """Stop who has lost, if a new round begins with this split; everything follows from the outcomes so far."""
        if not self.settings.race or split.repeat == 0 or split.fold > 0:
            return
        known = list(outcomes)
        metric = self.settings.measure(self.settings.metric, self.dataset.target)
        decisions = 2 if metric.kind == "label" and self.settings.tuned else 1
        for model, strategies in self.going.items():
            failed = {o.strategy for o in known if isinstance(o, Failure) and o.model == model}
            values = {s.name: self._values(model, s.name, known, decisions) for s in strategies if s.name not in failed}
            beaten = losers(
                values,
                ratio_of_sizes(self.splits),
                self.settings.repeats - 1,
                len(self.settings.strategies) * decisions,
                metric.greater_is_better,
            )
            for name, leader in beaten.items():
                self.stopped[model, name] = (
                    f"stopped by the race after repeat {split.repeat} of {self.settings.repeats}: by {metric.name} "
                    f"{leader} is ahead ({_best(values[leader], metric.greater_is_better):.3f} against "
                    f"{_best(values[name], metric.greater_is_better):.3f}); this is no verdict"
                )
            self.going[model] = tuple(s for s in strategies if s.name not in beaten)

    def _values(self, model: str, strategy: str, known: Iterable[Scores | Failure], decisions: int) -> list[Floats]:
        """Return for each decision the metric of every fold so far."""
        target = self.dataset.target
        metric = self.settings.measure(self.settings.metric, target)
        own = [o for o in known if isinstance(o, Scores) and (o.model, o.strategy) == (model, strategy)]
        labels = [[o.default for o in own]]
        if decisions == 2:
            labels.append([o.default if o.tuned is None else o.tuned for o in own])
        return [
            np.array(
                [
                    metric.at_rows(o.split.test).value(target.y[o.split.test], o.proba, given)
                    for o, given in zip(own, decided, strict=True)
                ]
            )
            for decided in labels
        ]


def _best(decisions: Sequence[Floats], greater_is_better: bool) -> float:
    means = [float(scores.mean()) for scores in decisions]
    return max(means) if greater_is_better else min(means)
