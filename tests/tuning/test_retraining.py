import numpy as np
import pytest
from scipy.stats import norm

from steelyard import training
from steelyard.metrics import get
from steelyard.metrics.confusion import recalls
from steelyard.tuning.candidates import PLAIN, Candidate
from steelyard.tuning.fits import Trainer
from steelyard.tuning.objectives import Objective
from steelyard.tuning.retraining import Round, next_round, seeded
from tests.tuning.synthetic import gaussians, task

SHIFT, SHARE = 2.0, 0.05


@pytest.fixture(scope="module")
def trainer():
    X, y = gaussians(4000, SHIFT, SHARE, 0)
    return Trainer(training.get("linear"), task(X, y, X[:0]))


def rounds(trainer, objective, candidate, n):
    out = []
    for _ in range(n):
        scored = trainer.held_out([candidate])[0]
        out.append(Round.of(candidate, scored, trainer.task.outer.y, 2))
        candidate = next_round(out, objective)
    return out


def recall(a_round):
    return recalls(np.array(a_round.confusion))


def test_hedge_makes_recalls_equal_from_equal_weights(trainer):
    objective = Objective(get("worst_recall", ["a", "b"]), 2, 1)
    done = rounds(trainer, objective, Candidate.weighted([0.0, 0.0]), 8)
    assert np.ptp(recall(done[0])) > 0.5
    assert np.ptp(recall(done[-1])) < 0.06
    # equal recalls of two equal normals are those of the cut half way between their means
    assert np.allclose(recall(done[-1]), norm.cdf(SHIFT / 2), atol=0.05)


def test_the_first_weights_are_those_that_worst_recall_is_known_to_need(trainer):
    # a weighted logistic regression cuts half way where the weights undo the shares: log w1 / w0 = log π0 / π1
    objective = Objective(get("worst_recall", ["a", "b"]), 2, 1)
    plain = trainer.held_out([PLAIN])[0]
    first = seeded(plain, trainer.task.outer.y, objective)
    assert np.isclose(np.diff(first.log_weight)[0], np.log((1 - SHARE) / SHARE), atol=0.5)
    assert np.ptp(recall(rounds(trainer, objective, first, 1)[0])) < 0.1


def test_dual_ascent_reaches_the_floor_from_below_and_from_above(trainer):
    objective = Objective(get("precision@recall>=0.9", ["a", "b"], 1), 2, 1)
    low = rounds(trainer, objective, Candidate.weighted([0.0, 0.0]), 10)
    high = rounds(trainer, objective, Candidate.weighted([-4.0, 4.0]), 10)
    assert recall(low[0])[1] < 0.5
    assert recall(high[0])[1] > 0.99
    for last in (low[-1], high[-1]):
        assert abs(recall(last)[1] - 0.9) < 0.04


def test_weights_leave_the_shares_as_they_are():
    priors = np.array([0.9, 0.09, 0.01])
    w = Candidate.weighted([0.0, 1.0, 3.0]).class_weight(priors)
    assert np.isclose(w @ priors, 1.0)
    assert np.allclose(np.diff(np.log(w)), [1.0, 2.0])


@pytest.mark.parametrize("candidate", [PLAIN, Candidate((0.1, -0.1), (0.0, -0.5), (1.0, 0.9), 1.5)])
def test_a_candidate_is_json_data(candidate):
    assert Candidate.from_dict(candidate.to_dict()) == candidate


def test_a_complete_point_is_the_same_loss():
    priors = np.array([0.8, 0.2])
    z, y = np.random.default_rng(0).normal(size=(20, 2)), np.arange(20) % 2
    for candidate in (PLAIN, Candidate.weighted([0.0, 1.0]), Candidate(gamma=2.0)):
        lean, full = candidate.point(priors).loss, candidate.point(priors, complete=True).loss
        assert np.allclose(lean(z, y), full(z, y), rtol=1e-12)
