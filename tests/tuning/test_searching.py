import numpy as np
import pytest

from steelyard import training
from steelyard.metrics import get
from steelyard.tuning.objectives import Objective
from steelyard.tuning.searching import SIZE, Space, Trial, TrialFile, generation, proposals
from steelyard.tuning.stages import Procedure
from tests.tuning.synthetic import gaussians, task


def test_a_search_finds_planted_weights_where_the_arg_max_decides():
    # costs of 30 to 1 and right log odds: the cheapest weights are 30 to 1, which no recipe that it begins with has
    X, y = gaussians(3000, 2.0, 0.1, 0)
    costs = np.array([[0.0, 1.0], [30.0, 0.0]])
    objective = Objective(get("expected_cost", ["a", "b"], 1, cost_matrix=costs), 2, 1, "default")
    procedure = Procedure(task(X, y, X[:5]), training.get("linear"), objective, 0)
    for lap, number in (("scores", 1), *(("searched", g) for g in range(1, 5))):
        procedure.take(lap, number, *procedure.run(lap, number))
    best = procedure.best["searched"]
    assert np.isclose(np.diff(best.candidate.log_weight)[0], np.log(30), atol=0.6)
    recipes = procedure.trials[: len(procedure.space.starts())]
    assert all(t.value is None or t.value < best.value for t in recipes)
    assert best.value > procedure.best["plain"].value + 0.5


def test_half_of_a_generation_is_stopped_after_one_fold():
    X, y = gaussians(300, 2.0, 0.2, 0)
    procedure = Procedure(task(X, y, X[:5]), training.get("linear"), Objective(get("f1_macro", ["a", "b"]), 2, 1), 0)
    points = proposals(procedure.space, [], procedure.space.starts(), 0)
    trials, complete = generation(procedure.trainer, procedure.space, points, procedure.objective, 1)
    assert len(trials) == SIZE
    assert len(complete) == SIZE // 2
    assert procedure.trainer.fits == SIZE + 2 * SIZE // 2
    going = [t.first for t in trials if t.value is not None]
    stopped = [t.first for t in trials if t.value is None]
    assert min(going) >= max(stopped)


SPACE = Space((70, 20, 10), "mlp")


def trials(n, generation=1):
    rng = np.random.default_rng(n)
    return [
        Trial({k: float(rng.uniform(*box)) for k, box in SPACE.bounds.items()}, float(rng.random()), 0.5, generation)
        for _ in range(n)
    ]


def test_proposals_depend_on_the_trials_and_the_seed_alone():
    known = trials(12)
    assert proposals(SPACE, known, [], 3) == proposals(SPACE, known, [], 3)
    assert proposals(SPACE, known, [], 3) != proposals(SPACE, known, [], 4)
    worst = sorted(known, key=lambda t: -t.value)[2:]
    assert proposals(SPACE, known, [], 3) != proposals(SPACE, [*worst, *trials(2)], [], 3)


def test_proposals_are_in_their_bounds_and_begin_with_what_is_known():
    starts = SPACE.starts([[0.3, 0.1, -0.4]])
    first = proposals(SPACE, [], starts, 0)
    assert first[: len(starts)] == starts
    for point in (*first, *proposals(SPACE, trials(20), starts, 0)):
        assert all(low <= point[name] <= high for name, (low, high) in SPACE.bounds.items())


def test_known_weights_come_back():
    log = np.array([-0.4, 0.1, 0.3])
    found = SPACE.candidate(SPACE.starts([log])[-1]).log_weight
    assert np.allclose(found, log - log.mean())


def test_a_linear_model_is_not_searched_where_nothing_changes():
    assert set(Space((90, 10), "linear").bounds) == {"weight_power", "gamma"}


def test_optuna_reads_the_trials(tmp_path):
    optuna = pytest.importorskip("optuna")
    done = [*trials(3), Trial(trials(1)[0].numbers, None, 0.2, 1)]
    file = tmp_path / "trials.log"
    file.write_text('{"half a li')  # what a crash may leave
    kept = TrialFile(file)
    kept.keep("fold 1", SPACE, done)
    kept.keep("fold 1", SPACE, [*done, *trials(2, 2)])
    storage = optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(str(file)))
    study = optuna.load_study(study_name="fold 1", storage=storage)
    assert [t.value for t in study.trials] == [t.value for t in (*done, *trials(2, 2))]
    assert [t.state.name for t in study.trials[:4]] == ["COMPLETE"] * 3 + ["PRUNED"]
    assert study.trials[0].params == done[0].numbers
