"""What the compiled step does not know, it says; the JAX program takes it."""

import numpy as np
import pytest

import steelyard as sy
from steelyard import kernels
from steelyard.training import mlp_native


@pytest.mark.skipif(not kernels.available().compiled, reason="no compiled kernels in this installation")
@pytest.mark.parametrize(
    ("loss", "said"),
    [
        (sy.losses.poly1(1.0), "poly_coefficient"),
        (sy.losses.seesaw([9, 1]), "compensation"),
        (sy.losses.class_aware_smoothing([9, 1]), "label_smoothing by class"),
        (sy.losses.weighted_cross_entropy([1.0, 2.0], weight_by="prediction"), "weight_by"),
    ],
)
def test_what_it_lacks_is_named(loss, said):
    assert said in (mlp_native.missing([loss]) or "")


@pytest.mark.skipif(not kernels.available().compiled, reason="no compiled kernels in this installation")
def test_one_smoothing_for_all_classes_is_known():
    assert mlp_native.missing([sy.losses.cross_entropy(label_smoothing=np.full(3, 0.1))]) is None
