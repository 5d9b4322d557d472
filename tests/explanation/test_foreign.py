"""Losses of torch and Keras, and plain class weights, handed to `explain`: read as what they are."""

from __future__ import annotations

import numpy as np
import pytest

import steelyard as sy
from steelyard.errors import InputError
from steelyard.explanation.foreign import from_other_library

COUNTS = sy.ClassCounts.from_counts({"no": 980, "yes": 20})
Z = np.random.default_rng(0).normal(size=(12, 2))
Y = np.random.default_rng(1).integers(0, 2, 12)


def torch_losses():
    torch = pytest.importorskip("torch")
    w = torch.tensor([0.5, 25.0], dtype=torch.float64)
    return {
        "plain": torch.nn.CrossEntropyLoss(),
        "weighted": torch.nn.CrossEntropyLoss(weight=w),
        "smoothed": torch.nn.CrossEntropyLoss(label_smoothing=0.1),
        "sum": torch.nn.CrossEntropyLoss(weight=w, reduction="sum"),
        "binary": torch.nn.BCEWithLogitsLoss(pos_weight=torch.tensor(49.0, dtype=torch.float64)),
    }


@pytest.mark.parametrize("name", ["plain", "weighted", "smoothed", "sum", "binary"])
def test_a_loss_of_torch_is_read_as_what_it_computes(name):
    torch = pytest.importorskip("torch")
    theirs = torch_losses()[name]
    ours = from_other_library(theirs)
    z, y = (Z[:, 0], Y.astype(float)) if name == "binary" else (Z, Y)
    expected = float(theirs(torch.tensor(z), torch.tensor(y)))
    assert float(ours.loss(z, y, denominator=ours.denominator)) == pytest.approx(expected, rel=1e-12)
    assert not ours.clipped
    assert sy.explain(theirs, COUNTS).loss == sy.explain(ours.loss, COUNTS).loss


KERAS = {
    "sparse": ("SparseCategoricalCrossentropy", {"from_logits": True}),
    "categorical": ("CategoricalCrossentropy", {"from_logits": True, "label_smoothing": 0.1}),
    "sum": ("SparseCategoricalCrossentropy", {"from_logits": True, "reduction": "sum"}),
    "binary": ("BinaryCrossentropy", {"from_logits": True}),
    "binary focal": ("BinaryFocalCrossentropy", {"from_logits": True, "gamma": 1.5}),
    "balanced focal": ("BinaryFocalCrossentropy", {"from_logits": True, "apply_class_balancing": True, "alpha": 0.8}),
    "categorical focal": ("CategoricalFocalCrossentropy", {"from_logits": True, "alpha": [0.2, 0.8]}),
    "probabilities": ("SparseCategoricalCrossentropy", {}),
}


@pytest.mark.parametrize("name", KERAS)
def test_a_loss_of_keras_is_read_as_what_it_computes(name):
    keras = pytest.importorskip("keras")
    kind, settings = KERAS[name]
    theirs = getattr(keras.losses, kind)(**settings, dtype="float64")
    ours = from_other_library(theirs)
    assert ours.clipped == (name in ("categorical focal", "probabilities"))
    binary = kind.startswith("Binary")
    z, y = (Z[:, :1], Y[:, None].astype(float)) if binary else (Z, Y if kind.startswith("Sparse") else np.eye(2)[Y])
    given = np.exp(z) / np.exp(z).sum(1, keepdims=True) if name == "probabilities" else z
    expected = float(np.asarray(theirs(y, given)))
    found = float(ours.loss(z[:, 0] if binary else z, y[:, 0] if binary else y, denominator=ours.denominator))
    # Keras adds 1e-7 to probabilities in focal losses
    assert found == pytest.approx(expected, rel=1e-6 if "focal" in name or name == "probabilities" else 1e-10)
    found_codes = [w.code for w in sy.explain(theirs, COUNTS).warnings]
    assert ("clipped-probabilities" in found_codes) == ours.clipped


def test_what_keras_has_by_default_is_warned_of():
    keras = pytest.importorskip("keras")
    codes = {
        w.code for w in sy.explain(keras.losses.BinaryFocalCrossentropy(apply_class_balancing=True), COUNTS).warnings
    }
    assert codes == {"upside-down-alpha", "clipped-probabilities"}
    better = keras.losses.BinaryFocalCrossentropy(apply_class_balancing=True, alpha=0.75, from_logits=True)
    assert sy.explain(better, COUNTS).warnings == ()


@pytest.mark.parametrize(
    "weights", [[1.0, 49.0], (1.0, 49.0), np.array([1.0, 49.0]), {"no": 1.0, "yes": 49.0}], ids=str
)
def test_class_weights_alone_are_a_weighted_loss(weights):
    assert sy.explain(weights, COUNTS) == sy.explain(sy.losses.weighted_cross_entropy([1.0, 49.0]), COUNTS)


def test_what_has_no_equal_is_said():
    torch = pytest.importorskip("torch")
    with pytest.raises(InputError, match=r"label smoothing; got both.*pytorch#104776"):
        sy.explain(torch.nn.CrossEntropyLoss(weight=torch.ones(2), label_smoothing=0.1), COUNTS)
    with pytest.raises(InputError, match="weights entries, not classes"):
        sy.explain(torch.nn.BCEWithLogitsLoss(weight=torch.ones(2)), COUNTS)
    with pytest.raises(InputError, match=r"a cross-entropy of torch or Keras.*got MSELoss"):
        sy.explain(torch.nn.MSELoss(), COUNTS)
