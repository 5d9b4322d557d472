"""Timing and what is made of it, with a clock that is told what time it is."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest

from benchmarks.kernels import cases, measure, tables, targets


class Clock:
    """A clock that only moves when something takes time."""

    def __init__(self) -> None:
        self.now = 100.0
        self.calls: list[str] = []

    def __call__(self) -> float:
        return self.now

    def taking(self, name: str, *seconds: float) -> Callable[[], None]:
        """Return a call that takes so many seconds, the last of them from then on."""
        left = list(seconds)

        def call() -> None:
            self.calls.append(name)
            self.now += left.pop(0) if len(left) > 1 else left[0]

        return call


def test_one_measurement_is_the_mean_of_its_repeats() -> None:
    clock = Clock()
    assert measure.once(clock.taking("a", 1.0, 3.0), repeats=4, clock=clock) == pytest.approx(2.5)
    assert clock.calls == ["a"] * 4


def test_short_calls_are_repeated_until_the_clock_does_not_matter() -> None:
    assert measure.repeats_for(1.0) == 1
    assert measure.repeats_for(1e-5) == pytest.approx(500, abs=1)  # 1 / 1e-5 is no whole number in binary
    assert measure.repeats_for(0.0) == 10_000


@pytest.mark.parametrize(
    ("per_round", "budget", "rounds"), [(1.0, 100.0, 15), (1.0, 8.0, 7), (100.0, 1.0, 3), (0.0, 1.0, 15)]
)
def test_rounds_fit_the_budget_and_are_odd(per_round: float, budget: float, rounds: int) -> None:
    assert measure.rounds_for(per_round, budget) == rounds


def test_turns_are_taken_and_their_order_changes() -> None:
    clock = Clock()
    calls = {"a": clock.taking("a", 1.0), "b": clock.taking("b", 2.0, 5.0)}
    forget = clock.taking("forget", 100.0)
    turns = [measure.turn(calls, {"a": 1, "b": 2}, lambda _: forget(), back, clock) for back in (False, True)]
    assert clock.calls == ["a", "forget", "b", "b", "forget", "b", "b", "forget", "a", "forget"]
    assert turns == [{"a": 1.0, "b": 3.5}, {"b": 5.0, "a": 1.0}]


def test_a_ratio_is_taken_within_a_round() -> None:
    """A neighbour that slows a whole round down leaves the ratio as it is; two medians would not."""
    ours, theirs = [1.0, 10.0, 1.0, 12.0], [3.0, 30.0, 3.0, 36.0]
    assert measure.ratios(theirs, ours) == {"median": 3.0, "p20": 3.0, "p80": 3.0, "n": 4}


def test_summary_and_geometric_mean_by_hand() -> None:
    assert measure.summary([5.0, 1.0, 3.0, 2.0, 4.0]) == {"median": 3.0, "p20": 1.8, "p80": 4.2, "n": 5}
    assert measure.geometric_mean([1.0, 10.0, 100.0]) == pytest.approx(10.0)
    assert math.isnan(measure.geometric_mean([]))


# --- targets ----------------------------------------------------------------------------------------------------


def row(variant: str, loss: str, seconds: float, over: float | None = None, **other: object) -> dict[str, object]:
    out: dict[str, object] = {
        "variant": variant, "loss": loss, "shape": [8192, 1000], "dtype": "float32", "threads": 1,
        "pages": "as they come", "seconds": measure.summary([seconds]), "all_seconds": [seconds],
    }  # fmt: skip
    return out | ({} if over is None else {"over_ours": measure.summary([over])}) | other


ROWS = [
    row("copy", "plain", 2e-3),
    row("ours", "weighted", 3e-3),
    row("torch eager", "weighted", 12e-3, 4.0),
    row("ours, warm", "plain", 2.2e-3),
    row("ours, warm", "everything on", 2.64e-3),
    row("ours", "weighted", 2e-3, threads=2),
]


def test_targets_say_what_is_met_and_by_how_much() -> None:
    judged = {t.goal: t for t in targets.evaluate(ROWS, [])}
    eager = judged["torch eager over ours, weighted, geometric mean of the shapes"]
    assert (eager.met, eager.measured) == (False, pytest.approx(4.0))
    assert eager.by == pytest.approx(0.4)
    worst = judged["torch eager over ours, at every shape"]
    assert (worst.met, worst.where) == (True, "8192×1000, weighted")
    copied = judged["ours, gradient buffer reused, over a copy, C ≥ 1000"]
    assert (copied.met, copied.measured) == (True, pytest.approx(1.1))
    everything = judged["everything on over plain, ours, where memory is the limit"]
    assert (everything.met, everything.measured) == (False, pytest.approx(1.2))
    assert judged["one thread over two, from 8192×1000 on"].measured == pytest.approx(1.5)
    assert judged["what a loss adds to a training step"].met is None
    text = tables.targets({"rows": ROWS})
    assert "| ≥ 10 × | 4.00 × | **not met**, 60 % short |" in text
    assert "| ≤ 1.1 × | 1.20 × | **not met**, 9 % over |" in text


def test_every_reason_belongs_to_a_target() -> None:
    assert set(targets.REASONS) <= {t.goal for t in targets.evaluate([], [])}


def test_figures_show_three_digits() -> None:
    shown = {0.0: "0", 0.012345: "0.0123", 1.0: "1.00", 12.345: "12.3", 99.96: "100", 1234567.0: "1,230,000"}
    assert {x: tables.figure(x) for x in shown} == shown


def test_the_losses_are_what_their_names_say() -> None:
    for name in cases.LOSSES:
        assert cases.loss(name, 5).reduction == "mean"
    everything = cases.loss("everything on", 5)
    for parameter in ("class_weight", "logit_scale", "logit_offset", "margin", "gamma", "label_smoothing"):
        assert everything.parameters[parameter] is not None, parameter
