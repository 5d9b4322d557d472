import numpy as np
import pytest

from steelyard import training
from steelyard.metrics import get
from steelyard.tuning import race as racing
from steelyard.tuning.objectives import Objective
from steelyard.tuning.race import Budget, race
from steelyard.tuning.stages import Procedure
from tests.tuning.synthetic import gaussians, task


class Memory:
    """Pieces as they come back from JSON and from arrays on a disk."""

    def __init__(self, fail_after=None):
        self.pieces, self.fail_after, self.trials = {}, fail_after, {}

    def get(self, task, lap, number):
        return self.pieces.get((task, lap, number))

    def add(self, task, lap, number, facts, arrays):
        if self.fail_after is not None and len(self.pieces) >= self.fail_after:
            raise KeyboardInterrupt
        self.pieces[task, lap, number] = dict(facts), {k: np.array(v) for k, v in arrays.items()}

    def keep_trials(self, name, space, trials):
        self.trials[name] = list(trials)


def procedures(n=240, metric="f1_macro"):
    out = []
    for i in range(3):
        X, y = gaussians(n, 1.5, 0.2, i)
        one = task(X[::2], y[::2], X[1::2])
        out.append(Procedure(one, training.get("linear"), Objective(get(metric, ["a", "b"], 1), 2, 1), i))
    return out


COUNTS = Budget(None, 2, 2)


def same(a, b):
    assert a.results.keys() == b.results.keys()
    for stage in a.results:
        for x, y in zip(a.results[stage], b.results[stage], strict=True):
            assert x.candidate == y.candidate
            assert x.rule == y.rule
            assert x.value == y.value
            assert np.array_equal(x.test.proba, y.test.proba)


@pytest.fixture(scope="module")
def whole():
    return race(procedures(), COUNTS, Memory())


def test_the_same_seed_gives_the_same_result(whole):
    same(whole, race(procedures(), COUNTS, Memory()))
    assert whole.laps == {"scores": 1, "retrained": 2, "searched": 2}


@pytest.mark.parametrize("pieces", [4, 8, 11, 14])
def test_an_interrupted_search_goes_on_as_if_nothing_had_happened(whole, pieces):
    memory = Memory(fail_after=pieces)
    stopped = race(procedures(), COUNTS, memory)
    assert stopped.interrupted
    assert len(memory.pieces) == pieces
    memory.fail_after = None
    done = dict(memory.pieces)
    same(whole, race(procedures(), COUNTS, memory))
    assert all(memory.pieces[key] is piece for key, piece in done.items())


def test_what_is_reported_after_an_interrupt_is_of_whole_laps_alone():
    memory = Memory(fail_after=5)  # three of the scores, two of the first round
    stopped = race(procedures(), COUNTS, memory)
    assert stopped.laps == {"scores": 1}
    assert set(stopped.results) == {"plain", "closed_form", "plug_in"}


def test_an_interrupt_before_there_is_anything_is_an_interrupt():
    with pytest.raises(KeyboardInterrupt):
        race(procedures(), COUNTS, Memory(fail_after=2))


class _Time:
    """A clock that a piece of work moves by a second."""

    def __init__(self):
        self.now = 0.0

    def monotonic(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    time = _Time()
    monkeypatch.setattr(racing, "time", time)
    monkeypatch.setattr(racing.os, "cpu_count", lambda: 1)
    work = Procedure.run

    def run(self, lap, number):
        facts, arrays = work(self, lap, number)
        time.now += 4.0  # four calls, a second each
        facts["calls"] = 4
        return facts, arrays

    monkeypatch.setattr(Procedure, "run", run)
    return time


@pytest.mark.parametrize(("seconds", "laps"), [(1.0, {"scores": 1}), (24.9, {"scores": 1}), (25.0, {"retrained": 1})])
def test_a_lap_is_begun_only_if_it_and_the_last_fit_are_done_in_time(clock, seconds, laps):
    # the scores take 3 × 4 s, a round as long, the fit of all rows 1 s: 25 s
    found = race(procedures(), Budget(seconds, 4), Memory())
    assert found.laps == {"scores": 1, **laps}


def test_earlier_sittings_count(clock):
    memory = Memory()
    first = race(procedures(), Budget(25.0, 4), memory)
    clock.now = 1000.0
    again = race(procedures(), Budget(25.0, 4), memory)
    assert again.spent == first.spent == 24.0
    assert again.laps == first.laps
    more = race(procedures(), Budget(40.0, 4), memory)
    assert more.laps == {"scores": 1, "retrained": 2}
    assert more.spent == 36.0


def test_trials_are_kept_for_every_task():
    memory = Memory()
    race(procedures(), Budget(None, 1, 1), memory)
    assert {name: len(trials) for name, trials in memory.trials.items()} == {"fold 1": 8}


def test_a_ranking_metric_is_searched_without_decisions():
    found = race(procedures(metric="average_precision"), Budget(None, 4, 1), Memory())
    assert list(found.results) == ["plain", "searched"]
    assert all(best.rule is None for best in found.results["searched"])


def test_only_whole_time_counts_in_a_budget_of_counts(clock):
    found = race(procedures(), Budget(None, 1, 3), Memory())
    assert found.laps["searched"] == 3
