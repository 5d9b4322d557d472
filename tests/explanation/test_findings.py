"""Each warning: a case in which it must come, and a near case in which it must not."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

import steelyard as sy
from steelyard.explanation import findings

COUNTS = sy.ClassCounts.from_counts({"no": 980, "yes": 20})
THREE = sy.ClassCounts.from_counts({"a": 700, "b": 250, "c": 50})
ABSENT = sy.ClassCounts.from_labels(["a", "b", "b"], classes=["a", "b", "c"])
BALANCED = np.array([1000 / (2 * 980), 1000 / (2 * 20)])
ROOTS = BALANCED**0.5
L = sy.losses

# code → (loss, counts, what else is said), once where it must come and once near by where it must not
CASES: dict = {
    "clipped-probabilities": [],  # tests/explanation/test_foreign.py
    "absent-class": [
        ((L.logit_adjusted(ABSENT), ABSENT, {}), (L.logit_adjusted(THREE), THREE, {})),
    ],
    "zero-weight": [
        ((L.weighted_cross_entropy([1.0, 0.0]), COUNTS, {}), (L.weighted_cross_entropy([1.0, 1e-3]), COUNTS, {})),
        ((L.binary_cross_entropy(0.0), COUNTS, {}), (L.binary_cross_entropy(1.0), COUNTS, {})),
    ],
    "proportional-weights": [
        ((L.weighted_cross_entropy([0.98, 0.02]), COUNTS, {}), (L.weighted_cross_entropy([0.02, 0.98]), COUNTS, {})),
        # Σw = C changes nothing; equal weights are no proportion
        ((L.focal(2.0, [2.1, 0.75, 0.15]), THREE, {}), (L.focal(2.0, [1.0, 1.0, 1.0]), THREE, {})),
    ],
    "upside-down-weights": [
        ((L.weighted_cross_entropy([2.0, 1.0]), COUNTS, {}), (L.weighted_cross_entropy([1.0, 1.0]), COUNTS, {})),
        ((L.binary_cross_entropy(0.5), COUNTS, {}), (L.binary_cross_entropy(2.0), COUNTS, {})),
        # of a common positive class a small weight is the right way round
        ((L.binary_cross_entropy(0.5), [980, 20], {}), (L.binary_cross_entropy(0.5), [20, 980], {})),
    ],
    "upside-down-alpha": [
        ((L.sigmoid_focal(2.0, alpha=0.25), COUNTS, {}), (L.sigmoid_focal(2.0, alpha=0.75), COUNTS, {})),
        ((L.sigmoid_focal(2.0, alpha=0.25), COUNTS, {}), (L.sigmoid_focal(2.0, alpha=None), COUNTS, {})),
        ((L.focal(2.0, [0.75, 0.25]), COUNTS, {}), (L.focal(2.0, [0.25, 0.75]), COUNTS, {})),
    ],
    "upside-down-offsets": [
        ((L.logit_adjusted(COUNTS, tau=-1.0), COUNTS, {}), (L.logit_adjusted(COUNTS, tau=1.0), COUNTS, {})),
    ],
    "double-correction": [
        ((L.weighted_cross_entropy(BALANCED), COUNTS, {"sampler": "random_over"}), ("balanced", COUNTS, {})),
        (("balanced", COUNTS, {"sampler": "balanced_batches"}), ("none", COUNTS, {"sampler": "balanced_batches"})),
        ((L.logit_adjusted(COUNTS, class_weight=BALANCED), COUNTS, {}), (L.logit_adjusted(COUNTS), COUNTS, {})),
        (("logit_adjusted", THREE, {"sampler": "random_under"}), ("logit_adjusted", THREE, {})),
        (("balanced", COUNTS, {"decision": 0.02}), ("balanced", COUNTS, {"decision": 0.5})),
        (
            ("balanced", COUNTS, {"decision": "post_hoc_logit_adjustment"}),
            # of corrected probabilities: what the weights did is taken out first
            ("balanced", COUNTS, {"decision": "prior_threshold"}),
        ),
        ((L.binary_cross_entropy(49.0), COUNTS, {"decision": 0.02}), (L.binary_cross_entropy(49.0), COUNTS, {})),
        # half of each is one whole
        (
            (L.logit_adjusted(COUNTS, class_weight=ROOTS), COUNTS, {}),
            (L.logit_adjusted(COUNTS, tau=0.5, class_weight=ROOTS), COUNTS, {}),
        ),
        # LDAM with weights at the end is one correction: its margins are no offsets
        ((L.vector_scaling(COUNTS, class_weight=BALANCED), COUNTS, {}), ("ldam_drw", COUNTS, {})),
        # focal weights count too, and focusing alone corrects nothing
        ((L.focal(2.0, BALANCED), COUNTS, {"sampler": "smote"}), (L.focal(2.0), COUNTS, {"sampler": "smote"})),
    ],
    "correction-and-tuned-decision": [
        (("balanced", COUNTS, {"decision": "tuned"}), ("none", COUNTS, {"decision": "tuned"})),
        (("oversample", COUNTS, {"decision": "tuned"}), ("focal", COUNTS, {"decision": "tuned"})),
        (("logit_adjusted", THREE, {"decision": "tuned"}), ("logit_adjusted", THREE, {})),
    ],
    "scaled-logits": [
        ((L.scaled_logits(BALANCED), COUNTS, {}), (L.scaled_logits([1.0, 1.0]), COUNTS, {})),
        # weights in both places; CDT's scales go the other way
        ((L.SoftmaxCrossEntropy(logit_scale=BALANCED, class_weight=BALANCED), COUNTS, {}), (L.cdt(COUNTS), COUNTS, {})),
    ],
    "margin-without-scale": [((L.ldam(COUNTS, scale=1.0), COUNTS, {}), (L.ldam(COUNTS), COUNTS, {}))],
    "smoothing-above-share": [
        (
            (L.cross_entropy(label_smoothing=0.1), COUNTS, {}),
            (L.cross_entropy(label_smoothing=0.03), COUNTS, {}),
        ),
        (
            (L.cross_entropy(label_smoothing=0.1), COUNTS, {}),
            (L.cross_entropy(label_smoothing=0.1), COUNTS, {"sampler": "random_over"}),
        ),
    ],
    "smoothing-and-weights": [
        (
            (L.weighted_cross_entropy(BALANCED, label_smoothing=0.1), COUNTS, {}),
            (L.weighted_cross_entropy([1.0, 1.0], label_smoothing=0.1), COUNTS, {}),
        ),
        (
            (L.weighted_cross_entropy(BALANCED, label_smoothing=0.1), COUNTS, {}),
            (L.weighted_cross_entropy(BALANCED), COUNTS, {}),
        ),
    ],
    "biased-mean": [
        (("balanced", COUNTS, {"batch_size": 32}), ("balanced", COUNTS, {"batch_size": 256})),
        (("balanced", COUNTS, {"batch_size": 32}), ("none", COUNTS, {"batch_size": 32})),
        (
            ("balanced", COUNTS, {"batch_size": 32}),
            ("balanced", COUNTS, {"batch_size": 32, "denominator": 32.0}),
        ),
        (("balanced", COUNTS, {"batch_size": 32}), ("balanced", COUNTS, {"batch_size": 32, "reduction": "sum"})),
        (
            (L.binary_cross_entropy(49.0), COUNTS, {"batch_size": 32}),
            (L.binary_cross_entropy(49.0), COUNTS, {"batch_size": 32, "denominator": "rows"}),
        ),
    ],
    "batches-without-rare": [
        (("none", COUNTS, {"batch_size": 32}), ("none", COUNTS, {"batch_size": 64})),
        (("none", COUNTS, {"batch_size": 32}), ("balanced_batches", COUNTS, {"batch_size": 32})),
    ],
    "loss-scale": [
        # 1/n_c with Keras' mean over rows: the loss is C/N times as large
        (
            (L.weighted_cross_entropy([1 / 980, 1 / 20]), COUNTS, {"denominator": "rows"}),
            (L.weighted_cross_entropy(BALANCED), COUNTS, {"denominator": "rows"}),
        ),
        (
            (L.weighted_cross_entropy([1 / 980, 1 / 20]), COUNTS, {"reduction": "sum"}),
            (L.weighted_cross_entropy([1 / 980, 1 / 20]), COUNTS, {}),
        ),
    ],
    "dead-gradient": [
        (
            (L.outcome_weighted([[1.0, 1.0], [0.0, 1.0]]), COUNTS, {}),
            (L.outcome_weighted([[1.0, 1.0], [0.1, 0.0]]), COUNTS, {}),
        ),
        (
            (L.weighted_cross_entropy([0.0, 1.0], weight_by="prediction"), COUNTS, {}),
            (L.weighted_cross_entropy([0.1, 1.0], weight_by="prediction"), COUNTS, {}),
        ),
        (
            (L.cost_regularized([[0.0, 1.0], [5.0, 0.0]], class_weight=[1.0, 0.0]), COUNTS, {}),
            (L.cost_regularized([[0.0, 1.0], [5.0, 0.0]]), COUNTS, {}),
        ),
    ],
    "no-probabilities": [
        ((L.cost_regularized([[0.0, 1.0], [5.0, 0.0]]), COUNTS, {}), (L.seesaw(COUNTS), COUNTS, {})),
    ],
}

NOTES = {
    "fixed-point": [
        (
            (L.weighted_cross_entropy(BALANCED, weight_by="prediction"), COUNTS, {}),
            (L.weighted_cross_entropy(BALANCED), COUNTS, {}),
        ),
        ((L.seesaw(COUNTS), COUNTS, {}), (L.seesaw(COUNTS, q=0.0), COUNTS, {})),
        ((L.outcome_weighted([[1.0, 2.0], [3.0, 1.0]]), COUNTS, {}), (L.binary_cross_entropy(3.0), COUNTS, {})),
    ],
    "deferred": [(("ldam_drw", COUNTS, {}), ("ldam", COUNTS, {}))],
    "found-in-training": [(("tuned_weights", COUNTS, {}), ("balanced", COUNTS, {}))],
}


def codes(case, kind="warnings"):
    loss, counts, more = case
    return [found.code for found in getattr(sy.explain(loss, counts, **more), kind)]


@pytest.mark.parametrize(
    ("code", "fires", "near"), [(code, *pair) for code, pairs in CASES.items() for pair in pairs], ids=str
)
def test_warnings_come_where_they_must_and_not_near_by(code, fires, near):
    assert code in codes(fires)
    assert code not in codes(near)


@pytest.mark.parametrize(
    ("code", "fires", "near"), [(code, *pair) for code, pairs in NOTES.items() for pair in pairs], ids=str
)
def test_notes_too(code, fires, near):
    assert code in codes(fires, "notes")
    assert code not in codes(near, "notes")


def test_every_finding_has_its_cases():
    source = Path(findings.__file__).read_text(encoding="utf-8")
    assert set(re.findall(r'Finding\(\s*"([a-z-]+)"', source)) == {*CASES, *NOTES}


@pytest.mark.parametrize("name", [n for n in sy.strategies.names() if n != "scaled_logits"])
@pytest.mark.parametrize("counts", [COUNTS, THREE], ids=["two", "three"])
def test_the_strategies_themselves_are_not_warned_of(name, counts):
    assert codes((name, counts, {})) == []


def test_figures_of_a_double_correction():
    found = sy.explain("balanced", COUNTS, sampler="balanced_batches").warnings[0]
    # weights of ratio 49, and rows drawn 49 times as often: 49² where 49 is balanced
    assert "weights × 49, the sampler × 49" in found.message
    assert "together 49 times beyond" in found.message


def test_figures_of_smoothing_with_weights_are_torchs():
    """Minimise torch's own loss over one constant row of logits, at the shares of the classes."""
    torch = pytest.importorskip("torch")
    z = torch.zeros(2, dtype=torch.float64, requires_grad=True)
    w = torch.tensor(BALANCED)
    optimiser = torch.optim.LBFGS([z], max_iter=200, tolerance_grad=1e-12, tolerance_change=1e-14)

    def closure():
        optimiser.zero_grad()
        each = torch.nn.functional.cross_entropy(
            z.expand(2, 2), torch.tensor([0, 1]), w, label_smoothing=0.1, reduction="none"
        )
        loss = 0.98 * each[0] + 0.02 * each[1]
        loss.backward()
        return loss

    optimiser.step(closure)
    theirs = float(torch.softmax(z.detach(), 0)[1])
    loss = L.weighted_cross_entropy(BALANCED, label_smoothing=0.1)
    found = {f.code: f for f in sy.explain(loss, COUNTS).warnings}["smoothing-and-weights"]
    assert f"says 0.5 for yes here and {theirs:.3g} in torch" in found.message


def test_figures_of_batches_without_a_rare_row():
    found = sy.explain("none", COUNTS, batch_size=32).warnings[0]
    assert found.message.startswith("52 % of batches of 32")  # 0.98³² = 0.524
    assert "149 rows" in found.advice
    assert 0.98**149 < 0.05 < 0.98**148


def test_a_loss_of_whole_sets_is_told_by_what_it_says_of_itself():
    class Overlap(sy.losses.SoftmaxCrossEntropy):
        improper = "Overlap compares sums over all rows: its scores are not probabilities."

        def posterior(self, logits, class_axis=1):
            raise sy.errors.InputError("a loss with a posterior", "Overlap")

    found = sy.explain(Overlap(), COUNTS).warnings
    assert [f.code for f in found] == ["no-probabilities"]
    assert found[0].message == Overlap.improper


def test_data_of_findings():
    found = sy.explain("balanced", COUNTS, sampler="balanced_batches").to_dict()
    assert found["warnings"][0]["code"] == "double-correction"
    assert set(found["warnings"][0]) == {"code", "message", "advice"}
    assert found["notes"] == []
